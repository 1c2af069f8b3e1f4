"""The task that fills gaps and compares, on a real database and the real books of a recorded session (B3, B4)."""

import shutil
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from config.sections import PbxSettings
from cti.core.core import Core
from cti.core.facts import AgentState, AwayEpisode, Call, Cause, Fact, Link, Quality, QueueStay, State
from cti.core.mismatch import Report
from cti.core.parsing import parse
from cti.core.rules import Rules
from cti.daemon.bookkeeper import Bookkeeper
from cti.daemon.books import Books
from cti.daemon.recorder import arrivals, read_recording
from store import Store, open_store

SESSION = Path(__file__).parents[1] / "core" / "books" / "session"
SCENARIOS = Path(__file__).parents[1] / "recordings" / "scenarios"
RULES = Rules(trunks=("PJSIP/trunk-a", "PJSIP/trunk-b"))
BEGAN, ENDED = 1795301400.0, 1795301460.0


def session() -> list[Fact]:
    """What a daemon that missed nothing makes of it."""
    core = Core("main", RULES)
    told: list[Fact] = []
    for arrival in arrivals(read_recording(SESSION / "ami.gz"), "main"):
        event = parse(arrival.what, arrival.at) if isinstance(arrival.what, Mapping) else arrival.what
        if event is not None:
            told += core.step(event).facts
    return told


class Kept:
    """A bookkeeper on a database of its own."""

    def __init__(self, store: Store, directory: Path) -> None:
        for name in ("queue_log", "cdr.csv", "cel.csv"):
            shutil.copyfile(SESSION / name, directory / name)
        self.paths = {
            "queue_log": directory / "queue_log",
            "cdr_csv": directory / "cdr.csv",
            "cel_csv": directory / "cel.csv",
        }
        self.store = store
        self.now = ENDED + 100
        self.reports: list[Report] = []
        self.bad_lines = 0
        self.figures: list[Fact] = []
        self.away: list[AwayEpisode] = []
        self.keeper = self.made()

    def made(self, **without: None) -> Bookkeeper:
        paths: dict[str, Any] = {**self.paths, **without}
        settings = PbxSettings.model_construct(**paths)
        return Bookkeeper(
            "main",
            RULES,
            Books(settings),
            self.store.queries,
            self.store.writer,
            now=lambda: self.now,
            seen=self.figures.extend,
            away=self.away.extend,
            reconciled=self._reconciled,
        )

    def _reconciled(self, report: Report, bad: int) -> None:
        self.reports.append(report)
        self.bad_lines += bad

    async def put(self, *facts: Fact) -> None:
        self.store.writer.put(facts)
        await self.store.writer.committed()

    async def calls(self) -> list[Call]:
        return list((await self.store.queries.calls(limit=100)).items)


@pytest.fixture
async def kept(tmp_path: Path) -> AsyncIterator[Kept]:
    async with await open_store(f"sqlite+aiosqlite:///{tmp_path}/db.sqlite3") as store:
        yield Kept(store, tmp_path)


async def test_a_dead_time_is_filled_and_then_agrees(kept: Kept) -> None:
    """Everything of the session happened unseen: it is on record afterwards, and 0 mismatches are found."""
    await kept.put(Link("main", up=True, at=BEGAN - 10))
    await kept.keeper.restore()
    kept.keeper.take([Link("main", up=True, at=ENDED)])
    assert kept.keeper.status.gaps == 1
    status = await kept.keeper.round()
    assert (status.unverified, status.gaps) == ("", 0)
    calls = await kept.calls()
    assert len(calls) == 18
    assert {call.quality for call in calls} == {Quality.FROM_BOOKS}
    assert sum(len(report.mismatches) for report in kept.reports) == 0
    assert status.checked >= 18
    assert sum(isinstance(fact, Call) for fact in kept.figures) == 18


async def test_the_next_process_goes_on_where_this_one_died(kept: Kept) -> None:
    """A gap is on record before it is filled."""
    await kept.put(Link("main", up=True, at=BEGAN - 10))
    await kept.keeper.restore()
    kept.keeper.take([Link("main", up=True, at=ENDED)])
    await kept.store.writer.committed()
    second = kept.made()
    await second.restore()
    assert (await second.round()).gaps == 0
    assert len(await kept.calls()) == 18


