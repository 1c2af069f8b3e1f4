"""The ratios of the figures, from sums and never from averages. Pure; each is None where its divisor is zero."""

from collections.abc import Mapping
from dataclasses import dataclass

from cti.core.facts import State


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole > 0 else None


def occupancy(seconds: Mapping[State, float]) -> float | None:
    """(on_call + wrap_up) ÷ (on_call + wrap_up + available + ringing), 0–1.

    `seconds` are sums of state seconds over any agents and any time. Away, unreachable and logged out are outside.
    """
    busy = seconds.get(State.ON_CALL, 0.0) + seconds.get(State.WRAP_UP, 0.0)
    free = seconds.get(State.AVAILABLE, 0.0) + seconds.get(State.RINGING, 0.0)
    return _ratio(busy, busy + free)


@dataclass(frozen=True, slots=True)
class ServiceLevel:
    """The four variants of the service level, 0–1; show which one a figure is."""

    ignore_early_abandons: float | None
    strict: float | None
    abandons_as_good: float | None
    answered_only: float | None


def service_level(
    *, offered: float, answered: float, answered_within: float, abandoned_within: float
) -> ServiceLevel:
    """All four variants, from counts of queue stays (within = wait not longer than the threshold)."""
    return ServiceLevel(
        ignore_early_abandons=_ratio(answered_within, offered - abandoned_within),
        strict=_ratio(answered_within, offered),
        abandons_as_good=_ratio(answered_within + abandoned_within, offered),
        answered_only=_ratio(answered_within, answered),
    )
