"""How things ended: the tables that turn what was seen into one outcome.

Sources: DIALSTATUS and QUEUESTATUS values as app_dial and app_queue set them; causes are Q.850.
"""

from cti.core.facts import AttemptOutcome, Disposition, Quality, StayOutcome
from cti.core.parts import CallPart, LegPart, StayPart

CALL_REJECTED = 21

ATTEMPT_BY_DIAL_STATUS: dict[str, AttemptOutcome] = {
    "ANSWER": AttemptOutcome.ANSWERED,
    "NOANSWER": AttemptOutcome.NO_ANSWER,
    "BUSY": AttemptOutcome.BUSY,
    "CANCEL": AttemptOutcome.CANCELLED,
    "ABORT": AttemptOutcome.CANCELLED,
    "CONGESTION": AttemptOutcome.UNREACHABLE,
    "CHANUNAVAIL": AttemptOutcome.UNREACHABLE,
}

STAY_BY_QUEUE_STATUS: dict[str, StayOutcome] = {
    "TIMEOUT": StayOutcome.TIMEOUT,
    "FULL": StayOutcome.FULL,
    "JOINEMPTY": StayOutcome.JOIN_EMPTY,
    "JOINUNAVAIL": StayOutcome.JOIN_EMPTY,
    "LEAVEEMPTY": StayOutcome.EMPTY,
    "LEAVEUNAVAIL": StayOutcome.EMPTY,
    "WITHDRAW": StayOutcome.WITHDRAWN,
}


def stay_outcome(stay: StayPart, leg: LegPart, queue_status: str, *, last_word: bool) -> StayOutcome | None:
    """Why a caller who was not connected left the queue; None while it cannot be told yet.

    QueueCallerAbandon comes for timeouts, emptied queues and withdrawals too, so a caller who lives on is told by
    QUEUESTATUS; leaving without any of it is an exit by key. `last_word` is true when nothing more will be
    heard of this pass (the channel hung up, or joined the next queue).
    """
    fresh = queue_status != stay.status_before
    if stay.abandon_sent and leg.hangup_asked:
        return StayOutcome.ABANDONED
    if queue_status in STAY_BY_QUEUE_STATUS and (fresh or stay.abandon_sent):
        return STAY_BY_QUEUE_STATUS[queue_status]
    if not last_word:
        return None
    if stay.abandon_sent or leg.hangup_asked:
        return StayOutcome.ABANDONED
    return StayOutcome.LEFT_BY_KEY if stay.left_at is not None else StayOutcome.UNKNOWN


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
    if leg.hangup_cause == CALL_REJECTED and leg.answered_at is None:
        return AttemptOutcome.REJECTED
    return ATTEMPT_BY_DIAL_STATUS.get(leg.dial_status or "", AttemptOutcome.UNKNOWN)


def disposition(call: CallPart) -> Disposition:
    """How the whole call ended, from its parts; the most human outcome wins."""
    if call.answered_at is not None:
        return Disposition.ANSWERED
    if call.stays:
        return _DISPOSITION_BY_STAY.get(call.stays[-1].outcome, Disposition.UNKNOWN)
    if call.quality is Quality.GAPPED and call.hangup_cause is None:
        return Disposition.UNKNOWN  # its end was not seen
    rung = {leg_outcome(leg) for leg in call.legs if leg.dialed and leg.dial_status is not None}
    for outcome, result in _DISPOSITION_BY_ATTEMPT:
        if outcome in rung:
            return result
    return Disposition.UNKNOWN if rung else Disposition.LEFT_MENU
