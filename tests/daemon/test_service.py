"""The daemon as it is wired: faults on record, the spool across deaths, reloading, readiness (A3)."""

import asyncio
import contextlib
import json
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from config.settings import Settings, parse
from cti.core.facts import CommandKind, CommandRecord, Delivery, Fact, Fault, FaultKind
from cti.daemon.embedded import EmbeddedPbx
from cti.daemon.figures import health_of
from cti.daemon.reload import Reloader
from cti.daemon.service import Service
from cti.daemon.spool import Spool
from store import Store, engine, open_store
from tests.daemon.doors import SECRETS
from tests.rig import free_port
from tests.store import made


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A locked database is noticed after 0.1 s instead of 2."""
    monkeypatch.setattr(engine, "_BUSY_MS", 100)


def toml(ami_port: int, http_port: int, extra: str = "") -> str:
    accounts = "".join(
        f'[pbx.main.{role}]\nuser = "{role}"\nsecret_env = "{role.upper()}"\n' for role in SECRETS
    )
    return (
        f'[http]\nport = {http_port}\n{extra}\n[pbx.main]\nhost = "127.0.0.1"\nport = {ami_port}\n{accounts}'
    )


ENVIRON = {role.upper(): secret for role, secret in SECRETS.items()} | {"HOOK": "hook-secret-0123456789"}


@dataclass
class Running:
    """A service in this process, beside an embedded PBX."""

    service: Service
    store: Store
    config: Path
    pbx: EmbeddedPbx

    @property
    def database(self) -> Path:
        return self.config.parent / "var" / "cti.sqlite3"

    async def fault(self, kind: FaultKind, *, over: bool | None = None) -> Fault:
        """The latest fault of a kind on record, once it is there (and over, or open)."""

        async def look() -> Fault | None:
            found = (await self.store.queries.faults()).items
            fits = [f for f in found if f.kind is kind and over in {None, f.ended_at is not None}]
            return fits[0] if fits else None

        found: Fault = await eventually(look)
        return found

    def failing(self) -> set[str]:
        return {check.name for check in health_of(self.service).checks if not check.ok}


async def eventually(look: Callable[[], Awaitable[Any]], seconds: float = 40.0) -> Any:
    """What `look` gives once it is true; rows and health tell nobody that they changed."""
    async with asyncio.timeout(seconds):
        while not (found := await look()):  # noqa: ASYNC110 - see above
            await asyncio.sleep(0.02)
    return found


def settings_of(config: Path) -> Settings:
    import tomllib  # noqa: PLC0415 - only here

    return parse(tomllib.loads(config.read_text()), config.parent, ENVIRON)


@contextlib.asynccontextmanager
async def running(directory: Path, pbx: EmbeddedPbx, extra: str = "") -> AsyncIterator[Running]:
    """Serve until the block ends; then an orderly end, as `cti run` does it."""
    config = directory / "cti.toml"
    if not config.exists():
        config.write_text(toml(pbx.port, free_port(), extra))
    settings = settings_of(config)
    store = await open_store(settings.database.full_url)
    service = Service(settings, store, Reloader(config, ENVIRON))
    serving = asyncio.create_task(service.serve())
    try:
        async with asyncio.timeout(40):
            for role in ("reader", "actor", "publisher"):
                up = asyncio.ensure_future(service.rooms["main"].pbx.up(role))
                await asyncio.wait({up, serving}, return_when=asyncio.FIRST_COMPLETED)
                if serving.done():
                    serving.result()
        yield Running(service, store, config, pbx)
    finally:
        service.stop()
        await asyncio.wait({serving})
        with contextlib.suppress(Exception):
            await store.close(timeout=0.5)
        await service.spool.close()
    serving.result()


@pytest.fixture
async def pbx() -> AsyncIterator[EmbeddedPbx]:
    async with EmbeddedPbx(secrets=SECRETS) as embedded:
        yield embedded


@contextlib.contextmanager
def locked(file: Path) -> Iterator[None]:
    """Another program holds the database's write lock."""
    with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")


