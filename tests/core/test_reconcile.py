"""The comparison of our records with the PBX's books: what it finds, and what it leaves out by rule (B4)."""

import gzip
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cti.core.books import CdrRow, QueueRow, parse_cdr_line, parse_queue_line
from cti.core.core import Core
from cti.core.events import Event, Resynced
from cti.core.facts import (
    Attempt,
    AttemptOutcome,
    Call,
    Direction,
    Disposition,
    Fact,
    FactKey,
    Leg,
    QueueStay,
    StayOutcome,
)
from cti.core.mismatch import MismatchReason, Report
from cti.core.parsing import parse
from cti.core.reconcile import reconcile
from cti.core.rules import Rules
from cti.core.wire import Framer, decode

T0 = 1_760_000_000.0


def book(*lines: str) -> list[QueueRow]:
    """Rows of a queue_log whose epochs are given as seconds after T0."""
    rows = []
    for line in lines:
        at, _, rest = line.partition("|")
        row = parse_queue_line(f"{int(T0) + int(at)}|{rest}")
        assert isinstance(row, QueueRow), row
        rows.append(row)
    return rows


ANSWERED = (
    "0|1.1|sales|NONE|ENTERQUEUE||138|1",
    "4|1.1|sales|2001|CONNECT|4|1.2|3",
    "30|1.1|sales|2001|COMPLETECALLER|4|26|1",
)
LATER = "100|NONE|NONE|NONE|CONFIGRELOAD|"  # time went on


def stay(**changes: Any) -> QueueStay:
    answered = QueueStay(
        id="main-1.1/q1",
        call_id="main-1.1",
        pbx="main",
        ordinal=1,
        queue="sales",
        uniqueid="1.1",
        joined_at=T0 + 0.4,
        answered_at=T0 + 4.6,
        left_at=T0 + 4.6,
        outcome=StayOutcome.ANSWERED,
        wait=4.2,
        agent="2001",
        book_wait=4.0,
        book_talk=26.0,
    )
    return replace(answered, **changes)


def call(**changes: Any) -> Call:
    ended = Call(
        id="main-1.1",
        pbx="main",
        direction=Direction.INBOUND,
        caller_number="138",
        caller_name="",
        dialed_number="400",
        started_at=T0,
        answered_at=T0 + 4,
        ended_at=T0 + 30,
        disposition=Disposition.ANSWERED,
    )
    return replace(ended, **changes)


def leg(uniqueid: str = "1.1", call_id: str = "main-1.1") -> Leg:
    return Leg(
        f"main-{uniqueid}", call_id, "main", uniqueid, uniqueid, "PJSIP/a-1", "PJSIP/a", "", None, False, T0
    )


def cdr(uniqueid: str = "1.1", **changes: Any) -> CdrRow:
    row = CdrRow(
        uniqueid=uniqueid, linkedid="1.1", sequence="0", start=T0, answer=T0 + 4, end=T0 + 30, duration=30.0,
        billsec=26.0, disposition="ANSWERED", src="138", dst="400", clid="", dcontext="", channel="PJSIP/a-1",
        dstchannel="", lastapp="Queue", lastdata="", accountcode="", userfield="", raw=f"raw {uniqueid}",
    )  # fmt: skip
    return replace(row, **changes)


def passes_only(stays: Sequence[QueueStay], rows: Sequence[QueueRow], **options: Any) -> Report:
    return reconcile(stays, [], [], rows, None, **options)


def reasons(report: Report) -> list[MismatchReason]:
    return [mismatch.reason for mismatch in report.mismatches]


def test_records_that_agree() -> None:
    """Nothing differs, and what was checked is counted."""
    report = reconcile([stay()], [call()], [leg()], book(*ANSWERED), [cdr()])
    assert report == Report(checked=2, mismatches=(), left_out=0)
    assert set(report.by_reason().values()) == {0}
    assert set(report.by_reason()) == {reason.value for reason in MismatchReason}


def test_the_book_knows_a_pass_that_we_do_not() -> None:
    """A missing record is found, with the book's raw lines."""
    report = passes_only([], book(*ANSWERED, LATER))
    [mismatch] = report.mismatches
    assert (mismatch.reason, mismatch.call_id, mismatch.uniqueid) == ("not_in_records", None, "1.1")
    assert len(mismatch.lines) == 3


