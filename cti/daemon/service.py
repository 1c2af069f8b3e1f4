"""The wiring of `cti run`: one room for each PBX, the sinks they share, and an orderly end.

Start: store (migrated) → what an earlier process left in the spool → each core takes up its open business → sinks →
doors. SIGHUP: the configuration is read again. End (SIGTERM, SIGINT): doors first, then what is in the inboxes is dealt
with, then the store and the notices are flushed. Nothing taken is lost: what the database did not take in time is in the
spool, or in the PBX's books.
"""

import asyncio
import contextlib
import re
import signal
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path

import structlog
from prometheus_client import CollectorRegistry

from config.settings import Settings
from cti.core.commands import Command
from cti.core.core import Core
from cti.core.events import DutySaid, Event, MemberRemoved, MemberSeen, Resynced
from cti.core.explained import RULES
from cti.core.facts import Delivery, Fact, Fault, FaultKind
from cti.core.faults import told
from cti.core.mismatch import MismatchReason, Report
from cti.core.rules import AwayRule, Rules
from cti.daemon import logs, token
from cti.daemon.act import Actor
from cti.daemon.ami import ROLES, Pbx
from cti.daemon.board import Board
from cti.daemon.bookkeeper import Bookkeeper
from cti.daemon.booksources import books_of, shipped_of
from cti.daemon.clock import WallClock
from cti.daemon.figures import Progress, health_of, sources
from cti.daemon.former import Former, FormerRoom
from cti.daemon.garbage import collect_rarely
from cti.daemon.heartbeat import Heartbeat
from cti.daemon.http import listen, server
from cti.daemon.http.deps import HttpDeps
from cti.daemon.inbox import Inbox
from cti.daemon.ledger import Ledger
from cti.daemon.live import Live
from cti.daemon.notify import Notifier, Webhook
from cti.daemon.outside import DutyWatch, TrunkWatch
from cti.daemon.pending import PendingMarks
from cti.daemon.publish import Publisher, PublishState, PublishStatus
from cti.daemon.pump import Pump, Take
from cti.daemon.recall import recall
from cti.daemon.reload import Reloader
from cti.daemon.reports import Reports
from cti.daemon.spool import Spool
from cti.daemon.systemd import ServiceManager
from cti.daemon.takeup import TakeUp
from metrics.record import Metrics
from routing.model import Roster
from routing.roster import Duty, resolve
from store import Store, StoreError, unopened

_PUBLISHER_LATE = 30.0  # seconds after the start; then a publisher that cannot log in is a fault
_IN_STEP_LATE = 30.0  # seconds in which the PBXs come first; then today's figures are read without them
_FULL = re.compile(r"\bis full\b|No space left")  # SQLite's and PostgreSQL's words for it
_STEPS_APART = 60.0  # seconds between two steps of one clock that are both put on record

log = structlog.get_logger(__name__)


def rules_of(settings: Settings, pbx: str) -> Rules:
    """What the core must know beforehand about one PBX."""
    away, of_pbx = settings.away, settings.pbx[pbx]
    return Rules(
        away=AwayRule(away.limit, away.warn_before, away.grace, dict(away.limits)),
        trunks=of_pbx.trunks,
        internal_contexts=of_pbx.internal_contexts,
        default_wrap_up=settings.wrap_up.default,
        wrap_up=dict(settings.wrap_up.queues),
    )