async def test_a_locked_database_is_a_fault_with_begin_and_end(tmp_path: Path, pbx: EmbeddedPbx) -> None:
    """A3: readiness is red while it lasts; a report made meanwhile is accepted, durable, and there afterwards."""
    async with running(tmp_path, pbx) as cti:
        deps = cti.service.http_deps()
        assert cti.failing() <= {"main.roster"}
        with locked(cti.database):
            report = asyncio.create_task(
                deps.reports.open(FaultKind.PHONE, "dead", pbx=None, at=None, by="2001")
            )

            async def red() -> bool:
                return "database" in cti.failing()

            await eventually(red)
            fault = await report
            assert health_of(cti.service).ok
            assert not health_of(cti.service).ready
        over = await cti.fault(FaultKind.DATABASE, over=True)
        assert "locked" in over.detail
        assert (await cti.fault(FaultKind.PHONE)).id == fault.id
        assert "database" not in cti.failing()


async def test_an_end_with_the_database_away_loses_no_incident(tmp_path: Path, pbx: EmbeddedPbx) -> None:
    """Everything of the kinds no book gives back is in the spool, and in the database after the next start."""
    kept: list[Fact] = [made.incident(), made.work_item(), made.episode(ended_at=made.T0 + 99)]
    async with running(tmp_path, pbx) as cti:
        database = cti.database
        lock = contextlib.ExitStack()
        lock.enter_context(locked(database))
        cti.service.give(kept)
        await cti.service.spool.synced()
    lock.close()
    async with running(tmp_path, pbx) as cti:

        async def there() -> bool:
            return bool((await cti.store.queries.incidents()).items)

        await eventually(there)
        assert (await cti.store.queries.incidents()).items == (made.incident(),)
        assert await cti.store.queries.work_item(made.work_item().id) == made.work_item()
        assert (await cti.store.queries.away_episodes()).items == (made.episode(ended_at=made.T0 + 99),)


async def test_open_faults_of_a_former_process_are_closed_or_go_on(tmp_path: Path, pbx: EmbeddedPbx) -> None:
    """A3: what works now is over, what nobody watches any more ends, a broken headset stays broken."""
    headset = Fault("hand-1", FaultKind.HEADSET, "main", made.T0, None, "desk 12", "2001")
    async with running(tmp_path, pbx) as cti:
        cti.store.writer.put(
            [
                Fault("cti-database-1", FaultKind.DATABASE, "", made.T0, detail="locked"),
                Fault("cti-disk-1", FaultKind.DISK, "", made.T0, detail="full"),
                Fault("main-publish-1", FaultKind.PUBLISH, "main", made.T0, detail="refused"),
                Fault("main-link-1", FaultKind.LINK, "main", made.T0, detail="closed"),
                Fault("branch-link-1", FaultKind.LINK, "branch", made.T0, detail="closed"),
                headset,
            ]
        )
        await cti.store.writer.committed()
    async with running(tmp_path, pbx) as cti:

        async def settled() -> bool:
            return await cti.store.queries.open_faults() == (headset,)

        await eventually(settled)
        over = await cti.service.http_deps().reports.close("hand-1", None)
        assert over.ended_at is not None


async def test_what_only_the_spool_knows_is_taken_up(tmp_path: Path, pbx: EmbeddedPbx) -> None:
    """C3: the spool is newer than the database: its episode, fault and command are the ones that count."""
    async with running(tmp_path, pbx) as cti:
        cti.store.writer.put([made.episode(), made.fault(kind=FaultKind.HEADSET)])
        await cti.store.writer.committed()
        directory = cti.service.settings.data_dir / "spool"
    spool = Spool(directory)
    await spool.open()
    reported = made.episode(reported_at=made.T0 + 950)
    command = CommandRecord("c9", "main", CommandKind.REMOVE_MEMBER, "2001", "sales", "PJSIP/1001", made.T0)
    spool.put([reported, replace(made.fault(kind=FaultKind.HEADSET), ended_at=made.T0 + 5), command])
    await spool.close()
    async with running(tmp_path, pbx) as cti:
        assert cti.service.board.by_hand == {}
        await cti.store.writer.committed()  # what the spool held is on its way

        async def settled() -> bool:
            return not await cti.store.queries.open_commands("main")

        await eventually(settled)
        assert (await cti.store.queries.away_episodes()).items[0].reported_at == made.T0 + 950
        fault = await cti.store.queries.fault(made.fault().id)
        assert fault is not None
        assert fault.ended_at == made.T0 + 5
    # Nothing of the first process's wish was sent: nobody was there to be logged out.
    assert "QueueRemove" not in [action["Action"] for action in pbx.actions]


