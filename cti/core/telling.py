"""Telling a call's story: the steps that are on record, and with the PBX's books what only they tell."""

from collections.abc import Iterable, Sequence

from cti.core.bookstory import told_by_the_books
from cti.core.facts import Attempt, Call, Leg, Recording, Talk, Transfer
from cti.core.provenance import lines_of, proven, source_of
from cti.core.queuestory import tell_attempt, tell_stay, with_queues
from cti.core.scribe import Scribe, is_pickup, uniqueid_of, words
from cti.core.story import CALLER, Books, Parts, Step, Story, actors_of, in_order, names_of

_SAME = 0.25  # s within which the caller's channel is answered because somebody behind it answered
_STATUS = {
    "CONTINUE": "did not take the call",
    "NOANSWER": "no answer",
    "CHANUNAVAIL": "unreachable",
    "CANCEL": "cancelled",
}


def tell(parts: Parts, gap_ends: Sequence[float] = (), books: Books | None = None) -> Story:
    """The story of this call.

    Args:
        parts: what is on record of it.
        gap_ends: instants at which the daemon looked again after it had not listened.
        books: of the PBX, from before the call to after it; None where they are not read.
    """
    parts = parts if books is None else with_queues(parts, books)
    names = names_of(parts)
    scribe = Scribe(parts, names, gap_ends)
    _tell_record(scribe)
    steps: Iterable[Step] = scribe.steps
    if books is not None:
        steps = told_by_the_books(parts, names, scribe.steps, books)
    lines = lines_of(parts, books) if books is not None else []
    told, unexplained = proven(in_order(steps), lines)
    return Story(parts.call, told, actors_of(told), unexplained)


def _tell_record(scribe: Scribe) -> None:
    parts = scribe.parts
    _tell_begin(scribe, parts.call)
    for stay in parts.stays:
        tell_stay(scribe, stay)
    for attempt in parts.attempts:
        tell_attempt(scribe, attempt)
    rung = {attempt.id.removesuffix("/a"): attempt for attempt in parts.attempts}
    for leg in parts.legs:
        if not leg.device.startswith("Local/"):
            _tell_leg(scribe, leg, rung.get(leg.id))
    told: list[Talk] = []
    for talk in sorted(parts.talks, key=lambda talk: scribe.party(talk) == CALLER):
        _tell_talk(scribe, talk, told)
        told.append(talk)
    for transfer in parts.transfers:
        _tell_transfer(scribe, transfer)
    for recording in parts.recordings:
        _tell_recording(scribe, recording)
    if parts.call.ended_at is None:
        _tell_that_it_goes_on(scribe)
    else:
        _tell_end(scribe, parts.call)


def _tell_begin(scribe: Scribe, call: Call) -> None:
    name = f" ({call.caller_name})" if call.caller_name else ""
    leg = scribe.legs.get(call.id)
    agent = f", agent {leg.agent}," if leg is not None and leg.agent else ""
    what = f"calls {call.dialed_number or 'nobody knows whom'}"
    told = f"{call.caller_number or 'number unknown'}{name}{agent} {what}"
    scribe.add(call, "started_at", "begin", CALLER, told, "Newchannel", label=what)


# --- channels -------------------------------------------------------------------------------------------------------


def _tell_leg(scribe: Scribe, leg: Leg, attempt: Attempt | None) -> None:
    who, origin = scribe.names[leg.id], leg.id == scribe.parts.call.id
    by = "" if origin else scribe.dialler(leg.id)
    if leg.dialed and attempt is None:
        _tell_ringing(scribe, leg, who, by)
    elif not leg.dialed and not origin:
        scribe.add(leg, "started_at", "begin", who, "places a call", "Newchannel")
    if leg.dialed and (attempt is None or not is_pickup(attempt)):
        label, cause = "picks up", [leg.linkedid]
        scribe.add(leg, "answered_at", "answer", who, label, "DialEnd", to=by, label=label, by=cause)
    elif not leg.dialed and not _answered_behind(scribe, leg):
        scribe.add(
            leg, "answered_at", "answer", who, "is answered by the PBX", "Newstate", label="is answered"
        )
    _tell_hangup(scribe, leg, who, missed=attempt is not None)


def _tell_ringing(scribe: Scribe, leg: Leg, who: str, by: str) -> None:
    """Of a phone of whose ringing no attempt is kept."""
    event = "DialBegin"
    if by:
        cause = [leg.linkedid]
        scribe.add(leg, "ring_started_at", "ring", by, f"rings {who}", event, to=who, label="rings", by=cause)
    else:
        scribe.add(leg, "ring_started_at", "ring", who, "is rung by the PBX", event, label="is rung")


def _answered_behind(scribe: Scribe, leg: Leg) -> bool:
    """Whether it was answered because somebody was who was rung for it, which is told already."""
    at = leg.answered_at
    others = (one.answered_at for one in scribe.parts.legs if one.dialed)
    return at is None or any(other is not None and abs(other - at) < _SAME for other in others)


