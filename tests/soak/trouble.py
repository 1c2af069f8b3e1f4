"""What breaks while people call: the daemon is killed, its links are cut, the PBX dies."""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.chaos.proxy import Proxy
from tests.rig import Rig
from tests.soak.crowd import Crowd
from tests.soak.plan import Break, Trouble


@dataclass
class Troubles:
    """Makes each of them happen; `spans` are the times, as epochs, in which nobody listened."""

    rig: Rig
    link: Proxy
    crowd: Crowd
    done: Counter[Trouble] = field(default_factory=Counter)
    spans: list[tuple[Trouble, float, float]] = field(default_factory=list)
    now: str = ""  # what is broken at the moment

    async def run(self, breaks: Sequence[Break]) -> None:
        """One after the other; people go on calling until the last one is over."""
        self.crowd.busy = True
        try:
            for one in breaks:
                await self._wait_for(one)
                self.now, began = one.trouble.value, time.time()
                await self._happen(one)
                self.spans.append((one.trouble, began, time.time()))
                self.now = ""
                self.done[one.trouble] += 1
        finally:
            self.crowd.busy = False

    async def _wait_for(self, one: Break) -> None:
        while self.crowd.begun < one.calls:
            self.crowd.news.clear()
            await self.crowd.news.wait()
        await asyncio.sleep(one.later)

    async def _happen(self, one: Break) -> None:
        match one.trouble:
            case Trouble.KILL:
                await self.rig.kill9()
                await asyncio.sleep(one.lasts)
                await self.rig.start(timeout=60)
            case Trouble.CUT:
                mark = len(self.rig.lines)
                self.link.refusing = True
                self.link.cut()
                await asyncio.sleep(one.lasts)
                self.link.refusing = False
                await self.rig.logged("link_up", since=mark, timeout=60, role="reader")
            case Trouble.RESTART:
                mark = len(self.rig.lines)
                await self.crowd.restart(one.lasts)
                await self.rig.logged("link_up", since=mark, timeout=60, role="reader")
