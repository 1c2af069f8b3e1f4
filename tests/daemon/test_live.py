"""The current picture: what lives is shown, what ended leaves, each thing counts once."""

import asyncio
import contextlib
import dataclasses
import datetime as dt
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cti.core import facts as f
from cti.daemon import tally
from cti.daemon.live import Live
from cti.daemon.recall import recall
from cti.daemon.tally import Remembered
from store import Store, open_store
from tests.daemon.served import AT, agent, call, day, parts

SHANGHAI = ZoneInfo("Asia/Shanghai")
MIDNIGHT = dt.datetime(2026, 9, 22, tzinfo=SHANGHAI).timestamp()
NOW = AT + 1000


def stay(number: int, **changes: object) -> f.QueueStay:
    """A caller who waits."""
    made = f.QueueStay(f"q{number}", f"c{number}", "main", 1, "sales", f"u{number}", AT + number)
    return dataclasses.replace(made, **changes)  # type: ignore[arg-type]


def ended(number: int, outcome: f.StayOutcome, wait: float, joined_at: float = AT) -> f.QueueStay:
    """A stay that is over."""
    return stay(number, joined_at=joined_at, left_at=joined_at + wait, outcome=outcome, wait=wait)


def answered(number: int, wait: float, joined_at: float = AT) -> f.QueueStay:
    """A stay that was answered."""
    return ended(number, f.StayOutcome.ANSWERED, wait, joined_at)


class TestCalls:
    """Open calls and who is on them."""

    def test_a_call_shows_who_waits_rings_and_talks(self) -> None:
        """From joining over ringing to talking, each part leaves as the next begins."""
        live = Live()
        living = call(1, over=False)
        waiting = stay(1, call_id=living.id)
        ringing = f.Attempt(
            "a", living.id, "main", waiting.id, "sales", "2001", "PJSIP/1001", None, None, None, AT
        )
        talk = f.Talk("t", living.id, "main", "sales", "2001", "PJSIP/1001", AT + 5)
        live.take([living, waiting, ringing])
        (shown,) = live.calls()
        assert (shown.waiting_in, shown.ringing, shown.talking) == ("sales", ("2001",), ())
        live.take([dataclasses.replace(ringing, ended_at=AT + 5, outcome=f.AttemptOutcome.ANSWERED)])
        live.take([dataclasses.replace(waiting, answered_at=AT + 5), talk])
        (shown,) = live.calls()
        assert (shown.waiting_in, shown.ringing, shown.talking) == (None, (), ("2001",))
        assert all(not queue.waiting for queue in live.queues(NOW))

    def test_an_ended_call_takes_its_parts_along(self) -> None:
        """B3: even when the end of a part was never seen; and late parts do not bring it back."""
        live = Live()
        living = call(1, over=False)
        waiting = stay(1, call_id=living.id)
        live.take([living, waiting])
        live.take([dataclasses.replace(living, ended_at=AT + 9, disposition=f.Disposition.UNKNOWN)])
        live.take([waiting])
        assert live.calls() == []
        assert all(not queue.waiting for queue in live.queues(NOW))

    def test_a_merged_call_hands_its_parts_to_the_older_one(self) -> None:
        """B1: one record after a transfer merged two."""
        live = Live()
        older, younger = call(1, over=False), call(2, over=False)
        talk = f.Talk("t", younger.id, "main", None, "2001", "PJSIP/1001", AT)
        live.take([older, younger, talk])
        live.take([dataclasses.replace(younger, merged_into=older.id)])
        (shown,) = live.calls()
        assert (shown.call.id, shown.talking) == (older.id, ("2001",))
        live.take([dataclasses.replace(younger, merged_into=older.id, ended_at=AT + 9)])
        live.take([dataclasses.replace(older, ended_at=AT + 9, disposition=f.Disposition.ANSWERED)])
        assert live.today(NOW).calls == 1

    def test_nothing_of_a_day_stays_behind(self) -> None:
        """Bounded: after all calls ended nothing is held of them."""
        live = Live()
        for number in range(200):
            living = call(number, over=False)
            live.take([living, *parts(living)])
            live.take([call(number)])
        assert live.calls() == []
        assert live._open == {}


