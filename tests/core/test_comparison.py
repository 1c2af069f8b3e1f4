"""Whole records beside the books: recorded calls agree, and whatever is made wrong in them is found, with its lines (B4)."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, cast

import pytest

from cti.core import events as ev
from cti.core.backfill import Rows, plan
from cti.core.books import CdrRow, QueueRow, parse_cdr_line, parse_queue_line
from cti.core.cdrcel import cel_of
from cti.core.cel import CelRow
from cti.core.comparison import Pages, compare
from cti.core.explained import RULES as WRITTEN
from cti.core.facts import (
    NOT_LET_IN,
    AgentState,
    Attempt,
    AttemptOutcome,
    Call,
    Direction,
    Disposition,
    EndedBy,
    Fact,
    Gap,
    Leg,
    Quality,
    QueueStay,
    Recording,
    StayOutcome,
    Talk,
    Transfer,
)
from cti.core.families import families
from cti.core.memory import Known
from cti.core.mismatch import MismatchReason, Report
from tests.scenarios.fixtures import run_of
from tests.scenarios.judge import PBX, RULES, hear, placed
from tests.scenarios.run import FIXTURES
from tests.scenarios.scenes import loaded
from tests.scenarios.test_gaps import books, fill, gaps_of, heard, interrupted

HOUR = 3600.0
EXPLAINED = {
    "half_finished_to_a_queue": {"masquerade_into_queue"},
    "half_finished_to_a_queue_abandoned": {"masquerade_into_queue"},
    "pickup_of_a_queue_call": {"pickup_of_a_queue_call"},
    "attended_to_a_menu": {"masquerade_of_the_caller"},
    "half_finished_by_the_phone": {"masquerade_of_the_caller"},
}
KINDS = {
    "calls": Call,
    "legs": Leg,
    "stays": QueueStay,
    "attempts": Attempt,
    "talks": Talk,
    "transfers": Transfer,
    "agent_states": AgentState,
    "recordings": Recording,
}


@dataclass(frozen=True)
class Told:
    """The books of a committed run, and what a daemon that missed nothing made of it."""

    facts: tuple[Fact, ...]
    queue_log: tuple[QueueRow, ...]
    cdr: tuple[CdrRow, ...]
    cel: tuple[CelRow, ...]


@cache
def told(name: str) -> Told:
    rows = books(name)
    lines = (FIXTURES / f"{name}.cdr.csv").read_text().splitlines()
    cdr = [row for row in map(parse_cdr_line, lines) if isinstance(row, CdrRow)]
    facts = placed(hear(FIXTURES / f"{name}.ami.gz"), rows).latest.values()
    return Told(tuple(facts), tuple(rows.queue_log), tuple(cdr), tuple(rows.cel))


def known(facts: Iterable[Fact]) -> Known:
    """As the store has it."""
    of_kind: Mapping[str, Any] = {
        name: [fact for fact in facts if isinstance(fact, kind)] for name, kind in KINDS.items()
    }
    return Known(**of_kind)


def compared(run: Told, facts: Iterable[Fact] | None = None, **changes: Any) -> Report:
    pages = Pages(run.queue_log, run.cdr, run.cel, 0.0)
    records = known(list(run.facts if facts is None else facts))
    return compare(PBX, RULES, records, replace(pages, **changes), edge=-60.0)


def shown(report: Report) -> list[str]:
    return [f"{m.reason} {m.call_id} {m.field}: {m.ours} | {m.book}" for m in report.mismatches]


# --- what agrees ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", loaded())
def test_every_recorded_call_agrees_with_its_books(name: str) -> None:
    """B4: nothing differs in any field but what a written rule explains, in the scenarios that are known for it."""
    report = compared(told(name))
    assert shown(report) == []
    assert {one.rule for one in report.explained} <= EXPLAINED.get(name, set())
    assert report.checked


@pytest.mark.parametrize("name", loaded())
def test_without_cel_the_cdr_tells_no_lies(name: str) -> None:
    """What the CDR cannot know of a call is no difference; the rules of CEL's kind need CEL."""
    report = compared(told(name), cel=None)
    assert name in EXPLAINED or shown(report) == []


