"""What the HTTP side is given by the shell; it opens nothing itself."""

import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from cti.daemon.bookkeeper import BooksStatus
from cti.daemon.books import Books
from cti.daemon.live import Live
from cti.daemon.reports import Reports
from cti.daemon.shipped import ShippedBooks
from routing.roster import Duty
from store.queries import Queries


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that is well or not. `detail` is for people and holds no personal data: anybody may read it."""

    name: str
    ok: bool
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Health:
    """How the daemon is.

    `ok` is False only when a restart would help. `ready` is False while what is shown is not complete: no link to a
    PBX, events lost, a database that takes nothing.
    """

    ok: bool
    ready: bool
    checks: tuple[Check, ...] = ()


@dataclass(frozen=True, slots=True)
class HttpDeps:
    """Everything the routes read from."""

    queries: Queries
    live: Live
    metrics: Callable[[], Callable[[], bytes]]  # a snapshot, and what writes it in any thread
    health: Callable[[], Health]
    duty_at: Callable[[str | None, float], Awaitable[Sequence[Duty]]]
    """Who is on duty for a hotline (None: for each) at an epoch; raises `routing.roster.UnknownHotline`."""
    reports: Reports
    """Takes faults reported by hand."""
    token: str
    allowed_hosts: tuple[str, ...] = ()  # beside the names of this machine
    now: Callable[[], float] = time.time  # epoch seconds
    people: Callable[[], Collection[str]] = tuple  # agents whom the database knows, by number
    books: Callable[[], Sequence[BooksStatus]] = tuple  # how the PBXs' books stand
    read_books: Callable[[str], Books | None] = lambda _pbx: None
    """The books of a PBX; None when it is not configured."""
    shipped: Mapping[str, ShippedBooks] = field(default_factory=dict)
    """Where the books go that `cti ship-books` sends, by PBX."""
    books_token: str = ""  # opens the path of those books and no other; "" when none are to come
