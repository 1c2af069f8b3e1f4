"""Callers whom queues did not let in, as CEL and queue_log tell of them (B1, B3, B4)."""

from collections.abc import Iterable
from dataclasses import replace
from itertools import pairwise

import pytest

from cti.core.backfill import Rows, place, plan
from cti.core.books import QueueRow, parse_queue_line
from cti.core.cel import CelRow, channels_of
from cti.core.facts import (
    NOT_LET_IN,
    AgentState,
    Call,
    Direction,
    Disposition,
    Gap,
    Leg,
    Quality,
    QueueStay,
    StayOutcome,
)
from cti.core.memory import Known
from cti.core.refusals import paired, refusals
from tests.scenarios.fixtures import books_of, run_of
from tests.scenarios.judge import PBX, RULES, Session, hear, placed, records
from tests.scenarios.run import FIXTURES
from tests.scenarios.scenes import loaded

FULL, JOIN_EMPTY = StayOutcome.FULL, StayOutcome.JOIN_EMPTY
HAVING = [
    name
    for name, play in loaded().items()
    if any(stay.outcome in NOT_LET_IN for record in play.records for stay in record.stays)
]


def row(event: str, at: float, queue: str = "", own: str = "1.1", **extra: str) -> CelRow:
    """A row of CEL; with a queue, of the application Queue."""
    data = f"{queue},tT,,,20" if queue else ""
    app = "Queue" if queue else ""
    return CelRow(at, event, own, own, f"PJSIP/{own}", "", "", "", "", "", app, data, extra, f"{event} {at}")


def channel(*runs: tuple[float, str, float, str], own: str = "1.1") -> list[CelRow]:
    """A channel on which Queue runs so often: when it begins and ends, and which queue it names then."""
    rows = [row("CHAN_START", 99.0, own=own)]
    for begin, first, end, last in runs:
        rows += [row("APP_START", begin, first, own), row("APP_END", end, last, own)]
    return [*rows, row("HANGUP", 300.0, own=own)]


def lines(*said: str) -> list[QueueRow]:
    """Lines of queue_log: second, uniqueid, queue and verb."""
    found = []
    for text in said:
        at, own, queue, verb, *data = text.split()
        line = parse_queue_line("|".join([at, own, queue, "2001", verb, *data]))
        assert isinstance(line, QueueRow)
        found.append(line)
    return found


def told(rows: Iterable[CelRow], log: Iterable[QueueRow] = ()) -> list[tuple[float, str, StayOutcome]]:
    found = refusals(channels_of(list(rows)), list(log))
    return [(one.at, one.queue, one.outcome) for one in found]


WAITED = ("100 1.1 b ENTERQUEUE", "105 1.1 b EXITWITHTIMEOUT 1 1 5")


@pytest.mark.parametrize(
    ("rows", "log", "turned_away"),
    [
        (channel((100.2, "a", 100.3, "a")), (), [(100.2, "a")]),
        (channel((100.2, "a", 100.21, "b")), (), [(100.2, "a"), (100.21, "b")]),
        (channel((100.2, "a", 100.21, "a"), (101.0, "b", 101.1, "b")), (), [(100.2, "a"), (101.0, "b")]),
        (channel((100.2, "a", 105.3, "b")), WAITED, [(100.2, "a")]),
        (channel((100.2, "a", 100.3, "a"), (100.4, "b", 105.3, "b")), WAITED, [(100.2, "a")]),
        (channel((100.1, "b", 105.3, "c")), WAITED, [(105.3, "c")]),
        (channel((100.1, "b", 105.3, "b"), (105.4, "c", 105.41, "c")), WAITED, [(105.4, "c")]),
        (channel((100.1, "a", 105.3, "c")), WAITED, [(100.1, "a"), (105.3, "c")]),
        (channel((100.1, "b", 100.2, "b"), (100.3, "b", 105.3, "b")), WAITED, [(100.1, "b")]),
        (channel((100.1, "b", 105.3, "b"), (105.4, "b", 105.41, "b")), WAITED, [(105.4, "b")]),
        (
            channel((100.1, "b", 130.3, "c")),
            ("100 1.1 b ENTERQUEUE", "103 1.1 b CONNECT 3 1.9 1", "130 1.1 b COMPLETEAGENT 3 27 1"),
            [(130.3, "c")],
        ),
    ],
    ids=[
        "once", "twice at once", "twice", "then let in at once", "then let in", "after waiting at once",
        "after waiting", "before and after", "by the same before", "by the same after", "after a talk",
    ],
)  # fmt: skip
def test_a_queue_that_is_tried_and_lets_nobody_in_turned_its_caller_away(
    rows: list[CelRow], log: tuple[str, ...], turned_away: list[tuple[float, str]]
) -> None:
    """B1: alone, in a row, before or after one that let the caller in, whether CEL parts the runs or not."""
    assert [(at, queue) for at, queue, _ in told(rows, lines(*log))] == turned_away


