"""Calls through queues: every way in which a caller leaves one, and every kind of member."""

import asyncio

from cti.core.facts import AttemptOutcome, Direction, Disposition, EndedBy, State, StayOutcome
from tests.pbx.amiclient import AmiError
from tests.scenarios.model import Record, Rung, Stay, Talked, scenario
from tests.scenarios.stage import Stage

IN, OUT, INTERNAL = Direction.INBOUND, Direction.OUTBOUND, Direction.INTERNAL
CALLER, AGENT, SYSTEM = EndedBy.CALLER, EndedBy.AGENT, EndedBy.SYSTEM
ANSWERED, NO_ANSWER, BUSY = AttemptOutcome.ANSWERED, AttemptOutcome.NO_ANSWER, AttemptOutcome.BUSY
REJECTED, CANCELLED = AttemptOutcome.REJECTED, AttemptOutcome.CANCELLED
SALES: dict[str, dict[str, object]] = {"sales": {}}
LINE = {"line": ["Answer()", "Queue({sales},tT,,,60)", "Hangup()"]}
BRIEF = {"line": ["Answer()", "Queue({sales},,,,3)", "Wait(0.3)", "Hangup()"]}


def taken(by: EndedBy, seconds: float = 1.2, state: State = State.AVAILABLE) -> Record:
    """Anna took it, and they talked."""
    return Record(
        IN,
        Disposition.ANSWERED,
        by,
        [Stay("sales", StayOutcome.ANSWERED, "anna")],
        [Rung("anna", ANSWERED, "sales", state)],
        [Talked("anna", seconds, queue="sales")],
    )


def lost(outcome: StayOutcome, by: EndedBy, *attempts: Rung) -> Record:
    """Nobody took it."""
    disposition = Disposition.ABANDONED if outcome is StayOutcome.ABANDONED else Disposition.NO_ANSWER
    return Record(IN, disposition, by, [Stay("sales", outcome)], attempts)


@scenario("queue", taken(CALLER), queues=SALES, numbers=LINE)
async def queue_caller_hangs_up(s: Stage) -> None:
    """A queue's call is answered; the caller hangs up."""
    anna = await s.agent("anna", "sales")
    call = await s.customer("line")
    await anna.picks_up()
    await s.passes(1.2)
    await call.hangs_up()


@scenario("queue", taken(AGENT), queues=SALES, numbers=LINE)
async def queue_agent_hangs_up(s: Stage) -> None:
    """A queue's call is answered; the agent hangs up."""
    anna = await s.agent("anna", "sales")
    await s.customer("line")
    line = await anna.picks_up()
    await s.passes(1.2)
    await line.hangs_up()


@scenario("queue", lost(StayOutcome.ABANDONED, CALLER), queues=SALES, numbers=LINE)
async def queue_abandoned(s: Stage) -> None:
    """Nobody is logged in; the caller gives up."""
    call = await s.customer("line")
    await s.saw("QueueCallerJoin")
    await s.passes(1.0)
    await call.hangs_up()


@scenario(
    "queue",
    lost(StayOutcome.ABANDONED, CALLER, Rung("anna", CANCELLED, "sales")),
    queues=SALES,
    numbers=LINE,
)
async def queue_abandoned_while_ringing(s: Stage) -> None:
    """The caller gives up while the agent's phone rings."""
    anna = await s.agent("anna", "sales")
    call = await s.customer("line")
    await anna.rings()
    await s.passes(1.0)
    await call.hangs_up()


@scenario(
    "queue", lost(StayOutcome.TIMEOUT, SYSTEM, Rung("anna", NO_ANSWER, "sales")), queues=SALES, numbers=BRIEF
)
async def queue_timeout(s: Stage) -> None:
    """Nobody picks up within the time the dialplan gives; the PBX ends the call."""
    await s.agent("anna", "sales")
    await (await s.customer("line")).ended()


@scenario(
    "queue",
    lost(StayOutcome.LEFT_BY_KEY, SYSTEM),
    queues={"sales": {"extra": {"context": "keys-{n}"}}},
    numbers=LINE,
    contexts="[keys-{n}]\nexten => 1,1,Wait(0.5)\n same => n,Hangup()",
)
async def queue_left_by_key(s: Stage) -> None:
    """The caller presses 1 to leave the queue, and is told something."""
    call = await s.customer("line")
    await s.saw("QueueCallerJoin")
    await s.passes(0.6)
    await call.presses("1")
    await call.ended()


