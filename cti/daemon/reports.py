"""Faults as people report them: what no machine sees, such as a broken headset or a slow system (A3)."""

import asyncio
import time
from collections.abc import Callable, Collection
from typing import Protocol

from cti.core.facts import Fault, FaultKind
from cti.core.faults import BY_HAND
from cti.daemon.board import Board
from cti.daemon.errors import CtiError
from store.errors import StoreError

_DURABLE = 5.0  # seconds within which a report must be durable
_AHEAD = 60.0  # seconds by which a person's clock may be ahead of ours


class ReportRefused(CtiError):
    """The report makes no sense as things are; the text says why and what to do."""


class UnknownPbx(ReportRefused):
    """No PBX has this name."""


class UnknownFault(ReportRefused):
    """No fault has this id."""


class NotDurable(CtiError):
    """Neither database nor spool took it in time."""


class Durable(Protocol):
    """Who makes facts durable."""

    async def committed(self) -> None:
        """Wait until everything put before is durable."""


class Known(Protocol):
    """Who knows the faults of the past."""

    async def fault(self, fault_id: str) -> Fault | None:
        """One fault, or None."""


class Reports:
    """Takes and ends faults reported by hand; each is durable before the call returns."""

    def __init__(
        self,
        board: Board,
        ledger: Durable,
        queries: Known,
        pbxs: Collection[str],
        now: Callable[[], float] = time.time,
    ) -> None:
        self._board, self._ledger, self._queries = board, ledger, queries
        self._pbxs, self._now = pbxs, now

    async def open(
        self, kind: FaultKind, detail: str, *, pbx: str | None, at: float | None, by: str | None
    ) -> Fault:
        """Take a report; `at` is when it began (epoch seconds), now when left out.

        Raises:
            UnknownPbx, ReportRefused: it is not taken. NotDurable: it is taken, but may be lost by a death.
        """
        if pbx is not None and pbx not in self._pbxs:
            raise UnknownPbx(f"No PBX has this name; known: {', '.join(sorted(self._pbxs))}")
        fault = self._board.report(kind, detail, pbx=pbx or "", at=self._instant(at), by=by or "")
        await self._durable()
        return fault

    async def close(self, fault_id: str, at: float | None) -> Fault:
        """End a fault; one that has ended already is returned as it is. Raises as `open`, and UnknownFault."""
        fault = self._board.by_hand.get(fault_id)
        if fault is None:
            fault = await self._past(fault_id)
            if fault.ended_at is not None:
                return fault
        ended_at = self._instant(at)
        if ended_at < fault.began_at:
            raise ReportRefused("A fault cannot end before it began; give a later `at`")
        over = self._board.close(fault, ended_at)
        await self._durable()
        return over

    async def _past(self, fault_id: str) -> Fault:
        fault = await self._queries.fault(fault_id)
        if fault is None:
            raise UnknownFault("No fault has this id")
        if fault.kind not in BY_HAND:
            raise ReportRefused(
                "The daemon found this fault and ends it itself; only reports of people are closed"
            )
        return fault

    def _instant(self, at: float | None) -> float:
        now = self._now()
        if at is not None and at > now + _AHEAD:
            raise ReportRefused("`at` lies in the future; give the moment it happened, or leave it out")
        return now if at is None else min(at, now)

    async def _durable(self) -> None:
        try:
            async with asyncio.timeout(_DURABLE):
                await self._ledger.committed()
        except (TimeoutError, StoreError, CtiError) as error:
            raise NotDurable(
                "Neither the database nor the disk takes it at the moment; it is kept in memory until one does"
            ) from error
