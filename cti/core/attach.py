"""Getting in step with a PBX whose past was not, or not wholly, seen: after a restart of ours or a lost link.

`restore` puts the stored open calls back; `resync` then compares with what lives on the PBX. Whatever lived across a
gap is marked gapped; what is gone ended unseen, at the latest when the list was made.
"""

import math
from collections import Counter
from collections.abc import Mapping
from collections.abc import Set as AbstractSet

from cti.core import events as ev
from cti.core import facts, moves, queueing, talks
from cti.core.calls import Calls
from cti.core.endings import STATUS_LEFT_BEHIND
from cti.core.facts import NOT_LET_IN, Fact, Quality, StayOutcome
from cti.core.memory import Memory
from cti.core.parts import (
    AttemptPart,
    CallPart,
    LegPart,
    Part,
    RecordingPart,
    StayPart,
    TalkPart,
    TransferPart,
)
from cti.core.people import AGENT_LOGIN, DIALLING, age_of

_UP = 6  # ChannelState
_TWO_PARTY = "basic"  # BridgeType; calls whose channels share such a bridge are one
_DIALLED = frozenset({"AppDial", "AppDial2", "AppQueue"})  # what a rung channel is said to run
_SAME_START = 1.0  # s by which a listed age (whole seconds) may seem shorter than it is
_SAME_WAIT = 2.0  # s by which a listed wait (whole seconds) may seem shorter than it is
# Channels in these applications tie no calls together, whatever bridge or linkedid they share with others.
_OWN_LINE = frozenset({AGENT_LOGIN, "BridgeWait", "ChanSpy", "ConfBridge", "ExtenSpy", "Park"})


def restore(calls: Calls, memory: Memory) -> None:
    """Rebuild the stored open calls; every id and every edge is as it was."""
    by_id = {call.id: _call(call) for call in memory.calls}
    calls.calls.update(by_id)
    legs = {leg.id: _leg(by_id[leg.call_id], leg) for leg in memory.legs if leg.call_id in by_id}
    for leg in legs.values():
        if leg.ended_at is None:
            leg.call.live.add(leg.uniqueid)
            calls.legs[leg.uniqueid] = leg
            if leg.channel.startswith("Local/"):
                calls.pair_by_name(leg)
        elif leg.channel.startswith("Local/"):
            leg.relays = _led_on(leg)
    for talk in memory.talks:
        party = legs.get(talk.id.rsplit("/", 1)[0])
        if party is not None:
            _talk(party, talk)
    in_order = sorted(memory.stays, key=lambda stay: (stay.joined_at, stay.ordinal))
    stays = {stay.id: _stay(by_id[stay.call_id], stay, legs) for stay in in_order if stay.call_id in by_id}
    for attempt in memory.attempts:
        rung = legs.get(attempt.id.removesuffix("/a"))
        if rung is not None:
            _attempt(calls, rung, attempt, stays)
    for transfer in memory.transfers:
        mover = legs.get(transfer.id.rsplit("/", 1)[0])
        if mover is not None:
            _transfer(mover, transfer)
    for recording in memory.recordings:
        recorded = legs.get(recording.id.rsplit("/", 1)[0])
        if recorded is not None:
            _recording(recorded, recording)


def _call(fact: facts.Call) -> CallPart:
    origin = fact.id.removeprefix(f"{fact.pbx}-")
    part = CallPart(fact.pbx, fact.id, origin, fact.started_at)
    part.direction = fact.direction
    part.caller_number, part.caller_name = fact.caller_number, fact.caller_name
    part.dialed_number = fact.dialed_number
    part.answered_at = fact.answered_at
    part.ended_by = fact.ended_by
    part.quality = fact.quality
    part.attached = fact.quality is Quality.GAPPED
    part.shown = True
    return part


