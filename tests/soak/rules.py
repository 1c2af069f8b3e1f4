"""The written rules for what may differ in a soak, beside what applies them. They stand in docs/scenarios.md, too."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from cti.core.explained import NOT_BY_DEATH
from cti.core.explained import RULES as PRODUCT
from cti.core.facts import Quality
from tests.scenarios.scenes import loaded
from tests.scenarios.untold import UNTOLD
from tests.soak.nearness import FEW, is_near, tapes_near
from tests.soak.verdict import SECONDS, Difference


@dataclass(frozen=True)
class Rule:
    """One reason why records and books may differ: the Asterisk behaviour behind it, and when it holds."""

    text: str
    holds: Callable[[Difference], bool]


# Of those of the product, and what the play declares of the same.
_NEVER_BY_DEATH = frozenset(NOT_BY_DEATH) | {
    *(f"plan_{kind}" for kind in ("caller", "caller_name", "dialed", "direction", "transfers")),
    "count",
}
_UNSEEN = frozenset({Quality.GAPPED, Quality.FROM_BOOKS})
_MASQUERADE = "masquerade_into_queue"
_OF_PASS = frozenset({"not_in_records", "not_in_book", "book_talk"})  # no pass of it is whole in the book

_ENDS = frozenset({"COMPLETEAGENT", "COMPLETECALLER", "BLINDTRANSFER", "ATTENDEDTRANSFER"})

# What is compared, as the fields of the list of untold things name it.
_FIELDS: Mapping[str, frozenset[str]] = {
    kind: frozenset(fields.split())
    for kind, fields in {
        "talk": "talk talk.started_at talk.ended_at",
        "plan_talks": "talk talk.started_at talk.ended_at leg.number",  # whom an outside line reached
        "plan_transfers": "transfer transfer.kind transfer.to transfer.result",
        "plan_ended_by": "call.ended_by", "plan_dialed": "call.dialed_number",
        "plan_caller": "call.caller_number", "plan_caller_name": "call.caller_name", "count": "call",
    }.items()
}  # fmt: skip


def _cut_off(one: Difference) -> bool:
    """What the product itself refuses to explain by a death is not explained by one here."""
    return one.cut and not one.of_product and one.kind not in _NEVER_BY_DEATH


def _untold(one: Difference) -> bool:
    _, fields = UNTOLD.get(one.play, ("", set[str]()))
    untold = fields & _FIELDS.get(one.kind, frozenset())
    return one.quality in _UNSEEN and bool(untold) and is_near(one, untold)


def _tapes_untold(one: Difference) -> bool:
    play = loaded().get(one.play)
    unseen = one.kind == "plan_recordings" and one.quality in _UNSEEN
    return unseen and play is not None and tapes_near(play, one)


def _open(one: Difference) -> bool:
    """Whether the book has no end of this pass."""
    return bool(one.lines) and not any(line.split("|")[4] in _ENDS for line in one.lines)


def _said_elsewhere(one: Difference) -> bool:
    """Whether the books say in another place what the record says; seconds as exact as queue_log has them."""
    if isinstance(one.ours, float) and isinstance(one.elsewhere, float):
        return _open(one) and abs(one.ours - one.elsewhere) <= SECONDS
    return one.ours is not None and one.ours == one.elsewhere


SOAK_RULES: Mapping[str, Rule] = {
    "cut_off": Rule(
        PRODUCT["cut_off"].text,
        _cut_off,
    ),
    "untold": Rule(
        "A call that nobody saw, or not wholly, is as exact as the books: what they do not tell of a kind of call, and why, "
        "stands in the table below. Explained is what is missing or nearly right: one call more or less; one talk cut in two, and "
        "one missing where the table says `talk`; seconds no more than "
        f"{FEW:g} off those of CEL; a caller of that play, or none; for a number that a program "
        "dialled none, the trunk, or the number it called with; a transfer that the table says is untold, or as attended in place "
        "of half-finished and the other way round; an end by the system or by nobody known.",
        _untold,
    ),
    "hold_untold": Rule(
        "No book of Asterisk tells of hold: of a talk that was not wholly seen the seconds on hold are those that were seen.",
        lambda one: one.kind == "plan_hold" and one.quality in _UNSEEN,
    ),
    "recording_untold": Rule(
        "CEL tells of a recording only where the dialplan begins it (MixMonitor), the CDR of none: one that a program begins, "
        "stops or pauses (AMI) while nobody listens is not on record, or lasts as long as its channel. One that the dialplan "
        "begins is on record whoever listened, and none is that nobody began.",
        _tapes_untold,
    ),
    "forgotten": Rule(
        "An Asterisk that is killed forgets the logins and pauses of its last half second, which it had not written to AstDB; "
        "queue_log has them. What the next one began with is known to whoever asks it first: when the agent did something "
        "else before the daemon could, what was so in between is in no book.",
        lambda one: one.kind == "agent_forgotten",
    ),
    "recall_dropped": Rule(
        PRODUCT["recall_dropped"].text,
        lambda one: one.recall and one.kind in {"count", "call_without_cdr"},
    ),
}
"""Name to rule; they are tried in this order."""


def explain(one: Difference) -> str:
    """The name of the rule that explains a difference, or ""; of a rule of a scenario, if it looks as the rule has it."""
    play = loaded().get(one.play)
    named = play.explained if play is not None else {}
    rule = _MASQUERADE if one.kind in _OF_PASS and _MASQUERADE in named.values() else named.get(one.kind, "")
    if rule and _said_elsewhere(one):
        return rule
    return next((name for name, rule_ in SOAK_RULES.items() if rule_.holds(one)), "")
