"""Bridges and talks: who hears whom, and since when.

A bridge and the Local pairs that lead out of it form one connected group; a channel in it that leads nowhere further is a
party; two parties make a talk. Sources: the Bridge…, Local… and Hold events of AMI.
"""

from typing import TYPE_CHECKING

from cti.core import events as ev
from cti.core import moves, queueing
from cti.core.facts import AttemptOutcome, StayOutcome
from cti.core.parts import CallPart, LegPart, TalkPart
from cti.core.people import pooled

if TYPE_CHECKING:
    from cti.core.calls import Calls

_TALKABLE = frozenset({"basic", "base", ""})  # bridge types people hear each other in


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


def entered(calls: "Calls", e: ev.BridgeEntered) -> None:
    """BridgeEnter: two in a two-party bridge are one call."""
    leg = calls.legs.get(e.uniqueid) or calls.unknown(e.uniqueid, e)
    if leg is None:
        return
    if leg.stay is not None:
        queueing.decide_stay(calls, leg, e.queue_status, e.at, last_word=False, lives_on=True)
    if e.queue_status:
        queueing.heard(calls, leg, e.queue_status, e.at)
    leg.ringing = not e.up
    if leg.bridge is not None and leg.bridge != e.bridge:
        leave(calls, leg, e.at)
    bridge = calls.bridges.get(e.bridge)
    if bridge is None:
        bridge = calls.bridges[e.bridge] = Bridge(e.bridge, e.kind, e.technology)
        called = calls.vacated.pop(e.bridge, None)
        if called is not None and not leg.own_line:
            calls.show(calls.join(called.call, leg.call))
    elif not bridge.kind:
        bridge.learn(e.kind, e.technology)  # found in a list, which does not say it
    bridge.members.add(e.uniqueid)
    leg.bridge = e.bridge
    calls.leads_on(leg)
    if bridge.kind == "basic" and len(bridge.members) == 2:  # noqa: PLR2004 - a two-party bridge is the edge
        one, two = (calls.legs[uniqueid] for uniqueid in bridge.members)
        if not (one.own_line or two.own_line):
            calls.show(calls.join(one.call, two.call))
    refresh(calls, leg, e.at)


def left(calls: "Calls", e: ev.BridgeLeft) -> None:
    """BridgeLeave."""
    leg = calls.legs.get(e.uniqueid)
    if leg is not None and leg.bridge == e.bridge:
        leave(calls, leg, e.at)


def leave(calls: "Calls", leg: LegPart, at: float) -> None:
    """They hear nobody any more; whom they left may still hear each other."""
    bridge = calls.bridges.get(leg.bridge) if leg.bridge else None
    if bridge is None:
        return
    todo = connected(calls, leg)
    bridge.members.discard(leg.uniqueid)
    leg.bridge = None
    if not bridge.members:
        del calls.bridges[bridge.id]
        if bridge.kind == "basic" and leg.channel.startswith("Local/"):
            calls.vacated[bridge.id] = leg
    if not _talk_among(calls, todo):
        _end_all(calls, todo, at)
        return
    while todo:  # what was one group may be several now
        done = set(refresh(calls, todo[0], at))
        todo = [other for other in todo if other not in done]


def destroyed(calls: "Calls", e: ev.BridgeDestroyed) -> None:
    """BridgeDestroy: whoever is in it still has left it."""
    bridge = calls.bridges.get(e.bridge)
    for uniqueid in list(bridge.members) if bridge is not None else ():
        leave(calls, calls.legs[uniqueid], e.at)
    calls.vacated.pop(e.bridge, None)


def stays_on_line(calls: "Calls", e: ev.StaysOnLine) -> None:
    """AgentLogin: callers come and go on this line."""
    leg = calls.legs.get(e.uniqueid) or calls.unknown(e.uniqueid, e)
    if leg is not None:
        lend(calls, leg, e.agent)


def lend(calls: "Calls", leg: LegPart, arguments: str) -> None:
    """This channel runs AgentLogin with these arguments."""
    leg.own_line = True
    leg.member_as = pooled(arguments)
    leg.agent = calls.agents.agent_of(leg.member_as) or leg.agent
    calls.agents.waits_on(leg.id)
    calls.touch(leg)


def local_bridged(calls: "Calls", e: ev.LocalBridged) -> None:
    """LocalBridge."""
    one, two = calls.legs.get(e.one), calls.legs.get(e.two)
    if one is not None and two is not None:
        calls.pair(one, two)