async def test_complete_records_agree_and_stay_as_they_are(kept: Kept) -> None:
    """B4: nothing is filled in where nothing was missed; each call is judged exactly once."""
    await kept.put(Link("main", up=True, at=BEGAN - 10), *session())
    before = await kept.calls()
    await kept.keeper.restore()
    kept.keeper.take([Link("main", up=True, at=ENDED)])
    await kept.keeper.round()
    kept.now += 120
    await kept.keeper.round()
    assert await kept.calls() == before
    assert sum(len(report.mismatches) for report in kept.reports) == 0
    assert kept.keeper.status.checked == sum(report.checked for report in kept.reports) >= 24


async def test_consecutive_windows_judge_everything_once(kept: Kept) -> None:
    """What many short windows check is what one long one checks."""
    await kept.put(Link("main", up=True, at=BEGAN - 10), *session())
    await kept.keeper.restore()
    kept.keeper.take([Link("main", up=True, at=BEGAN - 5)])
    kept.now = BEGAN
    while kept.now < ENDED + 60:
        kept.now += 7
        await kept.keeper.round()
    in_pieces = kept.keeper.status.checked
    other = kept.made()
    await other.restore()
    other.take([Link("main", up=True, at=ENDED)])
    await other.round()
    assert in_pieces == other.status.checked
    assert not kept.keeper.status.mismatches


async def test_a_lost_record_is_counted_and_comes_back(kept: Kept) -> None:
    """B4: no gap explains it, so it is a mismatch; B3: it is filled in all the same."""
    facts = session()
    lost = next(fact for fact in facts if isinstance(fact, Call) and fact.answered_at)
    kept.now = BEGAN
    await kept.put(
        Link("main", up=True, at=BEGAN - 10),
        *(fact for fact in facts if lost.id not in {getattr(fact, "call_id", ""), getattr(fact, "id", "")}),
    )
    await kept.keeper.restore()
    kept.keeper._last_seen = BEGAN - 10
    kept.keeper.take([Link("main", up=True, at=BEGAN - 5)])
    await kept.keeper.round()
    kept.now = ENDED + 100
    status = await kept.keeper.round()
    assert status.mismatches == {"not_in_records": 1, "cdr_without_call": 1}
    assert lost.id in {call.id for call in await kept.calls()}


async def test_a_record_left_open_is_found_once(kept: Kept) -> None:
    """B4: the books have its end, and it is for ever open with us: counted in the window in which they end it."""
    facts = session()
    last = {fact.id: fact for fact in facts if isinstance(fact, Call)}
    left = next(call for call in last.values() if call.answered_at and call.merged_into is None)
    await kept.put(
        Link("main", up=True, at=BEGAN - 10),
        *(fact for fact in facts if not (isinstance(fact, Call) and fact.id == left.id)),
        replace(left, ended_at=None, disposition=None),
    )
    await kept.keeper.restore()
    kept.keeper._last_seen = BEGAN - 10
    kept.keeper.take([Link("main", up=True, at=BEGAN - 5)])
    kept.now = BEGAN
    while kept.now < ENDED + 60:
        kept.now += 20
        await kept.keeper.round()
    assert kept.keeper.status.mismatches == {"open": 1}
    [found] = [one for report in kept.reports for one in report.mismatches]
    assert found.call_id == left.id
    assert any("HANGUP" in line for line in found.lines)


async def test_books_that_cannot_be_read_are_said_to_be(kept: Kept) -> None:
    """A PBX whose books are out of reach is unverified, and says why; it is tried again."""
    kept.paths["queue_log"].unlink()
    kept.paths["queue_log"].mkdir()
    kept.keeper.take([Link("main", up=True, at=ENDED)])
    status = await kept.keeper.round()
    assert "cannot read" in status.unverified
    assert status.gaps == 1
    kept.paths["queue_log"].rmdir()
    shutil.copyfile(SESSION / "queue_log", kept.paths["queue_log"])
    assert (await kept.keeper.round()).unverified == ""


async def test_without_books_nothing_is_claimed(kept: Kept) -> None:
    """No books configured: unverified, and no gap is called filled."""
    keeper = kept.made(queue_log=None, cdr_csv=None, cel_csv=None)
    keeper.take([Link("main", up=True, at=ENDED)])
    status = await keeper.round()
    assert status.unverified == "queue_log and cdr_csv not configured"
    assert (status.checked, status.gaps) == (0, 1)