def _leg(call: CallPart, fact: facts.Leg) -> LegPart:
    part = LegPart(call, fact.uniqueid, fact.linkedid, fact.channel, fact.device)
    part.number, part.agent, part.dialed = fact.number, fact.agent, fact.dialed
    part.started_at, part.ring_started_at = fact.started_at, fact.ring_started_at
    part.answered_at, part.ended_at = fact.answered_at, fact.ended_at
    part.dial_status, part.hangup_cause = fact.dial_status, fact.hangup_cause
    call.legs.append(part)
    return part


def _stay(call: CallPart, fact: facts.QueueStay, legs: dict[str, LegPart]) -> StayPart:
    part = StayPart(call, fact.uniqueid, fact.ordinal, fact.queue, fact.joined_at)
    part.id = fact.id
    part.position, part.answered_at, part.left_at = fact.position, fact.answered_at, fact.left_at
    part.outcome, part.wait, part.agent = fact.outcome, fact.wait, fact.agent
    part.book_wait, part.book_talk = fact.book_wait, fact.book_talk
    call.stays.append(part)
    waiting = legs.get(f"{fact.pbx}-{fact.uniqueid}")
    if waiting is None:
        return part
    part.status_before = waiting.queue_status
    waiting.queue_status = STATUS_LEFT_BEHIND.get(fact.outcome, waiting.queue_status)
    refusal = fact.id.rpartition("/n")[2]
    if fact.outcome in NOT_LET_IN and refusal.isdecimal():
        waiting.refusals = max(waiting.refusals, int(refusal))
        return part
    waited = sum(stay.uniqueid == fact.uniqueid and stay.outcome not in NOT_LET_IN for stay in call.stays)
    waiting.passes = max(waiting.passes, fact.ordinal, waited)
    if fact.outcome is None:
        waiting.stay = part
    return part


def _attempt(calls: Calls, leg: LegPart, fact: facts.Attempt, stays: dict[str, StayPart]) -> None:
    part = AttemptPart(leg.call, leg.uniqueid, fact.device, fact.started_at)
    part.stay_id, part.queue, part.agent = fact.stay_id, fact.queue, fact.agent
    part.state, part.state_since, part.reason = fact.agent_state, fact.agent_state_since, fact.agent_reason
    part.ended_at, part.outcome = fact.ended_at, fact.outcome
    leg.attempt = part
    leg.call.attempts.append(part)
    stay = stays.get(fact.stay_id or "")
    owes = stay is not None and stay.outcome is StayOutcome.ANSWERED and stay.book_talk is None
    if stay is not None and owes and fact.agent == stay.agent:
        calls.connected.setdefault((stay.queue, fact.device), []).append(stay)


def _talk(leg: LegPart, fact: facts.Talk) -> None:
    leg.talks_made += 1
    part = TalkPart(leg, fact.started_at)
    part.id, part.queue, part.agent = fact.id, fact.queue, fact.agent
    part.ended_at, part.hold = fact.ended_at, fact.hold or 0.0
    leg.call.talks.append(part)
    if fact.ended_at is None:
        leg.talk = part


def _transfer(leg: LegPart, fact: facts.Transfer) -> None:
    leg.transfers_made += 1
    part = TransferPart(leg, fact.kind, fact.to, "", fact.at)
    part.id, part.by, part.result = fact.id, fact.by, fact.result
    leg.call.transfers.append(part)


def _recording(leg: LegPart, fact: facts.Recording) -> None:
    leg.recordings_made += 1
    part = RecordingPart(leg, fact.file, fact.started_at)
    part.id, part.stopped_at, part.paused = fact.id, fact.stopped_at, fact.paused
    leg.call.recordings.append(part)
    if fact.stopped_at is None:
        leg.recordings.append(part)


