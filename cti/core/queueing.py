"""Queues: callers who wait, are turned away, given up or given to a member. Sources: the app_queue events of AMI."""

import math
from typing import TYPE_CHECKING

from cti.core import events as ev
from cti.core.endings import TURNED_AWAY, stay_outcome
from cti.core.facts import AttemptOutcome, StayOutcome
from cti.core.parts import LegPart, StayPart
from cti.core.people import device_of_interface

if TYPE_CHECKING:
    from cti.core.calls import Calls

_ANSWERED = AttemptOutcome.ANSWERED
_KEPT_CONNECTS = 4  # answered stays a member may still owe an AgentComplete for


def joined(calls: "Calls", e: ev.CallerJoined) -> None:
    """QueueCallerJoin."""
    leg = calls.legs.get(e.uniqueid) or calls.unknown(e.uniqueid, e)
    if leg is None:
        return
    open_ = leg.stay if leg.stay is not None and leg.stay.left_at is None else None
    if open_ is not None and open_.queue == e.queue and open_.unseen_until != math.inf:
        return  # already known from a list; one that no list had is over, and they came back
    decide_stay(calls, leg, e.queue_status, e.at, last_word=True, lives_on=True)
    heard(calls, leg, e.queue_status, e.at)
    stay = begin_stay(calls, leg, e.queue, e.at, e.position)
    stay.status_before = e.queue_status


def turned_away(calls: "Calls", e: ev.CallerTurnedAway) -> None:
    """CEL: a queue did not let the caller in."""
    leg = calls.legs.get(e.uniqueid) or calls.unknown(e.uniqueid, e)
    if leg is not None:
        decide_stay(calls, leg, "", e.at, last_word=True, lives_on=True)
        leg.queue_status = e.queue_status
        _refuse(calls, leg, e.queue, TURNED_AWAY[e.queue_status], e.at)


def heard(calls: "Calls", leg: LegPart, queue_status: str, at: float) -> None:
    """Take note of a channel's QUEUESTATUS: one that has changed may be the only sign of having been turned away."""
    if not queue_status or queue_status == leg.queue_status:
        return
    before, leg.queue_status = leg.queue_status, queue_status
    outcome = TURNED_AWAY.get(queue_status)
    if outcome is not None and outcome is not TURNED_AWAY.get(before):
        _refuse(calls, leg, "", outcome, at)


def _refuse(calls: "Calls", leg: LegPart, queue: str, outcome: StayOutcome, at: float) -> None:
    """A queue did not let a caller in, at the latest now; which one is for CEL to say."""
    stays = leg.call.stays
    place = len(stays)
    last = next((stay for stay in reversed(stays) if stay.uniqueid == leg.uniqueid), None)
    if last is not None and last.outcome is StayOutcome.ABANDONED:  # after which nothing comes: it was before
        place, at = stays.index(last), last.joined_at
    leg.refusals += 1
    refused = StayPart(leg.call, leg.uniqueid, 0, queue, at)
    refused.id = f"{leg.id}/n{leg.refusals}"
    refused.left_at, refused.outcome, refused.wait = at, outcome, 0.0
    stays.insert(place, refused)
    calls.show(leg.call)
    calls.touch(refused)


def begin_stay(calls: "Calls", leg: LegPart, queue: str, at: float, position: int) -> StayPart:
    """A caller begins to wait."""
    calls.leads_on(leg)
    leg.passes += 1
    stay = StayPart(leg.call, leg.uniqueid, leg.passes, queue, at)
    stay.position = position
    stay.caller_gone = leg.hangup_asked
    leg.stay = stay
    leg.call.stays.append(stay)
    calls.show(leg.call)
    calls.touch(stay)
    return stay


def _waiting_stay(calls: "Calls", uniqueid: str, queue: str) -> StayPart | None:
    leg = calls.legs.get(uniqueid)
    stay = leg.stay if leg is not None else None
    return stay if stay is not None and stay.queue == queue and stay.outcome is None else None


def abandoned(calls: "Calls", e: ev.CallerAbandoned) -> None:
    """QueueCallerAbandon, which comes for more than giving up; see `stay_outcome`."""
    stay = _waiting_stay(calls, e.uniqueid, e.queue)
    if stay is not None:
        stay.abandon_sent = True
        if stay.caller_gone:
            stay.left_at = e.at
            decide_stay(calls, calls.legs[e.uniqueid], "", e.at, last_word=False)


def left(calls: "Calls", e: ev.CallerLeft) -> None:
    """QueueCallerLeave."""
    stay = _waiting_stay(calls, e.uniqueid, e.queue)
    if stay is None:
        return
    stay.left_at = e.at
    calls.touch(stay)
    decide_stay(calls, calls.legs[e.uniqueid], e.queue_status, e.at, last_word=False)
    heard(calls, calls.legs[e.uniqueid], e.queue_status, e.at)


