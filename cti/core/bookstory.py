"""What only the PBX's books tell of a call: parking, conferences, voicemail, a phone that forwards.

CEL tells all of it; for a PBX that keeps none, the CDR has most.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from cti.core.books import CdrRow
from cti.core.cel import CelRow
from cti.core.story import CALLER, Books, Parts, Step

_CONFERENCES = frozenset({"ConfBridge", "MeetMe", "Page"})
_VOICEMAIL = "VoiceMail"
_UNPARKED: Mapping[str, str] = {
    "ParkedCallTimeOut": "is no longer parked: nobody fetched it in time",
    "ParkedCallGiveUp": "gives up while parked",
    "ParkedCallFailed": "is no longer parked: the parking failed",
    "ParkedCallSwap": "is no longer parked: another channel took its place",
}
_SOON = 0.5  # s


def told_by_the_books(
    parts: Parts, names: Mapping[str, str], steps: Iterable[Step], books: Books
) -> list[Step]:
    """The steps, with those added that no fact is kept of; whoever talks with others in a conference is told so."""
    steps = list(steps)
    teller = _FromBooks(parts, names, steps)
    found = list(teller.of_cel(books.cel) if books.cel else teller.of_cdr(books.cdr or ()))
    rooms = [(one, _end(one, found)) for one in found if one.kind == "enter"]
    dialled = {row.uniqueid: row.exten for row in books.cel or () if row.event == "CHAN_START"}
    return [_in_room(_dialling(step, dialled), rooms) for step in steps] + found


class _FromBooks:
    def __init__(self, parts: Parts, names: Mapping[str, str], told: Sequence[Step]) -> None:
        self._channels, self._names, self._told = parts.channels, names, told
        self._answered = [step.at for step in told if step.kind == "answer"]
        self._rung = [step.at for step in told if step.kind == "ring"]
        self._joined = [step.at for step in told if step.kind in {"join", "refuse"}]
        self._begun = parts.call.started_at
        self._dialed = {leg.uniqueid for leg in parts.legs if leg.dialed}
        self._devices = {leg.channel: names[leg.uniqueid] for leg in parts.legs}

    def of_cel(self, rows: Iterable[CelRow]) -> Iterator[Step]:
        for row in rows:
            if row.uniqueid in self._channels:
                told = self._step(row)
                if told is not None:
                    yield told

    def _step(self, row: CelRow) -> Step | None:
        match row.event:
            case "PARK_START":
                return self._parked(row)
            case "PARK_END":
                return self._fetched(row)
            case "FORWARD":
                return self._forwarded(row)
            case "ANSWER" if not (_inside(row) or _near(row.at, self._answered)):
                return self._answers(row)
            case "BRIDGE_ENTER" | "BRIDGE_EXIT" if row.app in _CONFERENCES:
                return self._conference(row)
            case "BRIDGE_ENTER" if row.app == "AgentLogin":
                return self._pooled(row)
            case "APP_START":
                return self._began(row)
            case "APP_END" if row.app == _VOICEMAIL:
                box = f"mailbox {_box(row.appdata)}"
                return self._made(row, "mailed", "is done with the voicemail", box, "voicemail ends")
        return None

    def _forwarded(self, row: CelRow) -> Step:
        """The book names the one who called; the phone that forwards is the one that rang last for them."""
        to = str(row.extra.get("forward") or row.exten or "?")
        rang = [one for one in self._told if one.kind == "ring" and row.uniqueid in one.caused_by]
        phone = max((one for one in rang if one.at <= row.at), key=lambda one: one.at, default=None)
        made = self._made(row, "forward", f"is forwarded to {to}", "", f"forwards to {to}")
        return made if phone is None else replace(made, who=phone.to, what=f"forwards the call to {to}")

    def _began(self, row: CelRow) -> Step | None:
        """An application that began, where the record has nothing of it."""
        first = row.appdata.partition(",")[0]
        match row.app:
            case "Queue" if not _near(row.at, self._joined):
                what = f"is not let into queue {first}: it is full, or nobody is there"
                return self._made(row, "refuse", what, f"queue {first}", "is not let in")
            case "Dial" if not (_inside(row) or _near(row.at, self._rung)):
                return self._made(
                    row, "ring", f"has {first} dialled, and nothing rings", "", f"dials {first}"
                )
            case "VoiceMail":
                box = f"mailbox {first or '?'}"
                return self._made(row, "mail", f"is asked to leave a message in {box}", box, "voicemail")
        return None

    def _answers(self, row: CelRow) -> Step:
        """Before anybody is spoken with: in a menu, a queue or a mailbox, or a mobile that is asked to confirm."""
        if row.app.startswith("Pickup"):
            return self._made(row, "answer", "asks for the call that rings", "", "asks for the call")
        if row.uniqueid in self._dialed:
            return self._made(row, "answer", "answers, and is not put through yet", "", "answers")
        app = f" ({row.app})" if row.app else ""
        return self._made(row, "answer", f"is answered by the PBX{app}", "", "is answered")

    def _made(self, row: CelRow, kind: str, what: str, to: str, label: str) -> Step:
        verb = f"{row.event} {row.app}" if row.event.startswith("APP_") else row.event
        who = self._names[row.uniqueid]
        at = max(row.at, self._begun)  # a channel's events follow its first lines in CEL by some milliseconds
        return Step(at, kind, who, what, "cel", verb, to, label, frozenset({row.uniqueid}))

    def _parked(self, row: CelRow) -> Step:
        lot = f"parking {row.extra.get('parking_lot') or 'lot'}"
        by = f" by {who}" if (who := self._known(str(row.extra.get("parker_dial_string") or ""))) else ""
        return self._made(row, "park", f"is parked{by}", lot, "is parked")

    def _fetched(self, row: CelRow) -> Step:
        reason, retriever = str(row.extra.get("reason", "")), str(row.extra.get("retriever", ""))
        if retriever:
            whom = self._known(retriever)
            return self._made(row, "unpark", f"is fetched by {whom}", whom, "is fetched")
        what = _UNPARKED.get(reason, "is no longer parked")
        return self._made(row, "unpark", what, "", what.partition(":")[0])

    def _known(self, channel: str) -> str:
        """What the party of a channel or device is called; the channel's own name for a stranger."""
        if channel in self._devices:
            return self._devices[channel]
        of_device = (name for full, name in self._devices.items() if full.rpartition("-")[0] == channel)
        return next(of_device, channel)

    def _conference(self, row: CelRow) -> Step:
        room = f"conference {row.appdata.partition(',')[0] or '?'}"
        if row.event == "BRIDGE_EXIT":
            return self._made(row, "exit", f"leaves {room}", room, "leaves")
        peers = [name for name in row.peer.split(",") if name and not name.startswith("CBAnn/")]
        there = f", where {_listed(self._whom(name) for name in peers)} already" if peers else ""
        return self._made(row, "enter", f"enters {room}{there}", room, "enters")

    def _whom(self, channel: str) -> str:
        name = self._devices.get(channel, _device(channel))
        return "the caller" if name == CALLER else name

    def _pooled(self, row: CelRow) -> Step:
        """An agent of the pool, whose line is lent to one caller after the other."""
        agent = row.appdata.partition(",")[0]
        if row.extra.get("bridge_technology") == "holding_bridge":
            return self._made(row, "wait", f"waits for calls as agent {agent} of the pool", "", "waits")
        whom = self._known(row.peer.partition(",")[0]) or "a caller"
        return self._made(row, "wait", f"is given {whom} as agent {agent} of the pool", "", "is given a call")

    def of_cdr(self, rows: Sequence[CdrRow]) -> Iterator[Step]:
        """Less exact: a row of the CDR is a pair of parties, and a conference has one for each pair."""
        ours = [row for row in rows if row.uniqueid in self._channels]
        for row in ours:
            if row.lastapp == "Park":
                yield self._cdr(row, row.start, "park", "is parked", "parking lot")
                yield self._cdr(row, row.end, "unpark", "is no longer parked", "")
            elif row.lastapp == _VOICEMAIL:
                box = f"mailbox {_box(row.lastdata)}"
                yield self._cdr(row, row.start, "mail", f"is asked to leave a message in {box}", box)
                yield self._cdr(row, row.end, "mailed", "is done with the voicemail", box)
        for uniqueid in {row.uniqueid: None for row in ours}:
            mine = [row for row in ours if row.uniqueid == uniqueid and row.lastapp in _CONFERENCES]
            if mine:
                first, last = min(mine, key=lambda row: row.start), max(mine, key=lambda row: row.end)
                room = f"conference {first.lastdata.partition(',')[0] or '?'}"
                yield self._cdr(first, first.answer or first.start, "enter", f"enters {room}", room)
                yield self._cdr(last, last.end, "exit", f"leaves {room}", room)

    def _cdr(self, row: CdrRow, at: float, kind: str, what: str, to: str) -> Step:
        who, verb = self._names[row.uniqueid], f"{row.disposition} {row.lastapp}"
        return Step(at, kind, who, what, "cdr", verb, to, _few(what), frozenset({row.uniqueid}))


