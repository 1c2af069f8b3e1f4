"""What is measured while Asterisk works: CPU beside CPU, delays at saturation, and a restart in the middle of it."""

import asyncio
import contextlib
import json
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from cti.daemon.recorder import RecordingSummary, record
from tests.bench.figures import Figure
from tests.bench.load import AGENTS, TALK, Callers, completed, cpu_seconds
from tests.pbx.asterisk import READER, Asterisk
from tests.rig import Rig

RATE = 50.0  # calls/s
_WARM_UP = 6.0  # s until as many calls end as begin
_WINDOW = 15.0
_RECORDED = 15.0
_STEP = 6.0  # s at each rate on the way to saturation; its last four are measured
_RISES = 1.03  # less than that is no rise
_CALLS = 500
_HUNG_UP = 10


@dataclass(frozen=True, slots=True)
class _Window:
    """What was used between two moments."""

    seconds: float
    calls: int
    used: tuple[float, ...]  # CPU seconds of each process

    def per_call(self, index: int) -> float:
        return self.used[index] / self.calls


async def _window(asterisk: Asterisk, *pids: int, seconds: float = _WINDOW) -> _Window:
    _, offset = await asyncio.to_thread(completed, asterisk)
    before, began = [cpu_seconds(pid) for pid in pids], time.monotonic()
    await asyncio.sleep(seconds)
    used = tuple(cpu_seconds(pid) - was for pid, was in zip(pids, before, strict=True))
    lasted = time.monotonic() - began
    calls, _ = await asyncio.to_thread(completed, asterisk, offset)
    return _Window(lasted, calls, used)


@contextlib.asynccontextmanager
async def _bare_reader(asterisk: Asterisk) -> AsyncIterator[int]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.bench.reader", str(asterisk.ami_port)
    )
    try:
        yield process.pid
    finally:
        process.kill()
        await process.wait()


async def cpu(asterisk: Asterisk, rig: Rig, callers: Callers) -> list[Figure]:
    """The daemon's CPU beside Asterisk's, then beside a bare reader's, during one run at 50 calls/s."""
    callers.at(RATE)
    await asyncio.sleep(_WARM_UP)
    alone = await _window(asterisk, rig.pid, asterisk.pid)
    async with _bare_reader(asterisk) as reader:
        await asyncio.sleep(1.0)
        both = await _window(asterisk, rig.pid, asterisk.pid, reader)
    await callers.nobody_left()
    daemon, pbx = alone.per_call(0), alone.per_call(1)
    events = await rig.metric("cti_ami_events_seen_total")
    return [
        Figure(
            "cpu_vs_asterisk",
            daemon / pbx,
            "ratio",
            f"CPU of both processes (/proc, user and system) over {alone.seconds:.0f} s at {RATE:g} calls/s offered and"
            f" {alone.calls / alone.seconds:.1f} ended, the daemon the only reader: {daemon * 1e3:.2f} ms against"
            f" {pbx * 1e3:.2f} ms a call; {events:.0f} events taken in all",
            limit=0.20,
            aim=0.08,
        ),
        Figure(
            "cpu_vs_bare_reader",
            both.used[0] / both.used[2],
            "ratio",
            f"the same run, the {both.seconds:.0f} s after: the daemon's CPU against that of a process which only reads the"
            f" same account's socket and splits at the blank lines ({both.per_call(2) * 1e3:.2f} ms a call,"
            f" {both.used[2] / both.used[1]:.0%} of Asterisk's)",
        ),
    ]


async def recording(asterisk: Asterisk, callers: Callers, out: Path) -> RecordingSummary:
    """Record a time that begins and ends with nobody on the phone."""
    task = asyncio.create_task(
        record("127.0.0.1", asterisk.ami_port, *READER, out, None, lambda _summary: None)
    )
    await asyncio.sleep(1.0)
    callers.at(RATE)
    await asyncio.sleep(_RECORDED)
    callers.at(0)
    await asyncio.sleep(TALK + 2)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    return RecordingSummary(out)


