"""What is learnt of the lines to the outside by asking: the state of each trunk after a login, the fate of duty calls."""

import asyncio
import datetime as dt
import time
from collections.abc import Callable, Iterable

import structlog

from cti.core.duty import MarkState
from cti.core.events import TrunkSeen
from cti.core.facts import Fact, FaultKind, WorkItem
from cti.daemon.ami import Pbx
from cti.daemon.board import Board
from cti.daemon.errors import ActionFailed, AmiError
from cti.daemon.inbox import Arrival

log = structlog.get_logger(__name__)


class TrunkWatch:
    """Asks one PBX for the state of its trunks whenever it is woken; what changes later is told by events."""

    def __init__(self, pbx: Pbx, trunks: Iterable[str]) -> None:
        self._pbx, self._trunks = pbx, frozenset(trunks)
        self._wake = asyncio.Event()
        self._refused = False

    def wake(self) -> None:
        """Ask now: the door is in step again."""
        self._wake.set()

    async def run(self) -> None:
        """Ask when woken, until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                await self._ask()
            except ActionFailed as error:
                self._say(str(error))
            except AmiError as error:  # the next login asks again
                log.debug("trunks_not_asked", pbx=self._pbx.name, reason=str(error))

    async def _ask(self) -> None:
        if not self._trunks:
            return
        rows = await self._pbx.listing("reader", {"Action": "DeviceStateList"}, {"DeviceStateChange"})
        for row in rows:
            if row.get("Device") in self._trunks:
                seen = TrunkSeen(self._pbx.now(), row["Device"], row.get("State", ""))
                self._pbx.inbox.put(Arrival(self._pbx.name, time.time(), time.monotonic(), seen))

    def _say(self, reason: str) -> None:
        if not self._refused:
            cure = (
                "load res_manager_devicestate.so on the PBX; until then only changes of a trunk are noticed"
            )
            log.warning("trunks_not_listed", pbx=self._pbx.name, reason=reason, cure=cure)
        self._refused = True


class DutyWatch:
    """A duty call that nobody on the ladder took is a fault of the duty phones until somebody takes one again (A3)."""

    def __init__(self, board: Board, now: Callable[[], float] = time.time) -> None:
        self._board, self._now = board, now
        self._newest: dict[
            tuple[str, str], float
        ] = {}  # by PBX and hotline: begin of the call that decided last

    def take(self, facts: Iterable[Fact]) -> None:
        """Take work items, in any order and again and again; of each hotline the newest call that was decided counts."""
        for fact in facts:
            if isinstance(fact, WorkItem) and fact.result in {MarkState.ACCEPTED, MarkState.UNANSWERED}:
                self._decided(fact)

    def _decided(self, item: WorkItem) -> None:
        which = (item.pbx, item.hotline)
        if item.created_at <= self._newest.get(which, float("-inf")):
            return
        self._newest[which] = item.created_at
        source = f"ladder of {item.hotline}"
        if item.result == MarkState.ACCEPTED:
            self._board.end(source, {FaultKind.DUTY_PHONE}, item.pbx)
            return
        at = dt.datetime.fromtimestamp(item.created_at, dt.UTC).isoformat(timespec="seconds")
        detail = (
            f"nobody on the {source} took the call of {at.replace('+00:00', 'Z')}; it waits as a work item"
        )
        self._board.begin(FaultKind.DUTY_PHONE, source, detail, item.pbx)
