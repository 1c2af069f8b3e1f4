"""The people of a soak: many scenarios at a time on one PBX, for as long as it takes.

A PBX that is killed ends every play under way; what its books know of those calls is judged all the same.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.pbx.amiclient import AmiError
from tests.pbx.asterisk import Lab, QueueConfig
from tests.scenarios.model import Scenario
from tests.scenarios.stage import Desk, House, Line, Stage
from tests.soak.clerks import QUEUES
from tests.soak.plan import Draw

_MORE = 1.06  # somebody who hangs up early may end a play before its second call
_MANY = 30_000  # events after which a driver's session is exchanged: it keeps whatever it heard


@dataclass(frozen=True)
class Played:
    """How one play went; instants are epochs."""

    play: Scenario
    summary: Mapping[str, Any]
    began: float
    ended: float
    hung_up: bool  # somebody did so out of turn
    trouble: str  # "" when it was played to its end


STAFFED = tuple(f"10{n:02d}" for n in range(1, 61))
"""Phones at which somebody has been logged in since the morning, and stays so; at the others is nobody."""
VACANT = tuple(f"10{n:02d}" for n in range(61, 100))


def agent_at(device: str) -> str:
    """Who is logged in at this phone, if anybody is."""
    return f"2{device.removeprefix('PJSIP/')[1:]}"


def shift() -> QueueConfig:
    """The queue that everybody is logged in to all day."""
    members = tuple(f"PJSIP/{ext},0,{agent_at(ext)},PJSIP/{ext}" for ext in STAFFED)
    return QueueConfig("shift", members=members)


@dataclass
class BigHouse(House):
    """A house with phones nobody is logged in at, too."""

    vacant: list[str] = field(default_factory=list)

    async def phone(self) -> str:
        return await self._idle(self.free)

    async def vacant_phone(self) -> str:
        return await self._idle(self.vacant)

    async def _idle(self, phones: list[str]) -> str:
        """The first of these that is on no call.

        Now and then Asterisk keeps the channel of a phone that it recalled as its transfer's caller left, and nothing
        hangs it up any more: that phone is engaged until the PBX begins anew.
        """
        async with self.more:
            while True:
                for ext in phones:
                    state = await self.pbx.action("Getvar", {"Variable": f"DEVICE_STATE(PJSIP/{ext})"})
                    if state["Value"] == "NOT_INUSE":
                        phones.remove(ext)
                        return ext
                await self.more.wait()

    async def give_back(self, phones: list[str]) -> None:
        async with self.more:
            self.free += [ext for ext in phones if ext in STAFFED]
            self.vacant += [ext for ext in phones if ext not in STAFFED]
            self.more.notify_all()


class RestlessStage(Stage):
    """A stage that remembers its lines, so that one of them can be hung up at any moment."""

    def __init__(self, house: BigHouse, play: Scenario) -> None:
        super().__init__(house, play)
        self.lines: list[Line] = []
        self._big = house
        self._for_agent = False

    async def _clear(self) -> None:
        """Leave nobody away, and nobody logged in to the queues of a play that was cut short in the middle of a login."""
        with contextlib.suppress(AmiError):
            await self._nobody_away()
        await super()._clear()
        with contextlib.suppress(AmiError):
            for queue in self.play.queues:
                for row in await self.house.pbx.query("QueueStatus", {"Queue": self.queue(queue)}):
                    if row.event == "QueueMember" and row["Membership"] == "dynamic":
                        headers = {"Queue": row["Queue"], "Interface": row["Location"]}
                        await self.house.pbx.action("QueueRemove", headers)

    async def _nobody_away(self) -> None:
        """Who paused in all queues did so in that of the shift, too."""
        for device in (f"PJSIP/{ext}" for ext in self._phones if ext in STAFFED):
            for row in await self.house.pbx.query("QueueStatus", {"Queue": "shift", "Member": device}):
                if row.event == "QueueMember" and row["Paused"] == "1":
                    headers = {"Queue": "shift", "Interface": device, "Paused": "false"}
                    await self.house.pbx.action("QueuePause", headers)

    async def agent(self, role: str, *queues: str, **how: Any) -> Desk:
        self._for_agent = True
        return await super().agent(role, *queues, **how)

    async def desk(self, role: str, *, mode: str = "noanswer") -> Desk:
        for_agent, self._for_agent = self._for_agent, False
        ext = await (self._big.phone() if for_agent else self._big.vacant_phone())
        return await self.at_desk(role, ext, mode)

    async def place(self, to: str, **how: str) -> Line:
        line = await super().place(to, **how)
        self.lines.append(line)
        return line

    async def offered(self, number: str, *, timeout: float = 15.0) -> Line:
        line = await super().offered(number, timeout=timeout)
        self.lines.append(line)
        return line


@dataclass
class Doors:
    """The driver's AMI sessions with both Asterisks; an old pair ends with the last play on it."""

    lab: Lab
    _free: list[str] = field(default_factory=lambda: list(STAFFED))
    _vacant: list[str] = field(default_factory=lambda: list(VACANT))
    _more: asyncio.Condition = field(default_factory=asyncio.Condition)
    _house: BigHouse | None = None
    _guests: Counter[int] = field(default_factory=Counter)

    @asynccontextmanager
    async def house(self) -> AsyncIterator[BigHouse]:
        """The house to play in."""
        house = await self._current()
        self._guests[id(house)] += 1
        try:
            yield house
        finally:
            self._guests[id(house)] -= 1
            await self._let_go(house)

    async def _current(self) -> BigHouse:
        async with self._more:
            house = self._house
            if house is None or house.pbx.closed or len(house.pbx.events) > _MANY:
                pbx, network = await self.lab.pbx.ami(), await self.lab.phones.ami()
                self._house = BigHouse(self.lab, pbx, network, self._free, self._more, self._vacant)
        if house is not None and house is not self._house:
            await self._let_go(house)
        assert self._house is not None
        return self._house

    async def _let_go(self, house: BigHouse) -> None:
        if house is not self._house and not self._guests[id(house)]:
            await house.pbx.close()
            await house.network.close()

    async def close(self) -> None:
        """End the last pair, too."""
        house, self._house = self._house, None
        if house is not None:
            await self._let_go(house)


