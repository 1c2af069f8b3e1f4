"""Commands of the core, performed (C3)."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from cti.core.commands import PauseMember, RemoveMember
from cti.core.events import CommandDone, Event, Message
from cti.daemon.act import Actor
from cti.daemon.ami import Pbx
from cti.daemon.embedded import EmbeddedPbx
from tests.daemon.doors import SECRETS, door, whats

REMOVE = RemoveMember("c1", "main", "sales", "PJSIP/1001", "2001")
PAUSE = PauseMember("c2", "main", "PJSIP/1001", "2001", "rule")


@contextlib.asynccontextmanager
async def acting(*pbxs: Pbx, deadline: float = 5.0) -> AsyncIterator[Actor]:
    actor = Actor(pbxs, deadline)
    task = asyncio.create_task(actor.run())
    try:
        yield actor
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def answers(got: list[Message | Event]) -> list[CommandDone]:
    return [what for what in got if isinstance(what, CommandDone)]


async def done(cti: Pbx, count: int = 1) -> list[CommandDone]:
    return answers(await whats(cti, lambda got: len(answers(got)) >= count))


async def test_a_member_is_removed_and_paused_everywhere_in_order() -> None:
    """Each command becomes one action; the result comes back as an event with the command's id."""
    async with EmbeddedPbx(secrets=SECRETS) as pbx, door(pbx.port) as cti, acting(cti) as actor:
        actor.perform(REMOVE)
        actor.perform(PAUSE)
        results = await done(cti, 2)
        assert [(r.command, r.ok) for r in results] == [("c1", True), ("c2", True)]
        removal, pause = (a for a in pbx.actions if a["Action"].startswith("Queue") and "Interface" in a)
        assert (removal["Action"], removal["Queue"], removal["Interface"]) == (
            "QueueRemove",
            "sales",
            "PJSIP/1001",
        )
        assert (pause["Action"], pause["Paused"], pause["Reason"]) == ("QueuePause", "true", "rule")
        assert "Queue" not in pause


@pytest.mark.parametrize(
    ("message", "ok"),
    [
        ("Unable to remove interface: Not there", True),  # already gone: what was wished is so
        ("Member not dynamic", False),
        ("Unable to remove interface from queue: No such queue", False),
    ],
)
async def test_the_pbxs_refusal_comes_back_word_for_word(message: str, ok: bool) -> None:
    async with EmbeddedPbx(secrets=SECRETS) as pbx, door(pbx.port) as cti, acting(cti) as actor:
        pbx.refused["QueueRemove"] = message
        actor.perform(REMOVE)
        (result,) = await done(cti)
        assert (result.ok, result.message) == (ok, message)


async def test_a_dead_link_and_a_silent_pbx_are_results_too() -> None:
    """No exception, no waiting for ever, no second try: not done, and why."""
    async with EmbeddedPbx(secrets=SECRETS) as pbx, door(pbx.port) as cti, acting(cti, deadline=0.1) as actor:
        pbx.unanswered.add("QueueRemove")
        actor.perform(REMOVE)
        (late,) = await done(cti)
        assert not late.ok
        assert "not answered within 0.1 s" in late.message
        await pbx.stop()
        await whats(cti, bool)
        actor.perform(PAUSE)
        (down,) = await done(cti)
        assert not down.ok
        assert "connect" in down.message
        assert [a["Action"] for a in pbx.actions].count("QueueRemove") == 1


async def test_an_interface_that_would_inject_headers_is_not_sent() -> None:
    async with EmbeddedPbx(secrets=SECRETS) as pbx, door(pbx.port) as cti, acting(cti) as actor:
        actor.perform(RemoveMember("c3", "main", "sales\r\nAction: Originate", "PJSIP/1", "2001"))
        (result,) = await done(cti)
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
        slow.unanswered.add("QueueRemove")
        actor.perform(REMOVE)
        actor.perform(RemoveMember("c9", "branch", "sales", "PJSIP/1", "1"))
        (result,) = await done(second)
        assert result.command == "c9"


async def test_an_unknown_command_or_pbx_is_a_bug_and_raises() -> None:
    actor = Actor([])
    unknown: Any = "log everybody out"
    with pytest.raises(TypeError, match="no way to perform"):
        actor.perform(unknown)
    with pytest.raises(LookupError, match="main"):
        actor.perform(REMOVE)