def test_we_know_a_pass_that_the_book_does_not() -> None:
    """An invented or wrongly keyed record is found."""
    report = passes_only([stay()], book(LATER))
    [mismatch] = report.mismatches
    assert (mismatch.reason, mismatch.call_id, mismatch.ours) == ("not_in_book", "main-1.1", "sales answered")


@pytest.mark.parametrize(
    ("changes", "reason", "ours", "theirs"),
    [
        ({"outcome": StayOutcome.ABANDONED}, "outcome", "abandoned", "answered"),
        ({"outcome": None}, "outcome", "none", "answered"),
        ({"agent": "2002"}, "agent", "2002", "2001"),
        ({"agent": None}, "agent", "none", "2001"),
        ({"book_wait": 5.5}, "book_wait", "5.5", "4.0"),
        ({"book_talk": 24.9}, "book_talk", "24.9", "26.0"),
        ({"book_talk": None}, "book_talk", "none", "26.0"),
        ({"book_wait": None}, "book_wait", "none", "4.0"),
    ],
)
def test_each_field_that_differs(changes: dict[str, Any], reason: str, ours: str, theirs: str) -> None:
    """Outcome, agent, book_wait and book_talk are compared; the report shows both sides."""
    [mismatch] = passes_only([stay(**changes)], book(*ANSWERED, LATER)).mismatches
    assert (mismatch.reason, mismatch.field, mismatch.ours, mismatch.book) == (reason, reason, ours, theirs)


def test_who_gave_up_waited_as_long_as_the_book_says() -> None:
    """Of a pass that nobody answered both figures mean the same; a second and a half is rounding."""
    rows = book(ANSWERED[0], "4|1.1|sales|NONE|ABANDON|1|1|4", LATER)
    gave_up = stay(
        outcome=StayOutcome.ABANDONED, answered_at=None, agent=None, book_wait=None, book_talk=None
    )
    assert passes_only([replace(gave_up, wait=5.4)], rows).mismatches == ()
    [mismatch] = passes_only([replace(gave_up, wait=604.0)], rows).mismatches
    assert (mismatch.reason, mismatch.ours, mismatch.book) == ("book_wait", "604.0", "4.0")


def rung(outcome: AttemptOutcome, **changes: Any) -> Attempt:
    one = Attempt(
        "main-1.2/a", "main-1.1", "main", "main-1.1/q1", "sales", "2002", "PJSIP/2002", None, None, None,
        T0 + 1, T0 + 3.9, outcome,
    )  # fmt: skip
    return replace(one, **changes)


@pytest.mark.parametrize(
    ("attempts", "found"),
    [
        ([rung(AttemptOutcome.NO_ANSWER)], []),
        ([rung(AttemptOutcome.BUSY)], []),
        ([], ["rang"]),
        ([rung(AttemptOutcome.ANSWERED)], ["rang"]),
        ([rung(AttemptOutcome.CANCELLED)], ["rang"]),
        ([rung(AttemptOutcome.NO_ANSWER, agent="2009")], ["rang"]),
        ([rung(AttemptOutcome.NO_ANSWER, ended_at=T0 + 20)], ["rang"]),
        ([rung(AttemptOutcome.NO_ANSWER, call_id="main-9.9")], ["rang"]),
    ],
)
def test_a_ringing_that_the_book_notes_is_on_record(attempts: list[Attempt], found: list[str]) -> None:
    """B2: RINGNOANSWER is one ringing of that member, in that second, that was not answered."""
    rows = book(ANSWERED[0], "3|1.1|sales|2002|RINGNOANSWER|2000", *ANSWERED[1:], LATER)
    report = reconcile([stay()], [], [], rows, None, attempts=attempts)
    assert reasons(report) == found
    assert [line for one in report.mismatches for line in one.lines] == [rows[1].raw] * len(found)


def test_a_second_of_rounding_is_no_mismatch() -> None:
    """The book has whole seconds: up to one second apart is agreement; our own wait is not compared."""
    assert (
        passes_only([stay(book_wait=5.0, book_talk=25.0, wait=99.0)], book(*ANSWERED, LATER)).mismatches == ()
    )


