"""What is read back is what was put in; pages are complete and steady."""

import base64
from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cti.core.facts import AttemptOutcome, Direction, Disposition, Quality, Queue, State, StayOutcome
from cti.core.memory import Memory
from store import Store
from store.errors import BadCursor, BadLimit
from store.queries import CallFilter, StateSpan
from store.reading import Page, _decode
from store.tables import calls
from tests.store import made
from tests.store.made import PBX, T0


async def put(store: Store, *facts: object) -> None:
    store.writer.put(facts)  # type: ignore[arg-type]
    await store.writer.committed()


async def test_facts_come_back_as_they_went_in(store: Store) -> None:
    """Every stored kind of fact is read back equal to what was put, to the microsecond."""
    each = made.one_of_each()
    await put(store, *each)
    record = await store.queries.call(made.call().id)
    assert record is not None
    read = [
        record.call,
        *record.legs,
        *record.queue_stays,
        *record.attempts,
        *record.talks,
        *record.transfers,
        *record.recordings,
        *await store.queries.current_agent_states(),
        *(await store.queries.away_episodes()).items,
        *(await store.queries.incidents()).items,
        *(await store.queries.faults()).items,
        *(await store.queries.deliveries([made.fault().id]))[made.fault().id],
        *await store.queries.open_commands(made.PBX),
        *(await store.queries.work_items()).items,
        *await store.queries.queues(),
        *await store.queries.open_gaps(made.PBX),
    ]
    assert read == each[:-1]  # links are for the record only


async def test_an_unknown_call_is_none(store: Store) -> None:
    """Asking for a call that is not there gives None."""
    assert await store.queries.call("main-1.1") is None
    assert await store.queries.work_item("main-1.1") is None


async def test_a_circle_of_merges_ends(store: Store) -> None:
    """Merges that lead in a circle, which should not be, are read without end-lessness."""
    await put(
        store,
        made.call(1, merged_into=made.call(2).id),
        made.call(2, merged_into=made.call(1).id),
        made.leg(1),
    )
    record = await store.queries.call(made.call(1).id)
    assert record is not None
    assert len(record.legs) == 1


async def test_a_chain_of_merges_leads_to_the_oldest(store: Store) -> None:
    """A call merged twice is found under its oldest id, with the parts of all three."""
    await put(
        store,
        made.call(1),
        made.call(2, merged_into=made.call(1).id),
        made.call(3, merged_into=made.call(2).id),
        *(made.leg(n) for n in (1, 2, 3)),
    )
    record = await store.queries.call(made.call(3).id)
    assert record is not None
    assert record.call.id == made.call(1).id
    assert {one.call_id for one in record.legs} == {made.call(1).id}
    assert len(record.legs) == 3


FILTERS: list[tuple[CallFilter, set[int]]] = [
    (CallFilter(), {1, 2, 3, 4, 5}),
    (CallFilter(since=T0 + 2, before=T0 + 4), {2, 3}),
    (CallFilter(direction=Direction.OUTBOUND), {2}),
    (CallFilter(disposition=Disposition.ABANDONED), {3}),
    (CallFilter(quality=Quality.GAPPED), {4}),
    (CallFilter(pbx="other"), {5}),
    (CallFilter(caller_number="13900000000"), {5}),
    (CallFilter(agent="2001"), {1, 2}),
    (CallFilter(agent="2001", queue="sales"), {1}),
    (CallFilter(queue="sales"), {1, 3}),
    (CallFilter(ended=True), {3}),
    (CallFilter(ended=False), {1, 2, 4, 5}),
    (CallFilter(agent="nobody"), set()),
]


@pytest.mark.parametrize(("wanted", "expected"), FILTERS)
async def test_calls_are_filtered(store: Store, wanted: CallFilter, expected: set[int]) -> None:
    """Each filter finds exactly its calls; together they narrow."""
    await put(
        store,
        made.call(1),
        made.call(2, direction=Direction.OUTBOUND),
        made.call(3, disposition=Disposition.ABANDONED, ended_at=T0 + 9),
        made.call(4, quality=Quality.GAPPED),
        made.call(5, pbx="other", caller_number="13900000000"),
        made.call(6, merged_into=made.call(1).id),
        made.talk(2),
        made.talk(3, agent="2002"),
        made.stay(1, agent="2001", outcome=StayOutcome.ANSWERED),
        made.stay(3),
    )
    page = await store.queries.calls(wanted)
    assert {one.id for one in page.items} == {made.call(n).id for n in expected}
    assert page.next is None


