"""The HTTP side on a real loopback socket, over a real SQLite store that holds a small day of facts."""

import asyncio
import contextlib
import datetime as dt
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from config.sections import Http
from cti.core import facts as f
from cti.daemon.board import Board
from cti.daemon.bookkeeper import BooksStatus
from cti.daemon.http import Check, Health, HttpDeps, make_app, start
from cti.daemon.live import Live
from cti.daemon.reports import Reports
from cti.daemon.shipped import ShippedBooks
from routing.calendar import Day, DayKind, DayReason
from routing.roster import Duty, DutyKind, Reason, Role, Rung, UnknownHotline
from store import Store, open_store

TOKEN = "test-token-0123456789-abcdefghij"
BOOKS_TOKEN = "books-token-0123456789-abcdefghi"
AT = 1_790_000_000.25  # 2026-09-21T14:13:20.25Z
NEWCOMER = "2009"  # in the database, never logged in
NAMES = ("王芳", "O'Brien", "李 小龙", "")


def call(number: int, *, pbx: str = "main", over: bool = True) -> f.Call:
    """One inbound call, a minute after the one before."""
    begun = AT + number * 60
    return f.Call(
        id=f"{pbx}-{begun:.2f}",
        pbx=pbx,
        direction=f.Direction.INBOUND,
        caller_number=f"1380013{number:04}",
        caller_name=NAMES[number % 4],
        dialed_number="4001234567",
        started_at=begun,
        answered_at=begun + 5.5 if number % 3 else None,
        ended_at=begun + 50 if over else None,
        disposition=(f.Disposition.ANSWERED if number % 3 else f.Disposition.ABANDONED) if over else None,
        ended_by=f.EndedBy.CALLER if over else None,
        hangup_cause=16 if over else None,
    )


def parts(of: f.Call) -> list[f.Fact]:
    """Every kind of part a call can have."""
    at = of.started_at
    channel = of.id.removeprefix("main-")
    one = ("PJSIP/1001", AT)
    stay = f"{of.id}/q1"
    return [
        f.Leg(of.id, of.id, of.pbx, channel, channel, "PJSIP/trunk-a-00000001", "PJSIP/trunk-a", of.caller_number,
              None, dialed=False, started_at=at, ended_at=of.ended_at),
        f.QueueStay(stay, of.id, of.pbx, 1, "sales", channel, at, 1, at + 5.5, at + 5.5, f.StayOutcome.ANSWERED,
                    5.5, "2001", 6.0, 44.0),
        f.Attempt(f"{of.id}/a", of.id, of.pbx, stay, "sales", "2001", one[0], f.State.AVAILABLE, one[1], None, at + 1,
                  at + 5.5, f.AttemptOutcome.ANSWERED),
        f.Talk(f"{of.id}/t1", of.id, of.pbx, "sales", "2001", one[0], at + 5.5, of.ended_at, 3.0),
        f.Transfer(f"{of.id}/x1", of.id, of.pbx, "blind", "2001", "1002", at + 40, "success"),
        f.Recording(f"{of.id}/r1", of.id, of.pbx, "a.wav", at + 6, of.ended_at),
    ]  # fmt: skip


def agent(name: str, state: f.State, since: float, *, queues: tuple[str, ...] = ("sales",)) -> f.AgentState:
    """One agent in one state."""
    out = state is f.State.LOGGED_OUT
    return f.AgentState(
        "main",
        name,
        "王芳",
        "" if out else "PJSIP/1001",
        () if out else queues,
        state,
        since,
        "",
        f.Cause.AGENT,
    )


