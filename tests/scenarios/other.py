"""Hold, parking, pickup, conferences, recordings, voicemail, listening in, agents who stay on the line."""

from cti.core.facts import AttemptOutcome, Direction, Disposition, EndedBy, StayOutcome
from tests.scenarios.model import Moved, Record, Rung, Stay, Talked, Taped, scenario
from tests.scenarios.stage import Stage
from tests.scenarios.transfers import BY_ANNA, LINE, SALES, with_anna

IN, OUT, INTERNAL = Direction.INBOUND, Direction.OUTBOUND, Direction.INTERNAL
CALLER, AGENT, SYSTEM = EndedBy.CALLER, EndedBy.AGENT, EndedBy.SYSTEM
ANSWERED, NO_ANSWER = AttemptOutcome.ANSWERED, AttemptOutcome.NO_ANSWER
CANCELLED = AttemptOutcome.CANCELLED
TO_ANNA = {"desk": ["Dial(PJSIP/<anna>,20)", "Hangup()"]}


def annas(*talks: Talked, by: EndedBy = CALLER, **more: object) -> Record:
    """A queue's call that Anna took."""
    return Record(
        IN,
        Disposition.ANSWERED,
        by,
        BY_ANNA,
        [Rung("anna", ANSWERED, "sales")],
        talks,
        **more,  # type: ignore[arg-type]  # the rest of a record
    )


@scenario("other", annas(Talked("anna", 2.2, hold=0.8, queue="sales")), queues=SALES, numbers=LINE)
async def hold_by_the_agent(s: Stage) -> None:
    """The agent puts the customer on hold and takes the call back."""
    _, line, call = await with_anna(s)
    await line.holds()
    await s.passes(0.8)
    await line.resumes()
    await s.passes(0.6)
    await call.hangs_up()


@scenario("other", annas(Talked("anna", 2.2, hold=0.8, queue="sales")), queues=SALES, numbers=LINE)
async def hold_by_the_customer(s: Stage) -> None:
    """The customer puts the agent on hold."""
    _, _, call = await with_anna(s)
    await call.holds()
    await s.passes(0.8)
    await call.resumes()
    await s.passes(0.6)
    await call.hangs_up()


@scenario("other", annas(Talked("anna", 2.4, hold=1.2, queue="sales")), queues=SALES, numbers=LINE)
async def hold_by_both(s: Stage) -> None:
    """Agent and customer put each other on hold; it is one hold, from the first press to the last letting go."""
    _, line, call = await with_anna(s)
    await line.holds()
    await s.passes(0.4)
    await call.holds()
    await s.passes(0.4)
    await line.resumes()
    await s.passes(0.4)
    await call.resumes()
    await s.passes(0.4)
    await call.hangs_up()


@scenario(
    "other",
    Record(IN, Disposition.LEFT_MENU, CALLER),
    numbers={"music": ["Answer()", "MusicOnHold(default,20)", "Hangup()"]},
)
async def music_without_a_queue(s: Stage) -> None:
    """The dialplan plays music on hold, no queue behind it, until the customer hangs up: nobody was ever there."""
    call = await s.customer("music")
    await call.answered()
    await s.passes(0.6)
    await call.hangs_up()


@scenario("other", annas(Talked("anna", 1.6, hold=0.8, queue="sales")), queues=SALES, numbers=LINE)
async def hold_until_the_caller_gives_up(s: Stage) -> None:
    """The customer hangs up on hold: the hold ends with the talk."""
    _, line, call = await with_anna(s)
    await line.holds()
    await s.passes(0.8)
    await call.hangs_up()


@scenario(
    "other",
    Record(
        IN,
        Disposition.ANSWERED,
        CALLER,
        BY_ANNA,
        [Rung("anna", ANSWERED, "sales")],
        [Talked("anna", 0.8, queue="sales"), Talked("ben", 0.8)],
        [Moved("blind", "anna", "700", "answered")],
    ),
    queues=SALES,
    numbers=LINE,
)
async def parked_and_fetched(s: Stage) -> None:
    """The agent parks the call by handing it on to 700; a colleague fetches it from its space."""
    _, line, call = await with_anna(s)
    ben = await s.agent("ben")
    await line.refers("700")
    parked = await s.parked()
    await s.passes(0.8)
    await ben.dials(parked["ParkingSpace"])
    await s.saw("UnParkedCall", ParkingSpace=parked["ParkingSpace"])
    await s.passes(0.8)
    await call.hangs_up()