@pytest.mark.parametrize(
    ("rows", "log"),
    [
        (channel((100.1, "b", 105.3, "b")), WAITED),
        (channel((100.1, "a", 160.0, "a")), ()),
        (channel((100.1, "a", 100.2, "a"))[:2], ()),
        (channel((100.1, "a", 100.2, "a")), ("100 1.1 a CONNECT 0 1.9 0",)),
        (channel((100.1, "b", 105.3, "c")), (WAITED[0], "101 1.1 c CONNECT 0 1.9 0", WAITED[1])),
        (channel((100.1, "b", 160.0, "c")), WAITED[:1]),
        (channel((100.1, "", 100.2, "")), ()),
        (channel((100.9, "b", 101.5, "b")), ("99 1.1 b ENTERQUEUE", "100 1.1 b ABANDON 1 1 1")),
    ],
    ids=[
        "who waited", "who stayed although queue_log lacks it", "whose run has no end", "who has a line",
        "who has a line there", "who waits still", "no queue named", "whose lines are dated beside it",
    ],
)  # fmt: skip
def test_nobody_else_was_turned_away(rows: list[CelRow], log: tuple[str, ...]) -> None:
    """B3: what the books only lack is not made up."""
    assert told(rows, lines(*log)) == []


def test_of_what_was_first_read_the_books_may_lack_the_other_half() -> None:
    """A line of queue_log is dated with the begin of its second: it may stand before what was read."""
    rows = channels_of(channel((100.2, "a", 100.3, "a")))
    assert [refusals(rows, [], since=since) != [] for since in (0.0, 98.0, 99.5)] == [True, True, False]


MOVE = {
    "channel2_uniqueid": "1.1",
    "transferee_channel_uniqueid": "1.2",
    "transfer_target_channel_uniqueid": "N/A",
}


@pytest.mark.parametrize(
    ("at", "own", "app", "there"),
    [
        (100.15, "1.1", "Queue", False),
        (100.09, "1.1", "Dial", False),
        (60.0, "1.1", "Dial", False),
        (100.09, "1.2", "Queue", False),
        (100.09, "1.2", "Wait", True),
        (60.0, "1.2", "Queue", True),
        (120.0, "1.1", "Queue", True),
    ],
)
def test_what_a_transfer_swaps_is_nobodys_being_turned_away(
    at: float, own: str, app: str, *, there: bool
) -> None:
    """B3: a masquerade makes CEL note on each channel what the other ran; only the one handed on goes on by itself."""
    move = row("ATTENDEDTRANSFER", at, own="1.9", **MOVE, app=app)
    rows = channel((100.1, "a", 100.2, "a"), own=own)
    found = refusals({own: rows, "1.9": [row("CHAN_START", 50.0, own="1.9"), move]}, [])
    assert [one.queue for one in found] == (["a"] if there else [])


@pytest.mark.parametrize(
    ("log", "outcome"),
    [
        ((), JOIN_EMPTY),
        (("90 1.2 a ENTERQUEUE", "95 1.2 a ABANDON 1 1 5"), JOIN_EMPTY),
        (("90 1.2 b ENTERQUEUE",), JOIN_EMPTY),
        (("90 1.2 a ENTERQUEUE",), FULL),
        (("90 1.2 a ENTERQUEUE", "101 1.2 a CONNECT 11 1.9 1"), FULL),
        (("90 1.2 a ENTERQUEUE", "91 1.2 a CONNECT 1 1.9 1"), JOIN_EMPTY),
        (
            (
                "80 1.3 a ENTERQUEUE",
                "81 1.2 a ENTERQUEUE",
                "89 1.3 a ABANDON 1 1 9",
                "120 1.2 a ABANDON 1 1 9",
            ),
            JOIN_EMPTY,
        ),
        (
            ("81 1.2 a ENTERQUEUE", "82 1.2 a ABANDON 1 1 1", "82 1.3 a ENTERQUEUE", "120 1.3 a ABANDON 1 1 38"),
            FULL,
        ),
        (("90 1.2 a ENTERQUEUE", "95 NONE NONE QUEUESTART"), JOIN_EMPTY),
        (("90 1.2 a ENTERQUEUE", "110 NONE NONE QUEUESTART"), FULL),
    ],
    ids=[
        "nobody", "nobody any more", "elsewhere", "one", "one, until then", "one who talks", "one, where two had been",
        "one after another", "one whom a restart took", "one, until a restart",
    ],
)  # fmt: skip
def test_full_is_a_queue_in_which_as_many_wait_as_ever(log: tuple[str, ...], outcome: StayOutcome) -> None:
    """Nobody can be too many; nor can fewer than waited there at another time."""
    assert told(channel((100.2, "a", 100.3, "a")), lines(*log)) == [(100.2, "a", outcome)]


