"""What the PBX should do: the core decides, `cti/daemon/act.py` performs, the event that must follow verifies."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RemoveMember:
    """Log a member out of one queue (AMI QueueRemove)."""

    id: str  # stable: the same wish has the same id after a restart
    pbx: str
    queue: str
    interface: str
    agent: str


@dataclass(frozen=True, slots=True)
class PauseMember:
    """Pause a member in every queue (AMI QueuePause); used where the PBX will not remove it."""

    id: str
    pbx: str
    interface: str
    agent: str
    reason: str


Command = RemoveMember | PauseMember
