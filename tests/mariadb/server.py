"""Start, stop and ask a MariaDB of the tests' own, on loopback, with passwords nobody else knows."""

from __future__ import annotations

import ctypes
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, Self

import asyncmy

from tests.mariadb.provision import Tree
from tests.pg.server import free_port, in_thread

ROOT = "cti_root"  # may do everything
_READY_TIMEOUT_S = 30.0
_PR_SET_PDEATHSIG = 1
_SETTINGS = {
    "bind-address": "127.0.0.1",
    "innodb-flush-log-at-trx-commit": "0",  # survives a killed server, not a power cut
    "innodb-doublewrite": "0",
    "innodb-buffer-pool-size": "16M",
    "innodb-log-file-size": "8M",
    "key-buffer-size": "1M",
    "character-set-server": "utf8mb4",
    "performance-schema": "0",
    "skip-name-resolve": "1",
    "skip-log-bin": "1",
    "innodb-fast-shutdown": "2",
}


class MariaDBError(RuntimeError):
    """The server did not do what was asked; the message shows the end of its log."""


class MariaDB:
    """One server with its own data directory; `with MariaDB(tree) as server:` starts and removes it."""

    def __init__(self, tree: Tree) -> None:
        self.port = free_port()
        self.password = secrets.token_urlsafe(16)
        self.home = Path(tempfile.mkdtemp(prefix="cti-mariadb-"))
        self._tree = tree
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> Path:
        return self.home / "log"

    def __enter__(self) -> Self:
        try:
            self._make()
            self.start()
        except BaseException:
            self.remove()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()

    def start(self) -> None:
        """Start, unless it runs, and wait until it takes connections. Raises MariaDBError.

        Call it in a thread that lives as long as the server is to: the kernel ends the one with the other.
        """
        if self._process is not None:
            return
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, **_child()
            )
        deadline = time.monotonic() + _READY_TIMEOUT_S
        while not self._is_ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise MariaDBError(f"MariaDB did not start:\n{self._log_end()}")
            time.sleep(0.02)

    def stop(self, *, at_once: bool = False) -> None:
        """End it and everybody's connection: orderly, or `at_once` as a crash would. Raises MariaDBError."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGKILL if at_once else signal.SIGTERM)
        try:
            self._process.wait(timeout=_READY_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise MariaDBError(f"MariaDB did not end:\n{self._log_end()}") from None
        self._process = None

    def remove(self) -> None:
        """End it, and leave nothing behind."""
        self.stop(at_once=True)
        shutil.rmtree(self.home, ignore_errors=True)

    def execute(self, *statements: str, database: str = "mysql") -> list[tuple[Any, ...]]:
        """Run statements as another program; the rows of the last. Usable within a running event loop."""

        async def work() -> list[tuple[Any, ...]]:
            connection = await asyncmy.connect(
                host="127.0.0.1",
                port=self.port,
                user=ROOT,
                password=self.password,
                db=database,
                autocommit=True,
            )
            try:
                async with connection.cursor() as cursor:
                    for statement in statements:
                        await cursor.execute(statement)
                    return list(await cursor.fetchall())
            finally:
                await connection.ensure_closed()

        return in_thread(work)

    def _make(self) -> None:
        """Make the data directory. Raises MariaDBError."""
        scripts = [self._tree.share / f"mariadb_system_tables{part}.sql" for part in ("", "_data")]
        text = "CREATE DATABASE mysql;\nUSE mysql;\n" + "\n".join(path.read_text() for path in scripts)
        account = f"'{ROOT}'@'127.0.0.1'"
        text += f"\nFLUSH PRIVILEGES;\nCREATE USER {account} IDENTIFIED BY '{self.password}';\n"
        text += f"GRANT ALL ON *.* TO {account} WITH GRANT OPTION;\n"
        done = subprocess.run(
            self._command("--bootstrap"), input=text.encode(), capture_output=True, check=False, **_child()
        )
        if done.returncode != 0:
            raise MariaDBError(f"MariaDB cannot make its tables: {done.stderr.decode(errors='replace')}")

    def _command(self, *more: str) -> list[str]:
        options = {
            "datadir": self.home / "data",
            "tmpdir": self.home,
            "port": self.port,
            "socket": self.home / "socket",
            "pid-file": self.home / "pid",
            "basedir": self._tree.root / "usr",
            "lc-messages-dir": self._tree.share,
            "character-sets-dir": self._tree.share / "charsets",
            "plugin-dir": self._tree.lib_dir,
            **_SETTINGS,
        }
        (self.home / "data").mkdir(exist_ok=True)
        user = ["--user=root"] if os.geteuid() == 0 else []
        written = [f"--{name}={value}" for name, value in options.items()]
        return self._tree.run(self._tree.server, "--no-defaults", *user, *written, *more)

    def _is_ready(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def _log_end(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-15:])


def _child() -> dict[str, Any]:
    return {
        "env": {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C", "TZ": "UTC"},
        "start_new_session": True,  # Ctrl-C is for the tests
        "preexec_fn": _die_with_parent,
    }


def _die_with_parent() -> None:
    """In the child: the kernel ends it when the tests are gone, however that came about."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