@scenario("queue", lost(StayOutcome.JOIN_EMPTY, SYSTEM), queues={"sales": {"joinempty": "no"}}, numbers=LINE)
async def queue_join_empty(s: Stage) -> None:
    """Nobody is logged in, and the queue does not let callers in: no line of queue_log tells of it."""
    await (await s.customer("line")).ended()


@scenario(
    "queue",
    lost(StayOutcome.EMPTY, SYSTEM, Rung("anna", BUSY, "sales")),
    queues={"sales": {"leavewhenempty": "yes", "retry": 3}},
    numbers=LINE,
)
async def queue_became_empty(s: Stage) -> None:
    """The only agent, who was busy, logs out while a caller waits, and the queue gives the caller back."""
    anna = await s.agent("anna", "sales", mode="busy")
    call = await s.customer("line")
    await s.saw("AgentCalled")
    await s.passes(0.5)
    await s.does("QueueRemove", Queue=s.queue("sales"), Interface=anna.device)
    await call.ended()


@scenario(
    "queue",
    lost(StayOutcome.ABANDONED, CALLER),
    lost(StayOutcome.FULL, SYSTEM),
    queues={"sales": {"maxlen": 1}},
    numbers=LINE,
)
async def queue_full(s: Stage) -> None:
    """One caller may wait; the second is turned away, which no queue event and no line of queue_log tells."""
    first = await s.customer("line", "first")
    await s.saw("QueueCallerJoin")
    second = await s.customer("line", "second")
    await second.ended()
    await first.hangs_up()


@scenario("queue", lost(StayOutcome.WITHDRAWN, SYSTEM), queues=SALES, numbers=LINE)
async def queue_withdrawn(s: Stage) -> None:
    """A program takes the caller out of the queue (QueueWithdrawCaller)."""
    call = await s.customer("line")
    joined = await s.saw("QueueCallerJoin")
    await s.passes(0.8)
    await s.does("QueueWithdrawCaller", Queue=s.queue("sales"), Caller=joined["Channel"])
    await call.ended()


@scenario(
    "queue",
    Record(
        IN,
        Disposition.ANSWERED,
        CALLER,
        [Stay("sales", StayOutcome.ANSWERED, "carl")],
        [
            Rung("anna", NO_ANSWER, "sales"),
            Rung("ben", NO_ANSWER, "sales"),
            Rung("carl", ANSWERED, "sales"),
        ],
        [Talked("carl", 1.0, queue="sales")],
    ),
    queues={"sales": {"timeout": 1, "retry": 1, "strategy": "linear"}},
    numbers=LINE,
)
async def queue_rotation(s: Stage) -> None:
    """Two agents let it ring; the third takes the call."""
    for role in ("anna", "ben"):
        await s.agent(role, "sales")
    carl = await s.agent("carl", "sales")
    call = await s.customer("line")
    await carl.picks_up()
    await s.passes(1.0)
    await call.hangs_up()


@scenario(
    "queue",
    Record(
        IN,
        Disposition.ANSWERED,
        CALLER,
        [Stay("sales", StayOutcome.ANSWERED, "ben")],
        [
            Rung("anna", CANCELLED, "sales"),
            Rung("ben", ANSWERED, "sales"),
            Rung("carl", CANCELLED, "sales"),
        ],
        [Talked("ben", 1.0, queue="sales")],
    ),
    queues={"sales": {"strategy": "ringall"}},
    numbers=LINE,
)
async def queue_ringall(s: Stage) -> None:
    """Three phones ring at once; one is picked up."""
    anna, ben, carl = [await s.agent(role, "sales") for role in ("anna", "ben", "carl")]
    call = await s.customer("line")
    await anna.rings()
    await carl.rings()
    await ben.picks_up()
    await s.passes(1.0)
    await call.hangs_up()