class Room:
    """Everything that belongs to one PBX alone."""

    def __init__(self, service: "Service", name: str) -> None:
        settings = service.settings
        self.name = name
        self.board = service.board
        self.core = Core(name, rules_of(settings, name))
        self.inbox = Inbox(settings.pbx[name].inbox_size)
        self.pbx = Pbx(name, settings.pbx[name], self.inbox)
        self.actor = Actor(
            [self.pbx], record=service.ledger.put, durable=service.ledger.committed, wanted=self.core.wants
        )
        self.pages = books_of(settings, name, service.shipped.get(name))
        self.books = Bookkeeper(
            name,
            rules_of(settings, name),
            self.pages,
            service.store.queries,
            service.store.writer,
            now=self.pbx.now,
            seen=service.seen_marks,
            learned=self.core.agents.learn,
            away=self.core.agents.learn_away,
            keep=service.spool.put,
            reconciled=service.reconciled(name),
            readable=self._books_readable,
        )
        self.pump = Pump(
            self.core,
            (*service.sinks, self.books.take),
            self._act,
            on_event=self._heard,
            on_step=self._clock_stepped,
        )
        self.publisher = Publisher(
            self.pbx,
            service.roster,
            days=settings.duty.publish_days,
            every=settings.duty.publish_every,
            told=self._published,
        )
        self.marks = PendingMarks(
            self.pbx, service.ledger, self._alive, now=self.pbx.now, seen=service.seen_marks
        )
        self.trunks = TrunkWatch(self.pbx, settings.pbx[name].trunks)
        self.progress = Progress(self.inbox)
        self.resynced = asyncio.Event()  # the PBX's state was taken in, once at least
        self.pumping: asyncio.Task[None] | None = None
        self._unpublished = 0  # cycles in a row
        self._stepped_at = float("-inf")  # time.monotonic()

    def _act(self, commands: Iterable[Command]) -> None:
        for command in commands:
            self.actor.perform(command)

    def _heard(self, event: Event) -> None:
        match event:
            case Resynced():
                self.resynced.set()
                self.publisher.wake()
                self.marks.wake()
                self.trunks.wake()
                # Once this batch is dealt with, the core has asked for what it still wants.
                asyncio.get_running_loop().call_soon(self.actor.settle)
            case DutySaid(action="entered" | "accepted" | "ended"):
                self.marks.wake()
            case MemberSeen() | MemberRemoved():
                self.actor.heard(self.name, event)

    def _published(self, status: PublishStatus) -> None:
        """What the roster's publishing came to; a link that is down is a fault of its own."""
        if status.state is PublishState.OK:
            self._unpublished = 0
            self.board.end("publisher", {FaultKind.PUBLISH}, self.name)
            return
        self._unpublished += 1
        passing = status.state is PublishState.NO_PBX and (not self.pbx.status.up or self._unpublished == 1)
        if not passing:
            self.board.begin(FaultKind.PUBLISH, "publisher", status.error, self.name)

    def _books_readable(self, why: str) -> None:
        """Whether the PBX's books could be read; "" when they could."""
        if why:
            self.board.begin(FaultKind.BOOKS, "books", why, self.name)
        else:
            self.board.end("books", {FaultKind.BOOKS}, self.name)

    def _clock_stepped(self, at: float, seconds: float) -> None:
        if time.monotonic() - self._stepped_at < _STEPS_APART:
            return
        self._stepped_at = time.monotonic()
        self.board.moment(FaultKind.CLOCK, f"the clock of {self.name} was put {_by(seconds)}", self.name, at)

    def _alive(self, uniqueid: str) -> bool | None:
        return uniqueid in self.core.calls.legs if self.pbx.status.up else None

    async def restore(self, former: FormerRoom, *, books: bool) -> None:
        """Take up the open business of an earlier process; `books` when the store can be read for its gaps too."""
        self.core.restore(former.memory)
        self.actor.restore(former.commands)
        if books:
            await self.books.restore(former.seen)

    def start(self, group: asyncio.TaskGroup) -> list[asyncio.Task[None]]:
        """Run everything of this PBX; returns the tasks in the order in which they are to be ended."""
        parts = (
            self.pbx.run(),
            self._publish(),
            self._collect_marks(),
            self.actor.run(),
            self.books.run(),
            self.trunks.run(),
        )
        names = ("door", "publish", "marks", "actor", "books", "trunks")
        tasks = [
            group.create_task(part, name=f"{self.name}-{n}") for part, n in zip(parts, names, strict=True)
        ]
        self.pumping = group.create_task(self.pump.run(self.inbox), name=f"{self.name}-pump")
        return [*tasks, self.pumping]

    async def _publish(self) -> None:
        with contextlib.suppress(TimeoutError):  # the publisher itself says what is wrong then
            async with asyncio.timeout(_PUBLISHER_LATE):
                await self.pbx.up("publisher")
        await self.publisher.run()

    async def _collect_marks(self) -> None:
        await self.pbx.up("publisher")
        await self.marks.run()

    async def drain(self) -> None:
        """Deal with what had arrived when the door was closed."""
        if self.inbox.depth:
            self.pump.step_all(await self.inbox.get_batch())


