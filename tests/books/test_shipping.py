"""B3: `cti ship-books` beside a remote PBX: every line of its books reaches the daemon once, whichever side dies."""

import asyncio
import contextlib
import gzip
import random
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import aiohttp
import pytest

from config.sections import PbxSettings
from cti.daemon.bookreader import BookUnreadable
from cti.daemon.books import Books
from cti.daemon.ship import Shipper, ShippingRefused, Target
from cti.daemon.shipped import BEHIND, ShippedBooks, State
from tests.chaos.proxy import Proxy
from tests.daemon.served import BOOKS_TOKEN, TOKEN, Served, served

T0 = 1_795_000_000
NO_FILES = PbxSettings.model_construct(queue_log=None, cdr_csv=None, cel_csv=None)


def line(number: int, name: str = "王伟") -> str:
    return f"{T0 + number}|{T0 + number}.1|{name}|NONE|ENTERQUEUE||138|1\n"


def copies(store: ShippedBooks, book: str = "queue_log") -> str:
    """What is stored of a book, as the reader of local books takes it."""
    found = Books(NO_FILES, shipped=store).read_now(0, T0 + 10_000)
    rows = found.queue_log if book == "queue_log" else found.cdr
    assert found.bad_lines == 0
    return "".join(f"{row.raw}\n" for row in rows or ())


