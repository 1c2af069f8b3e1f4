"""The people around the PBX: customers, agents at their desk phones, duty staff with their mobiles.

They live in a second Asterisk (role ``PHONES``) and reach the PBX by real SIP over loopback. How a phone behaves is a
row in that Asterisk's AstDB, so it can be changed at any moment; what happens is awaited as an AMI event.
Durations are seconds. Errors are AmiError (it did not happen in time).
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from typing import Literal, Self

from tests.pbx.amiclient import AmiClient, AmiError, Message
from tests.pbx.asterisk import Asterisk

PhoneMode = Literal["answer", "noanswer", "busy", "reject", "unreachable", "silent"]
MobileMode = Literal[
    "accept", "ignore", "noanswer", "busy", "reject", "hangup_in_prompt", "unreachable", "silent"
]
TrunkMode = Literal["up", "congestion", "unavailable", "silent"]

_ids = itertools.count(1)


class CallHandle:
    """A call that one of the people placed."""

    def __init__(self, network: PhoneNetwork, ident: str, number: str, since: int) -> None:
        self._network, self.ident, self.number, self._since = network, ident, number, since
        self._timers: list[asyncio.Task[None]] = []

    async def answered(self, timeout: float = 15.0) -> None:
        """Wait until the PBX has answered this call (a queue and an announcement answer too)."""
        await self._network.ami.wait_for(
            "OriginateResponse", since=self._since, timeout=timeout, ActionID=self.ident, Response="Success"
        )

    async def served(self, timeout: float = 30.0) -> Message:
        """Wait until a desk phone or mobile has picked up for this caller; its event (Number, Chan)."""
        return await self._network.ami.wait_for(
            "UserEvent",
            since=self._since,
            timeout=timeout,
            UserEvent="Phone",
            What="answered",
            Peer=self.number,
        )

    async def ended(self, timeout: float = 60.0) -> Message:
        """Wait until the call is over; the Hangup event of the caller's line (Cause = hangup cause)."""
        message = await self._network.ami.wait_for(
            "Hangup", since=self._since, timeout=timeout, Uniqueid=self.ident
        )
        for timer in self._timers:
            timer.cancel()
        return message

    async def hangup(self) -> None:
        """The caller hangs up; nothing happens if the call is over."""
        await self._network.hangup(self)

    async def press(self, keys: str) -> None:
        """Press keys in the running call."""
        for key in keys:
            await self._network.ami.action(
                "PlayDTMF", {"Channel": self.channel, "Digit": key, "Duration": "80"}
            )

    @property
    def channel(self) -> str:
        for message in self._network.ami.events[self._since :]:
            if message.event == "Newchannel" and message.get("Uniqueid") == self.ident:
                return message["Channel"]
        raise AmiError(f"the call {self.ident} has no channel yet")


