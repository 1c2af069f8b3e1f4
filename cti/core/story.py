"""The story of one call: who did what to whom, when, and how that is known. Pure; made of the record alone.

`tell` gives the steps in order of time, `picture` draws them as a sequence diagram in plain characters, and `lines_of`
finds the lines of the books that are about the call.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cti.core.backfill import Rows
from cti.core.facts import (
    Attempt,
    AttemptOutcome,
    Call,
    Leg,
    Quality,
    QueueStay,
    Recording,
    StayOutcome,
    Talk,
    Transfer,
)

CALLER = "caller"
_WIDTH = 20  # characters of a column of the picture
_ORDER = (
    "begin",
    "join",
    "ring",
    "miss",
    "answer",
    "leave",
    "talk",
    "hold",
    "move",
    "silence",
    "gone",
    "end",
)


@dataclass(frozen=True, slots=True)
class Parts:
    """One call with its parts."""

    call: Call
    legs: Sequence[Leg] = ()
    stays: Sequence[QueueStay] = ()
    attempts: Sequence[Attempt] = ()
    talks: Sequence[Talk] = ()
    transfers: Sequence[Transfer] = ()
    recordings: Sequence[Recording] = ()


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happened."""

    at: float
    kind: str  # one of `_ORDER`
    who: str
    what: str  # for people, after `who`
    source: str  # seen, queue_log, cdr, cel, mark, or guess: nobody knows the instant
    event: str = ""  # the AMI event that tells it
    to: str = ""  # with whom, if with anybody


@dataclass(frozen=True, slots=True)
class Story:
    """All of it; `actors` in the order in which they appear."""

    call: Call
    steps: tuple[Step, ...]
    actors: tuple[str, ...] = ()


def _paused(recording: Recording) -> str:
    return f", paused for {recording.paused:.1f} s" if recording.paused else ""


def source_of(part: Any, name: str, gaps: Iterable[float] = ()) -> str:
    """Where a field of a fact came from; `gaps` are ends of gaps: instants at which somebody looked."""
    named = dict(one.split(":", 1) for one in part.sources)
    value = getattr(part, name)
    if name not in named and isinstance(value, float) and any(abs(value - end) < 1e-5 for end in gaps):  # noqa: PLR2004 - the store's microseconds
        return "guess"
    return str(named.get(name, named.get("*", "seen")))


def tell(parts: Parts, gap_ends: Sequence[float] = ()) -> Story:
    """The story of this call."""
    return _Teller(parts, gap_ends).tell()


