"""B3, B4 on a real PBX that writes its books into MariaDB by ODBC (as FreePBX does), into PostgreSQL and into files.

What the tables say is held against what the files of the same run say; and a daemon that has only the tables fills a gap
from them.
"""

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from config.sections import PbxSettings
from cti.core.backfill import Rows, plan
from cti.core.books import CdrRow
from cti.core.cel import CelRow
from cti.core.facts import Call, Gap, Talk
from cti.core.memory import Known
from cti.core.rules import Rules
from cti.daemon.bookdb import DatabaseRows
from cti.daemon.books import BookRows, Books
from tests.books import pbx
from tests.books.conftest import KINDS, Tables, in_mariadb, in_postgresql
from tests.mariadb.provision import Tree as MariaDBTree
from tests.mariadb.server import MariaDB
from tests.pbx.asterisk import Lab
from tests.pbx.duty import duty_row, now_segment, publish_row
from tests.pbx.phones import PhoneNetwork
from tests.pbx.provision import provision
from tests.pg.server import Postgres
from tests.rig import Rig

pytestmark = [pytest.mark.pbx, pytest.mark.asyncio(loop_scope="session")]
NUMBERS = {"answered": "13800000041", "direct": "13800000042", "given_up": "13800000043"}


@dataclass
class Written:
    """A PBX that has served some calls, and its tables."""

    lab: Lab
    phones: PhoneNetwork
    tables: dict[str, Tables]

    def files(self) -> BookRows:
        of = self.lab.pbx
        settings = PbxSettings.model_construct(
            queue_log=of.queue_log_path, cdr_csv=of.cdr_csv_path, cel_csv=of.cel_path
        )
        return Books(settings).read_now(0, 1e11)

    async def rows(self, kind: str) -> DatabaseRows:
        """What the tables say of everything."""
        books = self.tables[kind].books(timezone=pbx.zone())
        return await books.read(1e9, 1e10)

    async def settled(self) -> None:
        """Wait until every book has every row of the files."""
        async with asyncio.timeout(15):
            for kind in KINDS:
                while not await self._is_settled(kind):  # noqa: ASYNC110 - tables tell no events
                    await asyncio.sleep(0.05)

    async def _is_settled(self, kind: str) -> bool:
        files, found = self.files(), await self.rows(kind)
        return (len(found.cdr or ()), len(found.cel or ())) == (len(files.cdr or ()), len(files.cel or ()))


async def calls(phones: PhoneNetwork) -> None:
    """One answered from a queue, one direct and one given up in a queue without agents, all at once."""
    answered, direct, given_up = NUMBERS.values()
    placed = (
        await phones.customer_calls("4001", "王伟", answered, talk=1),
        await phones.customer_calls("5103", "O'Br|ien", direct, talk=1),
        await phones.customer_calls("4002", "", given_up, patience=2),
    )
    await asyncio.gather(*(call.ended() for call in placed))


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def written(
    mariadb_tree: MariaDBTree,
    mariadb_server: MariaDB,
    pg_server: Postgres,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Written]:
    directory = tmp_path_factory.mktemp("books")
    with pg_server.database() as name:
        tables = {"mariadb": in_mariadb(mariadb_server), "postgresql": in_postgresql(pg_server, name)}
        config = pbx.config(
            directory / "odbc",
            (mariadb_server, tables["mariadb"].name),
            mariadb_tree.odbc_driver,
            (pg_server, name),
        )
        tree = pbx.tree_with_odbc(provision(), mariadb_tree)
        async with (
            Lab(tree, config=config, directory=directory / "lab") as lab,
            await PhoneNetwork.connect(lab.phones) as phones,
            await lab.pbx.ami() as ami,
        ):
            await ami.action("QueueAdd", {"Queue": "sales", "Interface": "PJSIP/1001", "MemberName": "2001"})
            for phone in ("1001", "1003"):
                await phones.set_phone(phone, mode="answer", answer_after=0.2)
            for number, queue in (("4001", "sales"), ("4002", "support")):
                await ami.db_put("cti-hotline", number, queue)
                await ami.db_put("cti-hotline-queue", queue, queue)
                await publish_row(ami, queue, duty_row(now_segment("o")))
            await calls(phones)
            made = Written(lab, phones, tables)
            await made.settled()
            yield made


def _cdr(row: CdrRow) -> tuple[object, ...]:
    return (row.uniqueid, row.linkedid, row.sequence, row.disposition, row.src, row.dst, row.clid, row.channel,
            row.dstchannel, row.dcontext, row.lastapp, row.lastdata)  # fmt: skip


def _cel(row: CelRow) -> tuple[object, ...]:
    return (row.event, row.uniqueid, row.linkedid, row.channel, row.number, row.name, row.exten, row.context, row.app,
            row.appdata, row.peer, tuple(sorted(row.extra.items())))  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