@pytest.mark.parametrize(
    ("entered", "over", "outcome"), [(95, 98.0, JOIN_EMPTY), (95, 110.0, FULL), (95, None, FULL)]
)
def test_nobody_waits_longer_than_their_channel_lasts(
    entered: int, over: float | None, outcome: StayOutcome
) -> None:
    """A pass may have no end in queue_log, as that of a consultation whose place somebody took."""
    other = [row("CHAN_START", 90.0, own="1.2"), *([row("HANGUP", over, own="1.2")] if over else [])]
    log = lines(f"{entered} 1.2 a ENTERQUEUE")
    rows = [*channel((100.2, "a", 100.3, "a")), *other]
    assert told(rows, log) == [(100.2, "a", outcome)]
    known_end = {} if over is None else {"1.2": over}
    [found] = refusals(channels_of(channel((100.2, "a", 100.3, "a"))), log, gone=known_end)
    assert found.outcome is outcome


def test_nobody_waits_for_days() -> None:
    """Where no book has the end of a pass."""
    rows = channel((200_000.2, "a", 200_000.3, "a"))
    assert told(rows, lines("100 1.2 a ENTERQUEUE")) == [(200_000.2, "a", JOIN_EMPTY)]


def test_thousands_of_runs_of_one_channel_are_told() -> None:
    """A dialplan that tries again and again, with a transfer each time."""
    runs = [(100.0 + n / 100, "a", 100.005 + n / 100, "b" if n % 3 else "a") for n in range(4_000)]
    rows = channel(*runs)
    rows[1:1] = [row("ATTENDEDTRANSFER", 400.0 + n, transferee_channel_uniqueid="1.1") for n in range(4_000)]
    log = lines(
        *(f"{100 + n // 100} 1.1 c {verb}" for n in range(4_000) for verb in ("ENTERQUEUE", "RINGNOANSWER"))
    )
    assert len(refusals(channels_of(rows), log)) > 1_000


def test_the_cdr_tells_of_a_call_that_ended_in_a_queue() -> None:
    """A PBX without CEL: not when, and nothing of a caller who waited at any time."""
    rows = {"1.1": channel((99.0, "a", 300.0, "a"))}
    assert [(one.at, one.queue) for one in refusals(rows, [], exact=False)] == [(300.0, "a")]
    assert refusals(rows, lines(*WAITED), exact=False) == []


# --- which is which -------------------------------------------------------------------------------------------------


def stay(n: int, queue: str, at: float) -> QueueStay:
    return QueueStay(
        f"p-1.1/n{n}", "p-1.1", "p", 0, queue, "1.1", at, left_at=at, outcome=JOIN_EMPTY, wait=0.0
    )


@pytest.mark.parametrize(
    ("on_record", "books", "pairs"),
    [
        ([(1, "", 100.3)], [(1, "a", 100.1), (2, "b", 100.2)], {2: 1}),
        ([(1, "", 100.3)], [(1, "a", 100.2), (2, "b", 130.0)], {1: 1}),
        ([(1, "", 110.0), (2, "", 130.2)], [(1, "a", 100.1), (2, "b", 100.2), (3, "c", 130.0)], {2: 1, 3: 2}),
        ([(1, "b", 100.2), (2, "a", 100.1)], [(1, "a", 100.1), (2, "b", 100.2)], {1: 2, 2: 1}),
        ([(1, "a", 130.0)], [(1, "a", 100.0)], {}),
        ([(1, "c", 100.0)], [(1, "a", 100.0)], {}),
        ([(1, "", 90.0)], [(1, "a", 100.0)], {}),
    ],
)
def test_what_was_seen_is_the_last_before_it(
    on_record: list[tuple[int, str, float]], books: list[tuple[int, str, float]], pairs: dict[int, int]
) -> None:
    """AMI has the QUEUESTATUS of the last queue alone, at the next event about the channel."""
    found = paired([stay(*one) for one in on_record], [stay(*one) for one in books])
    assert {key: one.id for key, one in found.items()} == {
        f"p-1.1/n{book}": f"p-1.1/n{ours}" for book, ours in pairs.items()
    }


