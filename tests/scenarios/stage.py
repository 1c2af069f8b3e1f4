"""Where a scenario is played: its people and their phones, the numbers they dial, the PBX they use.

People are known by roles. A `Desk` is a phone of the house, a `Line` one call in somebody's hand. All of it lives in the
phone network and reaches the PBX by SIP. What happens is awaited as an event; durations are seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.pbx.amiclient import AmiClient, AmiError, Message
from tests.pbx.asterisk import Lab
from tests.scenarios.model import Scenario

_ids = itertools.count(1)
# Variables of the phone's channel: a number that is there and empty. One that is not there chan_pjsip calls anonymous.
NO_NUMBER = "CONNECTEDLINE(num,i)="
_customers = itertools.count(13800000000 + int(time.time()) % 100000 * 100)


@dataclass
class House:
    """A running PBX with its phone network, and the phones nobody uses at the moment."""

    lab: Lab
    pbx: AmiClient
    network: AmiClient
    free: list[str]
    more: asyncio.Condition = field(default_factory=asyncio.Condition)

    @classmethod
    @asynccontextmanager
    async def open(cls, lab: Lab) -> AsyncIterator[House]:
        async with await lab.pbx.ami() as pbx, await lab.phones.ami() as network:
            yield cls(lab, pbx, network, list(lab.config.phones))

    async def phone(self) -> str:
        async with self.more:
            while not self.free:
                await self.more.wait()
            return self.free.pop(0)

    async def give_back(self, phones: list[str]) -> None:
        async with self.more:
            self.free += phones
            self.more.notify_all()


class Line:
    """One call, as the person who has it in hand sees it."""

    def __init__(self, stage: Stage, channel: str, uniqueid: str, since: int) -> None:
        self._stage, self.channel, self.uniqueid, self._since = stage, channel, uniqueid, since

    @property
    def _network(self) -> AmiClient:
        return self._stage.house.network

    async def sends(self, exten: str, context: str = "hands") -> None:
        """Do something with the phone, without waiting for what comes of it (see conf/phones/extensions.conf)."""
        await self._network.action(
            "Redirect",
            {"Channel": self.channel, "Context": context, "Exten": exten, "Priority": "1"},
        )

    async def picks_up(self) -> None:
        """Answer, and wait until the PBX knows."""
        with self._stage.allowed():
            await self.sends("answer")
            await self._up()

    async def _up(self) -> None:
        await self._network.wait_for(
            "Newstate", since=self._since, Uniqueid=self.uniqueid, ChannelStateDesc="Up"
        )

    async def answered(self, timeout: float = 20.0) -> None:
        """Wait until the PBX has answered (a queue and an announcement answer too)."""
        await self._network.wait_for(
            "Newstate", since=self._since, timeout=timeout, Uniqueid=self.uniqueid, ChannelStateDesc="Up"
        )

    async def rejects(self, cause: int = 21) -> None:
        """Decline the call (21), or be busy (17)."""
        await self.sends("reject" if cause == 21 else "busy")

    async def holds(self) -> None:
        """Press hold: the phone sends a re-INVITE."""
        since = self._stage.house.pbx.mark()
        with self._stage.allowed():
            await self.sends("hold")
            await self._stage.house.pbx.wait_for("Hold", since=since, where=self._stage.mine)

    async def resumes(self) -> None:
        """Take the other side back."""
        since = self._stage.house.pbx.mark()
        with self._stage.allowed():
            await self.sends("talk")
            await self._stage.house.pbx.wait_for("Unhold", since=since, where=self._stage.mine)

    async def presses(self, keys: str, *, pause: float = 0.15) -> None:
        """Press keys, as a person does: one after the other."""
        with self._stage.allowed(len(keys) * pause):
            for key in keys:
                await self._network.action(
                    "PlayDTMF", {"Channel": self.channel, "Digit": key, "Duration": "80"}
                )
                await asyncio.sleep(pause)

    async def refers(self, number: str, other: Line | None = None) -> None:
        """Press transfer: a REFER to a number; with `other`, to whom that line of the same phone is connected with."""
        since = self._stage.house.pbx.mark()
        with self._stage.allowed():
            replaces = "" if other is None else f"?Replaces={await other.dialog()}"
            await self._network.action(
                "Setvar", {"Channel": self.channel, "Variable": "REPLACES", "Value": replaces}
            )
            await self.sends(number, "hands-refer")
            if other is not None:
                await self._stage.house.pbx.wait_for("AttendedTransfer", since=since, where=self._stage.mine)

    async def dialog(self) -> str:
        """The SIP dialog of this line as a Replaces header names it, escaped for a URI."""
        call, local, remote = [
            (
                await self._network.action(
                    "Getvar", {"Channel": self.channel, "Variable": f"CHANNEL(pjsip,{what})"}
                )
            )["Value"]
            for what in ("call-id", "local_tag", "remote_tag")
        ]
        return f"{call}%3Bto-tag%3D{remote}%3Bfrom-tag%3D{local}"

    async def hangs_up(self) -> None:
        """Put the phone down; nothing happens when the call is over."""
        with contextlib.suppress(AmiError), self._stage.allowed():
            await self._network.action("Hangup", {"Channel": self.channel, "Cause": "16"})

    async def ended(self, timeout: float = 30.0) -> Message:
        """Wait until the call is over; its Hangup on the phone's side."""
        return await self._network.wait_for(
            "Hangup", since=self._since, timeout=timeout, Uniqueid=self.uniqueid
        )