@pytest.mark.parametrize("name", loaded())
def test_books_in_whole_seconds_agree(name: str) -> None:
    """FreePBX's tables have no fractions: nothing is held to more than they have."""
    run = told(name)
    cel = [replace(row, at=float(int(row.at))) for row in run.cel]
    report = compared(run, cel=cel)
    assert name in EXPLAINED or shown(report) == []


@pytest.mark.parametrize("name", loaded())
def test_a_record_from_the_books_agrees_with_them(name: str) -> None:
    """B3, B4: what a gap swallowed and the books gave back differs from them in nothing."""
    run = told(name)
    gap = Gap("gap", PBX, 0.0, 4e9, "stopped")
    states = [fact for fact in run.facts if isinstance(fact, AgentState)]
    found = plan(PBX, RULES, [gap], Rows(run.queue_log, run.cel), known(states))
    parts = {fact.key: fact for fact in (*states, *found.new)}
    report = compared(run, parts.values())
    left = {one.rule for one in report.explained}
    assert shown(report) == []
    assert left <= EXPLAINED.get(name, set())


def test_every_rule_stands_in_the_documentation() -> None:
    """A difference is explained only by what is written down, word for word."""
    text = (Path(__file__).parents[2] / "docs" / "scenarios.md").read_text()
    for name, rule in WRITTEN.items():
        assert f"* **{name}**: {rule.text}\n" in text


# --- what is wrong is found -----------------------------------------------------------------------------------------

Change = Callable[[list[Fact]], list[Fact]]
TRANSFER = "attended_by_the_phone"  # a queue's call, handed on by an agent to another


def on(kind: type[Any], /, *, only: Callable[[Any], bool] = lambda _: True, **changes: Any) -> Change:
    """Change fields of every fact of a kind; a callable gets what is there."""

    def change(facts: list[Fact]) -> list[Fact]:
        return [
            replace(
                fact,
                **{k: v(getattr(fact, k)) if callable(v) else v for k, v in changes.items()},
            )
            if isinstance(fact, kind) and only(fact)
            else fact
            for fact in facts
        ]

    return change


def without(kind: type[Any], *, only: Callable[[Any], bool] = lambda _: True) -> Change:
    return lambda facts: [fact for fact in facts if not (isinstance(fact, kind) and only(fact))]


def undone(facts: list[Fact]) -> list[Fact]:
    """The record falls into two: the last channel and its parts are a call of their own."""
    last = max((fact for fact in facts if isinstance(fact, Leg)), key=lambda leg: leg.started_at)
    call = next(fact for fact in facts if isinstance(fact, Call) and fact.merged_into is None)
    other = replace(call, id=f"{PBX}-{last.uniqueid}", started_at=last.started_at)
    moved: list[Any] = [
        replace(cast("Leg", fact), call_id=other.id) if getattr(fact, "id", "").startswith(last.id) else fact
        for fact in facts
        if fact.key != other.key
    ]
    return [*moved, other]


def one_of_two(facts: list[Fact]) -> list[Fact]:
    """Two unrelated calls stand in one record."""
    first, *others = sorted(
        (fact for fact in facts if isinstance(fact, Call) and fact.merged_into is None),
        key=lambda call: call.started_at,
    )
    ended = max(call.ended_at or 0.0 for call in (first, *others))
    merged = [replace(call, merged_into=first.id) for call in others]
    gone = {call.key for call in (first, *others)}
    return [*(fact for fact in facts if fact.key not in gone), replace(first, ended_at=ended), *merged]


def doubled(facts: list[Fact]) -> list[Fact]:
    """The record stands there twice."""
    call = next(fact for fact in facts if isinstance(fact, Call) and fact.merged_into is None)
    return [*facts, replace(call, id=f"{call.id}9")]


