"""`cti replay`: a recording through the whole pipeline into a database, without sockets and without a clock.

The same recording gives the same records every time, and replaying it, or any piece of it, over its own records
changes nothing.
"""

from collections import Counter
from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass
from pathlib import Path

from cti.core.commands import Command
from cti.core.core import Core
from cti.core.facts import AgentState, AwayEpisode, Call, Fact, Incident, Link, Queue
from cti.core.rules import Rules
from cti.daemon.pump import Pump
from cti.daemon.recorder import arrivals, read_recording
from store import Store, open_store

_BATCH = 500  # arrivals between two waits for the database


@dataclass(frozen=True, slots=True)
class ReplaySummary:
    """What a replay found; counts, seconds of recorded time, and what the database holds of it afterwards."""

    asterisk: str
    seconds: float
    cut_short: bool  # the recording ends in the middle of a record; everything before that was played
    events: int
    rejected: int
    bugs: int
    facts: dict[str, int]  # by kind, snapshots counted each
    commands: int  # that would have been sent to a living PBX
    calls: int
    calls_by_disposition: dict[str, int]
    stays_by_outcome: dict[str, int]
    agents: int
    incidents: int


class Unsettled:
    """Writes what a recording tells, save of calls that are over on record, and of times that are on record already."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._told: list[Fact] = []
        self._asked: set[str] = (
            set()
        )  # ids of calls; whether they were over is asked before anything of them is written
        self._over: set[str] = set()
        self._left_out: set[str] = set()  # ids of away episodes

    def take(self, facts: Iterable[Fact]) -> None:
        """Keep facts until the next `write`."""
        self._told += facts

    async def write(self) -> None:
        """Write what was taken and wait until it is durable. Raises StoreError."""
        told, self._told = list({fact.key: fact for fact in self._told}.values()), []
        calls = {call_id for fact in told if (call_id := _call_of(fact))} - self._asked
        self._over |= await self._store.queries.calls_over(calls)
        self._asked |= calls
        episodes = [fact for fact in told if isinstance(fact, AwayEpisode)]
        unsaid = await self._store.queries.unsaid(
            [fact for fact in told if isinstance(fact, AgentState)],
            [fact for fact in told if isinstance(fact, Link)],
            episodes,
        )
        kept = set(unsaid)
        self._left_out |= {one.id for one in episodes if one not in kept}
        self._store.writer.put(
            fact for fact in told if not isinstance(fact, Queue) and self._is_news(fact, kept)
        )
        self._store.writer.put([fact for fact in told if isinstance(fact, Queue)], from_books=True)
        await self._store.writer.committed()

    def _is_news(self, fact: Fact, kept: Container[object]) -> bool:
        if isinstance(fact, AgentState | Link | AwayEpisode):
            return fact in kept
        if isinstance(fact, Incident):
            return fact.id.removesuffix("/limit") not in self._left_out
        return _call_of(fact) not in self._over


def _call_of(fact: Fact) -> str:
    """The id of the call that a fact is about; "" when it is about none."""
    return fact.id if isinstance(fact, Call) else str(getattr(fact, "call_id", ""))


async def replay(
    path: Path,
    *,
    database_url: str,
    pbx: str = "main",
    rules: Rules | None = None,
    progress: Callable[[float], None] = lambda _seconds: None,
) -> ReplaySummary:
    """Play a recording into a database.

    Args:
        path: made by `cti record`.
        database_url: where the records go; made and migrated as needed.
        pbx: the name under which they are kept.
        rules: thresholds; the defaults where None.
        progress: told the recorded seconds that are done.

    Raises:
        RecordingError: the file is none. StoreError: the database cannot be opened or written.
    """
    recording = read_recording(path)
    kinds: Counter[str] = Counter()
    commands: list[Command] = []

    def count(facts: Iterable[Fact]) -> None:
        kinds.update(type(fact).__name__ for fact in facts)

    async with await open_store(database_url) as store:
        unsettled = Unsettled(store)
        pump = Pump(Core(pbx, rules), (unsettled.take, count), commands.extend)
        seconds, waiting = 0.0, 0
        for arrival in arrivals(recording, pbx):
            pump.step_all([arrival])
            seconds, waiting = arrival.mono, waiting + 1
            if waiting >= _BATCH:
                await unsettled.write()
                waiting = 0
                progress(seconds)
        await unsettled.write()
        progress(seconds)
        found = await store.queries.summary(pbx=pbx)
    return ReplaySummary(
        asterisk=str(recording.header.get("pbx", "")),
        seconds=seconds,
        cut_short=recording.cut_short,
        events=pump.figures.events,
        rejected=pump.figures.rejected,
        bugs=pump.figures.bugs,
        facts=dict(sorted(kinds.items())),
        commands=len(commands),
        calls=found.calls,
        calls_by_disposition={str(key): value for key, value in found.calls_by_disposition.items()},
        stays_by_outcome={str(key): value for key, value in found.stays_by_outcome.items()},
        agents=found.agents,
        incidents=sum(found.incidents_by_kind.values()),
    )
