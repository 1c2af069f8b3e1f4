"""The whole pipeline, recorded bytes to committed rows, on both databases."""

from typing import Any

from sqlalchemy import select

from cti.daemon.replay import replay
from store.engine import make_engine, parse_url
from store.tables import FACT_TABLES
from tests.debtree import PROJECT_ROOT
from tests.pg.server import Postgres

RECORDING = PROJECT_ROOT / "tests/recordings/demo.ami.gz"


async def _records(url: str) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every kind of fact, as Python has it."""
    engine = make_engine(parse_url(url), write=False)
    try:
        async with engine.connect() as connection:
            found = {}
            for table in FACT_TABLES.values():
                rows = await connection.execute(select(table).order_by(*table.primary_key))
                found[table.name] = [tuple(row) for row in rows]
            return found
    finally:
        await engine.dispose()


async def test_both_databases_hold_the_same_records(url: str, pg_server: Postgres, pg_database: str) -> None:
    """A recorded session gives identical rows on SQLite and on PostgreSQL; replaying it over them changes nothing."""
    other = pg_server.url(pg_database)
    summaries = [await replay(RECORDING, database_url=one) for one in (url, other, other)]
    assert summaries[0] == summaries[1] == summaries[2]
    assert summaries[0].calls > 30
    first, second = await _records(url), await _records(other)
    assert sum(map(len, first.values())) > 300
    assert first == second