async def test_a_spool_that_missed_the_end_opens_nothing_again(tmp_path: Path, pbx: EmbeddedPbx) -> None:
    """A3, C3: the disk took the beginning and not the end, the database both: what is over stays over."""
    over: list[Fact] = [
        replace(made.fault(kind=FaultKind.HEADSET), ended_at=made.T0 + 5),
        made.episode(reported_at=made.T0 + 900, ended_at=made.T0 + 950),
    ]
    async with running(tmp_path, pbx) as cti:
        cti.store.writer.put(over)
        await cti.store.writer.committed()
        directory = cti.service.settings.data_dir / "spool"
    spool = Spool(directory)
    await spool.open()
    spool.put([made.fault(kind=FaultKind.HEADSET), made.episode()])
    await spool.close()
    async with running(tmp_path, pbx) as cti:
        await cti.store.writer.committed()  # what the spool held is on its way
        assert cti.service.board.by_hand == {}
        assert await cti.store.queries.open_faults() == ()
        assert (
            await cti.store.queries.fault(made.fault().id),
            *(await cti.store.queries.away_episodes()).items,
        ) == (*over,)


async def test_a_roster_the_pbx_refuses_is_a_fault(tmp_path: Path, pbx: EmbeddedPbx) -> None:
    """A3, D4: publishing fails, the fault begins; it works again, the fault ends."""
    pbx.refused["DBGetTree"] = "Permission denied"
    async with running(tmp_path, pbx) as cti:
        begun = await cti.fault(FaultKind.PUBLISH)
        assert (begun.pbx, "Permission denied" in begun.detail) == ("main", True)
        pbx.refused.clear()
        await cti.service.wake_roster()
        assert (await cti.fault(FaultKind.PUBLISH, over=True)).id == begun.id


async def test_a_step_of_the_pbxs_clock_is_on_record(tmp_path: Path, pbx: EmbeddedPbx) -> None:
    """A3: forward and back, by how much."""
    async with running(tmp_path, pbx) as cti:

        def event(at: float) -> dict[str, str]:
            return {"Event": "Rename", "Timestamp": f"{at:.6f}", "Uniqueid": "1.1", "Newname": "x"}

        now = cti.service.rooms["main"].pbx.now()
        pbx.send(event(now))
        pbx.send(event(now + 3600))
        fault = await cti.fault(FaultKind.CLOCK, over=True)
        assert "main was put forward by 3600" in fault.detail


async def test_who_was_told_is_recorded_with_the_fault(tmp_path: Path, pbx: EmbeddedPbx) -> None:
    """A3: the notice of a fault reaches the webhook, and the record says so."""
    got: list[dict[str, Any]] = []

    async def hook(request: web.Request) -> web.Response:
        got.append(json.loads(await request.read()))
        return web.Response(status=204 if len(got) == 1 else 410)

    app = web.Application()
    app.router.add_post("/hook", hook)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    extra = f'[notify]\nwebhook_url = "http://127.0.0.1:{port}/hook"\nwebhook_secret_env = "HOOK"\n'
    async with running(tmp_path, pbx, extra) as cti:
        reports = cti.service.http_deps().reports
        fault = await reports.open(FaultKind.COMPUTER, "no picture", pbx="main", at=None, by=None)
        await reports.close(fault.id, None)

        async def told() -> Any:
            found = (await cti.store.queries.deliveries([fault.id])).get(fault.id, ())
            return found if len(found) == 2 else None

        begun, ended = await eventually(told)
        assert (begun.kind, begun.channel, begun.ok) == ("fault_began", "webhook", True)
        assert (ended.kind, ended.ok, "410" in ended.detail) == ("fault_ended", False, True)
    await runner.cleanup()
    assert [one["event"] for one in got] == ["fault_began", "fault_ended"]


