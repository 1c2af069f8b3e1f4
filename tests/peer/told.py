"""What both tools tell of a call, in words that both have, and how it is judged."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import zip_longest
from typing import Any

from cti.core.facts import Direction
from tests.scenarios.judge import Run
from tests.scenarios.model import Record, Scenario

_CUSTOMERS = ("customer", "first", "second")  # the roles of those who call in, in the order in which they do
_TRUNK = "PJSIP/trunk"
_NOT_FOR_CUSTOMERS = {"in", "out", "spy", "brief", "second"}  # numbers that agents dial


@dataclass(frozen=True)
class Told:
    """One call. The empty string: said nothing, or (in the truth) not looked at."""

    caller: str = ""
    dialed: str = ""
    outcome: str = ""
    talked: frozenset[str] = frozenset()
    transfers: tuple[tuple[str, str, frozenset[str]], ...] = ()  # kind, by, and to: any of its names

    def __str__(self) -> str:
        words = [f"{self.caller or '?'} to {self.dialed or '?'}: {self.outcome or 'nothing'}"]
        words += [f"{', '.join(sorted(self.talked))} talked"] if self.talked else []
        words += [
            f"{kind.replace('_', '-')} transfer by {by} to {'/'.join(sorted(to))}"
            for kind, by, to in self.transfers
        ]
        return "; ".join(words)


class Verdict(StrEnum):
    """How well something was told; the criteria are in docs/comparison.md."""

    RIGHT = "right"
    PART = "in part"
    SILENT = "not reported"
    WRONG = "wrong"


ASPECTS = ("calls", "parties", "outcome", "talked", "transfers")

# What cacofonisk says that means the same, and what leaves the reason open but says rightly that nobody was reached.
_SAME = {
    "answered": {"answered"},
    "abandoned": {"abandoned"},
    "busy": {"busy"},
    "rejected": {"rejected"},
    "failed": {"failed"},
    "no_answer": {"no-answer", "cancelled"},
    "left_menu": {"completed", "cancelled", "no-answer"},
    "voicemail": set[str](),
}
_UNREACHED = {"completed", "no-answer", "cancelled", "busy", "rejected", "failed", "answered-elsewhere"}


def truth(play: Scenario, run: Run) -> list[Told]:
    """What must be told, as the scenario declares it; who calls in and what they dial follows from how it is played."""
    customers = iter(_customers(run))
    entry = next((short for short in play.numbers if short not in _NOT_FOR_CUSTOMERS), "")
    out = []
    for record in play.records:
        inbound = record.direction is Direction.INBOUND
        caller, dialed = (next(customers, ""), entry) if inbound else ("", "")
        out.append(_told(record, record.caller or caller, record.dialed or dialed))
    return out


def _customers(run: Run) -> list[str]:
    """The roles of those who call in; agents and the duty's mobiles may be called first and second as well."""
    if "customer" in run.cast:
        return ["customer"]
    return [role for role in _CUSTOMERS if role in run.cast and _outside(run, role)]


def _outside(run: Run, role: str) -> bool:
    return not run.cast.get(role, "PJSIP/").startswith(("20", "PJSIP/"))


def _called_outside(run: Run) -> str:
    """Who of the public network talked, if it was one: whoever a trunk's channel must then stand for."""
    talked = {talk.who for record in run.scenario.records for talk in record.talks}
    found = {role for role in talked if _outside(run, role)} - set(_customers(run))
    return found.pop() if len(found) == 1 else ""


def ours(found: Sequence[Record]) -> list[Told]:
    """The records that the core made."""
    return [_told(record, record.caller or "", record.dialed or "") for record in found]


def _told(record: Record, caller: str, dialed: str) -> Told:
    return Told(
        caller,
        dialed,
        str(record.disposition),
        frozenset(talk.who for talk in record.talks),
        tuple((moved.kind, moved.by, frozenset([moved.to])) for moved in record.transfers),
    )


def theirs(reports: Sequence[Mapping[str, Any]], run: Run) -> list[Told]:
    """The calls that cacofonisk's reports make, oldest first.

    Its name for a call is the caller's linkedid; the two calls that a transfer names are one.
    """
    same: dict[str, str] = {}
    for report in reports:
        if "by" in report:
            one, other = _root(same, report["caller"][2]), _root(same, report["by"][2])
            same[max(one, other, key=_age)] = min(one, other, key=_age)
    calls: dict[str, list[Mapping[str, Any]]] = {}
    for report in reports:
        calls.setdefault(_root(same, report["caller"][2]), []).append(report)
    return [_call(calls[key], run) for key in sorted(calls, key=_age)]


def _root(same: Mapping[str, str], key: str) -> str:
    while same.get(key, key) != key:
        key = same[key]
    return key