def _inside(row: CelRow) -> bool:
    """Whether it is of a channel of the PBX's own, which is nobody."""
    return row.channel.startswith("Local/")


def _near(at: float, others: Iterable[float]) -> bool:
    return any(abs(at - other) < _SOON for other in others)


def _few(what: str) -> str:
    return " ".join(what.split()[:4]) if what.startswith("is") else what.split(maxsplit=1)[0]


def _box(data: str) -> str:
    """The mailbox in VoiceMail's arguments: `1000@default,s`."""
    return data.partition(",")[0] or "?"


def _device(channel: str) -> str:
    return channel.rpartition("-")[0] or channel


def _listed(names: Iterable[str]) -> str:
    found = list(dict.fromkeys(names))
    return f"{' and '.join(found)} {'is' if len(found) == 1 else 'are'}"


def _end(entered: Step, found: Sequence[Step]) -> float:
    ends = (
        one.at for one in found
        if one.kind == "exit" and one.channels == entered.channels and one.at >= entered.at
    )  # fmt: skip
    return min(ends, default=float("inf"))


def _dialling(step: Step, dialled: Mapping[str, str]) -> Step:
    """Whom a party called who placed a call of their own, which no fact is kept of."""
    numbers = [dialled.get(channel, "") for channel in step.channels]
    if step.kind != "begin" or not step.what.startswith("places") or not any(numbers):
        return step
    what = f"calls {max(numbers)}"
    return replace(step, what=what, label=what)


def _in_room(step: Step, rooms: Sequence[tuple[Step, float]]) -> Step:
    """A talk with others, told with the conference it took place in."""
    if step.kind not in {"talk", "silence"} or step.to:
        return step
    for entered, end in rooms:
        if entered.channels & step.channels and entered.at - _SOON <= step.at <= end + _SOON:
            what = step.what.replace("others", f"others in {entered.to}", 1)
            return replace(step, what=what, to=entered.to)
    return step
