"""A real Asterisk with our own door to it, for the tests of what is published and collected."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from config.sections import Account, PbxSettings
from cti.daemon import astdb
from cti.daemon.ami import Pbx
from cti.daemon.inbox import Inbox
from tests.pbx.amiclient import AmiClient
from tests.pbx.asterisk import ACTOR, PUBLISHER, READER, Asterisk, PbxConfig
from tests.pbx.provision import provision

DECIDE = """
[cti-test-decide]
exten => _X.,1,GoSub(cti-settings,s,1)
 same => n,Set(__CTI_HOTLINE=sales)
 same => n,Set(cti_queue=sales)
 same => n,GoSub(cti-decide,s,1(${EXTEN}))
 same => n,Set(answer=${GOSUB_RETVAL})
 same => n,UserEvent(Decided,At: ${EXTEN},Answer: ${answer},Why: ${cti_why})
 same => n,Hangup()
"""
"""Asks the product's dialplan what it would do with a call to the hotline `sales` at the epoch that is dialled."""

FAMILIES = (
    "cti-agent",
    "cti-duty",
    "cti-hotline",
    "cti-hotline-queue",
    "cti-supervisor",
    "cti-login",
    "cti-pending",
    "cti-pending-bad",
    "other",
)


@dataclass
class DutyPbx:
    """The PBX, the door to it, and a session that may do everything."""

    asterisk: Asterisk
    door: Pbx
    ami: AmiClient

    async def tree(self, family: str) -> dict[astdb.Entry, str]:
        return await astdb.read(self.door, family)

    async def decide(self, at: int) -> tuple[str, str]:
        """What the dialplan answers for an instant, and why."""
        since = self.ami.mark()
        local = {
            "Channel": f"Local/{at}@cti-test-decide/n",
            "Application": "Wait",
            "Data": "1",
            "Async": "true",
        }
        await self.ami.action("Originate", local)
        event = await self.ami.wait_for("UserEvent", since=since, UserEvent="Decided", At=str(at))
        return event["Answer"], event["Why"]

    async def empty(self) -> None:
        for family in FAMILIES:
            await self.ami.db_del(family)

    async def restart(self) -> None:
        await self.ami.close()
        await self.asterisk.restart()
        self.ami = await self.asterisk.ami()


def settings(port: int) -> PbxSettings:
    accounts = {
        role: Account.model_validate({"user": user, "secret": secret}, strict=False)
        for role, (user, secret) in (("reader", READER), ("actor", ACTOR), ("publisher", PUBLISHER))
    }
    return PbxSettings.model_validate({"host": "127.0.0.1", "port": port, **accounts}, strict=False)


@asynccontextmanager
async def duty_pbx() -> AsyncIterator[DutyPbx]:
    """Started, and logged in by all three accounts."""
    async with Asterisk(provision(), config=PbxConfig(dialplan_extra=DECIDE)) as asterisk:
        door = Pbx("main", settings(asterisk.ami_port), Inbox(1000))
        pbx = DutyPbx(asterisk, door, await asterisk.ami())
        running = asyncio.create_task(door.run())
        try:
            async with asyncio.timeout(15):
                await door.up("publisher")
                await door.up("reader")
            yield pbx
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            await pbx.ami.close()


async def until(true: Callable[[], bool], news: asyncio.Event) -> None:
    """Wait until something is true; `news` is set whenever it may have become so."""
    async with asyncio.timeout(15):
        while not true():
            news.clear()
            await news.wait()
