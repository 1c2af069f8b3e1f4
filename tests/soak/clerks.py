"""People who only come and go: they log in, log out, step away and come back, and never have a call.

Nobody calls their queues, so that every state of theirs is made by one line of queue_log. Each does one thing at a time
and then nothing for a moment: what shares a second in that book would be in any order.
"""

import asyncio
import contextlib
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tests.pbx.amiclient import AmiClient, AmiError
from tests.pbx.asterisk import Lab, QueueConfig

CLERKS = {f"21{n:02d}": f"PJSIP/11{n:02d}" for n in range(1, 9)}
"""Agent to device; no scenario has any of them."""
PHONES = tuple(device.removeprefix("PJSIP/") for device in CLERKS.values())
QUEUES = ("returns", "spares")
REASONS = ("lunch", "break", "training", "meeting", "")  # "": none given
_RESTS = 2.2  # s after which somebody does another thing
_NOTICES = (
    20.0  # s until somebody whom a dying PBX forgot does anything about it: the daemon has looked by then
)
_UNHURRIED = 0.1, 0.7  # s between two things anybody does

Membership = Mapping[str, tuple[bool, str]]
"""Whether paused, and why, by queue."""


@dataclass(frozen=True)
class Restart:
    """The PBX died at some instant, and was asked at another who is logged in (epochs)."""

    died: float
    asked: float
    members: Mapping[str, Membership]


def queues() -> tuple[QueueConfig, ...]:
    """Their queues."""
    return tuple(QueueConfig(name) for name in QUEUES)


Step = tuple[str, dict[str, str]]
"""An AMI action, and its headers."""


def login(queue: str, agent: str, *, paused: bool) -> Step:
    """Log somebody in to a queue, at work or paused."""
    device, word = CLERKS[agent], "true" if paused else "false"
    headers = {"Interface": device, "MemberName": agent, "StateInterface": device, "Paused": word}
    return "QueueAdd", {"Queue": queue, **headers}


def pause(agent: str, reason: str, *, queue: str = "") -> Step:
    """Somebody steps away: from all their queues when none is named."""
    headers = {"Interface": CLERKS[agent], "Paused": "true", "Reason": reason}
    return "QueuePause", headers | ({"Queue": queue} if queue else {})


def unpause(agent: str, *, queue: str = "") -> Step:
    """Somebody is back; likewise."""
    headers = {"Interface": CLERKS[agent], "Paused": "false"}
    return "QueuePause", headers | ({"Queue": queue} if queue else {})


def next_step(dice: random.Random, agent: str, now: Membership) -> Step:
    """What this agent does next: log in or out one queue at a time, pause mostly in all of them."""
    absent = [queue for queue in QUEUES if queue not in now]
    paused = [queue for queue, (is_paused, _) in now.items() if is_paused]
    working = [queue for queue in now if queue not in paused]
    # Of two reasons at a time nobody can say which is the first: who is away in one queue says the same in the next.
    reason = now[paused[0]][1] if paused else dice.choice(REASONS)
    chances: list[tuple[int, Step]] = []
    if absent:
        step = login(dice.choice(absent), agent, paused=not paused and dice.random() < 0.2)
        chances.append((3, step))
    if now:
        step = "QueueRemove", {"Queue": dice.choice(list(now)), "Interface": CLERKS[agent]}
        chances += [(2, step), (3, pause(agent, dice.choice(REASONS)))]
    if paused:
        chances += [(4, unpause(agent)), (1, unpause(agent, queue=dice.choice(paused)))]
    if working:
        chances.append((2, pause(agent, reason, queue=dice.choice(working))))
    [step] = dice.choices([step for _, step in chances], [weight for weight, _ in chances])
    return step


class Clerks:
    """Do things until `over` is set, whenever the PBX is there (`open_`); `died` is when it was killed, so far."""

    def __init__(self, lab: Lab, open_: asyncio.Event, died: Sequence[float], dice: random.Random) -> None:
        self.over = asyncio.Event()
        self.restarts: list[Restart] = []
        self.done = 0
        self._lab, self._open, self._died, self._dice = lab, open_, died, dice
        self._members: dict[str, Membership] = {}
        self._rested: dict[str, float] = {}

    async def run(self) -> None:
        """Come and go, and go home in the end: what an absence is about is not over before. An ended session is begun anew."""
        while not self.over.is_set() or self._members:
            await self._open.wait()
            with contextlib.suppress(AmiError):
                async with await self._lab.pbx.ami() as pbx:
                    await pbx.action("Events", {"EventMask": "off"})
                    await self._look(pbx)
                    await self._work(pbx)
                    if self.over.is_set():
                        await self._go_home(pbx)

    async def _work(self, pbx: AmiClient) -> None:
        while self._open.is_set() and not self.over.is_set():
            await asyncio.sleep(self._dice.uniform(*_UNHURRIED))
            now = time.monotonic()
            rested = [agent for agent in CLERKS if self._rested.get(agent, 0.0) <= now]
            if rested and self._open.is_set():
                await self._step(pbx, self._dice.choice(rested))

    async def _step(self, pbx: AmiClient, agent: str) -> None:
        action, headers = next_step(self._dice, agent, self._members.get(agent, {}))
        try:
            await pbx.action(action, headers)
        finally:
            self._rested[agent] = time.monotonic() + _RESTS
        self.done += 1
        self._members = await _asked(pbx)

    async def _go_home(self, pbx: AmiClient) -> None:
        for agent, members in self._members.items():
            # Paused queues first: who is left with one at work is not away for that moment.
            for queue, _ in sorted(members.items(), key=lambda member: not member[1][0]):
                await pbx.action("QueueRemove", {"Queue": queue, "Interface": CLERKS[agent]})
        self._members = await _asked(pbx)

    async def _look(self, pbx: AmiClient) -> None:
        """Who is logged in: on a new session, and after a death of the PBX what has survived it."""
        asked, before = time.time(), self._members
        self._members = await _asked(pbx)
        if len(self.restarts) < len(self._died):
            forgotten = [agent for agent in CLERKS if before.get(agent) != self._members.get(agent)]
            self._rested |= dict.fromkeys(forgotten, time.monotonic() + _NOTICES)
            self.restarts.append(Restart(self._died[-1], asked, dict(self._members)))


async def _asked(pbx: AmiClient) -> dict[str, Membership]:
    found: dict[str, dict[str, tuple[bool, str]]] = {}
    for queue in QUEUES:
        for row in await pbx.query("QueueStatus", {"Queue": queue}):
            if row.event == "QueueMember":
                paused = row["Paused"] == "1"
                found.setdefault(row["Name"], {})[queue] = paused, row["PausedReason"] if paused else ""
    return dict(found)