def test_what_is_still_open_is_left_out() -> None:
    """A caller who waits, or talks, as the books end is not judged yet."""
    waiting = stay(outcome=None, answered_at=None, left_at=None, agent=None, book_wait=None, book_talk=None)
    report = passes_only([waiting], book(ANSWERED[0]))
    assert (report.checked, report.left_out, report.mismatches) == (0, 1, ())
    talking = stay(book_talk=None)
    assert passes_only([talking], book(*ANSWERED[:2])).mismatches == ()


def test_a_call_that_ended_just_now_may_be_in_one_book_only() -> None:
    """At the end of the window the partner may not be written yet."""
    assert passes_only([stay(left_at=T0 + 28)], book("30|NONE|NONE|NONE|CONFIGRELOAD|")).left_out == 1


def test_the_window_is_judged_by_beginning() -> None:
    """What began before or after the window is left out, also where only one book has it near a bound."""
    rows = book(*ANSWERED, LATER)
    assert reasons(passes_only([stay(agent="x")], rows, since=T0, until=T0 + 90)) == ["agent"]
    assert passes_only([stay(agent="x")], rows, since=T0 + 1, until=T0 + 90).left_out == 1
    assert passes_only([stay(agent="x")], rows, until=T0).left_out == 1
    assert passes_only([], rows, since=T0 - 2, until=T0 + 90).left_out == 1


def test_a_caller_who_comes_back_is_paired_in_order() -> None:
    """The same queue twice, and another between: each pass is compared with its own."""
    rows = book(
        "0|1.1|sales|NONE|ENTERQUEUE||138|1",
        "5|1.1|sales|NONE|EXITWITHTIMEOUT|1|1|5",
        "5|1.1|support|NONE|ENTERQUEUE||138|1",
        "9|1.1|support|NONE|EXITWITHKEY|1|1|1|4",
        "9|1.1|sales|NONE|ENTERQUEUE||138|1",
        "15|1.1|sales|NONE|ABANDON|1|1|6",
        LATER,
    )
    unanswered = stay(answered_at=None, agent=None, book_wait=None, book_talk=None, wait=None)
    stays = [
        replace(unanswered, ordinal=3, joined_at=T0 + 9, left_at=T0 + 15, outcome=StayOutcome.ABANDONED),
        replace(unanswered, ordinal=1, joined_at=T0, left_at=T0 + 5, outcome=StayOutcome.TIMEOUT),
        replace(
            unanswered,
            ordinal=2,
            queue="support",
            joined_at=T0 + 5,
            left_at=T0 + 9,
            outcome=StayOutcome.LEFT_BY_KEY,
        ),
    ]
    report = passes_only(stays, rows)
    assert (report.checked, report.mismatches) == (3, ())


@pytest.mark.parametrize("outcome", [StayOutcome.JOIN_EMPTY, StayOutcome.FULL])
def test_a_caller_who_was_not_let_in_has_no_line(outcome: StayOutcome) -> None:
    """app_queue writes nothing for join-empty and full; that is no mismatch."""
    assert passes_only([stay(outcome=outcome)], book(LATER)).mismatches == ()


def test_transferred_while_waiting_is_abandoned_to_the_book() -> None:
    """app_queue calls it abandoned when a waiting caller is taken elsewhere; we may know better."""
    rows = book(ANSWERED[0], "4|1.1|sales|NONE|ABANDON|1|1|4", LATER)
    assert passes_only([stay(outcome=StayOutcome.TRANSFERRED_OUT)], rows).mismatches == ()
    assert reasons(passes_only([stay(outcome=StayOutcome.TIMEOUT)], rows)) == ["outcome"]


def test_a_pass_cut_by_a_restart_is_judged_by_existence_only() -> None:
    """The book has no end of a pass during which the PBX stopped; it must still be on record."""
    rows = book(ANSWERED[0], "50|NONE|NONE|NONE|QUEUESTART|", LATER)
    assert passes_only([stay(outcome=StayOutcome.UNKNOWN)], rows).mismatches == ()
    assert reasons(passes_only([], rows)) == ["not_in_records"]


def test_a_cdr_group_without_a_call() -> None:
    """A call that only the CDR has is found once, however many rows it has."""
    rows = [cdr("9.1", linkedid="9.1"), cdr("9.2", linkedid="9.1"), cdr("1.1", end=T0 + 90)]
    report = reconcile([], [call()], [leg()], None, rows)
    [mismatch] = report.mismatches
    assert (mismatch.reason, mismatch.uniqueid, mismatch.lines) == (
        "cdr_without_call",
        "9.1",
        ("raw 9.1", "raw 9.2"),
    )


