"""B3: whatever a daemon missed of a real session, the books give back; what it saw stays as it was."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from cti.core import events as ev
from cti.core.backfill import Plan, Rows, plan, told
from cti.core.books import BadLine, parse_queue_line
from cti.core.cel import parse_cel_line
from cti.core.core import Core
from cti.core.facts import (
    AgentState,
    Attempt,
    AwayEpisode,
    Call,
    Cause,
    Fact,
    FactKey,
    Gap,
    Leg,
    Quality,
    QueueStay,
    State,
    Talk,
    Transfer,
)
from cti.core.memory import Known
from cti.core.parsing import parse
from cti.core.rules import Rules
from cti.daemon.recorder import arrivals, read_recording
from tests.core.dialogue import remember
from tests.core.shadow import Shadow

SESSION = Path(__file__).parent / "books" / "session"
RULES = Rules(trunks=("PJSIP/trunk-a", "PJSIP/trunk-b"))
PARTS = (Call, Leg, QueueStay, Attempt, Talk, Transfer)
_CLOSE = 0.05  # s between AMI's instant of something and CEL's
_SECOND = 1.5  # s, the resolution of queue_log, and of the ages in a list
Records = dict[FactKey, Any]


@cache
def heard() -> tuple[ev.Event, ...]:
    """The session as the live door tells it."""
    told = []
    for arrival in arrivals(read_recording(SESSION / "ami.gz"), "main"):
        event = parse(arrival.what, arrival.at) if isinstance(arrival.what, Mapping) else arrival.what
        told += [event] if event is not None else []
    return tuple(told)


@cache
def books() -> Rows:
    """The session's own books."""
    queue_log = [parse_queue_line(line) for line in (SESSION / "queue_log").read_text().splitlines()]
    cel = [parse_cel_line(line) for line in (SESSION / "cel.csv").read_text().splitlines()]
    return Rows(
        [row for row in queue_log if not isinstance(row, BadLine)],
        [row for row in cel if not isinstance(row, BadLine)],
    )


def listen(core: Core, events: Iterable[ev.Event], records: Records) -> None:
    """What a store that takes every fact has afterwards."""
    for event in events:
        for fact in core.step(event).facts:
            if isinstance(fact, (*PARTS, AgentState, AwayEpisode)):
                records[fact.key] = fact


@cache
def whole() -> Mapping[FactKey, Any]:
    """What a daemon that missed nothing has on record."""
    records: Records = {}
    listen(Core("main", RULES), heard(), records)
    return records


def interrupted(dies: int, returns: int) -> tuple[Records, Gap]:
    """What is on record when the daemon hears the events before `dies` and those from `returns` on."""
    events, records = heard(), dict[FactKey, Any]()
    listen(Core("main", RULES), events[:dies], records)
    second = Core("main", RULES)
    second.restore(remember(records.values()))
    back = events[returns - 1].at + 0.00001
    resynced = Shadow(events[:returns]).resynced(back)
    listen(second, (resynced, *events[returns:]), records)
    return records, Gap("main-gap", "main", events[dies - 1].at, back, "stopped")


def known(records: Records) -> Known:
    def of(kind: type[Any]) -> list[Any]:
        return [fact for fact in records.values() if isinstance(fact, kind)]

    return Known(
        of(Call),
        of(Leg),
        of(QueueStay),
        of(Attempt),
        of(Talk),
        of(Transfer),
        of(AgentState),
        episodes=of(AwayEpisode),
    )


def fill(records: Records, gap: Gap) -> Plan:
    """Plan, and write as the store does."""
    found = plan("main", RULES, [gap], books(), known(records))
    for fact in found.new:
        assert fact.key not in records, fact
        records[fact.key] = fact
    for fact in found.completed:
        assert fact.key in records, fact
        records[fact.key] = fact
    return found


GAPS = [
    (dies, min(dies + length, len(heard()) - 1))
    for length in (8, 45, 150, 600)
    for dies in range(12, len(heard()) - 20, 17)
]


