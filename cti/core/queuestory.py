"""Telling a call's story: its waiting in queues, and whose phones rang."""

from dataclasses import replace

from cti.core.cel import channels_of
from cti.core.facts import Attempt, AttemptOutcome, QueueStay, State, StayOutcome
from cti.core.provenance import source_of
from cti.core.refusals import named, refusals
from cti.core.scribe import Scribe, is_pickup, uniqueid_of, words
from cti.core.story import CALLER, Books, Parts

_APART = 0.25  # s from being answered to being connected, from which on an announcement lay between
_TURNED_AWAY = {StayOutcome.FULL: "it is full", StayOutcome.JOIN_EMPTY: "nobody is there"}
_NOT_TAKEN = frozenset({
    AttemptOutcome.NO_ANSWER, AttemptOutcome.BUSY, AttemptOutcome.REJECTED, AttemptOutcome.UNREACHABLE,
})  # fmt: skip
"""Ringings of which app_queue says that nobody answered."""


def with_queues(parts: Parts, books: Books) -> Parts:
    """The parts with the queues by which callers were turned away, as CEL names them already."""
    if all(stay.queue for stay in parts.stays):
        return parts
    rows = [row for row in books.cel or () if row.uniqueid in parts.channels]
    found = refusals(channels_of(rows), books.queue_log or ())
    return replace(parts, stays=named(parts.stays, found))


def tell_stay(scribe: Scribe, stay: QueueStay) -> None:
    """From joining a queue to leaving it."""
    queue, joiner = f"queue {stay.queue or 'unknown'}", _joiner(scribe, stay)
    if stay.outcome in _TURNED_AWAY:
        why, by = _TURNED_AWAY[stay.outcome], queue if stay.queue else "a queue that is not known"
        what, event = f"is turned away by {by}: {why}", _seen_by(scribe, stay)
        scribe.add(stay, "joined_at", "refuse", joiner, what, event, to=queue, label=why)
        return
    place = f" at place {stay.position}" if stay.position else ""
    about = (stay.uniqueid, uniqueid_of(stay))
    what, label = f"joins {queue}{place}", f"joins{place}"
    scribe.add(stay, "joined_at", "join", joiner, what, "QueueCallerJoin", to=queue, label=label, about=about)
    waiting = (
        f"{stay.pbx}-{stay.uniqueid}"  # in the end; a transfer may have put the caller in the agent's place
    )
    leaver = joiner if stay.id.startswith(f"{waiting}/") else scribe.names.get(waiting, CALLER)
    if stay.outcome is StayOutcome.ANSWERED:
        _tell_answer(scribe, stay, leaver, queue)
    elif stay.left_at is not None:
        word = words(stay.outcome or "unknown")
        what, label = f"leaves {queue}: {word}{_took(stay)}", f"leaves: {word}"
        scribe.add(
            stay, "left_at", "leave", leaver, what, "QueueCallerLeave", to=queue, label=label, about=about
        )


def _seen_by(scribe: Scribe, stay: QueueStay) -> str:
    """The event that had the QUEUESTATUS of a caller who was turned away, if that is known."""
    leg, at, parts = scribe.legs.get(stay.id.rpartition("/")[0]), stay.joined_at, scribe.parts
    if leg is not None and leg.ended_at == at:
        return "Hangup"
    if any(one.joined_at == at and one is not stay for one in parts.stays):
        return "QueueCallerJoin"
    return "DialBegin" if any(one.ring_started_at == at for one in parts.legs) else ""


def _tell_answer(scribe: Scribe, stay: QueueStay, who: str, queue: str) -> None:
    """Somebody picked up for the caller; what the agent hears first may keep them apart for a while."""
    whom, about = stay.agent or "somebody", [stay.uniqueid]
    connected = stay.book_wait is not None and source_of(stay, "book_wait") == "seen"
    connect = ", AgentConnect" if connected else ""
    what, label = f"is connected to {whom}{_took(stay)}", "is connected"
    event = f"DialEnd{connect}"
    if scribe.picked_up_at(stay.answered_at):
        event = "Pickup"
    elif _apart(stay):
        what, label = f"is answered by {whom}{_took(stay)}, who hears an announcement", "is answered"
        event = "DialEnd"
    scribe.add(stay, "answered_at", "leave", who, what, event, to=queue, label=label, about=about)
    if _apart(stay):
        what, label = (
            (f"is connected to {whom}", "is connected") if connected else (f"leaves {queue}", "leaves")
        )
        event = f"QueueCallerLeave{connect}"
        scribe.add(stay, "left_at", "leave", who, what, event, to=queue, label=label, about=about)


