"""The books told again as the events that AMI would have sent, for the same machine that follows the live stream.

So a call that nobody saw gets the record, the ids and the outcome that it would have got, and there is one meaning of
every word. CEL carries the channels and bridges, queue_log the queues. What CEL does not have is put together:

* A dial: a channel whose linkedid is another's was rung by whichever channel of that linkedid runs Dial or Queue then.
* How a ringing ended: the cause of its channel, and what became of the one that rang it.
* Who hung up: `hangupsource`; the request is told as that channel leaves its bridge, when AMI tells it.

Instants of queue_log are whole seconds: where CEL saw the same thing happen, its instant is taken.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import accumulate

from cti.core import events as ev
from cti.core.books import CLOCK_LAG, OF_MEMBERS, QueueRow
from cti.core.cel import CelRow, channels_of
from cti.core.dials import STATUS_BY_CAUSE, App, Dials, asks_first, dial_string
from cti.core.endings import STATUS_LEFT_BEHIND
from cti.core.facts import StayOutcome
from cti.core.heirs import as_one, heirs, rows_of_one
from cti.core.passes import passes
from cti.core.people import AGENT_LOGIN, device_of
from cti.core.refusals import Refusal, refusals
from cti.core.seats import Seats, read_seats
from cti.core.waits import Wait, refine

_RING, _DOWN, _UP = 4, 0, 6  # ChannelState
_JOINS = 3  # the step of a joining among what a row tells
_REFUSED, _REFUSED_LAST = 1, 99  # of being turned away by the first queue of a run, or by its last
_GOES_ON = -1  # likewise, of one right after a leaving that comes before that row
_NOBODY = "N/A"
_AFTER_HANGUP = "h"  # the extension that runs when its channel is gone
_WITHIN = 0.999  # s of a whole second
_AT_ONCE = 0.1  # s between two signs of one thing
_STEPS_OUT = 0.5  # s between leaving a bridge and being gone, for one who hung up in it

_QUEUE_STATUS: Mapping[StayOutcome | None, str] = {
    StayOutcome.TIMEOUT: "TIMEOUT",
    StayOutcome.EMPTY: "LEAVEEMPTY",
    StayOutcome.WITHDRAWN: "WITHDRAW",
}


def retell(
    cel: Sequence[CelRow],
    queue_log: Sequence[QueueRow],
    seats: Mapping[str, str] | None = None,
    refused: Sequence[Refusal] | None = None,
) -> list[ev.Event]:
    """The events of these rows, in order.

    Args:
        cel: in the book's order; channels whose CHAN_START is not among them, or that of their call's first, are left out.
        queue_log: in the book's order.
        seats: device of each agent as far as known beforehand.
        refused: callers whom queues turned away; None: those whom these rows tell of.
    """
    refused = refusals(channels_of(cel), queue_log) if refused is None else refused
    return _Teller(cel, queue_log, seats or {}, refused).tell()


class _Teller:
    def __init__(
        self,
        cel: Sequence[CelRow],
        queue_log: Sequence[QueueRow],
        seats: Mapping[str, str],
        refused: Sequence[Refusal],
    ) -> None:
        born = {row.uniqueid: row.linkedid for row in cel if row.event == "CHAN_START"}
        self.rows = [row for row in cel if born.get(row.uniqueid) in born]
        self.channels = channels_of(self.rows)
        self.queue_log, self.refused = queue_log, refused
        self.seats = read_seats(queue_log, cel, self.channels, seats)
        self._heirs = heirs(self.channels)
        self._waits: dict[str, list[Wait]] = {}
        whole = passes(as_one(queue_log, self._heirs))
        for wait in refine(whole, rows_of_one(self.channels, self._heirs)):
            self._waits.setdefault(wait.of.uniqueid, []).append(wait)
        self._rung_for = self._by_who_waits()
        self._at = list(accumulate((row.at for row in self.rows), max))
        self._told: list[tuple[tuple[int, int, int], ev.Event]] = []
        self._places = {id(row): place for place, row in enumerate(self.rows)}
        self._dials = Dials(self.rows, self.channels, self._places, self._rung_for, queue_log, self.seats)
        self._stays_on_line: set[str] = set()
        self._picked: set[str] = set()  # rung channels whose call somebody else took
        self._named: dict[
            str, list[CelRow]
        ] = {}  # first rows of the channels of one name: a restarted PBX counts anew
        for rows in self.channels.values():
            for name in {row.channel for row in rows}:
                self._named.setdefault(name, []).append(rows[0])

    def tell(self) -> list[ev.Event]:
        for place, row in enumerate(self.rows):
            self._tell_row(place, row)
        self._tell_requests()
        self._tell_restarts()
        self._tell_waits()
        self._tell_turned_away()
        self._tell_members()
        return [event for _, event in sorted(self._told, key=lambda told: told[0])]

    def _add(self, place: int, step: int, event: ev.Event) -> None:
        """An event at a row; `step` orders those of one row."""
        self._told.append(((place, step, len(self._told)), event))

    def _place_of(self, at: float) -> int:
        """The last row not later than this."""
        return bisect_right(self._at, at) - 1

    # -- channels and bridges

    def _tell_row(self, place: int, row: CelRow) -> None:
        match row.event:
            case "CHAN_START":
                self._start(place, row)
            case "ANSWER":
                self._answered(place, row)
            case "BRIDGE_ENTER" | "BRIDGE_EXIT":
                self._bridge(place, row)
            case "LOCAL_OPTIMIZE_BEGIN" | "LOCAL_OPTIMIZE":
                begun = row.event == "LOCAL_OPTIMIZE_BEGIN"
                self._add(place, 0, ev.LocalOptimized(row.at, row.uniqueid, begun=begun))
            case "BLINDTRANSFER":
                self._blind(place, row)
            case "ATTENDEDTRANSFER":
                self._attended(place, row)
            case "PICKUP":
                who = str(row.extra.get("pickup_channel_uniqueid", ""))
                self._picked.add(row.uniqueid)
                self._add(place, -3, ev.PickedUp(row.at, who, row.uniqueid))
                self._add(place, -2, ev.DialEnded(row.at, "", who, "ANSWER", ""))
            case "HANGUP":
                self._hangup(place, row)
            case "APP_START" if row.app == "MixMonitor":
                file = row.appdata.split(",", 1)[0]
                self._add(place, 0, ev.RecordingBegan(row.at, row.uniqueid, file))
            case "APP_START" if row.app == "StopMixMonitor":
                self._add(place, 0, ev.RecordingEnded(row.at, row.uniqueid))
        if row.app == AGENT_LOGIN and row.uniqueid not in self._stays_on_line:
            self._stays_on_line.add(row.uniqueid)
            self._add(place, -5, ev.StaysOnLine(row.at, row.uniqueid, row.appdata))

    def _blind(self, place: int, row: CelRow) -> None:
        whom, to = str(row.extra.get("transferee_channel_uniqueid", "")), str(row.extra.get("extension", ""))
        self._add(place, -3, ev.BlindTransferred(row.at, row.uniqueid, whom, to, done=True))

    def _attended(self, place: int, row: CelRow) -> None:
        def said(name: str) -> str:
            return str(row.extra.get(name, ""))

        by, second = row.uniqueid, said("channel2_uniqueid")
        target = said("transfer_target_channel_uniqueid")
        if (
            not said("bridge2_id")
            and target in self.channels
            and said("transferee_channel_uniqueid") == _NOBODY
        ):
            by, second = second, by  # CEL writes it on a channel that is in a bridge, and only the other was
        if target not in self.channels:  # under load Asterisk does not always name it
            target = self._other_in(said("bridge2_id"), {by, second})
        met = self.channels.get(target) if second == by else self.channels.get(second)
        reached = any(one.event == "ANSWER" and one.at <= row.at for one in self.channels.get(target, ()))
        event = ev.AttendedTransferred(
            row.at,
            by,
            second,
            said("transferee_channel_uniqueid"),
            target if reached else "",
            met[0].exten if met else "",
            said("app"),
            said("bridge1_id"),
            done=True,
        )
        self._add(place, -3, event)

    def _other_in(self, bridge: str, known: set[str]) -> str:
        """Who else has been in this bridge, the last to enter; "" when nobody has."""
        entered = (
            row.uniqueid
            for row in reversed(self.rows)
            if row.event == "BRIDGE_ENTER"
            and row.extra.get("bridge_id") == bridge
            and row.uniqueid not in known
        )
        return next(entered, "") if bridge else ""

    def _start(self, place: int, row: CelRow) -> None:
        came_in = row.linkedid == row.uniqueid and not row.channel.startswith("Local/")
        self._add(
            place,
            0,
            ev.ChannelCreated(
                row.at,
                row.uniqueid,
                row.linkedid,
                row.channel,
                _RING if came_in and not self._dials.is_originated(row.uniqueid) else _DOWN,
                row.number,
                row.name,
                row.context,
                row.exten,
            ),
        )
        self._caller_id(row)
        source = self._dials.of(row.uniqueid)
        place = self._pair_place(row, place)
        if source is not None:
            if not self._never_rang(row.uniqueid):
                self._dial(place, row, source)
        elif self._dials.is_dialled(row.uniqueid):
            number = device_of(row.channel)
            self._add(place, 2, ev.DialBegan(row.at, "", row.uniqueid, number, ""))

    def _never_rang(self, uniqueid: str) -> bool:
        """Whether it could not even call, for want of a port for example: AMI tells of no dial then."""
        rows = self.channels[uniqueid]
        end = next((row for row in rows if row.event == "HANGUP"), None)
        if end is None or any(row.event == "ANSWER" for row in rows):
            return False
        return not end.extra.get("hangupcause") and end.extra.get("hangupsource") == end.channel

    def _answered(self, place: int, row: CelRow) -> None:
        consults = row.channel.endswith(";1") and row.linkedid != row.uniqueid  # for an attended transfer
        if consults and not self._dials.is_dialled(row.uniqueid):
            self._add(place, 1, ev.ChannelStateChanged(row.at, row.uniqueid, _UP, ""))
        if not self._dials.is_dialled(row.uniqueid) and not consults:
            return
        source = self._dials.of(row.uniqueid)
        caller = source.channel if source is not None else ""
        if source is not None and asks_first(source):  # the dial ends when they have agreed to take the call
            rows = self.channels[row.uniqueid]
            agreed = next((one for one in rows if one.event == "BRIDGE_ENTER"), None)
            if agreed is None:
                return
            place, row = self._places[id(agreed)], agreed
        self._add(place, -1, ev.DialEnded(row.at, caller, row.uniqueid, "ANSWER", ""))

    def _pair_place(self, row: CelRow, place: int) -> int:
        """A Local channel is rung when both its halves are there."""
        other = self._called(row.channel[:-1] + "2", row.at + _AT_ONCE) if row.channel.endswith(";1") else ""
        return max(place, self._places[id(self.channels[other][0])]) if other else place

    def _called(self, name: str, at: float) -> str:
        """Uniqueid of the channel that had this name then; "" when none had."""
        return next((row.uniqueid for row in reversed(self._named.get(name, [])) if row.at <= at), "")

    def _caller_id(self, start: CelRow) -> None:
        """A caller's number or name that the dialplan changed, or that came after the channel."""
        number, name = start.number, start.name
        # These have their caller's before they are rung, and the inner half of a consultation its asker's.
        outer = self._called(start.channel[:-1] + "1", start.at) if start.channel.endswith(";2") else ""
        early = self._dials.is_originated(start.uniqueid) or (outer != "" and self._consults(outer))
        for row in self.channels[start.uniqueid]:
            if (row.number or row.name) and (row.number, row.name) != (number, name):
                number, name = row.number, row.name
                changed = ev.CallerChanged(start.at if early else row.at, row.uniqueid, number, name)
                self._add(self._places[id(start if early else row)], 1 if early else -1, changed)

    def _dial(self, place: int, row: CelRow, source: App) -> None:
        device = device_of(row.channel)
        if source.name == "Queue":
            waits = [wait for wait in self._rung_for.get(source.channel, ()) if wait.joined_at <= row.at]
            queue = waits[-1].of.queue if waits else source.data.split(",", 1)[0]
            member = self.seats.agent_at(device, row.at)
            self._add(place, 1, ev.MemberCalled(row.at, queue, source.channel, row.uniqueid, member, device))
        dialled = (dial_string(source.data, device) if source.name == "Dial" else "") or device
        self._add(place, 2, ev.DialBegan(row.at, source.channel, row.uniqueid, dialled, ""))

    def _bridge(self, place: int, row: CelRow) -> None:
        bridge = str(row.extra.get("bridge_id", ""))
        if row.event == "BRIDGE_EXIT":
            self._add(place, 0, ev.BridgeLeft(row.at, bridge, row.uniqueid))
            return
        technology = str(row.extra.get("bridge_technology", ""))
        kind = "holding" if technology == "holding_bridge" else "base" if row.app == "ConfBridge" else "basic"
        up = not self._still_rings(row)
        self._add(place, 0, ev.BridgeEntered(row.at, bridge, row.uniqueid, "", kind, technology, "", up))

    def _still_rings(self, row: CelRow) -> bool:
        """Whether a consultation is in the bridge already, and whom it calls has not answered."""
        if not row.channel.endswith(";1") or not self._consults(row.uniqueid):
            return False
        return all(one.event != "ANSWER" or one.at > row.at for one in self.channels[row.uniqueid])

    def _consults(self, uniqueid: str) -> bool:
        """Whether this is what a phone's feature code, or a program, rang for an attended transfer."""
        first = self.channels[uniqueid][0]
        return (
            first.channel.endswith(";1")
            and first.linkedid != uniqueid
            and not self._dials.is_dialled(uniqueid)
        )

    # -- endings

    def _hangup(self, place: int, row: CelRow) -> None:
        cause = int(row.extra.get("hangupcause", 0) or 0)
        source = self._dials.of(row.uniqueid)
        events = {one.event for one in self.channels[row.uniqueid]}
        answered = "ANSWER" in events and (
            source is None or not asks_first(source) or "BRIDGE_ENTER" in events
        )
        rang = not answered and row.uniqueid not in self._picked and not self._never_rang(row.uniqueid)
        if source is not None and rang:
            status, over = self._dials.status(row, cause, source), row
            if status == "CANCEL":
                over = self._dials.answered_elsewhere(row, source) or row
            over_at, place_of = over.at, self._places[id(over)]
            if source.name == "Dial" and source.end_place < place_of:  # a busy Asterisk hangs up later
                over_at, place_of = source.ended_at, source.end_place
            left_at = self._left_at(row.uniqueid, source)
            if left_at is not None and left_at < over_at - _AT_ONCE:
                over_at, place_of = left_at, self._place_of(left_at)
            self._add(place_of, 1, ev.DialEnded(over_at, source.channel, row.uniqueid, status, ""))
        elif self._dials.is_originated(row.uniqueid) and "ANSWER" not in events and cause in STATUS_BY_CAUSE:
            self._add(place, 1, ev.DialEnded(row.at, "", row.uniqueid, STATUS_BY_CAUSE[cause], ""))
        mailbox = any(one.app == "VoiceMail" for one in self.channels[row.uniqueid])
        self._add(place, 5, ev.ChannelHungUp(row.at, row.uniqueid, cause, "", mailbox))

    def _left_at(self, uniqueid: str, source: App) -> float | None:
        """When the wait was over for which this channel was rung; then it rang no more."""
        began = self.channels[uniqueid][0].at
        waits = self._rung_for.get(source.channel, ()) if source.name == "Queue" else ()
        wait = next((wait for wait in reversed(waits) if wait.joined_at <= began), None)
        return None if wait is None or wait.left_at is None else max(wait.left_at, began)

    def _tell_requests(self) -> None:
        """Who hung up, once for each, as they leave their bridge."""
        told: set[str] = set()
        for row in self.rows:
            name = str(row.extra.get("hangupsource", "")) if row.event == "HANGUP" else ""
            uniqueid = self._called(name, row.at)
            if not uniqueid or uniqueid in told:
                continue
            told.add(uniqueid)
            exits = [one for one in self.channels[uniqueid] if one.event == "BRIDGE_EXIT"]
            last = exits[-1] if exits and abs(row.at - exits[-1].at) < _STEPS_OUT else row
            first = self._handed_on(uniqueid, last)
            self._add(self._places[id(first)], -2, ev.HangupRequested(first.at, uniqueid, by_device=True))

    def _handed_on(self, uniqueid: str, out: CelRow) -> CelRow:
        """Where their leaving began: who hangs up and so hands on leaves when the others have met already."""
        moved = (row for row in self.channels[uniqueid] if row.event == "ATTENDEDTRANSFER")
        row = next((row for row in moved if abs(row.at - out.at) < _AT_ONCE), None)
        if row is None:
            return out
        bridges = {row.extra.get("bridge1_id"), row.extra.get("bridge2_id")}
        place = self._places[id(out)]
        while place and out.at - self.rows[place - 1].at < _AT_ONCE:
            place -= 1
        near = self.rows[place : self._places[id(out)]]
        exits = (one for one in near if one.event == "BRIDGE_EXIT")
        return next((one for one in exits if one.extra.get("bridge_id") in bridges), out)

    def _tell_restarts(self) -> None:
        """Channels of an Asterisk that died have no end: they went with it."""
        died = deaths(self.queue_log, self.rows)
        for uniqueid, rows in self.channels.items():
            if any(row.event == "HANGUP" for row in rows):
                continue
            at = next((at for start, at in died if start > rows[-1].at), None)
            if at is not None:
                self._add(
                    max(self._place_of(at), self._places[id(rows[-1])]),
                    8,
                    ev.ChannelHungUp(at, uniqueid, 0, ""),
                )

    # -- queues

    def _by_who_waits(self) -> Mapping[str, Sequence[Wait]]:
        """The waits of each channel, also those in which it took another's place, from then on."""
        found = {uniqueid: list(waits) for uniqueid, waits in self._waits.items()}
        for second, heir in self._heirs.items():
            for wait in self._waits.get(second, ()):
                if wait.holds_at(heir.at):
                    found.setdefault(heir.uniqueid, []).append(replace(wait, joined_at=heir.at))
                    found[heir.uniqueid].sort(key=lambda wait: wait.joined_at)
        return found

    def _who_waits(self, wait: Wait, at: float) -> str:
        """The uniqueid that app_queue has for this wait at that time."""
        heir = self._heirs.get(wait.of.uniqueid)
        return wait.of.uniqueid if heir is None or at <= heir.at else heir.uniqueid

    def _tell_waits(self) -> None:
        for of_channel in self._waits.values():
            place, step, left = 0, _JOINS, False
            for wait in of_channel:
                start = self._places[id(self.channels[wait.of.uniqueid][0])]
                joins = max(self._place_of(wait.joined_at), start)
                if joins > place:
                    place, step = joins, _JOINS
                elif joins < place and left:
                    step = _GOES_ON  # the row is what comes next, and may be the ringing of this queue
                one, before = wait.of, place
                joined = ev.CallerJoined(wait.joined_at, one.queue, one.uniqueid, one.position or 0, "")
                self._add(place, step, joined)
                if wait.of.outcome is StayOutcome.ANSWERED:
                    place = self._connected(wait, place, step)
                elif wait.left_at is not None:
                    place = self._left(wait, wait.left_at, place, step)
                left = place != before and wait.of.outcome is not StayOutcome.ANSWERED
                step = step + 4 if place == before else _JOINS  # a row may see several passes

    def _connected(self, wait: Wait, joined: int, step: int) -> int:
        one, at = wait.of, wait.left_at or wait.joined_at
        who = self._who_waits(wait, at)
        exact = wait.answer is not None and wait.answer.at == at
        place = self._places[id(wait.answer)] if exact else self._place_of(at)
        place = max(place, joined)
        step = step if place == joined else _JOINS
        rows = self.channels.get(one.member_channel)
        agent, hold = one.agent or "", one.book_wait or 0.0
        device = device_of(rows[0].channel) if rows else self.seats.device_of(agent, at) or agent
        self._add(place, step, ev.CallerLeft(at, one.queue, who, ""))
        connected = ev.MemberConnected(at, one.queue, who, one.member_channel, agent, device, hold)
        self._add(place, step + 1, connected)
        if one.ended_at is not None and one.book_talk is not None:
            last = max(self._places[id(rows[-1])] if rows else place, place)
            over, by = max(at, one.ended_at), one.ended_by
            completed = ev.MemberCompleted(over, one.queue, who, agent, device, hold, one.book_talk, by)
            self._add(last, 9, completed)
        return place

    def _left(self, wait: Wait, at: float, joined: int, step: int) -> int:
        one, place = wait.of, max(bisect_left(self._at, at), joined)
        who = self._who_waits(wait, at)
        step = (
            step + 1 if place == joined else -4
        )  # after the joining, and before what else happens at that row
        if one.outcome is StayOutcome.ABANDONED and not self._sent_on(wait, at):
            self._add(place, step, ev.HangupRequested(at, who, by_device=False))
        if one.outcome is not StayOutcome.LEFT_BY_KEY:
            self._add(place, step + 1, ev.CallerAbandoned(at, one.queue, who))
        status = _QUEUE_STATUS.get(one.outcome, "")
        self._add(place, step + 2, ev.CallerLeft(at, one.queue, who, status))
        return place

    def _sent_on(self, wait: Wait, at: float) -> bool:
        """Whether the caller was sent on: app_queue sees only that they are gone."""
        runs = [row for row in self.channels[self._who_waits(wait, at)] if row.event == "APP_START"]
        until = wait.joined_at + _AT_ONCE
        own = max((n for n, row in enumerate(runs) if row.app == "Queue" and row.at <= until), default=-1)
        return any(row.at >= at and row.exten != _AFTER_HANGUP for row in runs[own + 1 :])

    def _tell_turned_away(self) -> None:
        for one in self.refused:
            place = self._places.get(id(one.row))
            if place is not None:
                before = one.row.event == "APP_START"  # whoever is let in later joins after it
                status = STATUS_LEFT_BEHIND[one.outcome]
                told = ev.CallerTurnedAway(one.at, one.queue, one.uniqueid, status)
                self._add(place, _REFUSED if before else _REFUSED_LAST, told)

    # -- members

    def _tell_members(self) -> None:
        """Logins, logouts and pauses, at their whole seconds."""
        lately: set[tuple[str, float]] = set()
        members = {(row.member, row.at) for row in self.queue_log if row.verb in OF_MEMBERS}
        for row in self.queue_log:
            if row.verb == "REMOVEMEMBER":
                device = self.seats.device_of(row.member, row.at) or row.member
                event: ev.Event = ev.MemberRemoved(row.at, row.queue, row.member, device)
            elif row.verb in OF_MEMBERS:
                reason = row.data[0] if row.data and row.verb == "PAUSE" else ""
                paused = row.verb == "PAUSE" or (row.verb == "ADDMEMBER" and "PAUSED" in row.data)
                event = member_seen(row, self.seats, paused=paused, reason=reason)
            else:
                continue
            # Of what shares its second, a login comes first and a logout or a pause last, as it mostly is.
            late = row.verb in {"REMOVEMEMBER", "PAUSE"} or (row.member, row.at) in lately
            if late:
                lately.add((row.member, row.at))
            # What is of the second after is told as that begins.
            last = _WITHIN if (row.member, row.at + 1) in members else 1 + CLOCK_LAG
            self._add(self._place_of(row.at + last if late else row.at), 7, event)


def deaths(queue_log: Iterable[QueueRow], cel: Iterable[CelRow]) -> list[tuple[float, float]]:
    """When each Asterisk of these books began, and when the one before was last heard of, in order (epochs).

    QUEUESTART is written as app_queue is loaded. How long nothing ran is nobody's talk, so the last row of any book counts.
    """
    rows = sorted(queue_log, key=lambda row: row.at)
    written = sorted([*(row.at for row in rows), *(row.at for row in cel)])
    starts = [row.at for row in rows if row.verb == "QUEUESTART"]
    return [(start, written[max(0, bisect_left(written, start) - 1)]) for start in starts]


def member_seen(row: QueueRow, seats: Seats, *, paused: bool, reason: str) -> ev.MemberSeen:
    """A member as a line of queue_log shows them; reachable, for that book knows nothing else."""
    device = seats.device_of(row.member, row.at) or row.member
    what = "added" if row.verb == "ADDMEMBER" else "changed"
    return ev.MemberSeen(
        row.at,
        what,
        row.queue,
        row.member,
        device,
        device,
        "dynamic",
        paused,
        reason,
        1,
        0.0,
        row.at if paused else 0.0,
        0.0,
    )