def _facts(records: Mapping[FactKey, Any], kind: type[Any]) -> dict[str, Any]:
    return {key[1]: fact for key, fact in records.items() if isinstance(fact, kind)}


def _same(one: object, two: object, most: float = _CLOSE) -> bool:
    close = isinstance(one, float) and isinstance(two, float) and abs(one - two) < most
    return one == two or close


@pytest.mark.parametrize("gap", GAPS)
def test_no_call_is_missing_and_none_is_invented(gap: tuple[int, int]) -> None:
    """Every call has its one record, with the id it would have had, how it ended, and when."""
    records, missed = interrupted(*gap)
    fill(records, missed)
    ours = {id_: call for id_, call in _facts(records, Call).items() if call.merged_into is None}
    right = {id_: call for id_, call in _facts(whole(), Call).items() if call.merged_into is None}
    found = {id_: _call_of(records, id_) for id_ in right}
    assert sorted(call.id for call in found.values()) == sorted(ours)
    for id_, call in right.items():
        mine = found[id_]
        assert (mine.disposition, mine.caller_number) == (call.disposition, call.caller_number), mine
        assert _same(mine.answered_at, call.answered_at), (mine, call)
        assert _same(mine.ended_at, call.ended_at), (mine, call)
        assert mine.hangup_cause == call.hangup_cause, mine


def _call_of(records: Mapping[FactKey, Any], id_: str) -> Call:
    """The call of this id; one that was found when its first channel had gone goes by the id of the next."""
    call_id = id_ if ("call", id_) in records else records["leg", id_].call_id
    call: Call = records["call", call_id]
    return call


@pytest.mark.parametrize("gap", GAPS)
def test_every_part_is_there_as_it_was(gap: tuple[int, int]) -> None:
    """Stays with outcome, agent and app_queue's figures; attempts with their outcome; talks with their length."""
    records, missed = interrupted(*gap)
    fill(records, missed)
    right = _facts(whole(), QueueStay)
    ours = _facts(records, QueueStay)
    assert ours.keys() == right.keys()
    for id_, stay in right.items():
        mine = ours[id_]
        assert mine.call_id == _call_of(records, stay.call_id).id
        names = ("queue", "outcome", "agent", "book_wait", "book_talk", "position")
        assert [getattr(mine, name) for name in names] == [getattr(stay, name) for name in names]
        assert _same(mine.joined_at, stay.joined_at, _SECOND), (mine, stay)
        assert _same(mine.left_at, stay.left_at), (mine, stay)
    _agree(records, Attempt, "stay_id", "queue", "agent", "outcome")
    _agree(records, Leg, "agent")
    _agree(records, Transfer, "kind", "by", "to", "result")
    assert _talked(records) == _talked(whole())


def _agree(records: Mapping[FactKey, Any], kind: type[Any], *names: str) -> None:
    ours, right = _facts(records, kind), _facts(whole(), kind)
    assert ours.keys() == right.keys()
    for id_, part in right.items():
        assert [getattr(ours[id_], name) for name in names] == [getattr(part, name) for name in names]


@pytest.mark.parametrize("gap", GAPS[::2])
def test_whoever_was_away_is_on_record_as_such(gap: tuple[int, int]) -> None:
    """C3: the absences of the session, wherever the gap lay, once it is over."""
    records, missed = interrupted(*gap)
    fill(records, missed)
    ours, right = (list(_facts(one, AwayEpisode).values()) for one in (records, whole()))
    assert len(ours) == len(right) > 0
    for mine, one in zip(ours, right, strict=True):
        assert (mine.agent, mine.reported_at) == (one.agent, None)
        assert _same(mine.started_at, one.started_at, _SECOND), (mine, one)
        assert _same(mine.ended_at, one.ended_at, _SECOND), (mine, one)


def _talked(records: Mapping[FactKey, Any]) -> dict[tuple[str, str | None, str], float]:
    """Seconds by channel, agent and device, to the tenth."""
    seconds: dict[tuple[str, str | None, str], float] = {}
    for talk in _facts(records, Talk).values():
        key = talk.id.rpartition("/")[0], talk.agent, talk.device
        seconds[key] = seconds.get(key, 0.0) + (talk.ended_at or 0.0) - talk.started_at
    return {key: round(value, 1) for key, value in seconds.items()}


