"""Commands of the core, performed and verified (C3)."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any

import pytest

from cti.core.commands import PauseMember, RemoveMember
from cti.core.events import CommandDone, Event
from cti.core.facts import CommandKind, CommandOutcome, CommandRecord
from cti.core.parsing import parse
from cti.daemon.act import Actor
from cti.daemon.ami import Pbx
from cti.daemon.embedded import EmbeddedPbx
from tests.daemon.doors import SECRETS, door

REMOVE = RemoveMember("c1", "main", "sales", "PJSIP/1001", "2001")
PAUSE = PauseMember("c2", "main", "PJSIP/1001", "2001", "rule")


def obey(action: Mapping[str, str]) -> Iterable[Mapping[str, str]]:
    """What Asterisk says after it did as it was told."""
    member = {"MemberName": "2001", "Interface": action.get("Interface", "")}
    if action["Action"] == "QueueRemove":
        yield {"Event": "QueueMemberRemoved", "Queue": action["Queue"], **member}
    elif action["Action"] == "QueuePause":
        for queue in ("sales", "support"):
            yield {"Event": "QueueMemberPause", "Queue": queue, "Paused": "1", **member}


class Acting(Actor):
    """An actor that keeps what it records, and hears what its PBXs say, as in service."""

    def __init__(self, pbxs: tuple[Pbx, ...], deadline: float) -> None:
        self.records: list[Any] = []
        self.results: asyncio.Queue[CommandDone] = asyncio.Queue()
        super().__init__(pbxs, deadline, record=self.records.extend)

    async def listen(self, pbx: Pbx) -> None:
        while True:
            for arrival in await pbx.inbox.get_batch():
                what = arrival.what
                event: Event | None = parse(what, arrival.at) if isinstance(what, Mapping) else what
                if isinstance(event, CommandDone):
                    self.results.put_nowait(event)
                elif event is not None:
                    self.heard(pbx.name, event)

    async def done(self) -> CommandDone:
        async with asyncio.timeout(5):
            return await self.results.get()

    def outcomes(self) -> list[CommandOutcome | None]:
        return [record.outcome for record in self.records]


@contextlib.asynccontextmanager
async def acting(*pbxs: Pbx, deadline: float = 5.0) -> AsyncIterator[Acting]:
    actor = Acting(pbxs, deadline)
    async with contextlib.AsyncExitStack() as stack:
        for coroutine in (actor.run(), *map(actor.listen, pbxs)):
            task = asyncio.create_task(coroutine)
            stack.push_async_callback(asyncio.wait, [task])
            stack.callback(task.cancel)
        yield actor


async def test_a_member_is_removed_and_paused_everywhere_in_order() -> None:
    """Each command becomes one action; the result comes back as an event with the command's id."""
    async with EmbeddedPbx(secrets=SECRETS) as pbx, door(pbx.port) as cti, acting(cti) as actor:
        pbx.follow = obey
        actor.perform(REMOVE)
        actor.perform(PAUSE)
        results = [await actor.done(), await actor.done()]
        assert [(r.command, r.ok) for r in results] == [("c1", True), ("c2", True)]
        removal, pause = (a for a in pbx.actions if a["Action"].startswith("Queue") and "Interface" in a)
        assert (removal["Action"], removal["Queue"], removal["Interface"]) == (
            "QueueRemove",
            "sales",
            "PJSIP/1001",
        )
        assert (pause["Action"], pause["Paused"], pause["Reason"]) == ("QueuePause", "true", "rule")
        assert "Queue" not in pause
        assert actor.outcomes() == [None, None, CommandOutcome.VERIFIED, CommandOutcome.VERIFIED]


@pytest.mark.parametrize(
    ("message", "ok", "outcome"),
    [
        ("Unable to remove interface: Not there", True, CommandOutcome.ALREADY_SO),
        ("Member not dynamic", False, CommandOutcome.REFUSED),
        ("Unable to remove interface from queue: No such queue", False, CommandOutcome.REFUSED),
    ],
)
async def test_the_pbxs_refusal_comes_back_word_for_word(
    message: str, ok: bool, outcome: CommandOutcome
) -> None:
    async with EmbeddedPbx(secrets=SECRETS) as pbx, door(pbx.port) as cti, acting(cti) as actor:
        pbx.refused["QueueRemove"] = message
        actor.perform(REMOVE)
        result = await actor.done()
        assert (result.ok, result.message) == (ok, message)
        assert actor.records[-1].outcome is outcome


