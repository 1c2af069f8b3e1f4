"""Calls after hours: the ladder of duty numbers that the daemon left in the PBX beforehand (D4)."""

from cti.core.facts import Direction, Disposition, EndedBy
from tests.pbx.duty import duty_row, now_segment, publish_row
from tests.scenarios.model import Record, Talked, scenario
from tests.scenarios.stage import Stage

IN = Direction.INBOUND
CALLER, SYSTEM = EndedBy.CALLER, EndedBy.SYSTEM
NIGHT = {"night": ["Goto(cti-hotline,${EXTEN},1)"]}


async def published(s: Stage, *numbers: str) -> None:
    """This scenario's hotline is on duty hours, with these numbers in the ladder; closed when there are none."""
    row = duty_row(now_segment("d:" + "&".join(numbers) if numbers else "c"))
    hotline = f"duty-{s.play.index:03d}"
    await s.house.pbx.db_put("cti-hotline", s.number("night"), hotline)
    await publish_row(s.house.pbx, hotline, row)


@scenario(
    "duty",
    Record(
        IN,
        Disposition.ANSWERED,
        CALLER,
        talks=[Talked("second", 1.0)],
        caller="customer",
        dialed="night",
    ),
    numbers=NIGHT,
)
async def night_second_number_takes_it(s: Stage) -> None:
    """The first duty mobile is busy; the second picks up, presses 1, and they talk."""
    first, second = await s.mobile("first", mode="busy"), await s.mobile("second")
    await published(s, first, second)
    call = await s.customer("night")
    line = await s.offered(second)
    await line.picks_up()
    await s.passes(0.4)
    await line.presses("1")
    await s.bridged(4)  # two bridges: to the Local channel of the ladder, and from it to the mobile
    await s.passes(1.0)
    await call.hangs_up()


@scenario("duty", Record(IN, Disposition.REJECTED, SYSTEM, dialed="night"), numbers=NIGHT)
async def night_nobody_takes_it(s: Stage) -> None:
    """One duty mobile is picked up by a mailbox that hangs up in the question, the other declines: a call-back is due."""
    first, second = await s.mobile("first"), await s.mobile("second", mode="reject")
    await published(s, first, second)
    call = await s.customer("night")
    line = await s.offered(first)
    await line.picks_up()
    await s.passes(0.4)
    await line.hangs_up()
    await call.ended()


@scenario("duty", Record(IN, Disposition.NO_ANSWER, CALLER, dialed="night"), numbers=NIGHT)
async def night_caller_gives_up(s: Stage) -> None:
    """The customer hangs up while the duty mobile rings."""
    first = await s.mobile("first")
    await published(s, first)
    call = await s.customer("night")
    await s.offered(first)
    await s.passes(0.6)
    await call.hangs_up()


@scenario("duty", Record(IN, Disposition.LEFT_MENU, SYSTEM, dialed="night"), numbers=NIGHT)
async def night_closed(s: Stage) -> None:
    """Nobody is on duty: the customer hears the announcement to its end."""
    await published(s)
    await (await s.customer("night")).ended()
