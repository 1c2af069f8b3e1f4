"""Calls that ring an agent who is not simply available: the record has the state as it rang, since when, and why (B2)."""

from cti.core.facts import AttemptOutcome, Direction, Disposition, EndedBy, State, StayOutcome
from tests.scenarios.model import Record, Rung, Stay, Talked, scenario
from tests.scenarios.stage import Stage

IN, CALLER = Direction.INBOUND, EndedBy.CALLER
DESK = ["Dial(PJSIP/<anna>,20)", "Hangup()"]
LINE = ["Answer()", "Queue({sales},,,,60)", "Hangup()"]


def gave_up(rung: Rung) -> Record:
    """The customer hung up while it rang."""
    return Record(IN, Disposition.NO_ANSWER, CALLER, attempts=[rung], dialed="desk")


@scenario(
    "direct",
    Record(
        IN,
        Disposition.ANSWERED,
        CALLER,
        attempts=[Rung("anna", AttemptOutcome.ANSWERED, state=State.AWAY, reason="lunch")],
        talks=[Talked("anna", 0.8)],
    ),
    queues={"sales": {}},
    numbers={"desk": DESK},
)
async def direct_to_an_agent_who_is_away(s: Stage) -> None:
    """The agent is at lunch, as far as the queue knows, and takes a call to the desk's own number."""
    anna = await s.agent("anna", "sales")
    await s.does("QueuePause", Interface=anna.device, Paused="true", Reason="lunch")
    await s.passes(0.3)
    call = await s.customer("desk")
    await anna.picks_up()
    await s.passes(0.8)
    await call.hangs_up()


@scenario(
    "direct",
    Record(Direction.INTERNAL, Disposition.LEFT_MENU, EndedBy.SYSTEM, dialed="login"),
    Record(
        IN,
        Disposition.ANSWERED,
        CALLER,
        [Stay("sales", StayOutcome.ANSWERED, "anna")],
        [Rung("anna", AttemptOutcome.ANSWERED, "sales")],
        [Talked("anna", 0.8, queue="sales")],
        dialed="line",
    ),
    gave_up(Rung("anna", AttemptOutcome.CANCELLED, state=State.WRAP_UP)),
    queues={"sales": {}},
    numbers={
        # A minute to wrap up: AMI tells a member's, and not a queue's.
        "login": ["AddQueueMember({sales},PJSIP/<anna>,,,2${S{n}anna:1},PJSIP/<anna>,60)", "Hangup()"],
        "desk": DESK,
        "line": LINE,
    },
)
async def direct_to_an_agent_in_wrap_up(s: Stage) -> None:
    """After a queue's call the agent has a minute to wrap it up; the desk's own number is called in it."""
    anna = await s.agent("anna")
    await (await anna.dials("login")).ended()
    first = await s.customer("line", "first")
    await anna.picks_up()
    await s.passes(0.8)
    await first.hangs_up()
    await s.saw("AgentComplete")
    await s.passes(0.4)
    second = await s.customer("desk", "second")
    await anna.rings()
    await s.passes(0.4)
    await second.hangs_up()
    await s.does("QueueRemove", Queue=s.queue("sales"), Interface=anna.device)


@scenario(
    "direct",
    gave_up(Rung("anna", AttemptOutcome.CANCELLED)),
    gave_up(Rung("anna", AttemptOutcome.CANCELLED, state=State.RINGING)),
    numbers={"desk": DESK},
)
async def direct_to_an_agent_whose_phone_rings(s: Stage) -> None:
    """While the agent's phone rings, a second customer calls it; both give up."""
    anna = await s.agent("anna")
    first = await s.customer("desk", "first")
    await anna.rings()
    await s.passes(0.4)
    second = await s.customer("desk", "second")
    await anna.rings()
    await s.passes(0.4)
    await first.hangs_up()
    await first.ended()
    await second.hangs_up()
