"""The soak's own reading of the books finds the calls of every recorded scenario (B4)."""

import pytest

from tests.scenarios.run import FIXTURES
from tests.scenarios.scenes import loaded
from tests.soak.books import Ledger


@pytest.mark.parametrize("name", loaded())
def test_as_many_calls_as_declared(name: str) -> None:
    """B4: channels are tied to exactly the calls that the scenario declares, and the CDR knows each of them."""
    queue_log, cdr, cel = (FIXTURES / f"{name}.{book}" for book in ("queue_log", "cdr.csv", "cel.csv"))
    ledger = Ledger.of_files(queue_log, cdr, cel)
    assert len(ledger.calls) == len(loaded()[name].records)
    assert all(told.cdr and told.ended is not None for told in ledger.calls)
