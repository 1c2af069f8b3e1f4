"""Deaths and lost links anywhere in a scenario: what the books completed is the declared record, and theirs in every field (B3, B4)."""

import random
from collections.abc import Sequence
from dataclasses import replace

import pytest

from cti.core import events as ev
from cti.core.core import Core
from cti.core.facts import Attempt, Gap, Quality, QueueStay
from tests.core.dialogue import remember
from tests.core.shadow import Shadow
from tests.core.test_comparison import EXPLAINED, compared, shown
from tests.core.test_comparison import told as recorded
from tests.scenarios.fixtures import run_of
from tests.scenarios.judge import PBX, RULES, Session, play
from tests.scenarios.scenes import loaded
from tests.scenarios.test_gaps import books, broken, fill, heard, on_record
from tests.soak.rules import explain
from tests.soak.verdict import against_plan

BREAKS = (1, 2, 2, 2, 3)  # how many in each draw, at places drawn from the scenario's name
STOPPED, LINK = "stopped", "link"

# Numbers of the events at which it broke and came back, and what was told wrong then.
FOUND = [
    # left the queue when they hung up: found in no queue meanwhile
    ("voicemail_after_a_queue", (4, 6), (STOPPED,)),
    ("queue_same_twice", (12, 18), (STOPPED,)),
    ("queue_overflows_to_a_phone", (14, 18), (STOPPED,)),
    # put through when the agent picked up, or answered when somebody looked
    ("queue_agent_leaves_in_announcement", (26, 30), (STOPPED,)),
    ("queue_agent_leaves_in_announcement", (25, 26, 33, 37), (STOPPED, STOPPED)),
    ("attended_by_feature_code", (13, 14, 15, 32), (STOPPED, STOPPED)),
    # the caller waited in the queue in which the consultation had been answered
    ("attended_to_a_queue", (30, 50), (STOPPED,)),
    ("attended_to_a_queue", (31, 47), (STOPPED,)),
    # half finished, though the consultation had been answered; attended, though it still rang
    ("attended_to_a_queue", (24, 34), (LINK,)),
    ("attended_to_a_queue", (26, 33, 38, 51), (STOPPED, STOPPED)),
    ("attended_to_outside", (23, 29), (STOPPED,)),
    ("half_finished_and_recalled", (37, 38), (STOPPED,)),
    # the phone behind the member rang by itself
    ("queue_local_member_abandoned", (20, 25), (STOPPED,)),
    ("queue_local_member_abandoned", (13, 25), (STOPPED,)),
    ("queue_local_member_abandoned", (5, 25, 26, 30), (STOPPED, STOPPED)),
    # the caller talked with what was left of a chain
    ("queue_nested_local_member", (10, 79), (STOPPED,)),
    # a phone that a program rings ended the call
    ("originate_busy", (5, 6), (LINK,)),
    # who talks on talked twice
    ("conference_of_three", (13, 20), (LINK,)),
    ("conference_coming_and_going", (15, 29, 35, 38), (LINK, LINK)),
    # turned away before the wait that ran out
    ("queue_timeout_then_turned_away", (4, 9, 10, 11, 15, 16), (STOPPED, LINK, LINK)),
    # ended by who had handed the caller on
    ("attended_by_feature_code", (15, 25, 42, 67), (LINK, LINK)),
    # a consultation for the queue of the talk before it
    ("attended_by_program", (15, 21, 23, 49, 53, 59), (STOPPED, LINK, STOPPED)),
    # a talk that was found as it ended, beside the one that it was
    ("attended_to_outside", (14, 28, 29, 43), (LINK, LINK)),
    ("attended_by_feature_code", (19, 41, 42, 51), (LINK, LINK)),
    ("attended_then_blind", (17, 33, 35, 49), (STOPPED, LINK)),
    # the talk that goes on talked twice
    ("attended_three_way", (44, 59, 61, 66), (LINK, LINK)),
    ("attended_three_way", (7, 36, 46, 58), (LINK, LINK)),
    # ended as who talks on changed bridges
    ("attended_three_way", (22, 48, 50, 65), (STOPPED, STOPPED)),
    ("attended_three_way", (24, 48, 49, 71), (LINK, LINK)),
]


def _differences(
    name: str, events: Sequence[ev.Event], places: Sequence[int], kinds: Sequence[str]
) -> list[str]:
    session, gaps = broken(events, places, kinds)
    fill(session, gaps[0], books(name), *gaps[1:])
    found = against_plan(on_record(session), run_of(loaded()[name]))
    other = [str(one) for one in found if one.quality == Quality.COMPLETE or not explain(one)]
    report = compared(recorded(name), session.latest.values())
    assert {one.rule for one in report.explained} <= EXPLAINED.get(name, set())
    return [f"{places} {kinds} {one}" for one in (*other, *shown(report), *_astray(session))]


def _astray(session: Session) -> list[str]:
    """Ringings that name a wait of another queue, or one that was not then."""
    stays = {stay.id: stay for stay in session.all(QueueStay)}
    return [
        f"{one.id} of {one.queue} in {stay}"
        for one in session.all(Attempt)
        if one.stay_id is not None
        and (
            (stay := stays[one.stay_id]).queue != one.queue
            or not stay.joined_at - 1 <= one.started_at <= (stay.left_at or one.started_at) + 1
        )
    ]


@pytest.mark.parametrize(("name", "places", "kinds"), FOUND)
def test_breaks_that_were_told_wrong(name: str, places: tuple[int, ...], kinds: tuple[str, ...]) -> None:
    """B3, B4: what searches over all places found stays mended."""
    assert _differences(name, heard(name, run_of(loaded()[name])), places, kinds) == []


@pytest.mark.parametrize("early", [0.025, -0.025])
def test_a_wait_that_a_list_begins_next_to_its_instant(early: float) -> None:
    """B3: a list has whole seconds; however close to the truth that is, it stands after the refusal before it."""
    name = "queue_turned_away_before_and_after"
    events = heard(name, run_of(loaded()[name]))
    join = next(n for n, event in enumerate(events) if isinstance(event, ev.CallerJoined))
    listed = Shadow(events[: join + 4]).resynced(events[join].at + 1 - early)
    (waits,) = listed.waiting
    listed = replace(listed, waiting=(replace(waits, waited=1.0),))  # a second has begun on the PBX's clock
    session, died = Session(), events[join - 1].at
    play(Core(PBX, RULES), events[:join], session)
    core = Core(PBX, RULES)
    core.restore(remember(session.latest.values()))
    play(core, [listed, *(event for event in events[join:] if event.at > listed.at)], session)
    fill(session, Gap("gap", PBX, died, listed.at, STOPPED), books(name))
    assert [str(one) for one in against_plan(on_record(session), run_of(loaded()[name]))] == []


@pytest.mark.parametrize("name", loaded())
def test_breaks_anywhere(name: str) -> None:
    """B3, B4: it dies or loses the link, once or several times in one call, wherever that is."""
    events = heard(name, run_of(loaded()[name]))
    first = next(n for n, event in enumerate(events) if isinstance(event, ev.ChannelCreated))
    dice, inside = random.Random(f"breaks {name}"), range(first + 1, len(events))
    found = []
    for breaks in BREAKS:
        places = sorted(dice.sample(inside, k=min(2 * breaks, len(inside) // 2 * 2)))
        kinds = [dice.choice((STOPPED, LINK)) for _ in places[::2]]
        found += _differences(name, events, places, kinds)
    assert found == []