async def test_without_cel_calls_still_come_back(kept: Kept) -> None:
    """From CDR and queue_log alone: every call, its outcome and its agent."""
    await kept.put(Link("main", up=True, at=BEGAN - 10))
    keeper = kept.made(cel_csv=None)
    await keeper.restore()
    keeper.take([Link("main", up=True, at=ENDED)])
    await keeper.round()
    calls = {call.id: call for call in await kept.calls()}
    right = {fact.id: fact for fact in session() if isinstance(fact, Call)}
    assert {id_: call.disposition for id_, call in calls.items()} == {
        id_: call.disposition for id_, call in right.items()
    }
    assert all(call.sources == ("*:cdr",) for call in calls.values())
    assert not keeper.status.mismatches


async def test_unreadable_lines_are_counted_once(kept: Kept) -> None:
    """However often the same span is read."""
    with kept.paths["queue_log"].open("a") as book:
        book.write("garbage\n")
    await kept.put(Link("main", up=True, at=BEGAN - 10))
    await kept.keeper.restore()
    kept.keeper.take([Link("main", up=True, at=ENDED)])
    await kept.keeper.round()
    kept.now += 120
    await kept.keeper.round()
    assert kept.bad_lines == kept.keeper.status.bad_lines == 1


async def test_the_live_rule_hears_when_an_absence_began_that_goes_on(kept: Kept) -> None:
    """C3: whoever paused twice in the dead time, and is found away, left at the first. The gap waits until that is on record."""
    write_turns(kept, (10, "PAUSE|break"), (40, "PAUSE|break"))
    at = BEGAN + 40
    found = AwayEpisode(f"main-2099-{at:.6f}", "main", "2099", "break", at, at + 780, at + 900)
    await kept.put(Link("main", up=True, at=BEGAN - 10), AVAILABLE, found)
    await kept.keeper.restore((BEGAN - 10, BEGAN - 5))
    kept.keeper.take([Link("main", up=True, at=ENDED)])
    assert (await kept.keeper.round()).gaps == 1
    (told,) = kept.away
    assert (told.id, told.started_at, told.limit_at) == (found.id, BEGAN + 10, BEGAN + 910)
    assert (await kept.store.queries.away_episodes(agent="2099")).items == (found,)
    await kept.put(told)
    assert (await kept.keeper.round()).gaps == 0


async def test_a_change_in_the_very_second_of_the_first_listening_is_filled_in(kept: Kept) -> None:
    """B3: queue_log has the second alone; killed right after that, nobody saw what else happened in it."""
    first = BEGAN + 0.118
    with kept.paths["queue_log"].open("a") as book:
        book.write(f"{BEGAN:.0f}|MANAGER|spares|2199|ADDMEMBER|PAUSED\n")
    await kept.put(Link("main", up=True, at=first))
    await kept.keeper.restore()
    kept.keeper.take([Link("main", up=True, at=ENDED)])
    await kept.keeper.round()
    page = await kept.store.queries.agent_states(agent="2199")
    assert [(span.state.state, span.state.since) for span in page.items] == [(State.AWAY, BEGAN)]


async def test_what_happens_while_the_link_is_down_is_for_the_next_gap(kept: Kept) -> None:
    """C3: the live rule is told nothing of it, for it does not know yet how anybody will be found."""
    write_turns(kept, (-8, "PAUSE|break"), (10, "UNPAUSE|"), (40, "PAUSE|break"))
    at = BEGAN - 8
    away = replace(AVAILABLE, state=State.AWAY, since=at, reason="break", paused=("sales:break",))
    found = AwayEpisode(f"main-2099-{at:.6f}", "main", "2099", "break", at, at + 780, at + 900)
    back = replace(AVAILABLE, since=BEGAN + 20, cause=Cause.LINK_LOST)
    await kept.put(Link("main", up=True, at=BEGAN - 10), AVAILABLE, away, found, back)
    await kept.keeper.restore((BEGAN - 10, BEGAN - 5))
    kept.keeper.take([Link("main", up=True, at=BEGAN + 20)])
    kept.keeper.take([Link("main", up=False, at=BEGAN + 30, detail="cut")])
    assert (await kept.keeper.round()).gaps == 1
    assert kept.away == []
    kept.keeper.take([Link("main", up=True, at=ENDED)])
    await kept.keeper.round()
    ended, goes_on = kept.away
    assert (ended.id, ended.ended_at, goes_on.started_at) == (found.id, BEGAN + 10, BEGAN + 40)


