"""Records beside CEL, the PBX's most exact book: its channels, which of them are one call, who talked when, who picked up.

CEL tells of the same moments as AMI, in another stream; what is compared here is read from it without the core. The
instants of calls, legs, attempts, passes and transfers: `tests.scenarios.instants`. Instants are epochs, durations seconds.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from cti.core.cel import CelRow, parse_cel_line
from cti.core.facts import Call, Leg, Talk
from tests.scenarios.instants import CLOSE, Told, beside_instants, connects_of, lines_of
from tests.scenarios.judge import Books, Session
from tests.soak.books import Ledger

_MOMENT = 0.1  # s out of all bridges, while a Local channel takes itself out, that interrupt nobody
Span = tuple[float, float]


@dataclass(frozen=True)
class Odd:
    """One thing in which a record and CEL disagree; `reason` is what a scenario's rules explain."""

    reason: str  # cel_channel, cel_group, cel_talk, cel_answered, cel_call, cel_leg, cel_attempt, cel_stay …
    uniqueid: str
    what: str

    def __str__(self) -> str:
        return f"{self.reason}: {self.uniqueid} {self.what}"


def beside_cel(session: Session, books: Books, channels: frozenset[str] | None = None) -> list[Odd]:
    """Everything in which the records and the books disagree about these channels (all, when None)."""
    ledger = _ledger("\n".join(row.raw for row in books.queue_log), books.cel)
    rows = list(_rows(books.cel))
    if channels is not None:
        rows = [row for row in rows if row.uniqueid in channels]
    talks = _Sound(rows).spans
    told = Told(lines_of(rows), ledger.passes, talks, connects_of(books.queue_log), ledger.refused)
    return [
        *_channels(session, rows),
        *_groups(session, ledger, channels),
        *_talks(session, rows, talks),
        *_answers(session, rows),
        *(Odd(f"cel_{one.of}", one.uniqueid, one.what) for one in beside_instants(session, told)),
    ]


@lru_cache(1)  # all scenarios of a session share one book
def _rows(cel: str) -> tuple[CelRow, ...]:
    return tuple(row for row in map(parse_cel_line, cel.splitlines()) if isinstance(row, CelRow))


@lru_cache(1)
def _ledger(queue_log: str, cel: str) -> Ledger:
    return Ledger.read(queue_log, "", cel)


def _channels(session: Session, rows: Iterable[CelRow]) -> Iterator[Odd]:
    """Every channel of CEL is a leg of exactly one record that stands, and every leg a channel of CEL."""
    standing = {call.id for call in session.all(Call) if call.merged_into is None}
    legs = {leg.uniqueid: leg for leg in session.all(Leg)}
    for row in rows:
        if row.event == "CHAN_START":
            leg = legs.get(row.uniqueid)
            if leg is None or leg.call_id not in standing:
                yield Odd("cel_channel", row.uniqueid, f"{row.channel} is in no record")


def _groups(session: Session, ledger: Ledger, channels: frozenset[str] | None) -> Iterator[Odd]:
    """What CEL ties together (linkedid, transfers, pickups, talks) is one record, and nothing else is."""
    call_of = {leg.uniqueid: leg.call_id for leg in session.all(Leg)}
    seen: dict[str, str] = {}
    for told in ledger.calls:
        if channels is not None and told.first not in channels:
            continue
        calls = {call_of[own] for own in told.channels if own in call_of}
        if len(calls) > 1:
            yield Odd("cel_group", told.first, f"is one call in CEL, and {sorted(calls)} with us")
        for call in calls:
            if seen.setdefault(call, told.first) != told.first:
                yield Odd(
                    "cel_group", told.first, f"and {seen[call]} are two calls in CEL, and {call} with us"
                )


def _answers(session: Session, rows: Iterable[CelRow]) -> Iterator[Odd]:
    """A phone is answered when it is picked up, or, where it is asked first, at the latest when it is put through."""
    picked_up: dict[str, float] = {}
    put_through: dict[str, float] = {}
    for row in rows:
        if row.event == "ANSWER":
            picked_up.setdefault(row.uniqueid, row.at)
        elif row.event == "BRIDGE_ENTER":
            put_through.setdefault(row.uniqueid, row.at)
    here = {row.uniqueid for row in rows}
    for leg in session.all(Leg):
        if leg.answered_at is None or leg.uniqueid not in here:
            continue
        begin = picked_up.get(leg.uniqueid)
        if begin is None:
            yield Odd("cel_answered", leg.uniqueid, "was answered, of which CEL knows nothing")
            continue
        end = max(begin, put_through.get(leg.uniqueid, begin))
        if not begin - CLOSE <= leg.answered_at <= end + CLOSE:
            yield Odd(
                "cel_answered", leg.uniqueid, f"at {leg.answered_at:.3f}, by CEL {begin:.3f} to {end:.3f}"
            )


