"""The books of a real session, told again, give the records that its live stream gave (B3)."""

from collections.abc import Iterable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from cti.core import events as ev
from cti.core.books import BadLine, QueueRow, parse_queue_line
from cti.core.cel import CelRow, parse_cel_line
from cti.core.core import Core
from cti.core.facts import AgentState, Attempt, Call, Disposition, Fact, FactKey, Leg, QueueStay, Talk
from cti.core.parsing import parse
from cti.core.retell import retell
from cti.core.rules import Rules
from cti.daemon.recorder import arrivals, read_recording

SESSION = Path(__file__).parent / "books" / "session"
RULES = Rules(trunks=("PJSIP/trunk-a", "PJSIP/trunk-b"))
KINDS = (Call, Leg, QueueStay, Attempt, Talk)
_CLOSE = 0.05  # s between AMI's instant of something and CEL's
_SECOND = 1.0  # the resolution of queue_log


def parts_of(events: Iterable[ev.Event]) -> dict[FactKey, Fact]:
    core = Core("main", RULES)
    return {fact.key: fact for event in events for fact in core.step(event).facts}


def cel_rows() -> list[CelRow]:
    rows = [parse_cel_line(line) for line in (SESSION / "cel.csv").read_text().splitlines()]
    return [row for row in rows if not isinstance(row, BadLine)]


def queue_rows() -> list[QueueRow]:
    rows = [parse_queue_line(line) for line in (SESSION / "queue_log").read_text().splitlines()]
    return [row for row in rows if not isinstance(row, BadLine)]


@pytest.fixture(scope="module")
def live() -> dict[FactKey, Fact]:
    told = []
    for arrival in arrivals(read_recording(SESSION / "ami.gz"), "main"):
        event = parse(arrival.what, arrival.at) if isinstance(arrival.what, Mapping) else arrival.what
        told += [event] if event is not None else []
    return parts_of(told)


@pytest.fixture(scope="module")
def retold() -> dict[FactKey, Fact]:
    return parts_of(retell(cel_rows(), queue_rows()))


def _of(parts: Mapping[FactKey, Fact]) -> dict[FactKey, Any]:
    return {key: fact for key, fact in parts.items() if isinstance(fact, KINDS)}


def _differences(one: Any, two: Any) -> list[str]:
    found = []
    for field in fields(one):
        a, b = getattr(one, field.name), getattr(two, field.name)
        most = _SECOND if field.name == "agent_state_since" else _CLOSE
        if a != b and not (isinstance(a, float) and isinstance(b, float) and abs(a - b) < most):
            found.append(f"{one.id} {field.name}: {a} live, {b} from the books")
    return found


def test_the_same_parts_with_the_same_ids(live: dict[FactKey, Fact], retold: dict[FactKey, Fact]) -> None:
    """Calls, legs, stays, attempts and talks: none is missing, none is invented, each has its id."""
    assert sorted(_of(retold)) == sorted(_of(live))


def test_every_field_is_the_same(live: dict[FactKey, Fact], retold: dict[FactKey, Fact]) -> None:
    """Down to who hung up, why, and with which agent in which state; instants within 50 ms, queue_log's within 1 s."""
    seen, books = _of(live), _of(retold)
    assert [line for key in seen for line in _differences(seen[key], books[key])] == []


def test_the_session_is_worth_comparing(live: dict[FactKey, Fact]) -> None:
    """Answered, abandoned, busy, unanswered, menu, transferred, outbound and after-hours calls are in it."""
    calls = [part for part in live.values() if isinstance(part, Call)]
    assert {call.disposition for call in calls} >= {
        Disposition.ANSWERED,
        Disposition.ABANDONED,
        Disposition.BUSY,
        Disposition.NO_ANSWER,
        Disposition.LEFT_MENU,
    }


def test_agents_are_told_too(live: dict[FactKey, Fact], retold: dict[FactKey, Fact]) -> None:
    """Logins, pauses, ringing and calls give the same states in the same order, each within a second."""

    def states(parts: Mapping[FactKey, Fact]) -> list[AgentState]:
        return sorted(
            (part for part in parts.values() if isinstance(part, AgentState)),
            key=lambda s: (s.agent, s.since),
        )

    pairs = list(zip(states(live), states(retold), strict=True))
    assert [(a.agent, a.state, a.reason, a.device) for a, _ in pairs] == [
        (b.agent, b.state, b.reason, b.device) for _, b in pairs
    ]
    assert all(abs(a.since - b.since) < _SECOND for a, b in pairs)


def test_a_channel_whose_beginning_is_missing_is_left_out() -> None:
    """Books that begin in mid-call tell nothing about that call, and all about the others."""
    whole = [call for call in parts_of(retell(cel_rows(), queue_rows())).values() if isinstance(call, Call)]
    cut = [
        call for call in parts_of(retell(cel_rows()[12:], queue_rows())).values() if isinstance(call, Call)
    ]
    assert len(cut) == len(whole) - 3
