"""Alembic's entry: works on the caller's connection (`store.migrations.upgrade`), or on CTI_DATABASE_URL."""

import asyncio
import os

from alembic import context
from sqlalchemy import Connection

from store.engine import make_engine, parse_url
from store.tables import metadata


def _migrate(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=metadata,
        render_as_batch=connection.dialect.name == "sqlite",
        transactional_ddl=True,  # our BEGIN holds on SQLite too
        compare_type=True,
        user_module_prefix="",  # revisions import our column types by name
    )
    with context.begin_transaction():
        context.run_migrations()


async def _connect() -> None:
    engine = make_engine(parse_url(os.environ["CTI_DATABASE_URL"]), write=True, pool_size=1)
    async with engine.begin() as connection:
        await connection.run_sync(_migrate)
    await engine.dispose()


_given = context.config.attributes.get("connection")
if context.is_offline_mode():
    context.configure(dialect_name="postgresql", target_metadata=metadata, as_sql=True)
    with context.begin_transaction():
        context.run_migrations()
elif _given is not None:
    _migrate(_given)
else:
    asyncio.run(_connect())