class Service:
    """One daemon; made by `run`."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        reloader: Reloader | None = None,
        manager: ServiceManager | None = None,
    ) -> None:
        self.settings = settings
        self.store = store
        level = settings.service_level
        self.spool = Spool(settings.data_dir / "spool", on_trouble=self._spool_trouble)
        self.ledger = Ledger(self.spool, store.writer)
        self.board = Board(self.give)
        self.duty_watch = DutyWatch(self.board)
        self.manager = manager or ServiceManager()
        self.heartbeat = Heartbeat(settings.data_dir)
        self.live = Live(settings.duty.timezone, self._threshold)
        self.live.lacks_before = time.time()
        self.notifier = Notifier(webhook_of(settings), delivered=self._delivered)
        self.metrics = Metrics(
            CollectorRegistry(),
            service_level=dict(level.queues),
            default_service_level=level.default,
            now=time.time,
            pbxs=settings.pbx,
            reasons=MismatchReason,
            rules=RULES,
            sources=sources(self),
        )
        self.sinks: Sequence[Take] = (
            self.ledger.put,
            self.metrics.take,
            self.live.take,
            self.notifier.put,
        )
        self.started_at = time.time()
        self._stop, self._reload = asyncio.Event(), asyncio.Event()
        self._reloader = reloader
        shipped = {name: shipped_of(settings, name) for name in settings.pbx}
        self.shipped = {name: store for name, store in shipped.items() if store is not None}
        self.rooms = {name: Room(self, name) for name in settings.pbx}
        self.takeup = TakeUp(self)
        self._group: asyncio.TaskGroup | None = None
        self._running: dict[str, list[asyncio.Task[None]]] = {}
        store.writer.on_trouble = self.database_trouble

    async def roster(self) -> Roster:
        """The roster as the database has it; names go to the cores on the way."""
        snapshot = await self.store.people.load()
        names = {person.id: person.name for person in snapshot.people}
        for room in self.rooms.values():
            room.core.know(names)
        return snapshot.roster(self.settings.duty.timezone)

    async def wake_roster(self) -> None:
        """Read people and roster again, and publish at once what is due."""
        try:
            await self.roster()
        except StoreError as error:
            log.warning("roster_not_read", reason=str(error))
        for room in self.rooms.values():
            room.publisher.wake()

    def seen_marks(self, facts: Iterable[Fact]) -> None:
        """Facts made of pending marks: the store has them already, the other sinks not."""
        taken = list(facts)
        self.metrics.take(taken)
        self.live.take(taken)
        self.duty_watch.take(taken)

    def reconciled(self, pbx: str) -> Callable[[Report, int], None]:
        """Return what takes the comparisons with the books of one PBX."""

        def take(report: Report, bad_lines: int) -> None:
            self.metrics.reconciled(
                pbx,
                checked=report.checked,
                mismatches=report.by_reason(),
                explained=report.by_rule(RULES),
                bad_lines=bad_lines,
            )

        return take

    def give(self, facts: Sequence[Fact]) -> None:
        """Give facts that no core made to every sink; one that fails does not stop the others."""
        for sink in self.sinks:
            try:
                sink(facts)
            except Exception:
                log.exception("sink_failed", sink=getattr(sink, "__qualname__", repr(sink)))

    def _threshold(self, queue: str) -> float:
        level = self.settings.service_level
        return level.queues.get(queue, level.default)

    def _delivered(self, delivery: Delivery) -> None:
        self.ledger.put([delivery])

    def database_trouble(self, began: bool, detail: str) -> None:
        """The database takes nothing, or does again: a fault with begin and end."""
        if began:
            full = _FULL.search(detail) is not None
            self.board.begin(FaultKind.DISK if full else FaultKind.DATABASE, "database", detail)
        else:
            self.board.end("database", {FaultKind.DISK, FaultKind.DATABASE})

    def _spool_trouble(self, began: bool, detail: str) -> None:
        if began:
            self.board.begin(FaultKind.DISK, "spool", detail)
        else:
            self.board.end("spool", {FaultKind.DISK})

    def _own_clock_stepped(self, seconds: float) -> None:
        self.board.moment(FaultKind.CLOCK, f"the clock of this machine was put {_by(seconds)}")

    def well(self) -> bool:
        """Whether every pump makes progress; a restart would help if not."""
        progress = {name: room.progress.made() for name, room in self.rooms.items()}
        return all(
            progress[name] and room.pumping is not None and not room.pumping.done()
            for name, room in self.rooms.items()
        )

    def reload(self) -> None:
        """Read the configuration again, soon."""
        self._reload.set()

    def stop(self) -> None:
        """Begin the orderly end."""
        self._stop.set()

    async def duty_at(self, hotline: str | None, at: float) -> Sequence[Duty]:
        """Who is on duty at an epoch; raises `routing.roster.UnknownHotline`."""
        roster = await self.roster()
        names = [hotline] if hotline is not None else [line.name for line in roster.hotlines]
        return [resolve(roster, name, at) for name in names]

    def people(self) -> Collection[str]:
        """Numbers of the agents that are in the database, as of the last look."""
        return {agent for room in self.rooms.values() for agent in room.core.agents.names}

    def http_deps(self) -> HttpDeps:
        """What the API reads from."""
        return HttpDeps(
            queries=self.store.queries,
            live=self.live,
            metrics=self.metrics.snapshot,
            health=lambda: health_of(self),
            duty_at=self.duty_at,
            reports=Reports(self.board, self.ledger, self.store.queries, self.rooms),
            token=token.ensure(self.settings.data_dir),
            allowed_hosts=self.settings.http.allowed_hosts,
            people=self.people,
            books=lambda: [room.books.status for room in self.rooms.values()],
            read_books=lambda pbx: self.rooms[pbx].pages if pbx in self.rooms else None,
            shipped=self.shipped,
            books_token=token.ensure(self.settings.data_dir, token.BOOKS) if self.shipped else "",
        )

    async def serve(self) -> None:
        """Run until `stop`; returns when everything taken is durable, or in the spool.

        Raises:
            SpoolError: another daemon runs on this data_dir, or it cannot be written.
        """
        spooled = await self.spool.open()
        try:
            await self.takeup.begin(spooled)
            self._former_death()
            self.notifier.start()
            http = await listen.start(server.make_app(self.http_deps()), self.settings.http)
            try:
                await self._run_rooms()
            finally:
                await http.cleanup()
                await self.notifier.close()
        except BaseException:
            await self.spool.close()
            raise

    def _former_death(self) -> None:
        died_at = self.heartbeat.former()
        if died_at is not None:
            self.board.past(FaultKind.DAEMON, died_at, "the daemon ended without being asked to")

    async def restore(self, former: Former, *, books: bool) -> None:
        """Take up what was open; `books` when the store can be read. Raises StoreError."""
        for name, room in self.rooms.items():
            await room.restore(former.rooms[name], books=books)
        if books:
            await self._tell_again(former.faults)
        self.board.restore(former.faults, self.rooms)

    def fresh_rooms(self) -> None:
        """Rooms that know nothing take the place of those there are, which must not be running."""
        for name in self.rooms:
            self.rooms[name] = Room(self, name)

    def start_rooms(self) -> None:
        """Run every room."""
        assert self._group is not None, "the service runs"  # noqa: S101 - ours
        self._running = {name: room.start(self._group) for name, room in self.rooms.items()}

    async def halt_rooms(self) -> None:
        """End every room in order, and deal with what had arrived."""
        running, self._running = self._running, {}
        for of_room in running.values():
            await _end(of_room)
        for room in self.rooms.values():
            await room.drain()

    async def _tell_again(self, faults: Sequence[Fault]) -> None:
        """Faults whose begin nobody was told of, because the earlier process died first."""
        if webhook_of(self.settings) is None:
            return
        deliveries = await self.store.queries.deliveries(fault.id for fault in faults)
        for fault in faults:
            if not any(one.ok and one.kind == "fault_began" for one in deliveries.get(fault.id, ())):
                self.notifier.put(told(fault))

    async def _run_rooms(self) -> None:
        async with asyncio.TaskGroup() as group:
            self._group = group
            self.start_rooms()
            taking_up = group.create_task(self._take_up(), name="take-up")
            beside = [
                group.create_task(part, name=name)
                for name, part in (
                    ("announce", self._announce()),
                    ("spool-trim", self.spool.follow(self.store.writer.committed)),
                    ("settle-faults", self._settle_faults()),
                    ("clock", WallClock(self._own_clock_stepped).run()),
                    ("heartbeat", self.heartbeat.run()),
                    ("watchdog", self.manager.keep_alive(self.well)),
                    ("reload", self._reload_when_told()),
                )
            ]
            self.manager.ready(f"serving {', '.join(self.rooms)}")
            await self._stop.wait()
            log.info("stopping")
            self.manager.stopping()
            await _end([taking_up])
            for task in beside:
                task.cancel()
            await self.halt_rooms()
        self.heartbeat.end()

    async def _take_up(self) -> None:
        """What a start need not wait for: the rest of the open business, then today's figures."""
        await self.takeup.later()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_IN_STEP_LATE):
                for room in self.rooms.values():
                    await room.resynced.wait()
        try:
            await self.store.writer.committed()
            read = await recall(self.live, self.store.queries, self.rooms, time.time())
        except StoreError as error:
            log.exception("today_not_recalled", reason=str(error))
        else:
            self.live.lacks_before = None
            log.info("today_recalled", records=read)

    async def _settle_faults(self) -> None:
        """What an earlier process left open ends when it is seen to work now."""
        await self.spool.synced()
        self.board.end("spool", {FaultKind.DISK})
        await self.store.writer.committed()
        self.board.end("database", {FaultKind.DISK, FaultKind.DATABASE})

    async def _reload_when_told(self) -> None:
        while True:
            await self._reload.wait()
            self._reload.clear()
            if self._reloader is not None:
                self.manager.reloading()
                await self._reloader.reload(self)
                self.manager.ready(f"serving {', '.join(self.rooms)}")

    async def _announce(self) -> None:
        for room in self.rooms.values():
            for role in ROLES:
                await room.pbx.up(role)
        log.info("ready", pbxs=list(self.rooms), port=self.settings.http.port)


