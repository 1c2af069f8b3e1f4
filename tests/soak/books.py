"""What the PBX's books say about a run, read without any code of the product.

CEL ties channels to calls: a channel is born into the call of the linkedid it is born with; the halves of a Local
channel belong together, and so do the parties of a transfer, of a pickup and of a bridge in which people talk (not: of a
conference, an agent's own line, a parking lot). CDR and queue_log then say what became of each call. Instants are epochs.
"""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from tests.soak.refused import Refused, refused

_CEL = (
    "event", "at", "linkedid", "uniqueid", "channel", "peer", "number", "name", "exten", "context",
    "app", "appdata", "account", "userfield", "extra",
)  # fmt: skip
_CDR = (
    "linkedid", "uniqueid", "sequence", "start", "answer", "end", "duration", "billsec", "disposition",
    "src", "dst", "clid", "dcontext", "channel", "dstchannel", "lastapp", "lastdata", "account", "userfield",
)  # fmt: skip
_ALONE = frozenset({"ConfBridge", "AgentLogin"})  # whoever runs these shares a bridge and no call
_AT_ONCE = 0.1  # s
_DROPPED = 2.0  # s a busy Asterisk may take to drop a recall that it does not want
_SAME_SECOND = 2.0  # s between an instant of CEL and a line in a book of whole seconds, on a busy machine
_SAID = (
    "channel2_uniqueid",
    "transferee_channel_uniqueid",
    "transfer_target_channel_uniqueid",
    "pickup_channel_uniqueid",
)

Row = dict[str, str]


@dataclass(frozen=True)
class Pickup:
    """Somebody took a call that rang elsewhere; devices."""

    rang: str
    took: str


@dataclass
class Pass:
    """One pass through a queue: what queue_log has of it."""

    uniqueid: str
    queue: str
    entered: float
    outcome: str = ""  # "" while no line ends it
    agent: str | None = None
    wait: float | None = None
    talk: float | None = None
    ended: float | None = None
    member_channel: str = ""  # that CONNECT names
    lines: list[str] = field(default_factory=list)
    picked: Pickup | None = None  # somebody else took what rang at the member's phone
    talk_elsewhere: float | None = None  # its end stands under another uniqueid (see `_note_masquerades`)
    goes_on_as: str = ""  # likewise: uniqueid of the caller who took the place of the channel that waited


@dataclass
class Told:
    """One call as the books have it."""

    channels: dict[str, str]  # uniqueid to name
    began: float
    ended: float | None  # None: the PBX died in it
    cdr: list[Row]
    bridged: dict[
        str, float
    ]  # seconds in company, by uniqueid; not of those whose company was a Local channel
    recall_of: str = (
        ""  # it is a dropped recall (see `_dropped_recall`): uniqueid of who had handed the caller on
    )

    @property
    def first(self) -> str:
        """Uniqueid of its first channel."""
        return next(iter(self.channels))

    @property
    def answered(self) -> bool:
        return any(row["disposition"] == "ANSWERED" for row in self.cdr)


@dataclass
class Ledger:
    """All books of a run."""

    calls: list[Told]
    passes: list[Pass]
    starts: list[float]  # of app_queue: the PBX began
    refused: list[Refused] = field(default_factory=list)

    @classmethod
    def read(cls, queue_log: str, cdr: str, cel: str, since: float = 0.0) -> Self:
        """Read what began at `since` or later."""
        rows = [row for row in _rows(cel, _CEL) if float(row["at"]) >= since]
        lines = [line.split("|") for line in queue_log.splitlines()]
        told = [line for line in lines if float(line[0]) >= int(since)]
        starts = [float(line[0]) for line in told if line[4] == "QUEUESTART"]
        passes, strays = _passes(told)
        _note_pickups(passes, rows)
        _note_masquerades(passes, strays, rows)
        turned_away = refused(rows, ((one.uniqueid, one.queue, one.entered) for one in passes))
        return cls(_calls(rows, _rows(cdr, _CDR), starts), passes, starts, turned_away)

    @classmethod
    def of_files(cls, queue_log: Path, cdr: Path, cel: Path, since: float = 0.0) -> Self:
        """Read the files themselves."""
        return cls.read(queue_log.read_text(), cdr.read_text(), cel.read_text(), since)


def _rows(text: str, columns: Sequence[str]) -> list[Row]:
    return [dict(zip(columns, row, strict=True)) for row in csv.reader(text.splitlines())]