@scenario(
    "other",
    Record(
        IN,
        Disposition.ANSWERED,
        CALLER,
        BY_ANNA,
        [Rung("anna", ANSWERED, "sales"), Rung("anna", ANSWERED)],
        [Talked("anna", 0.8, queue="sales"), Talked("anna", 0.8, queue="sales")],
        [Moved("blind", "anna", "750", "recalled")],
    ),
    queues=SALES,
    numbers=LINE,
)
async def parked_until_timeout(s: Stage) -> None:
    """Nobody fetches the parked call in time: it comes back to the agent who parked it."""
    anna, line, call = await with_anna(s)
    await line.refers("750")
    await s.parked()
    await anna.picks_up()
    await s.passes(0.8)
    await call.hangs_up()


@scenario(
    "other",
    Record(
        IN,
        Disposition.ANSWERED,
        CALLER,
        BY_ANNA,
        [Rung("anna", ANSWERED, "sales")],
        [Talked("anna", 0.8, queue="sales")],
        [Moved("blind", "anna", "700", "abandoned")],
    ),
    queues=SALES,
    numbers=LINE,
)
async def parked_and_given_up(s: Stage) -> None:
    """The customer hangs up while parked."""
    _, line, call = await with_anna(s)
    await line.refers("700")
    await s.parked()
    await s.passes(0.8)
    await call.hangs_up()


_PICKUP = "[from-internal]\nexten => *8{n},1,PickupChan(PJSIP/<anna>)\n same => n,Hangup()"


@scenario(
    "other",
    Record(
        IN,
        Disposition.ANSWERED,
        CALLER,
        [],
        [Rung("anna", CANCELLED), Rung("ben", ANSWERED)],
        [Talked("ben", 0.8)],
    ),
    numbers=TO_ANNA,
    contexts=_PICKUP,
)
async def pickup_of_a_direct_call(s: Stage) -> None:
    """Anna's phone rings; Ben picks the call up at his own phone."""
    anna, ben = await s.agent("anna"), await s.agent("ben")
    call = await s.customer("desk")
    await anna.rings()
    await s.passes(0.6)
    await ben.dials(f"*8{s.play.index:03d}")
    await s.saw("Pickup")
    await s.passes(0.8)
    await call.hangs_up()


@scenario(
    "other",
    Record(
        IN,
        Disposition.ANSWERED,
        CALLER,
        [Stay("sales", StayOutcome.ANSWERED, "ben")],
        [Rung("anna", CANCELLED, "sales"), Rung("ben", ANSWERED, "sales")],
        [Talked("ben", 0.8, queue="sales")],
    ),
    queues=SALES,
    numbers=LINE,
    contexts=_PICKUP,
    explained={"agent": "pickup_of_a_queue_call"},
)
async def pickup_of_a_queue_call(s: Stage) -> None:
    """Anna's phone rings with a queue's call; Ben picks it up. app_queue believes it was Anna."""
    anna, ben = await s.agent("anna", "sales"), await s.agent("ben")
    call = await s.customer("line")
    await anna.rings()
    await s.passes(0.6)
    await ben.dials(f"*8{s.play.index:03d}")
    await s.saw("Pickup")
    await s.passes(0.8)
    await call.hangs_up()


ROOM = {"room": ["Answer()", "ConfBridge({n})", "Hangup()"]}


@scenario(
    "other",
    Record(INTERNAL, Disposition.ANSWERED, CALLER, [], [], [Talked("anna", 1.6)]),
    Record(INTERNAL, Disposition.ANSWERED, CALLER, [], [], [Talked("ben", 1.6)]),
    numbers=ROOM,
)
async def conference_of_two(s: Stage) -> None:
    """Two agents dial the same conference room: two calls, and both talked."""
    anna, ben = await s.agent("anna"), await s.agent("ben")
    first = await anna.dials(s.number("room"))
    await s.saw("ConfbridgeJoin")
    second = await ben.dials(s.number("room"))
    await s.many("ConfbridgeJoin", 2)
    await s.passes(1.6)
    await second.hangs_up()
    await s.many("ConfbridgeLeave", 1)
    await s.passes(0.5)
    await first.hangs_up()


