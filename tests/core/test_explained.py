"""The written rules: each explains the one thing that Asterisk does, and nothing of another shape (B4)."""

from dataclasses import replace

import pytest

from cti.core.books import QueueRow
from cti.core.cel import CelRow
from cti.core.explained import Evidence, explain
from cti.core.facts import (
    Attempt,
    Call,
    Direction,
    Disposition,
    EndedBy,
    Fact,
    Leg,
    QueueStay,
    StayOutcome,
    Talk,
    Transfer,
)
from cti.core.mismatch import Mismatch, MismatchReason
from cti.core.wholes import Whole
from tests.core.test_comparison import Change, compared, on, told, without


def by_rule(name: str, change: Change) -> tuple[set[str], set[str]]:
    """Reasons that stay, and rules that explain, once the record of a scenario is changed."""
    run = told(name)
    report = compared(run, change(list(run.facts)))
    return {one.reason.value for one in report.mismatches}, {one.rule for one in report.explained}


@pytest.mark.parametrize(
    ("name", "change", "reason"),
    [
        ("pickup_of_a_queue_call", on(QueueStay, agent="2999"), "agent"),
        ("pickup_of_a_queue_call", on(QueueStay, left_at=lambda at: at + 20), "wait"),
        ("half_finished_to_a_queue", on(QueueStay, queue="other"), "not_in_book"),
        ("half_finished_to_a_queue", on(QueueStay, wait=lambda seconds: seconds + 500), "wait"),
        ("half_finished_to_a_queue", on(QueueStay, left_at=lambda at: at + 500), "wait"),
        ("half_finished_to_a_queue", on(QueueStay, joined_at=lambda at: at - 500), "wait"),
        ("half_finished_to_a_queue_abandoned", on(QueueStay, wait=lambda seconds: seconds + 500), "wait"),
        ("half_finished_to_a_queue_abandoned", on(QueueStay, left_at=lambda at: at + 500), "wait"),
        ("pickup_of_a_queue_call", on(QueueStay, wait=lambda seconds: seconds + 500), "wait"),
        ("attended_to_a_menu", on(QueueStay, book_talk=99.0), "book_talk"),
    ],
)
def test_a_rule_covers_what_the_books_show_and_no_more(name: str, change: Change, reason: str) -> None:
    """The right scenario does not excuse the wrong value."""
    assert reason in by_rule(name, change)[0]


def test_who_picked_up_is_explained_by_the_pickup() -> None:
    """pickup_of_a_queue_call: the agent at the phone that CEL says took it."""
    assert by_rule("pickup_of_a_queue_call", list) == (set(), {"pickup_of_a_queue_call"})


def row(event: str, at: float, own: str, channel: str, app: str = "", **extra: str | int) -> CelRow:
    return CelRow(at, event, own, own, channel, "", "", "", "", "", app, "", extra, f"{event} {own}")


def recall(cause: int = 0, source: str = "", gone: float = 12.003, mover: str = "PJSIP/1003-1") -> str:
    """What explains the record of a recall that is gone at 12.002, beside a half-finished transfer."""
    cel = [
        row("CHAN_START", 1.0, "1.1", mover),
        row("ATTENDEDTRANSFER", 10.0, "1.1", mover),
        row("CHAN_START", 12.0, "12.2", "PJSIP/1003-2"),
        row("HANGUP", 12.002, "12.2", "PJSIP/1003-2", "AppDial2", hangupcause=cause, hangupsource=source),
        row("HANGUP", gone, "1.1", mover, hangupcause=16),
    ]
    one = Mismatch(MismatchReason.CALL_WITHOUT_CDR, "p-12.2", "12.2", "call", "no_answer", "no row")
    return explain(one, Evidence({}, [], [], cel))


def test_a_recall_that_asterisk_dropped_is_known_by_its_traces() -> None:
    """recall_dropped: rung by Asterisk itself, gone at once, together with the channel that had handed on."""
    assert recall() == "recall_dropped"
    assert recall(cause=17) == ""
    assert recall(source="PJSIP/1003-2") == ""
    assert recall(gone=10.5) == ""
    assert recall(mover="PJSIP/1004-1") == ""


def alone(ended_at: float, reason: MismatchReason, starts: tuple[float, ...] = (200.0,)) -> str:
    """What explains a difference of a call from 50 to `ended_at`, of a PBX last heard of at 100."""
    facts: list[Fact] = [fact for fact in told("direct_busy").facts if isinstance(fact, Call | Leg)]
    call = next(fact for fact in facts if isinstance(fact, Call))
    whole = Whole(replace(call, started_at=50.0, ended_at=ended_at))
    said = Evidence({call.id: whole}, [], [], None)
    said.deaths = [(start, 100.0) for start in starts]
    return explain(Mismatch(reason, call.id, "1.1", "call", "busy", "no row"), said)