async def test_a_fault_nobody_was_told_of_is_told_after_a_restart(tmp_path: Path, pbx: EmbeddedPbx) -> None:
    """A3: the earlier process died before the webhook answered."""
    got: list[str] = []

    async def hook(request: web.Request) -> web.Response:
        got.append(request.headers["X-CTI-Delivery"])
        return web.Response(status=204)

    app = web.Application()
    app.router.add_post("/hook", hook)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    left = [Fault(f"hand-{n}", FaultKind.PHONE, "", made.T0, None, "dead", "2001") for n in (1, 2)]
    delivery = Delivery(
        "hand-2/fault_began/webhook", "hand-2", "", "fault_began", "webhook", made.T0, ok=True
    )
    async with running(
        tmp_path, pbx, f'[notify]\nwebhook_url = "{url}"\nwebhook_secret_env = "HOOK"\n'
    ) as cti:
        cti.store.writer.put([*left, delivery])
        await cti.store.writer.committed()
        assert got == []
    async with running(tmp_path, pbx) as cti:

        async def told() -> Any:
            return await cti.store.queries.deliveries(["hand-1"])

        await eventually(told)
    await runner.cleanup()
    assert got == ["hand-1/fault_began"]


async def test_a_reload_takes_over_what_it_can(tmp_path: Path, pbx: EmbeddedPbx) -> None:
    """Limits, levels, duty and log change at once; a port is named as needing a restart; PIDs and links stay."""
    async with running(tmp_path, pbx) as cti:
        service = cti.service
        logins, port = service.rooms["main"].pbx.status.logins, service.settings.http.port
        cti.config.write_text(
            toml(
                pbx.port, service.settings.http.port + 1, '[away]\nlimit = "5m"\nlimits = { lunch = "1h" }\n'
            )
            + '[service_level]\ndefault = "7s"\n[wrap_up]\nqueues = { sales = "9s" }\n[duty]\npublish_days = 20\n[log]\nlevel = "debug"\n'
        )
        service.reload()

        async def taken() -> bool:
            return service.settings.away.limit == 300

        await eventually(taken)
        room = service.rooms["main"]
        assert (room.core.rules.away.limit, room.core.rules.away.limits) == (300, {"lunch": 3600})
        assert service._threshold("sales") == 7
        assert (room.core.rules.wrap_up_of("sales"), room.core.rules.wrap_up_of("other")) == (9, 0)
        assert service.settings.duty.publish_days == 20
        assert service.settings.http.port == port
        assert room.pbx.status.logins == logins


async def test_a_file_with_mistakes_is_refused_whole(tmp_path: Path, pbx: EmbeddedPbx) -> None:
    """A wrong value keeps everything as it was, the right ones beside it included; the next good file is taken."""
    async with running(tmp_path, pbx) as cti:
        service = cti.service
        before = service.settings
        reloader = Reloader(cti.config, ENVIRON)
        good = cti.config.read_text()
        for bad in ('[away]\nlimit = "5m"\ngrace = "soon"\n' + good, "not toml", '[http]\nport = "x"\n'):
            cti.config.write_text(bad)
            await reloader.reload(service)
            assert service.settings is before
        cti.config.unlink()
        await reloader.reload(service)
        assert service.settings is before
        cti.config.write_text('[away]\nlimit = "5m"\n' + good)
        await reloader.reload(service)
        assert service.settings.away.limit == 300


async def test_a_dead_pump_is_a_reason_to_restart(tmp_path: Path, pbx: EmbeddedPbx) -> None:
    """/healthz fails, and the watchdog is no longer fed, exactly when a restart would help."""
    async with running(tmp_path, pbx) as cti:
        assert health_of(cti.service).ok
        assert cti.service.well()
        pumping = cti.service.rooms["main"].pumping
        assert pumping is not None
        pumping.cancel()
        await asyncio.wait({pumping})
        assert not health_of(cti.service).ok
        assert not cti.service.well()
