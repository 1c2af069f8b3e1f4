"""Trunks that are asked for after a login, and duty calls that nobody took (A3)."""

import asyncio
from collections.abc import Sequence

from structlog.testing import capture_logs

from cti.core.facts import Fact, Fault, FaultKind, Notice, WorkItem
from cti.daemon.board import Board
from cti.daemon.outside import DutyWatch, TrunkWatch
from tests.daemon.doors import SECRETS, EmbeddedPbx, door, whats


def item(at: float, result: str, hotline: str = "night") -> WorkItem:
    key = f"main-{at}"
    return WorkItem(key, "main", "after_hours_call", key, hotline, "13900000001", at, result)


class Told:
    """What the board gave out."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []
        self.notices: list[str] = []
        self.board = Board(self.take, now=lambda: 1000.0)

    def take(self, facts: Sequence[Fact]) -> None:
        self.faults += [fact for fact in facts if isinstance(fact, Fault)]
        self.notices += [fact.kind for fact in facts if isinstance(fact, Notice)]


def test_a_duty_call_that_nobody_took_is_a_fault_until_somebody_takes_one() -> None:
    """Begin and end, told both times; what comes twice or late changes nothing; no caller's number is in it."""
    told = Told()
    watch = DutyWatch(told.board)
    watch.take([item(1, "accepted"), item(2, "ringing")])
    assert told.faults == []
    watch.take([item(2, "unanswered"), item(2, "unanswered")])
    (fault,) = told.faults
    assert (fault.kind, fault.pbx, fault.ended_at) == (FaultKind.DUTY_PHONE, "main", None)
    assert "night" in fault.detail
    assert "139" not in fault.detail
    watch.take([item(1, "accepted"), item(3, "abandoned"), item(4, "closed")])
    assert len(told.faults) == 1
    watch.take([item(5, "accepted"), item(2, "unanswered")])
    assert [one.ended_at for one in told.faults] == [None, 1000.0]
    assert told.notices == ["fault_began", "fault_ended"]


def test_two_hotlines_share_a_fault_that_ends_with_the_last() -> None:
    told = Told()
    watch = DutyWatch(told.board)
    watch.take([item(1, "unanswered", "day"), item(2, "unanswered", "night"), item(3, "accepted", "day")])
    assert len(told.faults) == 1
    watch.take([item(4, "accepted", "night")])
    assert told.faults[-1].ended_at == 1000.0


async def test_the_trunks_are_asked_for_and_a_pbx_that_cannot_tell_is_told_of_once() -> None:
    async with EmbeddedPbx(secrets=SECRETS) as pbx, door(pbx.port) as cti:
        await whats(cti, bool)
        watch = TrunkWatch(cti, ["PJSIP/trunk-a"])
        running = asyncio.create_task(watch.run())
        with capture_logs() as logs:
            pbx.refused["DeviceStateList"] = "Invalid/unknown command"
            for count in (1, 2):
                watch.wake()
                async with asyncio.timeout(20):
                    while [a["Action"] for a in pbx.actions].count("DeviceStateList") < count:  # noqa: ASYNC110 - the other side has no event
                        await asyncio.sleep(0.005)
            await cti.action("reader", {"Action": "Ping"})
        assert [line["event"] for line in logs] == ["trunks_not_listed"]
        assert "res_manager_devicestate" in logs[0]["cure"]
        pbx.refused.clear()
        running.cancel()