def rung(leg: Leg) -> bool:
    return leg.answered_at is not None and leg.agent is not None


def second(talk: Talk) -> bool:
    return talk.id.endswith("/t2")


def talked_twice(facts: list[Fact]) -> list[Fact]:
    """Each talk stands there twice."""
    return [*facts, *(replace(fact, id=f"{fact.id}9") for fact in facts if isinstance(fact, Talk))]


def later(by: float) -> Callable[[float | None], float | None]:
    return lambda at: None if at is None else at + by


def refused(stay: QueueStay) -> bool:
    return stay.outcome in NOT_LET_IN


OVERFLOW = "queue_overflows_to_another"
CONSULTED = "attended_by_feature_code"  # on one channel the agent talks with the caller, and about the caller
TAPED = "recorded_from_the_dialplan"
WRONG: dict[str, tuple[str, Change, set[str]]] = {
    "caller_number": (TRANSFER, on(Call, caller_number="WRONG"), {"caller"}),
    "caller_name": (TRANSFER, on(Call, caller_name="WRONG"), {"caller"}),
    "dialed": (TRANSFER, on(Call, dialed_number="WRONG"), {"dialed"}),
    "direction": (TRANSFER, on(Call, direction=Direction.OUTBOUND), {"direction"}),
    "begun_an_hour_early": (TRANSFER, on(Call, started_at=later(-HOUR)), {"begin"}),
    "begun_a_second_late": (TRANSFER, on(Call, started_at=later(1.0)), {"begin"}),
    "ended_two_hours_late": (TRANSFER, on(Call, ended_at=later(2 * HOUR)), {"end"}),
    "ended_a_second_late": (TRANSFER, on(Call, ended_at=later(1.0)), {"end"}),
    "answer_lost": (TRANSFER, on(Call, answered_at=None), {"answered_at"}),
    "answer_late": (TRANSFER, on(Call, answered_at=later(1.5)), {"answered_at"}),
    "left_open": (TRANSFER, on(Call, ended_at=None, disposition=None), {"open"}),
    "busy": (TRANSFER, on(Call, disposition=Disposition.BUSY), {"disposition"}),
    "not_answered": (
        "direct_caller_hangs_up", on(Call, disposition=Disposition.NO_ANSWER), {"disposition"}
    ),
    "ended_by": ("direct_caller_hangs_up", on(Call, ended_by=EndedBy.AGENT), {"ended_by"}),
    "talks_lost": (TRANSFER, without(Talk), {"talk"}),
    "talk_too_long": ("direct_caller_hangs_up", on(Talk, ended_at=later(0.8)), {"talk"}),
    "talk_credited_to_another": (TRANSFER, on(Talk, agent="2999"), {"talk"}),
    "talk_of_another_queue": (TRANSFER, on(Talk, queue="other"), {"talk"}),
    "one_talk_of_two_credited_to_another": (CONSULTED, on(Talk, only=second, agent="2999"), {"talk"}),
    "consultation_credited_to_a_queue": (CONSULTED, on(Talk, only=second, queue="sales"), {"talk"}),
    "talk_twice": ("queue_caller_hangs_up", talked_twice, {"talk"}),
    "transfer_lost": (TRANSFER, without(Transfer), {"transfer"}),
    "transfer_to_another": (TRANSFER, on(Transfer, to="999"), {"transfer"}),
    "transfer_of_another_kind": (TRANSFER, on(Transfer, kind="blind"), {"transfer"}),
    "transfer_failed": (TRANSFER, on(Transfer, result="failed"), {"transfer"}),
    "transfer_made_up": (
        "direct_caller_hangs_up",
        lambda facts: [*facts, Transfer(f"{PBX}-1.1/x1", next(f for f in facts if isinstance(f, Call)).id, PBX,
                                        "blind", "2001", "1002", 1.0, "answered")],
        {"transfer"},
    ),
    "merge_undone": (TRANSFER, undone, {"duplicated"}),
    "recorded_twice": (TRANSFER, doubled, {"not_in_cel", "call_without_cdr"}),
    "unrelated_calls_joined": ("agent_takes_a_second_call", one_of_two, {"joined"}),
    "call_lost": (
        "direct_caller_hangs_up", lambda _: [], {"cdr_without_call"}
    ),
    "leg_lost": (
        TRANSFER, without(Leg, only=lambda leg: leg.agent is not None), {"leg"}
    ),
    "leg_ended_late": (TRANSFER, on(Leg, ended_at=later(5.0)), {"leg"}),
    "leg_answered_late": (TRANSFER, on(Leg, only=rung, answered_at=later(5.0)), {"leg"}),
    "leg_answer_lost": (TRANSFER, on(Leg, only=rung, answered_at=None), {"leg"}),
    "leg_rang_late": (TRANSFER, on(Leg, only=rung, ring_started_at=later(5.0)), {"leg"}),
    "leg_of_another_agent": (TRANSFER, on(Leg, only=rung, agent="2999"), {"leg"}),
    "leg_cause": (TRANSFER, on(Leg, hangup_cause=99), {"cause"}),
    "leg_of_another_phone": (TRANSFER, on(Leg, only=rung, device="PJSIP/9999"), {"leg"}),
    "leg_of_another_name": (TRANSFER, on(Leg, only=rung, channel="PJSIP/9999-1"), {"leg"}),
    "leg_that_came_in_by_itself": (TRANSFER, on(Leg, only=rung, dialed=False), {"leg"}),
    "call_cause": (TRANSFER, on(Call, hangup_cause=99), {"cause"}),
    "place_in_the_queue": (TRANSFER, on(QueueStay, position=77), {"wait"}),
    "recording_lost": (TAPED, without(Recording), {"recording"}),
    "recording_of_another_name": (TAPED, on(Recording, file="other.wav"), {"recording"}),
    "recording_too_long": (TAPED, on(Recording, stopped_at=later(9.0)), {"recording"}),
    "picked_up_late": ("pickup_of_a_queue_call", on(QueueStay, left_at=later(5.0)), {"wait"}),
    "picked_up_after_a_long_wait": ("pickup_of_a_queue_call", on(QueueStay, wait=9999.0), {"wait"}),
    "ringing_lost": ("queue_rotation", without(Attempt), {"attempt", "rang"}),
    "ringing_answered": (
        "queue_rotation", on(Attempt, outcome=AttemptOutcome.ANSWERED), {"attempt", "rang"}
    ),
    "ringing_of_another": ("queue_rotation", on(Attempt, agent="2999"), {"attempt", "rang"}),
    "ringing_too_long": ("direct_caller_hangs_up", on(Attempt, ended_at=later(HOUR)), {"attempt"}),
    "waited_ten_minutes_more": ("queue_abandoned", on(QueueStay, wait=later(600.0)), {"book_wait", "wait"}),
    "joined_early": (TRANSFER, on(QueueStay, joined_at=later(-5.0)), {"wait"}),
    "left_late": ("queue_abandoned", on(QueueStay, left_at=later(30.0)), {"wait"}),
    "answered_wait": (TRANSFER, on(QueueStay, wait=later(9.0)), {"wait"}),
    "pass_answered_late": ("queue_caller_hangs_up", on(QueueStay, answered_at=later(100.0)), {"wait"}),
    "given_up_as_taken_out": (
        "queue_abandoned", on(QueueStay, outcome=StayOutcome.TRANSFERRED_OUT), {"outcome"}
    ),
    "taken_out_as_given_up": (
        "redirected_while_waiting", on(QueueStay, outcome=StayOutcome.ABANDONED), {"outcome"}
    ),
    "pass_outcome": ("queue_abandoned", on(QueueStay, outcome=StayOutcome.TIMEOUT), {"outcome"}),
    "pass_agent": (TRANSFER, on(QueueStay, agent="2999"), {"agent"}),
    "pass_lost": (TRANSFER, without(QueueStay), {"not_in_records"}),
    "turned_away_lost": (OVERFLOW, without(QueueStay, only=refused), {"not_in_records"}),
    "turned_away_by_whom": (OVERFLOW, on(QueueStay, only=refused, queue=""), {"wait"}),
    "turned_away_by_another": (
        OVERFLOW, on(QueueStay, only=refused, queue="other"), {"not_in_records", "not_in_book"}
    ),
    "turned_away_late": (OVERFLOW, on(QueueStay, only=refused, joined_at=later(1.0)), {"wait"}),
}  # fmt: skip