def _tell_hangup(scribe: Scribe, leg: Leg, who: str, *, missed: bool) -> None:
    """The end of a channel, with how its ringing ended where no attempt tells that."""
    status = ""
    if leg.dial_status not in {None, "ANSWER"} and not missed:
        word = leg.dial_status or ""
        status = f": {_STATUS.get(word, word.lower())}"
    phones = (one for one in scribe.parts.legs if not one.device.startswith("Local/"))
    of_this_name = [one for one in phones if scribe.names[one.id] == who]
    channel = f" on {leg.channel}" if len(of_this_name) > 1 else ""
    cause = f" (cause {leg.hangup_cause})" if leg.hangup_cause else ""
    what, label = f"is gone{channel}{status}{cause}", f"is gone{status}"
    scribe.add(leg, "ended_at", "gone", who, what, "Hangup", label=label, by=[leg.linkedid])


# --- talks, transfers, recordings -----------------------------------------------------------------------------------


def _tell_talk(scribe: Scribe, talk: Talk, told: Sequence[Talk]) -> None:
    """Two who begin to talk at the same instant talk with each other, and that is told once."""
    who = scribe.party(talk)
    others = [
        one for one in scribe.parts.talks if one.started_at == talk.started_at and scribe.party(one) != who
    ]
    names = sorted({scribe.party(other) for other in others}) or ([CALLER] if who != CALLER else [])
    whom = " and ".join("the caller" if name == CALLER else name for name in names) or "others"
    to = names[0] if names else ""
    about = [uniqueid_of(one) for one in (talk, *others)]
    if to == CALLER and not others:
        about.append(scribe.parts.origin)
    if not any(other in told for other in others):
        what = f"talks with {whom}"
        scribe.add(talk, "started_at", "talk", who, what, "BridgeEnter", to=to, label="talk", about=about)
    if talk.ended_at is not None and not any(one in told and one.ended_at == talk.ended_at for one in others):
        what = f"stops talking with {whom} after {talk.ended_at - talk.started_at:.1f} s{_held(talk)}"
        event, label = "BridgeLeave", "stop talking"
        scribe.add(talk, "ended_at", "silence", who, what, event, to=to, label=label, about=about)


def _held(talk: Talk) -> str:
    if talk.hold is None:
        return " (seconds on hold not known)"
    return f" ({talk.hold:.1f} s of it on hold)" if talk.hold else ""


def _tell_transfer(scribe: Scribe, transfer: Transfer) -> None:
    party, target = scribe.party(transfer), transfer.to or "?"
    what = f"hands the call on to {target} ({words(transfer.kind)}): {words(transfer.result)}"
    event = "BlindTransfer" if transfer.kind == "blind" else "AttendedTransfer"
    waited = (stay.uniqueid for stay in scribe.parts.stays)  # queue_log names the channel that waited
    about = [uniqueid_of(transfer), scribe.parts.origin, *waited]
    to, label = "" if party == CALLER else CALLER, f"hands on to {target}"
    scribe.add(transfer, "at", "move", party, what, event, to=to, label=label, about=about)


def _tell_recording(scribe: Scribe, recording: Recording) -> None:
    leg = scribe.legs.get(recording.id.rpartition("/")[0])
    who = scribe.names[leg.id] if leg is not None else CALLER
    what, label = f"is recorded to {recording.file}", "recording begins"
    scribe.add(recording, "started_at", "record", who, what, "MixMonitorStart", label=label)
    paused = f" (paused for {recording.paused:.1f} s of it)" if recording.paused else ""
    with_channel = leg is not None and leg.ended_at == recording.stopped_at
    what, event = f"is no longer recorded{paused}", "Hangup" if with_channel else "MixMonitorStop"
    scribe.add(recording, "stopped_at", "unrecord", who, what, event, label="recording ends")


# --- the end --------------------------------------------------------------------------------------------------------


def _tell_end(scribe: Scribe, call: Call) -> None:
    by = f", ended by {call.ended_by}" if call.ended_by else ""
    cause = f" (cause {call.hangup_cause})" if call.hangup_cause else ""
    word = words(call.disposition or "unknown")
    what = f"the call is over: {word}{by}{cause}"
    about = [leg.uniqueid for leg in scribe.parts.legs if leg.ended_at == call.ended_at]
    scribe.add(call, "ended_at", "end", "", what, "Hangup", label=f"over: {word}", about=about)


def _tell_that_it_goes_on(scribe: Scribe) -> None:
    """As of the last that is on record, with everything that is not over."""
    parts = scribe.parts
    doing = [f"{scribe.party(one)} talks" for one in parts.talks if one.ended_at is None]
    ringing = (one for one in parts.attempts if one.ended_at is None)
    doing += [f"{one.agent or one.device} is being rung" for one in ringing]
    doing += [f"somebody waits in queue {one.queue}" for one in parts.stays if one.outcome is None]
    doing += [f"it is recorded to {one.file}" for one in parts.recordings if one.stopped_at is None]
    what = f"the call goes on{': ' if doing else ''}{', '.join(doing)}"
    at = max(step.at for step in scribe.steps)
    scribe.steps.append(Step(at, "open", "", what, source_of(parts.call, "ended_at"), label="goes on"))
