"""Holds the records of a soak against the books, and against what its scenarios say, without the product's own code for it.

* Every call of the books (`tests.soak.books`) has exactly one record, and every record is of exactly one call.
* Its begin and end, its passes through queues (outcome, agent, app_queue's figures), the queues that turned it away and the
  seconds its phones were bridged are the books'.
* A play that nobody cut short has the records that its scenario declares, whatever broke meanwhile.

What differs is explained by a rule (`tests.soak.rules`), or is an error.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from cti.core.facts import NOT_LET_IN, Call, Disposition, Leg, Quality, QueueStay, Talk
from tests.scenarios.judge import CLOSE, Run, Session, _differ, records
from tests.scenarios.model import Record
from tests.soak.books import Ledger, Pass, Told
from tests.soak.crowd import Played, agent_at
from tests.soak.records import Records

INSTANT = 0.5  # s by which AMI and CEL may differ about an instant that was seen
SECONDS = 1.0  # s of queue_log
BUSY = 10.0  # s by which a talk may be longer than planned on a busy machine; the books are exact
_AFTER_RECALL = frozenset({"ended_by", "attempts", "talks", "transfers"})  # what a recall would have led to


@dataclass(frozen=True)
class Difference:
    """One thing in which records and truth disagree."""

    kind: str  # missing, duplicated (also of an agent's states), or in what they differ
    call: str  # id of the record, or the uniqueid of the book's first channel
    what: str
    play: str = ""  # the scenario
    quality: str = ""  # of the record
    cut: bool = False  # the PBX died in it
    lines: tuple[str, ...] = ()
    recall: bool = (
        False  # it is that Asterisk dropped a recall at once (`tests.soak.books`), and nothing else
    )
    ours: str | float | None = None  # of a pass or talk, or how many calls there are: what the record says
    book: str | float | None = None  # what the books say; how many calls the play declares
    elsewhere: str | float | None = None  # and what the books say of the same thing in another place
    plan: tuple[Record, Record] | None = None  # of a play: what is on record, and what it declares
    own: frozenset[str] = frozenset()  # the play's people, queues and numbers, by role and on the PBX
    close: float = 0.0  # s by which durations may differ from those that the play declares
    lasted: float = 0.0  # s of the call
    of_product: bool = False  # `cti reconcile` found it, and explains it by no rule

    def __str__(self) -> str:
        return f"{self.kind} {self.call} [{self.play} {self.quality}]: {self.what}"


@dataclass
class Verdict:
    """What came of it."""

    calls: int = 0
    compared: int = 0
    missing: int = 0
    duplicated: int = 0
    qualities: Counter[str] = field(default_factory=Counter)
    explained: Counter[str] = field(default_factory=Counter)  # by rule
    drawn: Counter[str] = field(default_factory=Counter)  # plays, by scenario
    with_plan: Counter[str] = field(default_factory=Counter)  # of these, held against their plan
    by_rule: list[tuple[str, Difference]] = field(default_factory=list)  # what is explained
    unexplained: list[Difference] = field(default_factory=list)
    lost: list[Difference] = field(default_factory=list)  # missing and duplicated


Explain = Callable[[Difference], str]
"""The name of the rule that explains a difference, or ""."""


def judge(
    ledger: Ledger,
    on_record: Records,
    played: Sequence[Played],
    explain: Explain,
    *,
    reconciled: Mapping[str, Any] | None = None,
    of_agents: Iterable[Difference] = (),
) -> Verdict:
    """Everything at once.

    `reconciled` is what `cti reconcile --json` said of the same time, `of_agents` what `tests.soak.attendance` found.
    """
    judge_ = _Judge(ledger, on_record, played)
    verdict = Verdict(calls=len(ledger.calls), drawn=Counter(one.play.name for one in played))
    verdict.qualities.update(call.quality.value for call in on_record.calls.values())
    for one in [*judge_.differences(), *judge_.of_product(reconciled or {}), *of_agents]:
        if one.kind in {"missing", "agent_missing"}:
            verdict.missing += 1
            verdict.lost.append(one)
        elif one.kind in {"duplicated", "agent_duplicated"}:
            verdict.duplicated += 1
            verdict.lost.append(one)
        elif rule := explain(one):
            verdict.explained[rule] += 1
            verdict.by_rule.append((rule, one))
        else:
            verdict.unexplained.append(one)
    verdict.compared, verdict.with_plan = judge_.compared, judge_.with_plan
    return verdict


class _Judge:
    def __init__(self, ledger: Ledger, on_record: Records, played: Sequence[Played]) -> None:
        self.compared = 0
        self.with_plan: Counter[str] = Counter()
        self._ledger, self._records, self._played = ledger, on_record, played
        self._play_of = {channel: one.play.name for one in played for channel in one.summary["channels"]}
        self._own = {channel: _own(one.summary) for one in played for channel in one.summary["channels"]}
        self._talked: dict[str, float] = {}  # by channel; of one who stays on a line, in many calls
        for call_id in on_record.calls:
            for talk in on_record.all(call_id, Talk):
                channel = talk.id.rpartition("/")[0]
                seconds = (talk.ended_at or talk.started_at) - talk.started_at
                self._talked[channel] = self._talked.get(channel, 0.0) + seconds
        self._told_of = {channel: told for told in ledger.calls for channel in told.channels}
        self._pass_of = {(one.uniqueid, one.lines[0]): one for one in ledger.passes}
        self._stays = [stay for call_id in on_record.calls for stay in on_record.all(call_id, QueueStay)]

    def differences(self) -> Iterator[Difference]:
        owners: dict[str, list[Told]] = {}
        for told in self._ledger.calls:
            found = {
                self._records.of_channel[one] for one in told.channels if one in self._records.of_channel
            }
            found &= self._records.calls.keys()
            if not found:
                yield self._of(told, "missing", f"{list(told.channels.values())} from {told.began:.3f}")
            if len(found) > 1:
                yield self._of(told, "duplicated", f"{sorted(found)} for {list(told.channels.values())}")
            for call_id in found:
                owners.setdefault(call_id, []).append(told)
        for call in self._records.calls.values():
            yield from self._of_record(call, owners.get(call.id, []))
        yield from self._passes()
        yield from self._refused()
        for one in self._played:
            if not one.trouble and not one.hung_up:
                self.compared += 1
                run = Run.of(one.play, one.summary)
                there = _calls_of(self._records, run)
                enough = len(there) >= len(run.scenario.records)  # else there is nothing to hold
                self.with_plan[one.play.name] += enough and _has_ended(there)
                yield from against_plan(self._records, run, self._dropped_recalls(run))

    def _dropped_recalls(self, run: Run) -> set[str]:
        """Ids of the records of recalls that Asterisk dropped, of those whom this play's people had handed on."""
        dropped = (told for told in self._ledger.calls if told.recall_of in run.channels)
        return {self._records.of_channel.get(told.first, "") for told in dropped}

    def of_product(self, reconciled: Mapping[str, Any]) -> Iterator[Difference]:
        """What the product itself finds."""
        for pbx in reconciled.get("pbxs", ()):
            for one in pbx["mismatches"]:
                channel = one["uniqueid"]
                call_id = one["call_id"] or self._records.of_channel.get(channel, "")
                told, call = self._told_of.get(channel), self._records.calls.get(call_id)
                book = self._pass_of.get((channel, one["lines"][0])) if one["lines"] else None
                yield Difference(
                    one["reason"],
                    one["call_id"] or channel,
                    f"cti reconcile: {one['ours']}, in the book {one['book']}",
                    self._play_of.get(channel, ""),
                    call.quality.value if call is not None else "",
                    told is not None and told.ended is None,
                    tuple(one["lines"]),
                    told is not None and told.recall_of != "",
                    _value(one["reason"], one["ours"]),
                    _value(one["reason"], one["book"]),
                    self._elsewhere(one["reason"], channel, one["ours"], book),
                    own=self._own.get(channel, frozenset()),
                    of_product=True,
                )

    def _of(self, told: Told, kind: str, what: str, call: Call | None = None) -> Difference:
        play = next((self._play_of[one] for one in told.channels if one in self._play_of), "")
        return Difference(
            kind,
            call.id if call is not None else told.first,
            what,
            play,
            call.quality.value if call is not None else "",
            told.ended is None,
        )

    # -- a record beside its call in the books

    def _of_record(self, call: Call, owners: list[Told]) -> Iterator[Difference]:
        if not owners:
            yield Difference(
                "duplicated", call.id, "no channel of it is in the books", quality=call.quality.value
            )
            return
        self.compared += 1
        if len(owners) > 1:
            channels = [list(told.channels.values()) for told in owners]
            yield self._of(
                owners[0], "joined", f"calls that have nothing to do with each other: {channels}", call
            )
        told = owners[0]
        if call.ended_at is None:
            yield self._of(told, "open", f"no end on record, {told.ended} in the books", call)
        elif told.ended is not None and len(owners) == 1:
            if abs(call.ended_at - told.ended) > INSTANT:
                yield self._of(told, "end", f"{call.ended_at:.3f}, in the books {told.ended:.3f}", call)
            if abs(call.started_at - told.began) > INSTANT:
                yield self._of(told, "begin", f"{call.started_at:.3f}, in the books {told.began:.3f}", call)
            if call.disposition is Disposition.ANSWERED and not told.answered:
                yield self._of(told, "answered", "no CDR row says so", call)
            yield from self._talks(call, told)

    def _talks(self, call: Call, told: Told) -> Iterator[Difference]:
        """The seconds in which the phones of agents were bridged."""
        for leg in self._records.all(call.id, Leg):
            if leg.agent is None or leg.uniqueid not in told.bridged:
                continue
            book, ours = told.bridged[leg.uniqueid], self._talked.get(leg.id, 0.0)
            if abs(book - ours) > INSTANT:
                what = f"{leg.channel} {ours:.2f} s, bridged {book:.2f} s by CEL"
                yield replace(self._of(told, "talk", what, call), ours=ours, book=book)

    # -- queues

    def _elsewhere(self, kind: str, channel: str, ours: object, book: Pass | None) -> str | float | None:
        """What the books say in another place than in the lines of the pass; of a whole pass, that it is there."""
        match kind:
            case "not_in_book":
                queue = str(ours).split()[0]
                there = any((one.goes_on_as, one.queue) == (channel, queue) for one in self._ledger.passes)
                return str(ours) if there else None
            case "not_in_records" if book is not None and book.goes_on_as:
                there = any((one.uniqueid, one.queue) == (book.goes_on_as, book.queue) for one in self._stays)
                return str(ours) if there else None
            case "agent" if book is not None and book.picked is not None:
                return agent_at(book.picked.took) if agent_at(book.picked.rang) == book.agent else None
            case "book_talk" if book is not None:
                return book.talk_elsewhere
        return None

    def _passes(self) -> Iterator[Difference]:
        stays = sorted(self._stays, key=lambda stay: (stay.joined_at, stay.ordinal))
        ours = _numbered((stay.uniqueid, stay.queue, stay) for stay in stays)
        ours = {which: stay for which, stay in ours.items() if stay.outcome not in NOT_LET_IN}
        theirs = _numbered((one.uniqueid, one.queue, one) for one in self._ledger.passes)
        for which in sorted(ours.keys() | theirs.keys()):
            self.compared += 1
            yield from self._pass(which[0], ours.get(which), theirs.get(which))

    def _refused(self) -> Iterator[Difference]:
        """Who was turned away by which queue, and when, is on record once."""
        ours = sorted(
            (stay for stay in self._stays if stay.outcome in NOT_LET_IN), key=lambda one: one.joined_at
        )
        left = list(self._ledger.refused)
        for stay in ours:
            who = (stay.uniqueid, stay.queue)
            same = [one for one in left if (one.uniqueid, one.queue) == who]
            one = min(same, key=lambda one: abs(one.at - stay.joined_at), default=None)
            if one is None or abs(one.at - stay.joined_at) > INSTANT:
                what = f"by {stay.queue or 'a queue that is unknown'} at {stay.joined_at:.3f} is in no book"
                yield self._turned_away("turned_away_not_in_book", stay.uniqueid, what)
            else:
                left.remove(one)
        for one in left:
            what = f"by {one.queue} at {one.at:.3f} is not on record"
            yield self._turned_away("turned_away_not_in_records", one.uniqueid, what)
        self.compared += len(ours) + len(left)

    def _turned_away(self, kind: str, channel: str, what: str) -> Difference:
        call_id, told = self._records.of_channel.get(channel, channel), self._told_of.get(channel)
        call = self._records.calls.get(call_id)
        quality = call.quality.value if call is not None else ""
        cut = told is not None and told.ended is None
        return Difference(kind, call_id, f"turned away {what}", self._play_of.get(channel, ""), quality, cut)

    def _pass(self, channel: str, stay: QueueStay | None, book: Pass | None) -> Iterator[Difference]:
        def differ(kind: str, ours: object, theirs: object) -> Difference:
            told, call = self._told_of.get(channel), self._records.of_channel.get(channel, channel)
            record = self._records.calls.get(call)
            return Difference(
                kind,
                call,
                f"{ours}, in the book {theirs}",
                self._play_of.get(channel, ""),
                record.quality.value if record is not None else "",
                told is not None and told.ended is None,
                tuple(book.lines) if book is not None else (),
                ours=ours if isinstance(ours, str | float) else None,
                book=theirs if isinstance(theirs, str | float) else None,
                elsewhere=self._elsewhere(kind, channel, ours, book),
                own=self._own.get(channel, frozenset()),
            )

        if stay is None or book is None:
            kind = "not_in_records" if stay is None else "not_in_book"
            ours = "no record" if stay is None else f"{stay.queue} {stay.outcome}"
            yield differ(kind, ours, book and f"{book.queue} {book.outcome}")
            return
        same = stay.outcome == book.outcome or (stay.outcome, book.outcome) == (
            "transferred_out",
            "abandoned",
        )
        if not same:
            yield differ("outcome", stay.outcome, book.outcome)
        elif book.outcome == "answered":
            if stay.agent != book.agent:
                yield differ("agent", stay.agent, book.agent)
            if _apart(stay.book_wait, book.wait):
                yield differ("book_wait", stay.book_wait, book.wait)
            if _apart(stay.book_talk, book.talk):
                yield differ("book_talk", stay.book_talk, book.talk)


