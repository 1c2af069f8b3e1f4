"""Ten thousand rejections are the point here, and nobody's log."""

from collections.abc import Iterator

import pytest
import structlog
from structlog.types import EventDict, WrappedLogger


def _drop(_logger: WrappedLogger, _name: str, _event: EventDict) -> EventDict:
    raise structlog.DropEvent


@pytest.fixture
def silent() -> Iterator[None]:
    """The daemon's log goes nowhere."""
    before = structlog.get_config()
    structlog.configure(processors=[_drop], cache_logger_on_first_use=False)
    yield
    structlog.configure(**before)