async def delays(asterisk: Asterisk, rig: Rig, callers: Callers, out: Path) -> list[Figure]:
    """How long facts take while the PBX gives all it can; `rig` runs the probe, which writes to `out`."""
    rate, best, steps = RATE, 0.0, []
    span = (0.0, 0.0)
    async with rig:
        while True:
            callers.at(rate)
            await asyncio.sleep(2.0)
            began = time.time()
            reached = await _window(asterisk, rig.pid, seconds=_STEP - 2)
            done = reached.calls / reached.seconds
            steps.append(f"{rate:g}→{done:.1f}")
            rises = done >= best * _RISES
            if done > best:
                best, span = done, (began, time.time())
            if not rises:
                break
            rate += 10
        await callers.nobody_left(within=60)
        await rig.eventually(lambda: _caught_up(rig))
    found = json.loads(await asyncio.to_thread(out.read_text))
    how = f"calls/s offered→ended: {', '.join(steps)}; the step at which most ended counts"
    return [
        _percentile(
            "event_to_metric_p99", found["to_metric"], span, 0.1, f"to its fact at the metrics sink; {how}"
        ),
        _percentile("event_to_row_p99", found["to_row"], span, 0.5, f"to its row committed in SQLite; {how}"),
        _percentile(
            "event_to_door_p99",
            found["to_door"],
            span,
            None,
            "to the read that brought it: the PBX's own part",
        ),
    ]


async def _caught_up(rig: Rig) -> bool:
    return not await rig.metric("cti_ami_inbox_depth") and not await rig.metric("cti_store_queued")


def _percentile(
    name: str, pairs: list[tuple[float, float]], span: tuple[float, float], limit: float | None, how: str
) -> Figure:
    delays = sorted(delay for at, delay in pairs if span[0] <= at < span[1])
    median, p99 = (delays[int(len(delays) * share)] for share in (0.5, 0.99))
    how = f"from an event's PBX timestamp {how}; {len(delays)} of them, median {median:.4f} s"
    return Figure(name, p99, "s", how, limit=limit)


async def restart(asterisk: Asterisk, rig: Rig, callers: Callers) -> Figure:
    """Kill the daemon over a full house, change something meanwhile, start it, wait until its picture is right."""
    await callers.talk_for(86_400)
    async with rig:
        for number in range(_CALLS):
            await callers.call(number)
            await asyncio.sleep(1 / RATE)
        await _until_shown(rig, AGENTS, _CALLS)
        await rig.kill9()
        await _hang_up_waiting(asterisk)
        left = _CALLS - _HUNG_UP
        began = time.monotonic()
        await rig.start(ready=False)
        await _until_shown(rig, AGENTS, left)
        seconds = time.monotonic() - began
    await callers.talk_for(TALK)
    return Figure(
        "restart_seconds",
        seconds,
        "s",
        f"{_CALLS} calls live, {AGENTS} agents talking, the daemon killed (-9), {_HUNG_UP} waiting callers hang up; from the"
        " start of its process until its API shows every agent on a call and exactly the calls that are left",
        limit=2.0,
    )


async def _hang_up_waiting(asterisk: Asterisk) -> None:
    async with await asterisk.ami() as ami:
        waiting = [row["Channel"] for row in await ami.query("QueueStatus") if row.event == "QueueEntry"]
        for channel in waiting[:_HUNG_UP]:
            await ami.action("Hangup", {"Channel": channel})


async def _until_shown(rig: Rig, agents: int, calls: int) -> None:
    """Wait until the daemon's picture is this: as many agents on a call, as many calls, the others waiting."""
    wanted, picture = (agents, calls, calls - agents, 1), (0, 0, 0, 0)
    deadline = time.monotonic() + 30
    while picture != wanted:
        if time.monotonic() > deadline:
            raise RuntimeError(f"agents on a call, calls, waiting, in step: {picture} instead of {wanted}")
        await asyncio.sleep(0.02)
        picture = await _picture(rig) or picture


async def _picture(rig: Rig) -> tuple[int, int, int, int] | None:
    """Agents on a call, calls that live, callers that wait, links in step; None while nobody answers."""
    try:
        metrics = await rig.metrics("cti_calls_live", "cti_ami_link_up")
        shown = (await rig.get("/api/v1/agents"))["items"]
        waiting = sum(queue["waiting"] for queue in (await rig.get("/api/v1/queues"))["items"])
    except OSError:  # aiohttp's ClientConnectionError too
        return None
    living, in_step = metrics
    return sum(agent["state"] == "on_call" for agent in shown), int(living), waiting, int(in_step)