def local_optimized(calls: "Calls", e: ev.LocalOptimized) -> None:
    """Between its begin and its end bridges are left and entered, but nobody stops talking."""
    one = calls.legs.get(e.one)
    if not e.begun:
        arrive(calls, e.one, e.at)
    elif one is not None and e.one not in calls.moving:
        calls.moving[e.one] = [leg for leg in connected(calls, one) if leg.talk is not None]
        for leg in calls.moving[e.one]:
            leg.moving = True


def arrive(calls: "Calls", local_one: str, at: float) -> None:
    """A Local channel has taken itself out: who talked across it talks on, or no longer."""
    for leg in calls.moving.pop(local_one, ()):
        leg.moving = False
        refresh(calls, leg, at)


def connected(calls: "Calls", start: LegPart) -> list[LegPart]:
    """Everybody connected with `start` through bridges and Local pairs."""
    legs, bridges = calls.legs, calls.bridges
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


def _is_party(calls: "Calls", leg: LegPart) -> bool:
    if leg.bridge is None or leg.relays or leg.ringing:
        return False
    if leg.agent is None and leg.channel.startswith("Local/"):
        return False  # a Local half with a menu or a queue's music behind it; a queue's member may be one
    return calls.bridges[leg.bridge].talkable


def parties_of(calls: "Calls", leg: LegPart) -> list[LegPart]:
    """Those who hear each other there."""
    return [other for other in connected(calls, leg) if _is_party(calls, other)]


def _talk_among(calls: "Calls", group: list[LegPart]) -> list[LegPart]:
    """Those of a group who talk with each other: its parties, if there are two or more."""
    parties = [leg for leg in group if _is_party(calls, leg)]
    return parties if len(parties) > 1 else []


def refresh(calls: "Calls", start: LegPart, at: float) -> list[LegPart]:
    """Begin and end the talks of everybody connected with `start`; returns them."""
    group = connected(calls, start)
    parties = _talk_among(calls, group)
    if not parties:
        _end_all(calls, group, at)
        return group
    for leg in parties:
        if not leg.own_line:
            calls.answer(leg.call, at)
        elif leg.agent is None:  # they may have become a queue's member since they came to the line
            leg.agent = calls.agents.agent_of(leg.member_as)
            calls.touch(leg)
    for leg in parties:
        if leg.talk is None and (leg.dialed or leg.agent is not None):
            _begin(calls, leg, group, parties, at)
            moves.reached(calls, parties)
    _end_all(calls, [leg for leg in group if not _is_party(calls, leg)], at)
    return group


def _end_all(calls: "Calls", group: list[LegPart], at: float) -> None:
    """None of these talks with anybody any more, but who is only being moved."""
    for leg in group:
        if leg.talk is not None and not leg.moving:
            end(calls, leg, at)


def end(calls: "Calls", leg: LegPart, at: float) -> None:
    """They talk with nobody any more."""
    if leg.talk is not None:
        leg.talk.end(at)
        calls.touch(leg.talk)
        leg.talk = None


def _begin(calls: "Calls", leg: LegPart, group: list[LegPart], parties: list[LegPart], at: float) -> None:
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
        talk.queue = _queue_of(calls, call, leg, here)
    leg.talk = talk
    call.talks.append(talk)
    calls.touch(talk)
    calls.answer(call, at)
    if not any(party.quits for party in parties):
        call.ended_by = None  # of those who met nobody hung up in that instant
    rung = leg.attempt
    unsaid = rung is not None and (leg.dial_status is None or rung.verdict is AttemptOutcome.UNKNOWN)
    if rung is not None and rung.outcome is None and unsaid:
        # Taken by a program from the dial that rang it (AMI Bridge): no DialEnd will tell of the answer. Or the caller
        # hung up in that instant, and the DialEnd told of that.
        leg.answered_at = leg.answered_at or rung.over_at or at
        calls.answer_attempt(leg, rung.over_at or at)


def _queue_of(calls: "Calls", call: CallPart, leg: LegPart, here: set[str]) -> str | None:
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
    waiter = calls.legs.get(latest.uniqueid)
    return latest.queue if waiter is None or waiter.bridge is None else None


def hold_began(calls: "Calls", e: ev.HoldBegan) -> None:
    """Hold."""
    for talk in _open(calls, e.uniqueid):
        talk.hold_begins(e.uniqueid, e.at)


def hold_ended(calls: "Calls", e: ev.HoldEnded) -> None:
    """Unhold."""
    for talk in _open(calls, e.uniqueid):
        talk.hold_ends(e.uniqueid, e.at)
        calls.touch(talk)


def _open(calls: "Calls", uniqueid: str) -> list[TalkPart]:
    leg = calls.legs.get(uniqueid)
    return (
        [other.talk for other in connected(calls, leg) if other.talk is not None] if leg is not None else []
    )