def day() -> list[f.Fact]:
    """The small day: 12 calls and one that goes on, two agents, an away episode, a fault, an incident, work items."""
    calls = [call(number) for number in range(12)]
    return [
        f.Queue("main", "sales", "leastrecent", 5.0, 0),
        f.Link("main", up=True, at=AT),
        *calls,
        *(part for one in calls[:3] for part in parts(one)),
        call(12, over=False),
        agent("2001", f.State.AVAILABLE, AT),
        agent("2001", f.State.ON_CALL, AT + 100),
        agent("2001", f.State.AVAILABLE, AT + 200),
        agent("2002", f.State.AVAILABLE, AT),
        agent("2002", f.State.AWAY, AT + 300),
        f.AwayEpisode("main-2002-1", "main", "2002", "break", AT + 300, AT + 1080, AT + 1200),
        f.Incident("i1", "main", "away_limit", "2002", AT + 1200, "away for 15 minutes", "logged_out"),
        f.Fault("f1", f.FaultKind.LINK, "main", AT, AT + 5, "connection reset"),
        f.Delivery("f1/fault_began/webhook", "f1", "main", "fault_began", "webhook", AT + 1, ok=True),
        f.Fault("f2", f.FaultKind.DATABASE, "", AT + 50, None, "disk full"),
        f.WorkItem("main-9.1", "main", "after_hours_call", "main-9.1", "sales", "13900001111", AT, "accepted",
                   "13700002222", AT + 9),
        f.WorkItem("main-9.2", "main", "after_hours_call", "main-9.2", "sales", "13900001111", AT, "abandoned",
                   state="done"),
    ]  # fmt: skip


async def duty_at(hotline: str | None, at: float) -> Sequence[Duty]:
    """One hotline with a ladder of two."""
    if hotline not in {None, "sales"}:
        raise UnknownHotline(hotline)

    what = Day(dt.date(2026, 9, 21), DayKind.WORKDAY, DayReason.WEEKDAY_RULE)
    ladder = (
        Rung("2001", "王芳", "13700002222", Role.PRIMARY, Reason.ROTATION),
        Rung("9000", "李雷", "13700003333", Role.SUPERVISOR, Reason.SUPERVISOR),
    )
    return [Duty("sales", DutyKind.DUTY, at - 60, at + 3600, ladder, (Reason.DUTY_HOURS,), what)]


@dataclass
class Served:
    """What a test needs to know of the running side."""

    url: str
    port: int
    store: Store
    live: Live
    health: list[Health]  # the last one is shown
    books: list[BooksStatus]
    shipped: ShippedBooks  # where the books of "main" go


@contextlib.asynccontextmanager
async def served(directory: Path, *, allowed_hosts: tuple[str, ...] = ()) -> AsyncIterator[Served]:
    """Serve the small day on a free port."""
    async with await open_store(f"sqlite+aiosqlite:///{directory}/cti.sqlite3") as store:
        live = Live()
        store.writer.put(day())
        live.take(day())
        await store.writer.committed()
        board = Board(store.writer.put, now=lambda: AT + 1000)
        statuses = [BooksStatus("main")]
        store_of_books = ShippedBooks(directory / "books" / "main", ("queue_log", "cdr_csv"))
        health = [Health(ok=True, ready=True, checks=(Check("link main", ok=True, detail="up"),))]
        app = make_app(
            HttpDeps(
                queries=store.queries,
                live=live,
                metrics=lambda: lambda: b"# HELP cti_up x\n# TYPE cti_up gauge\ncti_up 1.0\n",
                health=lambda: health[-1],
                duty_at=duty_at,
                reports=Reports(board, store.writer, store.queries, ("main",), now=lambda: AT + 1000),
                token=TOKEN,
                allowed_hosts=allowed_hosts,
                now=lambda: AT + 1000,
                people=lambda: (NEWCOMER,),
                books=lambda: statuses,
                shipped={"main": store_of_books},
                books_token=BOOKS_TOKEN,
            )
        )
        # Port 0 is not for people, so the settings refuse it; a test wants any free one.
        runner = await start(app, Http.model_construct(host="127.0.0.1", port=0))
        try:
            port = runner.addresses[0][1]
            yield Served(f"http://127.0.0.1:{port}", port, store, live, health, statuses, store_of_books)
        finally:
            await runner.cleanup()


@contextlib.contextmanager
def served_in_thread(directory: Path, *, allowed_hosts: tuple[str, ...] = ()) -> Iterator[Served]:
    """The same in a loop of its own: for tools that are not asynchronous, and for many tests in a row."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    side = served(directory, allowed_hosts=allowed_hosts)
    try:
        running = asyncio.run_coroutine_threadsafe(side.__aenter__(), loop).result(30)
        try:
            yield running
        finally:
            asyncio.run_coroutine_threadsafe(side.__aexit__(None, None, None), loop).result(30)
            asyncio.run_coroutine_threadsafe(_settled(), loop).result(30)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _settled() -> None:
    """Let connections that were just closed end their tasks."""
    others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    if others:
        await asyncio.wait(others, timeout=5)