async def test_a_success_that_no_event_follows_is_none() -> None:
    """The PBX's yes is not enough: without the event the command counts as not done."""
    async with EmbeddedPbx(secrets=SECRETS) as pbx, door(pbx.port) as cti, acting(cti, deadline=0.1) as actor:
        actor.perform(REMOVE)
        result = await actor.done()
        assert not result.ok
        assert "did not come within 0.1 s" in result.message
        assert actor.records[-1].outcome is CommandOutcome.UNVERIFIED


async def test_a_wish_repeated_while_it_is_under_way_is_one_wish() -> None:
    """The away rule asks again; nothing is sent twice."""
    async with EmbeddedPbx(secrets=SECRETS) as pbx, door(pbx.port) as cti, acting(cti, deadline=0.2) as actor:
        pbx.unanswered.add("QueueRemove")
        actor.perform(REMOVE)
        actor.perform(REMOVE)
        await actor.done()
        actor.perform(PAUSE)
        await actor.done()
        assert [a["Action"] for a in pbx.actions].count("QueueRemove") == 1


async def test_what_is_no_longer_wanted_is_not_sent() -> None:
    """C3: whoever is back before the command's turn came stays logged in."""
    async with EmbeddedPbx(secrets=SECRETS) as pbx, door(pbx.port) as cti, acting(cti) as actor:
        actor._wanted = lambda _command: False
        actor.perform(REMOVE)
        assert not (await actor.done()).ok
        assert actor.records[-1].outcome is CommandOutcome.NOT_WANTED
        assert "QueueRemove" not in [a["Action"] for a in pbx.actions]


async def test_after_a_restart_only_what_is_asked_for_again_goes_on() -> None:
    """An unfinished command is taken up when the core still wants it; else its record ends, and nothing is sent."""
    async with EmbeddedPbx(secrets=SECRETS) as pbx, door(pbx.port) as cti, acting(cti) as actor:
        pbx.follow = obey
        left = [
            CommandRecord(
                name, "main", CommandKind.REMOVE_MEMBER, "2001", "sales", "PJSIP/1001", 1_790_000_000.0
            )
            for name in ("c1", "old")
        ]
        actor.restore(left)
        actor.perform(REMOVE)
        actor.settle()
        assert (await actor.done()).command == "c1"
        ended = {r.id: r.outcome for r in actor.records if r.ended_at is not None}
        assert ended == {"c1": CommandOutcome.VERIFIED, "old": CommandOutcome.NOT_WANTED}
        assert [a["Action"] for a in pbx.actions].count("QueueRemove") == 1


async def test_a_dead_link_and_a_silent_pbx_are_results_too() -> None:
    """No exception, no waiting for ever, no second try: not done, and why."""
    async with EmbeddedPbx(secrets=SECRETS) as pbx, door(pbx.port) as cti, acting(cti, deadline=0.1) as actor:
        pbx.unanswered.add("QueueRemove")
        actor.perform(REMOVE)
        late = await actor.done()
        assert not late.ok
        assert "not answered within 0.1 s" in late.message
        await pbx.stop()
        actor.perform(PAUSE)
        down = await actor.done()
        assert not down.ok
        assert "connect" in down.message
        assert actor.records[-1].outcome is CommandOutcome.NO_ANSWER
        assert [a["Action"] for a in pbx.actions].count("QueueRemove") == 1


async def test_an_interface_that_would_inject_headers_is_not_sent() -> None:
    async with EmbeddedPbx(secrets=SECRETS) as pbx, door(pbx.port) as cti, acting(cti) as actor:
        actor.perform(RemoveMember("c3", "main", "sales\r\nAction: Originate", "PJSIP/1", "2001"))
        result = await actor.done()
        assert not result.ok
        assert "nothing was sent" in result.message


async def test_a_slow_pbx_does_not_hold_up_the_other() -> None:
    async with (
        EmbeddedPbx(secrets=SECRETS) as slow,
        EmbeddedPbx(secrets=SECRETS) as quick,
        door(slow.port, name="main") as first,
        door(quick.port, name="branch") as second,
        acting(first, second) as actor,
    ):
        quick.follow = obey
        slow.unanswered.add("QueueRemove")
        actor.perform(REMOVE)
        actor.perform(RemoveMember("c9", "branch", "sales", "PJSIP/1", "1"))
        assert (await actor.done()).command == "c9"


async def test_an_unknown_command_or_pbx_is_a_bug_and_raises() -> None:
    actor = Actor([])
    unknown: Any = "log everybody out"
    with pytest.raises(TypeError, match="no way to perform"):
        actor.perform(unknown)
    with pytest.raises(LookupError, match="main"):
        actor.perform(REMOVE)
