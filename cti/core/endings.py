"""How things ended: the tables that turn what was seen into one outcome.

Sources: DIALSTATUS and QUEUESTATUS values as app_dial and app_queue set them; causes are Q.850.
"""

from cti.core.facts import AttemptOutcome, Disposition, Quality, StayOutcome
from cti.core.parts import CallPart, LegPart, StayPart

_OUTCOME_BY_DIAL_STATUS: dict[str, AttemptOutcome] = {
    "ANSWER": AttemptOutcome.ANSWERED,
    "NOANSWER": AttemptOutcome.NO_ANSWER,
    "BUSY": AttemptOutcome.BUSY,
    "CANCEL": AttemptOutcome.CANCELLED,
    "ABORT": AttemptOutcome.CANCELLED,
    "CONGESTION": AttemptOutcome.UNREACHABLE,
    "CHANUNAVAIL": AttemptOutcome.UNREACHABLE,
    "CONTINUE": AttemptOutcome.REJECTED,  # picked up, asked whether to take the call, and not taken (GOSUB_RESULT)
}

# app_queue ends every ringing of its own with NOANSWER, and app_dial that of a declined one: what the phone really
# said is in the cause of its channel.
_OUTCOME_BY_CAUSE: dict[int | None, AttemptOutcome] = {
    1: AttemptOutcome.UNREACHABLE,  # unallocated number
    3: AttemptOutcome.UNREACHABLE,  # no route to destination
    17: AttemptOutcome.BUSY,
    20: AttemptOutcome.UNREACHABLE,  # subscriber absent
    21: AttemptOutcome.REJECTED,
    27: AttemptOutcome.UNREACHABLE,  # destination out of order
    34: AttemptOutcome.UNREACHABLE,  # no circuit available
    38: AttemptOutcome.UNREACHABLE,  # network out of order
    42: AttemptOutcome.UNREACHABLE,  # congestion
}

# Of a phone that was rung without a Dial (Originate): no DialEnd tells that it was given up.
_OUTCOME_OF_ORIGINATED: dict[int | None, AttemptOutcome] = {
    **_OUTCOME_BY_CAUSE,
    0: AttemptOutcome.CANCELLED,
    16: AttemptOutcome.CANCELLED,
    18: AttemptOutcome.NO_ANSWER,
    19: AttemptOutcome.NO_ANSWER,
}

# Of a call for which no channel was even made: what the dialplan was told, and passed on to the caller.
_DISPOSITION_BY_CAUSE: dict[int | None, Disposition] = {
    1: Disposition.FAILED,
    3: Disposition.FAILED,
    17: Disposition.BUSY,
    20: Disposition.FAILED,
    27: Disposition.FAILED,
    34: Disposition.FAILED,
    38: Disposition.FAILED,
    42: Disposition.FAILED,
}

STAY_BY_QUEUE_STATUS: dict[str, StayOutcome] = {
    "TIMEOUT": StayOutcome.TIMEOUT,
    "LEAVEEMPTY": StayOutcome.EMPTY,
    "LEAVEUNAVAIL": StayOutcome.EMPTY,
    "WITHDRAW": StayOutcome.WITHDRAWN,
}
TURNED_AWAY: dict[str, StayOutcome] = {
    "FULL": StayOutcome.FULL,
    "JOINEMPTY": StayOutcome.JOIN_EMPTY,
    "JOINUNAVAIL": StayOutcome.JOIN_EMPTY,
}
"""QUEUESTATUS of a caller a queue did not let in: AMI has no other sign of it, and none of which queue it was."""
STATUS_LEFT_BEHIND: dict[StayOutcome | None, str] = {
    StayOutcome.FULL: "FULL",
    StayOutcome.JOIN_EMPTY: "JOINEMPTY",
    StayOutcome.TIMEOUT: "TIMEOUT",
    StayOutcome.EMPTY: "LEAVEEMPTY",
    StayOutcome.WITHDRAWN: "WITHDRAW",
}
"""The QUEUESTATUS that a pass which ended so leaves on the channel."""
_JUST = 0.1  # s within which the sign of an end and the end itself come