class _Teller:
    def __init__(self, parts: Parts, gap_ends: Sequence[float]) -> None:
        self._parts, self._gaps = parts, gap_ends
        self._steps: list[Step] = []
        origin = parts.call.id
        self._names: dict[str, str] = {}
        for leg in parts.legs:
            party = f"{leg.agent or leg.number or ''} {leg.device}".lstrip()
            self._names[leg.id] = CALLER if leg.id == origin else party

    def tell(self) -> Story:
        parts, call = self._parts, self._parts.call
        name = f" ({call.caller_name})" if call.caller_name else ""
        self._add(
            call,
            "started_at",
            "begin",
            CALLER,
            f"{call.caller_number or 'unknown'}{name} calls {call.dialed_number or '?'}",
            "Newchannel",
        )
        for stay in parts.stays:
            self._stay(stay)
        for attempt in parts.attempts:
            self._attempt(attempt)
        rung = {attempt.id.removesuffix("/a"): attempt for attempt in parts.attempts}
        for leg in parts.legs:
            self._leg(leg, rung.get(leg.id))
        told: list[Talk] = []
        for talk in sorted(parts.talks, key=lambda talk: self._party(talk) == CALLER):
            self._talk(talk, told)
            told.append(talk)
        for transfer in parts.transfers:
            self._transfer(transfer)
        for recording in parts.recordings:
            what = f"records to {recording.file}{_paused(recording)}"
            self._add(recording, "started_at", "hold", "pbx", what, "MixMonitorStart")
        self._end(call)
        steps = tuple(sorted(self._steps, key=lambda step: (step.at, _ORDER.index(step.kind))))
        return Story(call, steps, _actors(steps))

    def _add(  # noqa: PLR0917 - the columns of one line
        self, part: Any, name: str, kind: str, who: str, what: str, event: str, to: str = ""
    ) -> None:
        at = getattr(part, name)
        if at is not None:
            self._steps.append(Step(at, kind, who, what, source_of(part, name, self._gaps), event, to))

    def _stay(self, stay: QueueStay) -> None:
        queue = f"queue {stay.queue}"
        place = f" at place {stay.position}" if stay.position else ""
        joiner = self._joiner(stay)
        self._add(stay, "joined_at", "join", joiner, f"joins the queue{place}", "QueueCallerJoin", queue)
        waiting = f"{stay.pbx}-{stay.uniqueid}"  # in the end; a transfer may have put the caller in the agent's place
        leaver = joiner if stay.id.startswith(f"{waiting}/") else self._names.get(waiting, CALLER)
        took = f" after {stay.wait:.1f} s" if stay.wait is not None else ""
        if stay.outcome is StayOutcome.ANSWERED:
            who = f"is connected to {stay.agent or 'somebody'}"
            self._add(stay, "answered_at", "leave", leaver, who + took, "AgentConnect", queue)
        elif stay.left_at is not None:
            word = (stay.outcome or "unknown").replace("_", " ")
            left = f"leaves the queue: {word}{took}"
            self._add(stay, "left_at", "leave", leaver, left, "QueueCallerLeave", queue)

    def _joiner(self, stay: QueueStay) -> str:
        """Who went into the queue: the caller, or an agent who consults it, maybe through a Local channel."""
        leg_id = stay.id.rpartition("/")[0]
        leg = next((leg for leg in self._parts.legs if leg.id == leg_id), None)
        if leg is None:
            return CALLER
        if not leg.device.startswith("Local/"):
            return self._names[leg_id]
        transfers = (one for one in self._parts.transfers if one.kind != "blind" and one.at >= stay.joined_at)
        consulting = (name for one in transfers if self._talks_at(name := self._party(one), stay.joined_at))
        return next(consulting, CALLER)

    def _talks_at(self, party: str, at: float) -> bool:
        ends = ((talk, talk.ended_at if talk.ended_at is not None else at) for talk in self._parts.talks)
        return any(self._party(talk) == party and talk.started_at <= at <= end for talk, end in ends)

    def _attempt(self, attempt: Attempt) -> None:
        who = f"{attempt.agent} {attempt.device}" if attempt.agent else attempt.device
        state = f"; {attempt.agent} was {attempt.agent_state}" if attempt.agent_state else ""
        by = f"queue {attempt.queue}" if attempt.queue else self._dialler(attempt.id.removesuffix("/a"))
        if _is_pickup(attempt):
            self._add(attempt, "started_at", "answer", who, f"takes the ringing call{state}", "Pickup", by)
            return
        event = "AgentCalled" if attempt.queue else "DialBegin"
        self._add(attempt, "started_at", "ring", by, f"rings {who}{state}", event, who)
        if attempt.outcome is not None and attempt.outcome != "answered":
            word = attempt.outcome.replace("_", " ")
            event = "AgentRingNoAnswer, DialEnd" if attempt.queue else "DialEnd"
            self._add(attempt, "ended_at", "miss", who, f"stops ringing: {word}", event, by)

    def _dialler(self, leg_id: str) -> str:
        """Who had this phone rung: whoever began the consultation it belongs to, or else the caller."""
        linked = next((f"{leg.pbx}-{leg.linkedid}" for leg in self._parts.legs if leg.id == leg_id), "")
        name = self._names.get(linked, CALLER)
        return CALLER if linked == leg_id or name == self._names.get(leg_id) else name

    def _leg(self, leg: Leg, attempt: Attempt | None) -> None:
        who = self._names[leg.id]
        if who == CALLER or leg.device.startswith("Local/"):
            return
        by = self._dialler(leg.id)
        if leg.dialed and attempt is None:
            self._add(leg, "ring_started_at", "ring", by, f"rings {who}", "DialBegin", who)
        if attempt is None or not _is_pickup(attempt):
            self._add(leg, "answered_at", "answer", who, "picks up", "DialEnd", by)
        cause = f" (cause {leg.hangup_cause})" if leg.hangup_cause else ""
        status = f": {leg.dial_status}" if leg.dial_status not in {None, "ANSWER"} else ""
        self._add(leg, "ended_at", "gone", who, f"is gone{status}{cause}", "Hangup")

    def _party(self, part: Talk | Transfer) -> str:
        return self._names.get(part.id.rpartition("/")[0], part.device if isinstance(part, Talk) else part.by)

    def _talk(self, talk: Talk, told: Sequence[Talk]) -> None:
        """Two who begin to talk at the same instant talk with each other, and that is told once."""
        who = self._party(talk)
        others = [t for t in self._parts.talks if t.started_at == talk.started_at and self._party(t) != who]
        names = sorted({self._party(other) for other in others}) or ([CALLER] if who != CALLER else [])
        whom = " and ".join("the caller" if name == CALLER else name for name in names) or "others"
        to = names[0] if names else ""
        if not any(other in told for other in others):
            self._add(talk, "started_at", "talk", who, f"talks with {whom}", "BridgeEnter", to)
        if talk.ended_at is not None and not any(t in told and t.ended_at == talk.ended_at for t in others):
            held = f", {talk.hold:.1f} s of it on hold" if talk.hold else ""
            what = f"stops talking with {whom} after {talk.ended_at - talk.started_at:.1f} s{held}"
            self._add(talk, "ended_at", "silence", who, what, "BridgeLeave", to)

    def _transfer(self, transfer: Transfer) -> None:
        kind = transfer.kind.replace("_", "-")
        what = f"hands the call on to {transfer.to} ({kind}): {transfer.result.replace('_', ' ')}"
        event = "BlindTransfer" if transfer.kind == "blind" else "AttendedTransfer"
        self._add(transfer, "at", "move", self._party(transfer), what, event, CALLER)

    def _end(self, call: Call) -> None:
        by = f", ended by {call.ended_by}" if call.ended_by else ""
        cause = f" (cause {call.hangup_cause})" if call.hangup_cause else ""
        word = (call.disposition or "unknown").replace("_", " ")
        self._add(call, "ended_at", "end", CALLER, f"the call is over: {word}{by}{cause}", "Hangup")