def test_a_call_without_a_cdr() -> None:
    """A call that only we have is found; one that lives, or was merged into another, is not judged."""
    later = cdr("2.1", linkedid="2.1", start=T0 + 80, end=T0 + 90)
    others = [leg("2.1", "main-2.1")]
    assert reasons(reconcile([], [call()], [leg(), *others], None, [later])) == ["call_without_cdr"]
    living = call(ended_at=None, disposition=None)
    assert reconcile([], [living], [leg(), *others], None, [later]).mismatches == ()
    merged = call(merged_into="main-2.1")
    assert reconcile([], [merged], [leg("1.1", "main-2.1"), *others], None, [later]).mismatches == ()


def test_a_group_is_known_by_any_of_its_channels() -> None:
    """Rows of one linkedid belong together; without linkedids each uniqueid stands for itself."""
    rows = [cdr("1.1"), cdr("1.7")]
    assert reconcile([], [call()], [leg()], None, rows).mismatches == ()
    apart = [replace(row, linkedid="") for row in rows] + [cdr("3.1", linkedid="3.1", end=T0 + 99)]
    others = [call(), call(id="main-3.1")]
    assert reasons(reconcile([], others, [leg(), leg("3.1", "main-3.1")], None, apart)) == [
        "cdr_without_call"
    ]


def test_an_answered_call_has_an_answered_row() -> None:
    """We never call a call answered that the PBX billed as unanswered."""
    report = reconcile([], [call()], [leg()], None, [cdr(disposition="NO ANSWER"), cdr(disposition="BUSY")])
    [mismatch] = report.mismatches
    assert (mismatch.reason, mismatch.ours, mismatch.book) == ("answered", "answered", "BUSY, NO ANSWER")


def test_a_book_that_cannot_be_read_is_not_compared() -> None:
    """Without books there are no mismatches, and nothing counts as checked."""
    assert reconcile([stay()], [call()], [leg()], None, None) == Report(0, (), 0)


RECORDED = Path(__file__).parent / "books"


def recorded_parts() -> list[Fact]:
    """What the core makes of the AMI stream that was recorded while the books in `books/` were written."""
    core = Core("main", Rules(trunks=("PJSIP/trunk-a",)))
    parts: dict[FactKey, Fact] = {}
    events: list[Event] = [Resynced(1.0, 0.0)]
    for frame in Framer().feed(gzip.decompress((RECORDED / "ami.gz").read_bytes())):
        message = decode(frame)
        event = parse(message, float(message.get("Timestamp", "1")))
        if event is not None:
            events.append(event)
    for event in events:
        parts |= {fact.key: fact for fact in core.step(event).facts}
    return list(parts.values())


@pytest.mark.parametrize("cdr_book", ["cti.csv", "Master.csv"])
def test_the_records_agree_with_the_books_of_a_real_asterisk(cdr_book: str) -> None:
    """Ten real calls, every way out of a queue among them: no call missing, none invented, no field that differs."""
    parts = recorded_parts()
    stays = [part for part in parts if isinstance(part, QueueStay)]
    calls = [part for part in parts if isinstance(part, Call)]
    legs = [part for part in parts if isinstance(part, Leg)]
    rows = [parse_queue_line(line) for line in (RECORDED / "queue_log").read_text().splitlines()]
    cdrs = [parse_cdr_line(line) for line in (RECORDED / cdr_book).read_text().splitlines()]
    queue_rows = [row for row in rows if isinstance(row, QueueRow)]
    cdr_rows = [row for row in cdrs if isinstance(row, CdrRow)]
    report = reconcile(stays, calls, legs, queue_rows, cdr_rows, edge=0.0)
    assert report == Report(checked=19, mismatches=(), left_out=0)
    less = reconcile(stays[1:], calls[1:], legs, queue_rows, cdr_rows, edge=0.0)
    assert reasons(less) == ["not_in_records", "cdr_without_call"]
    assert reasons(reconcile(stays, calls, legs, queue_rows, cdr_rows[1:], edge=0.0)) == ["call_without_cdr"]
