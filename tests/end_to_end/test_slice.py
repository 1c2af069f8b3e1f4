"""The first slice on a real PBX: calls, agents, the away rule, duty, and agreement with the books."""

import asyncio

import pytest

from store import open_store
from tests.demo.books import Books
from tests.demo.floor import AGENTS, DUTY
from tests.end_to_end.conftest import World, lasted
from tests.rig import RigError


def _only(rows: object) -> dict[str, object]:
    assert isinstance(rows, list)
    assert len(rows) == 1, rows
    row: dict[str, object] = rows[0]
    return row


async def test_a_queue_call_is_recorded_with_its_agent_and_their_state(world: World) -> None:
    """B1, B2: the record appears by itself and names the agent and the state they were in as it rang."""
    await world.log_in("2001")
    handle = await world.phones.customer_calls("4001", "王伟", "13800000001", talk=2)
    await handle.ended()
    call = await world.whole("13800000001")
    assert (call["caller_name"], call["direction"], call["disposition"]) == ("王伟", "inbound", "answered")
    assert (call["ended_by"], call["quality"]) == ("caller", "complete")
    stay, attempt, talk = _only(call["queue_stays"]), _only(call["attempts"]), _only(call["talks"])
    assert (stay["queue"], stay["outcome"], stay["agent"]) == ("sales", "answered", "2001")
    assert (attempt["agent"], attempt["agent_state"], attempt["outcome"]) == ("2001", "available", "answered")
    assert talk["agent"] == "2001"
    assert isinstance(stay["book_talk"], float)
    assert abs(stay["book_talk"] - lasted(talk)) <= 1.1  # the book has whole seconds


async def test_a_caller_who_gives_up_is_abandoned(world: World) -> None:
    """B1: nobody is logged in, the caller waits, hangs up, and is counted as lost."""
    handle = await world.phones.customer_calls("4001", "李娜", "13800000002", patience=1.5)
    await handle.ended()
    call = await world.whole("13800000002")
    stay = _only(call["queue_stays"])
    assert (call["disposition"], call["ended_by"], stay["outcome"]) == ("abandoned", "caller", "abandoned")
    assert call["answered_at"] is None


async def test_the_second_agent_answers_what_the_first_misses(world: World) -> None:
    """B2: both attempts are on record, with how each ended."""
    await world.log_in("2001")
    await world.phones.set_phone(AGENTS["2001"][1], mode="noanswer")
    handle = await world.phones.customer_calls("4001", "张伟", "13800000003", patience=30, talk=1)
    await world.phones.offered(AGENTS["2001"][1])
    await world.log_in("2002")
    await handle.ended()
    call = await world.whole("13800000003")
    attempts = call["attempts"]
    assert isinstance(attempts, list)
    assert (attempts[0]["agent"], attempts[0]["outcome"]) == ("2001", "no_answer")
    assert (attempts[-1]["agent"], attempts[-1]["outcome"]) == ("2002", "answered")
    assert _only(call["queue_stays"])["agent"] == "2002"


async def test_who_overstays_is_warned_reported_and_logged_out(world: World) -> None:
    """C3: warning, report, logout from every queue, incident; re-pausing with another reason does not help."""
    await world.log_in("2001")
    desk = AGENTS["2001"][1]
    await world.phones.pause(desk, "1")
    await world.rig.logged("away_warning", agent="2001")
    await world.phones.pause(desk, "2")
    await world.rig.logged("away_limit", agent="2001")

    async def logged_out() -> bool:
        agents = (await world.rig.get("/api/v1/agents"))["items"]
        return any(agent["agent"] == "2001" and agent["state"] == "logged_out" for agent in agents)

    await world.rig.eventually(logged_out)
    members = [row for row in await world.ami.query("QueueStatus") if row.event == "QueueMember"]
    assert members == []

    async def incidents() -> list[dict[str, object]]:
        found = await world.rig.items("/api/v1/incidents")
        return [row for row in found if row["result"] == "logged_out"]

    incident = _only(await world.rig.eventually(incidents))
    assert (incident["kind"], incident["agent"], incident["result"]) == ("away_limit", "2001", "logged_out")
    states = await world.rig.items("/api/v1/agents/2001/states")
    assert (states[0]["state"], states[0]["cause"]) == ("logged_out", "rule")


async def test_an_after_hours_call_reaches_who_is_on_duty(world: World) -> None:
    """D4, D7: the mobile rings, 1 is pressed, both talk; a work item says so, and the mark is gone."""
    handle = await world.phones.customer_calls("4002", "刘洋", "13800000004", patience=20, talk=1)
    await handle.ended()

    async def item() -> list[dict[str, object]]:
        return [row for row in await world.rig.items("/api/v1/work-items") if row["result"] != "ringing"]

    found = _only(await world.rig.eventually(item))
    call = await world.the_call("13800000004")
    on_duty = {number for _, number in DUTY.values()}
    assert (found["result"], found["call_id"], found["caller_number"]) == (
        "accepted",
        call["id"],
        "13800000004",
    )
    assert found["accepted_by"] in on_duty
    assert call["disposition"] == "answered"
    assert await world.ami.db_get("cti-pending", str(call["id"]).removeprefix("main-")) is None