@pytest.mark.parametrize("wrong", WRONG)
def test_whatever_is_wrong_is_found(wrong: str) -> None:
    """B4: each kind of error is a mismatch of its reason, with the raw lines that show it."""
    name, change, reasons = WRONG[wrong]
    run = told(name)
    report = compared(run, change(list(run.facts)))
    found = {one.reason.value for one in report.mismatches}
    assert reasons <= found, shown(report)
    assert {one.rule for one in report.explained} <= EXPLAINED.get(name, set())
    empty = {"not_in_book", "call_without_cdr", "not_in_cel"}  # no line is what they say
    rows: list[QueueRow | CdrRow | CelRow] = [*run.queue_log, *run.cdr, *run.cel]
    lines = {row.raw for row in rows}
    for one in report.mismatches:
        assert set(one.lines) <= lines
        assert one.lines or one.reason.value in empty or one.book.startswith("no such"), one


def test_a_recording_that_a_program_stopped_is_no_mismatch() -> None:
    """B4: of the stop over AMI CEL has no row; and AMI names the file only where it is told to."""
    run = told(TAPED)
    sooner = on(Recording, stopped_at=later(-1.0), file="")(list(run.facts))
    assert shown(compared(run, sooner)) == []


@pytest.mark.parametrize(
    ("without_book", "found"),
    [({"cel": None}, []), ({"cel": ()}, []), ({"queue_log": None}, []), ({}, ["wait"])],
)
def test_a_queue_that_no_book_names_is_no_mismatch(without_book: dict[str, Any], found: list[str]) -> None:
    """B4: only CEL has the name, and what it says is nothing without queue_log."""
    run = told("queue_join_empty")
    nameless = on(QueueStay, queue="")(list(run.facts))
    report = compared(run, nameless, **without_book)
    assert [one.reason.value for one in report.mismatches if "queue_stay" in str(one.field)] == found


