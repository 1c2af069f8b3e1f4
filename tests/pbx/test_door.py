"""The door, the recorder and the embedded PBX against a real Asterisk (A1)."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest

from config.settings import PbxSettings
from cti.core.commands import PauseMember, RemoveMember
from cti.core.events import CommandDone, Event, LinkLost, Resynced
from cti.core.parsing import parse
from cti.core.wire import Message
from cti.daemon.act import Actor
from cti.daemon.ami import Pbx as Door
from cti.daemon.embedded import EmbeddedPbx
from cti.daemon.errors import ActionFailed, LoginRefused
from cti.daemon.inbox import Inbox
from cti.daemon.link import LONGEST_LINE, Timing
from cti.daemon.recorder import RecordingSummary, arrivals, read_recording, record
from tests.pbx.asterisk import ACTOR, PUBLISHER, READER, Asterisk
from tests.pbx.conftest import Pbx
from tests.pbx.duty import duty_row, now_segment
from tests.pbx.provision import Tree

PIN = "1234"
BRISK = Timing(first_delay=0.05, longest_delay=0.2, booted=10.0)


@contextlib.asynccontextmanager
async def door(port: int, timing: Timing = BRISK) -> AsyncIterator[Door]:
    """Our door to this Asterisk, logged in with the shipped accounts and in step."""
    accounts = {
        role: {"user": user, "secret": secret}
        for role, (user, secret) in {"reader": READER, "actor": ACTOR, "publisher": PUBLISHER}.items()
    }
    settings = PbxSettings.model_validate({"host": "127.0.0.1", "port": port, **accounts})
    made = Door("main", settings, Inbox(), timing)
    task = asyncio.create_task(made.run())
    try:
        async with asyncio.timeout(15):
            for role in made.links:
                await made.up(role)
        yield made
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def next_of(made: Door, kind: type, got: list[Message | Event]) -> Event:
    """The next event of that kind; everything that came is added to `got`."""
    async with asyncio.timeout(20):
        while True:
            batch = [arrival.what for arrival in await made.inbox.get_batch()]
            got += batch
            for what in batch:
                if isinstance(what, kind):
                    return what  # type: ignore[return-value]  # events alone are asked for


def tell(_: RecordingSummary) -> None:
    """Nobody looks."""


async def a_queue_call(pbx: Pbx) -> None:
    await pbx.publish_agent("2001", PIN)
    await pbx.publish_duty("sales", duty_row(now_segment("o")))
    await pbx.phones.login("1001", "2001", PIN)
    call = await pbx.phones.customer_calls("4001", talk=0.3)
    await pbx.reader.wait_for("AgentComplete", MemberName="2001")
    await call.ended()


@contextlib.asynccontextmanager
async def recorded(pbx: Pbx, out: Path) -> AsyncIterator[None]:
    """A recording of what happens meanwhile, from before it to after it."""
    begun = asyncio.Event()
    task = asyncio.create_task(
        record("127.0.0.1", pbx.lab.pbx.ami_port, *READER, out, None, lambda _: begun.set())
    )
    await begun.wait()
    try:
        yield
        await pbx.ami.action("UserEvent", {"UserEvent": "Over"})
        await asyncio.sleep(0.1)  # the recorder cannot be asked what it has
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_the_door_sees_what_an_independent_client_sees(pbx: Pbx, tmp_path: Path) -> None:
    """Event by event the same as a client that shares no code, for the classes both read; all of it parses."""
    out = tmp_path / "call.ami.gz"
    async with door(pbx.lab.pbx.ami_port) as made:
        got: list[Message | Event] = []
        state = await next_of(made, Resynced, got)
        assert isinstance(state, Resynced)
        assert state.bridges is not None  # the shipped account may list them
        async with recorded(pbx, out):
            await a_queue_call(pbx)
        await pbx.ami.action("UserEvent", {"UserEvent": "Last"})
        async with asyncio.timeout(10):
            while not any(isinstance(what, Mapping) and what.get("UserEvent") == "Last" for what in got):
                got += [arrival.what for arrival in await made.inbox.get_batch()]
    live = [what for what in got if isinstance(what, Mapping)]
    seen = [(m["Event"], m["Timestamp"]) for m in live]
    beside = [
        (m.event, m["Timestamp"]) for m in pbx.reader.events if (m.event, m.get("Timestamp")) in set(seen)
    ]
    assert seen == beside
    assert {"AgentConnect", "QueueCallerJoin", "BridgeEnter", "QueueMemberAdded"} <= {
        name for name, _ in seen
    }
    assert all(parse(message, 0.0) is not None or message["Event"] == "UserEvent" for message in live)
    replayed = [a.what for a in arrivals(read_recording(out), "main")]
    assert isinstance(replayed[0], Resynced)
    assert [what for what in replayed[1:] if what in live] == replayed[1:]
    assert live[-len(replayed) : -1] == replayed[1:]
    assert state.booted_at == replayed[0].booted_at


async def test_the_embedded_pbx_plays_it_as_it_was(pbx: Pbx, tmp_path: Path) -> None:
    """The same calls come through the door again, with every header but the instants as the real Asterisk sent it."""
    out = tmp_path / "call.ami"
    async with recorded(pbx, out):
        await a_queue_call(pbx)
    once = [a.what for a in arrivals(read_recording(out), "main")]
    async with (
        EmbeddedPbx(read_recording(out), speed=50.0) as embedded,
        door(embedded.port) as made,
        asyncio.timeout(20),
    ):
        await embedded.played.wait()
        got: list[Message | Event] = []
        while len(got) < len(once):
            got += [arrival.what for arrival in await made.inbox.get_batch()]
    moved = {"Timestamp", "LastPause", "LastCall", "LoginTime"}

    def steady(what: Message | Event) -> dict[str, str]:
        return {k: v for k, v in what.items() if k not in moved} if isinstance(what, Mapping) else {}

    assert [steady(what) for what in got] == [steady(what) for what in once]
    assert out.read_bytes().count(PIN.encode() + b"\r\n") == 0


def _event(what: Message | Event) -> Event | None:
    return parse(what, 0.0) if isinstance(what, Mapping) else what


async def test_commands_are_performed_and_refusals_told(pbx: Pbx) -> None:
    """A logged-in member is paused and removed; one who is not there is gone already."""
    await pbx.publish_agent("2001", PIN)
    await pbx.phones.login("1001", "2001", PIN)
    async with door(pbx.lab.pbx.ami_port) as made:
        actor = Actor([made])
        task = asyncio.create_task(actor.run())
        actor.perform(PauseMember("p", "main", "PJSIP/1001", "2001", "rule"))
        for number, queue in enumerate(("sales", "support", "sales")):
            actor.perform(RemoveMember(f"r{number}", "main", queue, "PJSIP/1001", "2001"))
        got: list[Message | Event] = []
        async with asyncio.timeout(10):
            while sum(isinstance(what, CommandDone) for what in got) < 4:
                batch = [arrival.what for arrival in await made.inbox.get_batch()]
                got += batch
                for event in map(_event, batch):
                    if event is not None:
                        actor.heard("main", event)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    results = [(what.command, what.ok, what.message) for what in got if isinstance(what, CommandDone)]
    assert results[:3] == [
        ("p", True, "Interface paused successfully"),
        ("r0", True, "Removed interface from queue"),
        ("r1", True, "Removed interface from queue"),
    ]
    assert results[3][:2] == ("r2", True)  # seen to be gone already, or "Not there" says so
    events = [what["Event"] for what in got if isinstance(what, Mapping)]
    assert events.count("QueueMemberPause") == 2
    assert events.count("QueueMemberRemoved") == 2


async def test_the_longest_line_is_the_longest_line(pbx: Pbx) -> None:
    """Asterisk takes a line of 1,024 bytes; ours refuses one more before Asterisk has to."""
    value = "v" * (LONGEST_LINE - len("Val: \r\n"))
    put = {"Action": "DBPut", "Family": "cti-pending", "Key": "long"}
    async with door(pbx.lab.pbx.ami_port) as made:
        await made.action("publisher", {**put, "Val": value})
        rows = await made.listing(
            "reader", {"Action": "DBGetTree", "Family": "cti-pending"}, {"DBGetTreeResponse"}
        )
        assert [(row["Key"], row["Val"]) for row in rows] == [("/cti-pending/long", value)]
        with pytest.raises(ActionFailed, match="1025 bytes"):
            await made.action("publisher", {**put, "Val": value + "v"})
        with pytest.raises(ActionFailed, match="Permission denied"):
            await made.action("actor", {**put, "Val": "x"})
        assert (
            await made.listing("reader", {"Action": "DBGetTree", "Family": "none"}, {"DBGetTreeResponse"})
            == []
        )


async def test_a_wrong_secret_is_refused_by_name(pbx: Pbx, tmp_path: Path) -> None:
    port = pbx.lab.pbx.ami_port
    with pytest.raises(LoginRefused, match=f"'{READER[0]}' at 127.0.0.1:{port}.*Authentication failed"):
        await record("127.0.0.1", port, READER[0], "wrong", tmp_path / "x", 1.0, tell)


async def test_a_killed_asterisk_is_told_from_a_lost_link(tree: Tree, tmp_path: Path) -> None:
    """Killed and started again: LinkLost with its instant, then a state with another boot instant; a mere cut: the same."""
    async with Asterisk(tree, directory=tmp_path / "pbx") as asterisk, door(asterisk.ami_port) as made:
        got: list[Message | Event] = []
        first = await next_of(made, Resynced, got)
        await asyncio.sleep(1.1)  # boot instants are whole seconds
        killed = time.time()
        await asterisk.kill9()
        lost = await next_of(made, LinkLost, got)
        assert isinstance(lost, LinkLost)
        assert killed - 0.25 <= lost.at <= time.time() + 0.25  # two clocks
        await asterisk.start()
        second = await next_of(made, Resynced, got)
        assert isinstance(first, Resynced)
        assert isinstance(second, Resynced)
        assert second.booted_at > first.booted_at
        assert abs(second.booted_at - time.time()) < 60
        assert len(second.queues) == 2
