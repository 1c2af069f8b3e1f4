"""The thresholds the core works with; the shell builds them from the configuration file."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class AwayRule:
    """The away rule (C3). All durations in seconds."""

    limit: float = 900.0
    warn_before: float = 120.0
    grace: float = 10.0  # a return shorter than this does not end the episode
    limits: Mapping[str, float] = field(default_factory=dict)  # by pause reason


@dataclass(frozen=True, slots=True)
class Rules:
    """Everything the core may know about one PBX beforehand."""

    away: AwayRule = field(default_factory=AwayRule)
    trunks: tuple[str, ...] = ()  # devices that lead outside, e.g. PJSIP/trunk-a
    internal_contexts: tuple[str, ...] = ("from-internal",)
    service_prefixes: tuple[str, ...] = ("*",)  # feature codes: calls to the PBX itself
    default_wrap_up: float = 0.0  # s after a queue's call; for queues that `wrap_up` does not name
    wrap_up: Mapping[str, float] = field(default_factory=dict)  # s, by queue
    pause_reasons: tuple[str, ...] = ("break", "lunch", "training", "meeting", "after_call", "rule", "other")

    def wrap_up_of(self, queue: str) -> float:
        """Wrap-up seconds of a queue, where the PBX does not tell them."""
        return self.wrap_up.get(queue, self.default_wrap_up)