def test_whether_a_queue_was_full_is_not_compared() -> None:
    """B4: of the books it is a guess."""
    run = told(OVERFLOW)
    full = on(QueueStay, only=refused, outcome=StayOutcome.FULL)(list(run.facts))
    assert not compared(run, full).mismatches


def test_a_pass_that_queue_log_lacks_is_not_taken_for_being_turned_away() -> None:
    """B4: it is missed in queue_log, and that is all."""
    run = told("queue_abandoned")
    log = [row for row in run.queue_log if row.verb not in {"ENTERQUEUE", "ABANDON"}]
    found = [one.reason.value for one in compared(run, run.facts, queue_log=log).mismatches]
    assert "not_in_records" not in found


@pytest.mark.parametrize("lost", [on(QueueStay, only=refused, queue=""), without(QueueStay, only=refused)])
def test_what_cel_adds_within_minutes_is_not_missed_before(lost: Change) -> None:
    """B4: `cti reconcile` may come before the daemon has looked."""
    run = told("queue_turned_away_twice")
    facts, until = known(lost(list(run.facts))), run.cel[-1].at + 30
    pages = Pages(run.queue_log, run.cdr, run.cel, 0.0)
    for fresh, agree in ((60.0, True), (20.0, False)):
        report = compare(PBX, RULES, facts, pages, until=until, fresh=fresh)
        assert (not report.mismatches) == agree, shown(report)