AVAILABLE = AgentState(
    "main", "2099", "2099", "PJSIP/1099", ("sales",), State.AVAILABLE, BEGAN - 9, "", Cause.AGENT
)


def write_turns(kept: Kept, *turns: tuple[int, str]) -> None:
    """Lines of an agent's own in queue_log, so many seconds into the session."""
    book = kept.paths["queue_log"]
    lines = [f"{BEGAN + at:.0f}|NONE|sales|2099|{verb}" for at, verb in turns]
    every = sorted([*book.read_text().splitlines(), *lines], key=lambda line: int(line[:10]))
    book.write_text("\n".join(every) + "\n")


async def test_an_absence_of_a_dead_time_is_filled_in_once(kept: Kept) -> None:
    """C3, B3: who stepped away and came back unseen is on record, from the book; whoever fills again adds nothing."""
    write_turns(kept, (10, "PAUSE|break"), (40, "UNPAUSE|"))
    await kept.put(Link("main", up=True, at=BEGAN - 10), AVAILABLE)
    for _ in range(2):
        keeper = kept.made()
        await keeper.restore((BEGAN - 10, BEGAN - 5))
        keeper.take([Link("main", up=True, at=ENDED)])
        assert (await keeper.round()).gaps == 0
        (episode,) = (await kept.store.queries.away_episodes(agent="2099")).items
        assert (episode.started_at, episode.ended_at) == (BEGAN + 10, BEGAN + 40)
        assert episode.sources == ("*:queue_log",)
        assert episode.warned_at is None


# --- callers who were turned away ----------------------------------------------------------------------------------------

TWICE = "queue_turned_away_twice"


def heard_of(name: str) -> list[Fact]:
    """What a daemon that missed nothing makes of a recorded scenario."""
    core, told = Core("main", RULES), list[Fact]()
    for arrival in arrivals(read_recording(SCENARIOS / f"{name}.ami.gz"), "main"):
        event = parse(arrival.what, arrival.at) if isinstance(arrival.what, Mapping) else arrival.what
        told += core.step(event).facts if event is not None else []
    return told


def lay_books(kept: Kept, name: str) -> None:
    """The PBX has the books of this scenario."""
    for which, path in kept.paths.items():
        book = {"queue_log": "queue_log", "cdr_csv": "cdr.csv", "cel_csv": "cel.csv"}[which]
        shutil.copyfile(SCENARIOS / f"{name}.{book}", path)


async def turned_away(kept: Kept, *lost: str) -> Bookkeeper:
    """A bookkeeper in step, of a PBX with the books of that scenario, which it has just heard."""
    lay_books(kept, TWICE)
    for name in lost:
        kept.paths[name].unlink()
    facts = heard_of(TWICE)
    begin = min(fact.started_at for fact in facts if isinstance(fact, Call))
    kept.now = begin - 60
    await kept.put(Link("main", up=True, at=begin - 90))
    await kept.keeper.restore()
    kept.keeper.take([Link("main", up=True, at=begin - 80)])
    await kept.keeper.round()
    await kept.put(*facts)
    kept.now = begin + 60
    return kept.keeper


async def queues(kept: Kept) -> list[tuple[str, str, tuple[str, ...]]]:
    """Ids, queues and sources of everybody who was turned away."""
    page = await kept.store.queries.queue_stays(limit=100)
    return sorted((stay.id.rpartition("/")[2], stay.queue, stay.sources) for stay in page.items)


AS_TOLD = [
    ("n1", "support-117", ("queue:cel", "joined_at:cel", "left_at:cel")),
    ("n2", "sales-117", ("*:cel",)),
]


async def test_whoever_was_turned_away_is_given_their_queue_within_the_minute(kept: Kept) -> None:
    """B3: without any gap, before the comparison counts it; once, and the figures hear of both."""
    keeper = await turned_away(kept)
    status = await keeper.round()
    assert (status.unverified, status.mismatches, status.filled) == ("", {}, 2)
    assert status.checked
    assert await queues(kept) == AS_TOLD
    assert {call.quality for call in await kept.calls()} == {Quality.COMPLETE}
    assert sorted(fact.queue for fact in kept.figures if isinstance(fact, QueueStay)) == [
        "sales-117",
        "support-117",
    ]
    kept.now += 60
    assert (await keeper.round()).filled == 2
    again = kept.made()
    await again.restore()
    again.take([Link("main", up=True, at=kept.now)])
    kept.now += 100
    assert ((await again.round()).filled, again.status.mismatches) == (0, {})
    assert await queues(kept) == AS_TOLD


