"""Fixtures that any room's tests may ask for, and how tests are shared out among the workers."""

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import settings

from tests.mariadb.fixtures import mariadb_server, mariadb_tree
from tests.pg.fixtures import pg_blank, pg_database, pg_own, pg_server, pg_shared, pg_tree

__all__ = [
    "mariadb_server",
    "mariadb_tree",
    "pg_blank",
    "pg_database",
    "pg_own",
    "pg_server",
    "pg_shared",
    "pg_tree",
]

_HERE = Path(__file__).parent
_LONGEST_FIRST = (
    "chaos", "soak", "scenarios", "end_to_end", "demo", "pbx", "books", "fuzz", "store", "daemon",
)  # fmt: skip


settings.register_profile("busy_machine", deadline=None)  # how long an example takes says nothing on one
settings.load_profile("busy_machine")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The rooms whose modules take long begin, so that no worker is left alone with one at the end.

    Raises:
        pytest.UsageError: tests have the same id, so that the workers would run but one of them.
    """
    double = [name for name, times in Counter(item.nodeid for item in items).items() if times > 1]
    if double:
        raise pytest.UsageError(f"several tests have one id: {', '.join(double)}")
    items.sort(key=_rank)


def _rank(item: pytest.Item) -> int:
    room = Path(item.path).relative_to(_HERE).parts[0]
    return _LONGEST_FIRST.index(room) if room in _LONGEST_FIRST else len(_LONGEST_FIRST)