async def _walk(store: Store, limit: int, between: bool) -> list[str]:
    """Read page by page; between two pages newer and older calls arrive."""
    ids: list[str] = []
    cursor, n = None, 1000
    while True:
        page = await store.queries.calls(cursor=cursor, limit=limit)
        ids += [one.id for one in page.items]
        if page.next is None:
            return ids
        cursor = page.next
        if between:
            n += 1
            await put(store, made.call(n))


@pytest.mark.parametrize("between", [False, True])
async def test_paging_is_complete_and_steady(store: Store, between: bool) -> None:
    """Reading page by page gives each call once, newest first, also of equal instants and while calls arrive."""
    there = [made.call(n, started_at=T0 + n // 4) for n in range(1, 24)]
    await put(store, *there)
    expected = [one.id for one in sorted(there, key=lambda one: (one.started_at, one.id), reverse=True)]
    for limit in (1, 4, 5, 23, 24):
        walked = await _walk(store, limit, between)
        assert [one for one in walked if one in expected] == expected
        assert len(walked) == len(set(walked))


async def test_a_page_knows_whether_it_is_the_last(store: Store) -> None:
    """The page that holds the last row has no cursor, even when it is full."""
    await put(store, made.call(1), made.call(2))
    assert (await store.queries.calls(limit=2)).next is None
    assert (await store.queries.calls(limit=1)).next is not None
    assert await store.queries.incidents() == Page((), None)


BAD = [
    "",
    "x",
    "é",
    "=",
    "A" * 5000,
    *(
        base64.urlsafe_b64encode(text.encode()).decode()
        for text in (
            "[]",
            "{}",
            "[1]",
            '[1,"a","b"]',
            '["1","a"]',
            "[1,2]",
            '[1.5,"a"]',
            '[true,"a"]',
            "[" * 5000,
            f'[{2**70},"a"]',
            '[1,"\\u0000"]',
            '[1,"\\ud800"]',
            '[null,"a"]',
        )
    ),
]


@pytest.mark.parametrize("cursor", BAD)
async def test_a_bad_cursor_is_refused(store: Store, cursor: str) -> None:
    """A cursor that is not one of ours is refused by name."""
    with pytest.raises(BadCursor, match="cursor"):
        await store.queries.calls(cursor=cursor)


@given(st.text() | st.binary().map(lambda raw: base64.urlsafe_b64encode(raw).decode()))
def test_no_cursor_breaks_the_decoder(cursor: str) -> None:
    """Whatever is given as a cursor is taken or refused, nothing else."""
    with suppress(BadCursor):
        assert len(_decode(cursor, (calls.c.started_at, calls.c.id))) == 2


@pytest.mark.parametrize("limit", [0, -1, 1001])
async def test_a_bad_limit_is_refused(store: Store, limit: int) -> None:
    """A page of no, fewer or too many rows is refused with the range."""
    with pytest.raises(BadLimit, match="1 to 1000"):
        await store.queries.calls(limit=limit)


async def test_the_history_of_states_has_their_ends(store: Store) -> None:
    """C3: an agent's states are listed with their ends; an interval includes the state that held as it began."""
    first, second, third = (made.state(T0 + n, state=state) for n, state in enumerate(list(State)[:3]))
    await put(store, first, second, third, made.state(T0, agent="2002"))
    page = await store.queries.agent_states(agent="2001", pbx=PBX)
    assert page.items == (StateSpan(third, None), StateSpan(second, T0 + 2), StateSpan(first, T0 + 1))
    page = await store.queries.agent_states(agent="2001", since=T0 + 1, before=T0 + 2)
    assert [one.state for one in page.items] == [second]
    page = await store.queries.agent_states(agent="2001", since=T0 + 50)
    assert [one.state for one in page.items] == [third]
    page = await store.queries.agent_states(limit=2)
    following = await store.queries.agent_states(limit=2, cursor=page.next)
    assert len({*page.items, *following.items}) == 4


async def test_open_faults_and_intervals(store: Store) -> None:
    """A3: a fault belongs to every interval it lasted into; open ones can be asked for alone."""
    over, going = made.fault(1, ended_at=T0 + 5), made.fault(2)
    await put(store, over, going)
    assert (await store.queries.faults(ended=False)).items == (going,)
    assert (await store.queries.faults(since=T0 + 4)).items == (going, over)
    assert (await store.queries.faults(since=T0 + 5)).items == (going,)
    assert (await store.queries.faults(before=T0 + 2)).items == (over,)


async def test_lists_are_filtered(store: Store) -> None:
    """Incidents, work items, episodes and stays are filtered by what is theirs."""
    done = made.work_item(2, state="done", hotline="day")
    await put(store, made.incident(1), made.incident(2, agent="2002"), made.work_item(1), done)
    await put(
        store, made.stay(1), made.stay(2, queue="support"), made.episode(1, ended_at=T0 + 3), made.episode(2)
    )
    q = store.queries
    assert (await q.incidents(agent="2002")).items == (made.incident(2, agent="2002"),)
    assert (await q.incidents(kind="away_limit", before=T0 + 2)).items == (made.incident(1),)
    assert (await q.work_items(state="open")).items == (made.work_item(1),)
    assert (await q.work_items(hotline="day")).items == (done,)
    assert (await q.queue_stays(queue="support")).items == (made.stay(2, queue="support"),)
    assert (await q.queue_stays(since=T0 + 2, before=T0 + 3)).items == (made.stay(2, queue="support"),)
    assert (await q.away_episodes(since=T0 + 3)).items == (made.episode(2),)


async def test_memory_is_the_open_business_of_one_pbx(store: Store) -> None:
    """A1: after a restart the core gets every open call with all its parts, and nothing that is over or elsewhere."""
    ended = {"ended_at": T0 + 9, "disposition": Disposition.ANSWERED}
    parts = [
        made.leg(1, ended_at=T0 + 2),
        made.stay(1),
        made.attempt(1, outcome=AttemptOutcome.BUSY),
        made.talk(1),
    ]
    await put(store, made.call(1), *parts, made.call(2, **ended), made.leg(2), made.stay(2), made.talk(2))
    await put(store, made.call(3, pbx="other"), made.call(4, merged_into=made.call(1).id), made.leg(4))
    await put(
        store, made.episode(1), made.episode(2, ended_at=T0 + 3), made.fault(1), made.fault(2, ended_at=T0)
    )
    await put(store, made.state(T0), made.state(T0 + 1, state=State.AWAY), made.state(T0, agent="2002"))
    await put(store, made.state(T0 + 5, pbx="other"), made.fault(3, pbx="other"))
    assert await store.queries.open_memory(PBX) == Memory(
        calls=(made.call(1),),
        legs=(made.leg(1, ended_at=T0 + 2), made.leg(4, call_id=made.call(1).id)),
        stays=(made.stay(1),),
        attempts=(made.attempt(1, outcome=AttemptOutcome.BUSY),),
        talks=(made.talk(1),),
        episodes=(made.episode(1),),
        agent_states=(made.state(T0 + 1, state=State.AWAY), made.state(T0, agent="2002")),
        faults=(made.fault(1),),
    )
    assert await store.queries.open_memory("unknown") == Memory()


async def test_the_summary_counts_whole_calls(store: Store) -> None:
    """F1: a summary counts each call once, by disposition, and what is still going on."""
    await put(
        store,
        made.call(1, disposition=Disposition.ANSWERED, ended_at=T0 + 9),
        made.call(2, disposition=Disposition.ABANDONED, ended_at=T0 + 9),
        made.call(3),
        made.call(4, merged_into=made.call(1).id, ended_at=T0 + 9, disposition=Disposition.ANSWERED),
        made.stay(1, outcome=StayOutcome.ANSWERED),
        made.incident(),
        made.work_item(1, result="accepted"),
        made.work_item(2),
        made.state(T0, state=State.LOGGED_OUT, agent="2003"),
        made.state(T0),
        made.state(T0 + 1),
        made.fault(),
    )
    found = await store.queries.summary()
    assert (found.calls, found.open_calls, found.agents, found.faults) == (3, 1, 1, 1)
    assert found.calls_by_disposition[Disposition.ANSWERED] == 1
    assert found.calls_by_disposition[Disposition.BUSY] == 0
    assert found.stays_by_outcome[StayOutcome.ANSWERED] == 1
    assert (found.incidents_by_kind, found.work_items_by_result) == (
        {"away_limit": 1},
        {"accepted": 1, "ringing": 1},
    )
    assert (await store.queries.summary(before=T0 + 2)).calls == 1
    assert (await store.queries.summary(pbx="other")).calls == 0


async def test_queues_are_those_last_shown(store: Store) -> None:
    """A queue shown again with other settings is one row with the latest."""
    queue = Queue(PBX, "sales", "ringall", 5.0, 0)
    await put(store, queue)
    await put(store, replace(queue, strategy="rrmemory"))
    assert await store.queries.queues() == (replace(queue, strategy="rrmemory"),)
