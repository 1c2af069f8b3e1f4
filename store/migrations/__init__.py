"""Schema changes, one revision a file, shipped with the program and run by it at every start.

A database that is at the newest revision already is told by one question: Alembic is loaded only where there is something
to do, for it takes a noticeable part of a start.
"""

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import URL, Connection, inspect, text

from store.engine import DATABASE_ERRORS, make_engine, translated

if TYPE_CHECKING:
    from alembic.config import Config

_LOCK = 0x637469  # any number that two starting daemons agree on
_PATIENCE_S = 60  # for another starter's migration


async def upgrade(url: URL, revision: str = "head") -> None:
    """Bring the database to the newest schema, in one transaction; does nothing when it is there already.

    Raises:
        StoreError: the database cannot be reached, or a revision failed; nothing was changed then.
    """
    engine = make_engine(url, write=True, pool_size=1, hasty=False)
    try:
        async with engine.begin() as connection:
            await connection.run_sync(_run, revision)
    except DATABASE_ERRORS as error:
        raise translated(error, url) from error
    finally:
        await engine.dispose()


def config(connection: Connection | None = None) -> "Config":
    """Alembic's configuration without a file; `connection` has to be in a transaction of the caller's."""
    from alembic.config import Config  # noqa: PLC0415 - see above

    made = Config()
    made.set_main_option("script_location", str(Path(__file__).parent))
    made.attributes["connection"] = connection
    return made


def _run(connection: Connection, revision: str) -> None:
    if connection.dialect.name == "postgresql":  # SQLite's BEGIN IMMEDIATE keeps a second starter out
        connection.execute(text(f"SET LOCAL lock_timeout = '{_PATIENCE_S}s'"))
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    if revision == "head" and _revision(connection) == newest():
        return
    from alembic import command  # noqa: PLC0415 - see above

    logging.getLogger("alembic").setLevel(logging.WARNING)  # it reports each start at INFO
    command.upgrade(config(connection), revision)


def newest() -> str:
    """The newest revision there is: each file's name begins with its revision, and they are counted up."""
    return max(path.name.partition("_")[0] for path in Path(__file__).parent.glob("versions/[0-9]*_*.py"))


def _revision(connection: Connection) -> str | None:
    """The revision a database is at; None for one that is not ours yet."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return found
