"""One death or two anywhere in a scenario: what the books completed is the declared record, and the books' in every field (B3, B4)."""

import random
from collections.abc import Sequence

import pytest

from cti.core import events as ev
from cti.core.facts import Quality
from tests.core.test_comparison import EXPLAINED, compared, shown
from tests.core.test_comparison import told as recorded
from tests.scenarios.fixtures import run_of
from tests.scenarios.scenes import loaded
from tests.scenarios.test_gaps import books, fill, heard, interrupted, interrupted_twice, on_record
from tests.soak.rules import explain
from tests.soak.verdict import against_plan

TWICE = 4  # of each scenario, at places drawn from its name
_FEWEST = 6  # events in which to die twice

# Numbers of the events at which it died and came back, and what was told wrong then.
FOUND = [
    ("voicemail_after_a_queue", (4, 6)),  # left the queue when they hung up: found in no queue meanwhile
    ("queue_same_twice", (12, 18)),
    ("queue_overflows_to_a_phone", (14, 18)),
    ("queue_agent_leaves_in_announcement", (26, 30)),  # put through when the agent picked up
    ("queue_agent_leaves_in_announcement", (25, 26, 33, 37)),  # answered when somebody looked
    ("attended_by_feature_code", (13, 14, 15, 32)),
    ("attended_to_a_queue", (30, 50)),  # the caller waited in the queue in which the consultation had been answered
    ("attended_to_a_queue", (31, 47)),
    ("attended_to_a_queue", (26, 33, 38, 51)),  # half finished, though the consultation had been answered
    ("attended_to_outside", (23, 29)),
    ("half_finished_and_recalled", (37, 38)),  # attended, though the consultation still rang
    ("queue_local_member_abandoned", (20, 25)),  # the phone behind the member rang by itself
    ("queue_local_member_abandoned", (13, 25)),
    ("queue_local_member_abandoned", (5, 25, 26, 30)),
    ("queue_nested_local_member", (10, 79)),  # the caller talked with what was left of a chain
]  # fmt: skip


def _differences(name: str, events: Sequence[ev.Event], places: Sequence[int]) -> list[str]:
    if len(places) == 2:
        session, gap = interrupted(events, *places)
        gaps = [gap]
    else:
        session, gaps = interrupted_twice(events, places)
    fill(session, gaps[0], books(name), *gaps[1:])
    found = against_plan(on_record(session), run_of(loaded()[name]))
    other = [str(one) for one in found if one.quality == Quality.COMPLETE or not explain(one)]
    report = compared(recorded(name), session.latest.values())
    assert {one.rule for one in report.explained} <= EXPLAINED.get(name, set())
    return [f"{places} {one}" for one in (*other, *shown(report))]


@pytest.mark.parametrize(("name", "places"), FOUND)
def test_deaths_that_were_told_wrong(name: str, places: tuple[int, ...]) -> None:
    """B3, B4: what searches over all places found stays mended."""
    assert _differences(name, heard(name, run_of(loaded()[name])), places) == []


# The shadow PBX that lists channels after a gap does not know which application keeps those of an agent pool apart.
@pytest.mark.parametrize("name", [name for name in loaded() if not name.startswith("agent_pool")])
def test_two_deaths_in_one_call(name: str) -> None:
    """B3, B4: it dies, comes back, dies again and comes back, wherever that is."""
    events = heard(name, run_of(loaded()[name]))
    first = next(n for n, event in enumerate(events) if isinstance(event, ev.ChannelCreated))
    dice, places = random.Random(f"deaths {name}"), range(first + 1, len(events))
    draws = [sorted(dice.sample(places, k=4)) for _ in range(TWICE)] if len(places) >= _FEWEST else []
    draws += [sorted(dice.sample(places, k=2))]
    assert [one for drawn in draws for one in _differences(name, events, drawn)] == []