class _Sets:
    """Which channels belong together."""

    def __init__(self) -> None:
        self._above: dict[str, str] = {}

    def of(self, one: str) -> str:
        while (above := self._above.setdefault(one, one)) != one:
            one = above
        return one

    def tie(self, *ones: str) -> None:
        tops = sorted(map(self.of, ones))
        for top in tops:
            self._above[top] = tops[0]


def _calls(cel: Sequence[Row], cdr: Sequence[Row], starts: Iterable[float]) -> list[Told]:
    born = {row["uniqueid"]: row for row in cel if row["event"] == "CHAN_START"}
    ties, company, births = _Sets(), _Company(), _Births(cel)
    restarts = sorted(starts, reverse=True)
    for row in cel:
        while restarts and float(row["at"]) >= restarts[-1]:
            restarts.pop()
            births.forget()
        if row["uniqueid"] not in born:
            continue
        own = row["uniqueid"]
        births.live(row)
        match row["event"]:
            case "CHAN_START":
                ties.tie(own, *(one for one in births.parents(row) if one in born))
            case "APP_START" | "APP_END":
                births.app(row)
            case "ATTENDEDTRANSFER" | "PICKUP":
                extra = _extra(row)
                ties.tie(own, *(extra[name] for name in _SAID if extra.get(name) in born))
            case "BRIDGE_ENTER":
                births.app(row)
                together = company.enter(row)
                births.met(together)
                ties.tie(own, *together)
            case "BRIDGE_EXIT" | "CHAN_END":
                company.leave(row)
    for own, who in list(births.askers(ties)):
        ties.tie(own, who)
    return _told(born, cel, cdr, ties, company)


class _Births:
    """Into which call a channel is born: that of its linkedid.

    A consultation for a transfer is a Local channel that nobody dialled; it belongs to the call once it meets somebody of
    it in a bridge, and whom it rings belongs to the consultation. One that meets nobody belongs to the phone that asked
    for it: of its linkedid, living as it was born, with the number that it is dialled from.
    """

    def __init__(self, cel: Iterable[Row]) -> None:
        self._dialled = {row["uniqueid"] for row in cel if row["app"].startswith(("AppDial", "AppQueue"))}
        rows = Counter(row["uniqueid"] for row in cel)
        self._cut = {
            own for own, count in rows.items() if count == 1
        }  # the PBX died before it said more of them
        self._calling: set[str] = set()  # these run Dial or Queue, and have nobody yet
        self._halves: dict[str, str] = {}
        self._rings: dict[str, str] = {}  # uniqueid of an inner half of a Local channel to what it dials
        self._phones: dict[str, Row] = {}  # the last row of each that lives
        self._asked: dict[
            str, dict[str, str]
        ] = {}  # consultation that has met nobody to the phones that may have asked, and their numbers
        self._from: dict[str, str] = {}  # uniqueid of an inner half of a Local channel to the number it has

    def forget(self) -> None:
        """The PBX began anew: nothing runs, and names come again."""
        self._halves.clear()
        self._rings.clear()
        self._calling.clear()
        self._phones.clear()

    def live(self, row: Row) -> None:
        """Any row of a channel."""
        own, name = row["uniqueid"], row["channel"]
        if row["event"] == "CHAN_END":
            self._phones.pop(own, None)
        elif not name.startswith("Local/"):
            self._phones[own] = row
        elif name.endswith(";2") and row["number"]:
            self._from.setdefault(own, row["number"])

    def met(self, ones: Iterable[str]) -> None:
        """These are in one bridge."""
        together = list(ones)
        if len(together) > 1:
            for own in together:
                self._asked.pop(own, None)

    def askers(self, halves: _Sets) -> Iterator[tuple[str, str]]:
        """Consultations that met nobody, each with who asked for it."""
        numbers = {halves.of(own): number for own, number in self._from.items()}
        for own, phones in self._asked.items():
            who = [phone for phone, number in phones.items() if number == numbers.get(halves.of(own))]
            if len(who) == 1:
                yield own, who[0]

    def parents(self, row: Row) -> list[str]:
        name = row["channel"]
        if name.startswith("Local/"):
            other = self._halves.setdefault(name[:-2], row["uniqueid"])
            own, above = row["uniqueid"], row["linkedid"]
            dialled = own in self._dialled or (own in self._cut and above in self._calling)
            born_in = [above] if name.endswith(";1") and dialled else []
            if name.endswith(";1") and not dialled and above != own:
                self._asked[own] = {
                    phone: last["number"] for phone, last in self._phones.items() if last["linkedid"] == above
                }
            return [one for one in (other, *born_in) if one]
        device = _device(name)
        ringing = [own for own, data in self._rings.items() if device in data.replace("@", "&").split("&")]
        return ringing[:1] or [row["linkedid"]]

    def app(self, row: Row) -> None:
        """An application begins or ends, or its caller is connected."""
        self._calling.discard(row["uniqueid"])
        if row["event"] == "APP_START" and row["app"] in {"Dial", "Queue"}:
            self._calling.add(row["uniqueid"])
        if row["event"] == "BRIDGE_ENTER":
            return
        if row["event"] == "APP_END":
            self._rings.pop(row["uniqueid"], None)
        elif row["app"] == "Dial" and row["channel"].endswith(";2"):
            self._rings[row["uniqueid"]] = row["appdata"].split(",")[0]


