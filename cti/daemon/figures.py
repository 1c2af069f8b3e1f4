"""Figures that the daemon's parts keep, in the shape that metrics and health pages read."""

import time
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from cti.daemon.http.deps import Check, Health
from cti.daemon.inbox import Inbox
from cti.daemon.publish import PublishState
from metrics.sources import (
    BookFigures,
    DoorFigures,
    DutyFigures,
    NotifyFigures,
    Sources,
    SpoolFigures,
    StoreFigures,
)

if TYPE_CHECKING:
    from cti.daemon.service import Room, Service


class Progress:
    """Whether the consumer of an inbox still takes what comes."""

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox
        self._taken = -1

    def made(self) -> bool:
        """Whether something was taken since the last call, or there was nothing to take."""
        depth = self._inbox.depth
        taken = self._inbox.seen - self._inbox.dropped - depth
        before, self._taken = self._taken, taken
        return depth == 0 or taken != before


def sources(service: "Service") -> Sources:
    """Functions that read the figures of a running service."""

    def door() -> Iterable[DoorFigures]:
        return [_door(room) for room in service.rooms.values()]

    def store() -> StoreFigures:
        stats = service.store.writer.stats
        return StoreFigures(
            stats.queued, stats.written, stats.dropped + stats.refused, stats.retries, stats.last_commit_at
        )

    def spool() -> SpoolFigures:
        stats = service.spool.stats
        return SpoolFigures(stats.waiting, stats.segments, stats.size, stats.written, stats.damaged)

    def notify() -> NotifyFigures:
        return service.notifier.figures

    def duty() -> Iterable[DutyFigures]:
        zone = ZoneInfo(service.settings.duty.timezone)
        return [_duty(room, zone) for room in service.rooms.values()]

    def books() -> Iterable[BookFigures]:
        of = [room.books.status for room in service.rooms.values()]
        return [BookFigures(one.pbx, not one.unverified, one.verified_until) for one in of]

    def today() -> bool:
        return service.live.complete(time.time())

    return Sources(door=door, store=store, spool=spool, notify=notify, duty=duty, books=books, today=today)


def _door(room: "Room") -> DoorFigures:
    stream, inbox = room.pbx.stream, room.inbox
    seen = inbox.seen + stream.missed - inbox.dropped  # one that did not fit is in all three
    return DoorFigures(room.name, seen, stream.missed, inbox.depth, stream.last_event_at)


def _duty(room: "Room", zone: ZoneInfo) -> DutyFigures:
    status = room.publisher.status
    if status.horizon is None:
        return DutyFigures(room.name, status.rows, None, status.last_ok_at)
    midnight = datetime.combine(status.horizon + timedelta(days=1), datetime.min.time(), zone)
    return DutyFigures(room.name, status.rows, midnight.timestamp(), status.last_ok_at)


def health_of(service: "Service") -> Health:
    """Ready means: what is shown is complete. A restart would help only against a bug of ours."""
    checks = [_store_check(service), _spool_check(service)]
    for room in service.rooms.values():
        checks += _room_checks(room)
    whole = service.live.complete(time.time())
    checks.append(
        Check("today", ok=True, detail="" if whole else "today's figures are still being read back")
    )
    dead = [room.name for room in service.rooms.values() if room.pumping is not None and room.pumping.done()]
    pumps = Check("pumps", not dead, f"ended: {', '.join(dead)}; a restart helps" if dead else "")
    bugs = sum(room.pump.figures.bugs for room in service.rooms.values())
    well = Check("bugs", bugs == 0, f"{bugs} events our own code failed on; see the log" if bugs else "")
    ready = pumps.ok and all(check.ok for check in checks)
    return Health(ok=pumps.ok, ready=ready, checks=(*checks, pumps, well))


def _store_check(service: "Service") -> Check:
    stats = service.store.writer.stats
    why = stats.last_error if stats.in_trouble else service.takeup.why
    return Check("database", not why, f"{why}; {stats.queued} facts wait" if why else "")


def _spool_check(service: "Service") -> Check:
    stats = service.spool.stats
    detail = f"{stats.last_error}; {stats.waiting} facts wait in memory" if stats.in_trouble else ""
    return Check("spool", not stats.in_trouble, detail)


def _room_checks(room: "Room") -> Iterator[Check]:
    for role, link in room.pbx.links.items():
        yield Check(f"{room.name}.{role}", not link.trouble, link.trouble)
    state = room.publisher.status
    yield Check(f"{room.name}.roster", state.state is not PublishState.NEVER, state.error)
    books = room.books.status
    detail = f"unverified: {books.unverified}" if books.unverified else "; ".join(books.notes)
    yield Check(f"{room.name}.books", ok=True, detail=detail)