@pytest.mark.parametrize("gap", GAPS[::5])
def test_once_more_changes_nothing(gap: tuple[int, int]) -> None:
    """Idempotence: over records that are complete, the books have nothing to add."""
    records, missed = interrupted(*gap)
    fill(records, missed)
    again = fill(records, missed)
    assert (again.new, again.completed, again.unexplained) == ([], [], [])


def test_over_complete_records_the_books_add_nothing() -> None:
    """A daemon that missed nothing is not corrected, whatever gap is claimed."""
    records: Records = dict(whole())
    everything = Gap("main-gap", "main", heard()[0].at, heard()[-1].at, "link")
    found = plan("main", RULES, [everything], books(), known(records))
    assert [fact for fact in found.new if not isinstance(fact, AgentState)] == []
    assert found.completed == []


@pytest.mark.parametrize("n", range(1, 12))
def test_over_complete_records_a_piece_of_the_books_adds_nothing(n: int) -> None:
    """Books that are cut off, begin late, or lack one another change no record of a daemon that missed nothing."""
    records: Records = dict(whole())
    everything = Gap("main-gap", "main", heard()[0].at, heard()[-1].at, "link")
    place = len(books().cel) * n // 12
    at, cel = books().cel[place].at, books().cel
    until = [row for row in books().queue_log if row.at <= at]
    since = [row for row in books().queue_log if row.at >= at]
    for piece in (
        Rows(until, cel[:place]),
        Rows(since, cel[place:]),
        Rows(books().queue_log, cel[:place]),
        Rows(books().queue_log, cel[place:]),
        Rows(until, cel),
        Rows(since, cel),
    ):
        found = plan("main", RULES, [everything], piece, known(records))
        assert [fact for fact in found.new if not isinstance(fact, AgentState)] == []
        assert found.completed == []


@pytest.mark.parametrize("gap", GAPS[::3])
def test_what_was_seen_is_never_changed(gap: tuple[int, int]) -> None:
    """Only fields that were unknown change, each says from which book, and the quality stays."""
    before, missed = interrupted(*gap)
    records = dict(before)
    fill(records, missed)
    for key, fact in before.items():
        after = records[key]
        named = {source.partition(":")[0] for source in getattr(after, "sources", ())}
        for field in fields(fact):
            was, now = getattr(fact, field.name), getattr(after, field.name)
            if field.name == "sources" or was == now:
                continue
            unknown = was in (None, "", "unknown") or was == missed.ended_at
            concluded = getattr(fact, "outcome", None) != getattr(after, "outcome", None)
            # Derived from what was seen, and wrongly.
            derived = (
                field.name in {"wait", "disposition", "direction", "ended_by", "started_at"} or concluded
            )
            assert field.name in named or derived, (field.name, after)
            assert unknown or derived, (field.name, was, now)
    assert all(records[key].quality is fact.quality for key, fact in before.items() if isinstance(fact, Call))


def test_calls_that_nobody_saw_say_so() -> None:
    """Quality and provenance of what is new."""
    records, missed = interrupted(12, len(heard()) - 1)
    found = fill(records, missed)
    calls = [fact for fact in found.new if isinstance(fact, Call)]
    assert calls
    assert {call.quality for call in calls} == {Quality.FROM_BOOKS}
    assert {call.sources for call in calls} == {("*:cel",)}
    stays = [fact for fact in found.new if isinstance(fact, QueueStay)]
    assert all("outcome:queue_log" in stay.sources for stay in stays)
    assert any(isinstance(fact, Transfer) for fact in found.new)
    assert {fact.hold for fact in found.new if isinstance(fact, Talk)} == {None}  # no book tells of hold
    assert all(fact.sources for fact in found.new if isinstance(fact, PARTS))
    assert found.unexplained == []


