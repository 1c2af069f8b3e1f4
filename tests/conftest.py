"""Fixtures that any room's tests may ask for."""

from tests.pg.fixtures import pg_blank, pg_database, pg_own, pg_server, pg_shared, pg_tree

__all__ = ["pg_blank", "pg_database", "pg_own", "pg_server", "pg_shared", "pg_tree"]