class PhoneNetwork:
    """Drives the phones; made by :meth:`connect` on a running instance of role ``PHONES``."""

    def __init__(self, ami: AmiClient) -> None:
        self.ami = ami

    @classmethod
    async def connect(cls, phones: Asterisk) -> PhoneNetwork:
        return cls(await phones.ami())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        await self.ami.close()

    # --- how phones behave ---

    async def set_phone(
        self, ext: str, *, mode: str | PhoneMode = "answer", answer_after: float = 0.2, talk: float = 0
    ) -> None:
        """A desk phone: rings ``answer_after``, talks ``talk`` and hangs up; 0 = until the other side hangs up.

        ``mode`` may also be ``forward:<number>`` (a 302 to that number of the PBX).
        """
        await self._behave(ext, mode, answer_after, talk)

    async def set_mobile(
        self, number: str, *, mode: str | MobileMode = "accept", after: float = 0.2, talk: float = 0
    ) -> None:
        """A mobile: ``accept`` answers and presses 1, ``ignore`` answers and presses nothing, as a mailbox does."""
        await self._behave(number, mode, after, talk)

    async def set_trunk(self, trunk: str, mode: TrunkMode = "up") -> None:
        """What ``trunk-a`` or ``trunk-b`` does with calls from the PBX: ``silent`` = takes them and says nothing."""
        await self.ami.db_put(f"trunk/{trunk}", "mode", mode)

    async def reset(self) -> None:
        """Every phone, mobile and trunk as in the beginning; calls go on."""
        for family in ("phone", "trunk", "out"):
            await self.ami.db_del(family)

    # --- customers ---

    async def customer_calls(
        self,
        did: str,
        name: str = "王伟",
        number: str = "13800138000",
        *,
        patience: float | None = 20,
        talk: float | None = None,
        trunk: str = "trunk-a",
    ) -> CallHandle:
        """A customer dials ``did``, gives up after ``patience`` unless somebody picks up, and hangs up ``talk`` later.

        None = never gives up, never hangs up first.
        """
        handle = await self._place(did, number=number, name=name, via=trunk)
        if patience is not None or talk is not None:
            handle._timers.append(asyncio.create_task(_lose_patience(handle, patience, talk)))
        return handle

    # --- agents ---

    async def agent_dials(self, ext: str, number: str, then_dtmf: str = "") -> CallHandle:
        """A desk phone dials; once the PBX answers, the keys of ``then_dtmf`` are pressed."""
        return await self._place(number, number=ext, name="", via=ext, keys=then_dtmf)

    async def login(self, ext: str, agent: str, pin: str) -> None:
        """Log in by feature code, and wait until the phone has been hung up again."""
        await self._feature(ext, "*11", f"{agent}#{pin}#")

    async def logout(self, ext: str) -> None:
        await self._feature(ext, "*12")

    async def pause(self, ext: str, reason_digit: str, *, shorthand: bool = True) -> None:
        """Step away; with ``shorthand`` the digit is part of what is dialled, else it is asked for."""
        if shorthand:
            await self._feature(ext, f"*13{reason_digit}")
        else:
            await self._feature(ext, "*13", reason_digit)

    async def unpause(self, ext: str) -> None:
        await self._feature(ext, "*14")

    async def hangup(self, handle: CallHandle) -> None:
        with contextlib.suppress(AmiError):
            await self.ami.action("Hangup", {"Channel": handle.channel, "Cause": "16"})

    async def hang_up_phone(self, number: str) -> None:
        """A desk phone or mobile that is in a call hangs up; AmiError if it has never been called."""
        offered = self.ami.find("UserEvent", UserEvent="Phone", What="offered", Number=number)
        if not offered:
            raise AmiError(f"nobody has called {number}")
        await self.ami.action("Hangup", {"Channel": offered[-1]["Chan"], "Cause": "16"})

    # --- awaiting ---

    async def offered(self, number: str, *, since: int = 0, timeout: float = 15.0) -> Message:
        """Wait until a call reaches that desk phone or mobile."""
        return await self.ami.wait_for(
            "UserEvent", since=since, timeout=timeout, UserEvent="Phone", What="offered", Number=number
        )

    async def _behave(self, number: str, mode: str, after: float, talk: float) -> None:
        for key, value in (("mode", mode), ("after", f"{after:g}"), ("talk", f"{talk:g}")):
            await self.ami.db_put(f"phone/{number}", key, value)

    async def _feature(self, ext: str, code: str, keys: str = "") -> None:
        handle = await self.agent_dials(ext, code, keys)
        await handle.ended(timeout=30)

    async def _place(self, to: str, *, number: str, name: str, via: str, keys: str = "") -> CallHandle:
        ident = f"c{next(_ids)}"
        # Through AstDB, because a name with quotes or commas would not survive an Originate header.
        for key, value in (("to", to), ("via", via), ("num", number), ("name", name), ("keys", keys)):
            if value:
                await self.ami.db_put(f"out/{ident}", key, value)
        since = self.ami.mark()
        await self.ami.action(
            "Originate",
            {
                "Channel": f"Local/{ident}@out/n",
                "ChannelId": ident,
                "OtherChannelId": f"{ident}-2",
                "Application": "Wait",
                "Data": "86400",
                "Timeout": "600000",
                "Async": "true",
            },
        )
        await self.ami.wait_for("Newchannel", since=since, Uniqueid=ident)
        return CallHandle(self, ident, number, since)


async def _lose_patience(handle: CallHandle, patience: float | None, talk: float | None) -> None:
    try:
        await handle.served(timeout=patience if patience is not None else 86400)
        if talk is None:
            return
        await asyncio.sleep(talk)
    except AmiError:
        pass
    with contextlib.suppress(AmiError):
        await handle.hangup()
