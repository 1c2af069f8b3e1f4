"""Column types whose Python side is what the facts use. Migrations use them too: never change what one stores."""

import json
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from sqlalchemy import BigInteger, Text
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator, TypeEngine

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_PER_SECOND = 1_000_000


class UtcInstant(TypeDecorator[float]):
    """An instant: float epoch seconds in Python, exact to the microsecond in the database.

    On PostgreSQL a TIMESTAMPTZ. On SQLite an integer count of microseconds since the epoch: it is exact, half the size
    of ISO text in rows and indexes, and compares as one integer (`datetime(x / 1e6, 'unixepoch')` shows it to people).
    """

    impl = BigInteger
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """TIMESTAMPTZ where there is one."""
        if dialect.name == "postgresql":
            return dialect.type_descriptor(TIMESTAMP(timezone=True))
        return dialect.type_descriptor(BigInteger())

    def process_bind_param(self, value: float | None, dialect: Dialect) -> Any:
        """Epoch seconds to what the database keeps."""
        if dialect.name != "postgresql" or value is None:
            return _micros(value)
        return aware_of_epoch(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> float | None:
        """What the database keeps to epoch seconds; the nearest float of the stored microseconds."""
        if value is None:
            return None
        micros = (value - _EPOCH) // _MICROSECOND if dialect.name == "postgresql" else value
        return float(micros / _PER_SECOND)


class TextTuple(TypeDecorator[tuple[str, ...]]):
    """A tuple of strings, kept as a JSON list in one text column; read whole, never searched."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: tuple[str, ...] | None, dialect: Dialect) -> str | None:  # noqa: ARG002 - SQLAlchemy's signature
        """Tuple to JSON."""
        return None if value is None else json_of_tuple(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> tuple[str, ...] | None:  # noqa: ARG002 - SQLAlchemy's signature
        """JSON to tuple."""
        if value == "[]":  # nearly all of them
            return ()
        return None if value is None else tuple(json.loads(value))


def _micros(value: float | None) -> int | None:
    return None if value is None else round(value * _PER_SECOND)


def aware_of_epoch(value: float) -> datetime:
    """An instant as PostgreSQL's driver takes it."""
    return _EPOCH + round(value * _PER_SECOND) * _MICROSECOND


@lru_cache(maxsize=4096)  # an agent's queues stand in each of that agent's states
def json_of_tuple(value: tuple[str, ...]) -> str:
    """A tuple as a JSON list."""
    return json.dumps(value, ensure_ascii=False)