# --- recorded calls -------------------------------------------------------------------------------------------------


def known(session: Session, calls: list[Call] | None = None) -> Known:
    """What the store would give of it."""
    return Known(session.all(Call) if calls is None else calls, session.all(Leg), session.all(QueueStay))


@pytest.mark.parametrize("name", loaded())
def test_recorded_calls_were_turned_away_where_it_is_declared(name: str) -> None:
    """B1: whatever else a call does, masquerades included, is never taken for it."""
    run, rows = run_of(loaded()[name]), books_of(loaded()[name]).rows()
    found = refusals(channels_of(rows.cel), rows.queue_log)
    declared = [
        (stay.queue, stay.outcome)
        for record in run.scenario.records
        for stay in record.stays
        if stay.outcome in NOT_LET_IN
    ]
    assert [(run.role(one.queue), one.outcome) for one in found] == declared


@pytest.mark.parametrize("name", HAVING)
def test_the_books_alone_tell_it(name: str) -> None:
    """B3: of a call that nobody saw."""
    run, rows = run_of(loaded()[name]), books_of(loaded()[name]).rows()
    states = hear(FIXTURES / f"{name}.ami.gz").all(AgentState)
    found = plan(PBX, RULES, [Gap("gap", PBX, 0.0, 4e9, "stopped")], rows, Known(agent_states=states))
    session = Session({fact.key: fact for fact in found.new})
    assert [list(one.stays) for one in records(session, run)] == [
        list(one.stays) for one in run.scenario.records
    ]
    refused = [one for one in session.all(QueueStay) if one.outcome in NOT_LET_IN]
    assert all(one.sources == ("*:cel",) for one in refused)


@pytest.mark.parametrize("name", HAVING)
def test_a_call_that_was_wholly_seen_is_completed_once(name: str) -> None:
    """B3: queue and instant, with where they are from; the call stays complete, and nothing else of it changes."""
    rows, heard = books_of(loaded()[name]).rows(), hear(FIXTURES / f"{name}.ami.gz")
    session = placed(heard, rows)
    assert {call.quality for call in session.all(Call)} == {Quality.COMPLETE}
    assert [fact for fact in heard.latest.values() if not isinstance(fact, QueueStay)] == [
        fact for fact in session.latest.values() if not isinstance(fact, QueueStay)
    ]
    assert not [one for one in session.all(QueueStay) if not one.queue]
    assert not place(PBX, RULES, rows, known(session))
    gap = Gap("gap", PBX, rows.cel[0].at - 60, rows.cel[-1].at - 600, "link")
    assert not plan(PBX, RULES, [gap], rows, known(session)).completed


def test_a_call_that_goes_on_or_is_just_over_is_left_alone() -> None:
    """Its last lines may not be there yet; who is turned away next would be taken for who was."""
    name = "queue_join_empty"
    rows, heard = books_of(loaded()[name]).rows(), hear(FIXTURES / f"{name}.ami.gz")
    going_on = [replace(call, ended_at=None, disposition=None) for call in heard.all(Call)]
    assert not place(PBX, RULES, rows, known(heard, going_on))
    over = rows.cel[-1].at
    assert not plan(PBX, RULES, [], replace(rows, until=over + 0.1), known(heard))
    assert plan(PBX, RULES, [], replace(rows, until=over + 60), known(heard))


def test_without_queue_log_nobody_knows_who_was_let_in() -> None:
    """Then a run of Queue says nothing."""
    name = "queue_caller_hangs_up"
    rows = replace(books_of(loaded()[name]).rows(), queue_log=(), queues=False)
    found = plan(PBX, RULES, [Gap("gap", PBX, 0.0, 4e9, "stopped")], rows, Known())
    assert [fact for fact in found.new if isinstance(fact, Call)]
    assert not [fact for fact in found.new if isinstance(fact, QueueStay)]


def test_a_caller_of_a_queue_that_does_not_exist_seems_to_have_left_the_menu() -> None:
    """Queue then sets no QUEUESTATUS at all: CEL alone tells that they were sent to one."""
    name = "queue_join_empty"
    rows, heard = books_of(loaded()[name]).rows(), hear(FIXTURES / f"{name}.ami.gz")
    [call] = heard.all(Call)
    unseen = [replace(call, disposition=Disposition.LEFT_MENU)]
    found = place(PBX, RULES, rows, Known(unseen, heard.all(Leg)))
    [added] = [fact for fact in found.new if isinstance(fact, QueueStay)]
    assert (added.id, added.outcome, added.wait) == (f"{call.id}/n1", JOIN_EMPTY, 0.0)
    [changed] = found.completed
    assert isinstance(changed, Call)
    assert (changed.disposition, changed.sources) == (Disposition.NO_ANSWER, ("disposition:cel",))