async def test_a_stay_that_was_counted_is_not_told_to_the_figures_for_its_talk(kept: Kept) -> None:
    """B3: how it was answered was heard and counted; the books add app_queue's talk, which counts nothing."""
    lay_books(kept, "queue_agent_hangs_up")
    facts = {fact.key: fact for fact in heard_of("queue_agent_hangs_up")}
    (call,) = [fact for fact in facts.values() if isinstance(fact, Call)]
    (stay,) = [fact for fact in facts.values() if isinstance(fact, QueueStay)]
    assert call.ended_at is not None
    await kept.put(
        Link("main", up=True, at=call.started_at - 90),
        replace(call, quality=Quality.GAPPED),
        replace(stay, book_talk=None),
        Link("main", up=False, at=call.ended_at - 0.5),
    )
    kept.now = call.ended_at + 60
    await kept.keeper.restore()
    kept.keeper.take([Link("main", up=True, at=call.ended_at + 1)])
    await kept.keeper.round()
    (mended,) = (await kept.store.queries.queue_stays(limit=100)).items
    assert (mended.book_talk, mended.sources) == (stay.book_talk, ("book_talk:queue_log",))
    assert [fact for fact in kept.figures if isinstance(fact, QueueStay)] == []


async def test_a_queue_that_cel_does_not_name_stays_unknown_until_it_does(kept: Kept) -> None:
    """B3: no mismatch, no made-up name; a row that comes later is taken then."""
    keeper = await turned_away(kept, "cel_csv")
    status = await keeper.round()
    assert (status.unverified, status.mismatches, status.filled) == ("", {}, 0)
    assert await queues(kept) == [("n1", "", ())]
    shutil.copyfile(SCENARIOS / f"{TWICE}.cel.csv", kept.paths["cel_csv"])
    kept.now += 60
    assert (await keeper.round()).filled == 2
    assert await queues(kept) == AS_TOLD


async def test_queue_log_is_not_missed_for_want_of_a_line_it_never_gets(kept: Kept) -> None:
    """Nobody has waited yet: that queue_log is not there is no fault of it, and says that nobody was let in."""
    keeper = await turned_away(kept, "queue_log")
    status = await keeper.round()
    assert (status.unverified, status.mismatches) == ("", {})
    assert await queues(kept) == AS_TOLD


# --- books that are not there, or are none ----------------------------------------------------------------------------


async def quiet(kept: Kept, *lost: str) -> Bookkeeper:
    """A bookkeeper that was in step before the session, without these books."""
    for name in lost:
        kept.paths[name].unlink()
    kept.now = BEGAN
    await kept.put(Link("main", up=True, at=BEGAN - 10))
    await kept.keeper.restore()
    kept.keeper.take([Link("main", up=True, at=BEGAN - 5)])
    await kept.keeper.round()
    return kept.keeper


async def test_a_quiet_pbx_without_books_alarms_nobody(kept: Kept) -> None:
    """Asterisk makes each with its first line: as long as nobody called, none is missing."""
    keeper = await quiet(kept, "queue_log", "cdr_csv", "cel_csv")
    kept.now = ENDED + 100
    status = await keeper.round()
    assert (status.unverified, status.notes, status.mismatches) == ("", (), {})
    assert status.verified_until is not None


@pytest.mark.parametrize(
    ("book", "spoilt", "words"),
    [
        ("cdr_csv", None, "does not exist although there were calls"),
        ("queue_log", None, "does not exist although there were calls"),
        ("cdr_csv", "some other log\n" * 100, "nothing of that time can be read in it (100 bad lines; "),
        ("queue_log", "some other log\n" * 100, "nothing of that time can be read in it (100 bad lines; "),
    ],
)
async def test_a_book_that_tells_nothing_of_calls_leaves_them_unverified(
    kept: Kept, book: str, spoilt: str | None, words: str
) -> None:
    """Mistyped, or the wrong file: said with key and file, nothing is counted against the records, and it is tried again."""
    told: list[str] = []
    keeper = await quiet(kept, book)
    keeper._readable = told.append
    if spoilt is not None:
        kept.paths[book].write_text(spoilt)
    await kept.put(*session())
    kept.now = ENDED + 100
    for _ in range(2):
        status = await keeper.round()
        assert f"pbx.NAME.{book}: {kept.paths[book]}" in status.unverified
        assert words in status.unverified
        assert not status.mismatches
        kept.now += 60
    assert all(told)
    assert status.bad_lines == (100 if spoilt else 0)
    shutil.copyfile(SESSION / kept.paths[book].name, kept.paths[book])
    status = await keeper.round()
    assert (status.unverified, status.mismatches) == ("", {})
    assert status.checked >= 24
    assert told[-1] == ""


