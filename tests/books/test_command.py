"""`cti ship-books` and the daemon as real processes; what a person sees when books cannot be read (B3, B4)."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.daemon.served import BOOKS_TOKEN, Served, served_in_thread
from tests.daemon.test_cli import configured, cti
from tests.rig import Rig, free_port

LINE = "1795309914|1795309914.0|sales|NONE|ENTERQUEUE||138|1\n"


@contextlib.asynccontextmanager
async def shipping(rig: Rig, book: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "cti.daemon", "ship-books", "--to", rig.url, "--pbx", "main",
        "--queue-log", str(book), "--token-file", str(rig.directory / "var/books-token"),
        stderr=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def test_books_go_from_one_process_to_the_other(tmp_path: Path) -> None:
    """Unverified until they have arrived; killed without warning, the next one goes on; SIGTERM ends it well."""
    book = tmp_path / "queue_log"
    book.write_text(LINE)
    rig = Rig(tmp_path / "cti", free_port(), pbx_settings='[pbx.main.books]\nshipped = ["queue_log"]\n')
    async with contextlib.AsyncExitStack() as stack:
        await rig.start(ready=False)
        stack.push_async_callback(rig.stop)
        await rig.logged("records_unverified", timeout=30)
        copies = rig.directory / "var/books/main"

        async def arrived() -> bool:
            return [path.read_text() for path in copies.glob("queue_log.*")] == [book.read_text()]

        async def verified() -> bool:
            [status] = (await rig.get("/api/v1/books"))["items"]
            return bool(status["unverified"] == "cdr_csv not configured")

        async with shipping(rig, book) as process:
            await rig.eventually(arrived, timeout=30)
            process.kill()
        book.write_text(book.read_text() + LINE.replace("|1\n", "|2\n"))
        async with shipping(rig, book) as process:
            await rig.eventually(arrived, timeout=30)
            await rig.eventually(verified, timeout=30)
            process.send_signal(signal.SIGTERM)
            assert await process.wait() == 0


def test_the_command_says_what_it_lacks(tmp_path: Path) -> None:
    """Usage is 2 and names the option; books do not go through a network in the clear."""
    to = ("ship-books", "--to", "http://cti.example.com", "--pbx", "main")
    assert "--queue-log" in cti(*to).stderr
    book = ("--queue-log", tmp_path / "queue_log")
    done = cti(*to, *book)
    assert (done.returncode, "CTI_BOOKS_TOKEN" in done.stderr) == (2, True)
    done = cti(*to, *book, environ={"CTI_BOOKS_TOKEN": BOOKS_TOKEN})
    assert (done.returncode, "in the clear" in done.stderr) == (1, True)
    open_file = tmp_path / "token"
    open_file.write_text(BOOKS_TOKEN)
    open_file.chmod(0o644)
    assert "others can read" in cti(*to, *book, "--token-file", open_file).stderr


@pytest.fixture
def side(tmp_path: Path) -> Iterator[Served]:
    with served_in_thread(tmp_path) as running:
        yield running


def test_figures_say_that_they_are_unverified(side: Served, tmp_path: Path) -> None:
    """B4: calls, agents and queues: beside the table, on the other stream, and in the API's answers."""
    (tmp_path / "var").mkdir()
    (tmp_path / "var/api-token").touch(0o600)
    (tmp_path / "var/api-token").write_text("test-token-0123456789-abcdefghij")
    config = configured(tmp_path, side.port)
    for command in ("calls", "agents", "queues"):
        assert "UNVERIFIED" not in cti(command, "--config", config).stderr
    side.books[0].unverified = "the database is away"
    for command in ("calls", "agents", "queues"):
        done = cti(command, "--config", config)
        assert "main: UNVERIFIED: the database is away" in done.stderr
        assert done.returncode == 0
