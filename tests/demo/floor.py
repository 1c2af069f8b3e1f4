"""The people of the demo: six agents, customers who call in, staff on duty with their mobiles.

They act only through their phones (real SIP, feature codes, keys), never through the daemon: what the daemon shows is
what it found out by itself. Durations are seconds.
"""

import asyncio
import random
from collections.abc import Coroutine
from typing import Any

from tests.pbx.amiclient import AmiError
from tests.pbx.phones import PhoneNetwork

PIN = "4711"
NIGHT = "4002"  # the hotline's number that is always after hours
AGENTS = {
    "2001": ("王芳", "1001"),
    "2002": ("李娜", "1002"),
    "2003": ("张伟", "1003"),
    "2004": ("刘洋", "1004"),
    "2005": ("陈静", "1005"),
    "2006": ("杨帆", "1006"),
}
"""Agent id to name and the desk they sit at."""

DUTY = {"3001": ("赵敏", "13911110001"), "3002": ("孙磊", "13911110002"), "3003": ("周涛", "13911110003")}
"""On-duty staff: id to name and mobile; the last is the supervisor."""

CUSTOMERS = (
    "黄丽",
    "吴强",
    "徐静",
    "朱明",
    "马超",
    "胡兰",
    "郭亮",
    "何洁",
    "高峰",
    "林涛",
    "罗敏",
    "梁志强",
    "宋佳",
    "O'Brien",
)

_SILENT, _OVERSTAYS = "2006", "2005"

PEOPLE = "\n".join(
    [
        *(
            f'[[people]]\nid = "{agent}"\nname = "{name}"\npin = "{PIN}"\nqueues = {{ sales = 0, support = 1 }}'
            for agent, (name, _) in AGENTS.items()
        ),
        *(
            f'[[people]]\nid = "{id_}"\nname = "{name}"\nnumber = "{number}"'
            for id_, (name, number) in DUTY.items()
        ),
        f"""
[[hotlines]]
name = "sales"
numbers = ["4001"]
queue = "sales"
supervisor = "3003"
rotation = "week"
[hotlines.hours.workday]
office = "00:00-24:00"
[hotlines.hours.day_off]
office = "00:00-24:00"

[[hotlines]]
name = "night"
numbers = ["{NIGHT}"]
supervisor = "3003"
rotation = "week"
[hotlines.hours.workday]
duty = "00:00-24:00"
[hotlines.hours.day_off]
duty = "00:00-24:00"

[[rotations]]
name = "week"
starts = 2026-01-05
people = ["3001", "3002"]
""",
    ]
)
"""What `cti import` is given: one hotline that is always at the office, one that is always after hours."""


class Floor:
    """Keeps everybody busy until `close`; `calls` and `night_calls` say how many customers called."""

    def __init__(self, phones: PhoneNetwork, seed: int = 20261121) -> None:
        self.phones = phones
        self.random = random.Random(seed)
        self.calls = 0
        self.night_calls = 0
        self._closing = asyncio.Event()
        self._talking: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Agents set up their phones and log in, one after the other."""
        for agent, (_, desk) in AGENTS.items():
            mode = "noanswer" if agent == _SILENT else "answer"
            await self.phones.set_phone(desk, mode=mode, answer_after=self.random.uniform(0.4, 1.2))
            await self.phones.login(desk, agent, PIN)
        for (_, number), mode in zip(DUTY.values(), ("noanswer", "accept", "accept"), strict=True):
            await self.phones.set_mobile(number, mode=mode, after=0.5)

    async def run(self, seconds: float | None) -> None:
        """Let them work; None is until cancelled. Calls that have begun are then seen to their end."""
        tasks = [asyncio.create_task(part) for part in self._parts()]
        try:
            async with asyncio.timeout(seconds):
                await asyncio.gather(*tasks)
        except TimeoutError:
            pass
        finally:
            self._closing.set()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def close(self) -> None:
        """Wait for the customers still in a call; they are not patient."""
        self._closing.set()
        if self._talking:
            await asyncio.wait(self._talking, timeout=30)

    def _parts(self) -> list[Coroutine[Any, Any, None]]:
        return [
            self._customers(),
            self._night(),
            self._overstayer(),
            self._short_break(),
            self._misses_calls(),
        ]

    async def _pause(self, low: float, high: float) -> None:
        await asyncio.sleep(self.random.uniform(low, high))

    def _spawn(self, part: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(part)
        self._talking.add(task)
        task.add_done_callback(self._talking.discard)

    async def _customers(self) -> None:
        """They come in waves, so that the queue fills and some give up."""
        while True:
            for _ in range(self.random.randint(2, 5)):
                self._spawn(self._customer())
                await self._pause(0.2, 0.9)
            await self._pause(1.0, 4.0)

    async def _customer(self) -> None:
        self.calls += 1
        number = f"138{self.random.randrange(10**8):08d}"
        name = self.random.choice(CUSTOMERS)
        patience, talk = self.random.uniform(2.5, 9.0), self.random.uniform(2.0, 6.0)
        handle = await self.phones.customer_calls("4001", name, number, patience=patience, talk=talk)
        await handle.ended()

    async def _night(self) -> None:
        """The person on duty presses 1, or does not answer and the next one does, or nobody does."""
        scripts = (
            ("accept", "accept"),
            ("noanswer", "accept"),
            ("ignore", "accept"),
            ("noanswer", "noanswer"),
        )
        on_duty = [number for _, number in DUTY.values()]
        while True:
            for first, second in scripts:
                await self.phones.set_mobile(on_duty[0], mode=first, after=0.4)
                await self.phones.set_mobile(
                    on_duty[1], mode=first if second == "noanswer" else second, after=0.4
                )
                await self.phones.set_mobile(on_duty[2], mode=second, after=0.4)
                self.night_calls += 1
                number = f"137{self.random.randrange(10**8):08d}"
                handle = await self.phones.customer_calls(
                    NIGHT, self.random.choice(CUSTOMERS), number, patience=14, talk=3
                )
                await handle.ended()
                await self._pause(0.5, 1.5)

    async def _overstayer(self) -> None:
        """Steps away, stays too long, is logged out by the rule, comes back and logs in again."""
        desk = AGENTS[_OVERSTAYS][1]
        while True:
            await self._pause(2.0, 4.0)
            await self.phones.pause(desk, "1")
            await self._pause(13.0, 15.0)
            await self.phones.login(desk, _OVERSTAYS, PIN)

    async def _short_break(self) -> None:
        """Steps away and comes back in time, with one reason or another."""
        desk = AGENTS["2004"][1]
        while True:
            await self._pause(4.0, 8.0)
            await self.phones.pause(desk, self.random.choice("1245"))
            await self._pause(3.0, 5.0)
            await self.phones.unpause(desk)

    async def _misses_calls(self) -> None:
        """Does not pick up for a while, then does."""
        desk = AGENTS[_SILENT][1]
        while True:
            await self._pause(8.0, 12.0)
            await self.phones.set_phone(desk, mode="answer", answer_after=0.8)
            await self._pause(8.0, 12.0)
            await self.phones.set_phone(desk, mode=self.random.choice(("noanswer", "busy", "reject")))


__all__ = ["AGENTS", "DUTY", "PEOPLE", "AmiError", "Floor"]
