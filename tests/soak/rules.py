"""The written rules for what may differ in a soak, beside what applies them. They stand in docs/scenarios.md, too."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tests.scenarios.scenes import loaded
from tests.soak.verdict import Difference


@dataclass(frozen=True)
class Rule:
    """One reason why records and books may differ: the Asterisk behaviour behind it, and when it holds."""

    text: str
    holds: Callable[[Difference], bool]


SOAK_RULES: Mapping[str, Rule] = {
    "cut_off": Rule(
        "An Asterisk that is killed writes neither CDR nor the ends of CEL and queue_log for the calls of that moment. Those "
        "have their one record; how they ended is not compared.",
        lambda one: one.cut,
    ),
}


def explain(one: Difference) -> str:
    """The name of the rule that explains a difference, or ""."""
    play = loaded().get(one.play)
    if play is not None and one.kind in play.explained:
        return play.explained[one.kind]
    return next((name for name, rule in SOAK_RULES.items() if rule.holds(one)), "")
