"""Who rang whom by the books, and how a ringing that nobody answered ended.

CEL has runs of Dial and Queue, and channels that say that one of these rang them, but not which. Whichever of the call's
runs was under way then, and has the phone in what it dials, did. How the ringing ended the cause of the channel says, what
became of the run, and queue_log. Pure.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cti.core.books import QueueRow
from cti.core.cel import CelRow
from cti.core.facts import StayOutcome
from cti.core.people import DIALLING, device_of
from cti.core.seats import Seats
from cti.core.waits import Wait

_LATE = 5.0  # s a busy Asterisk may take to hang up on the members who were slower
_SECOND = 0.3  # s by which a line of queue_log may be dated beside its second
_HASTE = 0.01  # s by which a timer may seem to run out early
_ANSWERED_ELSEWHERE = 26  # Q.850 cause
_REJECTED = 21
_PHONE_SPOKE = frozenset({17, _REJECTED})  # busy, rejected
_DIALLERS: Mapping[str, str] = {"AppDial": "Dial", "AppQueue": "Queue"}  # what a rung channel is said to run
_AT_ONCE = 0.1  # s between two signs of one thing
STATUS_BY_CAUSE: Mapping[int, str] = {
    17: "BUSY",
    26: "CANCEL",
    1: "CHANUNAVAIL",
    3: "CHANUNAVAIL",
    20: "CHANUNAVAIL",
    27: "CHANUNAVAIL",
    34: "CONGESTION",
    38: "CONGESTION",
    42: "CONGESTION",
}


@dataclass(frozen=True, slots=True)
class App:
    """One run of Dial or Queue on a channel; instants are epochs, places are row numbers."""

    channel: str  # uniqueid
    name: str
    data: str
    place: int
    end_place: int  # of APP_END; that of the last row when there is none
    ended_at: float

    def runs_at(self, place: int) -> bool:
        """Whether it was under way at that row."""
        return self.place < place <= self.end_place


class Dials:
    """The dials of some rows of CEL."""

    def __init__(  # noqa: PLR0917 - the books, each as it was read
        self,
        rows: Sequence[CelRow],
        channels: Mapping[str, Sequence[CelRow]],
        places: Mapping[int, int],
        waits: Mapping[str, Sequence[Wait]],
        queue_log: Sequence[QueueRow],
        seats: Seats,
    ) -> None:
        """`places` has the number of each row by its `id`, `waits` those of each channel."""
        self._rows, self._channels, self._places = rows, channels, places
        self._waits, self._seats = waits, seats
        self._ringings: dict[str, list[QueueRow]] = {}  # by uniqueid of who waited
        for line in queue_log:
            if line.verb in {"RINGNOANSWER", "RINGCANCELED"}:
                self._ringings.setdefault(line.callid, []).append(line)
        self._answers: dict[tuple[str, int], list[CelRow]] | None = None  # of whom each run rang
        self._apps = self._read_apps()
        self._originated = self._read_originated()
        self._diallers: dict[str, App | None] = {}

    def is_dialled(self, uniqueid: str) -> bool:
        """Whether anything rang this channel: a run, a program or a transfer."""
        return self.is_originated(uniqueid) or self.of(uniqueid) is not None

    def is_originated(self, uniqueid: str) -> bool:
        """Whether a program or a transfer did."""
        return uniqueid in self._originated

    def of(self, uniqueid: str) -> App | None:
        """The run of Dial or Queue that rang this channel."""
        if uniqueid not in self._diallers:
            self._diallers[uniqueid] = self._find_dialler(uniqueid)
        return self._diallers[uniqueid]

    def _find_dialler(self, uniqueid: str) -> App | None:
        start = self._channels[uniqueid][0]
        by = next((_DIALLERS[r.app] for r in self._channels[uniqueid] if r.app in _DIALLERS), "")
        unborn = len(self._channels[uniqueid]) == 1  # the PBX died before it noted who rings it
        if start.linkedid == uniqueid or start.channel.endswith(";2") or not (by or unborn):
            return None
        place, device = self._places[id(start)], device_of(start.channel)
        running = [
            app
            for app in self._apps.get(start.linkedid, ())
            if app.runs_at(place) and app.channel != uniqueid
        ]
        by_name = [app for app in running if dial_string(app.data, device)]
        found = by_name or running
        return found[-1] if found else None

    def _read_originated(self) -> set[str]:
        """Channels that a program or a transfer rang. Now and then they answer before Asterisk has noted their AppDial2."""
        found = {row.uniqueid for row in self._rows if row.app == "AppDial2"}
        for uniqueid, (first, *others) in self._channels.items():
            answer = next((row for row in others if row.event == "ANSWER"), None)
            outgoing = first.exten == "s" and first.linkedid == uniqueid and not first.channel.endswith(";2")
            if outgoing and answer is not None and not answer.app:
                found.add(uniqueid)
        return found

    def _read_apps(self) -> Mapping[str, list[App]]:
        """Every run of Dial and Queue, by linkedid as their channel's birth had it."""
        found: dict[str, list[App]] = {}
        for rows in self._channels.values():
            for n, row in enumerate(rows):
                if row.event != "APP_START" or row.app not in DIALLING:
                    continue
                over = (r for r in rows[n + 1 :] if r.event in {"APP_END", "CHAN_END"})
                end = next(over, self._rows[-1])  # it runs on, however little its channel does meanwhile
                app = App(
                    row.uniqueid,
                    row.app,
                    row.appdata,
                    self._places[id(row)],
                    self._places[id(end)],
                    end.at,
                )
                found.setdefault(row.linkedid, []).append(app)
        for apps in found.values():
            apps.sort(key=lambda app: app.place)
        return found

    def status(self, row: CelRow, cause: int, source: App) -> str:
        """DIALSTATUS of a ringing that was not answered."""
        over = source.ended_at - row.at < _AT_ONCE
        if source.name == "Queue":
            spoke = cause in _PHONE_SPOKE and self._ringing(row, source) != {"RINGCANCELED"}
            if not spoke and self._queue_cancelled(row, source):
                return "CANCEL"
            return "CHANUNAVAIL" if STATUS_BY_CAUSE.get(cause) == "CHANUNAVAIL" else "NOANSWER"
        if any(one.event == "ANSWER" for one in self._channels[row.uniqueid]):  # and was asked
            return "ANSWER" if self._caller_quits(row, source) else "CONTINUE"
        if cause in STATUS_BY_CAUSE:
            return STATUS_BY_CAUSE[cause]
        by_itself = row.extra.get("hangupsource") == row.channel or row.channel.startswith("Local/")
        if cause == _REJECTED and not by_itself:
            return "CANCEL"  # the cause is another's, whom the caller was given up with
        if self._forwarded(row, source):
            return "CANCEL"
        over = over and not self._dials_again(source)
        last = next((r for r in reversed(self._channels[source.channel]) if r.event == "HANGUP"), None)
        said = str(last.extra.get("dialstatus", "")) if last is not None and over else ""
        if said == "ANSWER" and row.extra.get("hangupsource") == row.channel:
            said = "NOANSWER"  # it could not take the call
        elif said == "ANSWER":  # this dial's, or one's that was before it
            rang = row.at - self._channels[row.uniqueid][0].at
            given_up = self.answered_elsewhere(row, source) is not None or not _ran_out(source, rang)
            said = "CANCEL" if given_up else "NOANSWER"
        return said or "NOANSWER"

    def _caller_quits(self, row: CelRow, source: App) -> bool:
        """Whether the caller had hung up, and not who was rung: they were not refused."""
        caller = self._channels.get(self._channels[source.channel][0].linkedid, ())
        ends = (one for one in caller if one.event == "HANGUP" and one.at < row.at + _AT_ONCE)
        gone = any(one.extra.get("hangupsource") == one.channel for one in ends)
        return gone and row.extra.get("hangupsource") != row.channel

    def answered_elsewhere(self, row: CelRow, source: App) -> CelRow | None:
        """Where another phone that the same run rang was picked up while this one rang, if one was; `row` is its hangup."""
        since, place = self._places[id(self._channels[row.uniqueid][0])], self._places[id(row)]
        if self._answers is None:
            self._answers = {}
            for uniqueid, rows in self._channels.items():
                app = self.of(uniqueid)
                if app is not None:
                    answers = [one for one in rows if one.event == "ANSWER"]
                    self._answers.setdefault((app.channel, app.place), []).extend(answers)
        of_run = self._answers.get((source.channel, source.place), ())
        return next((one for one in of_run if since < self._places[id(one)] < place), None)

    def _forwarded(self, row: CelRow, source: App) -> bool:
        """Whether the phone sent the caller on to another number."""
        of_source = self._channels[source.channel]
        return any(one.event == "FORWARD" and abs(one.at - row.at) < _AT_ONCE for one in of_source)

    def _dials_again(self, source: App) -> bool:
        of_channel = (app for apps in self._apps.values() for app in apps if app.channel == source.channel)
        return any(app.place > source.place and app.name == "Dial" for app in of_channel)

    def _queue_cancelled(self, row: CelRow, source: App) -> bool:
        """Whether the caller left, or another member was quicker."""
        rung_at = self._channels[row.uniqueid][0].at
        late = _LATE if row.extra.get("hangupcause") == _ANSWERED_ELSEWHERE else _AT_ONCE
        for wait in self._waits.get(source.channel, ()):
            if not wait.holds_at(rung_at):
                continue
            if wait.answer is not None and -_AT_ONCE < row.at - wait.answer.at < late:
                return True
            gave_up = wait.of.outcome is StayOutcome.ABANDONED and wait.left_at is not None
            if gave_up and abs((wait.left_at or 0.0) - row.at) < _AT_ONCE:
                return self._ringing(row, source) != {"RINGNOANSWER"}
        return False

    def _ringing(self, row: CelRow, source: App) -> set[str]:
        """What queue_log says of this ringing: that it was not answered, or that it was given up."""
        return {
            line.verb
            for line in self._ringings.get(source.channel, ())
            if -_SECOND < row.at - line.at < 1 + _SECOND
            and self._seats.device_of(line.member, line.at) == device_of(row.channel)
        }


def _ran_out(dial: App, rang: float) -> bool:
    """Whether so many seconds are as long as it was to ring."""
    seconds = dial.data.split(",")[1:2]
    try:
        return rang >= float(seconds[0]) - _HASTE
    except (IndexError, ValueError):
        return False


def dial_string(data: str, device: str) -> str:
    """Which of the things that Dial was told to ring is this device; "" when none is.

    `PJSIP/1003` rings PJSIP/1003, `PJSIP/139@trunk-a` rings PJSIP/trunk-a, `Local/7@q/n` rings Local/7@q.
    """
    technology = device.split("/", 1)[0]
    for target in data.split(",", 1)[0].split("&"):
        kind, _, rest = target.partition("/")
        number, _, peer = rest.partition("@")
        names = {target, f"{kind}/{rest.removesuffix('/n')}", f"{kind}/{peer}", f"{kind}/{number}"}
        if kind == technology and device in names:
            return rest
    return ""


def asks_first(app: App) -> bool:
    """Whether Dial runs a subroutine for whoever answers (options U and M), which may refuse the call."""
    options = app.data.split(",")[2:3]
    return app.name == "Dial" and bool(options) and ("U(" in options[0] or "M(" in options[0])