def decide_stay(
    calls: "Calls", leg: LegPart, queue_status: str, at: float, *, last_word: bool, lives_on: bool = False
) -> None:
    """End the pass of a caller who was not connected, as soon as it can be told how.

    `last_word`: nothing more will be heard of this pass; `lives_on`: the caller was seen doing something else.
    """
    stay = leg.stay
    if stay is None or stay.outcome is not None or (stay.left_at is None and not last_word):
        return
    outcome = stay_outcome(stay, queue_status, last_word=last_word, lives_on=lives_on)
    if outcome is None:
        return
    unsaid = outcome is StayOutcome.LEFT_BY_KEY or outcome is StayOutcome.UNKNOWN
    if unsaid and _connected_unseen(calls, leg, stay):
        return
    stay.left_at = stay.left_at or at
    stay.outcome = outcome
    stay.wait = max(0.0, stay.left_at - stay.joined_at)
    leg.stay = None
    calls.touch(stay)


def member_called(calls: "Calls", e: ev.MemberCalled) -> None:
    """AgentCalled: a member's phone is asked."""
    leg = calls.legs.get(e.member_channel) or calls.unknown(e.member_channel, e)
    if leg is None:
        return
    caller = calls.legs.get(e.uniqueid)
    if caller is not None:
        calls.join(caller.call, leg.call)
        calls.leads_on(leg)
    leg.agent = e.member or leg.agent
    leg.dialed = True
    leg.ring_started_at = leg.ring_started_at or e.at
    if leg.attempt is None:
        _begin_members_attempt(calls, leg, _waiting_stay(calls, e.uniqueid, e.queue), e.at)
    calls.touch(leg)


def _begin_members_attempt(calls: "Calls", leg: LegPart, stay: StayPart | None, at: float) -> None:
    """A member rings; the phone behind a Local member may have been told of before."""
    rung = None
    for attempt in leg.call.attempts:
        if attempt.outcome is None and attempt.agent == leg.agent:
            rung = attempt
            break
    if rung is None or rung.stay_id is not None or stay is None:
        calls.begin_attempt(leg, stay, at)
    else:
        rung.stay_id, rung.queue = stay.id, stay.queue
        leg.attempt = rung
        calls.touch(rung)


def member_connected(calls: "Calls", e: ev.MemberConnected) -> None:
    """AgentConnect."""
    stay = _waiting_stay(calls, e.uniqueid, e.queue)
    if stay is None:
        return
    member = calls.legs.get(e.member_channel)
    answered_at = member.answered_at if member is not None and member.answered_at else e.at
    stay.left_at = stay.left_at or e.at
    stay.book_wait = e.hold_time
    stay.member_channel = e.member_channel
    agent = e.member if member is None or not member.picked else member.agent or ""
    connect(calls, calls.legs[e.uniqueid], stay, agent, device_of_interface(e.interface), answered_at)


def connect(  # noqa: PLR0917 - who, where, by whom, when
    calls: "Calls", leg: LegPart, stay: StayPart, agent: str, device: str, at: float
) -> None:
    """The caller `leg` was given to this member, who picked up at `at`."""
    stay.answered_at = at
    stay.left_at = stay.left_at or at
    stay.outcome = StayOutcome.ANSWERED
    stay.wait = max(0.0, at - stay.joined_at)
    stay.agent = agent or None
    leg.stay = None
    calls.touch(stay)
    calls.answer(stay.call, at)
    for talk in stay.call.talks:
        theirs = agent and talk.agent == agent and talk.started_at >= at
        if talk.queue is None and theirs and leg.uniqueid in talk.waiters:
            talk.queue = stay.queue
            calls.touch(talk)
    owed = calls.connected.setdefault((stay.queue, device), [])
    owed.append(stay)
    del owed[:-_KEPT_CONNECTS]


def _connected_unseen(calls: "Calls", leg: LegPart, stay: StayPart) -> bool:
    """Whether a member took this caller and they talked, though AgentConnect was not seen; if so, note it."""
    for rung in stay.call.attempts:
        taken = rung.stay_id == stay.id and rung.outcome is _ANSWERED
        if taken and any(talk.agent == rung.agent for talk in stay.call.talks):
            connect(calls, leg, stay, rung.agent or "", rung.device, rung.ended_at or stay.joined_at)
            return True
    return False


def member_completed(calls: "Calls", e: ev.MemberCompleted) -> None:
    """AgentComplete."""
    owed = calls.connected.get((e.queue, device_of_interface(e.interface)))
    stay = _owing(owed, e) if owed else None
    if owed and stay is not None:
        owed.remove(stay)
        stay.book_talk = e.talk_time
        calls.touch(stay)


def rang_no_answer(calls: "Calls", e: ev.MemberRangNoAnswer) -> None:
    """AgentRingNoAnswer."""
    leg = calls.legs.get(e.member_channel)
    attempt = leg.attempt if leg is not None else None
    if attempt is not None and attempt.outcome is None:
        attempt.verdict, attempt.over_at = AttemptOutcome.NO_ANSWER, attempt.over_at or e.at


def _owing(stays: list[StayPart], e: ev.MemberCompleted) -> StayPart | None:
    """The one of these that an AgentComplete is about."""
    for stay in stays:
        if stay.uniqueid == e.uniqueid:
            return stay
    for stay in stays:
        # After a transfer into a queue app_queue names the channel that was put in the caller's place; of a caller who is
        # gone, none.
        if e.member_channel and stay.member_channel == e.member_channel:
            return stay
    return None if e.uniqueid else stays[0]
