"""What the demo ends with: figures from the daemon's own database and metrics, and the verdict of the PBX's books."""

from dataclasses import dataclass, field
from typing import Any

from cti.core.facts import Call, Direction, Disposition
from store import open_store
from store.queries import CallFilter
from tests.demo.books import Books
from tests.demo.floor import NIGHT
from tests.rig import Rig


@dataclass(frozen=True, slots=True)
class Summary:
    """The figures of one demo."""

    pbx: str
    calls: int
    answered: int
    abandoned: int
    agents: int
    away_incidents: int
    duty_calls: int
    duty_accepted: int
    work_items: int
    events_seen: int
    events_dropped: int
    books_checked: int
    books_mismatch: int
    mismatches: tuple[str, ...] = field(default=())

    def figures(self) -> dict[str, Any]:
        """Names and values, as they are printed."""
        return {name: getattr(self, name) for name in self.__slots__ if name != "mismatches"}

    def well(self) -> bool:
        """Whether the demo showed what it is there to show: traffic, nothing dropped, and books that agree."""
        return self.calls > 0 and self.events_dropped == 0 and self.books_mismatch == 0


@dataclass(frozen=True, slots=True)
class Door:
    """Figures only the running daemon knows."""

    seen: int
    dropped: int


async def door_of(rig: Rig) -> Door:
    """Ask the running daemon what passed its door."""
    seen = await rig.metric("cti_ami_events_seen_total")
    return Door(int(seen), int(await rig.metric("cti_ami_events_dropped_total")))


async def summarise(rig: Rig, door: Door, books: Books, pbx: str, until: float | None = None) -> Summary:
    """Read the database of a daemon that has ended, and hold it against the books."""
    async with await open_store(rig.database_url) as store:
        found = await store.queries.summary(pbx="main")
        inbound: list[Call] = []
        cursor = None
        while True:
            page = await store.queries.calls(
                CallFilter(direction=Direction.INBOUND), cursor=cursor, limit=500
            )
            inbound += page.items
            cursor = page.next
            if cursor is None:
                break
        report = await books.compare(store, until=until)
    ended = [call.disposition for call in inbound]
    return Summary(
        pbx=pbx,
        calls=len(inbound),
        answered=ended.count(Disposition.ANSWERED),
        abandoned=ended.count(Disposition.ABANDONED),
        agents=found.agents,
        away_incidents=found.incidents_by_kind.get("away_limit", 0),
        duty_calls=sum(call.dialed_number == NIGHT for call in inbound),
        duty_accepted=found.work_items_by_result.get("accepted", 0),
        work_items=sum(found.work_items_by_result.values()),
        events_seen=door.seen,
        events_dropped=door.dropped,
        books_checked=report.checked,
        books_mismatch=len(report.mismatches) + books.bad,
        mismatches=tuple(
            f"{m.reason.value} {m.uniqueid} {m.field}: ours {m.ours}, book {m.book}"
            for m in report.mismatches
        ),
    )
