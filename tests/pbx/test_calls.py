"""The hotline by day and by night: who is rung, what is written, and that nothing is lost."""

from __future__ import annotations

import csv
import re

import pytest

from tests.pbx.conftest import SUPERVISOR, Pbx, eventually, zone_where_it_is
from tests.pbx.duty import duty_row, now_segment

PIN = "1234"
FIRST, SECOND = "13911110001", "13911110002"
LADDER = f"d:{FIRST}&{SECOND}"


async def entered(pbx: Pbx) -> str:
    """The uniqueid of the call that reached the hotline by night."""
    return (await pbx.reader.wait_for("UserEvent", UserEvent="CtiDuty", Action="entered"))["Call"]


async def ended(pbx: Pbx, call: str) -> str:
    event = await pbx.reader.wait_for("UserEvent", UserEvent="CtiDuty", Action="ended", Call=call, timeout=40)
    return event["Result"]


async def route(pbx: Pbx) -> tuple[str, str]:
    event = await pbx.reader.wait_for("UserEvent", UserEvent="CtiHotline")
    return event["Route"], event["Why"]


def cdr_row(pbx: Pbx, uniqueid: str) -> list[str] | None:
    with pbx.lab.pbx.cdr_csv_path.open() as file:
        return next((row for row in csv.reader(file) if row[1] == uniqueid), None)


def steps(pbx: Pbx) -> list[tuple[str, str]]:
    return [(m["Action"], m["Number"]) for m in pbx.reader.find("UserEvent", UserEvent="CtiDuty")]


async def test_by_day_the_queue_answers(pbx: Pbx) -> None:
    """An office row sends the caller to the queue; the PBX's own books name the agent."""
    await pbx.publish_agent("2001", PIN)
    await pbx.phones.login("1001", "2001", PIN)
    await pbx.publish_duty("sales", duty_row(now_segment("o")))
    call = await pbx.phones.customer_calls("4001", talk=0.3)
    connect = await pbx.reader.wait_for("AgentConnect", MemberName="2001")
    assert (connect["CallerIDName"], connect["Interface"]) == ("王伟", "PJSIP/1001")
    await pbx.reader.wait_for("AgentComplete", MemberName="2001")
    await call.ended()
    assert await route(pbx) == ("o", "row")
    log = pbx.lab.pbx.queue_log_path.read_text()
    ident = re.escape(connect["Uniqueid"])
    assert re.search(rf"\|{ident}\|sales\|2001\|CONNECT\|", log)
    assert re.search(rf"\|{ident}\|sales\|2001\|COMPLETECALLER\|", log)
    row = await eventually(lambda: cdr_row(pbx, connect["Uniqueid"]))
    assert (row[8], row[10]) == ("ANSWERED", "4001")
    assert re.fullmatch(r"\d{10}\.\d{6}", row[3])


async def test_a_caller_the_queue_gives_back_is_told(pbx: Pbx) -> None:
    """Nobody is logged in: after the limit the queue lets the caller go, and the PBX says why."""
    await pbx.set_global("CTI_QUEUE_TIMEOUT", "1")
    await pbx.publish_duty("sales", duty_row(now_segment("o")))
    call = await pbx.phones.customer_calls("4001")
    await call.ended()
    hangup = await pbx.reader.wait_for("Hangup", CallerIDNum="13800138000")
    assert "QUEUESTATUS=TIMEOUT" in hangup.every("ChanVariable")
    assert pbx.reader.find("QueueCallerAbandon", Uniqueid=hangup["Uniqueid"])


async def test_by_night_the_mobile_takes_the_call_by_pressing_1(pbx: Pbx) -> None:
    """The duty person presses 1 and talks; the mark says who, and since when."""
    await pbx.phones.set_mobile(FIRST, mode="accept", talk=0.3)
    await pbx.publish_duty("night", duty_row(now_segment(LADDER)))
    await pbx.phones.customer_calls("4002")
    call = await entered(pbx)
    assert await ended(pbx, call) == "accepted"
    version, started, hotline, did, caller, state, number, accepted, finished = await pbx.pending(call)
    assert (version, hotline, did, caller) == ("1", "night", "4002", "13800138000")
    assert (state, number) == ("accepted", FIRST)
    assert float(started) < float(accepted) < float(finished)
    assert steps(pbx) == [("entered", ""), ("leg", FIRST), ("accepted", FIRST), ("ended", FIRST)]


