"""The soak's judgement of agents' states accepts what queue_log says, once and in its second, and nothing else (B3, B4)."""

import random
from dataclasses import replace

import pytest

from cti.core.facts import AgentState, AwayEpisode, Cause, Gap, State
from store.queries import StateSpan
from tests.scenarios.scenes import loaded
from tests.soak.attendance import compare, compare_absences, read
from tests.soak.clerks import QUEUES, Membership, Restart, next_step
from tests.soak.plan import Wanted, chosen
from tests.soak.rules import explain

LOG = """\
1000|MANAGER|returns|2101|ADDMEMBER|
1003|MANAGER|spares|2101|ADDMEMBER|
1010|NONE|NONE|2101|PAUSEALL|lunch
1010|NONE|spares|2101|PAUSE|lunch
1011|NONE|returns|2101|PAUSE|lunch
1020|NONE|NONE|2101|UNPAUSEALL|
1020|NONE|spares|2101|UNPAUSE|
1020|NONE|returns|2101|UNPAUSE|
1030|MANAGER|returns|2101|REMOVEMEMBER|
1033|MANAGER|spares|2101|REMOVEMEMBER|
"""


def span(state: State, since: float, until: float | None, reason: str = "", *queues: str) -> StateSpan:
    return StateSpan(
        AgentState("main", "2101", "2101", "PJSIP/1101", queues, state, since, reason, Cause.PBX), until
    )


RIGHT = [
    span(State.AVAILABLE, 1000.4, 1011.6, "", *QUEUES),
    span(State.AWAY, 1011.6, 1020.0, "lunch", *QUEUES),
    span(State.AVAILABLE, 1020.0, 1033.9, "", "spares"),
    span(State.LOGGED_OUT, 1033.9, None),
]


def kinds(rows: list[StateSpan], log: str = LOG, gaps: tuple[Gap, ...] = ()) -> list[str]:
    return [one.kind for one in compare(read(log, ["2101"]), rows, gaps)]


def moved(place: int, since: float) -> list[StateSpan]:
    """The right rows, of which one begins at another instant."""
    rows = list(RIGHT)
    rows[place - 1] = replace(rows[place - 1], until=since)
    rows[place] = replace(rows[place], state=replace(rows[place].state, since=since))
    return rows


def test_what_the_book_says_is_right() -> None:
    """B4: logged in from the first queue to the last, away while paused in all of them."""
    assert kinds(RIGHT) == []


def test_a_pause_that_is_not_on_record_is_missing() -> None:
    """B3: who came back from it is on record without having gone."""
    assert kinds([replace(RIGHT[0], until=1033.9), RIGHT[3]]) == ["agent_missing", "agent_missing"]


def test_a_state_that_nobody_was_in_is_doubled() -> None:
    """B4: one that no line of the book made, and one that only says again what is there."""
    again = span(State.AVAILABLE, 1025.0, 1033.9, "", "spares")
    assert kinds([*RIGHT[:2], replace(RIGHT[2], until=1025.0), again, RIGHT[3]]) == ["agent_duplicated"]
    meeting = span(State.AWAY, 1025.0, 1025.0 + 8.9, "meeting", "spares")
    assert kinds([*RIGHT[:2], replace(RIGHT[2], until=1025.0), meeting, RIGHT[3]]) == ["agent_duplicated"]


def test_what_was_found_after_a_gap_is_no_second_state() -> None:
    """A1: the row of what the PBX was found in stands beside the book's row, which says since when."""
    found = span(State.AVAILABLE, 1025.0, 1033.9, "", "spares")
    rows = [*RIGHT[:2], replace(RIGHT[2], until=1025.0), found, RIGHT[3]]
    assert kinds(rows, gaps=(Gap("g", "main", 1001.0, 1025.0, "link"),)) == []


@pytest.mark.parametrize("since", [1018.5, 1022.0, 1026.0])
def test_another_second_than_the_books_is_wrong(since: float) -> None:
    """B4: instants agree to the second of the book."""
    assert kinds(moved(2, since)) == ["agent_since"]


@pytest.mark.parametrize("since", [1020.0, 1020.95])
def test_the_books_second_is_right(since: float) -> None:
    """B4: queue_log has whole seconds, AMI has parts of them."""
    assert kinds(moved(2, since)) == []


def test_a_hole_between_two_states_is_wrong() -> None:
    """C1: exactly one state at any instant."""
    assert kinds([RIGHT[0], replace(RIGHT[1], until=1019.0), *RIGHT[2:]]) == ["agent_until"]
    assert kinds([*RIGHT[:3], replace(RIGHT[3], until=1040.0)]) == ["agent_until"]


def test_who_is_logged_in_where_is_right_in_the_end() -> None:
    """C1: the last row names the queues that the book leaves the agent in."""
    log = "".join(LOG.splitlines(keepends=True)[:8])
    assert kinds([*RIGHT[:2], replace(RIGHT[2], until=None)], log) == ["agent_queues"]


