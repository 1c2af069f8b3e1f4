"""The written rules for what may differ in a soak, beside what applies them. They stand in docs/scenarios.md, too."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from cti.core.facts import Quality
from tests.scenarios.scenes import loaded
from tests.scenarios.untold import UNTOLD
from tests.soak.verdict import Difference


@dataclass(frozen=True)
class Rule:
    """One reason why records and books may differ: the Asterisk behaviour behind it, and when it holds."""

    text: str
    holds: Callable[[Difference], bool]


_UNSEEN = frozenset({Quality.GAPPED, Quality.FROM_BOOKS})
_MASQUERADE, _PASS = "masquerade_into_queue", frozenset({"not_in_records", "not_in_book"})

_ENDS = frozenset({"COMPLETEAGENT", "COMPLETECALLER", "BLINDTRANSFER", "ATTENDEDTRANSFER"})

# What is compared, as the fields of the list of untold things name it.
_FIELDS: Mapping[str, str] = {
    "talk": "talk", "plan_talks": "talk", "plan_transfers": "transfer", "plan_attempts": "attempt",
    "plan_stays": "queue_stay", "not_in_records": "queue_stay", "not_in_book": "queue_stay", "outcome": "queue_stay",
    "agent": "queue_stay", "book_wait": "queue_stay", "book_talk": "queue_stay",
    "plan_disposition": "call.disposition", "plan_ended_by": "call.ended_by", "plan_dialed": "call.dialed_number",
    "plan_caller": "call.caller_number", "plan_caller_name": "call.caller_name", "count": "call",
}  # fmt: skip


def _untold(one: Difference) -> bool:
    _, fields = UNTOLD.get(one.play, ("", set[str]()))
    about = _FIELDS.get(one.kind, "")
    return bool(about) and one.quality in _UNSEEN and any(_within(field, about) for field in fields)


def _open(one: Difference) -> bool:
    """Whether the book has no end of this pass."""
    return bool(one.lines) and not any(line.split("|")[4] in _ENDS for line in one.lines)


def _within(field: str, about: str) -> bool:
    of_number = (
        field == "leg.number" and about == "talk"
    )  # whom an outside line reached is told by its number
    return field == about or field.startswith(f"{about}.") or of_number


SOAK_RULES: Mapping[str, Rule] = {
    "cut_off": Rule(
        "An Asterisk that is killed writes neither CDR nor the ends of CEL and queue_log for the calls of that moment. "
        "They have their one record, and it has an end; how they ended is not compared.",
        lambda one: one.cut and one.kind not in {"open", "joined"},
    ),
    "untold": Rule(
        "A call that nobody saw, or not wholly, is as exact as the books: what they do not tell of a kind of call, and why, "
        "stands in the table below.",
        _untold,
    ),
    "hold_untold": Rule(
        "No book of Asterisk tells of hold: of a talk that was not wholly seen the seconds on hold are those that were seen.",
        lambda one: one.kind == "plan_hold" and one.quality in _UNSEEN,
    ),
    "recording_untold": Rule(
        "CEL and CDR do not tell of MixMonitor: a recording begun or stopped while nobody listened is not on record, or ends "
        "with its channel.",
        lambda one: one.kind == "plan_recordings" and one.quality in _UNSEEN,
    ),
    "recall_dropped": Rule(
        "Of a half-finished transfer that nobody takes, Asterisk gives up the target's phone (atxfernoanswertimeout) and rings "
        "the one who handed the caller on. If the target's channel leaves the bridge before Asterisk has let go of it, that "
        "counts as the failure of the recall: the recall is hung up within milliseconds, before it rang, and the caller with "
        "it. It is a channel of its own, in CEL (AppDial2, cause 0, gone together with the channel that handed the caller "
        "on) and not in the CDR, and is a call of its own on record, beside the one that nobody came back to.",
        lambda one: one.recall and one.kind in {"count", "call_without_cdr"},
    ),
}
"""Name to rule; they are tried in this order."""


def explain(one: Difference) -> str:
    """The name of the rule that explains a difference, or ""."""
    play = loaded().get(one.play)
    if play is not None and one.kind in play.explained:
        return play.explained[one.kind]
    if play is not None and _MASQUERADE in play.explained.values() and one.kind == "book_talk" and _open(one):
        return _MASQUERADE  # the first queue's ATTENDEDTRANSFER stands under another uniqueid
    if play is not None and _MASQUERADE in play.explained.values() and one.kind in _PASS:
        return _MASQUERADE  # a restart of the PBX ends the half of the pass that the book left open
    return next((name for name, rule in SOAK_RULES.items() if rule.holds(one)), "")