def test_a_call_that_only_cel_has_is_missing() -> None:
    """Where the CDR lost it, too, or its linkedid belongs to a call that is there."""
    report = compared(told("direct_caller_hangs_up"), [], cdr=())
    assert [one.reason for one in report.mismatches] == [MismatchReason.MISSING]


def test_a_call_that_goes_on_is_not_judged() -> None:
    """Neither side has its end."""
    run = told("direct_caller_hangs_up")
    facts = on(Call, ended_at=None, disposition=None)(list(run.facts))
    cel = [row for row in run.cel if row.event not in {"HANGUP", "CHAN_END", "LINKEDID_END"}]
    assert shown(compared(run, facts, cel=cel, cdr=())) == []


def test_a_call_whose_begin_was_not_read_is_not_told() -> None:
    """Of half its rows nobody can tell what happened; queue_log and CDR are compared all the same."""
    run = told(TRANSFER)
    half = [row for row in run.cel if row.at > run.cel[0].at + 0.5]
    assert shown(compared(run, cel=half, since=half[0].at)) == []


def test_rows_of_a_call_are_one_family_and_unrelated_calls_are_two() -> None:
    """What is told of one call needs no other's rows, however it was handed on."""
    assert len(families(told("attended_by_the_phone").cel)) == 1
    two = families(told("agent_takes_a_second_call").cel)
    assert len(two) == len(
        {call.id for call in told("agent_takes_a_second_call").facts if isinstance(call, Call)}
    )
    assert all(family.whole for family in two)
    assert not two[0].channels & two[1].channels


def test_windows_that_follow_each_other_judge_everything_once() -> None:
    """Each difference is told in one window, however the windows lie."""
    run = told(TRANSFER)
    facts = known(on(Call, caller_number="WRONG")(list(run.facts)))
    pages = Pages(run.queue_log, run.cdr, run.cel, 0.0)
    begin, end = run.cel[0].at - 1, run.cel[-1].at + 1
    found = []
    while begin < end:
        report = compare(PBX, RULES, facts, pages, since=begin, until=begin + 0.7, edge=0.0, by_end=True)
        found += [one.reason for one in report.mismatches]
        begin += 0.7
    assert found == [MismatchReason.CALLER]


def test_a_call_that_the_pbx_died_in_is_explained() -> None:
    """cut_off: neither CDR nor any end is written; the record is there and has an end."""
    run = told("direct_caller_hangs_up")
    cel = [row for row in run.cel if row.event not in {"HANGUP", "CHAN_END", "BRIDGE_EXIT", "LINKEDID_END"}]
    start = parse_queue_line(f"{int(cel[-1].at) + 30}|NONE|NONE|NONE|QUEUESTART|")
    log = [*run.queue_log, start]
    facts = on(Call, ended_by=EndedBy.UNKNOWN)(list(run.facts))
    report = compared(run, facts, cel=cel, cdr=(), queue_log=log)
    assert shown(report) == []
    assert {one.rule for one in report.explained} == {"cut_off"}
    wrong = compared(run, on(Call, caller_number="WRONG")(facts), cel=cel, cdr=(), queue_log=log)
    assert [one.reason for one in wrong.mismatches] == [MismatchReason.CALLER]


# --- after a gap ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", loaded())
def test_what_the_books_completed_agrees_with_them(name: str) -> None:
    """B3, B4: wherever a daemon died and came back, nothing in its completed records differs from the books."""
    run, rows, whole = run_of(loaded()[name]), books(name), told(name)
    events = heard(name, run)
    first = next(n for n, event in enumerate(events) if isinstance(event, ev.ChannelCreated))
    for dies, returns in gaps_of(name, len(events) - first)[:3]:
        session, gap = interrupted(events, first + dies, first + returns)
        fill(session, gap, rows)
        report = compared(whole, session.latest.values())
        assert shown(report) == [], (dies, returns)
        assert {one.rule for one in report.explained} <= EXPLAINED.get(name, set())