def test_what_a_restarted_pbx_lost_is_no_error() -> None:
    """A killed Asterisk loses its last AstDB writes: what it says it has, then, is the truth of that moment."""
    log = "".join([*LOG.splitlines(keepends=True)[:5], "1013|NONE|NONE|NONE|QUEUESTART|\n"])
    lost: Membership = {"returns": (False, ""), "spares": (False, "")}
    restart = Restart(1011.8, 1014.0, {"2101": lost})
    seats = read(log, ["2101"], [restart])
    rows = [*RIGHT[:1], replace(RIGHT[1], until=1016.0), span(State.AVAILABLE, 1016.0, None, "", *QUEUES)]
    assert list(compare(seats, rows)) == []
    assert [one.kind for one in compare(read(log, ["2101"]), rows)] == ["agent_duplicated"]


def test_what_was_forgotten_and_undone_before_anybody_asked_is_in_no_book() -> None:
    """Only between the begin of the PBX and the daemon's question, and only for whom it forgot something."""
    lines = LOG.splitlines(keepends=True)
    again = [line.replace("1020|", "1026|") for line in lines[5:8]]
    log = "".join([*lines[:8], "1023|NONE|NONE|NONE|QUEUESTART|\n", *again, *lines[8:]])
    lost: Membership = {"returns": (True, "lunch"), "spares": (True, "lunch")}
    kept: Membership = {"returns": (False, ""), "spares": (False, "")}

    def found(members: Membership, looked: float, rows: list[StateSpan]) -> list[tuple[str, str]]:
        gaps = [Gap("g", "main", 1020.4, looked, "link")]
        seats = read(log, ["2101"], [Restart(1020.5, 1023.4, {"2101": members})], 0.0, gaps)
        return [(one.kind, explain(one)) for one in compare(seats, rows, gaps)]

    assert found(lost, 1027.0, RIGHT) == [("agent_forgotten", "forgotten")] * 2
    assert found(lost, 1024.5, RIGHT) == [("agent_missing", "")] * 2
    assert found(kept, 1027.0, RIGHT) == []
    assert found(kept, 1027.0, [RIGHT[0], replace(RIGHT[1], until=1033.9), RIGHT[3]]) == [
        ("agent_missing", "")
    ]
    never_away = [*RIGHT[:1], replace(RIGHT[2], until=1033.9), RIGHT[3]]
    assert ("agent_missing", "") in found(lost, 1027.0, never_away), (
        "what was so before it died is in the book"
    )


def absent(*spans: tuple[float, float | None]) -> list[str]:
    episodes = [
        AwayEpisode(
            f"main-2101-{began}", "main", "2101", "lunch", began, began + 60, began + 90, ended_at=ended
        )
        for began, ended in spans
    ]
    return [one.kind for one in compare_absences(read(LOG, ["2101"]), episodes)]


@pytest.mark.parametrize(
    ("spans", "found"),
    [
        ([(1011.6, 1020.2)], []),
        ([], ["absence_missing"]),
        ([(1011.6, 1015.0), (1015.0, 1020.2)], ["absence_duplicated", "absence_wrong", "absence_wrong"]),
        ([(1014.0, 1020.2)], ["absence_wrong"]),
        ([(1011.6, 1017.0)], ["absence_wrong"]),
        ([(1011.6, None)], ["absence_wrong"]),
        ([(1011.6, 1020.2), (1024.0, 1027.0)], ["absence_wrong"]),
        ([(1010.0, 1020.2)], ["absence_wrong"]),  # paused in one queue a second before the other
        ([(1021.0, 1033.2)], ["absence_missing", "absence_wrong"]),
    ],
    ids=["right", "missing", "in two", "late", "early", "open", "invented", "last pause", "another"],
)
def test_an_absence_is_one_episode_from_its_begin_to_its_end(
    spans: list[tuple[float, float | None]], found: list[str]
) -> None:
    """C3: each time away is within one episode, which begins and ends when the book says."""
    assert absent(*spans) == found


def test_clerks_do_everything_in_any_state() -> None:
    """C1, C2: whoever is logged out logs in; the others leave, pause and come back, of one queue and of all."""
    dice = random.Random(1)
    out = {next_step(dice, "2101", {})[0] for _ in range(50)}
    away = {next_step(dice, "2101", {"spares": (True, "lunch")})[0] for _ in range(200)}
    paused = [
        next_step(dice, "2101", {"spares": (True, "lunch"), "returns": (False, "")})[1] for _ in range(500)
    ]
    assert (out, away) == ({"QueueAdd"}, {"QueueAdd", "QueueRemove", "QueuePause"})
    assert {headers.get("Reason") for headers in paused if headers.get("Queue") == "returns"} == {
        None,
        "lunch",
    }


def test_only_the_chosen_scenarios_are_played() -> None:
    """Names are given by their beginnings."""
    plays = chosen(Wanted(only=("attended",), without=("attended_to",)), tuple(loaded().values()))
    assert plays
    assert all(play.name.startswith("attended") and not play.name.startswith("attended_to") for play in plays)