def resync(calls: Calls, seen: ev.Resynced, heard_until: float | None = None) -> list[Fact]:
    """Compare with what lives on the PBX now, and mend; returns what became true by it.

    `heard_until`: when the Asterisk that had the calls was last heard of, if another one runs now: what is gone
    went with it, and how long nothing ran is nobody's talk.
    """
    gone_at = seen.at if heard_until is None else heard_until
    calls.in_step_at = seen.at
    there = {channel.uniqueid for channel in seen.channels}
    _find_heirs(calls, seen)
    waiting = {(entry.uniqueid, entry.queue) for entry in seen.waiting}
    for call in calls.calls.values():
        call.quality = Quality.GAPPED
        calls.touch(call)
        _tell_open_parts(calls, call)
        for stay in call.stays:
            waits = (stay.uniqueid, stay.queue) in waiting  # and will be seen to leave
            stay.unseen_until = seen.at if waits else math.inf
    # Of these nothing but their making was seen, and the dial that ties them to a call will not be told any more.
    _tie(calls, [leg for leg in calls.legs.values() if not leg.call.shown and not leg.own_line], set())
    _stay_in_rooms(calls, seen)
    for leg in [leg for leg in calls.legs.values() if leg.uniqueid not in there]:
        calls.end_leg(leg, "", max(gone_at, _latest(leg)))
    for call in list(calls.calls.values()):
        calls.end_if_empty(call, max(gone_at, call.started_at))
    for channel in seen.channels:
        if channel.uniqueid in calls.legs:
            known = calls.legs[channel.uniqueid]
            known.dialed |= channel.application in _DIALLED
            if known.dialed and channel.state == _UP and known.answered_at is None:
                known.answered_at = seen.at
                calls.touch(known)
    found: list[ev.ChannelSeen] = []
    own_line = _alone(seen)
    for channel in sorted(seen.channels, key=lambda c: (-c.duration, age_of(c.uniqueid))):
        if channel.uniqueid not in calls.legs:
            _attach(calls, channel, seen.at)
            found.append(channel)
        leg = calls.legs[channel.uniqueid]
        leg.own_line = False
        if channel.application == AGENT_LOGIN:  # which is not stored
            talks.lend(calls, leg, channel.data)
    # The dials that tied these were not seen; the shared linkedid is the only evidence left.
    fresh = [calls.legs[channel.uniqueid] for channel in found]
    _tie(calls, [leg for leg in fresh if leg.uniqueid not in own_line], own_line)
    for leg in fresh:
        calls.show(leg.call)
    _rebuild_bridges(calls, seen)
    _compare_queues(calls, seen)
    _find_ringing(calls, seen)
    return calls.collect()


def _find_heirs(calls: Calls, seen: ev.Resynced) -> None:
    """Callers who now wait where an agent of theirs waited on another line, and waits no more: a half-finished transfer."""
    waiting = {entry.uniqueid for entry in seen.waiting}
    for entry in seen.waiting:
        heir, joined_at = calls.legs.get(entry.uniqueid), seen.at - entry.waited
        if heir is None or (heir.stay is not None and heir.stay.queue == entry.queue):
            continue
        devices = {leg.device for leg in heir.call.legs if leg.agent is not None}
        for leg in [
            leg for leg in calls.legs.values() if leg.device in devices and leg.uniqueid not in waiting
        ]:
            stay = leg.stay
            if (
                stay is not None
                and stay.queue == entry.queue
                and stay.left_at is None
                and abs(stay.joined_at - joined_at) <= _SAME_WAIT
            ):
                calls.show(calls.join(heir.call, leg.call))
                moves.take_place(calls, leg, stay, heir, seen.at)
                break


def _stay_in_rooms(calls: Calls, seen: ev.Resynced) -> None:
    """Whoever was in a conference and still is talks on, whoever came and went: until the bridges are known, nothing ends."""
    bridge_of = {channel.uniqueid: channel.bridge for channel in seen.channels}
    for leg in calls.legs.values():
        bridge = calls.bridges.get(leg.bridge) if leg.bridge is not None else None
        room = bridge is not None and bridge.kind != _TWO_PARTY and bridge_of.get(leg.uniqueid) == bridge.id
        leg.moving |= room and leg.talk is not None and not leg.own_line