def test_a_record_of_a_call_s_last_moment_is_completed() -> None:
    """B3: the daemon came back as a last phone was rung, and the caller was gone before it could ask: all of it comes back."""
    run = told("blind_to_a_busy_phone")
    [call] = [fact for fact in run.facts if isinstance(fact, Call)]
    last = max((fact for fact in run.facts if isinstance(fact, Leg)), key=lambda leg: leg.started_at)
    states = [fact for fact in run.facts if isinstance(fact, AgentState)]
    late = replace(
        call,
        id=last.id,
        direction=Direction.INTERNAL,
        caller_number=last.number,
        caller_name="",
        dialed_number="s",
        started_at=last.started_at,
        answered_at=None,
        disposition=Disposition.BUSY,
    )
    on_record: list[Fact] = [*states, late, replace(last, call_id=late.id)]
    gap = Gap("gap", PBX, run.cel[0].at - 60, last.started_at, "stopped")
    found = plan(PBX, RULES, [gap], Rows(run.queue_log, run.cel), known(on_record))
    parts = {fact.key: fact for fact in (*on_record, *found.new, *found.completed)}
    assert shown(compared(run, parts.values())) == []
    assert {fact.quality for fact in parts.values() if isinstance(fact, Call)} == {Quality.GAPPED}
    again = plan(PBX, RULES, [gap], Rows(run.queue_log, run.cel), known(parts.values()))
    assert not [fact for fact in (*again.new, *again.completed) if not isinstance(fact, AgentState)]


def test_a_call_known_from_its_mark_ends_with_its_last_channel() -> None:
    """D4: the dialplan is done with an after-hours caller before the phone that it rang has gone."""
    run = told("direct_caller_hangs_up")
    [call] = [fact for fact in run.facts if isinstance(fact, Call)]
    states = [fact for fact in run.facts if isinstance(fact, AgentState)]
    marked = replace(
        call,
        started_at=call.started_at + 0.2,
        ended_at=(call.ended_at or 0.0) - 0.7,
        quality=Quality.FROM_BOOKS,
        sources=("*:mark",),
    )
    gap = Gap("gap", PBX, run.cel[0].at - 60, run.cel[-1].at + 60, "stopped")
    found = plan(PBX, RULES, [gap], Rows(run.queue_log, run.cel), known([*states, marked]))
    parts = {fact.key: fact for fact in (*states, marked, *found.new, *found.completed)}
    assert shown(compared(run, parts.values())) == []
    [after] = [fact for fact in parts.values() if isinstance(fact, Call)]
    assert after.started_at == run.cel[0].at
    assert after.ended_at == pytest.approx(call.ended_at, abs=0.05)


def test_whom_a_program_connected_them_with_is_not_whom_it_dialled() -> None:
    """B3: a list has the extension that the customer's channel is in; the number that was dialled nobody saw."""
    name = "dialler_calls_a_customer"
    events = heard(name, run_of(loaded()[name]))
    first = next(n for n, event in enumerate(events) if isinstance(event, ev.ChannelCreated))
    talks = next(n for n, event in enumerate(events) if isinstance(event, ev.BridgeEntered))
    session, gap = interrupted(events, first, talks + 1)
    [found] = [call for call in session.all(Call) if call.merged_into is None]
    assert found.dialed_number in {one.exten for one in told(name).cel}
    fill(session, gap, books(name))
    [call] = [call for call in session.all(Call) if call.merged_into is None]
    assert (call.direction, call.dialed_number) == (Direction.OUTBOUND, "s")


