"""All scenarios, entered by importing the modules that hold them."""

from tests.scenarios import direct, duty, other, programs, queues, states, transfers
from tests.scenarios.model import ALL, Scenario

_MODULES = (direct, queues, transfers, other, programs, duty, states)


def loaded() -> dict[str, Scenario]:
    """Every scenario by name."""
    assert _MODULES
    return ALL
