"""The call machine of one PBX: channels become calls.

Every channel starts as a call of its own. Calls become one only by an explicit edge: a dial, the two halves of a
Local channel, a shared two-party bridge, a transfer; and where none of these is told of a consultation or of a channel that
could not be rung, by who asked for it (decision 13). The older call keeps its id and the younger leaves a pointer. A
channel being set up is not told to anybody before it does something a person would call a call (`show`), so the
channels that a dial creates do not leave pointers behind.

Here are channels, dials and what makes one call of several; queues, talks, recordings and transfers each have a module
of functions that are given the calls. The table at the end of the class names the handler of each event; what is
not in it does not concern calls.
"""

from collections import OrderedDict
from collections.abc import Callable
from functools import lru_cache
from typing import Any, ClassVar

from cti.core import events as ev
from cti.core import moves, queueing, talks, taping
from cti.core.endings import disposition, leg_outcome
from cti.core.facts import (
    AttemptOutcome,
    Direction,
    EndedBy,
    Fact,
    Quality,
    Rejected,
    RejectReason,
    State,
)
from cti.core.parts import (
    AttemptPart,
    CallPart,
    LegPart,
    Part,
    StayPart,
)
from cti.core.people import AgentBook, age_of, device_of
from cti.core.rules import Rules

# A class looks its constants up by name each time, which costs ten times as much as a name of ours.
_INBOUND, _INTERNAL, _GAPPED = Direction.INBOUND, Direction.INTERNAL, Quality.GAPPED
_RINGING_IN = 4  # ChannelState of a channel that came in and runs the dialplan
_UP = 6
_NOWHERE = "s"  # the extension of a channel that is made to be rung
_GOING = 1.0  # s after getting in step in which the end of what the lists no longer had may be told
_LINGER = 1.0  # s a caller may outlive the agent's hangup before the end counts as the caller's own
_HANGUP_RACE = 0.1  # s a caller's hangup may be told after the leaving it caused
_REMEMBERED = 4_096  # dial strings; some ten times what a busy PBX has
_RUNG = 4_096  # ringings; an hour or more of a busy PBX
_NOT_KNOWN = (None, None, None)