async def until(look: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not look():  # noqa: ASYNC110 - files tell no events
            await asyncio.sleep(0.02)


@pytest.fixture
async def side(tmp_path: Path) -> AsyncIterator[Served]:
    async with served(tmp_path / "daemon") as running:
        yield running


def shipper(url: str, books: dict[str, Path], token: str = BOOKS_TOKEN) -> Shipper:
    given = {
        "now": lambda: T0 + 10_000.0,
        "every": 0.02,
        "sign_of_life": 0.1,
        "delays": (0.05, 0.2),
        "days": 36_500.0,
    }
    return Shipper(books, Target(url, "main", token), **given)  # type: ignore[arg-type]


@contextlib.asynccontextmanager
async def shipping(url: str, books: dict[str, Path]) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(shipper(url, books).run())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_books_arrive_whole_and_as_they_grow(side: Served, tmp_path: Path) -> None:
    """Rotated and packed files too; a line that is being written waits; the daemon reads them like its own."""
    pbx = tmp_path / "pbx"
    pbx.mkdir()
    with gzip.open(pbx / "queue_log.2.gz", "wt") as packed:
        packed.write(line(0) + line(1))
    (pbx / "queue_log.1").write_text(line(2))
    (pbx / "queue_log").write_text(line(3) + line(4)[:20])
    (pbx / "Master.csv").write_text("")
    books = {"queue_log": pbx / "queue_log", "cdr_csv": pbx / "Master.csv"}
    async with shipping(side.url, books):
        await until(lambda: side.shipped.state().complete_until is not None)
        assert copies(side.shipped) == "".join(map(line, range(4)))
        with (pbx / "queue_log").open("a") as book:
            book.write(line(4)[20:] + line(5))
        await until(lambda: copies(side.shipped).count("\n") == 6)
    async with shipping(side.url, books):  # another one begins where the first ended
        (pbx / "queue_log").rename(pbx / "queue_log.0")
        (pbx / "queue_log").write_text(line(6))
        await until(lambda: copies(side.shipped).count("\n") == 7)
    assert copies(side.shipped) == "".join(map(line, range(7)))


async def test_a_dead_daemon_or_link_loses_and_doubles_nothing(side: Served, tmp_path: Path) -> None:
    """What was written meanwhile comes when it is back; lost answers bring nothing twice."""
    book = tmp_path / "queue_log"
    book.write_text(line(0))
    books = {"queue_log": book, "cdr_csv": tmp_path / "Master.csv"}
    async with Proxy(side.port) as proxy, shipping(f"http://127.0.0.1:{proxy.port}", books):
        for number in range(1, 6):
            await until(lambda: copies_or_none(side.shipped).count("\n") == number)  # noqa: B023 - awaited here
            proxy.cut()
            with book.open("a") as file:
                file.write(line(number))
        await until(lambda: copies(side.shipped).count("\n") == 6)
    assert copies(side.shipped) == "".join(map(line, range(6)))


def copies_or_none(store: ShippedBooks) -> str:
    try:
        return copies(store)
    except BookUnreadable:
        return ""


class Pbx:
    """A PBX whose log is written, rotated and shipped, with everything that can go wrong; `chance` decides."""

    def __init__(self, directory: Path, chance: random.Random) -> None:
        self.directory, self.chance, self.written = directory / "pbx", chance, 0
        self.book = self.directory / "queue_log"
        self.directory.mkdir()
        self.copies = directory / "copies"
        self.store = ShippedBooks(self.copies, ("queue_log",))
        self.shipper = shipper("http://127.0.0.1:1", {"queue_log": self.book})

    async def write(self) -> None:
        with self.book.open("a") as file:
            file.write(line(self.written))
        self.written += 1

    async def rotate(self) -> None:
        """Renamed, or copied and cut to nothing; perhaps packed at once."""
        if not self.book.exists() or not self.book.stat().st_size:
            return
        name = self.directory / f"queue_log-{self.written:03}.{self.chance.random()}"
        if self.chance.random() < 0.5:
            self.book.rename(name)
        else:
            shutil.copy2(self.book, name)
            self.book.write_text("")
        if self.chance.random() < 0.3:
            with gzip.open(f"{name}.gz", "wb") as packed:
                packed.write(name.read_bytes())
            name.unlink()

    async def forget(self) -> None:
        """The shipper died, and starts again."""
        self.shipper._there = None

    async def tear(self) -> None:
        """The daemon's machine died while it wrote."""
        for copy in self.copies.glob("queue_log.*"):
            with copy.open("r+b") as torn:
                torn.truncate(self.chance.randint(1, max(1, copy.stat().st_size)))

    async def ship(self, *, surely: bool = False) -> bool:
        """Once, unless the request is lost; its answer may be lost too. Returns whether there was anything."""
        looked = self.shipper._look()
        if surely or self.chance.random() > 0.2:
            stored = await self.store.take(looked.parts, State(T0 + 10_000, ("queue_log",), looked.trouble))
            if surely or self.chance.random() > 0.2:
                self.shipper._there = {(one.book, one.file): one.size for one in stored}
        return looked.new


@pytest.mark.parametrize("seed", range(12))
async def test_any_order_of_writing_rotating_and_dying(tmp_path: Path, seed: int) -> None:
    """Property: whatever is appended, renamed, cut off, packed, torn or forgotten, each line is here exactly once."""
    chance = random.Random(seed)
    pbx = Pbx(tmp_path, chance)
    steps = (pbx.write, pbx.write, pbx.write, pbx.ship, pbx.ship, pbx.rotate, pbx.forget, pbx.tear)
    for _ in range(60):
        await chance.choice(steps)()
    await pbx.forget()
    await pbx.ship(surely=True)
    while await pbx.ship(surely=True):
        pass
    assert copies(pbx.store) == "".join(map(line, range(pbx.written)))


async def test_bytes_that_are_no_text_keep_their_place(tmp_path: Path) -> None:
    """A garbage line becomes question marks of the same length, so what follows is not displaced."""
    book = tmp_path / "queue_log"
    book.write_bytes(line(0).encode() + b"\xff\xfe\x00broken\n" + line(1).encode())
    store = ShippedBooks(tmp_path / "copies", ("queue_log",))
    one = shipper("http://127.0.0.1:1", {"queue_log": book})
    one._there = {}
    await store.take(one._look().parts, State(T0 + 10_000, ("queue_log",)))
    [copy] = (tmp_path / "copies").glob("queue_log.*")
    assert copy.stat().st_size == book.stat().st_size
    found = Books(NO_FILES, shipped=store).read_now(0, T0 + 10_000)
    assert (len(found.queue_log or ()), found.bad_lines) == (2, 1)
    assert copy.stat().st_mode & 0o077 == 0


async def test_copies_that_may_lack_something_are_not_read(tmp_path: Path) -> None:
    """B4: nothing sent yet, nothing heard for long, a book not sent, one that cannot be read there: unverified."""
    store = ShippedBooks(tmp_path, ("queue_log", "cdr_csv"))
    both = ("queue_log", "cdr_csv")
    for state, why in (
        (None, "has not sent the books yet"),
        (State(None, both), "has not sent the books yet"),
        (State(T0 - BEHIND - 5, both), "35 s behind"),
        (State(T0, ("queue_log",)), "does not send cdr_csv"),
        (State(T0, both, "cannot read /x: Permission denied"), "Permission denied"),
    ):
        if state is not None:
            await store.take([], state)
        with pytest.raises(BookUnreadable, match=why):
            store.check(T0)
    await store.take([], State(T0 - BEHIND + 1, both))
    store.check(T0)
    assert ShippedBooks(tmp_path, both).state() == State(T0 - BEHIND + 1, both)  # another process sees it


async def test_old_copies_go(tmp_path: Path) -> None:
    """A file that nothing was added to for longer than `keep` is removed."""
    now = [0.0]
    book = tmp_path / "queue_log"
    book.write_text(line(0))
    store = ShippedBooks(tmp_path / "copies", ("queue_log",), keep=60, now=lambda: now[0])
    one = shipper("http://127.0.0.1:1", {"queue_log": book})
    one._there = {}
    assert len(await store.take(one._look().parts, State())) == 1
    now[0] = book.stat().st_mtime + 61
    assert await store.take([], State()) == []


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://cti.example.com", "in the clear"),
        ("ftp://cti.example.com", "is not a web address"),
        ("cti.example.com", "is not a web address"),
    ],
)
def test_callers_numbers_do_not_go_through_a_network_in_the_clear(url: str, why: str) -> None:
    """Plain http is for this machine, unless somebody says that the way is guarded otherwise."""
    with pytest.raises(ShippingRefused, match=why):
        Target(url, "main", "t").check()
    assert (
        Target("http://cti.example.com", "a b", "t", allow_http=True)
        .check()
        .endswith("/api/v1/pbxs/a%20b/books")
    )
    assert (
        Target("http://127.0.0.1:8475/", "main", "t").check()
        == "http://127.0.0.1:8475/api/v1/pbxs/main/books"
    )


