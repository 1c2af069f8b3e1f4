"""What the books add to the states of agents: since when somebody was in what they were found in after a gap (B3, C1)."""

from dataclasses import replace

from cti.core import events as ev
from cti.core.backfill import Rows, _within_its_second, plan
from cti.core.books import QueueRow, parse_queue_line
from cti.core.facts import AgentState, Cause, Gap, State
from cti.core.memory import Known
from cti.core.rollcall import Forgotten, RollCall
from cti.core.rules import Rules
from tests.core.dialogue import seen_member

GAP = Gap("p-1192", "p", 1132.0, 1192.437, "link")


def book(*lines: str) -> Rows:
    rows = [parse_queue_line(line) for line in lines]
    return Rows([row for row in rows if isinstance(row, QueueRow)])


def state(of: State, since: float, cause: Cause = Cause.PBX, reason: str = "") -> AgentState:
    return AgentState("p", "11", "11", "PJSIP/11", ("q1",), of, since, reason, cause)


def added(rows: Rows, *known: AgentState) -> list[tuple[State, float]]:
    """What is added, and that nothing more is when it is done again."""
    found = [fact for fact in _new(rows, known) if isinstance(fact, AgentState)]
    assert _new(rows, (*known, *found)) == []
    return [(fact.state, fact.since) for fact in found]


def _new(rows: Rows, known: tuple[AgentState, ...]) -> list[object]:
    new = plan("p", Rules(), [GAP], rows, Known(agent_states=known)).new
    return [fact for fact in new if isinstance(fact, AgentState)]


IN = "1100|MANAGER|q1|11|ADDMEMBER|"
AWAY = "1110|NONE|q1|11|PAUSE|lunch"


def test_a_change_just_before_the_gap_ended_has_its_own_second() -> None:
    """B3: found when the PBX was asked again; the book says since when, though it is only a second before."""
    here, away = state(State.AVAILABLE, 1100.2), state(State.AWAY, 1110.3, Cause.PBX, "lunch")
    found = state(State.AVAILABLE, GAP.ended_at, Cause.LINK_LOST)
    back = "1191|NONE|q1|11|UNPAUSE|"
    assert added(book(IN, AWAY, back), here, away, found) == [(State.AVAILABLE, 1191.0)]


def test_a_change_that_was_seen_is_not_added() -> None:
    """B3: what somebody heard, before the gap or after it, is as it was."""
    seen = state(State.AVAILABLE, 1100.2), state(State.AWAY, 1191.6, Cause.PBX, "lunch")
    assert added(book(IN, "1191|NONE|q1|11|PAUSE|lunch"), *seen) == []


def test_what_is_on_record_is_not_begun_again() -> None:
    """B4: found after the link came back, logged in a moment later as the book has it: there since they were found."""
    found = state(State.AVAILABLE, 1150.4, Cause.LINK_LOST)
    out = state(State.LOGGED_OUT, 1120.2)
    assert added(book("1151|MANAGER|q1|11|ADDMEMBER|"), out, found) == []


def test_gone_and_back_within_a_gap_is_added_whole() -> None:
    """B3: somebody found as they had been left was away meanwhile."""
    rows = book(IN, "1150|MANAGER|q1|11|REMOVEMEMBER|", "1160|MANAGER|q1|11|ADDMEMBER|")
    here = state(State.AVAILABLE, 1100.2)
    assert added(rows, here) == [(State.LOGGED_OUT, 1150.0), (State.AVAILABLE, 1160.0)]


def test_a_change_comes_after_what_was_seen_in_its_second() -> None:
    """B3: still away when the PBX was asked, back in the same second of the book: back after that, not before."""
    away = state(State.AWAY, 1110.3, Cause.PBX, "lunch")
    found = state(State.AWAY, 1150.4, Cause.LINK_LOST, "lunch")
    [(back, since)] = added(
        book(IN, AWAY, "1150|NONE|q1|11|UNPAUSE|"), state(State.AVAILABLE, 1100.2), away, found
    )
    assert back is State.AVAILABLE
    assert 1150.4 < since < 1150.5