async def _end(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
        await asyncio.wait([task])


def _by(seconds: float) -> str:
    return f"{'forward' if seconds > 0 else 'back'} by {abs(seconds):.1f} s"


def webhook_of(settings: Settings) -> Webhook | None:
    """Where notices go, if anywhere."""
    notify = settings.notify
    if notify.webhook_url is None or notify.webhook_secret is None:
        return None
    return Webhook(notify.webhook_url, notify.webhook_secret.get_secret_value())


def run(settings: Settings, config_path: Path) -> int:
    """Run the daemon until it is told to end; returns the exit status."""
    logs.configure(settings.log)
    collect_rarely()
    log.info("starting", config=str(config_path), pbxs=list(settings.pbx))
    return asyncio.run(_run(settings, config_path))


async def _run(settings: Settings, config_path: Path) -> int:
    store = unopened(settings.database.full_url)
    service = Service(settings, store, Reloader(config_path))
    loop = asyncio.get_running_loop()
    for ending in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(ending, service.stop)
    loop.add_signal_handler(signal.SIGHUP, service.reload)
    try:
        await service.serve()
    except BaseException:
        with contextlib.suppress(StoreError):  # the first error says more
            await store.close()
        raise
    await _close(service)
    log.info("stopped")
    return 0


async def _close(service: Service) -> None:
    """Flush the store, and leave in the spool what it did not take. Raises StoreError."""
    try:
        await service.store.close()
    except StoreError:
        await service.spool.close()
        raise
    await service.spool.close(committed=True)