@scenario(
    "queue",
    Record(
        IN,
        Disposition.ANSWERED,
        CALLER,
        [Stay("sales", StayOutcome.ANSWERED, "first")],
        [Rung("first", ANSWERED, "sales"), Rung("late", CANCELLED, "sales")],
        [Talked("first", 1.0, queue="sales")],
    ),
    queues={"sales": {"strategy": "ringall"}},
    numbers=LINE,
)
async def queue_ringall_race(s: Stage) -> None:
    """Two agents pick up at the same moment; one gets the call, and the other's phone stops."""
    desks = [await s.agent(role, "sales") for role in ("first", "late")]
    call = await s.customer("line")
    lines = [await desk.rings() for desk in desks]
    answers = await asyncio.gather(*(line.sends("answer") for line in lines), return_exceptions=True)
    # Whose phone has stopped before they could pick it up was the slower one.
    refused = [one for one in answers if isinstance(one, BaseException)]
    if len(refused) == len(lines) or not all(isinstance(one, AmiError) for one in refused):
        raise refused[0]
    connected = await s.saw("AgentConnect")
    if connected["MemberName"] == s.cast["late"]:
        s.cast |= {"first": s.cast["late"], "late": s.cast["first"]}
    await s.passes(1.0)
    await call.hangs_up()


@scenario(
    "queue",
    taken(CALLER, 2.3),
    taken(CALLER, 0.8, State.ON_CALL),
    queues={"sales": {"extra": {"ringinuse": "yes"}}},
    numbers=LINE,
)
async def queue_second_call(s: Stage) -> None:
    """An agent who talks is offered a second call of the queue (ringinuse) and takes it on the other line."""
    anna = await s.agent("anna", "sales")
    first = await s.customer("line", "first")
    await anna.picks_up()
    await s.passes(0.5)
    second = await s.customer("line", "second")
    await anna.picks_up()
    await s.passes(0.8)
    await second.hangs_up()
    await s.passes(0.5)
    await first.hangs_up()


@scenario(
    "queue",
    Record(
        IN,
        Disposition.ANSWERED,
        AGENT,
        [Stay("sales", StayOutcome.ANSWERED, "ben")],
        [Rung("anna", BUSY, "sales"), Rung("ben", ANSWERED, "sales")],
        [Talked("ben", 1.0, queue="sales")],
    ),
    queues={"sales": {"strategy": "linear"}},
    numbers=LINE,
)
async def queue_member_busy(s: Stage) -> None:
    """The first agent's phone says busy; the next one takes the call."""
    await s.agent("anna", "sales", mode="busy")
    ben = await s.agent("ben", "sales")
    await s.customer("line")
    line = await ben.picks_up()
    await s.passes(1.0)
    await line.hangs_up()


@scenario(
    "queue",
    Record(
        IN,
        Disposition.ANSWERED,
        AGENT,
        [Stay("sales", StayOutcome.ANSWERED, "ben")],
        [Rung("anna", REJECTED, "sales"), Rung("ben", ANSWERED, "sales")],
        [Talked("ben", 1.0, queue="sales")],
    ),
    queues={"sales": {"strategy": "linear"}},
    numbers=LINE,
)
async def queue_member_rejects(s: Stage) -> None:
    """The first agent declines; the next one takes the call."""
    anna, ben = await s.agent("anna", "sales"), await s.agent("ben", "sales")
    await s.customer("line")
    await (await anna.rings()).rejects()
    line = await ben.picks_up()
    await s.passes(1.0)
    await line.hangs_up()


@scenario(
    "queue",
    Record(
        IN,
        Disposition.ANSWERED,
        CALLER,
        [Stay("sales", StayOutcome.TIMEOUT), Stay("support", StayOutcome.ANSWERED, "ben")],
        [Rung("anna", NO_ANSWER, "sales"), Rung("ben", ANSWERED, "support")],
        [Talked("ben", 1.0, queue="support")],
    ),
    queues={"sales": {}, "support": {}},
    numbers={"line": ["Answer()", "Queue({sales},,,,2)", "Queue({support},,,,20)", "Hangup()"]},
)
async def queue_two_in_a_row(s: Stage) -> None:
    """The first queue's time is over; in the second an agent takes the call."""
    await s.agent("anna", "sales")
    ben = await s.agent("ben", "support")
    call = await s.customer("line")
    await ben.picks_up()
    await s.passes(1.0)
    await call.hangs_up()