def in_two(of: State, since: float, *paused: str, cause: Cause = Cause.PBX) -> AgentState:
    """Somebody in two queues, paused in these of them."""
    return replace(state(of, since, cause), queues=("q1", "q2"), paused=paused)


def test_paused_in_one_queue_and_out_of_the_other_is_away() -> None:
    """C1: the pause is older than the lines; the record has it, and why."""
    rows = replace(book("1150|MANAGER|q1|11|REMOVEMEMBER|", "1160|MANAGER|q1|11|ADDMEMBER|"), since=1090.0)
    here = in_two(State.AVAILABLE, 1050.2, "q2:lunch")
    assert added(rows, here) == [(State.AWAY, 1150.0), (State.AVAILABLE, 1160.0)]
    assert [one.reason for one in _new(rows, (here,)) if isinstance(one, AgentState)] == ["lunch", ""]


def test_a_pause_within_the_lines_was_none_before_them() -> None:
    """C1: a state has the pauses that it ended with; those that the lines tell came with them."""
    lines = ("1140|NONE|q1|11|PAUSE|lunch", "1145|NONE|q1|11|UNPAUSE|", "1150|NONE|q2|11|PAUSE|lunch")
    assert added(replace(book(*lines), since=1090.0), in_two(State.AVAILABLE, 1050.2, "q2:lunch")) == []


START = "1135|NONE|NONE|NONE|QUEUESTART|"
ASKED = Gap("p-1137", "p", 1075.0, 1137.403, "link", 1150.0)


def found_by(rows: Rows, *known: AgentState) -> list[tuple[State, float, str]]:
    """What is added where an Asterisk that had just begun was asked, some while before the gap."""
    new = plan("p", Rules(), [GAP], rows, Known(agent_states=known, gaps=[ASKED])).new
    return [(fact.state, fact.since, fact.reason) for fact in new if isinstance(fact, AgentState)]


def test_paused_in_one_queue_as_an_asterisk_began() -> None:
    """B3: found at work after it, but in one queue only; without that one they are away again."""
    paused = ("1110|NONE|q1|11|PAUSE|break", "1110|NONE|q2|11|PAUSE|break")
    back = "1136|NONE|q2|11|UNPAUSE|"
    out = ("1150|MANAGER|q2|11|REMOVEMEMBER|", "1153|MANAGER|q2|11|ADDMEMBER|")
    away = replace(in_two(State.AWAY, 1110.2, "q1:break", "q2:break"), reason="break")
    found = in_two(State.AVAILABLE, ASKED.ended_at, "q1:break", cause=Cause.LINK_LOST)
    rows = replace(book(*paused, START, back, *out), since=1050.0)
    assert found_by(rows, in_two(State.AVAILABLE, 1040.0), away, found) == [
        (State.AVAILABLE, 1136.0, ""),
        (State.AWAY, 1150.0, "break"),
        (State.AVAILABLE, 1153.0, ""),
    ]


def test_a_logout_that_a_dying_asterisk_forgot() -> None:
    """B3: queue_log still has it; whoever is found logged in was not away, nor gone, for want of that queue."""
    lines = ("1134|MANAGER|q1|11|REMOVEMEMBER|", START, "1150|NONE|q2|11|PAUSE|break")
    here = in_two(State.AVAILABLE, 1040.0)
    assert found_by(replace(book(*lines), since=1050.0), here) == []


def test_only_the_first_look_after_a_begin_tells_what_was_forgotten() -> None:
    """B4: how somebody was found later is what had become of them, and the lines tell that."""
    later = replace(ASKED, id="p-1160", ended_at=1160.62)
    away = replace(
        in_two(State.AWAY, 1160.62, "q1:break", cause=Cause.LINK_LOST), queues=("q1",), reason="break"
    )
    out = replace(in_two(State.LOGGED_OUT, 1160.9), queues=())
    lines = (
        START,
        "1158|MANAGER|q2|11|REMOVEMEMBER|",
        "1159|NONE|q1|11|PAUSE|break",
        "1160|MANAGER|q1|11|REMOVEMEMBER|",
    )
    known = Known(agent_states=(in_two(State.AVAILABLE, 1040.0), away, out), gaps=[ASKED, later])
    rows = replace(book(*lines), since=1050.0)
    new = plan("p", Rules(), [GAP], rows, known).new
    assert [(one.state, one.since) for one in new if isinstance(one, AgentState)] == [(State.AWAY, 1159.0)]


