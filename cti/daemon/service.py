"""The wiring of `cti run`: one room for each PBX, the sinks they share, and an orderly end.

Start: store (migrated) → each core takes up its open business → sinks → doors. End (SIGTERM, SIGINT): doors first,
then what is in the inboxes is dealt with, then the store and the notices are flushed; nothing taken is lost.
"""

import asyncio
import signal
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import structlog
from prometheus_client import CollectorRegistry

from config.settings import Settings
from cti.core.commands import Command
from cti.core.core import Core
from cti.core.events import DutySaid, Event, Resynced
from cti.core.facts import Fact, Fault, FaultKind
from cti.core.faults import begun, ended, told
from cti.core.rules import AwayRule, Rules
from cti.daemon import logs, token
from cti.daemon.act import Actor
from cti.daemon.ami import ROLES, Pbx
from cti.daemon.figures import health_of, sources
from cti.daemon.http import listen, server
from cti.daemon.http.deps import HttpDeps
from cti.daemon.inbox import Inbox
from cti.daemon.live import Live
from cti.daemon.notify import Notifier, Webhook
from cti.daemon.pending import PendingMarks
from cti.daemon.publish import Publisher
from cti.daemon.pump import Pump, Take
from metrics.record import Metrics
from routing.model import Roster
from routing.roster import Duty, resolve
from store import Store, open_store

log = structlog.get_logger(__name__)


def rules_of(settings: Settings, pbx: str) -> Rules:
    """What the core must know beforehand about one PBX."""
    away, of_pbx = settings.away, settings.pbx[pbx]
    return Rules(
        away=AwayRule(away.limit, away.warn_before, away.grace, dict(away.limits)),
        trunks=of_pbx.trunks,
        internal_contexts=of_pbx.internal_contexts,
    )