@scenario(
    "other",
    Record(INTERNAL, Disposition.ANSWERED, CALLER, [], [], [Talked("anna", None)]),
    Record(INTERNAL, Disposition.ANSWERED, CALLER, [], [], [Talked("ben", 2.1)]),
    Record(IN, Disposition.ANSWERED, CALLER, [], []),
    numbers=ROOM,
)
async def conference_of_three(s: Stage) -> None:
    """Two agents and a customer in a conference room: three calls, and the agents talked for as long as they were not alone."""
    anna, ben = await s.agent("anna"), await s.agent("ben")
    first = await anna.dials(s.number("room"))
    await s.saw("ConfbridgeJoin")
    second = await ben.dials(s.number("room"))
    await s.many("ConfbridgeJoin", 2)
    await s.passes(0.8)
    customer = await s.customer("room")
    await s.many("ConfbridgeJoin", 3)
    await s.passes(0.8)
    await second.hangs_up()
    await s.many("ConfbridgeLeave", 1)
    await s.passes(0.8)
    await customer.hangs_up()
    await s.many("ConfbridgeLeave", 2)
    await first.hangs_up()


@scenario(
    "other",
    Record(INTERNAL, Disposition.ANSWERED, SYSTEM, [], [], [Talked("anna", None)]),
    Record(INTERNAL, Disposition.ANSWERED, CALLER, [], [], [Talked("ben", None)]),
    Record(IN, Disposition.ANSWERED, CALLER, [], []),
    Record(INTERNAL, Disposition.ANSWERED, SYSTEM, [], [], [Talked("carl", 1.6)]),
    numbers=ROOM,
)
async def conference_coming_and_going(s: Stage) -> None:
    """Four people in a conference room, a customer among them; they come and go."""
    anna, ben, carl = [await s.agent(role) for role in ("anna", "ben", "carl")]
    await anna.dials(s.number("room"))
    await s.saw("ConfbridgeJoin")
    second = await ben.dials(s.number("room"))
    await s.many("ConfbridgeJoin", 2)
    await s.passes(0.5)
    customer = await s.customer("room")
    await s.many("ConfbridgeJoin", 3)
    await s.passes(0.5)
    await carl.dials(s.number("room"))
    await s.many("ConfbridgeJoin", 4)
    await s.passes(0.5)
    await second.hangs_up()
    await s.many("ConfbridgeLeave", 1)
    await s.passes(0.5)
    await customer.hangs_up()
    await s.many("ConfbridgeLeave", 2)
    await s.passes(0.5)
    await s.does("Hangup", Channel=anna.channel())
    await s.many("ConfbridgeLeave", 3)
    await s.does("Hangup", Channel=carl.channel())


@scenario(
    "other",
    annas(Talked("anna", 2.0, queue="sales"), recordings=[Taped("on-entry.wav", 2.0)]),
    queues=SALES,
    numbers={"line": ["Answer()", "MixMonitor(on-entry.wav,b)", "Queue({sales},,,,60)", "Hangup()"]},
)
async def recorded_from_the_dialplan(s: Stage) -> None:
    """The dialplan has the talk recorded (MixMonitor with b: only while bridged)."""
    _, _, call = await with_anna(s)
    await s.passes(1.2)
    await call.hangs_up()


@scenario(
    "other",
    annas(Talked("anna", 2.4, queue="sales"), recordings=[Taped("/extra.wav", 0.8)]),
    queues=SALES,
    numbers=LINE,
)
async def recorded_for_a_while(s: Stage) -> None:
    """A program starts a recording in mid-call and stops it again (AMI MixMonitor)."""
    anna, _, call = await with_anna(s)
    channel = anna.channel()
    await s.does("MixMonitor", Channel=channel, File="extra.wav")
    await s.passes(0.8)
    await s.does("StopMixMonitor", Channel=channel)
    await s.passes(0.8)
    await call.hangs_up()


@scenario(
    "other",
    Record(IN, Disposition.VOICEMAIL, CALLER, [], [Rung("anna", NO_ANSWER)]),
    numbers={"desk": ["Dial(PJSIP/<anna>,2)", "VoiceMail(1000@default,s)", "Hangup()"]},
)
async def voicemail_after_no_answer(s: Stage) -> None:
    """Nobody answers; the customer leaves a message."""
    await s.agent("anna")
    call = await s.customer("desk")
    await call.answered()
    await s.passes(2.0)
    await call.hangs_up()


@scenario(
    "other",
    Record(IN, Disposition.VOICEMAIL, CALLER, [Stay("sales", StayOutcome.TIMEOUT)]),
    queues=SALES,
    numbers={"line": ["Answer()", "Queue({sales},,,,1)", "VoiceMail(1000@default,s)", "Hangup()"]},
)
async def voicemail_after_a_queue(s: Stage) -> None:
    """The queue's time is over; the customer leaves a message."""
    call = await s.customer("line")
    await s.saw("QueueCallerLeave")
    await s.passes(2.0)
    await call.hangs_up()


