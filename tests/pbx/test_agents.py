"""Agents log in, step away and log out by the keys of a phone, over real SIP."""

from __future__ import annotations

import csv
import re

from tests.pbx.amiclient import Message
from tests.pbx.conftest import Pbx

PIN = "7391"


async def members(pbx: Pbx, queue: str) -> dict[str, Message]:
    rows = await pbx.ami.query("QueueStatus", {"Queue": queue})
    return {row["Name"]: row for row in rows if row.event == "QueueMember"}


def agent_events(pbx: Pbx) -> list[tuple[str, str, str, str]]:
    found = pbx.ami.find("UserEvent", UserEvent="CtiAgent")
    return [(m["Action"], m["Agent"], m["Device"], m["Reason"]) for m in found]


async def test_login_joins_every_queue_under_the_agents_number(pbx: Pbx) -> None:
    """The member's name is the agent, its interface the phone; the reader account is told."""
    await pbx.publish_agent("2001", PIN)
    await pbx.phones.login("1001", "2001", PIN)
    event = await pbx.reader.wait_for("UserEvent", UserEvent="CtiAgent", Action="login")
    assert (event["Agent"], event["Device"]) == ("2001", "PJSIP/1001")
    for queue, penalty in (("sales", "0"), ("support", "1")):
        member = (await members(pbx, queue))["2001"]
        assert (member["Location"], member["Penalty"]) == ("PJSIP/1001", penalty)
    assert await pbx.ami.db_get("cti-login", "2001") == "PJSIP/1001"
    assert await pbx.ami.db_get("cti-device", "PJSIP/1001") == "2001"
    log = pbx.lab.pbx.queue_log_path.read_text()
    assert re.search(r"\|sales\|2001\|ADDMEMBER\|", log)


async def test_logout_leaves_every_queue(pbx: Pbx) -> None:
    """Logging out takes the phone out of the queues it joined, even out of one that is no longer published."""
    await pbx.publish_agent("2001", PIN)
    await pbx.phones.login("1001", "2001", PIN)
    await pbx.publisher.db_put("cti-agent/2001", "queues", "sales:0")
    await pbx.phones.logout("1001")
    await pbx.ami.wait_for("UserEvent", UserEvent="CtiAgent", Action="logout")
    assert await members(pbx, "sales") == await members(pbx, "support") == {}
    assert await pbx.ami.db_get("cti-login", "2001") is None
    assert await pbx.ami.db_get("cti-device", "PJSIP/1001") is None
    assert agent_events(pbx)[-1] == ("logout", "2001", "PJSIP/1001", "phone")


async def test_an_agent_moves_to_another_desk(pbx: Pbx) -> None:
    """Logging in elsewhere logs the old phone out; a phone that another agent takes over logs that one out."""
    await pbx.publish_agent("2001", PIN)
    await pbx.publish_agent("2002", PIN)
    await pbx.phones.login("1001", "2001", PIN)
    await pbx.phones.login("1002", "2001", PIN)
    assert (await members(pbx, "sales"))["2001"]["Location"] == "PJSIP/1002"
    await pbx.phones.login("1002", "2002", PIN)
    assert {name: row["Location"] for name, row in (await members(pbx, "sales")).items()} == {
        "2002": "PJSIP/1002"
    }
    assert agent_events(pbx) == [
        ("login", "2001", "PJSIP/1001", "phone"),
        ("logout", "2001", "PJSIP/1001", "moved"),
        ("login", "2001", "PJSIP/1002", "phone"),
        ("logout", "2001", "PJSIP/1002", "device_taken"),
        ("login", "2002", "PJSIP/1002", "phone"),
    ]


async def test_away_and_back_with_a_reason(pbx: Pbx) -> None:
    """Both forms of the code pause in all queues and name the reason."""
    await pbx.publish_agent("2001", PIN)
    await pbx.phones.login("1001", "2001", PIN)
    await pbx.phones.pause("1001", "2")
    member = (await members(pbx, "support"))["2001"]
    assert (member["Paused"], member["PausedReason"]) == ("1", "lunch")
    await pbx.phones.unpause("1001")
    assert (await members(pbx, "sales"))["2001"]["Paused"] == "0"
    await pbx.phones.pause("1001", "3", shorthand=False)
    assert (await members(pbx, "sales"))["2001"]["PausedReason"] == "training"
    assert [event[0::3] for event in agent_events(pbx)[1:]] == [
        ("pause", "lunch"),
        ("unpause", ""),
        ("pause", "training"),
    ]


async def test_the_phone_decides_who_acts_not_the_caller_id(pbx: Pbx) -> None:
    """A phone nobody is logged in at cannot pause anybody."""
    await pbx.publish_agent("2001", PIN)
    await pbx.phones.login("1001", "2001", PIN)
    await pbx.phones.pause("1002", "1")
    assert agent_events(pbx)[-1] == ("refused", "", "PJSIP/1002", "not_logged_in")
    assert (await members(pbx, "sales"))["2001"]["Paused"] == "0"


async def test_five_wrong_pins_lock_the_login(pbx: Pbx) -> None:
    """The fifth wrong PIN in a row locks; then the right one does not help until the lock runs out."""
    await pbx.publish_agent("2001", PIN)
    call = await pbx.phones.agent_dials("1001", "*11", "2001#1#")
    await pbx.ami.wait_for("UserEvent", UserEvent="CtiAgent", Action="refused")
    await call.hangup()
    await call.ended()
    tries, at = (await pbx.ami.db_get("cti-lock", "2001") or "").split("|")
    assert tries == "1"
    await pbx.ami.db_put("cti-lock", "2001", f"3|{at}")
    await pbx.phones.login("1001", "2001", "4#2001#5")
    actions = [event[0] for event in agent_events(pbx)]
    assert actions == ["refused", "refused", "locked"]
    await pbx.phones.login("1001", "2001", PIN)
    assert [event[0] for event in agent_events(pbx)] == [*actions, "locked"]
    assert await members(pbx, "sales") == {}
    await pbx.ami.db_put("cti-lock", "2001", f"5|{int(at) - 301}")
    await pbx.phones.login("1001", "2001", PIN)
    assert agent_events(pbx)[-1][0] == "login"


async def test_a_pin_is_written_nowhere(pbx: Pbx) -> None:
    """Neither a right PIN nor a wrong one reaches a file of the PBX or an AMI event, not even key by key.

    The exception is AMI's own class `dtmf`, which shows every key of every call and is given to no account.
    """
    # Long enough not to occur by chance in a timestamp.
    right, wrong = "73915826", "84620915"
    await pbx.publish_agent("2001", right)
    await pbx.phones.login("1001", "2001", f"{wrong}#2001#{right}")
    assert [event[0] for event in agent_events(pbx)] == ["refused", "login"]
    for path in pbx.lab.pbx.directory.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert right.encode() not in content, path
            assert wrong.encode() not in content, path
    assert right.encode() not in pbx.ami.raw
    assert wrong.encode() not in pbx.ami.raw
    pressed = "".join(message["Digit"] for message in pbx.ami.find("DTMFEnd"))
    assert right in pressed, "the capture must have seen the login"
    with pbx.lab.pbx.cel_path.open() as file:
        assert "DTMF" not in {row[0] for row in csv.reader(file)}
    assert not pbx.reader.find("DTMFEnd")
