"""Pending marks: what the dialplan wrote into AstDB about an after-hours call, and the facts it stands for.

A mark is `cti-pending/<uniqueid>` =
`1|<entered>|<hotline>|<did>|<caller>|<state>|<accepted number>|<accepted>|<ended>`; instants are epoch seconds with
up to six decimals. It survives the daemon, the database and the call, so the work item can always be made. What stands
in AstDB may be anything: nothing is taken that does not have exactly this form.
"""

import re
from dataclasses import dataclass
from enum import StrEnum

from cti.core.facts import Call, Direction, Disposition, EndedBy, Quality, RejectReason, WorkItem

_FIELDS = 9
_LONGEST = 512  # characters of a mark
_UNIQUEID = re.compile(r"[A-Za-z0-9_.-]{3,150}")
_EPOCH = re.compile(r"[0-9]{9,11}(\.[0-9]{1,6})?")
_NAME = re.compile(r"[A-Za-z0-9_.-]{0,80}")
_NUMBER = re.compile(r"[0-9+]{0,80}")  # what Asterisk's channels can hold; our dialplan keeps 40


class MarkState(StrEnum):
    """How far an after-hours call has come."""

    RINGING = "ringing"
    ACCEPTED = "accepted"
    UNANSWERED = "unanswered"  # nobody on the ladder took it
    ABANDONED = "abandoned"  # the caller left first
    CLOSED = "closed"  # outside duty hours


class BadMark(ValueError):
    """A mark that cannot be taken; `reason` says why, `detail` which part (never a caller's number)."""

    def __init__(self, reason: RejectReason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Mark:
    """One after-hours call as the dialplan saw it."""

    uniqueid: str  # the caller's channel
    entered_at: float
    hotline: str
    did: str  # the number that was called
    caller: str
    state: MarkState
    accepted_by: str | None = None  # number
    accepted_at: float | None = None
    ended_at: float | None = None  # None while the call lives


def parse_mark(uniqueid: str, value: str) -> Mark:
    """Read one mark.

    Args:
        uniqueid: the key, hostile.
        value: the value, hostile.

    Raises:
        BadMark: it has not the agreed form.
    """
    if _UNIQUEID.fullmatch(uniqueid) is None:
        raise BadMark(RejectReason.MALFORMED, "the key is not a channel's uniqueid")
    if len(value) > _LONGEST:
        raise BadMark(RejectReason.TOO_LONG, f"{len(value)} characters")
    parts = value.split("|")
    if len(parts) != _FIELDS or parts[0] != "1":
        raise BadMark(
            RejectReason.MALFORMED, f"version {parts[0][:8]!r} with {len(parts)} fields, not 1 with {_FIELDS}"
        )
    _, entered, hotline, did, caller, state, number, accepted, ended = parts
    entered_at = _epoch(entered, "entered")
    if entered_at is None:
        raise BadMark(RejectReason.MISSING_HEADER, "entered")
    return Mark(
        uniqueid=uniqueid,
        entered_at=entered_at,
        hotline=_shaped(_NAME, hotline, "hotline"),
        did=_shaped(_NUMBER, did, "did"),
        caller=_shaped(_NUMBER, caller, "caller"),
        state=_state(state),
        accepted_by=_shaped(_NUMBER, number, "accepted number") or None,
        accepted_at=_epoch(accepted, "accepted"),
        ended_at=_epoch(ended, "ended"),
    )


def facts_of(pbx: str, mark: Mark, quality: Quality = Quality.FROM_BOOKS) -> tuple[WorkItem, Call]:
    """The work item a mark stands for, and the call as far as the mark knows it.

    Both carry ids made of PBX and uniqueid, so making them twice makes one. A call of the quality `from_books` is kept
    by a sink only where nobody saw the call itself. While the mark has no end its call is open (`disposition` None).
    """
    key = f"{pbx}-{mark.uniqueid}"
    state = _final(mark)
    item = WorkItem(
        id=key,
        pbx=pbx,
        kind="after_hours_call",
        call_id=key,
        hotline=mark.hotline,
        caller_number=mark.caller,
        created_at=mark.entered_at,
        result=state.value,
        accepted_by=mark.accepted_by,
        accepted_at=_not_before(mark.entered_at, mark.accepted_at),
    )
    call = Call(
        id=key,
        pbx=pbx,
        direction=Direction.INBOUND,
        caller_number=mark.caller,
        caller_name="",
        dialed_number=mark.did,
        started_at=mark.entered_at,
        answered_at=item.accepted_at,
        ended_at=_not_before(item.accepted_at or mark.entered_at, mark.ended_at),
        disposition=None if mark.ended_at is None else _DISPOSITIONS[state],
        ended_by=None if mark.ended_at is None else EndedBy.UNKNOWN,
        quality=quality,
        sources=("*:mark",),
    )
    return item, call


def cut_off(mark: Mark) -> Mark:
    """The mark of a call whose channel is gone and that nobody ended (the PBX died): it ends where it was last seen.

    An accepted call stays accepted, a ringing one counts as abandoned.
    """
    state = MarkState.ABANDONED if mark.state is MarkState.RINGING else mark.state
    return Mark(
        mark.uniqueid,
        mark.entered_at,
        mark.hotline,
        mark.did,
        mark.caller,
        state,
        mark.accepted_by,
        mark.accepted_at,
        mark.accepted_at or mark.entered_at,
    )


_DISPOSITIONS = {
    MarkState.ACCEPTED: Disposition.ANSWERED,
    MarkState.UNANSWERED: Disposition.NO_ANSWER,
    MarkState.ABANDONED: Disposition.ABANDONED,
    MarkState.CLOSED: Disposition.LEFT_MENU,  # heard the announcement; no queue and no phone was tried
}


def _final(mark: Mark) -> MarkState:
    """A call that has ended no longer rings."""
    return (
        MarkState.ABANDONED if mark.ended_at is not None and mark.state is MarkState.RINGING else mark.state
    )


def _not_before(earliest: float, instant: float | None) -> float | None:
    """The PBX's clock may have been put back during the call; nothing ends before it begins."""
    return None if instant is None else max(earliest, instant)


def _epoch(text: str, what: str) -> float | None:
    if not text:
        return None
    if _EPOCH.fullmatch(text) is None:
        raise BadMark(RejectReason.BAD_VALUE, f"{what} is not an instant")
    return float(text)


def _state(text: str) -> MarkState:
    try:
        return MarkState(text)
    except ValueError:
        raise BadMark(RejectReason.BAD_VALUE, f"state {text[:20]!r} is not known") from None


def _shaped(pattern: re.Pattern[str], text: str, what: str) -> str:
    if pattern.fullmatch(text) is None:
        raise BadMark(RejectReason.BAD_VALUE, f"{what} has characters or a length that it cannot have")
    return text
