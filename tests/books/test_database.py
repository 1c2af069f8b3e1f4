"""B3, B4: the books as tables of a real MariaDB and a real PostgreSQL, read by an account that may only SELECT."""

import asyncio
import time
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from config.sections import BookSources, PbxSettings
from cti.daemon.bookdb import DatabaseBooks
from cti.daemon.bookreader import BookUnreadable
from cti.daemon.books import Books
from cti.daemon.errors import ConfigError
from tests.books.conftest import Tables
from tests.mariadb.server import MariaDB

T0 = 1_795_000_000  # 2026-11-18T11:06:40Z
UTC = ZoneInfo("UTC")
BERLIN = ZoneInfo("Europe/Berlin")
SHANGHAI = ZoneInfo("Asia/Shanghai")
FOLD = 1_792_890_000  # Berlin's clocks go back


def local(at: float, zone: ZoneInfo = UTC) -> str:
    return f"{datetime.fromtimestamp(at, zone):%Y-%m-%d %H:%M:%S}"


def cdr(
    database: Tables, at: float, duration: int = 10, *, zone: ZoneInfo = UTC, made: float = 0
) -> dict[str, Any]:
    """A call that began at `at` on a channel made then or at `made`."""
    start = "calldate" if database.kind == "mariadb" else "start"
    return {
        start: local(at, zone), "duration": duration, "billsec": duration, "disposition": "ANSWERED",
        "uniqueid": f"{made or at:.0f}.{at % 1000:.0f}", "linkedid": f"{made or at:.0f}.1", "src": "1001", "dst": "1002",
    }  # fmt: skip


def cel(at: float, event: str = "CHAN_START", zone: ZoneInfo = UTC, made: float = 0) -> dict[str, Any]:
    return {
        "eventtime": local(at, zone), "eventtype": event, "uniqueid": f"{made or at:.0f}.1",
        "linkedid": f"{made or at:.0f}.1", "channame": "PJSIP/1001-1",
    }  # fmt: skip


def queue(at: float, number: int = 1) -> dict[str, Any]:
    return {
        "time": f"{local(at)}.250000+00" if number < 0 else local(at), "callid": f"{at:.0f}.{number}",
        "queuename": "sales", "agent": "NONE", "event": "ENTERQUEUE", "data1": "", "data2": "138", "data3": "1",
    }  # fmt: skip


async def test_the_three_books_of_a_span(database: Tables) -> None:
    """Exactly the rows of [since, until]; of the CDR those that ended then, whenever they began."""
    database.insert("cdr", [cdr(database, T0 + n * 60) for n in range(20)] + [cdr(database, T0 - 7200, 7900)])
    database.insert("cel", [cel(T0 + n * 60) for n in range(20)])
    database.insert("queue_log", [queue(T0 + n * 60) for n in range(20)])
    found = await database.books().read(T0 + 600, T0 + 730)
    assert found.cdr is not None
    assert [row.end - T0 for row in found.cdr] == [610, 670, 700, 730]
    assert found.cel is not None
    assert [row.at - T0 for row in found.cel] == [600, 660, 720]
    assert found.queue_log is not None
    assert [row.at - T0 for row in found.queue_log] == [600, 660, 720]
    assert sum(map(len, found.bad.values())) == 0


async def test_a_row_committed_late_or_out_of_order_is_found(database: Tables) -> None:
    """What comes with a higher id and an earlier time, or after its span was read, is there the next time, once."""
    books = database.books()
    database.insert("cel", [cel(T0 + n) for n in range(2500)])
    first = await books.read(T0 + 2000, T0 + 2499)
    assert first.cel is not None
    assert len(first.cel) == 500
    database.insert("cel", [cel(T0 + 2100, "HANGUP"), cel(T0 + 2500)])
    second = await books.read(T0 + 2000, T0 + 2499)
    assert second.cel is not None
    assert len(second.cel) == 501
    assert [row.event for row in second.cel if row.at == T0 + 2100] == ["CHAN_START", "HANGUP"]
    assert (await books.read(T0 + 2000, T0 + 2499)).cel == second.cel


