"""What the books add to the states of agents: since when somebody was in what they were found in after a gap (B3, C1)."""

from cti.core.backfill import Rows, plan
from cti.core.books import QueueRow, parse_queue_line
from cti.core.facts import AgentState, Cause, Gap, State
from cti.core.memory import Known
from cti.core.rules import Rules

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