def _is_pickup(attempt: Attempt) -> bool:
    """A phone that took what rang elsewhere never rang: its attempt has no length."""
    return attempt.outcome is AttemptOutcome.ANSWERED and attempt.started_at == attempt.ended_at


def _actors(steps: Iterable[Step]) -> tuple[str, ...]:
    found: dict[str, None] = {CALLER: None}
    for step in steps:
        found.setdefault(step.who)
        if step.to:
            found.setdefault(step.to)
    return tuple(found)


# --- the picture ----------------------------------------------------------------------------------------------------

_LABELS: Mapping[str, str] = {
    "join": "joins",
    "ring": "rings",
    "miss": "no",
    "answer": "picks up",
    "leave": "leaves",
    "talk": "talk",
    "move": "hands on",
    "silence": "silence",
}


def picture(story: Story, width: int = _WIDTH) -> list[str]:
    """A sequence diagram: one column an actor, one line a step between two of them."""
    place = {actor: n * width + width // 2 for n, actor in enumerate(story.actors)}
    lines = ["".join(actor[: width - 2].center(width) for actor in story.actors).rstrip()]
    for step in story.steps:
        if step.to and step.to != step.who and step.kind in _LABELS:
            lines.append(_arrow(place, step))
        elif step.kind in {"gone", "end"}:
            lines.append(_mark(place, step.who, "x"))
    return lines


def _rail(place: Mapping[str, int]) -> list[str]:
    line = [" "] * (max(place.values(), default=0) + 1)
    for at in place.values():
        line[at] = "│"
    return line


def _arrow(place: Mapping[str, int], step: Step) -> str:
    line, start, end = _rail(place), place[step.who], place[step.to]
    left, right = min(start, end), max(start, end)
    both = step.kind in {"talk", "silence"}
    line[left + 1 : right] = f" {_LABELS[step.kind]} ".center(
        right - left - 1, "═" if step.kind == "talk" else "─"
    )
    if end > start or both:
        line[right - 1] = "▶"
    if end < start or both:
        line[left + 1] = "◀"
    return "".join(line)


def _mark(place: Mapping[str, int], who: str, sign: str) -> str:
    line = _rail(place)
    line[place[who]] = sign
    return "".join(line).rstrip()


# --- the books ------------------------------------------------------------------------------------------------------


def lines_of(parts: Parts, rows: Rows) -> list[tuple[float, str, str]]:
    """(instant, book, raw line) of every line that names one of the call's channels."""
    channels = {leg.uniqueid for leg in parts.legs} | {parts.call.id.removeprefix(f"{parts.call.pbx}-")}
    found = [(row.at, "queue_log", row.raw) for row in rows.queue_log if row.callid in channels]
    if rows.source == "cel":
        found += [(row.at, "cel", row.raw) for row in rows.cel if row.uniqueid in channels]
    return sorted(found, key=lambda line: line[0])


def quality_in_words(call: Call) -> str:
    """What a person should make of the record's quality."""
    return {
        Quality.COMPLETE: "seen from beginning to end",
        Quality.GAPPED: "seen in part; what is marked otherwise came from the PBX's books",
        Quality.FROM_BOOKS: "not seen: the daemon was not listening; told from the PBX's books",
    }[call.quality]