async def test_a_master_csv_without_uniqueids_is_named_with_its_switch(kept: Kept) -> None:
    """Asterisk's default: the cure is a line in cdr.conf."""
    keeper = await quiet(kept, "cdr_csv")
    at = '"2026-11-22 09:11:54"'
    kept.paths["cdr_csv"].write_text(
        f'"","1","2","c","""x"" <1>","P/1","","Hangup","",{at},{at},{at},60,59,"ANSWERED","DOCUMENTATION"\n'
        * 5
    )
    await kept.put(*session())
    kept.now = ENDED + 100
    assert "loguniqueid = yes" in (await keeper.round()).unverified


@pytest.mark.parametrize("spoilt", [None, "garbage\n" * 9])
async def test_a_lacking_cel_is_noted_and_the_cdr_takes_its_place(kept: Kept, spoilt: str | None) -> None:
    """What happened unseen comes back with less detail, and that is said."""
    kept.paths["cel_csv"].unlink()
    if spoilt is not None:
        kept.paths["cel_csv"].write_text(spoilt)
    await kept.put(Link("main", up=True, at=BEGAN - 10))
    await kept.keeper.restore()
    kept.keeper.take([Link("main", up=True, at=ENDED)])
    status = await kept.keeper.round()
    assert (status.unverified, status.gaps) == ("", 0)
    [note] = status.notes
    assert f"pbx.NAME.cel_csv: {kept.paths['cel_csv']}" in note
    assert "says less" in note
    calls = await kept.calls()
    assert len(calls) == 18
    assert all(call.sources == ("*:cdr",) for call in calls)


async def test_a_gap_is_not_called_filled_from_books_that_are_not_there(kept: Kept) -> None:
    """Nobody knows what happened in it: it stays open until they are."""
    for name in ("cdr_csv", "cel_csv"):
        kept.paths[name].unlink()
    await kept.put(Link("main", up=True, at=BEGAN - 10))
    await kept.keeper.restore()
    kept.keeper.take([Link("main", up=True, at=ENDED)])
    assert (await kept.keeper.round()).gaps == 1
    for name in ("cdr_csv", "cel_csv"):
        shutil.copyfile(SESSION / kept.paths[name].name, kept.paths[name])
    assert (await kept.keeper.round()).gaps == 0
    assert len(await kept.calls()) == 18


async def test_equal_unreadable_lines_count_each(kept: Kept) -> None:
    """By where they stand, not by what they say; some are kept to be shown."""
    await kept.put(Link("main", up=True, at=BEGAN - 10))
    await kept.keeper.restore()
    kept.keeper.take([Link("main", up=True, at=ENDED)])
    for count in (3, 5):
        with kept.paths["cdr_csv"].open("a") as book:
            book.write("garbage\n" * count)
        await kept.keeper.round()
        kept.now += 120
    status = await kept.keeper.round()
    assert (status.bad_lines, kept.bad_lines, len(status.bad_samples)) == (8, 8, 5)
    assert {(one.book, one.line) for one in status.bad_samples} == {("cdr_csv", "garbage")}


async def test_a_book_that_turns_to_garbage_is_noticed_at_once(kept: Kept) -> None:
    """Asterisk was configured otherwise an hour ago: older rows that are right do not hide it, nor older garbage the right."""
    keeper = await quiet(kept)
    await kept.put(*session())
    right = (SESSION / "cdr.csv").read_text()
    first, rest = right.split("\n", 1)
    kept.paths["cdr_csv"].write_text(f"{first}\n" + "garbage\n" * 7)
    kept.now = BEGAN + 20  # the first call is compared
    assert (await keeper.round()).unverified == ""
    kept.now = ENDED + 100
    assert "nothing of that time can be read in it (7 bad lines; " in (await keeper.round()).unverified
    kept.paths["cdr_csv"].write_text(f"{first}\ngarbage\n{rest}")
    status = await keeper.round()
    assert (status.unverified, status.mismatches) == ("", {})
