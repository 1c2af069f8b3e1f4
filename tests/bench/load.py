"""The load: an Asterisk whose callers and agents are Local channels, and who calls how often.

Ten queues of forty agents; a caller waits until an agent answers, they talk for `talk` seconds, the agent hangs up.
Asterisk logs no verbose lines here, as a busy PBX would not: its CPU is what ours is compared with.
"""

import asyncio
import contextlib
import itertools
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Self

from tests.pbx.amiclient import AmiClient, AmiError
from tests.pbx.asterisk import Asterisk, PbxConfig, QueueConfig, Role
from tests.pbx.provision import Tree

QUEUES = 10
AGENTS_PER_QUEUE = 40
AGENTS = QUEUES * AGENTS_PER_QUEUE
TALK = 2.0  # seconds

_DIALPLAN = """
[bench-agents]
exten => _X.,1,Answer()
 same => n,Wait(${BENCH_TALK})
 same => n,Hangup()
[bench-callers]
exten => _X.,1,Answer()
 same => n,Wait(86400)
[bench-hotline]
exten => _[a-z].,1,Answer()
 same => n,Queue(${EXTEN})
 same => n,Hangup()
"""


def _queue(number: int) -> QueueConfig:
    members = (
        f"Local/{agent}@bench-agents/n,0,{agent}"
        for agent in range(2001 + number * AGENTS_PER_QUEUE, 2001 + (number + 1) * AGENTS_PER_QUEUE)
    )
    return QueueConfig(f"queue{number}", members=tuple(members))


CONFIG = PbxConfig(
    queues=tuple(_queue(number) for number in range(QUEUES)),
    globals={"BENCH_TALK": f"{TALK:g}"},
    dialplan_extra=_DIALPLAN,
)


@contextlib.asynccontextmanager
async def pbx(tree: Tree, directory: Path) -> AsyncIterator[Asterisk]:
    """A running PBX that logs only notices, warnings and errors."""
    async with Asterisk(tree, Role.PBX, config=CONFIG, directory=directory) as running:
        logger = running.etc_dir / "logger.conf"
        logger.write_text(logger.read_text().replace(",verbose(3)", ""))
        async with await running.ami() as ami:
            await ami.command("logger reload")
        yield running


class Callers:
    """Places calls at a rate; use as an async context manager, which ends with nobody on the phone."""

    def __init__(self, asterisk: Asterisk) -> None:
        self._asterisk = asterisk
        self._ids = itertools.count(1)
        self._ami: AmiClient | None = None
        self._rate = 0.0
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.refused = 0

    async def __aenter__(self) -> Self:
        self._ami = await self._asterisk.ami()
        await self._ami.action("Events", {"EventMask": "off"})
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self.nobody_left()
        if self._ami is not None:
            await self._ami.close()

    def at(self, rate: float) -> None:
        """From now on so many calls a second."""
        self._rate = rate
        self._changed.set()

    async def _run(self) -> None:
        due = time.monotonic()
        while True:
            if not self._rate:
                self._changed.clear()
                await self._changed.wait()
                due = time.monotonic()
            due = max(due + 1 / self._rate, time.monotonic() - 0.2)
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            if self._rate:
                self._send(next(self._ids))

    def _send(self, number: int) -> None:
        task = asyncio.ensure_future(self.call(number))
        task.add_done_callback(self._note)

    def _note(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is not None:
            self.refused += 1

    async def call(self, number: int) -> None:
        """One caller dials a queue."""
        if self._ami is None:
            raise AmiError("not connected")
        await self._ami.action(
            "Originate",
            {
                "Channel": f"Local/{100000 + number}@bench-callers/n",
                "Context": "bench-hotline",
                "Exten": f"queue{number % QUEUES}",
                "Priority": "1",
                "CallerID": f'"王伟" <138{number % 10**8:08}>',
                "Timeout": "600000",
                "Async": "true",
            },
            timeout=60,
        )

    async def talk_for(self, seconds: float) -> None:
        """How long agents talk from now on."""
        if self._ami is not None:
            await self._ami.action("Setvar", {"Variable": "BENCH_TALK", "Value": f"{seconds:g}"})

    async def nobody_left(self, within: float = 30.0) -> None:
        """Nobody calls any more; wait until the last call is over."""
        self._rate = 0.0
        async with await self._asterisk.ami() as ami, asyncio.timeout(within):
            await ami.action("Events", {"EventMask": "off"})
            await asyncio.sleep(TALK)
            await ami.action("Hangup", {"Channel": "/^.*$/"})
            while await self.channels(ami):  # noqa: ASYNC110 - asked again, with events off
                await asyncio.sleep(0.2)

    @staticmethod
    async def channels(ami: AmiClient) -> int:
        """How many channels live."""
        return int((await ami.action("CoreStatus")).get("CoreCurrentCalls", "0"))


def completed(asterisk: Asterisk, since: int = 0) -> tuple[int, int]:
    """How many talks the queue_log has ended beyond an offset, and the offset of its end."""
    with asterisk.queue_log_path.open("rb") as book:
        book.seek(since)
        text = book.read()
    return text.count(b"|COMPLETEAGENT|") + text.count(b"|COMPLETECALLER|"), since + len(text)


def cpu_seconds(pid: int) -> float:
    """CPU time of a process so far, user and system, all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def rss_bytes(pid: int | str = "self") -> int:
    """Resident memory of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