async def test_the_books_token_opens_nothing_else(side: Served, tmp_path: Path) -> None:
    """The remote machine cannot read a record with it; a wrong token ends the command with a sentence."""
    async with aiohttp.ClientSession(side.url) as session:
        empty = {"books": ["queue_log"], "parts": []}
        for token, path, status in (
            (BOOKS_TOKEN, "/api/v1/calls", 401),
            (TOKEN, "/api/v1/calls", 200),
        ):
            async with session.get(path, headers={"Authorization": f"Bearer {token}"}) as answer:
                assert answer.status == status
        for token, pbx, status in (
            (BOOKS_TOKEN, "main", 200),
            (TOKEN, "main", 200),
            (BOOKS_TOKEN, "branch", 404),
        ):
            headers = {"Authorization": f"Bearer {token}"}
            async with session.post(f"/api/v1/pbxs/{pbx}/books", json=empty, headers=headers) as answer:
                assert answer.status == status
        wrong = {
            "books": ["queue_log"],
            "parts": [{"book": "queue_log", "file": "0" * 32, "offset": 0, "text": "x\n"}],
        }
        headers = {"Authorization": f"Bearer {BOOKS_TOKEN}"}
        async with session.post("/api/v1/pbxs/main/books", json=wrong, headers=headers) as answer:
            assert answer.status == 409
    book = tmp_path / "queue_log"
    with pytest.raises(ShippingRefused, match="401"):
        await shipper(side.url, {"queue_log": book}, "wrong").run()
