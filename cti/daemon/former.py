"""What an earlier process left behind: read from the store and the spool, or from the spool alone while the store is away."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from cti.core.facts import CommandRecord, Fact, Fault
from cti.core.memory import Memory
from cti.daemon.ledger import newest, overlaid
from store.queries import Queries


@dataclass(frozen=True, slots=True)
class FormerRoom:
    """What was open at one PBX."""

    memory: Memory
    commands: tuple[CommandRecord, ...]
    seen: tuple[float, float] | None = None  # when the PBX was first heard, and the newest thing on record


@dataclass(frozen=True, slots=True)
class Former:
    """Everything that was open."""

    faults: tuple[Fault, ...]
    rooms: Mapping[str, FormerRoom]

    def with_seen(self, seen: Mapping[str, tuple[float, float] | None]) -> "Former":
        """The same with other knowledge of what was the newest thing on record."""
        rooms = {pbx: replace(room, seen=seen.get(pbx) or room.seen) for pbx, room in self.rooms.items()}
        return replace(self, rooms=rooms)


async def read_former(queries: Queries, pbxs: Iterable[str], spooled: Sequence[Fact]) -> Former:
    """Read it from the store, where the spool may know it better. Raises StoreError."""
    spooled = await queries.not_over(spooled)  # a disk that took no more left the beginning without the end
    rooms = {
        pbx: FormerRoom(
            overlaid(await queries.open_memory(pbx), pbx, spooled),
            newest(await queries.open_commands(pbx), _commands(pbx, spooled)),
            await queries.seen_between(pbx),
        )
        for pbx in pbxs
    }
    return Former(newest(await queries.open_faults(), _faults(spooled)), rooms)


def spooled_former(pbxs: Iterable[str], spooled: Sequence[Fact]) -> Former:
    """What the spool alone knows of it."""
    rooms = {
        pbx: FormerRoom(overlaid(Memory(), pbx, spooled), newest((), _commands(pbx, spooled))) for pbx in pbxs
    }
    return Former(newest((), _faults(spooled)), rooms)


def _commands(pbx: str, spooled: Iterable[Fact]) -> list[CommandRecord]:
    return [fact for fact in spooled if isinstance(fact, CommandRecord) and fact.pbx == pbx]


def _faults(spooled: Iterable[Fact]) -> list[Fault]:
    return [fact for fact in spooled if isinstance(fact, Fault)]