async def test_a_duty_call_that_nobody_takes_is_a_fault_until_somebody_takes_one(world: World) -> None:
    """A3, D4: every mobile is busy: a fault of the duty phones, told at once; the next call is taken and ends it."""
    for _, number in DUTY.values():
        await world.phones.set_mobile(number, mode="busy")
    await (await world.phones.customer_calls("4002", "马超", "13800000008", patience=30)).ended()

    async def fault(*, over: bool) -> list[dict[str, object]]:
        rows = [row for row in await world.rig.items("/api/v1/faults") if row["kind"] == "duty_phone"]
        return rows if rows and (rows[0]["ended_at"] is not None) == over else []

    assert "night" in str(_only(await world.rig.eventually(lambda: fault(over=False)))["detail"])
    await world.rig.logged("fault_began")
    for _, number in DUTY.values():
        await world.phones.set_mobile(number, mode="accept", after=0.2)
    handle = await world.phones.customer_calls("4002", "高峰", "13800000009", patience=60)
    assert _only(await world.rig.eventually(lambda: fault(over=True)))["ended_at"] is not None
    await handle.hangup()


async def test_a_killed_daemon_goes_on_with_the_same_call(world: World) -> None:
    """A1: kill -9 in mid-call; the record keeps its id, is whole, and says that it has a gap."""
    await world.log_in("2001")
    handle = await world.phones.customer_calls("4001", "陈静", "13800000005")
    await handle.served()
    before = await world.the_call("13800000005", ended=False)

    async def talking() -> bool:
        call = await world.rig.get(f"/api/v1/calls/{before['id']}")
        return bool(call["talks"])

    await world.rig.eventually(talking)
    await world.rig.kill9()
    await world.rig.start()
    await handle.hangup()
    await handle.ended()
    call = await world.whole("13800000005")
    assert call["id"] == before["id"]
    assert (call["disposition"], call["quality"]) == ("answered", "gapped")
    stay = _only(call["queue_stays"])
    assert (stay["outcome"], stay["agent"]) == ("answered", "2001")
    assert stay["book_talk"] is not None
    faults = [row for row in await world.rig.items("/api/v1/faults") if row["kind"] == "daemon"]
    assert _only(faults)["ended_at"] > _only(faults)["began_at"]  # type: ignore[operator]


async def test_a_dead_daemon_does_not_keep_a_call_from_the_mobile(world: World) -> None:
    """D4: the PBX decides alone; record and work item appear when the daemon is back."""
    await world.rig.kill9()
    handle = await world.phones.customer_calls("4002", "杨帆", "13800000006", patience=20, talk=1)
    await handle.served()
    await handle.ended()
    await world.rig.start()

    async def items() -> object:
        return await world.rig.items("/api/v1/work-items")

    item = _only(await world.rig.eventually(items))
    assert (item["result"], item["caller_number"]) == ("accepted", "13800000006")
    call = await world.the_call("13800000006")
    assert (call["id"], call["quality"], call["disposition"]) == (item["call_id"], "from_books", "answered")


async def test_an_agent_who_logs_in_while_the_daemon_is_dead_is_known_when_it_is_back(world: World) -> None:
    """C1: the PIN is verified by the PBX; the daemon finds the agent there."""
    await world.rig.kill9()
    await world.log_in("2003")
    await world.rig.start()

    async def available() -> bool:
        agents = (await world.rig.get("/api/v1/agents"))["items"]
        return [(a["agent"], a["state"]) for a in agents if a["state"] != "logged_out"] == [
            ("2003", "available")
        ]

    await world.rig.eventually(available)


async def test_the_records_agree_with_the_books(world: World) -> None:
    """B4: count, outcome, agent, and book_wait and book_talk within a second, for answered and abandoned calls."""
    await world.log_in("2001", "2002")
    handles = [
        await world.phones.customer_calls("4001", "宋佳", f"1380000010{n}", patience=patience, talk=1.5)
        for n, patience in enumerate((20, 20, 0.2, 20))
    ]
    await asyncio.gather(*(handle.ended() for handle in handles))
    for n in range(4):
        await world.the_call(f"1380000010{n}")
    await world.rig.stop()
    books = Books.of_files(world.lab.pbx.queue_log_path, world.lab.pbx.cdr_csv_path)
    async with await open_store(world.rig.database_url) as store:
        records = await store.queries.records("main")
        since = min(call.started_at for call in records.calls)
        report = await books.compare(store, since=since)
    assert report.mismatches == ()
    assert report.checked >= 2 * len(handles)


async def test_a_daemon_that_is_told_to_end_ends_well(world: World) -> None:
    """Clean shutdown: exit status 0, and nothing taken is lost."""
    handle = await world.phones.customer_calls("4001", "何洁", "13800000007", patience=0.5)
    await handle.ended()
    assert await world.rig.stop() == 0
    async with await open_store(world.rig.database_url) as store:
        found = (await store.queries.calls()).items
    assert [call.caller_number for call in found if call.direction == "inbound"] == ["13800000007"]


async def test_a_second_daemon_on_the_same_data_says_what_to_do(world: World) -> None:
    """An error names the key and the cure, and ends the process with the status for configuration."""
    with pytest.raises(RigError, match=r"another daemon runs on this data_dir.*its own http\.port"):
        await world.rig.cti("run")
