"""What a test may ask for. A PostgreSQL that cannot be provisioned is a failure, never a skip."""

import asyncio
from collections.abc import Iterator

import pytest

from store.engine import parse_url
from store.migrations import upgrade
from tests.pg import provision
from tests.pg.server import Postgres


@pytest.fixture(scope="session")
def pg_tree() -> provision.Tree:
    """The server's programs; unpacked when they are not there yet, which may take longer than a test's time."""
    return provision.provision()


@pytest.fixture(scope="session")
def pg_blank(pg_tree: provision.Tree) -> Iterator[Postgres]:
    """One that is never started: what others are copied from."""
    blank = Postgres(pg_tree)
    try:
        blank.make()
        yield blank
    finally:
        blank.remove()


@pytest.fixture(scope="session")
def pg_server(pg_tree: provision.Tree, pg_blank: Postgres) -> Iterator[Postgres]:
    """A server for everybody: not to be stopped."""
    with Postgres(pg_tree, pg_blank) as server:
        yield server


@pytest.fixture(scope="session")
def pg_shared(pg_server: Postgres) -> Iterator[str]:
    """Name of a migrated database that tests use one after the other; whoever does empties it first."""
    with pg_server.database() as name:
        asyncio.run(upgrade(parse_url(pg_server.url(name))))
        yield name


@pytest.fixture
def pg_database(pg_server: Postgres) -> Iterator[str]:
    """Name of an empty database of the test's own, without any table."""
    with pg_server.database() as name:
        yield name


@pytest.fixture
def pg_own(pg_tree: provision.Tree, pg_blank: Postgres) -> Iterator[Postgres]:
    """A server of the test's own, to be stopped, killed and frozen at will."""
    with Postgres(pg_tree, pg_blank) as server:
        yield server