class Desk:
    """A phone of the house; `agent` is who is logged in there, if anybody is."""

    def __init__(self, stage: Stage, role: str, ext: str, agent: str | None) -> None:
        self._stage, self.role, self.ext, self.agent = stage, role, ext, agent

    @property
    def device(self) -> str:
        return f"PJSIP/{self.ext}"

    @property
    def direct(self) -> str:
        """The number that reaches this phone from outside."""
        return f"51{self.ext[2:]}"

    async def rings(self, timeout: float = 15.0) -> Line:
        """Wait until the next call reaches this phone."""
        return await self._stage.offered(self.ext, timeout=timeout)

    async def picks_up(self) -> Line:
        """Wait for a call and answer it."""
        line = await self.rings()
        await line.picks_up()
        return line

    async def dials(self, number: str) -> Line:
        """Dial a number from this phone."""
        return await self._stage.place(number, via=self.ext, number=self.ext, name=f"Phone {self.ext}")

    async def behaves(self, mode: str) -> None:
        """What this phone does with calls from now on (see conf/phones/extensions.conf)."""
        await self._stage.house.network.db_put(f"phone/{self.ext}", "mode", mode)

    def channel(self) -> str:
        """The name of this phone's latest channel on the PBX."""
        return self._stage.pbx_channel(f"{self.device}-")


