"""Telling a call's story: the steps that are on record, and with the PBX's books what only they tell."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from cti.core.bookstory import told_by_the_books
from cti.core.facts import (
    Attempt,
    AttemptOutcome,
    Call,
    Leg,
    QueueStay,
    Recording,
    StayOutcome,
    Talk,
    Transfer,
)
from cti.core.provenance import lines_of, proven, source_of
from cti.core.story import CALLER, Books, Parts, Step, Story, actors_of, in_order, names_of

_SAME = 0.25  # s within which the caller's channel is answered because somebody behind it answered

_IN_VAIN = frozenset(AttemptOutcome) - {
    AttemptOutcome.ANSWERED, AttemptOutcome.CANCELLED, AttemptOutcome.UNKNOWN,
}  # fmt: skip
"""Ringings of which app_queue says that nobody answered."""


def tell(parts: Parts, gap_ends: Sequence[float] = (), books: Books | None = None) -> Story:
    """The story of this call.

    Args:
        parts: what is on record of it.
        gap_ends: instants at which the daemon looked again after it had not listened.
        books: of the PBX, from before the call to after it; None where they are not read.
    """
    names = names_of(parts)
    steps: Iterable[Step] = _Teller(parts, names, gap_ends).steps()
    rest = lines_of(parts, books) if books is not None else []
    if books is not None:
        steps = told_by_the_books(parts, names, steps, books)
    told, unexplained = proven(in_order(steps), rest)
    return Story(parts.call, told, actors_of(told), unexplained, names)


class _Teller:
    def __init__(self, parts: Parts, names: dict[str, str], gap_ends: Sequence[float]) -> None:
        self._parts, self._gaps = parts, gap_ends
        self._steps: list[Step] = []
        self._names = {f"{parts.call.pbx}-{uniqueid}": name for uniqueid, name in names.items()}
        self._legs = {leg.id: leg for leg in parts.legs}

    def steps(self) -> list[Step]:
        parts, call = self._parts, self._parts.call
        self._begin(call)
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
            self._recording(recording)
        if call.ended_at is None:
            self._goes_on(call)
        else:
            self._end(call)
        return self._steps

    def _add(  # noqa: PLR0917 - the columns of one line
        self,
        part: Any,
        name: str,
        kind: str,
        who: str,
        what: str,
        event: str,
        to: str = "",
        label: str = "",
        *channels: str,
        by: str = "",
    ) -> None:
        at = getattr(part, name)
        if at is None:
            return
        source = source_of(part, name, self._gaps)
        known = event if source == "seen" else ""
        about = frozenset(channels or [part.id.partition("/")[0].removeprefix(f"{part.pbx}-")])
        cause = frozenset(filter(None, [by]))
        self._steps.append(Step(at, kind, who, what, source, known, to, label or what, about, cause))

    def _begin(self, call: Call) -> None:
        name = f" ({call.caller_name})" if call.caller_name else ""
        number = call.caller_number or "number unknown"
        what = f"calls {call.dialed_number or 'nobody knows whom'}"
        self._add(call, "started_at", "begin", CALLER, f"{number}{name} {what}", "Newchannel", label=what)

    def _stay(self, stay: QueueStay) -> None:
        queue = f"queue {stay.queue}"
        place = f" at place {stay.position}" if stay.position else ""
        joiner = self._joiner(stay)
        joins = f"joins the queue{place}"
        about = (stay.uniqueid, stay.id.rpartition("/")[0].removeprefix(f"{stay.pbx}-"))
        event = "QueueCallerJoin"
        self._add(stay, "joined_at", "join", joiner, joins, event, queue, f"joins{place}", *about)
        waiting = f"{stay.pbx}-{stay.uniqueid}"  # in the end; a transfer may have put the caller in the agent's place
        leaver = joiner if stay.id.startswith(f"{waiting}/") else self._names.get(waiting, CALLER)
        took = f" after {stay.wait:.1f} s" if stay.wait is not None else ""
        if stay.outcome is StayOutcome.ANSWERED:
            self._connected(stay, leaver, queue, took)
        elif stay.left_at is not None:
            word = _words(stay.outcome or "unknown")
            left = f"leaves the queue: {word}{took}"
            event = "QueueCallerLeave"
            self._add(stay, "left_at", "leave", leaver, left, event, queue, f"leaves: {word}", *about)

    def _connected(self, stay: QueueStay, who: str, queue: str, took: str) -> None:
        """Somebody picked up for the caller; what the agent is told first may keep them apart for a while."""
        whom, about = stay.agent or "somebody", stay.uniqueid
        came = stay.book_wait is not None and source_of(stay, "book_wait") == "seen"
        connect = ", AgentConnect" if came else ""
        if any(_is_pickup(one) and one.started_at == stay.answered_at for one in self._parts.attempts):
            event, connect = "Pickup", ""
        else:
            event = "DialEnd"
        waits = stay.left_at is not None and stay.left_at - (stay.answered_at or stay.left_at) > _SAME
        if waits:
            what, label = f"is answered by {whom}{took}, who hears an announcement", "is answered"
            self._add(stay, "answered_at", "leave", who, what, event, queue, label, about)
            what, label = (
                (f"is connected to {whom}", "is connected") if came else ("leaves the queue", "leaves")
            )
            self._add(stay, "left_at", "leave", who, what, f"QueueCallerLeave{connect}", queue, label, about)
        else:
            what, label = f"is connected to {whom}{took}", "is connected"
            self._add(stay, "answered_at", "leave", who, what, event + connect, queue, label, about)

    def _joiner(self, stay: QueueStay) -> str:
        """Who went into the queue: the caller, or an agent who consults it, maybe through a Local channel."""
        leg = self._legs.get(stay.id.rpartition("/")[0])
        if leg is None:
            return CALLER
        if not leg.device.startswith("Local/"):
            return self._names[leg.id]
        transfers = (one for one in self._parts.transfers if one.kind != "blind" and one.at >= stay.joined_at)
        consulting = (name for one in transfers if self._talks_at(name := self._party(one), stay.joined_at))
        return next(consulting, CALLER)

    def _talks_at(self, party: str, at: float) -> bool:
        ends = ((talk, talk.ended_at if talk.ended_at is not None else at) for talk in self._parts.talks)
        return any(self._party(talk) == party and talk.started_at <= at <= end for talk, end in ends)

    def _attempt(self, attempt: Attempt) -> None:
        who = f"{attempt.agent} {attempt.device}" if attempt.agent else attempt.device
        who = self._names.get(attempt.id.removesuffix("/a"), who)
        state = f" (was {_words(attempt.agent_state)})" if attempt.agent_state else ""
        by = f"queue {attempt.queue}" if attempt.queue else self._dialler(attempt.id.removesuffix("/a"))
        dialler = self._linked(attempt.id.removesuffix("/a"))
        if _is_pickup(attempt):
            what = f"takes the ringing call{state}"
            self._add(attempt, "started_at", "answer", who, what, "Pickup", by, "takes the call")
            return
        event = "AgentCalled" if attempt.queue else "DialBegin"
        self._add(attempt, "started_at", "ring", by, f"rings {who}{state}", event, who, "rings", by=dialler)
        if attempt.outcome is not None and attempt.outcome != "answered":
            word = _words(attempt.outcome)
            what = f"stops ringing: {word}"
            event = self._missing(attempt)
            self._add(attempt, "ended_at", "miss", who, what, event, by, word, by=dialler)

    def _missing(self, attempt: Attempt) -> str:
        """What told that a ringing was in vain; a caller who gives up has no AgentRingNoAnswer sent."""
        if any(_is_pickup(one) and one.started_at == attempt.ended_at for one in self._parts.attempts):
            return "Pickup"
        leg = self._legs.get(attempt.id.removesuffix("/a"))
        event = "DialEnd" if leg is not None and leg.dial_status else "Hangup"
        return f"AgentRingNoAnswer, {event}" if attempt.queue and attempt.outcome in _IN_VAIN else event

    def _linked(self, leg_id: str) -> str:
        leg = self._legs.get(leg_id)
        return leg.linkedid if leg is not None else ""

    def _dialler(self, leg_id: str) -> str:
        """Who had this phone rung: whoever began the consultation it belongs to, or else the caller."""
        linked = f"{self._parts.call.pbx}-{self._linked(leg_id)}"
        name = self._names.get(linked, CALLER)
        return CALLER if linked == leg_id or name == self._names.get(leg_id) else name

    def _leg(self, leg: Leg, attempt: Attempt | None) -> None:
        if leg.device.startswith("Local/"):
            return
        who, origin = self._names[leg.id], leg.id == self._parts.call.id
        by = "" if origin else self._dialler(leg.id)
        if leg.dialed and attempt is None:
            rings, what = ("", "is rung by the PBX") if origin else (by, f"rings {who}")
            self._add(
                leg, "ring_started_at", "ring", rings or who, what, "DialBegin", who if rings else "", "rings"
            )
        elif not leg.dialed and not origin:
            self._add(leg, "started_at", "begin", who, "places a call", "Newchannel", label="places a call")
        if leg.dialed and (attempt is None or not _is_pickup(attempt)):
            self._add(
                leg, "answered_at", "answer", who, "picks up", "DialEnd", by, "picks up", by=leg.linkedid
            )
        elif not leg.dialed and not self._answered_behind(leg):
            what = "is answered by the PBX" if origin else "is answered"
            self._add(leg, "answered_at", "answer", who, what, "Newstate", label="is answered")
        cause = f" (cause {leg.hangup_cause})" if leg.hangup_cause else ""
        status = f": {leg.dial_status}" if leg.dial_status not in {None, "ANSWER"} else ""
        names = [self._names[one.id] for one in self._parts.legs]
        line = f" on {leg.channel}" if names.count(who) > 1 else ""
        self._add(leg, "ended_at", "gone", who, f"is gone{line}{status}{cause}", "Hangup", label="is gone")

    def _answered_behind(self, leg: Leg) -> bool:
        """Whether it was answered because somebody was who was rung for it, which is told already."""
        at = leg.answered_at
        others = (one.answered_at for one in self._parts.legs if one.dialed)
        return at is None or any(other is not None and abs(other - at) < _SAME for other in others)

    def _party(self, part: Talk | Transfer) -> str:
        return self._names.get(part.id.rpartition("/")[0], part.device if isinstance(part, Talk) else part.by)

    def _talk(self, talk: Talk, told: Sequence[Talk]) -> None:
        """Two who begin to talk at the same instant talk with each other, and that is told once."""
        who = self._party(talk)
        others = [t for t in self._parts.talks if t.started_at == talk.started_at and self._party(t) != who]
        names = sorted({self._party(other) for other in others}) or ([CALLER] if who != CALLER else [])
        whom = " and ".join("the caller" if name == CALLER else name for name in names) or "others"
        to = names[0] if names else ""
        about = [part.id.partition("/")[0].removeprefix(f"{part.pbx}-") for part in (talk, *others)]
        if to == CALLER and not others:
            about.append(self._parts.origin)
        if not any(other in told for other in others):
            what = f"talks with {whom}"
            self._add(talk, "started_at", "talk", who, what, "BridgeEnter", to, "talk", *about)
        if talk.ended_at is not None and not any(t in told and t.ended_at == talk.ended_at for t in others):
            seconds = talk.ended_at - talk.started_at
            what = f"stops talking with {whom} after {seconds:.1f} s{_held(talk)}"
            label = "stop talking"
            self._add(talk, "ended_at", "silence", who, what, "BridgeLeave", to, label, *about)

    def _transfer(self, transfer: Transfer) -> None:
        kind = transfer.kind.replace("_", "-")
        what = f"hands the call on to {transfer.to or '?'} ({kind}): {_words(transfer.result)}"
        event = "BlindTransfer" if transfer.kind == "blind" else "AttendedTransfer"
        label = f"hands on to {transfer.to or '?'}"
        party = self._party(transfer)
        about = {transfer.id.rpartition("/")[0].removeprefix(f"{transfer.pbx}-"), self._parts.origin}
        about |= {stay.uniqueid for stay in self._parts.stays}  # queue_log names who waited
        to = "" if party == CALLER else CALLER
        self._add(transfer, "at", "move", party, what, event, to, label, *about)

    def _recording(self, recording: Recording) -> None:
        leg = self._legs.get(recording.id.rpartition("/")[0])
        who = self._names[leg.id] if leg is not None else CALLER
        what = f"is recorded to {recording.file}"
        self._add(recording, "started_at", "record", who, what, "MixMonitorStart", label="recording begins")
        paused = f" (paused for {recording.paused:.1f} s of it)" if recording.paused else ""
        ends = leg is not None and leg.ended_at == recording.stopped_at
        event, label = "Hangup" if ends else "MixMonitorStop", "recording ends"
        self._add(
            recording, "stopped_at", "unrecord", who, f"is no longer recorded{paused}", event, "", label
        )

    def _end(self, call: Call) -> None:
        by = f", ended by {call.ended_by}" if call.ended_by else ""
        cause = f" (cause {call.hangup_cause})" if call.hangup_cause else ""
        word = _words(call.disposition or "unknown")
        what = f"the call is over: {word}{by}{cause}"
        about = [leg.uniqueid for leg in self._parts.legs if leg.ended_at == call.ended_at]
        self._add(call, "ended_at", "end", "", what, "Hangup", "", f"over: {word}", *about)

    def _goes_on(self, call: Call) -> None:
        """As of the last that is on record; what is not over is told of it."""
        parts = self._parts
        doing = [f"{self._party(one)} talks" for one in parts.talks if one.ended_at is None]
        ringing = (one for one in parts.attempts if one.ended_at is None)
        doing += [f"{one.agent or one.device} is being rung" for one in ringing]
        doing += [f"somebody waits in queue {one.queue}" for one in parts.stays if one.outcome is None]
        so = f": {', '.join(doing)}" if doing else ""
        at = max(step.at for step in self._steps)
        step = Step(at, "open", "", f"the call goes on{so}", "seen", label="goes on")
        self._steps.append(replace(step, source=source_of(call, "ended_at")))


def _held(talk: Talk) -> str:
    if talk.hold is None:
        return " (no book tells of hold)"
    return f" ({talk.hold:.1f} s of it on hold)" if talk.hold else ""


def _is_pickup(attempt: Attempt) -> bool:
    """A phone that took what rang elsewhere never rang: its attempt has no length."""
    return attempt.outcome is AttemptOutcome.ANSWERED and attempt.started_at == attempt.ended_at


def _words(value: str) -> str:
    return value.replace("_", " ")
