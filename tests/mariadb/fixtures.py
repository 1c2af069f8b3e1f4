"""What a test may ask for. A MariaDB that cannot be provisioned is a failure, never a skip."""

from collections.abc import Iterator

import pytest

from tests.mariadb import provision
from tests.mariadb.server import MariaDB


@pytest.fixture(scope="session")
def mariadb_tree() -> provision.Tree:
    """The server's programs and the ODBC driver; unpacked when they are not there yet."""
    return provision.provision()


@pytest.fixture(scope="session")
def mariadb_server(mariadb_tree: provision.Tree) -> Iterator[MariaDB]:
    """A server for everybody; whoever stops it starts it again."""
    with MariaDB(mariadb_tree) as server:
        yield server