def test_a_pause_that_a_dying_pbx_forgot_is_over() -> None:
    """B3: queue_log still has it; how the agent was found after the restart is on record."""
    log = """100|NONE|q1|2001|ADDMEMBER|
100|NONE|q2|2001|ADDMEMBER|
110|NONE|q1|2001|PAUSE|lunch
110|NONE|q2|2001|PAUSE|lunch
120|NONE|NONE|NONE|QUEUESTART|
140|NONE|q1|2001|PAUSE|meeting
150|NONE|q2|2001|PAUSE|meeting"""
    lines = [parse_queue_line(line) for line in log.splitlines()]
    queue_log = [line for line in lines if not isinstance(line, BadLine)]
    found = AgentState(
        "main", "2001", "", "PJSIP/1", ("q1", "q2"), State.AVAILABLE, 121.0, "", Cause.LINK_LOST
    )
    asked = Gap("main-121", "main", 60.0, 121.0, "link")
    books_tell = told("main", RULES, Rows(queue_log), Known(agent_states=[found], gaps=[asked]))
    away = [one.since for one in books_tell if isinstance(one, AgentState) and one.state is State.AWAY]
    assert [since for since in away if since > found.since] == [150.0]


def test_books_read_from_the_middle_of_a_call_say_nothing_of_it() -> None:
    """B3: what one gap has filled is not told anew by a later reading that does not go back to its begin."""
    records, missed = interrupted(12, len(heard()) - 1)
    fill(records, missed)
    for row in books().cel:
        since = row.at + 0.00001
        piece = Rows(
            [line for line in books().queue_log if line.at >= since],
            [line for line in books().cel if line.at >= since],
            since=since,
        )
        found = plan("main", RULES, [missed], piece, known(records))
        begun = {
            key for key, fact in records.items() if isinstance(fact, Call) and fact.started_at < since + 1
        }
        named = {
            ("call", fact.id if isinstance(fact, Call) else getattr(fact, "call_id", ""))
            for fact in found.completed
        }
        assert not named & begun


def test_a_call_that_is_missing_without_a_gap_is_added_and_named() -> None:
    """B4: a mistake of ours is not hidden by the filling."""
    records: Records = dict(whole())
    lost = next(fact for fact in records.values() if isinstance(fact, Call) and fact.answered_at)
    parts = [key for key, fact in records.items() if getattr(fact, "call_id", "") == lost.id]
    for key in [lost.key, *parts]:
        del records[key]
    found = plan("main", RULES, [], books(), known(records))
    assert found.unexplained == [lost.id]
    assert {fact.key for fact in found.new} == {lost.key, *parts}


def test_a_call_that_goes_on_is_left_to_the_live_stream() -> None:
    """It is named, so that it is looked at when it is over."""
    records: Records = dict(whole())
    call = next(fact for fact in records.values() if isinstance(fact, Call) and fact.answered_at)
    records[call.key] = replace(call, ended_at=None, disposition=None, quality=Quality.GAPPED)
    found = plan("main", RULES, [], books(), known(records))
    assert found.living == [call.id]
    assert found.new == []


def test_a_call_that_began_after_the_gap_does_not_keep_it_open() -> None:
    """On a floor where somebody is always on the phone, gaps are closed all the same."""
    records: Records = dict(whole())
    call = next(fact for fact in records.values() if isinstance(fact, Call) and fact.answered_at)
    records[call.key] = replace(call, ended_at=None, disposition=None)
    before = Gap("main-gap", "main", call.started_at - 20, call.started_at - 10, "link")
    assert plan("main", RULES, [before], books(), known(records)).living == []
    during = replace(before, ended_at=call.started_at + 0.5)
    assert plan("main", RULES, [during], books(), known(records)).living == [call.id]


def test_what_was_before_the_first_listening_is_not_ours() -> None:
    """Books older than the installation make no records."""
    found = plan("main", RULES, [], books(), Known(), not_before=heard()[-1].at + 1)
    calls: Sequence[Fact] = [fact for fact in found.new if isinstance(fact, Call)]
    assert calls == []
