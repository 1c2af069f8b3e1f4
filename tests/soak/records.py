"""Everything that is on record of a run."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from cti.core.facts import (
    Attempt,
    AwayEpisode,
    Call,
    Fact,
    Gap,
    Leg,
    QueueStay,
    Recording,
    Talk,
    Transfer,
)
from store import open_store
from store.queries import Queries, StateSpan
from store.reading import facts, select_facts

F = TypeVar("F", bound=Fact)
_PAGE = 1000
Part = Leg | QueueStay | Attempt | Talk | Transfer | Recording


@dataclass(frozen=True)
class Records:
    """Calls that were not merged into another, with the parts of all that were merged into them."""

    calls: Mapping[str, Call]
    of_channel: Mapping[str, str]  # uniqueid to call id
    parts: Mapping[str, Sequence[Part]]  # by call id; each part's `call_id` is that one
    gaps: Sequence[Gap]
    states: Sequence[StateSpan] = ()
    episodes: Sequence[AwayEpisode] = ()

    @classmethod
    async def read(cls, database_url: str) -> "Records":
        async with await open_store(database_url) as store, store.queries._database.read() as connection:

            async def every(kind: type[F]) -> Sequence[F]:
                return await facts(connection, kind, select_facts(kind))

            kinds: tuple[type[Part], ...] = (Leg, QueueStay, Attempt, Talk, Transfer, Recording)
            parts: list[Part] = [part for kind in kinds for part in await every(kind)]
            found = cls.of(await every(Call), parts, await every(Gap))
            states, episodes = await _states(store.queries), await every(AwayEpisode)
            return replace(found, states=states, episodes=episodes)

    @classmethod
    def of(cls, calls: Sequence[Call], parts: Sequence[Part], gaps: Sequence[Gap] = ()) -> "Records":
        above = {call.id: call.merged_into for call in calls if call.merged_into is not None}

        def root(call_id: str) -> str:
            for _ in range(len(above)):
                if call_id not in above:
                    break
                call_id = above[call_id]
            return call_id

        found: defaultdict[str, list[Part]] = defaultdict(list)
        for part in parts:
            top = root(part.call_id)
            found[top].append(replace(part, call_id=top))
        return cls(
            {call.id: call for call in calls if call.merged_into is None},
            {part.uniqueid: root(part.call_id) for part in parts if isinstance(part, Leg)},
            found,
            gaps,
        )

    def all(self, call_id: str, kind: type[F]) -> list[F]:
        """The parts of one kind of a call."""
        return [part for part in self.parts.get(call_id, ()) if isinstance(part, kind)]


async def _states(queries: Queries) -> list[StateSpan]:
    page = await queries.agent_states(limit=_PAGE)
    found = [*page.items]
    while page.next:
        page = await queries.agent_states(limit=_PAGE, cursor=page.next)
        found += page.items
    return found