def _value(kind: str, said: str) -> str | float | None:
    """What `cti reconcile` says for people, as the record has it."""
    if said == "none":
        return None
    return float(said) if kind in {"book_wait", "book_talk"} else said


def against_plan(on_record: Records, run: Run, recalls: Collection[str] = ()) -> Iterator[Difference]:
    """In what the records of a play differ from those that its scenario declares.

    Of `recalls` (ids of records) Asterisk dropped the ringing back: then nobody talked any more.
    """
    calls = _calls_of(on_record, run)
    if not _has_ended(calls):
        return  # no end is a difference of its own
    wanted, others = run.scenario.records, [call for call in calls if call.id not in recalls]
    dropped = len(others) < len(calls)
    if dropped or len(calls) != len(wanted):
        there = [(str(call.direction), str(call.disposition)) for call in calls]
        one = _said(run, "count", f"{len(wanted)} call(s) wanted, {len(calls)} there: {there}", calls)
        alone = dropped and len(others) == len(wanted)
        yield replace(one, recall=alone, ours=float(len(calls)), book=float(len(wanted)))
        if len(others) != len(wanted):
            return
    for is_, must, call in zip(_records(on_record, others, run), wanted, others, strict=True):
        close, held = CLOSE + run.late + BUSY, _without_hold(must)
        names = [line.split(maxsplit=1)[0] for line in _differ(is_, held, close)]
        for line in _differ(is_, must, close):
            name = line.split(maxsplit=1)[0]
            if not (dropped and name in _AFTER_RECALL):
                kind = "hold" if name == "talks" and name not in names else name
                lasted = (call.ended_at or call.started_at) - call.started_at
                said, plan = _said(run, f"plan_{kind}", line, [call]), (is_, must)
                yield replace(said, plan=plan, close=close, lasted=lasted)


