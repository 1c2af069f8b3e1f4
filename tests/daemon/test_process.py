"""`cti run` as a process: what the service manager is told, what signals do, what a death leaves behind."""

import asyncio
import contextlib
import os
import signal
import socket
import sqlite3
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from cti.daemon.embedded import EmbeddedPbx
from cti.daemon.recorder import read_recording
from store import open_store
from tests.rig import Rig, RigError

CALL = Path(__file__).parents[1] / "recordings" / "scenarios" / "queue_caller_hangs_up.ami.gz"


@pytest.fixture
async def pbx() -> AsyncIterator[EmbeddedPbx]:
    async with EmbeddedPbx() as embedded:
        yield embedded


async def heard(notices: socket.socket, state: str) -> list[str]:
    """The datagrams up to the first that holds this state."""
    loop, found = asyncio.get_running_loop(), []
    async with asyncio.timeout(20):
        while True:
            found.append((await loop.sock_recv(notices, 999)).decode())
            if state in found[-1].splitlines():
                return found


async def test_the_service_manager_is_told_and_a_reload_is_careful(
    tmp_path: Path, pbx: EmbeddedPbx, monkeypatch: pytest.MonkeyPatch
) -> None:
    """READY once it serves, WATCHDOG while it runs, RELOADING and READY around SIGHUP, STOPPING at the end."""
    address = tmp_path / "notify"
    monkeypatch.setenv("NOTIFY_SOCKET", str(address))
    monkeypatch.setenv("WATCHDOG_USEC", "300000")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notices:
        notices.bind(str(address))
        notices.setblocking(False)
        rig = Rig(tmp_path / "cti", pbx.port)
        async with rig:
            await heard(notices, "READY=1")
            await heard(notices, "WATCHDOG=1")
            good = rig.config.read_text()

            rig.config.write_text(f'[away]\nlimit = "5m"\n[duty]\ntimezone = "UTC"\n{good}')
            os.kill(rig.pid, signal.SIGHUP)
            line = await rig.logged("reloaded")
            assert line["applied"] == ["away.limit"]
            line = await rig.logged("reload_needs_restart")
            assert line["keys"] == [
                "duty.timezone",
                "pbx.main.timezone",
            ]  # its books follow, unless they say otherwise
            await heard(notices, "RELOADING=1")
            await heard(notices, "READY=1")

            rig.config.write_text(f'[away]\nlimit = "soon"\ngrance = 1\n{good}')
            os.kill(rig.pid, signal.SIGHUP)
            line = await rig.logged("reload_refused")
            problems = " ".join(line["problems"])
            assert "away.limit" in problems
            assert "grance" in problems
            await heard(notices, "WATCHDOG=1")
            rig.config.write_text(good)
            assert await rig.stop() == 0
            await heard(notices, "STOPPING=1")


