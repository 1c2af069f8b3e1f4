"""The daemon dies in the middle of every scenario, at any event, and the calls are the same calls all the same (B3)."""

import pytest

from cti.core import events as ev
from cti.core.core import Core
from tests.core.dialogue import remember
from tests.core.shadow import Shadow
from tests.scenarios.fixtures import run_of
from tests.scenarios.judge import PBX, RULES, Run, Session, events_of, play, records
from tests.scenarios.run import FIXTURES
from tests.scenarios.scenes import loaded


def killed(events: list[ev.Event], heard: int) -> Session:
    """What is on record when the first process hears so many events, and a second one the rest."""
    session, shadow = Session(), Shadow(events[:heard])
    play(Core(PBX, RULES), events[:heard], session)
    second = Core(PBX, RULES)
    second.restore(remember(session.latest.values()))
    at = events[heard - 1].at + 0.00001
    play(second, [shadow.resynced(at), *events[heard:]], session)
    return session


def told(session: Session, run: Run) -> list[tuple[str, ...]]:
    """The calls with how they ended; what a gap may cost (who hung up, an open hold) is left out."""
    return [
        (record.direction, record.disposition, *(str(stay.outcome) for stay in record.stays))
        for record in records(session, run)
    ]


def agree(one: list[tuple[str, ...]], whole: list[tuple[str, ...]]) -> bool:
    """Whether they say the same; an end that fell into the gap itself may be unknown, but never another one."""
    return len(one) == len(whole) and all(
        len(a) == len(b) and all(x in {y, "unknown"} for x, y in zip(a, b, strict=True))
        for a, b in zip(one, whole, strict=True)
    )


@pytest.mark.parametrize("name", loaded())
def test_killed_at_any_event(name: str) -> None:
    """B3: a process that goes on from what was stored and from the lists of its login ends with the same calls."""
    events, run = list(events_of(FIXTURES / f"{name}.ami.gz")), run_of(loaded()[name])
    whole = Session()
    play(Core(PBX, RULES), events, whole)
    first = next(n for n, event in enumerate(events) if isinstance(event, ev.ChannelCreated))
    other = {
        heard: type(events[heard - 1]).__name__
        for heard in range(first + 1, len(events))
        if not agree(told(killed(events, heard), run), told(whole, run))
    }
    assert other == {}