@scenario(
    "other",
    annas(Talked("anna", None, queue="sales")),
    Record(INTERNAL, Disposition.LEFT_MENU, CALLER),
    queues=SALES,
    numbers={**LINE, "spy": ["Answer()", "ChanSpy(PJSIP/<anna>,qw)", "Hangup()"]},
)
async def lead_listens_in(s: Stage) -> None:
    """A lead listens in on an agent and whispers: another call, which takes no part in this one."""
    _, _, call = await with_anna(s)
    lead = await s.desk("lead")
    spy = await lead.dials(s.number("spy"))
    await s.many("ChanSpyStart", 1)
    await s.passes(0.8)
    await spy.hangs_up()
    await spy.ended()
    await s.passes(0.8)
    await call.hangs_up()


@scenario(
    "other",
    Record(INTERNAL, Disposition.LEFT_MENU, CALLER),
    Record(IN, Disposition.ANSWERED, CALLER, [], [], [Talked("anna", 0.8)]),
    Record(IN, Disposition.ANSWERED, CALLER, [], [], [Talked("anna", 1.0)]),
    numbers={
        "in": ["Answer()", "AgentLogin(3001,s)", "Hangup()"],
        "desk": ["Answer()", "AgentRequest(3001)", "Hangup()"],
    },
)
async def agent_pool(s: Stage) -> None:
    """An agent stays on the line all day (AgentLogin) while customers come and go: unrelated callers, unrelated calls."""
    anna = await s.agent("anna")
    shift = await anna.dials(s.number("in"))
    await s.many("AgentLogin", 1)
    await s.passes(6.5)  # for five seconds the agent counts as not there yet
    first = await s.customer("desk", "first")
    await s.bridged(2)
    await s.passes(0.8)
    await first.hangs_up()
    await first.ended()
    await s.passes(1.5)
    second = await s.customer("desk", "second")
    await s.bridged(4)
    await s.passes(1.0)
    await second.hangs_up()
    await second.ended()
    await s.passes(0.8)
    await shift.hangs_up()


@scenario(
    "other",
    Record(INTERNAL, Disposition.LEFT_MENU, CALLER),
    annas(Talked("anna", 0.8, queue="sales")),
    annas(Talked("anna", 1.0, queue="sales")),
    queues=SALES,
    numbers={**LINE, "in": ["Answer()", "AgentLogin(3003,s)", "Hangup()"]},
    contexts="[pool-{n}]\nexten => _X.,1,AgentRequest(${EXTEN})\n same => n,Hangup()",
)
async def agent_pool_in_a_queue(s: Stage) -> None:
    """A queue's member is an agent of the agent pool, who stays on the line: two customers, two calls of the same agent."""
    pool = f"Local/3003@pool-{s.play.index:03d}/n"
    anna = await s.agent("anna", "sales", interface=pool, state="Agent:3003")
    shift = await anna.dials(s.number("in"))
    await s.many("AgentLogin", 1)
    await s.passes(6.5)  # for five seconds the agent counts as not there yet
    first = await s.customer("line", "first")
    await s.many("AgentConnect", 1)
    await s.bridged(4)
    await s.passes(0.8)
    await first.hangs_up()
    await first.ended()
    await s.passes(1.5)
    second = await s.customer("line", "second")
    await s.many("AgentConnect", 2)
    await s.bridged(8)
    await s.passes(1.0)
    await second.hangs_up()
    await second.ended()
    await s.passes(0.8)
    await shift.hangs_up()


@scenario(
    "other",
    Record(
        IN,
        Disposition.ANSWERED,
        CALLER,
        [],
        [Rung("ben", ANSWERED)],
        [Talked("ben", 1.0)],
    ),
    numbers={"menu": ["Answer()", "Wait(20)", "Hangup()"]},
)
async def brought_together_by_a_program(s: Stage) -> None:
    """A program rings an agent and brings them together with a customer who hears the menu (AMI Bridge)."""
    call = await s.customer("menu")
    await call.answered()
    ben = await s.agent("ben")
    await s.does("Originate", Channel=ben.device, Application="Wait", Data="20", Async="true")
    await ben.picks_up()
    await s.does("Bridge", Channel1=s.pbx_channel("PJSIP/trunk-a-"), Channel2=ben.channel(), Tone="no")
    await s.passes(1.0)
    await call.hangs_up()