async def test_garbage_is_counted_and_hides_nothing(database: Tables) -> None:
    """A row that cannot be read comes back as bad, with what stands in it."""
    database.insert("cdr", [cdr(database, T0), {**cdr(database, T0 + 1), "uniqueid": "no id at all"}])
    database.insert("queue_log", [queue(T0), {**queue(T0 + 1), "event": "CONNECT", "data1": "soon"}])
    found = await database.books().read(T0 - 5, T0 + 60)
    assert (len(found.cdr or ()), len(found.queue_log or ())) == (1, 1)
    assert (len(found.bad["cdr"]), len(found.bad["queue_log"])) == (1, 1)
    assert "no id at all" in found.bad["cdr"][0].raw


async def test_keys_that_were_pressed_are_never_read(database: Tables) -> None:
    """G1: with `events = ALL` the table holds every PIN, key by key; those rows stay where they are."""
    database.insert("cel", [cel(T0, "DTMF"), cel(T0, "ANSWER")])
    found = await database.books().read(T0 - 5, T0 + 5)
    assert [row.event for row in found.cel or ()] == ["ANSWER"]


async def test_nothing_is_lost_or_doubled_where_local_time_repeats(database: Tables) -> None:
    """Spans that follow each other through a clock change hold every row once, at its instant where that can be known."""
    ats = [FOLD + n * 600 for n in range(-18, 18)]
    database.insert("cel", [cel(at, zone=BERLIN) for at in ats])
    database.insert("cdr", [cdr(database, at - 10, zone=BERLIN) for at in ats])
    books = database.books(timezone="Europe/Berlin", queue_log_table="")
    cels: list[float] = []
    cdrs: list[float] = []
    for begin in range(FOLD - 18 * 600, FOLD + 18 * 600, 1800):
        found = await books.read(begin, begin + 1799)
        cels += [row.at for row in found.cel or ()]
        cdrs += [row.end for row in found.cdr or ()]
        assert found.queue_log is None
    assert sorted(cels) == sorted(cdrs) == ats


async def test_other_names_and_types_of_columns(database: Tables) -> None:
    """A table of another name, with epochs or text for the time and without an id."""
    database.execute(
        "CREATE TABLE my_calls (start bigint, duration int, disposition varchar(20), uniqueid varchar(40))",
        "CREATE TABLE my_events (eventtime varchar(40), eventtype varchar(40), uniqueid varchar(40))",
    )
    database.insert(
        "my_calls",
        [
            {"start": at, "duration": 10, "disposition": "BUSY", "uniqueid": f"{at}.1"}
            for at in (T0, T0 - 90_000)
        ],
    )
    events = ((f"{local(T0)}.5", "ANSWER"), (local(T0 + 9), "HANGUP"))
    database.insert(
        "my_events", [{"eventtime": at, "eventtype": e, "uniqueid": f"{T0}.1"} for at, e in events]
    )
    database.grant("my_calls", "my_events")
    found = await database.books(cdr_table="my_calls", cel_table="my_events").read(T0, T0 + 10)
    assert [(row.start, row.end, row.disposition) for row in found.cdr or ()] == [(T0, T0 + 10, "BUSY")]
    assert [(row.at, row.event) for row in found.cel or ()] == [(T0 + 0.5, "ANSWER"), (T0 + 9, "HANGUP")]


async def test_tables_and_files_together(database: Tables, tmp_path: Path) -> None:
    """FreePBX: CDR and CEL in the database, queue_log as a file; what is configured nowhere is missing."""
    path = tmp_path / "queue_log"
    path.write_text(f"{T0}|{T0}.1|sales|NONE|ENTERQUEUE||138|1\n")
    database.insert("cdr", [cdr(database, T0)])
    settings = PbxSettings.model_construct(queue_log=path, cdr_csv=None, cel_csv=None)
    tables = database.books(queue_log_table="", cel_table="", late=3.0)
    books = Books(settings, database=tables)
    assert (books.missing, books.any, books.behind) == ("", True, 3.0)
    found = await books.read(T0 - 5, T0 + 60)
    assert (len(found.queue_log or ()), len(found.cdr or ()), found.cel) == (1, 1, None)
    without = Books(PbxSettings.model_construct(queue_log=None, cdr_csv=None, cel_csv=None), database=tables)
    assert without.missing == "queue_log not configured"