@pytest.mark.parametrize("mode", ["ignore", "busy", "hangup_in_prompt", "noanswer"])
async def test_a_number_that_does_not_take_it_passes_it_on(pbx: Pbx, mode: str) -> None:
    """Mailbox, busy, hung up while being asked, not answered: the next number is rung and takes the call."""
    await pbx.phones.set_mobile(FIRST, mode=mode)
    await pbx.phones.set_mobile(SECOND, mode="accept", talk=0.2)
    await pbx.publish_duty("night", duty_row(now_segment(LADDER)))
    await pbx.phones.customer_calls("4002", patience=None)
    call = await entered(pbx)
    assert await ended(pbx, call) == "accepted"
    assert (await pbx.pending(call))[5:7] == ["accepted", SECOND]
    assert ("unaccepted", FIRST) in steps(pbx)


async def test_nobody_takes_it(pbx: Pbx) -> None:
    """The caller is promised a call back, and the mark asks for one."""
    for number in (FIRST, SECOND):
        await pbx.phones.set_mobile(number, mode="busy")
    await pbx.publish_duty("night", duty_row(now_segment(LADDER)))
    call = await pbx.phones.customer_calls("4002")
    ident = await entered(pbx)
    assert await ended(pbx, ident) == "unanswered"
    await call.ended()
    mark = await pbx.pending(ident)
    assert mark[5:8] == ["unanswered", "", ""]
    assert float(mark[8]) > float(mark[1])


async def test_the_caller_gives_up_while_the_second_number_rings(pbx: Pbx) -> None:
    """A caller who hangs up in mid-ladder is marked abandoned, and nobody is rung any more."""
    await pbx.phones.set_mobile(FIRST, mode="busy")
    await pbx.phones.set_mobile(SECOND, mode="noanswer")
    await pbx.publish_duty("night", duty_row(now_segment(LADDER)))
    call = await pbx.phones.customer_calls("4002")
    await pbx.phones.offered(SECOND)
    await call.hangup()
    ident = await entered(pbx)
    assert await ended(pbx, ident) == "abandoned"
    assert (await pbx.pending(ident))[5] == "abandoned"


async def test_the_mobile_presses_1_after_the_caller_has_gone(pbx: Pbx) -> None:
    """An acceptance that comes too late does not turn an abandoned call into an accepted one."""
    await pbx.phones.set_mobile(FIRST, mode="ignore")
    await pbx.publish_duty("night", duty_row(now_segment(f"d:{FIRST}")))
    call = await pbx.phones.customer_calls("4002")
    await call.served()
    await call.hangup()
    ident = await entered(pbx)
    assert await ended(pbx, ident) == "abandoned"
    chan = (await pbx.phones.offered(FIRST))["Chan"]
    await pbx.phones.ami.action("PlayDTMF", {"Channel": chan, "Digit": "1", "Duration": "80"})
    await pbx.phones.ami.wait_for("Hangup", Channel=chan)
    assert (await pbx.pending(ident))[5] == "abandoned"


async def test_closed_hours_leave_a_mark_too(pbx: Pbx) -> None:
    """Outside duty hours the caller hears so, and the call is still written down."""
    await pbx.publish_duty("night", duty_row(now_segment("c")))
    await pbx.phones.customer_calls("4002")
    ident = await entered(pbx)
    assert await ended(pbx, ident) == "closed"
    assert (await pbx.pending(ident))[5] == "closed"


@pytest.mark.parametrize(
    ("row", "why"),
    [
        (None, "no_row"),
        (duty_row(now_segment(LADDER))[:-1] + "3", "bad_row"),
        ("1|00000000|rubbish", "bad_row"),
        (duty_row("1000000000-1000000001:o"), "no_segment"),
        (duty_row(now_segment("o")), "no_queue"),
    ],
    ids=["missing", "tampered", "rubbish", "outdated", "office without queue"],
)
async def test_without_a_valid_row_the_supervisor_is_rung(pbx: Pbx, row: str | None, why: str) -> None:
    """A row that is missing, damaged, tampered with or out of date is never guessed at."""
    await pbx.phones.set_mobile(SUPERVISOR, mode="accept", talk=0.2)
    if row is not None:
        await pbx.publish_duty("night", row)
    await pbx.phones.customer_calls("4002")
    ident = await entered(pbx)
    assert await ended(pbx, ident) == "accepted"
    assert (await pbx.pending(ident))[6] == SUPERVISOR
    assert await route(pbx) == ("d", why)


