"""Start, stop, freeze and ask a PostgreSQL of the tests' own, on loopback, with a password nobody else knows.

PostgreSQL refuses to run as root; then it runs as `nobody`, from a copy of its tree where that user cannot read ours.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import pwd
import random
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, Self, TypeVar

import asyncpg

from tests.pg.provision import Tree

T = TypeVar("T")

USER = "cti"
_READY_TIMEOUT_S = 30.0
_PR_SET_PDEATHSIG = 1
_WAL_SEGMENT_B = 2**20  # the smallest there is
_SETTINGS = {
    "fsync": "off",  # survives a killed server, not a power cut
    "full_page_writes": "off",
    "shared_buffers": "32MB",
    "max_connections": "60",
    "max_wal_size": "256MB",
    "timezone": "UTC",
    "unix_socket_directories": "",
    "listen_addresses": "127.0.0.1",
    "password_encryption": "scram-sha-256",
    "scram_iterations": "1",  # its cost guards a stolen hash; ours guards nothing
}


class PostgresError(RuntimeError):
    """The server did not do what was asked; the message shows the end of its log."""


def in_thread(work: Callable[[], Awaitable[T]]) -> T:
    """Run asynchronous work to its end from anywhere, a running event loop included (which waits meanwhile)."""

    async def whole() -> T:
        return await work()

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(lambda: asyncio.run(whole())).result()


class Postgres:
    """One server with its own data directory; `with Postgres(tree) as server:` starts and removes it."""

    def __init__(self, tree: Tree, like: Postgres | None = None) -> None:
        """Nothing is started; `like` is one that was made and never started, copied because making one takes long."""
        self.port = free_port()
        self.password: str = like.password if like is not None else secrets.token_urlsafe(16)
        self._like = like
        self.home = Path(tempfile.mkdtemp(prefix="cti-pg-"))
        self._account = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
        self._tree = tree
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def data(self) -> Path:
        return self.home / "data"

    @property
    def log(self) -> Path:
        return self.home / "log"

    def __enter__(self) -> Self:
        try:
            self.make()
            self.start()
        except BaseException:
            self.remove()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()

    def start(self) -> None:
        """Start, and wait until it takes connections. Raises PostgresError."""
        options = [part for key, value in _SETTINGS.items() for part in ("-c", f"{key}={value}")]
        command = [
            str(self._tree.postgres), "-D", str(self.data), "-p", str(self.port), *options,
        ]  # fmt: skip
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, **self._child()
            )
        deadline = time.monotonic() + _READY_TIMEOUT_S
        while not self._is_ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise PostgresError(f"PostgreSQL did not start:\n{self._log_end()}")
            time.sleep(0.02)

    def stop(self, *, at_once: bool = False) -> None:
        """End it and everybody's connection: orderly, or `at_once` as a crash would."""
        if self._process is None:
            return
        self.thaw()
        self._process.send_signal(signal.SIGQUIT if at_once else signal.SIGINT)
        try:
            self._process.wait(timeout=_READY_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise PostgresError(f"PostgreSQL did not end:\n{self._log_end()}") from None
        self._process = None

    def freeze(self) -> None:
        """Answer nobody any more, and close nothing: what a black-holed network looks like."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Go on after `freeze`."""
        self._signal(signal.SIGCONT)

    def fill_disk(self) -> None:
        """Let no table grow beyond a megabyte, as a full disk does.

        A file of the WAL may have that size: it is there beforehand, and PostgreSQL panics where it cannot write to it.
        """
        self._limit_files(str(_WAL_SEGMENT_B))

    def make_room(self) -> None:
        """After `fill_disk`: there is room again."""
        self._limit_files("unlimited")

    def _limit_files(self, limit: str) -> None:
        for pid in self._all_pids():  # by the same user: that needs no privilege
            command = ["prlimit", f"--pid={pid}", f"--fsize={limit}:"]
            done = subprocess.run(command, capture_output=True, text=True, check=False, **self._child())
            if done.returncode != 0 and Path(f"/proc/{pid}").exists():
                raise PostgresError(f"the limit of {pid} cannot be set: {done.stderr.strip()}")

    def remove(self) -> None:
        """End it, and leave nothing behind."""
        with contextlib.suppress(PostgresError):
            self.stop(at_once=True)
        shutil.rmtree(self.home, ignore_errors=True)

    def url(self, database: str) -> str:
        """For `database.url`, password included."""
        return f"postgresql+asyncpg://{USER}:{self.password}@127.0.0.1:{self.port}/{database}"

    async def connect(self, database: str = "postgres") -> asyncpg.Connection[Any]:
        """A connection of another program's."""
        return await asyncpg.connect(
            host="127.0.0.1", port=self.port, user=USER, password=self.password, database=database
        )

    def execute(self, statement: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Run one statement as another program; usable within a running event loop."""

        async def work() -> list[tuple[Any, ...]]:
            connection = await self.connect(database)
            try:
                return [tuple(row) for row in await connection.fetch(statement)]
            finally:
                await connection.close()

        return in_thread(work)

    @contextlib.contextmanager
    def database(self, template: str = "template1") -> Iterator[str]:
        """A database of one's own for a while; gives its name."""
        name = f"t_{secrets.token_hex(6)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        try:
            yield name
        finally:
            self.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def make(self) -> None:
        """Make the data directory. Raises PostgresError."""
        if self._account is not None:
            os.chown(self.home, self._account.pw_uid, self._account.pw_gid)
        self._tree = self._readable(self._tree)
        if self._like is not None:
            subprocess.run(["cp", "-a", str(self._like.data), str(self.data)], check=True, **self._child())
        else:
            self._initdb()

    def _initdb(self) -> None:
        secret = self.home / "password"
        secret.write_text(self.password)
        secret.chmod(0o644)  # its directory is private
        options = [
            "-D", str(self.data), "-U", USER, "--encoding=UTF8", "--locale=C", "--no-sync",
            f"--wal-segsize={_WAL_SEGMENT_B // 2**20}",
            "--auth=scram-sha-256", f"--pwfile={secret}", "-c", f"scram_iterations={_SETTINGS['scram_iterations']}",
        ]  # fmt: skip
        done = subprocess.run(
            self._tree.initdb(*options), capture_output=True, text=True, check=False, **self._child()
        )
        secret.unlink()
        if done.returncode != 0:
            raise PostgresError(f"initdb failed: {done.stderr.strip() or done.stdout.strip()}")

    def _readable(self, tree: Tree) -> Tree:
        """The tree, or a copy of it where the server's user cannot reach ours (a checkout below /root)."""
        if self._account is None:
            return tree
        probe = [str(tree.postgres), "--version"]
        with contextlib.suppress(PermissionError):
            if not subprocess.run(probe, capture_output=True, check=False, **self._child("/")).returncode:
                return tree
        copy = self.home / "tree"
        shutil.copytree(tree.root, copy, symlinks=True)
        copy.chmod(0o755)

        def moved(path: Path) -> Path:
            return copy / path.relative_to(tree.root)

        return replace(tree, root=copy, loader=moved(tree.loader), lib_dir=moved(tree.lib_dir))

    def _child(self, directory: str | None = None) -> dict[str, Any]:
        options: dict[str, Any] = {
            "cwd": directory or self.home,
            "env": {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C"},
            "start_new_session": True,  # Ctrl-C is for the tests
            "preexec_fn": _die_with_parent,
        }
        if self._account is not None:
            options |= {"user": self._account.pw_uid, "group": self._account.pw_gid, "extra_groups": []}
        return options

    def _is_ready(self) -> bool:
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
        except OSError:
            return False
        return len(lines) > 7 and lines[7].strip() == "ready" and lines[0] == str(self._pid())

    def _pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def _signal(self, number: signal.Signals) -> None:
        for pid in self._all_pids():
            with contextlib.suppress(ProcessLookupError):  # a child that has ended meanwhile
                os.kill(pid, number)

    def _all_pids(self) -> Iterator[int]:
        """The server, then its children, those too that it forked until what is done to it was done."""
        done: set[int] = set()
        while found := [pid for pid in self._pids() if pid not in done]:
            done.update(found)
            yield from found

    def _pids(self) -> list[int]:
        """The server and its children."""
        pid = self._pid()
        try:
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        except (FileNotFoundError, ProcessLookupError):  # the server itself has ended
            return [pid]
        return [pid, *map(int, children)]

    def _log_end(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-15:])


def free_port() -> int:
    """Below the ports that outgoing connections get: nobody takes it while the server is away."""
    for _ in range(200):
        port = random.randrange(20000, 29999)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise RuntimeError("no free port on loopback between 20000 and 29999")


def _die_with_parent() -> None:
    """In the child: the kernel ends it when the tests are gone, however that came about."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGQUIT)
