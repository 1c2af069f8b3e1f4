"""Faults as facts: what was broken, from when to when, and the notice that tells it to the people in charge (A3)."""

from dataclasses import replace
from enum import StrEnum

from cti.core.facts import Fact, Fault, FaultKind, Notice


class HandKind(StrEnum):
    """What people report; everything else is for the daemon to find."""

    HEADSET = FaultKind.HEADSET
    PHONE = FaultKind.PHONE
    COMPUTER = FaultKind.COMPUTER
    SYSTEM_SLOW = FaultKind.SYSTEM_SLOW
    OTHER = FaultKind.OTHER


BY_HAND = frozenset(FaultKind(kind.value) for kind in HandKind)


def begun(pbx: str, kind: FaultKind, at: float, detail: str) -> Fault:
    """A fault that has just begun; `at` in epoch seconds, `pbx` empty where the daemon itself is meant."""
    return Fault(f"{pbx or 'cti'}-{kind}-{at:.6f}", kind, pbx, at, None, detail)


def ended(fault: Fault, at: float) -> Fault:
    """The same fault, over."""
    return replace(fault, ended_at=max(at, fault.began_at))


def told(fault: Fault) -> list[Fact]:
    """The fault, and the notice of its begin or end."""
    over = fault.ended_at is not None
    what = f"{fault.kind.value} of {fault.pbx}" if fault.pbx else fault.kind.value
    if over:
        text = f"Service restored: {what}, after {(fault.ended_at or 0) - fault.began_at:.0f} s"
    else:
        text = f"Fault: {what}: {fault.detail}"
    at = fault.ended_at if fault.ended_at is not None else fault.began_at
    kind = "fault_ended" if over else "fault_began"
    return [fault, Notice(f"{fault.id}/{kind}", fault.pbx, kind, at, None, text)]