@scenario(
    "queue",
    Record(
        IN,
        Disposition.ANSWERED,
        CALLER,
        [Stay("sales", StayOutcome.TIMEOUT), Stay("sales", StayOutcome.ANSWERED, "anna")],
        [Rung("anna", NO_ANSWER, "sales"), Rung("anna", ANSWERED, "sales")],
        [Talked("anna", 1.0, queue="sales")],
    ),
    queues=SALES,
    numbers={"line": ["Answer()", "Queue({sales},,,,2)", "Wait(0.5)", "Queue({sales},,,,20)", "Hangup()"]},
)
async def queue_same_twice(s: Stage) -> None:
    """The caller's time is over, and the dialplan sends the call into the same queue again."""
    anna = await s.agent("anna", "sales")
    call = await s.customer("line")
    await anna.rings()
    await anna.picks_up()
    await s.passes(1.0)
    await call.hangs_up()


@scenario(
    "queue",
    Record(
        IN,
        Disposition.ABANDONED,
        CALLER,
        [
            Stay("sales", StayOutcome.TIMEOUT),
            Stay("sales", StayOutcome.TIMEOUT),
            Stay("sales", StayOutcome.ABANDONED),
        ],
    ),
    queues=SALES,
    numbers={
        "line": ["Answer()", "Queue({sales},,,,1)", "Queue({sales},,,,1)", "Queue({sales},,,,20)", "Hangup()"]
    },
)
async def queue_thrice_then_abandoned(s: Stage) -> None:
    """Twice timed out of the same queue, the caller gives up the third time: a left-over QUEUESTATUS says nothing."""
    call = await s.customer("line")
    for position in range(3):
        await s.joined(position + 1)
    await s.passes(0.8)
    await call.hangs_up()


@scenario(
    "queue",
    Record(
        IN,
        Disposition.ANSWERED,
        CALLER,
        [Stay("sales", StayOutcome.TIMEOUT)],
        [Rung("anna", NO_ANSWER, "sales"), Rung("ben", ANSWERED)],
        [Talked("ben", 1.0)],
    ),
    queues=SALES,
    numbers={"line": ["Answer()", "Queue({sales},,,,2)", "Dial(PJSIP/<ben>,20)", "Hangup()"]},
)
async def queue_overflows_to_a_phone(s: Stage) -> None:
    """The queue's time is over, and the dialplan rings the supervisor's phone."""
    await s.agent("anna", "sales")
    ben = await s.agent("ben")
    call = await s.customer("line")
    await ben.picks_up()
    await s.passes(1.0)
    await call.hangs_up()


CLOSED: dict[str, object] = {"joinempty": "no"}
OVERFLOW = {"line": ["Answer()", "Queue({sales},,,,20)", "Queue({support},,,,20)", "Hangup()"]}


@scenario(
    "queue",
    Record(
        IN,
        Disposition.ANSWERED,
        CALLER,
        [Stay("sales", StayOutcome.JOIN_EMPTY), Stay("support", StayOutcome.ANSWERED, "ben")],
        [Rung("ben", ANSWERED, "support")],
        [Talked("ben", 1.0, queue="support")],
    ),
    queues={"sales": CLOSED, "support": {}},
    numbers=OVERFLOW,
)
async def queue_overflows_to_another(s: Stage) -> None:
    """The first queue does not let the caller in; in the second an agent takes the call."""
    ben = await s.agent("ben", "support")
    call = await s.customer("line")
    await ben.picks_up()
    await s.passes(1.0)
    await call.hangs_up()


@scenario(
    "queue",
    Record(
        IN,
        Disposition.NO_ANSWER,
        SYSTEM,
        [Stay("sales", StayOutcome.JOIN_EMPTY), Stay("support", StayOutcome.JOIN_EMPTY)],
    ),
    queues={"sales": CLOSED, "support": CLOSED},
    numbers=OVERFLOW,
)
async def queue_turned_away_twice(s: Stage) -> None:
    """Neither of two queues lets the caller in; AMI tells of one of them, without a name."""
    await (await s.customer("line")).ended()


@scenario(
    "queue",
    Record(
        IN,
        Disposition.NO_ANSWER,
        SYSTEM,
        [Stay("sales", StayOutcome.TIMEOUT), Stay("support", StayOutcome.JOIN_EMPTY)],
        [Rung("anna", NO_ANSWER, "sales")],
    ),
    queues={"sales": {}, "support": CLOSED},
    numbers={"line": ["Answer()", "Queue({sales},,,,2)", "Queue({support},,,,20)", "Hangup()"]},
)
async def queue_timeout_then_turned_away(s: Stage) -> None:
    """The first queue's time is over, and the second does not let the caller in: its QUEUESTATUS replaces the first's."""
    await s.agent("anna", "sales")
    await (await s.customer("line")).ended()


