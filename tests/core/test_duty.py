"""Pending marks: what the dialplan wrote becomes a work item and a call, whatever else stands in AstDB is refused."""

import random
import string

import pytest

from cti.core.duty import BadMark, MarkState, cut_off, facts_of, parse_mark
from cti.core.facts import Direction, Disposition, Quality, RejectReason

CALL = "1768212345.17"
ENTERED = 1768212345.125


def mark(state: str = "ringing", number: str = "", accepted: str = "", ended: str = "") -> str:
    return f"1|1768212345.125|sales|4008001234|13912345678|{state}|{number}|{accepted}|{ended}"


def test_an_accepted_call_becomes_a_work_item_and_an_answered_call() -> None:
    """D7: caller, hotline, who took it and when; both ids are made of PBX and channel."""
    value = mark("accepted", "13800002001", "1768212360.500", "1768212400.000")
    item, call = facts_of("main", parse_mark(CALL, value))
    assert item.id == item.call_id == call.id == "main-1768212345.17"
    assert (item.kind, item.hotline, item.caller_number) == ("after_hours_call", "sales", "13912345678")
    assert (item.result, item.accepted_by, item.accepted_at) == ("accepted", "13800002001", 1768212360.5)
    assert (item.created_at, item.state) == (ENTERED, "open")
    assert (call.direction, call.dialed_number, call.quality) == (
        Direction.INBOUND,
        "4008001234",
        Quality.FROM_BOOKS,
    )
    assert (call.started_at, call.answered_at, call.ended_at) == (ENTERED, 1768212360.5, 1768212400.0)
    assert call.disposition is Disposition.ANSWERED


@pytest.mark.parametrize(
    ("state", "result", "disposition"),
    [
        ("unanswered", "unanswered", Disposition.NO_ANSWER),
        ("abandoned", "abandoned", Disposition.ABANDONED),
        ("closed", "closed", Disposition.LEFT_MENU),
        ("ringing", "abandoned", Disposition.ABANDONED),  # ended while it still rang
    ],
)
def test_how_a_call_that_nobody_took_is_recorded(state: str, result: str, disposition: Disposition) -> None:
    """D7: every after-hours call becomes a work item, taken or not."""
    item, call = facts_of("main", parse_mark(CALL, mark(state, ended="1768212400")))
    assert (item.result, call.disposition, call.answered_at) == (result, disposition, None)


def test_while_it_rings_the_work_item_is_there_and_the_call_is_open() -> None:
    """D7: the item exists from the first moment, so that no fault can lose it."""
    item, call = facts_of("main", parse_mark(CALL, mark()))
    assert (item.result, call.ended_at, call.disposition) == ("ringing", None, None)


def test_a_call_whose_channel_vanished_ends_where_it_was_last_seen() -> None:
    """D4: the PBX was killed: ringing counts as abandoned, accepted stays accepted."""
    ringing = cut_off(parse_mark(CALL, mark()))
    assert (ringing.state, ringing.ended_at) == (MarkState.ABANDONED, ENTERED)
    accepted = cut_off(parse_mark(CALL, mark("accepted", "13800002001", "1768212360.5")))
    assert (accepted.state, accepted.ended_at) == (MarkState.ACCEPTED, 1768212360.5)


def test_a_clock_that_was_put_back_makes_no_negative_duration() -> None:
    """A3: nothing ends before it begins."""
    _, call = facts_of("main", parse_mark(CALL, mark("accepted", "13800002001", "1768212300", "1768212200")))
    assert call.started_at <= (call.answered_at or 0) <= (call.ended_at or 0)


def test_no_caller_id_and_an_unmapped_hotline_are_fine() -> None:
    parsed = parse_mark("pbx1-1768212345.17", "1|1768212345|4002|4002||closed|||1768212350")
    assert (parsed.caller, parsed.hotline, parsed.did) == ("", "4002", "4002")


def test_a_caller_with_an_endless_number_gets_a_work_item_too() -> None:
    """D7: whoever calls chooses their number; no length that a channel can hold may cost the call-back."""
    assert parse_mark(CALL, mark().replace("13912345678", "+" + "9" * 79)).caller == "+" + "9" * 79


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        (CALL, "", RejectReason.MALFORMED),
        (CALL, mark()[:-1], RejectReason.MALFORMED),
        (CALL, mark() + "|", RejectReason.MALFORMED),
        (CALL, "2" + mark()[1:], RejectReason.MALFORMED),
        (CALL, mark("dancing"), RejectReason.BAD_VALUE),
        (CALL, mark(ended="soon"), RejectReason.BAD_VALUE),
        (CALL, mark(ended="inf"), RejectReason.BAD_VALUE),
        (CALL, mark(ended="1e300"), RejectReason.BAD_VALUE),
        (CALL, mark(ended="١٧٦٨٢١٢٣٤٥"), RejectReason.BAD_VALUE),
        (CALL, mark(number="1&${SHELL(id)}"), RejectReason.BAD_VALUE),
        (CALL, mark().replace("sales", "a b"), RejectReason.BAD_VALUE),
        (CALL, mark().replace("4008001234", "4" * 81), RejectReason.BAD_VALUE),
        (CALL, mark().replace("1768212345.125", ""), RejectReason.MISSING_HEADER),
        (CALL, mark() + "x" * 600, RejectReason.TOO_LONG),
        ("a b", mark(), RejectReason.MALFORMED),
        ("", mark(), RejectReason.MALFORMED),
        ("x\r\nAction: Originate", mark(), RejectReason.MALFORMED),
    ],
)
def test_what_is_not_a_mark_is_refused_with_its_reason(key: str, value: str, reason: RejectReason) -> None:
    """B3: hostile or torn values are named, never guessed at and never raised as anything else."""
    with pytest.raises(BadMark) as caught:
        parse_mark(key, value)
    assert caught.value.reason is reason
    assert "13912345678" not in str(caught.value)


def test_random_damage_is_either_a_mark_or_a_bad_mark() -> None:
    """B3: 20,000 mutations of a mark: nothing else escapes."""
    chance = random.Random(11)
    whole = mark("accepted", "13800002001", "1768212360.5", "1768212400")
    alphabet = string.printable + "中\x00\u0661"
    for _ in range(20_000):
        text = list(whole)
        for _ in range(chance.randrange(1, 5)):
            where = chance.randrange(len(text))
            text[where : where + chance.randrange(3)] = chance.choice(alphabet)
        try:
            facts_of("main", parse_mark(CALL, "".join(text)))
        except BadMark as bad:
            assert bad.reason in RejectReason  # noqa: PT017 - either outcome is right
