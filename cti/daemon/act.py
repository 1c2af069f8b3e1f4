"""The one interpreter of the core's commands: performs them on the PBX, verifies them, and says how each ended.

One command at a time for each PBX, in order, each with a deadline, each sent once; a wish that is repeated while it
waits or is under way is one wish. What is to be sent is on record before it is sent, and is not sent when by then
the core no longer wants it. A command is done when the event that must follow is heard, not when the PBX says yes.
The result comes back through the inbox as `CommandDone`.

Nothing is sent again from here: after a failure or a restart it is the core that still wants something, or not.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import structlog

from cti.core.commands import Command, PauseMember, RemoveMember
from cti.core.events import CommandDone, Event, MemberRemoved, MemberSeen
from cti.core.facts import CommandKind, CommandOutcome, CommandRecord, Fact
from cti.daemon.ami import Pbx
from cti.daemon.errors import ActionFailed, AmiError
from cti.daemon.inbox import Arrival

DEADLINE = 10.0  # seconds for one command, its verification included
_PERSIST = 2.0  # seconds a command waits for being on record; a full disk keeps nobody logged in

_ALREADY_GONE = "Not there"  # in the answer to QueueRemove
_DONE = {CommandOutcome.VERIFIED, CommandOutcome.ALREADY_SO}

log = structlog.get_logger(__name__)


def action_for(command: Command) -> dict[str, str]:
    """The AMI action that carries out a command. Raises TypeError for one nobody taught us."""
    match command:
        case RemoveMember():
            return {"Action": "QueueRemove", "Queue": command.queue, "Interface": command.interface}
        case PauseMember():  # without a Queue: in all of them
            return {
                "Action": "QueuePause",
                "Interface": command.interface,
                "Paused": "true",
                "Reason": command.reason,
            }
        case _:
            raise TypeError(f"no way to perform {command!r}")


def follows(command: Command, event: Event) -> bool:
    """Whether this event shows that the command was carried out."""
    match command, event:
        case RemoveMember(), MemberRemoved():
            return (event.queue, event.interface) == (command.queue, command.interface)
        case PauseMember(), MemberSeen():
            return event.paused and event.interface == command.interface
    return False


def record_of(command: Command, at: float) -> CommandRecord:
    """A command as it is asked for, for the record."""
    queue = command.queue if isinstance(command, RemoveMember) else ""
    kind = CommandKind.REMOVE_MEMBER if isinstance(command, RemoveMember) else CommandKind.PAUSE_MEMBER
    return CommandRecord(command.id, command.pbx, kind, command.agent, queue, command.interface, at)


@dataclass(slots=True)
class _Wish:
    """A command that waits or is under way."""

    command: Command
    action: dict[str, str]
    record: CommandRecord
    seen: asyncio.Future[None]  # the event that must follow was heard


class Actor:
    """Performs commands on several PBXs; a slow one never holds up another."""

    def __init__(
        self,
        pbxs: Iterable[Pbx],
        deadline: float = DEADLINE,
        *,
        record: Callable[[Sequence[Fact]], None] | None = None,
        durable: Callable[[], Awaitable[None]] | None = None,
        wanted: Callable[[Command], bool] = lambda _command: True,
    ) -> None:
        """Nothing happens before `run`.

        Args:
            pbxs: where commands can be performed.
            deadline: seconds.
            record: takes each command's record, as it is asked for and as it ends.
            durable: waits until what was recorded is.
            wanted: whether a command is still called for; asked right before it is sent.
        """
        self._pbxs = {pbx.name: pbx for pbx in pbxs}
        self._deadline = deadline
        self._record, self._durable, self._wanted = record, durable, wanted
        self._waiting: dict[str, asyncio.Queue[_Wish]] = {name: asyncio.Queue() for name in self._pbxs}
        self._wishes: dict[str, _Wish] = {}  # by the command's id
        self._left_over: dict[str, CommandRecord] = {}

    def restore(self, unfinished: Iterable[CommandRecord]) -> None:
        """Take what an earlier process asked for and did not see the end of; the core decides about it."""
        self._left_over |= {record.id: record for record in unfinished if record.ended_at is None}

    def settle(self) -> None:
        """End what is left over from an earlier process and was not asked for again.

        Call it once the core has seen the PBX's state, and asked for what it wants.
        """
        for record in self._left_over.values():
            self._end(record, CommandOutcome.NOT_WANTED, "no longer called for after a restart")
        self._left_over.clear()

    def perform(self, command: Command) -> None:
        """Take a command to be performed; never blocks.

        Raises:
            TypeError: an unknown kind of command. LookupError: its PBX is not one of ours.
        """
        action = action_for(command)
        pbx = self._pbxs.get(command.pbx)
        if pbx is None:
            raise LookupError(
                f"command {command.id!r} is for PBX {command.pbx!r}; known: {', '.join(self._pbxs)}"
            )
        if command.id in self._wishes:
            return
        self._left_over.pop(command.id, None)
        wish = _Wish(
            command, action, record_of(command, pbx.now()), asyncio.get_running_loop().create_future()
        )
        self._wishes[command.id] = wish
        self._tell(wish.record)
        self._waiting[command.pbx].put_nowait(wish)

    def heard(self, pbx: str, event: Event) -> None:
        """Take an event of a PBX: it may be the one that shows that a command was carried out."""
        for wish in self._wishes.values():
            if wish.command.pbx == pbx and not wish.seen.done() and follows(wish.command, event):
                wish.seen.set_result(None)

    async def run(self) -> None:
        """Perform until cancelled."""
        async with asyncio.TaskGroup() as group:
            for name, pbx in self._pbxs.items():
                group.create_task(self._serve(pbx), name=f"{name}-commands")

    async def _serve(self, pbx: Pbx) -> None:
        waiting = self._waiting[pbx.name]
        while True:
            wish = await waiting.get()
            outcome, message = await self._carry_out(pbx, wish)
            del self._wishes[wish.command.id]
            log.info(
                "command_done",
                pbx=pbx.name,
                command=wish.command.id,
                action=wish.action["Action"],
                outcome=outcome.value,
                answer=message,
            )
            self._end(wish.record, outcome, message)
            done = CommandDone(pbx.now(), wish.command.id, outcome in _DONE, message)
            pbx.inbox.put(Arrival(pbx.name, time.time(), time.monotonic(), done))

    async def _carry_out(self, pbx: Pbx, wish: _Wish) -> tuple[CommandOutcome, str]:
        await self._persisted()
        if wish.seen.done():
            return CommandOutcome.ALREADY_SO, "it happened while the command waited"
        if not self._wanted(wish.command):
            return CommandOutcome.NOT_WANTED, "no longer called for when its turn came"
        until = time.monotonic() + self._deadline
        try:
            answer = await pbx.action("actor", wish.action, self._deadline)
        except ActionFailed as error:
            gone = wish.action["Action"] == "QueueRemove" and str(error).endswith(_ALREADY_GONE)
            return CommandOutcome.ALREADY_SO if gone else CommandOutcome.REFUSED, str(error)
        except AmiError as error:
            if wish.seen.done():
                return CommandOutcome.VERIFIED, str(error)
            return CommandOutcome.NO_ANSWER, str(error)
        return await self._verified(wish, answer.get("Message", ""), until - time.monotonic())

    async def _verified(self, wish: _Wish, message: str, seconds: float) -> tuple[CommandOutcome, str]:
        await asyncio.wait({wish.seen}, timeout=max(0.0, seconds))
        if wish.seen.done():
            return CommandOutcome.VERIFIED, message
        what = (
            f"answered {message!r}, but the event that must follow did not come within {self._deadline:g} s"
        )
        return CommandOutcome.UNVERIFIED, what

    async def _persisted(self) -> None:
        if self._durable is not None:
            with contextlib.suppress(TimeoutError):  # the spool says so itself
                async with asyncio.timeout(_PERSIST):
                    await self._durable()

    def _end(self, record: CommandRecord, outcome: CommandOutcome, detail: str) -> None:
        pbx = self._pbxs.get(record.pbx)
        now = time.time() if pbx is None else pbx.now()
        self._tell(replace(record, ended_at=max(record.asked_at, now), outcome=outcome, detail=detail))

    def _tell(self, record: CommandRecord) -> None:
        if self._record is not None:
            self._record([record])