@scenario(
    "queue",
    Record(
        IN,
        Disposition.NO_ANSWER,
        SYSTEM,
        [
            Stay("sales", StayOutcome.JOIN_EMPTY),
            Stay("support", StayOutcome.TIMEOUT),
            Stay("sales", StayOutcome.JOIN_EMPTY),
        ],
        [Rung("ben", NO_ANSWER, "support")],
    ),
    queues={"sales": CLOSED, "support": {}},
    numbers={
        "line": [
            "Answer()",
            "Queue({sales},,,,20)",
            "Queue({support},,,,2)",
            "Queue({sales},,,,20)",
            "Hangup()",
        ]
    },
)
async def queue_turned_away_before_and_after(s: Stage) -> None:
    """Both times by the same word: what QUEUESTATUS was before the wait it is after it, and nobody saw it change."""
    await s.agent("ben", "support")
    await (await s.customer("line")).ended()


@scenario(
    "queue",
    Record(
        IN,
        Disposition.ANSWERED,
        CALLER,
        [Stay("sales", StayOutcome.JOIN_EMPTY)],
        [Rung("ben", ANSWERED)],
        [Talked("ben", 1.0)],
    ),
    queues={"sales": CLOSED},
    numbers={
        "line": [
            "Answer()",
            "Queue({sales},,,,20)",
            'GotoIf($["${QUEUESTATUS}" != "JOINEMPTY"]?5)',
            "Dial(PJSIP/<ben>,20)",
            "Hangup()",
        ]
    },
)
async def queue_turned_away_to_a_phone(s: Stage) -> None:
    """The queue does not let the caller in, and the dialplan rings the supervisor's phone."""
    ben = await s.agent("ben")
    call = await s.customer("line")
    await ben.picks_up()
    await s.passes(1.0)
    await call.hangs_up()


_AGENTS = "[phone-{n}]\nexten => _X.,1,Dial(PJSIP/${EXTEN},20)\n same => n,Hangup()"


@scenario("queue", taken(CALLER), queues=SALES, numbers=LINE, contexts=_AGENTS)
async def queue_local_member(s: Stage) -> None:
    """The member is a Local channel that takes itself out once the phone is answered."""
    anna = await s.agent("anna", "sales", interface=f"Local/{{ext}}@phone-{s.play.index:03d}")
    call = await s.customer("line")
    await anna.picks_up()
    await s.passes(1.2)
    await call.hangs_up()


@scenario("queue", taken(CALLER), queues=SALES, numbers=LINE, contexts=_AGENTS)
async def queue_local_member_kept(s: Stage) -> None:
    """The member is a Local channel that stays (`/n`)."""
    anna = await s.agent("anna", "sales", interface=f"Local/{{ext}}@phone-{s.play.index:03d}/n")
    call = await s.customer("line")
    await anna.picks_up()
    await s.passes(1.2)
    await call.hangs_up()


@scenario(
    "queue",
    taken(AGENT),
    queues=SALES,
    numbers=LINE,
    contexts="[chain-{n}]\nexten => _X.,1,Dial(Local/${EXTEN}@middle-{n}/n,20)\n same => n,Hangup()\n"
    "[middle-{n}]\nexten => _X.,1,Dial(Local/${EXTEN}@phone-{n},20)\n same => n,Hangup()\n" + _AGENTS,
)
async def queue_nested_local_member(s: Stage) -> None:
    """The member is a chain of three Local channels, some of which stay and some do not."""
    anna = await s.agent("anna", "sales", interface=f"Local/{{ext}}@chain-{s.play.index:03d}")
    await s.customer("line")
    line = await anna.picks_up()
    await s.passes(1.2)
    await line.hangs_up()


@scenario(
    "queue",
    lost(StayOutcome.ABANDONED, CALLER, Rung("anna", CANCELLED, "sales")),
    queues=SALES,
    numbers=LINE,
    contexts=_AGENTS,
)
async def queue_local_member_abandoned(s: Stage) -> None:
    """The caller gives up while the phone behind a Local member rings."""
    anna = await s.agent("anna", "sales", interface=f"Local/{{ext}}@phone-{s.play.index:03d}/n")
    call = await s.customer("line")
    await anna.rings()
    await s.passes(0.6)
    await call.hangs_up()