class Room:
    """Everything that belongs to one PBX alone."""

    def __init__(self, service: "Service", name: str) -> None:
        settings = service.settings
        self.name = name
        self.core = Core(name, rules_of(settings, name))
        self.inbox = Inbox(settings.pbx[name].inbox_size)
        self.pbx = Pbx(name, settings.pbx[name], self.inbox)
        self.actor = Actor([self.pbx])
        self.pump = Pump(self.core, service.sinks, self._act, on_event=self._wake)
        self.publisher = Publisher(
            self.pbx, service.roster, days=settings.duty.publish_days, every=settings.duty.publish_every
        )
        self.marks = PendingMarks(
            self.pbx, service.store.writer, self._alive, now=self.pbx.now, seen=service.seen_marks
        )

    def _act(self, commands: Iterable[Command]) -> None:
        for command in commands:
            self.actor.perform(command)

    def _wake(self, event: Event) -> None:
        if isinstance(event, Resynced):
            self.publisher.wake()
            self.marks.wake()
        elif isinstance(event, DutySaid) and event.action in {"entered", "accepted", "ended"}:
            self.marks.wake()

    def _alive(self, uniqueid: str) -> bool | None:
        return uniqueid in self.core.calls.legs if self.pbx.status.up else None

    async def restore(self, store: Store) -> None:
        """Take up the open business of an earlier process."""
        self.core.restore(await store.queries.open_memory(self.name))

    def start(self, group: asyncio.TaskGroup) -> list[asyncio.Task[None]]:
        """Run everything of this PBX; returns the tasks in the order in which they are to be ended."""
        parts = (self.pbx.run(), self._publish(), self._collect_marks(), self.actor.run())
        names = ("door", "publish", "marks", "actor")
        tasks = [
            group.create_task(part, name=f"{self.name}-{n}") for part, n in zip(parts, names, strict=True)
        ]
        return [*tasks, group.create_task(self.pump.run(self.inbox), name=f"{self.name}-pump")]

    async def _publish(self) -> None:
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

    def __init__(self, settings: Settings, store: Store) -> None:
        self.settings = settings
        self.store = store
        level = settings.service_level
        self.live = Live(settings.duty.timezone, lambda queue: level.queues.get(queue, level.default))
        self.notifier = Notifier(_webhook(settings))
        self.metrics = Metrics(
            CollectorRegistry(),
            service_level=dict(level.queues),
            default_service_level=level.default,
            now=time.time,
            pbxs=settings.pbx,
            sources=sources(self),
        )
        self.sinks: Sequence[Take] = (
            self.store.writer.put,
            self.metrics.take,
            self.live.take,
            self.notifier.put,
        )
        self.started_at = time.time()
        self._database_fault: Fault | None = None
        self._stop = asyncio.Event()
        self.rooms = {name: Room(self, name) for name in settings.pbx}
        store.writer.on_trouble = self._database_trouble

    async def roster(self) -> Roster:
        """The roster as the database has it; names go to the cores on the way."""
        snapshot = await self.store.people.load()
        names = {person.id: person.name for person in snapshot.people}
        for room in self.rooms.values():
            room.core.know(names)
        return snapshot.roster(self.settings.duty.timezone)

    def seen_marks(self, facts: Iterable[Fact]) -> None:
        """Facts made of pending marks: the store has them already, the other sinks not."""
        taken = list(facts)
        self.metrics.take(taken)
        self.live.take(taken)

    def _database_trouble(self, began: bool, detail: str) -> None:
        now = time.time()
        if began:
            self._database_fault = begun("", FaultKind.DATABASE, now, detail)
            facts = told(self._database_fault)
        elif self._database_fault is not None:
            facts = told(ended(self._database_fault, now))
            self._database_fault = None
        else:
            return
        for sink in self.sinks:
            sink(facts)

    def stop(self) -> None:
        """Begin the orderly end."""
        self._stop.set()

    async def duty_at(self, hotline: str | None, at: float) -> Sequence[Duty]:
        """Who is on duty at an epoch; raises `routing.roster.UnknownHotline`."""
        roster = await self.roster()
        names = [hotline] if hotline is not None else [line.name for line in roster.hotlines]
        return [resolve(roster, name, at) for name in names]

    def http_deps(self) -> HttpDeps:
        """What the API reads from."""
        return HttpDeps(
            queries=self.store.queries,
            live=self.live,
            metrics_text=self.metrics.metrics_text,
            health=lambda: health_of(self),
            duty_at=self.duty_at,
            token=token.ensure(self.settings.data_dir),
            allowed_hosts=self.settings.http.allowed_hosts,
        )

    async def serve(self) -> None:
        """Run until `stop`; returns when everything taken is durable."""
        await self.roster()
        for room in self.rooms.values():
            await room.restore(self.store)
        self.notifier.start()
        http = await listen.start(server.make_app(self.http_deps()), self.settings.http)
        try:
            await self._run_rooms()
        finally:
            await http.cleanup()
            await self.notifier.close()

    async def _run_rooms(self) -> None:
        async with asyncio.TaskGroup() as group:
            tasks = {name: room.start(group) for name, room in self.rooms.items()}
            announcing = group.create_task(self._announce())
            await self._stop.wait()
            log.info("stopping")
            announcing.cancel()
            for of_room in tasks.values():
                await _end(of_room)
        for room in self.rooms.values():
            await room.drain()

    async def _announce(self) -> None:
        for room in self.rooms.values():
            for role in ROLES:
                await room.pbx.up(role)
        log.info("ready", pbxs=list(self.rooms), port=self.settings.http.port)


async def _end(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
        await asyncio.wait([task])


def _webhook(settings: Settings) -> Webhook | None:
    notify = settings.notify
    if notify.webhook_url is None or notify.webhook_secret is None:
        return None
    return Webhook(notify.webhook_url, notify.webhook_secret.get_secret_value())


def run(settings: Settings, config_path: Path) -> int:
    """Run the daemon until it is told to end; returns the exit status."""
    logs.configure(settings.log)
    log.info("starting", config=str(config_path), pbxs=list(settings.pbx))
    return asyncio.run(_run(settings))


async def _run(settings: Settings) -> int:
    store = await open_store(settings.database.full_url)
    try:
        service = Service(settings, store)
        loop = asyncio.get_running_loop()
        for ending in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(ending, service.stop)
        await service.serve()
    finally:
        await store.close()
    log.info("stopped")
    return 0