# --- who talked when ----------------------------------------------------------------------------------------------


def _talks(session: Session, rows: Iterable[CelRow], by_cel: Mapping[str, Sequence[Span]]) -> Iterator[Odd]:
    """Each phone talked for as long as it was bridged with somebody, be it through Local channels."""
    ours: dict[str, list[Span]] = {}
    for talk in session.all(Talk):
        uniqueid = talk.id.rsplit("/", 1)[0].removeprefix(f"{talk.pbx}-")
        ours.setdefault(uniqueid, []).append((talk.started_at, talk.ended_at or 0.0))
    here = {row.uniqueid for row in rows}
    for leg in session.all(Leg):
        if leg.uniqueid in here and (leg.dialed or leg.agent) and not leg.channel.startswith("Local/"):
            mine, book = _joined(sorted(ours.get(leg.uniqueid, []))), _joined(by_cel.get(leg.uniqueid, []))
            if not _alike(mine, book) or _overlap(sorted(ours.get(leg.uniqueid, []))):
                yield Odd("cel_talk", leg.uniqueid, f"{leg.channel} {_shown(mine)}, by CEL {_shown(book)}")


def _joined(spans: Iterable[Span]) -> list[Span]:
    out: list[Span] = []
    for begin, end in spans:
        if end - begin < _MOMENT:
            continue
        if out and begin - out[-1][1] < _MOMENT:
            out[-1] = out[-1][0], end
        else:
            out.append((begin, end))
    return out


def _alike(one: list[Span], two: list[Span]) -> bool:
    return len(one) == len(two) and all(
        abs(a - b) <= CLOSE
        for mine, book in zip(one, two, strict=True)
        for a, b in zip(mine, book, strict=True)
    )


def _overlap(spans: Sequence[Span]) -> bool:
    """Whether two talks of one phone, which follow each other, are on record as one during the other."""
    return any(after[0] - before[1] < -CLOSE for before, after in pairwise(spans))


def _shown(spans: list[Span]) -> str:
    return ", ".join(f"{begin:.3f}–{end:.3f}" for begin, end in spans) or "nothing"


class _Sound:
    """Follows bridges and Local channels row by row: whoever reaches another phone through them talks."""

    def __init__(self, rows: Iterable[CelRow]) -> None:
        self.spans: dict[str, list[Span]] = {}
        self._in: dict[str, str] = {}  # channel to bridge
        self._name = {row.uniqueid: row.channel for row in rows if row.event == "CHAN_START"}
        self._pair = _pairs(self._name)
        self._since: dict[str, float] = {}
        for row in rows:
            if row.event == "BRIDGE_ENTER" and row.extra.get("bridge_technology") != "holding_bridge":
                self._in[row.uniqueid] = str(row.extra.get("bridge_id"))
            elif row.event in {"BRIDGE_EXIT", "BRIDGE_ENTER", "CHAN_END"}:
                self._in.pop(row.uniqueid, None)
            else:
                continue
            self._tally(row.at)

    def _tally(self, at: float) -> None:
        talking = {own for own in self._in if self._is_phone(own) and self._meets(own)}
        for own in self._since.keys() - talking:
            self.spans.setdefault(own, []).append((self._since.pop(own), at))
        for own in talking - self._since.keys():
            self._since[own] = at

    def _is_phone(self, own: str) -> bool:
        return not self._name.get(own, "").startswith("Local/")

    def _meets(self, own: str) -> bool:
        """Whether another phone can be reached from this one."""
        seen, todo = {own}, [own]
        while todo:
            one = todo.pop()
            near = {other for other, bridge in self._in.items() if bridge == self._in.get(one)}
            near |= {self._pair[one]} & self._in.keys() if one in self._pair else set()
            todo += near - seen
            seen |= near
        return sum(map(self._is_phone, seen)) > 1


def _pairs(names: Mapping[str, str]) -> dict[str, str]:
    """The other half of each half of a Local channel."""
    halves: dict[str, str] = {}
    out: dict[str, str] = {}
    for uniqueid, name in names.items():
        if name.startswith("Local/"):
            other = halves.setdefault(name[:-2], uniqueid)
            if other != uniqueid:
                out |= {uniqueid: other, other: uniqueid}
    return out
