"""One MariaDB and one PostgreSQL, and in each a database of a test's own with the tables of the books."""

import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from config.sections import BookSources
from cti.daemon.bookdb import DatabaseBooks
from tests.books import pbx
from tests.mariadb.server import MariaDB
from tests.pg.server import Postgres

KINDS = ("mariadb", "postgresql")


@dataclass
class Tables:
    """A database with the tables of the books; the daemon's account may only SELECT."""

    kind: str
    name: str
    port: int
    password: str
    execute: Callable[..., list[tuple[Any, ...]]]
    """Runs statements as the PBX's administrator."""

    @property
    def url(self) -> str:
        driver = "mysql+asyncmy" if self.kind == "mariadb" else "postgresql+asyncpg"
        return f"{driver}://{pbx.READER}@127.0.0.1:{self.port}/{self.name}"

    def sources(self, **more: Any) -> BookSources:
        given = {"timezone": "UTC", "late": 0.0, "queue_log_table": "queue_log", **more}
        return BookSources.model_validate({"url": self.url, "password": self.password, **given})

    def books(self, **more: Any) -> DatabaseBooks:
        return DatabaseBooks(self.sources(**more))

    def grant(self, *tables: str) -> None:
        """Let the daemon read more tables, or views."""
        maria = self.kind == "mariadb"
        what = "SELECT, SHOW VIEW" if maria else "SELECT"
        account = f"'{pbx.READER}'@'127.0.0.1'" if maria else pbx.READER
        self.execute(*(f"GRANT {what} ON {table} TO {account}" for table in tables))

    def insert(self, table: str, rows: list[dict[str, Any]]) -> None:
        """As the PBX would."""
        names = ", ".join(_quoted(self.kind, name) for name in rows[0])
        values = ", ".join(f"({', '.join(map(_literal, row.values()))})" for row in rows)
        self.execute(f"INSERT INTO {table} ({names}) VALUES {values}")  # noqa: S608 - made by the tests


def _quoted(kind: str, name: str) -> str:
    return f"`{name}`" if kind == "mariadb" else f'"{name}"'


def _literal(value: object) -> str:
    if isinstance(value, int | float):
        return repr(value)
    return "'" + str(value).replace("'", "''") + "'"


def in_mariadb(server: MariaDB) -> Tables:
    name = f"books_{secrets.token_hex(4)}"
    pbx.make_mariadb(server, name)

    def execute(*statements: str) -> list[tuple[Any, ...]]:
        return server.execute(*statements, database=name)

    return Tables("mariadb", name, server.port, server.password, execute)


def in_postgresql(server: Postgres, name: str) -> Tables:
    pbx.make_postgresql(server, name)

    def execute(*statements: str) -> list[tuple[Any, ...]]:
        return [server.execute(statement, name) for statement in statements][-1]

    return Tables("postgresql", name, server.port, server.password, execute)


@pytest.fixture(scope="session")
def databases(mariadb_server: MariaDB, pg_server: Postgres) -> Iterator[dict[str, Tables]]:
    """One of each kind, for one test after the other."""
    with pg_server.database() as name:
        yield {"mariadb": in_mariadb(mariadb_server), "postgresql": in_postgresql(pg_server, name)}


@pytest.fixture(params=KINDS)
def database(request: pytest.FixtureRequest, databases: dict[str, Tables]) -> Tables:
    """Each of them, empty."""
    found = databases[request.param]
    found.execute(*(f"TRUNCATE TABLE {table}" for table in ("cdr", "cel", "queue_log")))
    return found
