"""Each scenario's committed run: the record is as it must be, and agrees with the books of that run (B1, B4)."""

import pytest

from cti.core.core import Core
from tests.scenarios.fixtures import judged, run_of
from tests.scenarios.judge import PBX, RULES, Session, differences, events_of, play
from tests.scenarios.run import FIXTURES
from tests.scenarios.scenes import loaded


@pytest.mark.parametrize("name", loaded())
def test_the_record_from_the_fixture(name: str) -> None:
    """B1, B4: the recorded stream of a real call gives the record that the scenario declares."""
    assert judged(loaded()[name]) == []


@pytest.mark.parametrize("name", loaded())
def test_said_twice(name: str) -> None:
    """B1: every event told twice in a row makes the same record."""
    session = Session()
    twice = (event for once in events_of(FIXTURES / f"{name}.ami.gz") for event in (once, once))
    play(Core(PBX, RULES), twice, session)
    assert differences(session, run_of(loaded()[name])) == []