def _latest(leg: LegPart) -> float:
    """The last begin on this channel; instants of events and of our own differ by the way between the two clocks."""
    parts = (leg.talk, leg.attempt)
    begun = [part.started_at for part in parts if part is not None]
    joined = [leg.stay.joined_at] if leg.stay is not None else []
    return max(leg.started_at, leg.answered_at or 0.0, *begun, *joined)


def _alone(seen: ev.Resynced) -> set[str]:
    """Uniqueids of those who share a bridge and a linkedid with strangers: on hold, in a room, on their own line."""
    people = Counter(channel.bridge for channel in seen.channels)
    shared = {
        bridge.bridge
        for bridge in seen.bridges or ()
        if bridge.kind != _TWO_PARTY and people[bridge.bridge] > 1
    }
    return {
        channel.uniqueid
        for channel in seen.channels
        if channel.application in _OWN_LINE or channel.bridge in shared
    }


def _tie(calls: Calls, legs: list[LegPart], own_line: set[str]) -> None:
    """Join each of these with whoever shares its linkedid: the channel it is named after, else the oldest that lives.

    A linkedid that a channel of `own_line` carries says nothing: unrelated callers come to share it.
    """
    named: dict[str, LegPart] = {}
    for leg in sorted(calls.legs.values(), key=lambda leg: (leg.uniqueid != leg.linkedid, leg.started_at)):
        named.setdefault(leg.linkedid, leg)
    shared = {leg.linkedid for leg in calls.legs.values() if leg.own_line or leg.uniqueid in own_line}
    for leg in legs:
        if leg.linkedid not in shared:
            calls.join(named[leg.linkedid].call, leg.call)


def _tell_open_parts(calls: Calls, call: CallPart) -> None:
    """After a restart nobody who listens knows who waits, rings and talks."""
    waiting: list[Part] = [stay for stay in call.stays if stay.outcome is None]
    ringing: list[Part] = [attempt for attempt in call.attempts if attempt.outcome is None]
    talking: list[Part] = [talk for talk in call.talks if talk.ended_at is None]
    for part in waiting + ringing + talking:
        calls.touch(part)


def _attach(calls: Calls, channel: ev.ChannelSeen, at: float) -> None:
    leg = calls.add_leg(channel, at - channel.duration)
    leg.call.quality = Quality.GAPPED
    leg.call.attached = True
    leg.dialed = channel.application in _DIALLED
    if leg.dialed and leg.device in calls.rules.trunks and channel.linkedid == channel.uniqueid:
        calls.called_from_here(leg)
    if leg.dialed and channel.state == _UP:
        leg.answered_at = at


def _rebuild_bridges(calls: Calls, seen: ev.Resynced) -> None:
    calls.bridges.clear()
    calls.vacated.clear()
    listed = None if seen.bridges is None else {bridge.bridge: bridge for bridge in seen.bridges}
    for channel in seen.channels:
        leg = calls.legs[channel.uniqueid]
        leg.bridge = channel.bridge or None
        if leg.bridge is None:
            continue
        bridge = calls.bridges.get(leg.bridge) or _bridge(leg.bridge, listed)
        if bridge is None:
            leg.bridge = None  # it was made after the list, and who enters it is told after this
            continue
        calls.bridges[bridge.id] = bridge
        bridge.members.add(leg.uniqueid)
        if listed is None:
            bridge.talkable = bridge.talkable and channel.application not in _OWN_LINE
    for bridge in calls.bridges.values():
        members = [calls.legs[uniqueid] for uniqueid in bridge.members]
        two_party = bridge.kind in {"", _TWO_PARTY} and bridge.talkable and len(members) == 2  # noqa: PLR2004 - the edge
        if two_party and not any(leg.own_line for leg in members):
            calls.join(members[0].call, members[1].call)
    dialling = {channel.uniqueid for channel in seen.channels if channel.application in DIALLING}
    for leg in list(calls.legs.values()):
        if leg.bridge is not None or leg.dialed:
            calls.leads_on(leg)
        leg.relays = leg.relays or _relays(leg, dialling)
    for leg in calls.legs.values():
        leg.moving = False
    for leg in list(calls.legs.values()):
        calls.refresh_talks(leg, seen.at)


