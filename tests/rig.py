"""The daemon as a real process beside a real (or embedded) PBX: configured, started, asked, stopped, killed.

The demo and the end-to-end tests stand on it. What happens is awaited as a line of the daemon's own log, or as an
answer of its API; durations are seconds.
"""

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

import aiohttp
from sqlalchemy import make_url

from tests.pbx.asterisk import ACTOR, PUBLISHER, READER

Line = dict[str, Any]


class RigError(RuntimeError):
    """The daemon did not do what was awaited; the text ends with the tail of its log."""


def free_port() -> int:
    """A loopback port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


class Rig:
    """One daemon in its own directory; `async with` starts and stops it."""

    def __init__(
        self,
        directory: Path,
        ami_port: int,
        *,
        settings: str = "",
        pbx_settings: str = "",
        books: tuple[Path, ...] | None = None,
        program: tuple[str, ...] = ("cti.daemon",),
        prefix: tuple[str, ...] = (),
        var: Path | None = None,
        database_url: str | None = None,
    ) -> None:
        self.directory = directory
        self.ami_port = ami_port
        self.http_port = free_port()
        self.config = directory / "cti.toml"
        self.database = directory / "var" / "cti.sqlite3"
        self.log_path = directory / "daemon.log"
        self.lines: list[Line] = []
        self._settings, self._pbx_settings, self._books = settings, pbx_settings, books
        self._program = program  # module, and arguments before the command
        self._prefix = prefix  # a command that starts it where it is to run
        self._database_url = database_url
        self._var = var or directory / "var"  # the daemon's data as this process sees it
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._news = asyncio.Condition()
        self._session: aiohttp.ClientSession | None = None
        self._write_configuration()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http_port}"

    @property
    def database_url(self) -> str:
        return self._database_url or f"sqlite+aiosqlite:///{self.database}"

    @property
    def pid(self) -> int:
        assert self._process is not None, "not started"
        return self._process.pid

    def _write_configuration(self) -> None:
        secrets = self.directory / "secrets"
        secrets.mkdir(parents=True, exist_ok=True)
        accounts = ""
        for role, (user, secret) in (("reader", READER), ("actor", ACTOR), ("publisher", PUBLISHER)):
            file = secrets / role
            file.touch(mode=0o600)
            file.write_text(secret)
            accounts += f'[pbx.main.{role}]\nuser = "{user}"\nsecret_file = "secrets/{role}"\n'
        names = ("queue_log", "cdr_csv", "cel_csv")
        books = "".join(f'{name} = "{path}"\n' for name, path in zip(names, self._books or (), strict=False))
        database = self._database_settings(secrets)
        self.config.write_text(
            f"[http]\nport = {self.http_port}\n{self._settings}\n{database}"
            f'[pbx.main]\nhost = "127.0.0.1"\nport = {self.ami_port}\n'
            f'trunks = ["PJSIP/trunk-a", "PJSIP/trunk-b"]\n{books}{self._pbx_settings}\n{accounts}'
        )

    def _database_settings(self, secrets: Path) -> str:
        """Nothing for SQLite in its usual place; a password stands in a file of its own."""
        if self._database_url is None:
            return ""
        url = make_url(self._database_url)
        file = secrets / "database"
        file.touch(mode=0o600)
        file.write_text(url.password or "")
        shown = url._replace(password=None).render_as_string()
        return f'[database]\nurl = "{shown}"\npassword_file = "secrets/database"\n'

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def cti(self, *arguments: str) -> str:
        """Run the `cti` command with this configuration; its standard output. RigError when it fails."""
        status, out, err = await self.run_cti(*arguments)
        if status:
            raise RigError(f"cti {' '.join(arguments)} ended with {status}: {out}{err}")
        return out

    async def run_cti(self, *arguments: str) -> tuple[int, str, str]:
        """Run the `cti` command with this configuration; its exit status, standard output and standard error."""
        process = await asyncio.create_subprocess_exec(
            *self._prefix, sys.executable, "-m", "cti.daemon", *arguments, "--config", str(self.config),
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, err = await process.communicate()
        return process.returncode or 0, out.decode(), err.decode()

    async def import_people(self, text: str) -> str:
        """Put people, hotlines and rotas into the database, as an administrator would."""
        file = self.directory / "people.toml"
        file.write_text(text)
        return await self.cti("import", str(file), "--apply")

    async def start(self, *, ready: bool = True, timeout: float = 60.0) -> None:
        """Start the daemon; with `ready` wait until it is in step with its PBX and answers requests."""
        since = len(self.lines)
        self._process = await asyncio.create_subprocess_exec(
            *self._prefix, sys.executable, "-m", *self._program, "run", "--config", str(self.config),
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
            env=os.environ | {"PYTHONUNBUFFERED": "1"}, limit=1 << 20, start_new_session=True,
        )  # fmt: skip
        self._reader = asyncio.create_task(self._read(self._process))
        if ready:
            await self.logged("ready", since=since, timeout=timeout)

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        with self.log_path.open("ab") as log:
            async for raw in process.stdout:
                log.write(raw)
                log.flush()
                try:
                    line = json.loads(raw)
                except ValueError:
                    line = {"event": raw.decode(errors="replace").rstrip()}
                async with self._news:
                    self.lines.append(line)
                    self._news.notify_all()
        await process.wait()
        async with self._news:
            self._news.notify_all()

    async def logged(self, event: str, *, since: int = 0, timeout: float = 40.0, **values: object) -> Line:
        """Wait for a line of the daemon's log with this event and these values."""

        def found() -> Line | None:
            return next((line for line in self.lines[since:] if _fits(line, event, values)), None)

        try:
            async with asyncio.timeout(timeout), self._news:
                while (line := found()) is None:
                    if self._process is not None and self._process.returncode is not None:
                        raise RigError(f"the daemon ended before {event!r}:\n{self.tail()}")
                    await self._news.wait()
                return line
        except TimeoutError:
            raise RigError(f"no {event!r} {values} within {timeout:g} s:\n{self.tail()}") from None

    def tail(self, count: int = 30) -> str:
        """The last lines of the daemon's log."""
        return "\n".join(json.dumps(line, ensure_ascii=False) for line in self.lines[-count:])

    async def stop(self) -> int:
        """Ask the daemon to end, as a service manager does; its exit status."""
        return await self._end(signal.SIGTERM)

    async def kill9(self) -> None:
        """End it as nothing can be prepared for."""
        await self._end(signal.SIGKILL)

    async def _end(self, how: signal.Signals) -> int:
        if self._session is not None:
            await self._session.close()
            self._session = None
        process, self._process = self._process, None
        if process is None:
            return 0
        if process.returncode is None:
            process.send_signal(how)
        async with asyncio.timeout(30):
            status = await process.wait()
            if self._reader is not None:
                await self._reader
        return status

    @property
    def session(self) -> aiohttp.ClientSession:
        """A session with the API's token, for this life of the daemon."""
        if self._session is None:
            token = (self._var / "api-token").read_text().strip()
            self._session = aiohttp.ClientSession(
                self.url,
                headers={"Authorization": f"Bearer {token}"},
                timeout=aiohttp.ClientTimeout(total=10),
            )
        return self._session

    async def get(self, path: str, **parameters: str) -> Any:
        """The JSON answer of the API; RigError when it is not 200."""
        async with self.session.get(path, params=parameters) as answer:
            if answer.status != 200:
                raise RigError(f"GET {path}: {answer.status} {await answer.text()}")
            return await answer.json()

    async def items(self, path: str, **parameters: str) -> list[Line]:
        """All items of a listing, every page of it."""
        found: list[Line] = []
        while True:
            page = await self.get(path, **parameters)
            found += page["items"]
            if not page["next_cursor"]:
                return found
            parameters["cursor"] = page["next_cursor"]

    async def metric(self, name: str, **labels: str) -> float:
        """The sum of a metric over the series that carry these labels."""
        return _sum(await self._page(), name, labels)

    async def metrics(self, *names: str) -> list[float]:
        """The sums of several metrics, of one moment."""
        text = await self._page()
        return [_sum(text, name, {}) for name in names]

    async def _page(self) -> str:
        async with self.session.get("/metrics") as answer:
            return await answer.text()

    async def eventually(self, look: Callable[[], Any], timeout: float = 40.0) -> Any:
        """What the coroutine function `look` gives once it is true; the API tells no events, so it is asked again."""
        try:
            async with asyncio.timeout(timeout):
                while not (found := await look()):  # noqa: ASYNC110 - the API tells no events
                    await asyncio.sleep(0.05)
                return found
        except TimeoutError:
            raise RigError(f"not true within {timeout:g} s:\n{self.tail()}") from None


def _sum(page: str, name: str, labels: Mapping[str, str]) -> float:
    total = 0.0
    for line in page.splitlines():
        series, _, value = line.rpartition(" ")
        if series.split("{", 1)[0] == name and all(f'{k}="{v}"' in series for k, v in labels.items()):
            total += float(value)
    return total


def _fits(line: Mapping[str, object], event: str, values: Mapping[str, object]) -> bool:
    return line.get("event") == event and all(line.get(key) == value for key, value in values.items())
