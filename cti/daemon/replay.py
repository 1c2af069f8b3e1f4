"""`cti replay`: a recording through the whole pipeline into a database, without sockets and without a clock.

The same recording gives the same records every time, and replaying it over its own records changes nothing.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from cti.core.commands import Command
from cti.core.core import Core
from cti.core.facts import Fact
from cti.core.rules import Rules
from cti.daemon.pump import Pump
from cti.daemon.recorder import arrivals, read_recording
from store import open_store

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
        pump = Pump(Core(pbx, rules), (store.writer.put, count), commands.extend)
        seconds, waiting = 0.0, 0
        for arrival in arrivals(recording, pbx):
            pump.step_all([arrival])
            seconds, waiting = arrival.mono, waiting + 1
            if waiting >= _BATCH:
                await store.writer.committed()
                waiting = 0
                progress(seconds)
        await store.writer.committed()
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