async def test_tables_in_another_time_zone_are_refused(database: Tables) -> None:
    """A FreePBX whose zone the configuration does not know: every window would hold other calls, so it is said."""
    database.insert("cdr", [cdr(database, T0 + 60 * number, zone=SHANGHAI) for number in range(6)])
    settings = PbxSettings.model_construct(queue_log=None, cdr_csv=None, cel_csv=None)
    eight = 8 * 3600
    right, wrong = (
        Books(
            settings,
            database=database.books(cel_table="", queue_log_table="", timezone=zone),
            where="pbx.main",
        )
        for zone in ("Asia/Shanghai", "UTC")
    )
    assert len((await right.read(T0 - 5, T0 + 600)).cdr or ()) == 6
    assert len((await wrong.read(T0 - 5, T0 + 600)).cdr or ()) == 0
    with pytest.raises(
        BookUnreadable, match=r"cdr_table: .* 8 h too late .* set pbx.main.books.timezone to .*\+08:00"
    ):
        await wrong.read(T0 + eight - 5, T0 + eight + 600)


async def test_what_cannot_be_read_is_said_with_its_cure(database: Tables) -> None:
    """A wrong password, a missing table or column, a right that lacks: never a traceback, never the password."""
    database.execute("CREATE TABLE secret (calldate timestamp NULL)", "CREATE TABLE empty_one (x int)")
    database.grant("empty_one")
    wrong = (
        (database.books(password="hunter2"), "(?i)password|denied"),
        (database.books(cdr_table="nowhere"), "nowhere"),
        (database.books(cdr_table="secret"), "(?i)secret"),
        (database.books(cdr_table="empty_one"), "no column start or calldate"),
    )
    for books, why in wrong:
        with pytest.raises(BookUnreadable, match=why) as error:
            await books.read(T0, T0 + 1)
        assert database.password not in str(error.value)
        assert "hunter2" not in str(error.value)
        assert "[books]" in str(error.value)


async def test_only_select_is_ever_needed(database: Tables) -> None:
    """The account can read and can do nothing else."""
    async with database.books()._engine.connect() as connection:
        assert (await connection.execute(sa.text("SELECT count(*) FROM cdr"))).scalar() == 0
        with pytest.raises(DBAPIError, match=r"(?i)denied|read-only"):
            await connection.execute(sa.text("DELETE FROM cdr"))


async def test_a_server_that_answers_no_more_is_left(
    database: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the middle of a statement: the connection is ended without taking leave, on a deadline or at the daemon's end."""
    sleeps = "sleep(30) = 0" if database.kind == "mariadb" else "pg_sleep(30) IS NOT NULL"
    database.execute(
        "CREATE TABLE one_row AS SELECT '2026-11-18 11:06:40' AS eventtime",
        f"CREATE VIEW slow AS SELECT eventtime FROM one_row WHERE {sleeps}",  # noqa: S608 - made by the test
    )
    database.grant("slow")
    books = database.books(cdr_table="", queue_log_table="", cel_table="slow")
    monkeypatch.setattr("cti.daemon.bookdb._READ", 0.5)
    began = time.monotonic()
    with pytest.raises(BookUnreadable, match="no answer in time"):
        await books.read(T0, T0 + 1)
    reading = asyncio.create_task(books.read(T0, T0 + 1))
    await asyncio.sleep(0.2)  # nothing tells that a server has begun a statement
    reading.cancel()
    await asyncio.wait([reading])
    assert reading.cancelled()
    assert time.monotonic() - began < 25, "the server was waited for"


async def test_a_server_that_went_away_is_unreadable_and_comes_back(
    mariadb_server: MariaDB, databases: dict[str, Tables]
) -> None:
    """Refused connections say so at once; the next reading works as soon as the server does."""
    books = databases["mariadb"].books()
    mariadb_server.stop()
    with pytest.raises(BookUnreadable, match="Can't connect"):
        await books.read(T0, T0 + 1)
    mariadb_server.start()  # not in a thread: it would die with that thread
    assert (await books.read(T0, T0 + 1)).queue_log == ()


@pytest.mark.parametrize("url", ["mysql+nodriver://a@b/c", "no url"])
def test_a_url_that_cannot_be_used_is_refused_at_the_start(url: str) -> None:
    """Nothing waits for the first reading to fail."""
    with pytest.raises(ConfigError, match=r"books\.url"):
        DatabaseBooks(BookSources.model_construct(url=url, timezone="UTC", password=None, ca_file=None))