class Crowd:
    """Plays draws until enough calls were made, and as long as `busy` is set."""

    def __init__(self, lab: Lab, draws: Iterator[Draw], *, calls: int, at_once: int) -> None:
        self.lab = lab
        self.played: list[Played] = []
        self.begun = 0  # calls
        self.busy = False
        self.news = asyncio.Event()
        self._draws, self._at_once = draws, at_once
        self._calls = int(calls * _MORE) + 1
        self._put_off: list[Draw] = []
        self._doors = Doors(lab)
        self.died: list[float] = []  # when the PBX was killed
        self.open = asyncio.Event()  # the PBX can be called
        self.open.set()
        self._plays: dict[asyncio.Task[None], str] = {}

    @property
    def playing(self) -> int:
        return len(self._plays)

    async def run(self) -> None:
        """Play; returns when all is over."""
        while True:
            while len(self._plays) >= self._at_once:
                await asyncio.wait(self._plays, return_when=asyncio.FIRST_COMPLETED)
                await asyncio.sleep(0)
            await self.open.wait()
            if self.begun >= self._calls and not self.busy:
                break
            draw = self._next()
            task = asyncio.create_task(self._play(draw))
            self._plays[task] = draw.play.name
            task.add_done_callback(lambda done: self._plays.pop(done, None))
            self.begun += len(draw.play.records)
            self.news.set()
        while self._plays:
            await asyncio.wait(self._plays)
            await asyncio.sleep(0)
        await self._doors.close()

    def _next(self) -> Draw:
        """The next draw whose scenario nobody plays at the moment: it has its queues for itself."""
        under_way = set(self._plays.values())
        for draw in self._put_off:
            if draw.play.name not in under_way:
                self._put_off.remove(draw)
                return draw
        for draw in self._draws:
            if draw.play.name not in under_way:
                return draw
            self._put_off.append(draw)
        raise AssertionError("draws have no end")

    async def _play(self, draw: Draw) -> None:
        async with self._doors.house() as house:
            stage, began, hung_up, trouble = RestlessStage(house, draw.play), time.time(), False, ""
            task = asyncio.create_task(stage.run())
            try:
                if draw.hangs_up is not None:
                    hung_up = await _hang_up(stage, task, draw)
                await task
            except asyncio.CancelledError:
                task.cancel()
                await asyncio.wait([task])
                trouble = "cut short"
            except Exception as error:  # noqa: BLE001 - whatever went wrong: the books have it
                trouble = f"{type(error).__name__}: {error}"
            self.played.append(Played(draw.play, stage.summary(), began, time.time(), hung_up, trouble))

    async def restart(self, away: float) -> None:
        """Kill the PBX with everything that is played on it, and start it again after `away` seconds."""
        self.open.clear()
        self.died.append(time.time())
        await self.lab.pbx.kill9()
        for play in list(self._plays):
            play.cancel()
        if self._plays:
            await asyncio.wait(list(self._plays))
        await asyncio.sleep(away)
        await self.lab.pbx.start()
        await self._tidy()
        self.open.set()

    async def hang_up(self) -> None:
        """Let nobody be on the phone whom a play that was cut short left there."""
        async with await self.lab.phones.ami() as network:
            with contextlib.suppress(AmiError):  # nobody is on the phone
                await network.action("Hangup", {"Channel": "/^.*$/"})

    async def _tidy(self) -> None:
        """Phones learn of the death of a PBX by silence; and members outlive it: those of scenarios are let go."""
        await self.hang_up()
        async with await self.lab.pbx.ami() as pbx:
            for row in await pbx.query("QueueStatus"):
                mine = row.event == "QueueMember" and row["Membership"] == "dynamic"
                if mine and row["Queue"] not in QUEUES:
                    with contextlib.suppress(AmiError):
                        await pbx.action("QueueRemove", {"Queue": row["Queue"], "Interface": row["Location"]})


async def _hang_up(stage: RestlessStage, task: asyncio.Task[None], draw: Draw) -> bool:
    """Somebody hangs up out of turn; what is left of the play goes on for a moment. Whether they did."""
    assert draw.hangs_up is not None
    done, _ = await asyncio.wait({task}, timeout=draw.hangs_up)
    if done or not stage.lines:
        return False
    await stage.lines[int(draw.who * len(stage.lines))].hangs_up()
    done, _ = await asyncio.wait({task}, timeout=draw.lingers)
    if not done:
        task.cancel()
    return True