async def test_the_tables_say_what_the_files_say(written: Written, kind: str) -> None:
    """Row by row and in the same order; instants within what whole seconds and their sums leave open."""
    files, found = written.files(), await written.rows(kind)
    assert files.cdr is not None
    assert found.cdr is not None
    assert len(found.cdr) >= 3
    theirs = {(row.uniqueid, row.sequence): row for row in found.cdr}
    assert sorted(map(_cdr, found.cdr)) == sorted(map(_cdr, files.cdr))
    for row in files.cdr:
        there = theirs[row.uniqueid, row.sequence]
        assert 0 <= row.start - there.start < 1
        assert 0 <= row.end - there.end < 2
    assert files.cel is not None
    assert found.cel is not None
    by_event = sorted(files.cel, key=_cel)  # the three backends are given their rows in an order of their own
    assert list(map(_cel, sorted(found.cel, key=_cel))) == list(map(_cel, by_event))
    resolution = 1.0 if kind == "mariadb" else 1e-5
    assert all(
        0 <= a.at - b.at + 1e-5 < resolution + 1e-4
        for a, b in zip(by_event, sorted(found.cel, key=_cel), strict=True)
    )
    if kind == "mariadb":
        lines = [row.raw.rstrip("|").partition("|") for row in files.queue_log or ()]
        table = [row.raw.partition("|") for row in found.queue_log or ()]
        assert [line[2] for line in table] == [line[2] for line in lines]
        # The file has the second of time(), a tick behind the clock that the table's is of.
        assert {int(a[0]) - int(b[0]) for a, b in zip(table, lines, strict=True)} <= {0, 1}
    assert not any(found.bad.values())


def told(rows: Rows) -> list[tuple[Any, ...]]:
    """What is put on record from books that nobody saw anything of."""
    gap = Gap("g", "main", 1e9, 1e10, "stopped")
    facts = plan("main", Rules(trunks=("PJSIP/trunk-a",)), [gap], rows, Known()).new
    talks = sorted(
        (fact.call_id, fact.agent or "", round(fact.hold or 0.0)) for fact in facts if isinstance(fact, Talk)
    )
    found = [
        (
            fact.id,
            fact.disposition,
            fact.caller_number,
            fact.caller_name,
            fact.ended_by,
            fact.hangup_cause,
            fact.direction,
        )
        for fact in facts
        if isinstance(fact, Call)
    ]
    return [sorted(found), talks]  # type: ignore[list-item]


@pytest.mark.parametrize("kind", KINDS)
async def test_the_same_calls_are_told_from_them(written: Written, kind: str) -> None:
    """Whole seconds cost precision and nothing else: the same calls, ends and talks."""
    files, found = written.files(), await written.rows(kind)
    queue_log = files.queue_log if kind == "postgresql" else found.queue_log
    right = told(files.rows())
    assert told(Rows(queue_log or (), found.cel or ())) == right
    assert {call[2] for call in right[0]} == set(NUMBERS.values())


def _sources(tables: Tables, secret: Path) -> str:
    return (
        f'[pbx.main.books]\nurl = "{tables.url}"\npassword_file = "{secret}"\ntimezone = "{pbx.zone()}"\n'
        'queue_log_table = "queue_log"\nlate = "1s"\n'
    )


async def test_a_daemon_fills_a_gap_from_mariadb_and_says_when_it_cannot(
    written: Written, mariadb_server: MariaDB, tmp_path: Path
) -> None:
    """B3, B4: killed, calls, back while the books' database is down: unverified everywhere; then whole and verified."""
    secret = tmp_path / "secret"
    secret.touch(0o600)
    secret.write_text(mariadb_server.password)
    rig = Rig(
        tmp_path / "cti", written.lab.pbx.ami_port, pbx_settings=_sources(written.tables["mariadb"], secret)
    )
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(rig)

        async def readable() -> bool:
            return await rig.metric("cti_books_readable", pbx="main") == 1

        async def seen() -> bool:
            with contextlib.closing(sqlite3.connect(rig.database)) as store:
                return bool(store.execute("SELECT count(*) FROM gaps").fetchone()[0])

        await rig.eventually(seen)  # what was before this PBX was first heard is nobody's to fill in
        await rig.eventually(readable)
        await rig.kill9()
        await calls(written.phones)
        await written.settled()  # what is not in the database when it goes away, Asterisk loses
        mariadb_server.stop()
        stack.callback(mariadb_server.start)  # never in a thread: the server would die with it
        since = len(rig.lines)
        await rig.start()
        await rig.logged("records_unverified", since=since)
        await _is_unverified_everywhere(rig)
        mariadb_server.start()

        async def filled() -> list[dict[str, Any]]:
            there = await rig.items("/api/v1/calls", quality="from_books")
            return there if len(there) >= len(NUMBERS) else []

        found = await rig.eventually(filled, timeout=60)
        assert sorted(call["caller_number"] for call in found) == sorted(NUMBERS.values())
        names = {call["caller_number"]: (call["caller_name"], call["disposition"]) for call in found}
        assert names[NUMBERS["answered"]] == ("王伟", "answered")
        assert names[NUMBERS["given_up"]][1] == "abandoned"
        await rig.eventually(readable)
        assert (await rig.get("/api/v1/calls"))["unverified"] == []
        assert "Can't connect" in (await _fault(rig, over=True))["detail"]


async def _is_unverified_everywhere(rig: Rig) -> None:
    for path in ("/api/v1/calls", "/api/v1/queues", "/api/v1/agents"):
        [one] = (await rig.get(path))["unverified"]
        assert one["pbx"] == "main"
        assert "Can't connect" in one["why"]
    assert await rig.metric("cti_books_readable", pbx="main") == 0
    async with rig.session.get("/readyz") as answer:
        checks = (await answer.json())["checks"]
    [check] = [check for check in checks if check["name"] == "main.books"]
    assert check["detail"].startswith("unverified: ")
    await _fault(rig, over=False)


async def _fault(rig: Rig, *, over: bool) -> dict[str, Any]:
    """The fault of the books, once it is on record, and over or not."""

    async def look() -> dict[str, Any] | None:
        faults = await rig.items("/api/v1/faults", pbx="main", open=str(not over).lower())
        return next((fault for fault in faults if fault["kind"] == "books"), None)

    found: dict[str, Any] = await rig.eventually(look)
    return found