class Stage:
    """One scenario under way."""

    def __init__(self, house: House, play: Scenario) -> None:
        self.house, self.play = house, play
        self.cast: dict[str, str] = {}  # what stands for a role in the record: agent id, device, number
        self.late = 0.0  # s by which pauses took longer than asked for
        self._phones: list[str] = []
        self._seen: dict[str, int] = {}
        self._pbx_since = house.pbx.mark()
        self._network_since = house.network.mark()
        self._own: dict[str, str] = {}  # uniqueid → channel name, of this scenario's channels on the PBX
        self._gone: set[str] = set()
        self._looked = self._pbx_since
        self._numbers: set[str] = set()
        self._members: list[tuple[str, str]] = []
        self._cleanups: list[tuple[str, dict[str, str]]] = []

    # -- people

    async def desk(self, role: str, *, mode: str = "noanswer") -> Desk:
        """A phone at which no agent is logged in; it rings until somebody picks up."""
        return await self.at_desk(role, await self.house.phone(), mode)

    async def at_desk(self, role: str, ext: str, mode: str) -> Desk:
        """Take this phone; it is given back in the end."""
        self._phones.append(ext)
        await self.house.network.db_put(f"phone/{ext}", "mode", mode)
        self.cast[role] = f"PJSIP/{ext}"
        await self._known(role, ext)
        return Desk(self, role, ext, None)

    async def agent(
        self,
        role: str,
        *queues: str,
        mode: str = "noanswer",
        interface: str = "",
        state: str = "",
        penalty: int = 0,
    ) -> Desk:
        """An agent at a phone, a member of these queues (of one that nobody calls, when none is named).

        `interface` may be something else than the phone: `{ext}` in it is the phone's number. So may `state`, the device
        whose state the queue goes by.
        """
        desk = await self.desk(role, mode=mode)
        desk.agent = f"2{desk.ext[1:]}"
        self.cast[role] = desk.agent
        interface = interface.format(ext=desk.ext) or desk.device
        for queue in queues or ("floor",):
            name = self.play.queue(queue) if queue in self.play.queues else queue
            await self.joins(desk, name, interface, penalty, state)
        return desk

    async def joins(self, desk: Desk, queue: str, interface: str, penalty: int = 0, state: str = "") -> None:
        """Log the agent of a desk in to a queue."""
        since = self.house.pbx.mark()
        await self.house.pbx.action(
            "QueueAdd",
            {
                "Queue": queue,
                "Interface": interface,
                "MemberName": desk.agent or "",
                "StateInterface": state or desk.device,
                "Penalty": str(penalty),
            },
        )
        self._members.append((queue, interface))
        await self.house.pbx.wait_for("QueueMemberAdded", since=since, Queue=queue, Interface=interface)

    async def mobile(self, role: str, *, mode: str = "noanswer") -> str:
        """A number of the public network; it rings until somebody picks up."""
        number = str(next(_customers))
        await self.house.network.db_put(f"phone/{number}", "mode", mode)
        self.cast[role] = number
        self._numbers.add(number)
        await self._known(role, number)
        return number

    async def _known(self, role: str, number: str) -> None:
        await self.house.pbx.action("Setvar", {"Variable": self.play.variable(role), "Value": number})

    async def customer(
        self,
        to: str,
        role: str = "customer",
        *,
        name: str = "王伟",
        number: str | None = None,
        trunk: str = "trunk-a",
        variables: str = "",
    ) -> Line:
        """A customer calls a number of ours (by its short name, or in digits)."""
        number = str(next(_customers)) if number is None else number
        if number:
            self.cast[role] = number
        return await self.place(to, via=trunk, number=number, name=name, variables=variables)

    async def place(self, to: str, *, via: str, number: str, name: str, variables: str = "") -> Line:
        """Anybody calls anything; `variables` are those of the phone's channel."""
        # Whoever is cut short while dialling has dialled: the phone is put down like any other.
        dialled = asyncio.ensure_future(self._dial(to, via, number, name, variables))
        try:
            return await asyncio.shield(dialled)
        except asyncio.CancelledError:
            with contextlib.suppress(AmiError):
                await (await dialled).hangs_up()
            raise

    async def _dial(self, to: str, via: str, number: str, name: str, variables: str) -> Line:
        to = self.play.number(to) if to in self.play.numbers else to
        ident = f"p{next(_ids)}-{int(time.time())}"
        if number:
            self._numbers.add(number)
        since = self.house.network.mark()
        await self.house.network.action(
            "Originate",
            {
                "Channel": f"PJSIP/{to}@{via}",
                "ChannelId": ident,
                "Context": "hands",
                "Exten": "talk",
                "Priority": "1",
                "CallerID": f'"{name}" <{number}>' if number else f'"{name}" <>',
                "Timeout": "600000",
                "Async": "true",
                "Variable": variables,
            },
        )
        made = await self.house.network.wait_for("Newchannel", since=since, Uniqueid=ident)
        return Line(self, made["Channel"], ident, since)

    async def offered(self, number: str, *, timeout: float = 15.0) -> Line:
        """Wait until the next call reaches a phone or mobile."""
        since = self._seen.get(number, self._network_since)
        network = self.house.network
        said = await network.wait_for(
            "UserEvent", since=since, timeout=timeout, UserEvent="Phone", What="offered", Number=number
        )
        self._seen[number] = network.events.index(said, since) + 1
        return Line(self, said["Chan"], said["Uniqueid"], since)

    async def passes(self, seconds: float) -> None:
        """Let time pass."""
        with self.allowed(seconds):
            await asyncio.sleep(seconds)

    @contextlib.contextmanager
    def allowed(self, seconds: float = 0.0) -> Iterator[None]:
        """Something that should take so long: what it takes longer is allowed for when durations are judged."""
        began = time.monotonic()
        try:
            yield
        finally:
            self.late += max(0.0, time.monotonic() - began - seconds)

    # -- the PBX

    def number(self, short: str) -> str:
        return self.play.number(short)

    def queue(self, short: str) -> str:
        return self.play.queue(short)

    def mine(self, message: Message) -> bool:
        """Whether an event of the PBX is about a channel of this scenario."""
        self._look()
        return any(name.endswith("Uniqueid") and value in self._own for name, value in message.items())

    def _look(self) -> None:
        """Find this scenario's channels among what the PBX said since the last look."""
        events = self.house.pbx.events
        for message in events[self._looked :]:
            if message.event == "Newchannel" and self._is_own(message):
                self._own[message["Uniqueid"]] = message["Channel"]
            elif message.event == "DialBegin" and message["DialString"].split("@", 1)[0] in self._numbers:
                self._own[message["DestUniqueid"]] = message["DestChannel"]  # by Originate nothing else tells
            elif message.event == "Rename" and message["Uniqueid"] in self._own:
                self._own[message["Uniqueid"]] = message["Newname"]
            elif message.event == "Hangup":
                self._gone.add(message["Uniqueid"])
        self._looked = len(events)

    def _is_own(self, message: Message) -> bool:
        return (
            message["Linkedid"] in self._own
            or message["CallerIDNum"] in self._numbers
            or any(message["Channel"].startswith(f"PJSIP/{ext}-") for ext in self._phones)
            or message["Exten"][:4] == f"7{self.play.index:03d}"
            or message["Context"].endswith(f"-{self.play.index:03d}")
        )

    def pbx_channel(self, prefix: str) -> str:
        """The newest living channel of this scenario on the PBX whose name begins so."""
        self._look()
        for uniqueid, name in reversed(self._own.items()):
            if name.startswith(prefix) and uniqueid not in self._gone:
                return name
        raise AmiError(f"no channel {prefix} lives; there were {list(self._own.values())}")

    async def does(self, action: str, **headers: str) -> Message:
        """An AMI action on the PBX."""
        with self.allowed():
            return await self.house.pbx.action(action, headers)

    async def saw(self, event: str, timeout: float = 20.0, **headers: str) -> Message:
        """Wait for an event of the PBX about this scenario's channels or with these headers."""
        return await self.house.pbx.wait_for(
            event,
            since=self._pbx_since,
            timeout=timeout,
            where=None if headers else self.mine,
            **headers,
        )

    async def many(self, event: str, times: int) -> Message:
        """Wait until so many of these events were about this scenario; the last of them."""
        count = 0

        def nth(message: Message) -> bool:
            nonlocal count
            count += self.mine(message)
            return count == times

        return await self.house.pbx.wait_for(event, since=self._pbx_since, where=nth)

    async def joined(self, times: int) -> None:
        """Wait until callers of this scenario have joined queues so many times."""
        await self.many("QueueCallerJoin", times)

    async def bridged(self, times: int) -> None:
        """Wait until channels of this scenario have entered basic bridges so many times."""
        count = 0

        def nth(message: Message) -> bool:
            nonlocal count
            count += self.mine(message) and message["BridgeType"] == "basic"
            return count == times

        await self.house.pbx.wait_for("BridgeEnter", since=self._pbx_since, where=nth)

    async def parked(self) -> Message:
        """Wait until a channel of this scenario is parked."""
        return await self.many("ParkedCall", 1)

    # -- beginning and end

    async def run(self) -> None:
        """Play, then wait until all of its channels are gone; whatever is left after a failure is hung up."""
        try:
            async with asyncio.timeout(60):
                await self.play.play(self)
                await self._quiet()
        finally:
            await self._clear()

    async def _quiet(self) -> None:
        async with asyncio.timeout(15):
            # The phone's side may be over before the PBX has told anything of it.
            await self.house.pbx.wait_for("Newchannel", since=self._pbx_since, where=self.mine)
            while self._living():  # a channel's Hangup is the event; a new one may come with it
                position = len(self.house.pbx.events)
                with contextlib.suppress(AmiError):
                    await self.house.pbx.wait_for("Hangup", since=position, timeout=0.5)
                await asyncio.sleep(0.02)

    def _living(self) -> list[str]:
        self._look()
        return [name for uniqueid, name in self._own.items() if uniqueid not in self._gone]

    async def _clear(self) -> None:
        for name in self._living():
            with contextlib.suppress(AmiError):
                await self.house.pbx.action("Hangup", {"Channel": name})
        for queue, interface in self._members:
            with contextlib.suppress(AmiError):
                await self.house.pbx.action("QueueRemove", {"Queue": queue, "Interface": interface})
        with contextlib.suppress(TimeoutError, AmiError):
            await self._quiet()
        await self.house.give_back(self._phones)

    def summary(self) -> dict[str, Any]:
        """What the judge must know about this run."""
        self._look()
        play = self.play
        places = {play.queue(short): short for short in play.queues}
        places |= {play.number(short): short for short in play.numbers}
        return {
            "cast": self.cast,
            "places": places,
            "late": round(self.late, 3),
            "channels": sorted(self._own),
        }
