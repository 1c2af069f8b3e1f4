"""Fixtures that any room's tests may ask for, and how tests are shared out among the workers."""

from pathlib import Path

import pytest

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
    "chaos",
    "soak",
    "scenarios",
    "end_to_end",
    "pbx",
    "books",
    "demo",
    "fuzz",
    "store",
    "daemon",
)
_ONE_PBX = frozenset(
    {"chaos", "soak", "end_to_end", "pbx", "books"}
)  # rooms whose tests share what they set up


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One group for each room whose tests share a PBX, one for each module elsewhere; the long ones begin first."""
    for item in items:
        item.add_marker(pytest.mark.xdist_group(_group(item)))
    items.sort(key=_rank)


def _group(item: pytest.Item) -> str:
    place = Path(item.path).relative_to(_HERE)
    return place.parts[0] if place.parts[0] in _ONE_PBX else str(place.with_suffix(""))


def _rank(item: pytest.Item) -> int:
    room = Path(item.path).relative_to(_HERE).parts[0]
    return _LONGEST_FIRST.index(room) if room in _LONGEST_FIRST else len(_LONGEST_FIRST)