@pytest.mark.parametrize(("hour", "expected"), [(8, "c"), (9, "o"), (17, "o"), (18, "c")])
async def test_the_built_in_hours(pbx: Pbx, hour: int, expected: str) -> None:
    """Without a row the queue is open from nine to six; then, with nobody to ring, a call back is promised."""
    await pbx.set_global("CTI_TZ", zone_where_it_is(hour))
    call = await pbx.phones.customer_calls("4001", patience=5)
    assert await route(pbx) == (expected, "no_row")
    await call.hangup()
    await call.ended()


async def test_the_other_trunk_takes_over(pbx: Pbx) -> None:
    """A trunk that is congested, or silent, costs seconds and no call."""
    await pbx.phones.set_trunk("trunk-a", "silent")
    await pbx.phones.set_mobile(FIRST, mode="accept", talk=0.2)
    await pbx.publish_duty("night", duty_row(now_segment(f"d:{FIRST}")))
    await pbx.phones.customer_calls("4002")
    ident = await entered(pbx)
    assert await ended(pbx, ident) == "accepted"
    fault = await pbx.reader.wait_for("UserEvent", UserEvent="CtiTrunk")
    assert (fault["Trunk"], fault["Status"]) == ("trunk-a", "CHANUNAVAIL")
    assert (await pbx.phones.offered(FIRST))["Trunk"] == "trunk-b"


async def test_numbers_that_may_not_be_dialled_are_passed_over(pbx: Pbx) -> None:
    """Neither a premium number abroad nor the hotline itself is dialled, whoever put it into the row."""
    await pbx.publish_duty("night", duty_row(now_segment(f"d:00190012345&4001&{FIRST}")))
    await pbx.publisher.db_put("cti-hotline", "4001", "sales")
    await pbx.phones.set_mobile(FIRST, talk=0.2)
    await pbx.phones.customer_calls("4002")
    ident = await entered(pbx)
    assert await ended(pbx, ident) == "accepted"
    refused = pbx.reader.find("UserEvent", UserEvent="CtiDuty", Action="unaccepted")
    assert [(m["Number"], m["Status"]) for m in refused] == [
        ("00190012345", "not_allowed"),
        ("4001", "own_number"),
    ]
    assert {m["Number"] for m in pbx.phones.ami.find("UserEvent", UserEvent="Phone")} == {FIRST}


async def test_a_caller_with_an_endless_number_is_written_down_and_put_through(pbx: Pbx) -> None:
    """D4, D7: the mark keeps as much of the number as a number can have, and stays readable."""
    await pbx.phones.set_mobile(FIRST, talk=0.2)
    await pbx.publish_duty("night", duty_row(now_segment(f"d:{FIRST}")))
    await pbx.phones.customer_calls("4002", number="1234567890" * 6)
    ident = await entered(pbx)
    assert await ended(pbx, ident) == "accepted"
    assert (await pbx.pending(ident))[4] == "1234567890" * 4


@pytest.mark.parametrize(
    "name",
    ['";|&${SHELL(touch INJECTED)}', "${EXTEN},1)&System(x)", "a\\r\\nb`x`"],
    ids=["shell", "comma", "escape"],
)
async def test_a_callers_name_cannot_inject_anything(pbx: Pbx, name: str) -> None:
    """A hostile name loses its teeth before it meets the dialplan; the call goes its way."""
    await pbx.phones.set_mobile(FIRST, talk=0.2)
    await pbx.publish_duty("night", duty_row(now_segment(f"d:{FIRST}")))
    await pbx.phones.customer_calls("4002", name=name)
    ident = await entered(pbx)
    assert await ended(pbx, ident) == "accepted"
    dialled = pbx.ami.find("Newexten", Context="cti-duty")
    assert dialled
    for event in dialled:
        assert not set(event["CallerIDName"]) & set('";|&${}()`\\'), event["CallerIDName"]
    assert len(await pbx.pending(ident)) == 9