def test_only_a_call_that_lived_as_the_pbx_died_is_cut_off() -> None:
    """cut_off: it ended between the last word of one Asterisk and the first of the next."""
    assert alone(101.0, MismatchReason.CALL_WITHOUT_CDR) == "cut_off"
    assert alone(90.0, MismatchReason.CALL_WITHOUT_CDR) == ""
    assert alone(250.0, MismatchReason.CALL_WITHOUT_CDR) == ""
    assert alone(101.0, MismatchReason.CALL_WITHOUT_CDR, ()) == ""


@pytest.mark.parametrize(
    "reason",
    [
        MismatchReason.OPEN,
        MismatchReason.JOINED,
        MismatchReason.DUPLICATED,
        MismatchReason.MISSING,
        MismatchReason.CALLER,
    ],
)
def test_a_death_excuses_no_lost_or_double_record(reason: MismatchReason) -> None:
    """Which call it is, that it has one record with an end, and whose it was is known all the same."""
    assert alone(101.0, reason) == ""


WRONGS: list[Change] = [
    on(Call, ended_at=lambda at: at + 30.0),
    on(Call, disposition=Disposition.VOICEMAIL),
    on(Call, ended_by=EndedBy.UNKNOWN),
    on(QueueStay, outcome=StayOutcome.TIMEOUT),
    on(QueueStay, wait=lambda seconds: seconds + 5000.0),
    without(Talk),
    without(Attempt),
    without(Transfer),
]


@pytest.mark.parametrize("name", ["direct_busy", "queue_abandoned", "blind_by_the_phone"])
@pytest.mark.parametrize("change", WRONGS)
def test_a_death_excuses_nothing_that_the_books_have_whole(name: str, change: Change) -> None:
    """cut_off: a quiet PBX that is restarted after its last call has written the ends of it."""
    run = told(name)
    last = max(run.cel[-1].at, run.queue_log[-1].at if run.queue_log else 0.0)
    start = QueueRow(
        last + 60.0, "NONE", "NONE", "NONE", "QUEUESTART", (), f"{last + 60:.0f}|NONE|NONE|NONE|QUEUESTART|"
    )
    facts = change(list(run.facts))
    report = compared(run, facts, queue_log=(*run.queue_log, start))
    assert not report.explained
    assert bool(report.mismatches) == bool(compared(run, facts).mismatches)


def test_a_lost_cdr_is_missed_where_cel_has_the_call_whole() -> None:
    """cut_off: a quiet PBX that is restarted excuses nothing."""
    run = told("direct_busy")
    at = run.cel[-1].at + 60.0
    start = QueueRow(at, "NONE", "NONE", "NONE", "QUEUESTART", (), f"{at:.0f}|NONE|NONE|NONE|QUEUESTART|")
    report = compared(run, queue_log=(*run.queue_log, start), cdr=())
    assert ([one.reason for one in report.mismatches], report.explained) == (
        [MismatchReason.CALL_WITHOUT_CDR],
        (),
    )


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (on(Call, direction=Direction.OUTBOUND), "direction"),
        (on(QueueStay, agent="2999"), "agent"),
        (without(Transfer), "transfer"),
        (on(Leg, only=lambda leg: leg.agent is not None, agent="2999"), "leg"),
    ],
)
def test_a_death_excuses_nothing_of_channels_that_had_gone(change: Change, reason: str) -> None:
    """cut_off: an agent had handed on, and the others were cut off minutes later."""
    run = told("attended_by_the_phone")
    gone = next(row for row in run.cel if row.event == "ATTENDEDTRANSFER").uniqueid
    cut = [row for row in run.cel if row.event != "HANGUP" or row.uniqueid == gone]
    at = run.cel[-1].at + 20.0
    start = QueueRow(at, "NONE", "NONE", "NONE", "QUEUESTART", (), f"{at:.0f}|NONE|NONE|NONE|QUEUESTART|")
    report = compared(run, change(list(run.facts)), queue_log=(*run.queue_log, start), cel=cut)
    assert reason in {one.reason.value for one in report.mismatches}


def test_of_a_channel_without_an_end_nothing_else_is_asked() -> None:
    """cut_off: CEL has its begin, an Asterisk died after that, and the record ends as the next one is heard."""
    run = told("queue_abandoned")
    cut = [row for row in run.cel if row.event not in {"HANGUP", "CHAN_END", "LINKEDID_END", "APP_END"}]
    at = run.cel[-1].at + 20.0
    start = QueueRow(at, "NONE", "NONE", "NONE", "QUEUESTART", (), f"{at:.0f}|NONE|NONE|NONE|QUEUESTART|")
    log = [row for row in run.queue_log if row.verb != "ABANDON"]
    facts = [replace(fact, ended_at=at) if isinstance(fact, Call | Leg) else fact for fact in run.facts]
    report = compared(run, facts, queue_log=(*log, start), cdr=(), cel=cut)
    assert not report.mismatches
    assert {one.rule for one in report.explained} == {"cut_off"}


def test_a_pass_by_no_rule_stays_a_mismatch() -> None:
    """A wrong outcome in a scenario without any rule is an error."""
    left, rules = by_rule("queue_abandoned", on(QueueStay, outcome=StayOutcome.TIMEOUT))
    assert ("outcome" in left, rules) == (True, set())