@pytest.mark.parametrize("wrong", [StayOutcome.ABANDONED, StayOutcome.TRANSFERRED_OUT])
def test_what_a_pass_seems_to_be_is_mended_when_a_queue_turned_away_its_caller_after_it(
    wrong: StayOutcome,
) -> None:
    """B3: QUEUESTATUS was the same before and after; queue_log has the outcome, and the call its own by that."""
    name = "queue_turned_away_before_and_after"
    rows, heard = books_of(loaded()[name]).rows(), hear(FIXTURES / f"{name}.ami.gz")
    [call] = heard.all(Call)
    stays = [one if one.ordinal == 0 else replace(one, outcome=wrong) for one in heard.all(QueueStay)]
    found = place(
        PBX, RULES, rows, Known([replace(call, disposition=Disposition.ABANDONED)], heard.all(Leg), stays)
    )
    changed = {type(fact): fact for fact in found.completed}
    told_call = changed[Call]
    assert isinstance(told_call, Call)
    assert told_call.disposition is Disposition.NO_ANSWER
    outcomes = {one.outcome for one in found.completed if isinstance(one, QueueStay) and one.ordinal}
    assert outcomes == {StayOutcome.TIMEOUT}


def test_a_pass_that_queue_log_lacks_is_not_taken_for_being_turned_away() -> None:
    """B3: whoever was seen to wait in that queue then was let in."""
    seen = QueueStay(
        "p-1.1/q1", "p-1.1", "p", 1, "b", "1.1", 100.2, left_at=101.2, outcome=StayOutcome.ABANDONED, wait=1.0
    )
    nameless = replace(stay(1, "", 102.0), wait=0.0)
    call = Call(
        "p-1.1", "p", Direction.INBOUND, "1", "", "2", 99.0, ended_at=300.0, disposition=Disposition.ABANDONED
    )
    rows = channel((100.1, "b", 101.3, "b"), (101.9, "a", 101.95, "a"))
    leg = Leg(
        "p-1.1",
        "p-1.1",
        "p",
        "1.1",
        "1.1",
        "PJSIP/1.1",
        "PJSIP/1.1",
        "1",
        None,
        dialed=False,
        started_at=99.0,
    )
    found = place(PBX, RULES, Rows((), rows), Known([call], [leg], [seen, nameless]))
    assert found.new == []
    assert [one.queue for one in found.completed if isinstance(one, QueueStay)] == ["a"]
    read = lines("100 1.1 b ENTERQUEUE  1", "101 1.1 b ABANDON 1 1 1")
    both = channel((100.0, "b", 100.01, "b"), (100.1, "b", 101.3, "b"))
    found = place(PBX, RULES, Rows(read, both), Known([call], [leg], [seen]))
    assert [one.queue for one in found.new if isinstance(one, QueueStay)] == ["b"]


def test_whole_seconds_do_not_replace_an_instant_that_is_more_exact() -> None:
    """FreePBX's CEL has the second in which it was seen already."""
    name = "queue_full"
    heard, books = hear(FIXTURES / f"{name}.ami.gz"), books_of(loaded()[name])
    cel = tuple(replace(one, at=float(int(one.at))) for one in books.rows().cel)
    session = placed(heard, Rows(books.queue_log, cel))
    [seen] = [one for one in heard.all(QueueStay) if one.outcome is FULL]
    [named] = [one for one in session.all(QueueStay) if one.outcome is FULL]
    assert (named.queue, named.joined_at) == ("sales-080", seen.joined_at)
    assert named.sources == ("queue:cel",)


def test_each_is_told_in_its_order() -> None:
    """Who was turned away, waited, and was turned away again: the passes stand in the record as they came."""
    rows = channel((100.2, "a", 105.3, "c"))
    log = lines("100 1.1 b ENTERQUEUE  1", *WAITED[1:])
    found = plan(PBX, RULES, [Gap("gap", PBX, 0.0, 4e9, "stopped")], Rows(log, rows), Known())
    stays = sorted(
        (fact for fact in found.new if isinstance(fact, QueueStay)),
        key=lambda one: (one.joined_at, one.ordinal),
    )
    assert [(one.queue, one.outcome, one.ordinal) for one in stays] == [
        ("a", JOIN_EMPTY, 0),
        ("b", StayOutcome.TIMEOUT, 1),
        ("c", JOIN_EMPTY, 0),
    ]
    assert all(one.joined_at <= two.joined_at for one, two in pairwise(stays))