def _bridge(bridge_id: str, listed: Mapping[str, ev.BridgeSeen] | None) -> talks.Bridge | None:
    if listed is None:
        return talks.Bridge(bridge_id, "", "")
    known = listed.get(bridge_id)
    return None if known is None else talks.Bridge(bridge_id, known.kind, known.technology)


def _relays(leg: LegPart, dialling: AbstractSet[str]) -> bool:
    """Whether a Local half leads on, or has led on, to a phone that was rung after it; who dialled whom is not listed."""
    if not leg.channel.startswith("Local/") or leg.uniqueid == leg.call.origin:
        return False
    return leg.pair is None or leg.pair in dialling or _led_on(leg)


def _led_on(leg: LegPart) -> bool:
    return any(
        other.dialed
        and not other.channel.startswith("Local/")
        and other.started_at >= leg.started_at - _SAME_START
        for other in leg.call.legs
    )


def _compare_queues(calls: Calls, seen: ev.Resynced) -> None:
    waiting = {entry.uniqueid: entry for entry in seen.waiting}
    for leg in list(calls.legs.values()):
        entry = waiting.get(leg.uniqueid)
        joined_at = seen.at - entry.waited if entry is not None else 0.0
        stay = leg.stay
        if (
            stay is not None
            and entry is not None
            and (entry.queue != stay.queue or joined_at > stay.joined_at + _SAME_WAIT)
        ):
            queueing.decide_stay(calls, leg, "", max(joined_at, stay.joined_at), last_word=True)
        elif stay is not None and entry is None:
            _left_unseen(calls, leg, stay)
        if leg.stay is None and entry is not None and not _known(leg, entry.queue, joined_at):
            queueing.begin_stay(calls, leg, entry.queue, joined_at, entry.position).unseen_until = seen.at


def _known(leg: LegPart, queue: str, joined_at: float) -> bool:
    """Whether this wait is one that has been decided already, and is listed only because it has just ended."""
    return any(
        (stay.uniqueid, stay.queue) == (leg.uniqueid, queue) and abs(stay.joined_at - joined_at) <= _SAME_WAIT
        for stay in leg.call.stays
    )


def _find_ringing(calls: Calls, seen: ev.Resynced) -> None:
    """Phones found ringing are attempts from now on, in the queue their caller waits in.

    The oldest channel first: the ringing of a member on a Local channel is that channel's, not the phone's behind it.
    """
    ringing = [calls.legs[channel.uniqueid] for channel in seen.channels if channel.state != _UP]
    for leg in sorted(ringing, key=lambda leg: age_of(leg.uniqueid)):
        fresh = leg.attempt is None and leg.dial_status is None and not calls.rings_already(leg)
        if leg.dialed and leg.agent is not None and fresh:
            stay = next((stay for stay in leg.call.stays if stay.outcome is None), None)
            calls.begin_attempt(leg, stay, seen.at)


def _left_unseen(calls: Calls, leg: LegPart, stay: StayPart) -> None:
    """A caller who no longer waits and talks with an agent was answered; anything else shows later, or never."""
    talker = next(
        (other for other in talks.connected(calls, leg) if other.talk is not None and other.agent), None
    )
    if talker is None or talker.talk is None:
        return
    rung = next((a for a in stay.call.attempts if a.stay_id == stay.id and a.agent == talker.agent), None)
    device = talker.device if rung is None else rung.device  # of a member on a Local channel, that one
    answered_at = talker.answered_at or talker.talk.started_at
    queueing.connect(calls, leg, stay, talker.agent or "", device, answered_at)
    if talker.talk.queue is None:
        talker.talk.queue = stay.queue
        calls.touch(talker.talk)
