"""The call machine of one PBX: channels become calls.

Every channel starts as a call of its own. Calls become one only by an explicit edge: a dial, the two halves of a
Local channel, a shared two-party bridge. The older call keeps its id and the younger leaves a pointer. A
channel being set up is not told to anybody before it does something a person would call a call (`show`), so the
channels that a dial creates do not leave pointers behind.

Who talks to whom is read from bridges: a bridge and the Local pairs that lead out of it form one connected
group; a channel in it that leads nowhere further is a party; two parties make a talk.

The table at the end of the class names the handler of each event; what is not in it does not concern calls.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, ClassVar

from cti.core import events as ev
from cti.core import moves
from cti.core.endings import TURNED_AWAY, disposition, leg_outcome, stay_outcome
from cti.core.facts import (
    AttemptOutcome,
    Direction,
    EndedBy,
    Fact,
    Quality,
    Rejected,
    RejectReason,
    StayOutcome,
)
from cti.core.parts import (
    AttemptPart,
    CallPart,
    LegPart,
    Part,
    RecordingPart,
    StayPart,
    TalkPart,
)
from cti.core.people import AgentBook, age_of, device_of, device_of_interface
from cti.core.rules import Rules

# A class looks its constants up by name each time, which costs ten times as much as a name of ours.
_INBOUND, _INTERNAL, _GAPPED = Direction.INBOUND, Direction.INTERNAL, Quality.GAPPED
_ANSWERED = AttemptOutcome.ANSWERED
_RINGING_IN = 4  # ChannelState of a channel that came in and runs the dialplan
_UP = 6
_LINGER = 1.0  # s a caller may outlive the agent's hangup before the end counts as the caller's own
_TALKABLE = frozenset({"basic", "base", ""})  # bridge types people hear each other in
_HANGUP_RACE = 0.1  # s a caller's hangup may be told after the leaving it caused
_REMEMBERED = 4_096  # dial strings; some ten times what a busy PBX has
_KEPT_CONNECTS = 4  # answered stays a member may still owe an AgentComplete for


class Bridge:
    """Who is in one bridge, and whether people hear each other there."""

    __slots__ = ("id", "kind", "members", "talkable")

    def __init__(self, bridge_id: str, kind: str, technology: str) -> None:
        self.id = bridge_id
        self.members: set[str] = set()
        self.learn(kind, technology)

    def learn(self, kind: str, technology: str) -> None:
        """What kind of bridge it is."""
        self.kind = kind
        self.talkable = kind in _TALKABLE and technology != "holding_bridge"


class Calls:
    """All calls of one PBX; `TABLE` has what takes each event, and `collect` gives the facts it made true."""

    def __init__(self, pbx: str, rules: Rules, agents: AgentBook) -> None:
        self.pbx = pbx
        self.rules = rules
        self.agents = agents
        self.legs: dict[str, LegPart] = {}  # living channels by uniqueid
        self.calls: dict[str, CallPart] = {}  # living calls by id
        self.bridges: dict[str, Bridge] = {}
        self._by_name: dict[str, str] = {}  # Local channels: full name to uniqueid
        self.in_step_at = 0.0  # whoever made what began before may not have been seen
        self.connected: dict[tuple[str, str], list[StayPart]] = {}  # these owe an AgentComplete
        self._moving: dict[
            str, list[LegPart]
        ] = {}  # Local half ;1 being optimised away to those who talk across it
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

    def _unknown(self, uniqueid: str, event: ev.Event) -> LegPart | None:
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
            self._pair(leg, self.legs[other])

    def _pair(self, one: LegPart, two: LegPart) -> None:
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
            self.decide_stay(leg, e.queue_status, e.at, last_word=False)
        if e.queue_status:
            self._heard(leg, e.queue_status, e.at)
        if leg.ringing and e.state == _UP:
            leg.ringing = False
            self.refresh_talks(leg, e.at)

    def _caller_changed(self, e: ev.CallerChanged) -> None:
        leg = self.legs.get(e.uniqueid)
        if leg is None or leg.dialed:
            return
        leg.number = e.caller_number
        self.touch(leg)
        call = leg.call
        if call.origin == leg.uniqueid:
            call.caller_number = e.caller_number or call.caller_number
            call.caller_name = e.caller_name or call.caller_name
            self.touch(call)

    def _renamed(self, e: ev.ChannelRenamed) -> None:
        leg = self.legs.get(e.uniqueid) or self._unknown(e.uniqueid, e)
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
        if leg.talk is not None and sum(party.call is call for party in self._parties(leg)) > 2:  # noqa: PLR2004 - two make a talk
            return  # the others talk on
        by_origin = leg.uniqueid == call.origin
        rung = not by_origin or (leg.dialed and leg.answered_at is None)
        if rung and leg.talk is None and not self._just_talked(leg, e.at):
            return  # a leg that never talked ends itself, not the call
        lingered = by_origin and e.at - call.hangup_asked_at > _LINGER
        if call.ended_by is None or lingered:
            call.ended_by = self._side(call, leg, by_origin=by_origin)
            call.hangup_asked_at = e.at

    @staticmethod
    def _just_talked(leg: LegPart, at: float) -> bool:
        """Whether their talk is over because they hung up, which is told a moment after the others left."""
        own = f"{leg.call.pbx}-{leg.uniqueid}/t{leg.talks_made}"
        last = next((talk for talk in reversed(leg.call.talks) if talk.id == own), None)
        over = last.ended_at if last is not None else None
        return over is not None and at - over < _HANGUP_RACE and leg.bridge is not None

    def _side(self, call: CallPart, leg: LegPart, *, by_origin: bool) -> EndedBy:
        theirs_first = by_origin and leg.device in self.rules.trunks  # a program called them
        outbound = call.direction is Direction.OUTBOUND and not theirs_first
        return EndedBy.CALLER if by_origin != outbound else EndedBy.AGENT

    def _hung_up(self, e: ev.ChannelHungUp) -> None:
        leg = self.legs.get(e.uniqueid) or self._unknown(e.uniqueid, e)
        if leg is not None:
            leg.hangup_cause = e.cause
            if e.voicemail:
                leg.call.voicemail = True
            if e.queue_status:
                self.decide_stay(leg, e.queue_status, e.at, last_word=True)
                self._heard(leg, e.queue_status, e.at)
            self.end_leg(leg, e.queue_status, e.at)

    def end_leg(self, leg: LegPart, queue_status: str, at: float) -> None:
        """A channel is gone, and with it everything open on it; the last one ends its call."""
        leg.ended_at = at
        self.touch(leg)
        if leg.stay is not None:
            self.decide_stay(leg, queue_status, at, last_word=True)
        if leg.attempt is not None:
            self._end_attempt(leg, leg.attempt, at)
        if self._moving:
            self._arrive(leg.uniqueid, at)
        leg.moving = False
        if leg.bridge is not None:
            self._leave_bridge(leg, at)
        self._end_talk(leg, at)
        if leg.recordings:
            self._stop_recordings(leg, at)
        self._forget(leg)
        call = leg.call
        call.live.discard(leg.uniqueid)
        if not call.live:
            self.end_if_empty(call, at)

    def _end_attempt(self, leg: LegPart, attempt: AttemptPart, at: float) -> None:
        if attempt.outcome is None:
            said = attempt.verdict if leg.dial_status is None else AttemptOutcome.UNKNOWN
            attempt.outcome = leg_outcome(leg) if said is AttemptOutcome.UNKNOWN else said
            attempt.ended_at = attempt.over_at or at
            self.touch(attempt)

    def _forget(self, leg: LegPart) -> None:
        del self.legs[leg.uniqueid]
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
        leg = self.legs.get(e.uniqueid) or self._unknown(e.uniqueid, e)
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
                self.decide_stay(source, e.queue_status, e.at, last_word=False, lives_on=True)
            if e.queue_status:
                self._heard(source, e.queue_status, e.at)
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
        """A member on a Local channel rings once, however many channels stand behind it.

        In a chain of them an inner dial may be told before the outer one that ties it to the call: the shared linkedid
        is evidence enough that it is the same ringing.
        """
        first = self.legs.get(leg.linkedid, leg)
        attempts = leg.call.attempts if first.call is leg.call else leg.call.attempts + first.call.attempts
        return any(a.agent == leg.agent and a.outcome is None for a in attempts)

    def begin_attempt(self, leg: LegPart, stay: StayPart | None, at: float) -> None:
        """A phone of an agent rings from `at` on."""
        attempt = AttemptPart(leg.call, leg.uniqueid, leg.device, at)
        attempt.agent = leg.agent
        if stay is not None:
            attempt.stay_id, attempt.queue = stay.id, stay.queue
        known = self.agents.state_of(leg.agent) if leg.agent else None
        if known is not None:
            attempt.state, attempt.state_since, attempt.reason = known
        leg.attempt = attempt
        leg.call.attempts.append(attempt)
        self.touch(attempt)

    def _dial_ended(self, e: ev.DialEnded) -> None:
        leg = self.legs.get(e.uniqueid)
        if leg is None or leg.dial_status is not None:
            return  # the same leg may see a second DialEnd; the first one counts
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
            leg.attempt.outcome, leg.attempt.ended_at = _ANSWERED, at
            self.touch(leg.attempt)

    # -- queues

    def _joined(self, e: ev.CallerJoined) -> None:
        leg = self.legs.get(e.uniqueid) or self._unknown(e.uniqueid, e)
        if leg is None:
            return
        if leg.stay is not None and leg.stay.left_at is None and leg.stay.queue == e.queue:
            return  # already known from a list
        self.decide_stay(leg, e.queue_status, e.at, last_word=True, lives_on=True)
        self._heard(leg, e.queue_status, e.at)
        stay = self.begin_stay(leg, e.queue, e.at, e.position)
        stay.status_before = e.queue_status

    def _turned_away(self, e: ev.CallerTurnedAway) -> None:
        leg = self.legs.get(e.uniqueid) or self._unknown(e.uniqueid, e)
        if leg is not None:
            self.decide_stay(leg, "", e.at, last_word=True, lives_on=True)
            leg.queue_status = e.queue_status
            self._refuse(leg, e.queue, TURNED_AWAY[e.queue_status], e.at)

    def _heard(self, leg: LegPart, queue_status: str, at: float) -> None:
        """Take note of a channel's QUEUESTATUS: one that has changed may be the only sign of having been turned away."""
        if not queue_status or queue_status == leg.queue_status:
            return
        before, leg.queue_status = leg.queue_status, queue_status
        outcome = TURNED_AWAY.get(queue_status)
        if outcome is not None and outcome is not TURNED_AWAY.get(before):
            self._refuse(leg, "", outcome, at)

    def _refuse(self, leg: LegPart, queue: str, outcome: StayOutcome, at: float) -> None:
        """A queue did not let a caller in, at the latest now; which one is for CEL to say."""
        stays = leg.call.stays
        place = len(stays)
        last = next((stay for stay in reversed(stays) if stay.uniqueid == leg.uniqueid), None)
        if (
            last is not None and last.outcome is StayOutcome.ABANDONED
        ):  # after which nothing comes: it was before
            place, at = stays.index(last), last.joined_at
        leg.refusals += 1
        refused = StayPart(leg.call, leg.uniqueid, 0, queue, at)
        refused.id = f"{leg.id}/n{leg.refusals}"
        refused.left_at, refused.outcome, refused.wait = at, outcome, 0.0
        stays.insert(place, refused)
        self.show(leg.call)
        self.touch(refused)

    def begin_stay(self, leg: LegPart, queue: str, at: float, position: int) -> StayPart:
        """A caller begins to wait."""
        self.leads_on(leg)
        leg.passes += 1
        stay = StayPart(leg.call, leg.uniqueid, leg.passes, queue, at)
        stay.position = position
        stay.caller_gone = leg.hangup_asked
        leg.stay = stay
        leg.call.stays.append(stay)
        self.show(leg.call)
        self.touch(stay)
        return stay

    def _waiting_stay(self, uniqueid: str, queue: str) -> StayPart | None:
        leg = self.legs.get(uniqueid)
        stay = leg.stay if leg is not None else None
        return stay if stay is not None and stay.queue == queue and stay.outcome is None else None

    def _abandoned(self, e: ev.CallerAbandoned) -> None:
        stay = self._waiting_stay(e.uniqueid, e.queue)
        if stay is not None:
            stay.abandon_sent = True
            if stay.caller_gone:
                stay.left_at = e.at
                self.decide_stay(self.legs[e.uniqueid], "", e.at, last_word=False)

    def _left(self, e: ev.CallerLeft) -> None:
        stay = self._waiting_stay(e.uniqueid, e.queue)
        if stay is None:
            return
        stay.left_at = e.at
        self.touch(stay)
        self.decide_stay(self.legs[e.uniqueid], e.queue_status, e.at, last_word=False)
        self._heard(self.legs[e.uniqueid], e.queue_status, e.at)

    def decide_stay(
        self, leg: LegPart, queue_status: str, at: float, *, last_word: bool, lives_on: bool = False
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
        if unsaid and self._connected_unseen(leg, stay):
            return
        stay.left_at = stay.left_at or at
        stay.outcome = outcome
        stay.wait = max(0.0, stay.left_at - stay.joined_at)
        leg.stay = None
        self.touch(stay)

    def _member_called(self, e: ev.MemberCalled) -> None:
        leg = self.legs.get(e.member_channel) or self._unknown(e.member_channel, e)
        if leg is None:
            return
        caller = self.legs.get(e.uniqueid)
        if caller is not None:
            self.join(caller.call, leg.call)
            self.leads_on(leg)
        leg.agent = e.member or leg.agent
        leg.dialed = True
        leg.ring_started_at = leg.ring_started_at or e.at
        if leg.attempt is None:
            self._begin_members_attempt(leg, self._waiting_stay(e.uniqueid, e.queue), e.at)
        self.touch(leg)

    def _begin_members_attempt(self, leg: LegPart, stay: StayPart | None, at: float) -> None:
        """A member rings; the phone behind a Local member may have been told of before."""
        rung = None
        for attempt in leg.call.attempts:
            if attempt.outcome is None and attempt.agent == leg.agent:
                rung = attempt
                break
        if rung is None or rung.stay_id is not None or stay is None:
            self.begin_attempt(leg, stay, at)
        else:
            rung.stay_id, rung.queue = stay.id, stay.queue
            leg.attempt = rung
            self.touch(rung)

    def _member_connected(self, e: ev.MemberConnected) -> None:
        stay = self._waiting_stay(e.uniqueid, e.queue)
        if stay is None:
            return
        member = self.legs.get(e.member_channel)
        answered_at = member.answered_at if member is not None and member.answered_at else e.at
        stay.left_at = stay.left_at or e.at
        stay.book_wait = e.hold_time
        stay.member_channel = e.member_channel
        agent = e.member if member is None or not member.picked else member.agent or ""
        self.connect(self.legs[e.uniqueid], stay, agent, device_of_interface(e.interface), answered_at)

    def connect(self, leg: LegPart, stay: StayPart, agent: str, device: str, at: float) -> None:
        """The caller `leg` was given to this member, who picked up at `at`."""
        stay.answered_at = at
        stay.left_at = stay.left_at or at
        stay.outcome = StayOutcome.ANSWERED
        stay.wait = max(0.0, at - stay.joined_at)
        stay.agent = agent or None
        leg.stay = None
        self.touch(stay)
        self.answer(stay.call, at)
        for talk in stay.call.talks:
            theirs = agent and talk.agent == agent and talk.started_at >= at
            if talk.queue is None and theirs and (talk.waiters is None or leg.uniqueid in talk.waiters):
                talk.queue = stay.queue
                self.touch(talk)
        owed = self.connected.setdefault((stay.queue, device), [])
        owed.append(stay)
        del owed[:-_KEPT_CONNECTS]

    def _connected_unseen(self, leg: LegPart, stay: StayPart) -> bool:
        """Whether a member took this caller and they talked, though AgentConnect was not seen; if so, note it."""
        for rung in stay.call.attempts:
            taken = rung.stay_id == stay.id and rung.outcome is _ANSWERED
            if taken and any(talk.agent == rung.agent for talk in stay.call.talks):
                self.connect(leg, stay, rung.agent or "", rung.device, rung.ended_at or stay.joined_at)
                return True
        return False

    def _member_completed(self, e: ev.MemberCompleted) -> None:
        owed = self.connected.get((e.queue, device_of_interface(e.interface)))
        stay = _owing(owed, e) if owed else None
        if owed and stay is not None:
            owed.remove(stay)
            stay.book_talk = e.talk_time
            self.touch(stay)

    def _rang_no_answer(self, e: ev.MemberRangNoAnswer) -> None:
        leg = self.legs.get(e.member_channel)
        attempt = leg.attempt if leg is not None else None
        if attempt is not None and attempt.outcome is None:
            attempt.verdict, attempt.over_at = AttemptOutcome.NO_ANSWER, attempt.over_at or e.at

    # -- bridges and talks

    def _bridge_entered(self, e: ev.BridgeEntered) -> None:
        leg = self.legs.get(e.uniqueid) or self._unknown(e.uniqueid, e)
        if leg is None:
            return
        if leg.stay is not None:
            self.decide_stay(leg, e.queue_status, e.at, last_word=False, lives_on=True)
        if e.queue_status:
            self._heard(leg, e.queue_status, e.at)
        leg.ringing = not e.up
        if leg.bridge is not None and leg.bridge != e.bridge:
            self._leave_bridge(leg, e.at)
        bridge = self.bridges.get(e.bridge)
        if bridge is None:
            bridge = self.bridges[e.bridge] = Bridge(e.bridge, e.kind, e.technology)
        elif not bridge.kind:
            bridge.learn(e.kind, e.technology)  # found in a list, which does not say it
        bridge.members.add(e.uniqueid)
        leg.bridge = e.bridge
        self.leads_on(leg)
        if bridge.kind == "basic" and len(bridge.members) == 2:  # noqa: PLR2004 - a two-party bridge is the edge
            one, two = (self.legs[uniqueid] for uniqueid in bridge.members)
            if not (one.own_line or two.own_line):
                self.show(self.join(one.call, two.call))
        self.refresh_talks(leg, e.at)

    def _bridge_left(self, e: ev.BridgeLeft) -> None:
        leg = self.legs.get(e.uniqueid)
        if leg is not None and leg.bridge == e.bridge:
            self._leave_bridge(leg, e.at)

    def _leave_bridge(self, leg: LegPart, at: float) -> None:
        bridge = self.bridges.get(leg.bridge) if leg.bridge else None
        if bridge is None:
            return
        todo = self.group(leg)
        bridge.members.discard(leg.uniqueid)
        leg.bridge = None
        if not bridge.members:
            del self.bridges[bridge.id]
        if not self._talk_among(todo):
            self._end_talks(todo, at)
            return
        while todo:  # what was one group may be several now
            done = set(self.refresh_talks(todo[0], at))
            todo = [other for other in todo if other not in done]

    def _bridge_destroyed(self, e: ev.BridgeDestroyed) -> None:
        bridge = self.bridges.get(e.bridge)
        for uniqueid in list(bridge.members) if bridge is not None else ():
            self._leave_bridge(self.legs[uniqueid], e.at)

    def _stays_on_line(self, e: ev.StaysOnLine) -> None:
        leg = self.legs.get(e.uniqueid) or self._unknown(e.uniqueid, e)
        if leg is not None:
            leg.own_line = True

    def _local_bridged(self, e: ev.LocalBridged) -> None:
        one, two = self.legs.get(e.one), self.legs.get(e.two)
        if one is not None and two is not None:
            self._pair(one, two)

    def _local_optimized(self, e: ev.LocalOptimized) -> None:
        """Between its begin and its end bridges are left and entered, but nobody stops talking."""
        one = self.legs.get(e.one)
        if not e.begun:
            self._arrive(e.one, e.at)
        elif one is not None and e.one not in self._moving:
            self._moving[e.one] = [leg for leg in self.group(one) if leg.talk is not None]
            for leg in self._moving[e.one]:
                leg.moving = True

    def _arrive(self, local_one: str, at: float) -> None:
        for leg in self._moving.pop(local_one, ()):
            leg.moving = False
            self.refresh_talks(leg, at)

    def group(self, start: LegPart) -> list[LegPart]:
        """Everybody connected with `start` through bridges and Local pairs."""
        legs, bridges = self.legs, self.bridges
        seen = {start.uniqueid}
        found = [start]
        for leg in found:  # which grows meanwhile
            bridge = bridges.get(leg.bridge) if leg.bridge is not None else None
            if bridge is not None and bridge.talkable:
                for uniqueid in bridge.members:
                    if uniqueid not in seen and uniqueid in legs:
                        seen.add(uniqueid)
                        found.append(legs[uniqueid])
            pair = leg.pair
            if pair is not None and pair not in seen and pair in legs:
                seen.add(pair)
                found.append(legs[pair])
        return found

    def _is_party(self, leg: LegPart) -> bool:
        if leg.bridge is None or leg.relays or leg.ringing:
            return False
        if leg.pair is not None and leg.agent is None:
            return False  # a Local half with a menu or a queue's music behind it; a queue's member may be one
        return self.bridges[leg.bridge].talkable

    def _parties(self, leg: LegPart) -> list[LegPart]:
        return [other for other in self.group(leg) if self._is_party(other)]

    def _talk_among(self, group: list[LegPart]) -> list[LegPart]:
        """Those of a group who talk with each other: its parties, if there are two or more."""
        parties = [leg for leg in group if self._is_party(leg)]
        return parties if len(parties) > 1 else []

    def refresh_talks(self, start: LegPart, at: float) -> list[LegPart]:
        """Begin and end the talks of everybody connected with `start`; returns them."""
        group = self.group(start)
        parties = self._talk_among(group)
        if not parties:
            self._end_talks(group, at)
            return group
        for leg in parties:
            if not leg.own_line:
                self.answer(leg.call, at)
        for leg in parties:
            if leg.talk is None and (leg.dialed or leg.agent is not None):
                self._begin_talk(leg, group, parties, at)
                moves.reached(self, parties)
        self._end_talks([leg for leg in group if not self._is_party(leg)], at)
        return group

    def _end_talks(self, group: list[LegPart], at: float) -> None:
        """None of these talks with anybody any more, but who is only being moved."""
        for leg in group:
            if leg.talk is not None and not leg.moving:
                self._end_talk(leg, at)

    def _end_talk(self, leg: LegPart, at: float) -> None:
        if leg.talk is not None:
            leg.talk.end(at)
            self.touch(leg.talk)
            leg.talk = None

    def _begin_talk(self, leg: LegPart, group: list[LegPart], parties: list[LegPart], at: float) -> None:
        leg.talks_made += 1
        call = leg.call
        if leg.own_line:
            # Its talks belong to calls that are over, which a later process is not told of: the second tells them apart.
            leg.talks_made = max(leg.talks_made, int(at))
            call = next((party.call for party in parties if party is not leg), call)
        talk = TalkPart(leg, at, call)
        if call.stays:
            here = {other.uniqueid for other in group}
            talk.waiters = tuple({stay.uniqueid for stay in call.stays} & here)
            talk.queue = self._queue_of(call, leg, here)
        leg.talk = talk
        call.talks.append(talk)
        self.touch(talk)
        self.answer(call, at)
        if not any(party.quits for party in parties):
            call.ended_by = None  # of those who met nobody hung up in that instant
        rung = leg.attempt
        if rung is not None and rung.outcome is None and leg.dial_status is None:
            # Taken by a program from the dial that rang it (AMI Bridge): no DialEnd will tell of the answer.
            leg.answered_at = leg.answered_at or at
            self.answer_attempt(leg, at)

    def _queue_of(self, call: CallPart, leg: LegPart, here: set[str]) -> str | None:
        """The queue out of which they talk: with whom they took from it, or who came in that one's place.

        None in a consultation, while the caller waits elsewhere, and with a caller whom somebody else took last.
        """
        answered = [stay for stay in call.stays if stay.outcome is StayOutcome.ANSWERED]
        last = next((stay for stay in reversed(answered) if stay.uniqueid in here), None)
        if last is not None and last.agent == leg.agent:
            return last.queue
        latest = answered[-1] if answered else None
        if latest is None or latest.agent != leg.agent:
            return None
        waiter = self.legs.get(latest.uniqueid)
        return latest.queue if waiter is None or waiter.bridge is None else None

    def answer(self, call: CallPart, at: float) -> None:
        """A human or queue member took the call; the first one counts."""
        if call.answered_at is None or at < call.answered_at:
            call.answered_at = at
            self.touch(call)

    def _hold_began(self, e: ev.HoldBegan) -> None:
        for talk in self._open_talks(e.uniqueid):
            talk.hold_begins(e.uniqueid, e.at)

    def _hold_ended(self, e: ev.HoldEnded) -> None:
        for talk in self._open_talks(e.uniqueid):
            talk.hold_ends(e.uniqueid, e.at)
            self.touch(talk)

    def _open_talks(self, uniqueid: str) -> list[TalkPart]:
        leg = self.legs.get(uniqueid)
        return [other.talk for other in self.group(leg) if other.talk is not None] if leg is not None else []

    # -- recordings

    def _recording_began(self, e: ev.RecordingBegan) -> None:
        leg = self.legs.get(e.uniqueid) or self._unknown(e.uniqueid, e)
        if leg is None or any(r.started_at == e.at and r.file == e.file for r in leg.call.recordings):
            return  # told twice
        leg.recordings_made += 1
        recording = RecordingPart(leg, e.file, e.at)
        leg.recordings.append(recording)
        leg.call.recordings.append(recording)
        self.touch(recording)

    def _recording_ended(self, e: ev.RecordingEnded) -> None:
        leg = self.legs.get(e.uniqueid)
        if leg is not None:
            self._stop_recordings(leg, e.at)

    def _recording_muted(self, e: ev.RecordingMuted) -> None:
        leg = self.legs.get(e.uniqueid)
        for recording in leg.recordings if leg is not None else ():
            recording.mute(e.direction, e.at, muted=e.muted)
            self.touch(recording)

    def _stop_recordings(self, leg: LegPart, at: float) -> None:
        for recording in leg.recordings:
            recording.stop(at)
            self.touch(recording)
        leg.recordings.clear()

    TABLE: ClassVar[dict[type, Callable[["Calls", Any], None]]] = {
        ev.ChannelCreated: _created,
        ev.ChannelStateChanged: _state_changed,
        ev.CallerChanged: _caller_changed,
        ev.ChannelRenamed: _renamed,
        ev.HangupRequested: _hangup_requested,
        ev.ChannelHungUp: _hung_up,
        ev.DialBegan: _dial_began,
        ev.DialEnded: _dial_ended,
        ev.CallerJoined: _joined,
        ev.CallerTurnedAway: _turned_away,
        ev.CallerAbandoned: _abandoned,
        ev.CallerLeft: _left,
        ev.MemberCalled: _member_called,
        ev.MemberConnected: _member_connected,
        ev.MemberCompleted: _member_completed,
        ev.MemberRangNoAnswer: _rang_no_answer,
        ev.BridgeEntered: _bridge_entered,
        ev.BridgeLeft: _bridge_left,
        ev.BridgeDestroyed: _bridge_destroyed,
        ev.BlindTransferred: moves.blind,
        ev.AttendedTransferred: moves.attended,
        ev.StaysOnLine: _stays_on_line,
        ev.PickedUp: moves.picked_up,
        ev.RecordingBegan: _recording_began,
        ev.RecordingEnded: _recording_ended,
        ev.RecordingMuted: _recording_muted,
        ev.LocalBridged: _local_bridged,
        ev.LocalOptimized: _local_optimized,
        ev.HoldBegan: _hold_began,
        ev.HoldEnded: _hold_ended,
    }


def _is_older(one: CallPart, two: CallPart) -> bool:
    if one.started_at != two.started_at:
        return one.started_at < two.started_at
    return (age_of(one.origin), one.id) < (age_of(two.origin), two.id)


def _owing(stays: list[StayPart], e: ev.MemberCompleted) -> StayPart | None:
    """The one of these that an AgentComplete is about."""
    if not e.uniqueid:
        return stays[0]
    for stay in stays:
        if stay.uniqueid == e.uniqueid:
            return stay
    for stay in stays:
        # After a transfer into a queue app_queue names the channel that was put in the caller's place.
        if e.member_channel and stay.member_channel == e.member_channel:
            return stay
    return None


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
