"""Figures that the daemon's parts keep, brought into the shape the metrics read at a scrape."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from metrics.sources import DoorFigures, DutyFigures, NotifyFigures, Sources, StoreFigures

if TYPE_CHECKING:
    from cti.daemon.service import Room, Service


def sources(service: "Service") -> Sources:
    """Functions that read the figures of a running service."""

    def door() -> Iterable[DoorFigures]:
        return [_door(room) for room in service.rooms.values()]

    def store() -> StoreFigures:
        stats = service.store.writer.stats
        return StoreFigures(
            stats.queued, stats.written, stats.dropped + stats.refused, stats.retries, stats.last_commit_at
        )

    def notify() -> NotifyFigures:
        return service.notifier.figures

    def duty() -> Iterable[DutyFigures]:
        zone = ZoneInfo(service.settings.duty.timezone)
        return [_duty(room, zone) for room in service.rooms.values()]

    return Sources(door=door, store=store, notify=notify, duty=duty)


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