def test_a_line_is_told_before_what_was_found_after_it_whatever_is_told_ahead() -> None:
    """B3: of a call something is told ahead of its time; who was found how is not told with it."""
    found = state(State.AWAY, ASKED.ended_at, Cause.LINK_LOST, "lunch")
    lines = book(START, "1136|NONE|q1|11|PAUSE|lunch").queue_log
    forgotten = Forgotten(RollCall([found], lines), [1135.0], [ASKED.ended_at])
    ahead = ev.BridgeLeft(1138.2, "b", "1.1")
    line = seen_member(1136.0, "11", "PJSIP/11", "q1", what="changed", paused=True, reason="lunch")
    after = ev.BridgeLeft(1138.3, "b", "1.2")
    told = list(forgotten.among([ahead, line, after]))
    assert [told[0], told[1], told[-1]] == [ahead, line, after]
    assert [event.at for event in told[2:-1]] == [ASKED.ended_at]


def test_who_was_found_is_corrected_before_their_own_next_line_however_late_another_agents_is_told() -> None:
    """B3, C1: logouts and pauses are told a tick into the next second, after a login of that second."""
    found = state(State.AWAY, ASKED.ended_at, Cause.LINK_LOST, "lunch")
    lines = book(START, "1136|NONE|q1|11|PAUSE|lunch", "1138|MANAGER|q2|11|ADDMEMBER|").queue_log
    forgotten = Forgotten(RollCall([found], lines), [1135.0], [ASKED.ended_at])
    pause = seen_member(1136.0, "11", "PJSIP/11", "q1", what="changed", paused=True, reason="lunch")
    login = seen_member(1138.0, "11", "PJSIP/11", "q2", what="added")
    late = seen_member(1137.0, "12", "PJSIP/12", "q1", what="changed", paused=True, reason="lunch")
    assert 1137.0 < ASKED.ended_at < 1138.0
    told = list(forgotten.among([pause, login, late]))
    assert [event.at for event in told] == [1136.0, ASKED.ended_at, 1138.0, 1137.0]


def test_how_somebody_was_found_keeps_its_instant() -> None:
    """B3: it is no line of queue_log, which is dated with the begin of its second."""
    found = state(State.AWAY, 1150.4, Cause.LINK_LOST, "lunch")
    back = state(State.AVAILABLE, 1151.0)
    assert _within_its_second(replace(found, previous=State.AVAILABLE), [back]) == replace(
        found, previous=State.AVAILABLE
    )
    assert (
        _within_its_second(
            replace(found, since=1150.0, previous=State.AVAILABLE), [replace(back, since=1150.6)]
        ).since
        > 1150.6
    )


def test_how_somebody_was_found_is_not_dated_back_to_before_the_lines() -> None:
    """B3: what came of them between the begin of the PBX and the first line that was read, other rows tell."""
    here, found = state(State.AVAILABLE, 1100.2), state(State.AWAY, GAP.ended_at, Cause.LINK_LOST, "lunch")
    known = Known(agent_states=(here, found))
    lines = (START, "1136|NONE|q1|11|PAUSE|lunch")
    late = plan("p", Rules(), [GAP], replace(book(*lines), since=1160.0), known).new
    assert [one for one in late if isinstance(one, AgentState)] == []
    whole = plan("p", Rules(), [GAP], replace(book(*lines), since=1050.0), known).new
    assert [(one.state, one.since) for one in whole if isinstance(one, AgentState)] == [(State.AWAY, 1136.0)]