async def test_a_report_survives_a_death_while_the_database_is_away(tmp_path: Path, pbx: EmbeddedPbx) -> None:
    """A3: answered with 201 while the database is locked, then kill -9: it is there after the restart."""
    async with Rig(tmp_path / "cti", pbx.port) as rig:
        with contextlib.closing(sqlite3.connect(rig.database, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            sent = {"kind": "system_slow", "detail": "every page takes a minute"}
            async with rig.session.post("/api/v1/faults", json=sent) as answer:
                assert answer.status == 201
                fault: dict[str, Any] = await answer.json()
            await rig.kill9()
            other.execute("ROLLBACK")
        await rig.start()
        await rig.logged("spool_replayed")

        async def found() -> list[str]:
            return [row["id"] for row in await rig.items("/api/v1/faults") if row["kind"] == "system_slow"]

        assert await rig.eventually(found) == [fault["id"]]
        out = await rig.cti("fault", "close", fault["id"])
        assert out.strip() == fault["id"]
        assert await rig.stop() == 0
    async with await open_store(rig.database_url) as store:
        kept = await store.queries.fault(fault["id"])
        assert kept is not None
        assert kept.ended_at is not None
    assert not list((rig.directory / "var" / "spool").glob("*.jsonl"))


async def _report(rig: Rig, detail: str) -> str:
    sent = {"kind": "phone", "detail": detail}
    async with rig.session.post("/api/v1/faults", json=sent) as answer:
        assert answer.status == 201
        return str((await answer.json())["id"])


async def test_a_start_while_the_database_is_away_is_a_start(tmp_path: Path, pbx: EmbeddedPbx) -> None:
    """A3: it listens, is not ready and says why, takes reports; begin and end are on record, and so is what was before."""
    rig = Rig(tmp_path / "cti", pbx.port)
    async with rig:
        before = await _report(rig, "before")
    with contextlib.closing(sqlite3.connect(rig.database, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        mark = len(rig.lines)
        await rig.start(ready=False)
        await rig.logged("database_away", since=mark)
        await rig.logged("link_up", since=mark, role="reader")
        async with rig.session.get("/readyz") as answer:
            checks = {check["name"]: check for check in (await answer.json())["checks"]}
            assert (answer.status, checks["database"]["ok"]) == (503, False)
        assert "another program holds the database" in checks["database"]["detail"]
        assert "still being read back" in checks["today"]["detail"]
        assert (await rig.get("/api/v1/queues"))["today_complete"] is False
        assert await rig.metric("cti_today_complete") == 0
        _, _, told = await rig.run_cti("queues")
        assert "NOT COMPLETE" in told
        async with rig.session.get("/healthz") as answer:
            assert answer.status == 200
        meanwhile = await _report(rig, "meanwhile")
        other.execute("ROLLBACK")
    await rig.logged("taken_up", since=mark)

    async def ready() -> bool:
        async with rig.session.get("/readyz") as answer:
            return bool(answer.status == 200)

    await rig.eventually(ready)
    await rig.logged("today_recalled", since=mark)
    assert (await rig.get("/api/v1/agents"))["today_complete"] is True
    assert await rig.metric("cti_today_complete") == 1
    rows = {row["id"]: row for row in await rig.items("/api/v1/faults")}
    assert [rows[one]["ended_at"] for one in (before, meanwhile)] == [None, None]
    away = [row for row in rows.values() if row["kind"] == "database"]
    assert len(away) == 1
    assert away[0]["ended_at"] > away[0]["began_at"]
    assert (await rig.cti("fault", "close", before)).strip() == before
    assert await rig.stop() == 0
    assert not list((rig.directory / "var" / "spool").glob("*.jsonl"))


def _far_from_midnight() -> str:
    """A setting: a time zone in which the day neither begins nor ends while a test runs."""
    return '[duty]\ntimezone = "UTC"\n' if 2 <= time.gmtime().tm_hour < 22 else ""


class Replaying(EmbeddedPbx):
    """Plays its recording when it is told to, and once more when it is told again."""

    def play(self) -> None:
        """Not by itself."""

    async def once(self) -> None:
        """All events, their instants moved to now."""
        self.answers.began = time.time()
        await self._play()


async def test_todays_figures_go_on_after_a_death(tmp_path: Path) -> None:
    """A queue's counts and an agent's time are those of the day, not of the process; what comes again counts once."""
    async with Replaying(read_recording(CALL), speed=5) as pbx:
        rig = Rig(tmp_path / "cti", pbx.port, settings=_far_from_midnight())

        async def today() -> dict[str, Any]:
            queues = (await rig.get("/api/v1/queues"))["items"]
            return {queue["name"]: queue["today"] for queue in queues if queue["today"]["offered"]}

        async def agent() -> Any:
            return (await rig.get("/api/v1/agents"))["items"][0]

        async def on_record() -> bool:
            async with await open_store(rig.database_url) as store:
                states = (await store.queries.agent_states()).items
                summary = await store.queries.summary()
            open_ones = summary.calls == 0 or summary.open_calls
            return bool(states and states[0].state.state == "logged_out" and not open_ones)

        async def counted() -> float:
            return await rig.metric("cti_queue_calls_total", outcome="answered")

        async with rig:
            await pbx.once()
            await rig.eventually(on_record)
            queues, seconds = await today(), (await agent())["seconds"]
            assert [one["answered"] for one in queues.values()] == [1]
            assert seconds["on_call"] > 0
            await rig.kill9()

            mark = len(rig.lines)
            await rig.start()
            await rig.logged("today_recalled", since=mark)
            assert await today() == queues
            again = await agent()
            assert again["seconds"]["on_call"] == pytest.approx(seconds["on_call"], abs=1e-4)
            assert again["occupancy"] > 0

            assert await counted() == 0
            await pbx.once()
            await rig.eventually(counted)
            assert await today() == queues


async def test_a_database_that_can_never_be_used_ends_the_start(tmp_path: Path, pbx: EmbeddedPbx) -> None:
    """What waiting cannot mend is refused at once, with the cure."""
    rig = Rig(tmp_path / "cti", pbx.port)
    rig.database.parent.mkdir(parents=True)
    rig.database.write_bytes(b"a letter to my aunt, which is no database" * 100)
    with pytest.raises(RigError, match="move it away, or name another file"):
        await rig.cti("run")