def _age(uniqueid: str) -> tuple[int, int]:
    second, _, number = uniqueid.partition(".")
    return int(second), int(number)


def _call(reports: Sequence[Mapping[str, Any]], run: Run) -> Told:
    first = reports[0]["caller"]
    outsiders = {"", *_customers(run)} | (
        {run.role(first[3]) or ""} if first[0].startswith(_TRUNK) else set()
    )
    parties = {
        _who(channel, run)
        for report in reports
        if report["what"] in {"up", "attended"}
        for channel in (report["caller"], *report["targets"])
    }
    return Told(
        run.role(first[3]) or "",
        "" if first[4] == "s" else run.role(first[4]) or "",  # where the dialplan starts, no number
        _outcome(reports),
        frozenset(parties - outsiders),
        tuple(
            (r["what"], _who(r["by"], run), frozenset(_names(r, run)))
            for r in reports
            if r["what"] in {"blind", "attended", "half_finished"}
        ),
    )


def _names(transfer: Mapping[str, Any], run: Run) -> set[str]:
    """Everything a transfer's destination is called: the phones it reached, and the number it went to."""
    return {_who(channel, run) for channel in transfer["targets"]} | {run.role(transfer["caller"][4]) or ""}


def _who(channel: Sequence[str], run: Run) -> str:
    outside = channel[0].startswith(_TRUNK)
    device = channel[0].rpartition("-")[0]
    if device.startswith("Local/"):
        device = device.removeprefix("Local/").partition("@")[0]
    who = run.role(channel[3] if outside else device) or ""
    return _called_outside(run) or who if outside and who not in _customers(run) else who


def _outcome(reports: Sequence[Mapping[str, Any]]) -> str:
    whats = {report["what"] for report in reports}
    if "up" in whats:
        return "answered"
    if "abandon" in whats:
        return "abandoned"
    return next((report["reason"] for report in reports if report["what"] == "hangup"), "")


# --- judging ---------------------------------------------------------------------------------------------------------


def verdicts(must: Sequence[Told], told: Sequence[Told]) -> dict[str, Verdict]:
    """How each aspect was told; an aspect that the truth leaves open, and of which nothing was said, is not judged."""
    pairs = list(zip_longest(must, told))
    out = {"calls": _count(len(must), len(told))}
    judges = {"parties": _parties, "outcome": _ending, "talked": _talk, "transfers": _moves}
    for aspect, judge in judges.items():
        found = [judge(one, other or Told()) for one, other in pairs if one is not None]
        judged = [verdict for verdict in found if verdict is not None]
        if judged:
            out[aspect] = _overall(judged)
    return out


def _overall(found: Sequence[Verdict]) -> Verdict:
    """Of several calls: any wrong one is wrong; all alike is that; else in part."""
    if Verdict.WRONG in found:
        return Verdict.WRONG
    return found[0] if len(set(found)) == 1 else Verdict.PART


def _count(must: int, told: int) -> Verdict:
    if told in {must, 0}:
        return Verdict.RIGHT if told else Verdict.SILENT
    return Verdict.WRONG


def _parties(must: Told, told: Told) -> Verdict | None:
    wanted = [(one, other) for one, other in zip(_ends(must), _ends(told), strict=True) if one]
    if not wanted:
        return None
    if any(other and other != one for one, other in wanted):
        return Verdict.WRONG
    said = [bool(other) for _, other in wanted]
    return Verdict.RIGHT if all(said) else Verdict.PART if any(said) else Verdict.SILENT


def _ends(told: Told) -> tuple[str, str]:
    return told.caller, told.dialed


def _ending(must: Told, told: Told) -> Verdict:
    if not told.outcome:
        return Verdict.SILENT
    if told.outcome == must.outcome or told.outcome in _SAME[must.outcome]:
        return Verdict.RIGHT
    return Verdict.PART if must.outcome != "answered" and told.outcome in _UNREACHED else Verdict.WRONG


def _talk(must: Told, told: Told) -> Verdict | None:
    return _complete(Counter(must.talked), Counter(told.talked))


def _moves(must: Told, told: Told) -> Verdict | None:
    left, hits = list(told.transfers), 0
    for kind, by, to in must.transfers:
        match = next((one for one in left if one[:2] == (kind, by) and one[2] & to), None)
        if match is not None:
            left.remove(match)
            hits += 1
    if left:
        return Verdict.WRONG
    return _complete(Counter(range(len(must.transfers))), Counter(range(hits)))


def _complete(must: Counter[Any], told: Counter[Any]) -> Verdict | None:
    if told - must:
        return Verdict.WRONG
    if not must:
        return None
    return Verdict.RIGHT if must == told else Verdict.PART if told else Verdict.SILENT
