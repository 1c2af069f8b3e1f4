"""docs/scenarios.md says what the tests say."""

from cti.core.untold import NOT_TOLD
from tests.scenarios.model import RULES
from tests.scenarios.scenes import loaded
from tests.scenarios.table import DOCUMENT, document


def test_the_document_is_in_step() -> None:
    """B4: the table and the written rules are those the tests work by (`python -m tests.scenarios.table`)."""
    assert DOCUMENT.read_text() == document()


def test_every_rule_is_written_down_and_used() -> None:
    """B4: a difference with the books is explained only by a written rule, and no rule stands there for nothing."""
    assert {rule for play in loaded().values() for rule in play.explained.values()} == set(RULES)


def test_everything_that_is_not_compared_stands_in_the_document() -> None:
    """B4: what the books cannot be asked for is said, word for word."""
    text = DOCUMENT.read_text()
    for name, why in NOT_TOLD.items():
        assert f"* **{name}**: {why}\n" in text