class TestQueues:
    """Waiting callers and the figures of today."""

    def test_those_who_wait_stand_in_order(self) -> None:
        """The longest waiting first."""
        live = Live()
        live.take([stay(3), stay(1), stay(2)])
        (queue,) = live.queues(NOW)
        assert [waiting.id for waiting in queue.waiting] == ["q1", "q2", "q3"]

    def test_figures_follow_the_definitions(self) -> None:
        """F1: offered leaves join_empty, full and withdrawn out; lost has them; the threshold is inclusive."""
        live = Live(threshold=lambda _: 20.0)
        outcomes = list(f.StayOutcome)
        live.take([ended(n, outcome, 20.0 + n) for n, outcome in enumerate(outcomes)])
        (queue,) = live.queues(NOW)
        today = queue.today
        assert (today.offered, today.lost, today.answered, today.abandoned) == (5, 6, 1, 1)
        assert (today.answered_within, today.abandoned_within) == (1, 0)
        assert today.longest_wait == 20.0 + len(outcomes) - 1

    def test_the_fixture_everyone_can_check_by_hand(self) -> None:
        """100 offered, 70 answered and 10 abandoned in time, 20 answered later: 0.778, 0.70, 0.80."""
        live = Live()
        live.take([answered(n, 5) for n in range(70)])
        live.take([ended(100 + n, f.StayOutcome.ABANDONED, 5) for n in range(10)])
        live.take([answered(200 + n, 60) for n in range(20)])
        level = live.queues(NOW)[0].service_level
        assert level.ignore_early_abandons is not None
        assert round(level.ignore_early_abandons, 3) == 0.778
        assert (level.strict, level.abandons_as_good) == (0.70, 0.80)

    def test_a_stay_sent_again_counts_once(self) -> None:
        """AgentComplete sends it again with book_talk; a replay sends everything again."""
        live = Live()
        for _ in range(3):
            live.take([answered(1, 5)])
        live.take([dataclasses.replace(answered(1, 5), book_talk=44.0)])
        assert live.queues(NOW)[0].today.answered == 1

    def test_who_was_turned_away_is_lost_to_the_queue_that_did_it(self) -> None:
        """F1: under no name until CEL names it, and then there alone; whatever is told again changes nothing."""
        live, nameless = Live(), ended(1, f.StayOutcome.FULL, 0.0)
        nameless = dataclasses.replace(nameless, queue="")
        named = dataclasses.replace(nameless, queue="sales", sources=("queue:cel",))
        live.take([nameless, nameless])
        assert [(of.queue.name, of.today.lost, of.today.offered) for of in live.queues(NOW)] == [("", 1, 0)]
        for facts in ([named], [named, nameless], [nameless]):
            live.take(facts)
            assert [(of.queue.name, of.today.lost) for of in live.queues(NOW)] == [("sales", 1)]

    def test_who_was_turned_away_at_midnight_counts_on_one_day(self) -> None:
        """F1: seen after it, and by CEL before it."""
        live = Live()
        seen = dataclasses.replace(ended(1, f.StayOutcome.FULL, 0.0, joined_at=MIDNIGHT + 0.01), queue="")
        live.take([seen])
        live.take([dataclasses.replace(seen, queue="sales", joined_at=MIDNIGHT - 0.01)])
        assert live.queues(MIDNIGHT + 9) == []
        assert [of.today.lost for of in live.queues(MIDNIGHT - 9)] == [1]

    def test_how_a_pass_ended_counts_when_the_books_say_it(self) -> None:
        """F1: a timeout whose QUEUESTATUS was lost is offered, and lost, once queue_log has told it."""
        live, unknown = Live(), ended(1, f.StayOutcome.UNKNOWN, 9.0)
        live.take([unknown])
        assert [(of.today.offered, of.today.lost) for of in live.queues(NOW)] == [(0, 0)]
        for _ in range(2):
            live.take([dataclasses.replace(unknown, outcome=f.StayOutcome.TIMEOUT)])
            assert [(of.today.offered, of.today.lost) for of in live.queues(NOW)] == [(1, 1)]

    def test_a_stay_belongs_to_the_local_day_it_joined(self) -> None:
        """Half past midnight in Shanghai is a new day; UTC's is not asked."""
        live = Live("Asia/Shanghai")
        live.take([answered(1, 5, MIDNIGHT - 60), answered(2, 5, MIDNIGHT + 60)])
        assert live.queues(MIDNIGHT - 1)[0].today.answered == 1
        assert live.queues(MIDNIGHT + 61)[0].today.answered == 1
        live.take([answered(n, 5, MIDNIGHT + n * 86400.0) for n in range(10, 20)])
        assert len(live._tally._days) <= 3

    def test_agents_are_counted_where_they_are_logged_in(self) -> None:
        """By state; those who went home are not counted."""
        live = Live()
        live.take([f.Queue("main", "sales", "rrmemory", 0, 0), f.Queue("main", "support", "rrmemory", 0, 0)])
        live.take(
            [agent("1", f.State.AVAILABLE, AT, queues=("sales", "support")), agent("2", f.State.AWAY, AT)]
        )
        live.take([agent("3", f.State.LOGGED_OUT, AT)])
        sales, support = live.queues(NOW)
        assert sales.agents == {f.State.AVAILABLE: 1, f.State.AWAY: 1}
        assert support.agents == {f.State.AVAILABLE: 1}


