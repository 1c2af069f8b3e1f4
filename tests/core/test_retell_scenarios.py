"""Every recorded scenario, told again from its books: the records are those of the live stream (B1, B3).

What the books cannot tell is written down, scenario by scenario, with the reason (tests.scenarios.untold). Who was turned
away only the books tell: that is compared with what is declared (tests.scenarios).
"""

from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from cti.core import events as ev
from cti.core.books import BadLine, parse_queue_line
from cti.core.cel import parse_cel_line
from cti.core.core import Core
from cti.core.facts import (
    NOT_LET_IN,
    AgentState,
    Attempt,
    Call,
    Fact,
    FactKey,
    Leg,
    QueueStay,
    StayOutcome,
    Talk,
    Transfer,
)
from cti.core.parsing import parse
from cti.core.retell import retell
from cti.core.rules import Rules
from cti.daemon.recorder import arrivals, read_recording
from tests.scenarios.untold import UNTOLD

SCENARIOS = Path(__file__).parents[1] / "recordings" / "scenarios"
NAMES = sorted(path.name.removesuffix(".ami.gz") for path in SCENARIOS.glob("*.ami.gz"))
RULES = Rules(trunks=("PJSIP/trunk-a", "PJSIP/trunk-b"))
KINDS = (Call, Leg, QueueStay, Attempt, Talk, Transfer)
_CLOSE, _SECOND = 0.1, 1.5  # s
_NEVER = {"hold"}  # no book of Asterisk knows about hold


def _parts(events: Iterable[ev.Event]) -> dict[FactKey, Any]:
    core = Core("main", RULES)
    told = [fact for event in events for fact in core.step(event).facts]
    return {fact.key: fact for fact in told if isinstance(fact, (*KINDS, AgentState))}


def _live(name: str) -> list[ev.Event]:
    told = []
    for arrival in arrivals(read_recording(SCENARIOS / f"{name}.ami.gz"), "main"):
        event = parse(arrival.what, arrival.at) if isinstance(arrival.what, Mapping) else arrival.what
        told += [event] if event is not None else []
    return told


def _retold(name: str, live: list[ev.Event], seen: Mapping[FactKey, Any]) -> list[ev.Event]:
    """With what a store would know beforehand: who is a member, and where each agent sits."""
    cel = [parse_cel_line(line) for line in (SCENARIOS / f"{name}.cel.csv").read_text().splitlines()]
    log = [parse_queue_line(line) for line in (SCENARIOS / f"{name}.queue_log").read_text().splitlines()]
    seats: dict[str, str] = {}
    for fact in seen.values():
        if isinstance(fact, AgentState) and fact.device:
            seats.setdefault(fact.agent, fact.device)
    lists = [event for event in live if isinstance(event, ev.Resynced)][:1]
    before: list[ev.Event] = [replace(event, channels=(), waiting=()) for event in lists]
    return before + retell(
        [row for row in cel if not isinstance(row, BadLine)],
        [row for row in log if not isinstance(row, BadLine)],
        seats,
    )


def _differences(live: Mapping[FactKey, Any], books: Mapping[FactKey, Any]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for key in sorted(live.keys() | books.keys()):
        one, two = live.get(key), books.get(key)
        if key[0] == "agent_state" or getattr(one or two, "outcome", None) in NOT_LET_IN:
            continue
        if one is None or two is None:
            found.setdefault(key[0], []).append(f"{key[1]} only {'live' if two is None else 'in the books'}")
            continue
        for name in _differ(one, two):
            what = f"{key[1]}: {getattr(one, name)} live, {getattr(two, name)} in the books"
            found.setdefault(f"{key[0]}.{name}", []).append(what)
    return found


def _differ(one: Fact, two: Fact) -> list[str]:
    names = []
    for field in fields(one):
        a, b = getattr(one, field.name), getattr(two, field.name)
        most = _SECOND if field.name == "agent_state_since" else _CLOSE
        close = isinstance(a, float) and isinstance(b, float) and abs(a - b) < most
        overwritten = a is StayOutcome.UNKNOWN  # by the QUEUESTATUS of the next queue
        if a != b and not close and not overwritten and field.name not in _NEVER:
            names.append(field.name)
    return names


@pytest.mark.parametrize("name", NAMES)
def test_the_books_tell_what_the_live_stream_told(name: str) -> None:
    """Every part and every field, but for what is explained above."""
    live = _live(name)
    seen = _parts(live)
    differences = _differences(seen, _parts(_retold(name, live, seen)))
    _, explained = UNTOLD.get(name, ("", set[str]()))
    assert {what: lines for what, lines in differences.items() if what not in explained} == {}


def test_every_explanation_is_of_a_scenario_that_exists() -> None:
    """The list above does not outlive its scenarios."""
    assert UNTOLD.keys() <= set(NAMES)