class Calls:
    """All calls of one PBX; `TABLE` has what takes each event, and `collect` gives the facts it made true."""

    def __init__(self, pbx: str, rules: Rules, agents: AgentBook) -> None:
        self.pbx = pbx
        self.rules = rules
        self.agents = agents
        self.legs: dict[str, LegPart] = {}  # living channels by uniqueid
        self.calls: dict[str, CallPart] = {}  # living calls by id
        self.bridges: dict[str, talks.Bridge] = {}
        # By bridge: a consultation that left it before whoever had asked for it came.
        self.vacated: dict[str, LegPart] = {}
        self._by_name: dict[str, str] = {}  # Local channels: full name to uniqueid
        self.in_step_at = 0.0  # whoever made what began before may not have been seen
        self.connected: dict[tuple[str, str], list[StayPart]] = {}  # these owe an AgentComplete
        self.moving: dict[
            str, list[LegPart]
        ] = {}  # Local half ;1 being optimised away to those who talk across it
        # By attempt: the agent's state, since when, and why. What is told again comes when the agent has had other states.
        self._as_it_rang: OrderedDict[str, tuple[State, float, str] | tuple[None, None, None]] = OrderedDict()
        self._dirty: dict[Part, None] = {}  # what must be told, in order
        self._rejected: list[Fact] = []

    def changed(self) -> bool:
        """Whether `collect` would give anything; after most events it would not."""
        return bool(self._dirty or self._rejected)

    def collect(self) -> list[Fact]:
        """Every part changed since the last call, each whole and once."""
        facts: list[Fact] = [part.fact() for part in self._dirty]
        self._dirty.clear()
        if self._rejected:
            facts += self._rejected
            self._rejected = []
        return facts

    def touch(self, part: Part) -> None:
        """Note that a part changed and must be told; of a call that is not shown, `show` tells it."""
        if part.call.shown:
            self._dirty[part] = None

    def unknown(self, uniqueid: str, event: ev.Event) -> LegPart | None:
        """Note that a channel was told of that is not known; returns None."""
        detail = f"{type(event).__name__} for {uniqueid[:64]}"
        self._rejected.append(Rejected(self.pbx, RejectReason.UNKNOWN_CHANNEL, event.at, detail))
        return None

    # -- channels

    def _created(self, e: ev.ChannelCreated) -> None:
        if e.uniqueid in self.legs or f"{self.pbx}-{e.uniqueid}" in self.calls:
            return  # told twice
        leg = self.add_leg(e, e.at)
        if e.at < self.in_step_at:
            leg.call.quality = _GAPPED
        if e.state == _RINGING_IN and leg.pair is None and not e.channel.startswith("Local/"):
            self.show(leg.call)

    def add_leg(self, e: ev.ChannelCreated | ev.ChannelSeen, started_at: float) -> LegPart:
        """A new channel, and the call it is until an edge joins it to another."""
        uniqueid, channel = e.uniqueid, e.channel
        call_id = f"{self.pbx}-{uniqueid}"
        known = self.calls.get(call_id)  # the first channel, which lives after all
        call = known or CallPart(self.pbx, call_id, uniqueid, started_at)
        call.caller_number, call.caller_name, call.dialed_number = e.caller_number, e.caller_name, e.exten
        leg = LegPart(call, uniqueid, e.linkedid, channel, device_of(channel))
        leg.number = e.caller_number
        call.service = e.exten.startswith(self.rules.service_prefixes)
        outer = not channel.endswith(";2")  # the inner half of a Local channel is the dialplan, not a phone
        leg.agent = self.agents.agent_of(leg.device) if outer and not call.service else None
        call.direction = self._direction(leg, e.context)
        call.legs.append(leg)
        call.live.add(uniqueid)
        self.legs[uniqueid] = leg
        self.calls[call_id] = call
        self.touch(leg)
        if channel.startswith("Local/"):
            self.pair_by_name(leg)
        return leg

    def _direction(self, leg: LegPart, context: str) -> Direction:
        if leg.device in self.rules.trunks:
            return _INBOUND
        inside = leg.agent is not None or context in self.rules.internal_contexts
        return _INTERNAL if inside else _INBOUND

    def pair_by_name(self, leg: LegPart) -> None:
        """The halves of a Local channel differ only in the last character of their names."""
        self._by_name[leg.channel] = leg.uniqueid
        other = self._by_name.get(leg.channel[:-1] + ("2" if leg.channel.endswith("1") else "1"))
        if other is not None:
            self.pair(leg, self.legs[other])

    def pair(self, one: LegPart, two: LegPart) -> None:
        """Join the two halves of a Local channel."""
        one.pair, two.pair = two.uniqueid, one.uniqueid
        self.join(one.call, two.call)

    def leads_on(self, leg: LegPart) -> None:
        """This half of a Local channel leads to somebody; the other half only relays to it from now on."""
        pair = self.legs.get(leg.pair) if leg.pair else None
        if pair is not None:
            pair.relays = True

    def _state_changed(self, e: ev.ChannelStateChanged) -> None:
        leg = self.legs.get(e.uniqueid)
        if leg is None:
            return
        if leg.stay is not None:
            queueing.decide_stay(self, leg, e.queue_status, e.at, last_word=False)
        if e.queue_status:
            queueing.heard(self, leg, e.queue_status, e.at)
        if leg.ringing and e.state == _UP:
            leg.ringing = False
            self.refresh_talks(leg, e.at)

    def _caller_changed(self, e: ev.CallerChanged) -> None:
        leg = self.legs.get(e.uniqueid)
        if leg is None or leg.dialed:
            return
        leg.number = e.caller_number
        self.touch(leg)
        if leg.channel.endswith(";2") and leg.linkedid != leg.uniqueid:
            self._of_who_dialled(leg)
        call = leg.call
        if call.origin == leg.uniqueid:
            call.caller_number = e.caller_number or call.caller_number
            call.caller_name = e.caller_name or call.caller_name
            self.touch(call)

    def _of_who_dialled(self, half: LegPart) -> None:
        """A consultation by feature code, which nothing ties to who dialled it when they do not come to it.

        It has its linkedid of them, and their number. Where the call's first channel is gone, only somebody who was rung
        counts: callers may have come to share both, when the number is withheld.
        """
        call, first = half.call, self.legs.get(half.linkedid)
        if not half.number or call.origin not in {half.uniqueid, half.pair}:
            return
        same = (leg for leg in self.legs.values() if leg.linkedid == half.linkedid and leg.dialed)
        asked = [
            leg
            for leg in (same if first is None else first.call.legs)
            if leg.number == half.number
            and leg.uniqueid in self.legs
            and not (leg.own_line or leg.channel.startswith("Local/"))
        ]
        if len(asked) == 1:
            self.join(asked[0].call, call)

    def _renamed(self, e: ev.ChannelRenamed) -> None:
        leg = self.legs.get(e.uniqueid) or self.unknown(e.uniqueid, e)
        if leg is not None:
            self._forget_name(leg)
            leg.channel, leg.device = e.channel, device_of(e.channel)
            self.touch(leg)

    def _hangup_requested(self, e: ev.HangupRequested) -> None:
        leg = self.legs.get(e.uniqueid)
        if leg is None:
            return
        leg.hangup_asked = True
        stay = leg.stay
        if stay is not None and (
            stay.left_at is None or (e.by_device and e.at - stay.left_at < _HANGUP_RACE)
        ):
            stay.caller_gone = True
        call = leg.call
        if not e.by_device or leg.pair is not None:
            return
        leg.quits = True
        if moves.has_just_handed_on(leg, e.at - _HANGUP_RACE):
            return
        if leg.talk is not None and sum(party.call is call for party in talks.parties_of(self, leg)) > 2:  # noqa: PLR2004 - two make a talk
            return  # the others talk on
        by_origin = leg.uniqueid == call.origin
        rung = not by_origin or (leg.dialed and leg.answered_at is None)
        if rung and leg.talk is None and not self._just_talked(leg, e.at):
            return  # a leg that never talked ends itself, not the call
        lingered = by_origin and e.at - call.hangup_asked_at > _LINGER
        if call.ended_by is None or lingered:
            call.ended_by = self.side_of(leg)
            call.hangup_asked_at = e.at

    @staticmethod
    def _just_talked(leg: LegPart, at: float) -> bool:
        """Whether their talk is over because they hung up, which is told a moment after the others left."""
        own = f"{leg.call.pbx}-{leg.uniqueid}/t{leg.talks_made}"
        last = next((talk for talk in reversed(leg.call.talks) if talk.id == own), None)
        over = last.ended_at if last is not None else None
        return over is not None and at - over < _HANGUP_RACE and leg.bridge is not None

    def side_of(self, leg: LegPart) -> EndedBy:
        """Whose hangup it is when this channel hangs up."""
        call, by_origin = leg.call, leg.uniqueid == leg.call.origin
        theirs_first = by_origin and leg.device in self.rules.trunks  # a program called them
        outbound = call.direction is Direction.OUTBOUND and not theirs_first
        return EndedBy.CALLER if by_origin != outbound else EndedBy.AGENT

    def _hung_up(self, e: ev.ChannelHungUp) -> None:
        leg = self.legs.get(e.uniqueid)
        if leg is None and e.at > self.in_step_at + _GOING:
            self.unknown(e.uniqueid, e)
        if leg is not None:
            leg.hangup_cause = e.cause
            if e.voicemail:
                leg.call.voicemail = True
            if e.queue_status:
                queueing.decide_stay(self, leg, e.queue_status, e.at, last_word=True)
                queueing.heard(self, leg, e.queue_status, e.at)
            self.end_leg(leg, e.queue_status, e.at)

    def end_leg(self, leg: LegPart, queue_status: str, at: float) -> None:
        """A channel is gone, and with it everything open on it; the last one ends its call."""
        leg.ended_at = at
        self.touch(leg)
        if leg.stay is not None:
            queueing.decide_stay(self, leg, queue_status, at, last_word=True)
        if leg.attempt is not None:
            self._end_attempt(leg, leg.attempt, at)
        if self.moving:
            talks.arrive(self, leg.uniqueid, at)
        leg.moving = False
        if leg.bridge is not None:
            talks.leave(self, leg, at)
        talks.end(self, leg, at)
        if leg.recordings:
            taping.stop(self, leg, at)
        self._forget(leg)
        call = leg.call
        call.live.discard(leg.uniqueid)
        if not call.live:
            self._end_call(call, leg, at)

    def _end_call(self, call: CallPart, leg: LegPart, at: float) -> None:
        """The last channel of a call is gone; one that was made for another call and came to nothing is that one's."""
        first = self.legs.get(leg.linkedid)
        nowhere = call.dialed_number == _NOWHERE and not leg.channel.startswith("Local/")
        stillborn = nowhere and not (call.shown or leg.dialed) and call.legs == [leg]
        if first is not None and stillborn:
            self.join(first.call, call)
        else:
            self.end_if_empty(call, at)

    def _end_attempt(self, leg: LegPart, attempt: AttemptPart, at: float) -> None:
        if attempt.outcome is None:
            said = attempt.verdict if leg.dial_status is None else AttemptOutcome.UNKNOWN
            attempt.outcome = leg_outcome(leg) if said is AttemptOutcome.UNKNOWN else said
            attempt.ended_at = attempt.over_at or at
            self.touch(attempt)

    def _forget(self, leg: LegPart) -> None:
        del self.legs[leg.uniqueid]
        if self.vacated:
            self.vacated = {bridge: one for bridge, one in self.vacated.items() if one is not leg}
        self._forget_name(leg)
        pair = self.legs.get(leg.pair) if leg.pair else None
        if pair is not None:
            pair.pair = None

    def _forget_name(self, leg: LegPart) -> None:
        if self._by_name.get(leg.channel) == leg.uniqueid:
            del self._by_name[leg.channel]

    def end_if_empty(self, call: CallPart, at: float) -> None:
        """End a call none of whose channels lives."""
        if call.live:
            return
        call.ended_at = at
        call.hangup_cause = _first_leg(call).hangup_cause
        call.disposition = disposition(call)
        if call.transfers:
            moves.settle(self, call)
        if call.ended_by is None:
            call.ended_by = EndedBy.SYSTEM if call.quality is Quality.COMPLETE else EndedBy.UNKNOWN
        self.show(call)
        self.touch(call)
        del self.calls[call.id]
        call.let_go()

    # -- joining

    def show(self, call: CallPart) -> None:
        """From here on the call and all its parts are told."""
        if call.shown:
            return
        call.shown = True
        self.touch(call)
        for part in call.parts():
            self.touch(part)

    def join(self, one: CallPart, two: CallPart) -> CallPart:
        """Make two calls one; returns the older, which keeps its id."""
        if one is two:
            return one
        older, younger = (one, two) if _is_older(one, two) else (two, one)
        for part in younger.parts():
            part.call = older
            self.touch(part)
        older.legs += younger.legs
        if not younger.bare():
            older.stays += younger.stays
            older.attempts += younger.attempts
            older.talks += younger.talks
            older.transfers += younger.transfers
            older.recordings += younger.recordings
        older.voicemail |= younger.voicemail
        older.live |= younger.live
        older.attached |= younger.attached
        if younger.answered_at is not None:
            self.answer(older, younger.answered_at)
        if younger.quality is _GAPPED and older.quality is not _GAPPED:
            older.quality = _GAPPED
            self.touch(older)
        younger.merged_into = older.id
        self.calls.pop(younger.id, None)
        if younger.shown:
            self.touch(younger)
            self.show(older)
        return older

    # -- dialling

    def _dial_began(self, e: ev.DialBegan) -> None:
        leg = self.legs.get(e.uniqueid) or self.unknown(e.uniqueid, e)
        if leg is None:
            return
        if leg.uniqueid == leg.call.origin and not leg.dialed and leg.answered_at is None:
            leg.call.ended_by = None  # a phone that a program rings may refuse before this is told
        leg.dialed = True
        leg.ring_started_at = leg.ring_started_at or e.at
        self._dialled_again(leg)
        leg.number = _dialed_number(e.dialed) or leg.number
        source = self.legs.get(e.source)
        if source is not None:
            if source.stay is not None:
                queueing.decide_stay(self, source, e.queue_status, e.at, last_word=False, lives_on=True)
            if e.queue_status:
                queueing.heard(self, source, e.queue_status, e.at)
            self.leads_on(source)
            self.leads_on(leg)
            call = self.join(source.call, leg.call)
            self.show(call)
            if leg.device in self.rules.trunks:
                self._goes_out(call)
        elif leg.device in self.rules.trunks and leg.uniqueid == leg.call.origin:
            self.called_from_here(leg)
        if leg.agent is not None and leg.attempt is None and not self.rings_already(leg):
            self.begin_attempt(leg, None, e.at)
        self.touch(leg)

    def _goes_out(self, call: CallPart) -> None:
        """A call that nobody outside began, and that reaches a trunk, is outbound."""
        made_here = any(leg.uniqueid == call.origin and leg.channel.startswith("Local/") for leg in call.legs)
        if call.direction is Direction.INTERNAL or made_here:
            call.direction = Direction.OUTBOUND
            self.touch(call)

    @staticmethod
    def called_from_here(leg: LegPart) -> None:
        """A program calls somebody outside (Originate), and gives them to somebody here afterwards."""
        leg.call.direction = Direction.OUTBOUND
        if leg.number != leg.device.partition("/")[2]:  # the books know the trunk alone
            leg.call.dialed_number = leg.number

    @staticmethod
    def _dialled_again(leg: LegPart) -> None:
        """A transfer to a ringing phone ends the dial and begins another for the same ringing."""
        if leg.dial_status is not None and leg.answered_at is None:
            leg.dial_status = None
            if leg.attempt is not None:
                leg.attempt.over_at = None

    def rings_already(self, leg: LegPart) -> bool:
        """A member on a Local channel rings once, however many channels stand behind it, and is given up before them.

        In a chain of them an inner dial may be told before the outer one that ties it to the call: the shared linkedid
        is evidence enough that it is the same ringing.
        """
        first = self.legs.get(leg.linkedid, leg)
        attempts = leg.call.attempts if first.call is leg.call else leg.call.attempts + first.call.attempts
        return any(a.agent == leg.agent and (a.outcome is None or _stood_before(a, leg)) for a in attempts)

    def begin_attempt(self, leg: LegPart, stay: StayPart | None, at: float) -> None:
        """A phone of an agent rings from `at` on."""
        attempt = AttemptPart(leg.call, leg.uniqueid, leg.device, at)
        attempt.agent = leg.agent
        if stay is not None:
            attempt.stay_id, attempt.queue = stay.id, stay.queue
        known = self._as_it_rang.get(attempt.id)
        if known is None:
            known = (self.agents.state_of(leg.agent) if leg.agent else None) or _NOT_KNOWN
            self._as_it_rang[attempt.id] = known
            if len(self._as_it_rang) > _RUNG:
                self._as_it_rang.popitem(last=False)
        attempt.state, attempt.state_since, attempt.reason = known
        leg.attempt = attempt
        leg.call.attempts.append(attempt)
        self.touch(attempt)

    def _dial_ended(self, e: ev.DialEnded) -> None:
        leg = self.legs.get(e.uniqueid)
        # The first DialEnd of a leg counts. But app_dial says NOANSWER, and then ANSWER, of a phone that is picked up
        # in the instant in which its caller hangs up.
        open_to = {None, "NOANSWER"} if e.status == "ANSWER" else {None}
        if leg is None or leg.dial_status not in open_to:
            return
        leg.dialed, leg.dial_status = True, e.status
        if e.status == "ANSWER":
            leg.answered_at = e.at
            if not e.source:
                self.show(leg.call)
        attempt = leg.attempt
        if attempt is not None and attempt.outcome is None:
            attempt.over_at = attempt.over_at or e.at
            if e.status == "ANSWER":
                self.answer_attempt(leg, e.at)
        self.touch(leg)

    def answer_attempt(self, leg: LegPart, at: float) -> None:
        """The phone was picked up."""
        if leg.attempt is not None:
            leg.attempt.outcome, leg.attempt.ended_at = AttemptOutcome.ANSWERED, at
            self.touch(leg.attempt)

    def refresh_talks(self, start: LegPart, at: float) -> None:
        """Begin and end the talks of everybody connected with `start`."""
        talks.refresh(self, start, at)

    def answer(self, call: CallPart, at: float) -> None:
        """A human or queue member took the call; the first one counts."""
        if call.answered_at is None or at < call.answered_at:
            call.answered_at = at
            self.touch(call)

    TABLE: ClassVar[dict[type, Callable[["Calls", Any], None]]] = {
        ev.ChannelCreated: _created,
        ev.ChannelStateChanged: _state_changed,
        ev.CallerChanged: _caller_changed,
        ev.ChannelRenamed: _renamed,
        ev.HangupRequested: _hangup_requested,
        ev.ChannelHungUp: _hung_up,
        ev.DialBegan: _dial_began,
        ev.DialEnded: _dial_ended,
        ev.CallerJoined: queueing.joined,
        ev.CallerTurnedAway: queueing.turned_away,
        ev.CallerAbandoned: queueing.abandoned,
        ev.CallerLeft: queueing.left,
        ev.MemberCalled: queueing.member_called,
        ev.MemberConnected: queueing.member_connected,
        ev.MemberCompleted: queueing.member_completed,
        ev.MemberRangNoAnswer: queueing.rang_no_answer,
        ev.BridgeEntered: talks.entered,
        ev.BridgeLeft: talks.left,
        ev.BridgeDestroyed: talks.destroyed,
        ev.BlindTransferred: moves.blind,
        ev.AttendedTransferred: moves.attended,
        ev.StaysOnLine: talks.stays_on_line,
        ev.PickedUp: moves.picked_up,
        ev.RecordingBegan: taping.began,
        ev.RecordingEnded: taping.ended,
        ev.RecordingMuted: taping.muted,
        ev.LocalBridged: talks.local_bridged,
        ev.LocalOptimized: talks.local_optimized,
        ev.HoldBegan: talks.hold_began,
        ev.HoldEnded: talks.hold_ended,
    }


def _stood_before(attempt: AttemptPart, leg: LegPart) -> bool:
    """Whether this phone was made behind a member's Local channel that still rang then."""
    return attempt.device.startswith("Local/") and (attempt.ended_at or 0.0) >= leg.started_at


def _is_older(one: CallPart, two: CallPart) -> bool:
    if one.started_at != two.started_at:
        return one.started_at < two.started_at
    return (age_of(one.origin), one.id) < (age_of(two.origin), two.id)


def _first_leg(call: CallPart) -> LegPart:
    """The leg of the channel that the call began with; of a call found later, its first that is known."""
    for leg in call.legs:
        if leg.uniqueid == call.origin:
            return leg
    return call.legs[0]


@lru_cache(_REMEMBERED)
def _dialed_number(dial_string: str) -> str:
    """The number in a DialString: `13900000001@trunk-a` → `13900000001`, `PJSIP/1001` → `1001`."""
    return dial_string.split("@", 1)[0].rsplit("/", 1)[-1]
