"""What a connection to a PBX is made of, apart from the connection: access, patience, state, and clean actions."""

import re
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from cti.daemon.errors import ActionFailed

LONGEST_LINE = (
    1_024  # bytes of an action's line, its end included; Asterisk throws the message away beyond that
)

_HEADER = re.compile(r"[A-Za-z][A-Za-z0-9()_-]*")
_BREAKS = re.compile(r"[\r\n\0]")


@dataclass(frozen=True, slots=True)
class Timing:
    """How long the door waits; all in seconds."""

    connect: float = 10.0
    login: float = 10.0
    booted: float = 5.0  # for FullyBooted after the login
    resync: float = 30.0
    keepalive: float = 10.0  # of silence before a ping, and again for its answer
    first_delay: float = 0.5  # before the first reconnect; doubles, with jitter
    longest_delay: float = 30.0
    healthy: float = 30.0  # a session that lasted so long starts the delays over
    refused: float = 60.0  # before the next try of a refused login


@dataclass(frozen=True, slots=True)
class Access:
    """Where a PBX is and as whom to log in."""

    pbx: str
    host: str
    port: int
    user: str
    secret: str = field(repr=False)
    tls: ssl.SSLContext | None = None

    def __str__(self) -> str:
        return f"account {self.user!r} at {self.host}:{self.port} (PBX {self.pbx!r})"


@dataclass(slots=True)
class LinkStatus:
    """How one connection is, for health and metrics. Instants are epoch seconds of this machine."""

    role: str
    up: bool = False  # logged in and, for the reader, in step
    since: float = field(default_factory=time.time)
    logins: int = 0  # 1 is the first connection, each further one a reconnect
    last_error: str = ""  # kept after the link is up again
    received_at: float | None = None  # last bytes
    oversize: int = 0  # frames thrown away
    bugs: int = 0  # frames on which our own code failed

    @property
    def reconnects(self) -> int:
        """Logins after the first."""
        return max(0, self.logins - 1)


def checked(action: Mapping[str, str]) -> dict[str, str]:
    """The action's headers, if they can be sent as they are.

    Raises:
        ActionFailed: a value holds a line break or NUL (it would inject headers), or a line is too long.
    """
    for name, value in action.items():
        if not _HEADER.fullmatch(name):
            raise ActionFailed(f"{name!r} is no AMI header name; nothing was sent")
        if _BREAKS.search(value):
            raise ActionFailed(f"{name}: {value[:60]!r} holds a line break or NUL; nothing was sent")
        length = len(name) + len(value.encode("utf-8", "replace")) + 4
        if length > LONGEST_LINE:
            raise ActionFailed(
                f"the line of {name} has {length} bytes, more than the {LONGEST_LINE} that Asterisk reads;"
                f" nothing was sent (value begins {value[:40]!r})"
            )
    return dict(action)