def stay_outcome(stay: StayPart, queue_status: str, *, last_word: bool, lives_on: bool) -> StayOutcome | None:
    """Why a caller who was not connected left the queue; None while it cannot be told yet.

    QueueCallerAbandon comes for timeouts, emptied queues and withdrawals too: those set QUEUESTATUS, which a caller
    who hung up does not. A QUEUESTATUS that an earlier queue left behind says nothing by itself, and that of a later one
    that turned the caller away only that the word of this pass was written over; it may do so with the very word that
    was there before. These words are compared by their meaning, for that is all a restart leaves of them. Leaving without
    any of it is an exit by key, or a member who picked up in the instant in which the caller hung up: app_queue then
    leaves, connects and completes as ever, so without an abandon a hangup decides nothing before the end.
    `last_word` is true when nothing more will be heard of this pass (the channel hung up, or joined the next queue),
    `lives_on` when the caller was seen to do something else after it: an abandon without any reason then means that
    somebody took the caller out of the queue.
    """
    by_status = STAY_BY_QUEUE_STATUS.get(queue_status)
    if by_status is not None and queue_status != stay.status_before:
        return by_status
    seen = stay.left_at is None or stay.left_at > stay.unseen_until + _JUST
    unsaid = last_word and (
        stay.left_at is None or not seen
    )  # an abandon may have been sent, and was not heard
    refused = TURNED_AWAY.get(queue_status)
    overwritten = refused is not None and refused is not TURNED_AWAY.get(stay.status_before)
    if stay.caller_gone and (stay.abandon_sent or (unsaid and not overwritten)):
        return StayOutcome.ABANDONED
    if by_status is not None and stay.abandon_sent:
        return by_status if seen else StayOutcome.UNKNOWN  # or left behind, and the hangup was not seen
    if overwritten and (stay.abandon_sent or unsaid):
        return StayOutcome.UNKNOWN
    if stay.abandon_sent and lives_on:
        return StayOutcome.TRANSFERRED_OUT
    if not last_word:
        return None
    if stay.abandon_sent:
        return StayOutcome.ABANDONED if refused is None else StayOutcome.UNKNOWN  # turned away again, perhaps
    return StayOutcome.LEFT_BY_KEY if seen and stay.left_at is not None else StayOutcome.UNKNOWN


_DISPOSITION_BY_STAY: dict[StayOutcome | None, Disposition] = {
    StayOutcome.ABANDONED: Disposition.ABANDONED,
    StayOutcome.TIMEOUT: Disposition.NO_ANSWER,
    StayOutcome.EMPTY: Disposition.NO_ANSWER,
    StayOutcome.JOIN_EMPTY: Disposition.NO_ANSWER,
    StayOutcome.FULL: Disposition.NO_ANSWER,
    StayOutcome.LEFT_BY_KEY: Disposition.NO_ANSWER,
    StayOutcome.WITHDRAWN: Disposition.NO_ANSWER,
}

_DISPOSITION_BY_ATTEMPT: tuple[tuple[AttemptOutcome, Disposition], ...] = (
    (AttemptOutcome.NO_ANSWER, Disposition.NO_ANSWER),
    (AttemptOutcome.CANCELLED, Disposition.NO_ANSWER),
    (AttemptOutcome.ANSWERED, Disposition.NO_ANSWER),  # picked up, but nobody was put through
    (AttemptOutcome.REJECTED, Disposition.REJECTED),
    (AttemptOutcome.BUSY, Disposition.BUSY),
    (AttemptOutcome.UNREACHABLE, Disposition.FAILED),
)


def leg_outcome(leg: LegPart) -> AttemptOutcome:
    """What became of a rung leg that is over."""
    if leg.dial_status is None:
        return _OUTCOME_OF_ORIGINATED.get(leg.hangup_cause, AttemptOutcome.UNKNOWN)
    status = _OUTCOME_BY_DIAL_STATUS.get(leg.dial_status or "", AttemptOutcome.UNKNOWN)
    idle_local = (
        leg.channel.startswith("Local/") and not leg.relays
    )  # its cause is the dialplan's, nobody's phone
    if status is AttemptOutcome.ANSWERED or status is AttemptOutcome.CANCELLED or idle_local:
        return status
    return _OUTCOME_BY_CAUSE.get(leg.hangup_cause, status)


def disposition(call: CallPart) -> Disposition:
    """How the whole call ended, from its parts; the most human outcome wins."""
    if call.answered_at is not None:
        return Disposition.ANSWERED
    if call.voicemail:
        return Disposition.VOICEMAIL
    if call.stays and call.stays[-1].outcome is not StayOutcome.TRANSFERRED_OUT:
        given_back = call.stays[-1].outcome is StayOutcome.UNKNOWN and call.stays[-1].abandon_sent
        if given_back and call.quality is Quality.COMPLETE:
            return Disposition.NO_ANSWER  # for whichever reason; a caller who hangs up is seen to
        return _DISPOSITION_BY_STAY.get(call.stays[-1].outcome, Disposition.UNKNOWN)
    if call.quality is Quality.GAPPED and call.hangup_cause is None:
        return Disposition.UNKNOWN  # its end was not seen
    rung = {leg_outcome(leg) for leg in call.legs if leg.dialed and not leg.relays and _was_rung(leg)}
    for outcome, result in _DISPOSITION_BY_ATTEMPT:
        if outcome in rung:
            return result
    if rung or call.attached:
        return Disposition.UNKNOWN
    return _DISPOSITION_BY_CAUSE.get(call.hangup_cause, Disposition.LEFT_MENU)


def _was_rung(leg: LegPart) -> bool:
    """Whether ringing this leg says how the call went: not what was cut off unseen, nor an answered Originate or menu."""
    if leg.dial_status == "ANSWER" and leg.agent is None and leg.channel.startswith("Local/"):
        return False  # a Local half that answered by itself, with nobody behind it
    return leg.dial_status is not None or (leg.answered_at is None and leg.hangup_cause is not None)