class TestAgents:
    """States, away episodes, seconds and occupancy."""

    def test_the_latest_state_stands_whatever_comes_late(self) -> None:
        """A state sent again, or late, changes nothing."""
        live = Live()
        live.take([agent("1", f.State.AVAILABLE, AT), agent("1", f.State.ON_CALL, AT + 10)])
        live.take([agent("1", f.State.AVAILABLE, AT), agent("1", f.State.ON_CALL, AT + 10)])
        (shown,) = live.agents(AT + 30)
        assert shown.state.state is f.State.ON_CALL
        assert shown.seconds == {f.State.AVAILABLE: 10.0, f.State.ON_CALL: 20.0}
        assert shown.occupancy == 20 / 30

    def test_seconds_begin_anew_at_midnight(self) -> None:
        """State seconds are split at the border of the local day."""
        live = Live("Asia/Shanghai")
        live.take([agent("1", f.State.AVAILABLE, MIDNIGHT - 600)])
        assert live.agents(MIDNIGHT - 1)[0].seconds == {f.State.AVAILABLE: 599.0}
        assert live.agents(MIDNIGHT + 60)[0].seconds == {f.State.AVAILABLE: 60.0}
        live.take([agent("1", f.State.ON_CALL, MIDNIGHT + 100)])
        assert live.agents(MIDNIGHT + 150)[0].seconds == {f.State.AVAILABLE: 100.0, f.State.ON_CALL: 50.0}

    def test_an_away_episode_shows_until_it_ends(self) -> None:
        """C3: across its own updates."""
        live = Live()
        episode = f.AwayEpisode("e1", "main", "1", "break", AT, AT + 780, AT + 900)
        live.take([agent("1", f.State.AWAY, AT), episode, dataclasses.replace(episode, warned_at=AT + 780)])
        assert live.agents(NOW)[0].away == dataclasses.replace(episode, warned_at=AT + 780)
        live.take([dataclasses.replace(episode, ended_at=AT + 800)])
        assert live.agents(NOW)[0].away is None

    def test_equal_agents_of_two_pbxs_are_two(self) -> None:
        """A2: everything is keyed by PBX as well."""
        live = Live()
        other = dataclasses.replace(agent("1", f.State.AWAY, AT), pbx="b")
        live.take([agent("1", f.State.AVAILABLE, AT), other])
        assert [(one.state.pbx, one.state.state) for one in live.agents(NOW)] == [
            ("b", f.State.AWAY),
            ("main", f.State.AVAILABLE),
        ]


def test_today_counts_calls_duty_and_incidents_once() -> None:
    """The summary of the floor: what was sent three times counts once."""
    live = Live()
    for _ in range(3):
        live.take(day())
    today = live.today(AT + 1000)
    assert (today.calls, today.answered, today.abandoned) == (12, 8, 4)
    assert (today.duty_calls, today.duty_accepted, today.work_items, today.away_incidents) == (2, 1, 2, 1)
    assert today.occupancy is not None
    assert 0 < today.occupancy < 1


def test_links_and_faults() -> None:
    """A3: the last word about each link; faults until they end."""
    live = Live()
    live.take([f.Link("main", up=False, at=AT + 9), f.Link("main", up=True, at=AT)])
    assert [link.up for link in live.links()] == [False]
    fault = f.Fault("f", f.FaultKind.LINK, "main", AT)
    live.take([fault])
    assert live.faults() == [fault]
    live.take([dataclasses.replace(fault, ended_at=AT + 1)])
    assert live.faults() == []


def test_remembered_is_bounded() -> None:
    """Memory for what was counted does not grow with the day."""
    ids = Remembered(size=10)
    assert [ids.first(str(n)) for n in range(100)] == [True] * 100
    assert len(ids._ids) == 10
    assert "99" in ids


@given(st.permutations(day()))
def test_the_order_of_facts_does_not_matter_for_counts(facts: list[f.Fact]) -> None:
    """Sinks may get parts before their call, ends before begins; nothing fails and today's counts agree."""
    live = Live()
    live.take(facts)
    today = live.today(AT + 1000)
    assert (today.calls, today.duty_calls, today.away_incidents) == (12, 2, 1)
    assert live.queues(AT + 1000)[0].today.answered == 3


def told(live: Live) -> list[f.Fact]:
    """What the core says after a restart: every queue and agent once, as they are."""
    return [*(of.queue for of in live.queues(NOW)), *(of.state for of in live.agents(NOW))]


@contextlib.asynccontextmanager
async def on_record(directory: Path, facts: Sequence[f.Fact]) -> AsyncIterator[Store]:
    """A store that holds these."""
    async with await open_store(f"sqlite+aiosqlite:///{directory}/cti.sqlite3") as store:
        store.writer.put(facts)
        await store.writer.committed()
        yield store