def _extra(row: Row) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(row["extra"]) if row["extra"] else {}
    return found


class _Company:
    """Who is in which bridge, and how long everybody was there with somebody else."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._in: dict[str, dict[str, Row]] = {}  # bridge to members
        self._since: dict[str, float] = {}  # of those who have company
        self.indirect: set[str] = (
            set()
        )  # these were bridged with a Local channel: what is behind it is not said

    def enter(self, row: Row) -> list[str]:
        """Those whose call this channel shares from now on."""
        extra, at = _extra(row), float(row["at"])
        if extra.get("bridge_technology") == "holding_bridge":
            return []
        self.leave(row)
        members = self._in.setdefault(extra["bridge_id"], {})
        members[row["uniqueid"]] = row
        if any(one["channel"].startswith("Local/") for one in members.values()):
            self.indirect |= members.keys()
        self._tally(members, at)
        tied = row["app"] not in _ALONE
        return [own for own, one in members.items() if tied and one["app"] not in _ALONE]

    def leave(self, row: Row) -> None:
        own, at = row["uniqueid"], float(row["at"])
        for members in self._in.values():
            if own in members:
                del members[own]
                self._end(own, at)
                self._tally(members, at)

    def _tally(self, members: Mapping[str, Row], at: float) -> None:
        for own in members:
            if len(members) > 1:
                self._since.setdefault(own, at)
            else:
                self._end(own, at)

    def _end(self, own: str, at: float) -> None:
        since = self._since.pop(own, at)
        self.seconds[own] = self.seconds.get(own, 0.0) + at - since


def _told(
    born: Mapping[str, Row], cel: Sequence[Row], cdr: Iterable[Row], ties: _Sets, company: _Company
) -> list[Told]:
    found: dict[str, Told] = {}
    for own, row in born.items():
        top = ties.of(own)
        told = found.setdefault(top, Told({}, float(row["at"]), None, [], {}))
        told.channels[own] = row["channel"]
        if own not in company.indirect:
            told.bridged[own] = company.seconds.get(own, 0.0)
    ends = {row["uniqueid"]: row for row in cel if row["event"] == "HANGUP"}
    movers = [row for row in cel if row["event"] == "ATTENDEDTRANSFER"]
    for told in found.values():
        if all(own in ends for own in told.channels):
            told.ended = max(float(ends[own]["at"]) for own in told.channels)
    for row in cdr:
        if row["uniqueid"] in born:
            found[ties.of(row["uniqueid"])].cdr.append(row)
    for told in found.values():
        told.recall_of = _dropped_recall(told, ends, movers)
    return list(found.values())


def _dropped_recall(told: Told, ends: Mapping[str, Row], movers: Iterable[Row]) -> str:
    """Who had handed the caller on, if this is nothing but Asterisk's attempt to ring them back, dropped at once.

    It is one channel that Asterisk rang for itself (AppDial2) and hung up without a cause, a source or an answer, in
    the CDR not at all; and the channel that had handed the caller on, which a transfer keeps to its end, goes with it.
    """
    own, *others = told.channels
    end = ends.get(own)
    if end is None or others or told.cdr or (end["app"], end["linkedid"]) != ("AppDial2", own):
        return ""
    said, at = _extra(end), float(end["at"])
    if said.get("hangupcause") or said.get("hangupsource") or at - told.began > _DROPPED:
        return ""
    device = _device(end["channel"])
    for row in movers:
        gone = ends.get(row["uniqueid"])
        if gone is not None and _device(row["channel"]) == device and abs(float(gone["at"]) - at) < _AT_ONCE:
            return row["uniqueid"]
    return ""


def _device(channel: str) -> str:
    return channel.rpartition("-")[0]


_EXITS = {
    "ABANDON": ("abandoned", 2),
    "EXITWITHTIMEOUT": ("timeout", 2),
    "EXITEMPTY": ("empty", 2),
    "EXITWITHKEY": ("left_by_key", 3),
    "WITHDRAW": ("withdrawn", 2),
}
_COMPLETES = {"COMPLETEAGENT": 1, "COMPLETECALLER": 1, "BLINDTRANSFER": -2, "ATTENDEDTRANSFER": -2}


def _passes(lines: Iterable[list[str]]) -> tuple[list[Pass], list[list[str]]]:
    """The passes, and the lines of ends that stand under a uniqueid which waits in no such queue."""
    found: list[Pass] = []
    strays: list[list[str]] = []
    open_: dict[tuple[str, str], Pass] = {}
    for line in lines:
        epoch, callid, queue, member, verb, *data = line
        at, who = float(epoch), (callid, queue)
        if verb == "QUEUESTART":
            open_.clear()
        elif verb == "ENTERQUEUE":
            open_[who] = Pass(callid, queue, at)
            found.append(open_[who])
        one = open_.get(who)
        if one is None:
            strays += [line] if verb in _COMPLETES else []
            continue
        one.lines.append("|".join(line))
        if verb == "CONNECT":
            one.outcome, one.agent, one.wait, one.member_channel = "answered", member, float(data[0]), data[1]
        elif verb in _COMPLETES:
            one.talk, one.ended = float(data[_COMPLETES[verb]]), at
            del open_[who]
        elif verb in _EXITS:
            one.outcome, one.wait, one.ended = _EXITS[verb][0], float(data[_EXITS[verb][1]]), at
            del open_[who]
    return found, strays


def _note_pickups(passes: Iterable[Pass], cel: Iterable[Row]) -> None:
    """CONNECT names the member who was rung, and the channel that took the call; CEL says whose phone is which."""
    picked: dict[str, Pickup] = {}
    for row in cel:
        if row["event"] == "PICKUP":
            extra = _extra(row)
            took = _device(extra["pickup_channel"])
            picked[extra["pickup_channel_uniqueid"]] = Pickup(_device(row["channel"]), took)
    for one in passes:
        one.picked = picked.get(one.member_channel)


def _note_masquerades(passes: Sequence[Pass], strays: Iterable[list[str]], cel: Iterable[Row]) -> None:
    """What stands under another uniqueid because a caller took the place of the channel of a consultation.

    By CEL a member's channel handed its caller on to an application (ATTENDEDTRANSFER with `app`) that runs on a second
    channel, the consultation's. The end of the first pass, a line of that queue, member and second, may stand under the
    second channel's uniqueid. What waits in a queue there goes on, and the book has no end of it under that uniqueid.
    """
    ends = {
        (callid, queue, member): (float(epoch), verb, data)
        for epoch, callid, queue, member, verb, *data in strays
    }
    moves = [(row, _extra(row)) for row in cel if row["event"] == "ATTENDEDTRANSFER"]
    by_member = {row["uniqueid"]: (float(row["at"]), extra) for row, extra in moves if extra.get("app")}
    waits = {
        extra["channel2_uniqueid"]: extra["transferee_channel_uniqueid"]
        for _, extra in by_member.values()
        if extra["app"] == "Queue"
    }
    for one in passes:
        if one.ended is not None:
            continue
        if not one.outcome:
            one.goes_on_as = waits.get(one.uniqueid, "")
        moved_at, extra = by_member.get(one.member_channel, (0.0, {}))
        under = (extra.get("channel2_uniqueid", ""), one.queue, one.agent or "")
        at, verb, data = ends.get(under, (0.0, "", []))
        handed_on = verb.startswith("COMPLETE") or data[:2] == ["APP", extra.get("app")]
        if handed_on and abs(at - moved_at) <= _SAME_SECOND:
            one.talk_elsewhere = float(data[_COMPLETES[verb]])
