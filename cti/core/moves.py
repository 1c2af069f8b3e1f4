"""Calls that are handed on: what a transfer ties together, and what became of it.

A transfer is an explicit edge: the call, the consultation and whoever was reached are one call from then on. How it
went shows later, by who talks with the one who was handed on, or by how the ringing that followed ended.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from cti.core import events as ev
from cti.core import queueing
from cti.core.endings import leg_outcome
from cti.core.facts import AttemptOutcome, StayOutcome
from cti.core.parts import PENDING, CallPart, LegPart, StayPart, TransferPart
from cti.core.people import age_of, local_number

if TYPE_CHECKING:
    from cti.core.calls import Calls

_RESULT_BY_ATTEMPT: dict[AttemptOutcome, str] = {
    AttemptOutcome.BUSY: "busy",
    AttemptOutcome.NO_ANSWER: "no_answer",
    AttemptOutcome.REJECTED: "rejected",
    AttemptOutcome.UNREACHABLE: "failed",
}
_AHEAD = 0.05  # s by which what a transfer leads to may begin before the transfer is told
_STILL_OPEN = frozenset({"Dial", "Queue"})  # applications in which a consultation has not reached anybody yet


def blind(calls: "Calls", e: ev.BlindTransferred) -> None:
    """Somebody sent the other side away to a number."""
    leg = calls.legs.get(e.by)
    if leg is not None and not _known(leg, e):
        _begin(calls, leg, "blind", e).result = PENDING if e.done else "failed"


def attended(calls: "Calls", e: ev.AttendedTransferred) -> None:
    """Somebody connected the other side with whom they had called meanwhile."""
    leg = calls.legs.get(e.by)
    if leg is None or _known(leg, e):
        return
    by_feature_code = e.second == e.by
    if e.done:
        _join(calls, leg, (e.second, e.whom, e.target))
    elif by_feature_code:  # it was dialled, though whoever was to be handed on had hung up
        _join(calls, leg, _members(calls, e.consultation))
    if by_feature_code:
        e = replace(e, to=_dialled(leg.call) or e.to)
    if not e.done:
        _begin(calls, leg, "attended", e).result = "failed"
        return
    target = calls.legs.get(e.target) or _met(calls, e)
    rings = target is None or (target.dialed and target.answered_at is None) or target.ringing
    waits = e.application in _STILL_OPEN if e.application else rings
    part = _begin(calls, leg, "half_finished" if waits else "attended", e)
    if leg.quits and leg.call.ended_by is calls.side_of(leg):
        leg.call.ended_by = None  # who hangs up and so hands on has ended nothing
    if not waits:
        part.result = "answered"
    _wait_on(calls, e)


def _members(calls: "Calls", bridge: str) -> set[str]:
    found = calls.bridges.get(bridge)
    return found.members if found is not None else set()


def _dialled(call: CallPart) -> str:
    """The number of the latest consultation by feature code: that of its Local channel, which nobody dialled."""
    halves = [
        leg
        for leg in call.legs
        if leg.channel.startswith("Local/")
        and leg.channel.endswith(";1")
        and leg.ring_started_at is None
        and (leg.dial_status is not None or not leg.dialed)
    ]
    latest = max(halves, key=lambda leg: age_of(leg.uniqueid), default=None)
    return "" if latest is None else local_number(latest.channel)


def _join(calls: "Calls", leg: LegPart, others: Iterable[str]) -> None:
    for uniqueid in others:
        other = calls.legs.get(uniqueid)
        if other is not None:
            calls.show(calls.join(leg.call, other.call))


def has_just_handed_on(leg: LegPart, since: float) -> bool:
    """Whether this channel has connected the others with each other lately."""
    own = f"{leg.id}/x"
    return any(
        part.id.startswith(own) and part.at >= since and part.kind != "blind" and part.result != "failed"
        for part in leg.call.transfers
    )


def _known(leg: LegPart, e: ev.BlindTransferred | ev.AttendedTransferred) -> bool:
    """Whether this was told before."""
    return any((part.at, part.device) == (e.at, leg.device) for part in leg.call.transfers)


def _met(calls: "Calls", e: ev.AttendedTransferred) -> LegPart | None:
    """Whom the one who was handed on is together with: Asterisk does not always name the target."""
    others = _members(calls, e.bridge) - {e.whom, e.by, e.second}
    return calls.legs.get(min(others)) if others else None


def picked_up(calls: "Calls", e: ev.PickedUp) -> None:
    """Somebody takes a ringing call: from now on theirs is the phone that was rung, and that answered."""
    leg, rung = calls.legs.get(e.uniqueid), calls.legs.get(e.target)
    if leg is None or rung is None or (leg.picked and leg.call is rung.call):
        return  # the latter: told twice
    calls.show(calls.join(leg.call, rung.call))
    leg.agent = calls.agents.agent_of(leg.device)
    leg.dialed = leg.picked = True
    leg.answered_at = e.at
    calls.touch(leg)
    lost = rung.attempt
    stay = None
    if lost is not None and lost.outcome is None:
        lost.verdict, lost.over_at = AttemptOutcome.CANCELLED, e.at
        stay = next((stay for stay in leg.call.stays if stay.id == lost.stay_id), None)
    if leg.agent is not None:
        calls.begin_attempt(leg, stay, e.at)
        calls.answer_attempt(leg, e.at)
    _credit(calls, leg)
    calls.refresh_talks(leg, e.at)


def _credit(calls: "Calls", leg: LegPart) -> None:
    """Pickup may be told after the AgentConnect and the bridge it led to: then it was not the member who answered."""
    for stay in leg.call.stays:
        if stay.member_channel == leg.uniqueid:
            stay.agent = leg.agent
            calls.touch(stay)
    if leg.talk is not None:
        leg.talk.agent = leg.agent
        calls.touch(leg.talk)


def _begin(
    calls: "Calls", leg: LegPart, kind: str, e: ev.BlindTransferred | ev.AttendedTransferred
) -> TransferPart:
    leg.transfers_made += 1
    part = TransferPart(leg, kind, e.to, e.whom, e.at)
    leg.call.transfers.append(part)
    calls.show(leg.call)
    calls.touch(part)
    return part


def _wait_on(calls: "Calls", e: ev.AttendedTransferred) -> None:
    """Who was handed on takes the place of the channel that waited in the queue (a masquerade, which tells nothing)."""
    waiting, heir = calls.legs.get(e.second), calls.legs.get(e.whom)
    if waiting is None or heir is None or waiting is heir:
        return
    if waiting.stay is None:
        if (
            e.application
        ):  # it has been turned away, or left again, and its variables tell so of the heir from now on
            heir.queue_status = waiting.queue_status or heir.queue_status
        return
    take_place(calls, waiting, waiting.stay, heir, e.at)


def take_place(calls: "Calls", waiting: LegPart, stay: StayPart, heir: LegPart, at: float) -> None:
    """From now on another channel waits."""
    # What is still undecided about an earlier wait of the heir (its AgentConnect was lost) is decided now or never.
    queueing.decide_stay(calls, heir, "", at, last_word=True, lives_on=True)
    waiting.stay, heir.stay = None, stay
    stay.uniqueid = heir.uniqueid
    heir.passes += 1
    heir.queue_status = waiting.queue_status or heir.queue_status  # the channels' variables become one's
    calls.touch(stay)


def reached(calls: "Calls", group: list[LegPart]) -> None:
    """These talk with each other: the transfers of those among them who were handed on have led to somebody."""
    there = {leg.uniqueid for leg in group}
    for part in group[0].call.transfers:
        if part.result == PENDING and (part.whom in there or not part.whom):
            again = any(leg.device == part.device and leg.uniqueid != part.whom for leg in group)
            part.result = "recalled" if again else "answered"
            calls.touch(part)


def settle(calls: "Calls", call: CallPart) -> None:
    """The call is over: transfers that led to nobody ended as the ringing or waiting after them did."""
    for part in call.transfers:
        if part.result == PENDING:
            part.result = _ending(call, part)
            calls.touch(part)


def _ending(call: CallPart, part: TransferPart) -> str:
    since = part.at - _AHEAD
    stays = [stay for stay in call.stays if stay.joined_at >= since]
    if stays:
        return "abandoned" if stays[-1].outcome is StayOutcome.ABANDONED else "no_answer"
    rung = [leg for leg in call.legs if leg.dialed and leg.started_at >= since and not leg.relays]
    if rung:
        result = _RESULT_BY_ATTEMPT.get(leg_outcome(rung[-1]))
        if result is not None:
            return result
    whom = part.whom or call.origin
    gave_up = any(leg.uniqueid == whom and leg.quits for leg in call.legs)
    return "abandoned" if gave_up else "failed"
