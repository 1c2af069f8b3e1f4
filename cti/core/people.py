"""What names of channels say, and what the call machine must know about agents."""

from functools import lru_cache
from typing import Protocol

from cti.core.facts import State

DIALLING = frozenset({"Dial", "Queue", "FollowMe", "Page"})
"""Applications that ring somebody for the channel that runs them."""

AGENT_LOGIN = "AgentLogin"
"""The application in which an agent of the agent pool stays on the line."""

_REMEMBERED = 4_096  # interfaces; some ten times what a busy PBX has


def device_of(channel: str) -> str:
    """The device of a channel name: `PJSIP/1001-0000002a` → `PJSIP/1001`, `Local/7@q-00000003;1` → `Local/7@q`."""
    dash = channel.rfind("-")
    if dash >= 0:
        return channel[:dash]
    return channel[:-2] if channel.endswith((";1", ";2")) else channel


def local_number(channel: str) -> str:
    """The number that a Local channel dials: `Local/7@q-00000003;1` → `7`; "" of another channel."""
    return channel.removeprefix("Local/").split("@", 1)[0] if channel.startswith("Local/") else ""


@lru_cache(_REMEMBERED)
def device_of_interface(interface: str) -> str:
    """The device a queue member's interface rings: `Local/7@q/n` → `Local/7@q`; others stand for themselves."""
    if interface.startswith("Local/"):
        return interface.rsplit("/", 1)[0] if interface.count("/") > 1 else interface
    return interface


def pooled(arguments: str) -> str:
    """The state interface of a queue's member who is an agent of the agent pool, by AgentLogin's arguments: `Agent:3003`."""
    return f"Agent:{arguments.split(',', 1)[0]}"


def age_of(uniqueid: str) -> tuple[int, int]:
    """Orders channels made in the same second: `pbx1-1795300825.19` → (1795300825, 19); others come first."""
    epoch, _dot, serial = uniqueid.rpartition("-")[2].partition(".")
    return (int(epoch), int(serial)) if epoch.isdecimal() and serial.isdecimal() else (0, 0)


class AgentBook(Protocol):
    """Who sits at a device, and in which state."""

    def agent_of(self, device: str) -> str | None:
        """The agent logged in at this device, if one is."""

    def state_of(self, agent: str) -> tuple[State, float, str] | None:
        """State, since when, and why (a pause reason or "")."""

    def waits_on(self, leg: str) -> None:
        """A leg, by its id, on which an agent of the agent pool waits for callers."""