def _calls_of(on_record: Records, run: Run) -> list[Call]:
    """The records of a play, oldest first."""
    ids = {on_record.of_channel[one] for one in run.channels if one in on_record.of_channel}
    return sorted(
        (on_record.calls[one] for one in ids & on_record.calls.keys()), key=lambda call: call.started_at
    )


def _has_ended(calls: Iterable[Call]) -> bool:
    return not any(call.disposition is None or call.ended_by is None for call in calls)


def _own(summary: Mapping[str, Any]) -> frozenset[str]:
    pairs = [*summary.get("cast", {}).items(), *summary.get("places", {}).items()]
    return frozenset(name for pair in pairs for name in pair)


def _records(on_record: Records, calls: Sequence[Call], run: Run) -> list[Record]:
    session = Session()
    for call in calls:
        for fact in (call, *on_record.parts.get(call.id, ())):
            session.latest[fact.key] = fact
    return records(session, run)


def _said(run: Run, kind: str, what: str, calls: Sequence[Call]) -> Difference:
    worst = {call.quality for call in calls} - {Quality.COMPLETE}
    quality = min(worst, default=Quality.COMPLETE).value
    own = _own({"cast": run.cast, "places": run.places})
    ids = ", ".join(call.id for call in calls)
    return Difference(kind, ids, what, run.scenario.name, quality, own=own)


def _without_hold(must: Record) -> Record:
    return replace(must, talks=[replace(talk, hold=None) for talk in must.talks])


def _apart(ours: float | None, book: float | None) -> bool:
    return ours is not book if ours is None or book is None else abs(ours - book) > SECONDS


def _numbered(which: Iterable[tuple[str, str, Any]]) -> dict[tuple[str, str, int], Any]:
    count: Counter[tuple[str, str]] = Counter()
    found = {}
    for channel, queue, one in which:
        count[channel, queue] += 1
        found[channel, queue, count[channel, queue]] = one
    return found
