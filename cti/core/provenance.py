"""How each step of a call's story is known: the source of the facts, and the lines of the PBX's books that prove it."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from cti.core.books import CdrRow
from cti.core.facts import NOT_LET_IN, QueueStay
from cti.core.story import Books, Line, Parts, Step

_SECOND = 1.0  # queue_log's resolution, and that of most CDRs
_NEAR = 2.0  # s by which a book and the events may differ about one instant

_HANGUP = ("HANGUP", "CHAN_END", "LINKEDID_END")
_CAUSES = ("APP_", "ANSWER", "RING", "AGENTDUMP")
"""Lines that may be of whoever had it happen: the one who dials or waits, and is answered with the other."""
_OF_MEMBERS = ("RING", "AGENTDUMP")  # lines that are about the member, and carry the caller's channel
_ENDS = ("APP_END Queue", "APP_END Dial")
_PROOFS: Mapping[str, tuple[str, ...]] = {
    "begin": ("CHAN_START",),
    "refuse": ("APP_START Queue", "APP_END Queue"),
    "join": ("ENTERQUEUE", "APP_START Queue"),
    "ring": ("CHAN_START", "APP_START Dial", "APP_START Originate"),
    "forward": ("FORWARD",),
    "miss": ("PICKUP", "RINGNOANSWER", "RINGCANCELED", "cdr", "HANGUP", "CHAN_END", "APP_END Dial"),
    "answer": ("ANSWER", "PICKUP"),
    "leave": (
        "CONNECT", "ABANDON", "EXITWITHTIMEOUT", "EXITWITHKEY", "EXITEMPTY", "WITHDRAW", "APP_END Queue", "cdr",
    ),
    "talk": ("BRIDGE_ENTER",),
    "record": ("APP_START MixMonitor", "APP_END MixMonitor"),
    "unrecord": ("APP_START StopMixMonitor", "APP_END StopMixMonitor"),
    "move": ("BLINDTRANSFER", "ATTENDEDTRANSFER"),
    "silence": ("cdr", "COMPLETEAGENT", "COMPLETECALLER", "AGENTDUMP", "BRIDGE_EXIT", *_ENDS),
    "park": ("PARK_START", "BRIDGE_ENTER"),
    "unpark": ("PARK_END", "cdr", "BRIDGE_EXIT"),
    "wait": ("BRIDGE_ENTER", "AGENTLOGIN", "BRIDGE_EXIT"),
    "enter": ("BRIDGE_ENTER",),
    "exit": ("BRIDGE_EXIT", "cdr"),
    "mail": ("APP_START VoiceMail",),
    "mailed": ("APP_END VoiceMail", "cdr"),
    "gone": (*_HANGUP, "AGENTDUMP", "AGENTLOGOFF", "COMPLETEAGENT", "COMPLETECALLER", *_ENDS, "cdr"),
    "end": (*_HANGUP[::-1], *_ENDS, "cdr"),
}  # fmt: skip
"""Which lines prove a step of a kind, the best first; `cdr` is any row of the CDR, by its end."""


def source_of(part: Any, name: str, gaps: Iterable[float] = ()) -> str:
    """Where a field of a fact came from; `gaps` are ends of gaps: instants at which somebody looked.

    That somebody waited in a queue is queue_log's to tell, though the instant may be CEL's.
    """
    named = dict(one.split(":", 1) for one in part.sources)
    value = getattr(part, name)
    if name not in named and isinstance(value, float) and any(abs(value - end) < 1e-5 for end in gaps):  # noqa: PLR2004 - the store's microseconds
        return "guess"
    source = str(named.get(name, named.get("*", "seen")))
    told = isinstance(part, QueueStay) and part.outcome not in NOT_LET_IN
    return "queue_log" if told and source in {"cel", "cdr"} else source


# --- the lines ------------------------------------------------------------------------------------------------------


def lines_of(parts: Parts, books: Books) -> list[Line]:
    """Every line of the books that names one of the call's channels, in order of time."""
    channels = parts.channels
    found = [
        Line(row.at, "queue_log", row.verb, frozenset({row.callid}), row.raw, row.member)
        for row in books.queue_log or ()
        if row.callid in channels
    ]
    for row in books.cel or ():
        if row.uniqueid in channels:
            verb = f"{row.event} {row.app}" if row.event.startswith("APP_") else row.event
            found.append(Line(row.at, "cel", verb, frozenset({row.uniqueid}), row.raw))
    named = {leg.channel: leg.uniqueid for leg in parts.legs}
    found += (_cdr_line(one, named) for one in books.cdr or () if one.uniqueid in channels)
    return sorted(found, key=lambda line: line.at)


def _cdr_line(row: CdrRow, named: Mapping[str, str]) -> Line:
    both = frozenset(filter(None, (row.uniqueid, named.get(row.dstchannel))))
    return Line(row.end, "cdr", f"{row.disposition} {row.lastapp}".strip(), both, row.raw)


# --- which line proves which step -----------------------------------------------------------------------------------


def proven(steps: Sequence[Step], lines: Sequence[Line]) -> tuple[tuple[Step, ...], tuple[Line, ...]]:
    """The steps (in order of time) with the lines that prove them, and the lines that prove none; a line proves one step at most.

    A step that is known from a book names the book's own word for it.
    """
    beside: list[list[Line]] = [[] for _ in steps]
    rest: list[Line] = []
    instants = [step.at for step in steps]
    for line in lines:
        near = range(
            bisect_left(instants, line.at - _NEAR), bisect_right(instants, line.at + _SECOND + _NEAR)
        )
        best = min(_fits(steps, near, line), default=None)
        (rest if best is None else beside[best[-1]]).append(line)
    told = tuple(_with(step, tuple(found)) for step, found in zip(steps, beside, strict=True))
    return told, tuple(rest)


def _with(step: Step, lines: tuple[Line, ...]) -> Step:
    word = next((line.verb for line in lines if line.book == step.source), "")
    return replace(step, lines=lines, event=step.event or word)


def _fits(steps: Sequence[Step], near: range, line: Line) -> Iterator[tuple[float, int, int]]:
    """How well the line fits each of the near steps that it may prove: how far they are apart, and how typical it is; the smallest is best."""
    verb = "cdr" if line.book == "cdr" else line.verb
    for place in near:
        step = steps[place]
        proofs = _PROOFS.get(step.kind, ())
        about = step.channels | step.caused_by if verb.startswith(_CAUSES) else step.channels
        other = verb.startswith(_OF_MEMBERS) and line.member not in step.who.split()
        if other or verb not in proofs or not line.channels & about:
            continue
        apart = _apart(step.at, line)
        if apart < _NEAR:
            exact = abs(step.at - line.at) < 1e-5  # noqa: PLR2004 - made of this line
            yield (0.0 if exact else round(apart, 1), proofs.index(verb), place)


def _apart(at: float, line: Line) -> float:
    """Seconds between an instant and a line; a book of whole seconds means any instant of its second."""
    whole = line.book == "queue_log" or line.at == int(line.at)
    late = line.at + _SECOND if whole else line.at
    return max(0.0, line.at - at, at - late)