def _apart(stay: QueueStay) -> bool:
    return (
        stay.answered_at is not None and stay.left_at is not None and stay.left_at - stay.answered_at > _APART
    )


def _took(stay: QueueStay) -> str:
    return f" after {stay.wait:.1f} s" if stay.wait is not None else ""


def _joiner(scribe: Scribe, stay: QueueStay) -> str:
    """Who went into the queue: the caller, or an agent who consults it, maybe through a Local channel."""
    leg = scribe.legs.get(stay.id.rpartition("/")[0])
    if leg is None:
        return CALLER
    if not leg.device.startswith("Local/"):
        return scribe.names[leg.id]
    transfers = (one for one in scribe.parts.transfers if one.kind != "blind" and one.at >= stay.joined_at)
    consulting = (name for one in transfers if _talks_at(scribe, name := scribe.party(one), stay.joined_at))
    return next(consulting, CALLER)


def _talks_at(scribe: Scribe, party: str, at: float) -> bool:
    ends = ((talk, talk.ended_at if talk.ended_at is not None else at) for talk in scribe.parts.talks)
    return any(scribe.party(talk) == party and talk.started_at <= at <= end for talk, end in ends)


# --- ringing --------------------------------------------------------------------------------------------------------


def tell_attempt(scribe: Scribe, attempt: Attempt) -> None:
    """From a phone's ringing to its end, or that it took what rang elsewhere."""
    leg_id = attempt.id.removesuffix("/a")
    device = f"{attempt.agent} {attempt.device}" if attempt.agent else attempt.device
    who = scribe.names.get(leg_id, device)
    state = _state(attempt)
    by = f"queue {attempt.queue}" if attempt.queue else scribe.dialler(leg_id)
    if is_pickup(attempt):
        what, label, rang = f"takes the ringing call{state}", "takes the call", [scribe.parts.origin]
        scribe.add(attempt, "started_at", "answer", who, what, "Pickup", to=by, label=label, by=rang)
        return
    cause = [scribe.linked(leg_id), *(s.uniqueid for s in scribe.parts.stays if s.id == attempt.stay_id)]
    event = "AgentCalled" if attempt.queue else "DialBegin"
    if who == by:
        what = f"is rung by the PBX{state}"
        scribe.add(attempt, "started_at", "ring", who, what, event, label="is rung")
    else:
        what = f"rings {who}{state}"
        scribe.add(attempt, "started_at", "ring", by, what, event, to=who, label="rings", by=cause)
    if attempt.outcome not in {None, AttemptOutcome.ANSWERED}:
        word = words(attempt.outcome or "")
        what, event = f"stops ringing: {word}", _missing(scribe, attempt)
        scribe.add(attempt, "ended_at", "miss", who, what, event, to=by, label=word, by=cause)


def _state(attempt: Attempt) -> str:
    """What the agent was as the phone began to ring; since when and why, if not simply available."""
    state, since = attempt.agent_state, attempt.agent_state_since
    if state is None:
        return ""
    reason = f", {attempt.agent_reason}," if attempt.agent_reason else ""
    busy = state is not State.AVAILABLE and since is not None
    span = f" for {attempt.started_at - since:.0f} s" if busy and since is not None else ""
    return f" (was {words(state)}{reason}{span})"


def _missing(scribe: Scribe, attempt: Attempt) -> str:
    """What told that a ringing was in vain; a caller who gives up has no AgentRingNoAnswer sent."""
    if scribe.picked_up_at(attempt.ended_at):
        return "Pickup"
    leg = scribe.legs.get(attempt.id.removesuffix("/a"))
    event = "DialEnd" if leg is not None and leg.dial_status else "Hangup"
    return f"AgentRingNoAnswer, {event}" if attempt.queue and attempt.outcome in _NOT_TAKEN else event
