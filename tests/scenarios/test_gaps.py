"""Wherever in a scenario the daemon dies, and whenever it comes back: the books complete its records (B3)."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

import pytest

from cti.core import events as ev
from cti.core.backfill import Plan, Rows, plan
from cti.core.books import QueueRow, parse_queue_line
from cti.core.cel import CelRow, parse_cel_line
from cti.core.core import Core
from cti.core.facts import (
    AgentState,
    Attempt,
    Call,
    Gap,
    Leg,
    Quality,
    QueueStay,
    Recording,
    Talk,
    Transfer,
)
from cti.core.memory import Known
from tests.core.dialogue import remember, seen_member
from tests.core.shadow import Shadow
from tests.scenarios.fixtures import run_of
from tests.scenarios.judge import PBX, RULES, Run, Session, events_of, play
from tests.scenarios.run import FIXTURES
from tests.scenarios.scenes import loaded
from tests.soak.records import Records
from tests.soak.rules import explain
from tests.soak.verdict import Difference, against_plan

GAPS = 6  # of each scenario, at places drawn from its name
_BEFORE = 60.0  # s that are looked at before the last thing that was surely seen
P = TypeVar("P", Leg, QueueStay, Attempt, Talk, Transfer, Recording)
_KINDS = (Leg, QueueStay, Attempt, Talk, Transfer, Recording)


def books(name: str) -> Rows:
    """The books of the committed run."""
    log = [parse_queue_line(line) for line in (FIXTURES / f"{name}.queue_log").read_text().splitlines()]
    cel = [parse_cel_line(line) for line in (FIXTURES / f"{name}.cel.csv").read_text().splitlines()]
    return Rows(
        [row for row in log if isinstance(row, QueueRow)], [row for row in cel if isinstance(row, CelRow)]
    )


def heard(name: str, run: Run) -> list[ev.Event]:
    """The committed run, where the agents have been logged in since the morning: no book says at which phone."""
    events = list(events_of(FIXTURES / f"{name}.ami.gz"))
    agents = [one for one in run.cast.values() if len(one) == 4 and one.startswith("20")]
    since = events[0].at
    events[1:1] = [
        seen_member(since, one, f"PJSIP/1{one[1:]}", "shift", membership="static") for one in agents
    ]
    return events


def interrupted(events: Sequence[ev.Event], dies: int, returns: int) -> tuple[Session, Gap]:
    """What is on record when the events in between were not heard."""
    session = Session()
    play(Core(PBX, RULES), events[:dies], session)
    second = Core(PBX, RULES)
    second.restore(remember(session.latest.values()))
    back = events[returns - 1].at + 0.00001
    play(second, [Shadow(events[:returns]).resynced(back), *events[returns:]], session)
    return session, Gap("gap", PBX, events[dies - 1].at - _BEFORE, back, "stopped")


def fill(session: Session, gap: Gap, rows: Rows, *later: Gap) -> Plan:
    """Plan with what the store would give, and write as it does."""
    calls = {call.id: call for call in session.all(Call)}

    def parts(kind: type[P]) -> list[P]:
        """Those of calls that became one come under the id of that one."""
        return [replace(part, call_id=_root(calls, part.call_id)) for part in session.all(kind)]

    known = Known(
        session.all(Call),
        parts(Leg),
        parts(QueueStay),
        parts(Attempt),
        parts(Talk),
        parts(Transfer),
        session.all(AgentState),
        parts(Recording),
    )
    found = plan(PBX, RULES, [gap, *later], rows, known)
    for fact in (*found.new, *found.completed):
        session.latest[fact.key] = fact
    return found


def _root(calls: Mapping[str, Call], call_id: str) -> str:
    elder = calls[call_id].merged_into if call_id in calls else None
    return call_id if elder is None else _root(calls, elder)


def on_record(session: Session) -> Records:
    """As the store has it."""
    parts = (fact for fact in session.latest.values() if isinstance(fact, _KINDS))
    return Records.of(session.all(Call), list(parts))


def gaps_of(name: str, count: int) -> list[tuple[int, int]]:
    """Where it dies and comes back, in numbers of events."""
    dice = random.Random(name)
    return [(d, r) for d, r in (sorted(dice.choices(range(1, count + 1), k=2)) for _ in range(GAPS)) if d < r]


def broken(
    events: Sequence[ev.Event], places: Sequence[int], kinds: Sequence[str]
) -> tuple[Session, list[Gap]]:
    """The same with several breaks, `stopped` (it dies) or `link`: each from one of these numbers of events to the next."""
    session, gaps, core, heard_from = Session(), list[Gap](), Core(PBX, RULES), 0
    resynced = list[ev.Event]()
    for kind, dies, returns in zip(kinds, places[::2], places[1::2], strict=True):
        last, back = events[dies - 1].at, events[returns - 1].at + 0.00001
        play(core, [*resynced, *events[heard_from:dies]], session)
        if kind == "stopped":
            core = Core(PBX, RULES)
            core.restore(remember(session.latest.values()))
        else:
            play(core, [ev.LinkLost(last, "gone")], session)
        gaps.append(Gap(f"gap{len(gaps)}", PBX, last - _BEFORE, back, kind))
        resynced = [Shadow(events[:returns]).resynced(back)]
        heard_from = returns
    play(core, [*resynced, *events[heard_from:]], session)
    return session, gaps


@pytest.mark.parametrize(
    "name", ["attended_cancelled_by_feature_code", "attended_to_a_queue_cancelled_by_feature_code"]
)
def test_a_consultation_between_two_gaps_is_nobodys_queues(name: str) -> None:
    """B3: what was seen of a talk between two deaths goes to the talk that the books have for then, and to its queue."""
    run, rows, dice = run_of(loaded()[name]), books(name), random.Random(name)
    events = heard(name, run)
    first = next(n for n, event in enumerate(events) if isinstance(event, ev.ChannelCreated))
    for _ in range(120):
        places = sorted(dice.sample(range(first + 1, len(events)), k=4))
        session, gaps = broken(events, places, ["stopped", "stopped"])
        fill(session, gaps[0], rows, *gaps[1:])
        found = against_plan(on_record(session), run)
        other = [one for one in found if one.quality == Quality.COMPLETE or not explain(one)]
        assert not other, f"{places} {other}"


@pytest.mark.parametrize("name", loaded())
def test_the_books_complete_what_was_missed(name: str) -> None:
    """B3: after a gap anywhere the record is the declared one, but for what a written rule explains; once is enough."""
    run, rows = run_of(loaded()[name]), books(name)
    events = heard(name, run)
    first = next(n for n, event in enumerate(events) if isinstance(event, ev.ChannelCreated))
    other: list[tuple[int, int, Difference]] = []
    for dies, returns in gaps_of(name, len(events) - first):
        session, gap = interrupted(events, first + dies, first + returns)
        fill(session, gap, rows)
        again = fill(session, gap, rows)
        assert not [fact for fact in (*again.new, *again.completed) if not isinstance(fact, AgentState)]
        found = list(against_plan(on_record(session), run))
        other += [
            (dies, returns, one) for one in found if one.quality == Quality.COMPLETE or not explain(one)
        ]
    assert not other, "\n".join(f"{d}-{r} {one}" for d, r, one in other)
