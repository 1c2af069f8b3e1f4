"""Each scenario's committed run: the record is as it must be, and agrees with the books of that run (B1, B4)."""

import pytest

from tests.scenarios.fixtures import judged
from tests.scenarios.scenes import loaded


@pytest.mark.parametrize("name", loaded())
def test_the_record_from_the_fixture(name: str) -> None:
    """B1, B4: the recorded stream of a real call gives the record that the scenario declares."""
    assert judged(loaded()[name]) == []
