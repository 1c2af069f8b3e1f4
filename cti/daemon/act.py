"""The one interpreter of the core's commands: performs them on the PBX and says how each ended.

One command at a time for each PBX, in order, each with a deadline, each sent once. The result comes back through
the inbox as `CommandDone`; what really happened is for the event that must follow to tell.
"""

import asyncio
import time
from collections.abc import Iterable

import structlog

from cti.core.commands import Command, PauseMember, RemoveMember
from cti.core.events import CommandDone
from cti.daemon.ami import Pbx
from cti.daemon.errors import ActionFailed, AmiError
from cti.daemon.inbox import Arrival

DEADLINE = 10.0  # seconds for one command

_ALREADY_GONE = "Not there"  # in the answer to QueueRemove

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


class Actor:
    """Performs commands on several PBXs; a slow one never holds up another."""

    def __init__(self, pbxs: Iterable[Pbx], deadline: float = DEADLINE) -> None:
        self._pbxs = {pbx.name: pbx for pbx in pbxs}
        self._deadline = deadline
        self._waiting: dict[str, asyncio.Queue[tuple[Command, dict[str, str]]]] = {
            name: asyncio.Queue() for name in self._pbxs
        }

    def perform(self, command: Command) -> None:
        """Take a command to be performed; never blocks.

        Raises:
            TypeError: an unknown kind of command. LookupError: its PBX is not one of ours.
        """
        action = action_for(command)
        if command.pbx not in self._waiting:
            raise LookupError(
                f"command {command.id!r} is for PBX {command.pbx!r}; known: {', '.join(self._pbxs)}"
            )
        self._waiting[command.pbx].put_nowait((command, action))

    async def run(self) -> None:
        """Perform until cancelled."""
        async with asyncio.TaskGroup() as group:
            for name, pbx in self._pbxs.items():
                group.create_task(self._serve(pbx), name=f"{name}-commands")

    async def _serve(self, pbx: Pbx) -> None:
        waiting = self._waiting[pbx.name]
        while True:
            command, action = await waiting.get()
            ok, message = await self._carry_out(pbx, action)
            log.info(
                "command_done",
                pbx=pbx.name,
                command=command.id,
                action=action["Action"],
                ok=ok,
                answer=message,
            )
            done = CommandDone(pbx.now(), command.id, ok, message)
            pbx.inbox.put(Arrival(pbx.name, time.time(), time.monotonic(), done))

    async def _carry_out(self, pbx: Pbx, action: dict[str, str]) -> tuple[bool, str]:
        try:
            answer = await pbx.action("actor", action, self._deadline)
        except ActionFailed as error:
            gone = action["Action"] == "QueueRemove" and str(error).endswith(_ALREADY_GONE)
            return gone, str(error)
        except AmiError as error:
            return False, str(error)
        return True, answer.get("Message", "")