@pytest.mark.parametrize("heard_first", [True, False])
async def test_after_a_restart_todays_figures_go_on(tmp_path: Path, *, heard_first: bool) -> None:
    """What was shown before is shown again, whether the PBX or the store spoke first; what comes again counts once."""
    before, after = Live(), Live()
    before.take(day())
    async with on_record(tmp_path, day()) as store:
        if heard_first:
            after.take(told(before))
        await recall(after, store.queries, ["main"], NOW)
        if not heard_first:
            after.take(told(before))
    assert after.today(NOW) == before.today(NOW)
    assert [(one.state, one.seconds) for one in after.agents(NOW)] == [
        (one.state, one.seconds) for one in before.agents(NOW)
    ]
    assert after.queues(NOW) == before.queues(NOW)
    assert after.calls() == []
    after.take(day())
    assert after.today(NOW) == before.today(NOW)


@pytest.mark.parametrize("named_first", [True, False])
async def test_who_was_turned_away_counts_once_after_a_restart(tmp_path: Path, *, named_first: bool) -> None:
    """F1: read back without a name and named then, or named while the day is read back."""
    seen = dataclasses.replace(ended(1, f.StayOutcome.FULL, 0.0), queue="")
    named = dataclasses.replace(seen, queue="sales")
    live = Live()
    if named_first:
        live.take([named])
    async with on_record(tmp_path, [seen]) as store:
        await recall(live, store.queries, ["main"], NOW)
    live.take([named])
    assert [(of.queue.name, of.today.lost) for of in live.queues(NOW)] == [("sales", 1)]


def test_figures_of_a_day_that_was_not_read_back_yet_are_not_whole() -> None:
    """Until then those of the day on which the daemon was started lack its beginning; those of the next day lack nothing."""
    live = Live()
    assert live.complete(NOW)
    live.lacks_before = NOW - 60
    assert not live.complete(NOW)
    assert live.complete(live.midnight(NOW) + 86400.0)
    live.lacks_before = None
    assert live.complete(NOW)


async def test_facts_that_arrive_while_the_day_is_read_count_once(tmp_path: Path) -> None:
    """Taken before, between and after the pages of the record, and on record by then too: the figures are the same."""
    before, after = Live(), Live()
    before.take(day())
    once = before.today(NOW)
    async with on_record(tmp_path, day()) as store:
        for fact in day():
            if isinstance(fact, f.AgentState):
                after.take([fact])
        recalling = asyncio.create_task(recall(after, store.queries, ["main"], NOW))
        for fact in day():
            after.take([fact])
            await asyncio.sleep(0)
        await recalling
    assert after.today(NOW) == once
    assert after.agents(NOW) == before.agents(NOW)


async def test_time_on_record_counts_up_to_the_first_state_heard(tmp_path: Path) -> None:
    """The state heard of an agent stays; of what is on record only what lies before it counts, since midnight."""
    on_call, later = f.State.ON_CALL, f.State.AVAILABLE
    record = [
        agent("2001", later, MIDNIGHT - 600),
        agent("2001", on_call, MIDNIGHT + 100),
        agent("2002", f.State.AWAY, MIDNIGHT - 7200),
    ]
    now = MIDNIGHT + 1000
    live = Live()
    live.take([agent("2001", later, MIDNIGHT + 400)])
    async with on_record(tmp_path, [*record, agent("2001", later, MIDNIGHT + 400)]) as store:
        await recall(live, store.queries, ["main", "other"], now)
    (one,) = live.agents(now)
    assert one.state == agent("2001", later, MIDNIGHT + 400)
    assert one.seconds == {later: 700.0, on_call: 300.0}
    live.take([agent("2002", later, MIDNIGHT + 500)])
    assert live.agents(now)[1].seconds == {f.State.AWAY: 500.0, later: 500.0}


async def test_a_day_of_many_calls_is_counted_once(tmp_path: Path) -> None:
    """More calls than one page, and than any list of the last ones: a duplicate of the day's first does not count."""
    live = Live()
    many = [dataclasses.replace(call(0), id=f"main-{n}") for n in range(30_000)]
    live.take(many)
    live.take(many[:100])
    assert live.today(NOW).calls == len(many)
    async with on_record(tmp_path, many[:500]) as store:
        assert await recall(live, store.queries, ["main"], NOW) == 500
    assert live.today(NOW).calls == len(many)


def test_what_was_counted_takes_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """A table of the day's ids that is full goes on counting, and forgets old ids rather than grow."""
    monkeypatch.setattr(tally, "_SLOTS", 1 << 10)
    ids = tally.Counted()
    assert sum(ids.first(str(n)) for n in range(5000)) == 5000
    assert len(ids._slots) == 1 << 10
    assert not ids.first("4999")