@scenario("queue", taken(CALLER), queues=SALES, numbers=LINE)
async def queue_paused_in_mid_call(s: Stage) -> None:
    """The agent is paused while talking; the call goes on as it was."""
    anna = await s.agent("anna", "sales")
    call = await s.customer("line")
    await anna.picks_up()
    await s.passes(0.6)
    await s.does("QueuePause", Interface=anna.device, Paused="true", Reason="break")
    await s.passes(0.6)
    await call.hangs_up()


@scenario("queue", taken(CALLER), queues=SALES, numbers=LINE)
async def queue_removed_in_mid_call(s: Stage) -> None:
    """The agent is logged out while talking; whoever talked stays who talked."""
    anna = await s.agent("anna", "sales")
    call = await s.customer("line")
    await anna.picks_up()
    await s.passes(0.6)
    await s.does("QueueRemove", Queue=s.queue("sales"), Interface=anna.device)
    await s.passes(0.6)
    await call.hangs_up()


@scenario(
    "queue",
    Record(
        IN,
        Disposition.ABANDONED,
        CALLER,
        [Stay("sales", StayOutcome.ABANDONED)],
        [Rung("anna", ANSWERED, "sales")],
    ),
    queues=SALES,
    numbers={"line": ["Answer()", "Queue({sales},,,three-seconds,60)", "Hangup()"]},
)
async def queue_caller_leaves_in_announcement(s: Stage) -> None:
    """The agent has picked up and hears an announcement; the caller gives up during it."""
    anna = await s.agent("anna", "sales")
    call = await s.customer("line")
    await anna.picks_up()
    await s.passes(0.8)
    await call.hangs_up()


@scenario(
    "queue",
    Record(
        IN,
        Disposition.ANSWERED,
        CALLER,
        [Stay("sales", StayOutcome.ANSWERED, "ben")],
        [Rung("anna", ANSWERED, "sales"), Rung("ben", ANSWERED, "sales")],
        [Talked("ben", 0.8, queue="sales")],
    ),
    queues={"sales": {"strategy": "linear"}},
    numbers={"line": ["Answer()", "Queue({sales},,,three-seconds,60)", "Hangup()"]},
)
async def queue_agent_leaves_in_announcement(s: Stage) -> None:
    """The agent picks up and hangs up during the announcement (AGENTDUMP); the next one takes the call."""
    anna = await s.agent("anna", "sales")
    ben = await s.agent("ben", "sales", penalty=1)
    call = await s.customer("line")
    line = await anna.picks_up()
    await s.passes(0.6)
    await anna.behaves("busy")
    await s.does("QueueRemove", Queue=s.queue("sales"), Interface=anna.device)
    await line.hangs_up()
    await ben.picks_up()
    await s.saw("AgentConnect")
    await s.passes(0.8)
    await call.hangs_up()


@scenario(
    "queue",
    Record(
        OUT,
        Disposition.ANSWERED,
        CALLER,
        [Stay("sales", StayOutcome.ANSWERED, "anna")],
        [Rung("anna", ANSWERED, "sales")],
        [Talked("anna", 1.0, queue="sales"), Talked("mobile", 1.0)],
    ),
    queues=SALES,
    numbers={},
    contexts="[back-{n}]\nexten => s,1,Dial(PJSIP/<mobile>@trunk-a,20)\n same => n,Hangup()\n"
    "[waits-{n}]\nexten => s,1,Queue({sales},,,,30)\n same => n,Hangup()",
)
async def queue_call_back(s: Stage) -> None:
    """A call-back waits in the queue in the customer's place; when an agent takes it, the customer is dialled."""
    anna = await s.agent("anna", "sales")
    await s.mobile("mobile")
    n = f"{s.play.index:03d}"
    await s.does(
        "Originate",
        Channel=f"Local/s@waits-{n}/n",
        Context=f"back-{n}",
        Exten="s",
        Priority="1",
        CallerID=s.cast["mobile"],
        Timeout="30000",
        Async="true",
    )
    await anna.picks_up()
    line = await s.offered(s.cast["mobile"])
    await line.picks_up()
    await s.passes(1.0)
    await line.hangs_up()
