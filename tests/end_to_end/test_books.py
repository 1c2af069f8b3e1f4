"""B3, B4 on a real PBX: what happened while the daemon was dead is on record afterwards, and agrees with the books."""

import asyncio
import datetime as dt
import json
import time
from typing import Any

from store import open_store
from tests.demo.floor import AGENTS
from tests.end_to_end.conftest import World, lasted


async def _back(world: World) -> None:
    """Start the daemon again and wait until the gap that ended with that is filled; one of before may be filled first."""
    since, began = len(world.rig.lines), time.time()
    await world.rig.start()
    while True:
        line = await world.rig.logged("gap_filled", since=since, timeout=30)
        if float(str(line["gap"]).removeprefix("main-")) > began:
            return
        since = world.rig.lines.index(line, since) + 1


def _only(rows: Any) -> dict[str, Any]:
    assert len(rows) == 1, rows
    row: dict[str, Any] = rows[0]
    return row


async def test_three_calls_that_nobody_saw_are_on_record(world: World) -> None:
    """B3: an answered queue call, an abandoned one and a direct one come back whole from the books, and agree."""
    since = dt.datetime.now(dt.UTC).isoformat()
    await world.log_in("2001")
    await world.phones.set_phone("1003", mode="answer", answer_after=0.3)
    await world.rig.kill9()
    for call in (
        await world.phones.customer_calls("4001", "王伟", "13800000031", talk=1),
        await world.phones.customer_calls("5103", "直接", "13800000032", talk=1),
    ):
        await call.ended()
    await world.phones.set_phone(AGENTS["2001"][1], mode="noanswer")
    await (await world.phones.customer_calls("4001", "李娜", "13800000033", patience=2)).ended()
    await _back(world)

    answered = await world.whole("13800000031")
    assert (answered["quality"], answered["disposition"], answered["ended_by"], answered["caller_name"]) == (
        "from_books",
        "answered",
        "caller",
        "王伟",
    )
    stay, talk = _only(answered["queue_stays"]), _only(answered["talks"])
    assert (stay["agent"], stay["outcome"], talk["agent"]) == ("2001", "answered", "2001")
    assert abs(stay["book_talk"] - lasted(talk)) <= 1.1  # the book has whole seconds
    assert _only(answered["attempts"])["agent_state"] == "available"
    assert "*:cel" in stay["sources"]
    assert "outcome:queue_log" in stay["sources"]

    direct = await world.whole("13800000032")
    assert (direct["quality"], direct["disposition"], len(_list(direct["legs"]))) == (
        "from_books",
        "answered",
        2,
    )
    given_up = await world.whole("13800000033")
    assert (given_up["disposition"], _only(given_up["queue_stays"])["outcome"]) == ("abandoned", "abandoned")

    report = json.loads(await world.rig.cti("reconcile", "--from", since, "--json"))
    assert (report["mismatches"], report["verified"]) == (0, True)
    assert report["pbxs"][0]["checked"] >= 5
    told = await world.rig.cti("explain", str(answered["id"]), "--lines")
    assert "told from the PBX's books" in told
    assert "COMPLETECALLER" in told
    story = await world.rig.get(f"/api/v1/calls/{answered['id']}/story")
    assert "guess" not in {step["source"] for step in story["steps"]}
    [join] = [step for step in story["steps"] if step["kind"] == "join"]
    assert (join["source"], join["event"]) == ("queue_log", "ENTERQUEUE")
    assert any("ENTERQUEUE" in line["line"] for line in join["lines"])
    assert story["unverified"] == []
    assert (await world.rig.get("/api/v1/books"))["items"][0]["unverified"] == ""


def _list(rows: Any) -> list[Any]:
    assert isinstance(rows, list)
    return rows


async def _was_away(world: World, agent: str) -> None:
    """C3: an absence that began and ended unseen is on record, and nobody was logged out for it."""
    async with await open_store(world.rig.database_url) as store:
        (episode,) = (await store.queries.away_episodes(agent=agent)).items
    assert (episode.sources, episode.warned_at, episode.logged_out_at) == (("*:queue_log",), None, None)
    assert episode.ended_at is not None
    agents = (await world.rig.get("/api/v1/agents"))["items"]
    assert [row["state"] for row in agents if row["agent"] == agent] == ["available"]


async def test_a_call_that_ended_while_the_daemon_was_dead_is_completed(world: World) -> None:
    """B3: the same id; its end, who hung up and app_queue's figure come from the books, and nothing else changes."""
    await world.log_in("2001")
    handle = await world.phones.customer_calls("4001", "陈静", "13800000034")
    await handle.served()
    before = await world.the_call("13800000034", ended=False)

    async def talking() -> bool:
        return bool((await world.rig.get(f"/api/v1/calls/{before['id']}"))["talks"])

    await world.rig.eventually(talking)
    seen = await world.rig.get(f"/api/v1/calls/{before['id']}")
    await world.log_in("2002")
    await world.rig.kill9()
    desk = AGENTS["2002"][1]
    await world.phones.pause(desk, "1")
    await handle.hangup()
    ended = await handle.ended()
    await world.phones.unpause(desk)
    await _back(world)
    await _was_away(world, "2002")
    call = await world.whole("13800000034")
    assert call["id"] == before["id"]
    assert (call["quality"], call["disposition"], call["ended_by"]) == ("gapped", "answered", "caller")
    assert str(call["hangup_cause"]) == ended["Cause"]
    assert {"ended_at:cel", "ended_by:cel", "hangup_cause:cel"} <= set(_list(call["sources"]))
    stay, talk = _only(call["queue_stays"]), _only(call["talks"])
    assert (stay["outcome"], stay["agent"]) == ("answered", "2001")
    assert stay["book_talk"] is not None
    assert stay["sources"] == ["book_talk:queue_log"]
    assert talk["started_at"] == _only(seen["talks"])["started_at"]
    assert talk["sources"] == ["ended_at:cel"]


async def test_logins_and_pauses_that_nobody_saw_are_on_record(world: World) -> None:
    """B3: the agent's states of the gap are there, between those that were seen."""
    await world.log_in("2001")
    await world.rig.kill9()
    desk = AGENTS["2001"][1]
    await world.phones.pause(desk, "2")
    await asyncio.sleep(1.1)  # queue_log has whole seconds: a shorter pause is none there
    await world.phones.unpause(desk)
    await world.log_in("2002")
    await _back(world)
    states = await world.rig.items("/api/v1/agents/2001/states")
    words = [(state["state"], state["reason"]) for state in reversed(states)]
    assert ("away", "lunch") in words
    away = next(state for state in states if state["state"] == "away")
    assert away["sources"] == ["*:queue_log"]
    assert away["until"] is not None
    assert words[-1] == ("available", "")
    others = await world.rig.items("/api/v1/agents/2002/states")
    assert others[0]["state"] == "available"


async def test_a_daemon_that_dies_again_finds_nothing_more_to_do(world: World) -> None:
    """Idempotence: a second death and return over the same books changes no record."""
    await world.rig.kill9()
    await (await world.phones.customer_calls("4001", "何洁", "13800000035", patience=1)).ended()
    await _back(world)
    once = await world.whole("13800000035")
    await world.rig.kill9()
    since = len(world.rig.lines)
    await _back(world)
    assert await world.whole("13800000035") == once
    assert [line for line in world.rig.lines[since:] if line.get("event") == "filled_from_books"] == []
