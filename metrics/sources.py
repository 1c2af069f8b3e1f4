"""Figures that other rooms keep and the metrics only read, at the moment of a scrape.

The shell hands `Sources` functions that return these records; an instant that has not happened yet is None.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from prometheus_client.metrics_core import Metric

from metrics import families as f


@dataclass(frozen=True, slots=True)
class DoorFigures:
    """One PBX's door: counters since the process started, depth of the inbox, last arrival (epoch)."""

    pbx: str
    seen: int
    dropped: int
    depth: int
    last_event_at: float | None = None


@dataclass(frozen=True, slots=True)
class StoreFigures:
    """The store's writer: facts queued now, counters, last commit (epoch)."""

    queued: int
    written: int
    dropped: int
    retries: int
    last_commit_at: float | None = None


@dataclass(frozen=True, slots=True)
class SpoolFigures:
    """The spool: facts that are not on disk yet, files and bytes there now, and counters."""

    queued: int
    segments: int
    size: int
    written: int
    damaged: int


@dataclass(frozen=True, slots=True)
class NotifyFigures:
    """The notifier: notices queued now, and counters."""

    queued: int
    sent: int
    retries: int
    failed: int
    dropped: int


@dataclass(frozen=True, slots=True)
class DutyFigures:
    """What one PBX holds of the duty roster: rows, until when they reach, when they were last published (epochs)."""

    pbx: str
    rows: int
    horizon_at: float | None = None
    last_publish_at: float | None = None


@dataclass(frozen=True, slots=True)
class BookFigures:
    """How one PBX's books stand: whether they can be read, and up to when records were held against them (epoch)."""

    pbx: str
    readable: bool
    verified_until: float | None = None


@dataclass(frozen=True, slots=True)
class Sources:
    """Where the figures are read; a source left out exports nothing."""

    door: Callable[[], Iterable[DoorFigures]] | None = None
    store: Callable[[], StoreFigures] | None = None
    spool: Callable[[], SpoolFigures] | None = None
    notify: Callable[[], NotifyFigures] | None = None
    duty: Callable[[], Iterable[DutyFigures]] | None = None
    books: Callable[[], Iterable[BookFigures]] | None = None
    today: Callable[[], bool] | None = None  # whether the day's figures have everything since midnight

    def collect(self) -> Iterator[Metric]:
        """Ask every source and fill its families."""
        if self.door:
            yield from _door(list(self.door()))
        if self.store:
            yield from _store(self.store())
        if self.spool:
            yield from _spool(self.spool())
        if self.notify:
            yield from _notify(self.notify())
        if self.duty:
            yield from _duty(list(self.duty()))
        if self.books:
            yield from _books(list(self.books()))
        if self.today:
            yield f.TODAY_COMPLETE.filled([((), float(self.today()))])


def _instants(family: f.Family, values: Iterable[tuple[f.Labels, float | None]]) -> Metric:
    return family.filled((labels, at) for labels, at in values if at is not None)


def _door(doors: list[DoorFigures]) -> Iterator[Metric]:
    yield f.EVENTS_SEEN.filled(((door.pbx,), door.seen) for door in doors)
    yield f.EVENTS_DROPPED.filled(((door.pbx,), door.dropped) for door in doors)
    yield f.INBOX_DEPTH.filled(((door.pbx,), door.depth) for door in doors)
    yield _instants(f.LAST_EVENT, (((door.pbx,), door.last_event_at) for door in doors))


def _store(store: StoreFigures) -> Iterator[Metric]:
    yield f.STORE_QUEUED.filled([((), store.queued)])
    yield f.STORE_WRITTEN.filled([((), store.written)])
    yield f.STORE_DROPPED.filled([((), store.dropped)])
    yield f.STORE_RETRIES.filled([((), store.retries)])
    yield _instants(f.STORE_LAST_COMMIT, [((), store.last_commit_at)])


def _spool(spool: SpoolFigures) -> Iterator[Metric]:
    yield f.SPOOL_QUEUED.filled([((), spool.queued)])
    yield f.SPOOL_SEGMENTS.filled([((), spool.segments)])
    yield f.SPOOL_BYTES.filled([((), spool.size)])
    yield f.SPOOL_WRITTEN.filled([((), spool.written)])
    yield f.SPOOL_DAMAGED.filled([((), spool.damaged)])


def _notify(notify: NotifyFigures) -> Iterator[Metric]:
    yield f.NOTIFY_QUEUED.filled([((), notify.queued)])
    yield f.NOTIFY_SENT.filled([((), notify.sent)])
    yield f.NOTIFY_RETRIES.filled([((), notify.retries)])
    yield f.NOTIFY_FAILED.filled([((), notify.failed)])
    yield f.NOTIFY_DROPPED.filled([((), notify.dropped)])


def _duty(duties: list[DutyFigures]) -> Iterator[Metric]:
    yield f.DUTY_ROWS.filled(((duty.pbx,), duty.rows) for duty in duties)
    yield _instants(f.DUTY_HORIZON, (((duty.pbx,), duty.horizon_at) for duty in duties))
    yield _instants(f.DUTY_PUBLISHED, (((duty.pbx,), duty.last_publish_at) for duty in duties))


def _books(books: list[BookFigures]) -> Iterator[Metric]:
    yield f.BOOKS_READABLE.filled(((book.pbx,), float(book.readable)) for book in books)
    yield _instants(f.BOOKS_VERIFIED, (((book.pbx,), book.verified_until) for book in books))