@pytest.mark.parametrize("source", ["cel", "cdr"])
@pytest.mark.parametrize(
    "name",
    ["queue_second_call", "queue_local_member", "queue_same_twice", "queue_rotation", "queue_ringall_race"],
)
def test_books_in_whole_seconds_tell_no_wait_that_ends_before_it_begins(name: str, source: str) -> None:
    """B3: what was heard exactly stays, and what the books add is never before it."""
    run, rows, events = told(name), books(name), heard(name, run_of(loaded()[name]))
    first = next(n for n, event in enumerate(events) if isinstance(event, ev.ChannelCreated))
    whole = [replace(row, at=float(int(row.at))) for row in run.cel]
    cel = whole if source == "cel" else cel_of(run.cdr, run.queue_log)
    for dies in range(first + 2, len(events) - 2, 4):
        for returns in range(dies + 1, len(events) - 1, 5):
            session, gap = interrupted(events, dies, returns)
            fill(session, gap, replace(rows, cel=cel, source=source))
            for stay in session.all(QueueStay):
                assert stay.wait is None or stay.wait >= 0, (dies, returns, stay)
                assert stay.left_at is None or stay.left_at >= stay.joined_at - 1e-5, (dies, returns, stay)


# --- an agent's line, which gives its linkedid to whoever is handed to it -----------------------------------------------

POOL = "agent_pool"


def callers(run: Told) -> list[Call]:
    """The calls of the run, the agent's own line first."""
    calls = (fact for fact in run.facts if isinstance(fact, Call) and fact.merged_into is None)
    return sorted(calls, key=lambda call: call.started_at)


def lost(run: Told, gone: Call) -> list[Fact]:
    return [fact for fact in run.facts if gone.id not in {getattr(fact, "call_id", None), fact.key[-1]}]


@pytest.mark.parametrize("number", range(3))
def test_without_cel_a_lost_call_is_missed_although_others_share_its_linkedid(number: int) -> None:
    """B4: one call's being on record says nothing of another's."""
    run = told(POOL)
    gone = callers(run)[number]
    report = compared(run, lost(run, gone), cel=None)
    [missed] = report.mismatches
    assert (missed.reason, f"{PBX}-{missed.uniqueid}") == (MismatchReason.CDR_WITHOUT_CALL, gone.id)
    assert set(missed.lines) == {row.raw for row in run.cdr if row.uniqueid == missed.uniqueid}


@pytest.mark.parametrize("number", range(3))
def test_without_cel_it_is_missed_once_while_the_line_goes_on(number: int) -> None:
    """B4: in the window in which it ended, though what shares its linkedid ends later."""
    run = told(POOL)
    facts = known(lost(run, callers(run)[number]))
    begin, end = min(row.start for row in run.cdr) - 1, max(row.end for row in run.cdr) + 1
    found = []
    while begin < end:
        pages = Pages(run.queue_log, run.cdr, None, 0.0)
        report = compare(PBX, RULES, facts, pages, since=begin, until=begin + 0.7, edge=0.0, by_end=True)
        found += [one.reason for one in report.mismatches]
        begin += 0.7
    assert found == [MismatchReason.CDR_WITHOUT_CALL]


@pytest.mark.parametrize("name", [POOL, "agent_pool_in_a_queue"])
def test_callers_of_a_line_older_than_what_was_read_are_counted_as_left_out(name: str) -> None:
    """B4: nothing in them is compared, and the report says so."""
    run = told(name)
    _line, first, second = callers(run)
    since, until = first.started_at - 1, (second.ended_at or 0.0) + 0.5
    facts = known(on(Call, only=lambda call: call.id == second.id, caller_number="WRONG")(list(run.facts)))

    def report(cel: list[CelRow]) -> Report:
        pages = Pages(run.queue_log, run.cdr, cel, cel[0].at)
        return compare(PBX, RULES, facts, pages, since=since, until=until, edge=0.0, by_end=True)

    read, short = report(list(run.cel)), report([row for row in run.cel if row.at >= since])
    assert [one.reason for one in read.mismatches] == [MismatchReason.CALLER]
    assert (short.mismatches, short.left_out) == ((), read.left_out + 2)
