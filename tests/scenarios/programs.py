"""What programs do to calls over AMI: redirect both sides, take one side away, log off, pause a recording, ring a phone."""

from cti.core.facts import AttemptOutcome, Direction, Disposition, EndedBy
from tests.scenarios.model import Moved, Record, Rung, Talked, Taped, scenario
from tests.scenarios.other import ROOM, annas
from tests.scenarios.stage import Stage
from tests.scenarios.transfers import BY_ANNA, LINE, SALES, with_anna

IN, OUT, INTERNAL = Direction.INBOUND, Direction.OUTBOUND, Direction.INTERNAL
CALLER, AGENT, SYSTEM = EndedBy.CALLER, EndedBy.AGENT, EndedBy.SYSTEM
ANSWERED = AttemptOutcome.ANSWERED
MENU = {"menu": ["Answer()", "Wait(20)", "Hangup()"]}


@scenario(
    "program",
    annas(Talked("anna", 0.8, queue="sales"), Talked("anna", 1.0, queue="sales")),
    queues=SALES,
    numbers={**LINE, **ROOM},
)
async def redirected_both_sides(s: Stage) -> None:
    """A program sends agent and customer into a conference room (AMI Redirect with both channels)."""
    anna, _, call = await with_anna(s)
    room = {"Context": "from-internal", "Exten": s.number("room"), "Priority": "1"}
    extra = {f"Extra{name}": value for name, value in room.items()}
    customer = s.pbx_channel("PJSIP/trunk-a-")
    await s.does("Redirect", Channel=customer, ExtraChannel=anna.channel(), **room, **extra)
    await s.many("ConfbridgeJoin", 2)
    await s.passes(1.0)
    await call.hangs_up()
    await s.many("ConfbridgeLeave", 1)
    await s.does("Hangup", Channel=anna.channel())


@scenario(
    "program",
    annas(Talked("anna", 0.8, queue="sales"), by=SYSTEM),
    queues=SALES,
    numbers={**LINE, **MENU},
)
async def redirected_called_side(s: Stage) -> None:
    """A program sends the agent's side to a menu: a new channel takes its place (a masquerade), the customer's call ends."""
    anna, line, call = await with_anna(s)
    await s.does(
        "Redirect", Channel=anna.channel(), Context="from-internal", Exten=s.number("menu"), Priority="1"
    )
    await call.ended()
    await s.passes(0.5)
    await line.hangs_up()


@scenario(
    "program",
    Record(INTERNAL, Disposition.LEFT_MENU, SYSTEM),
    Record(IN, Disposition.ANSWERED, SYSTEM, [], [], [Talked("anna", 0.8)]),
    numbers={
        "in": ["Answer()", "AgentLogin(3002,s)", "Hangup()"],
        "desk": ["Answer()", "AgentRequest(3002)", "Hangup()"],
    },
)
async def agent_pool_logged_off_in_mid_call(s: Stage) -> None:
    """An agent of the agent pool is logged off while talking (AMI AgentLogoff): both calls end."""
    anna = await s.agent("anna")
    await anna.dials(s.number("in"))
    await s.many("AgentLogin", 1)
    await s.passes(5.5)  # for five seconds the agent counts as not there yet
    call = await s.customer("desk")
    await s.bridged(2)
    await s.passes(0.8)
    await s.does("AgentLogoff", Agent="3002", Soft="false")
    await call.ended()


@scenario(
    "program",
    annas(Talked("anna", 2.6, queue="sales"), recordings=[Taped("/paused.wav", 1.8, 0.6)]),
    queues=SALES,
    numbers=LINE,
)
async def recorded_and_paused(s: Stage) -> None:
    """A program pauses a recording while a card number is told, and goes on with it (AMI MixMonitorMute)."""
    anna, _, call = await with_anna(s)
    channel = anna.channel()
    await s.does("MixMonitor", Channel=channel, File="paused.wav")
    await s.passes(0.6)
    await s.does("MixMonitorMute", Channel=channel, Direction="both", State="1")
    await s.passes(0.6)
    await s.does("MixMonitorMute", Channel=channel, Direction="both", State="0")
    await s.passes(0.6)
    await call.hangs_up()


@scenario(
    "program",
    Record(
        OUT,
        Disposition.ANSWERED,
        CALLER,
        [],
        [Rung("anna", ANSWERED)],
        [Talked("anna", 1.0), Talked("mobile", 1.0)],
        dialed="mobile",
    ),
)
async def dialler_calls_a_customer(s: Stage) -> None:
    """A dialler calls a customer first (AMI Originate) and gives them to an agent's phone when they answer."""
    anna, mobile = await s.agent("anna"), await s.mobile("mobile")
    await s.does(
        "Originate",
        Channel=f"PJSIP/{mobile}@trunk-a",
        Context="from-internal",
        Exten=anna.ext,
        Priority="1",
        CallerID="4008001234",
        Async="true",
    )
    line = await s.offered(mobile)
    await line.picks_up()
    await anna.picks_up()
    await s.passes(1.0)
    await line.hangs_up()


@scenario("program", Record(OUT, Disposition.NO_ANSWER, SYSTEM, caller="", dialed="mobile"))
async def dialler_gives_no_number(s: Stage) -> None:
    """A dialler calls a customer without any caller ID, whom nobody answers."""
    mobile = await s.mobile("mobile")
    await s.does(
        "Originate",
        Channel=f"PJSIP/{mobile}@trunk-a",
        Application="Wait",
        Data="5",
        Timeout="1200",
        Async="true",
    )
    await s.offered(mobile)
    await s.saw("Hangup")


@scenario(
    "program",
    Record(
        IN,
        Disposition.ANSWERED,
        CALLER,
        BY_ANNA,
        [Rung("anna", ANSWERED, "sales")],
        [Talked("anna", 1.6, hold=0.8, queue="sales")],
        [Moved("attended", "anna", "menu", "answered")],
    ),
    queues=SALES,
    numbers={**LINE, **MENU},
    explained={"book_talk": "masquerade_of_the_caller"},
)
async def attended_to_a_menu(s: Stage) -> None:
    """The agent dials an announcement and connects the customer with it: from then on the customer hears that."""
    anna, line, call = await with_anna(s)
    await line.holds()
    second = await anna.dials(s.number("menu"))
    await second.answered()
    await s.passes(0.6)
    await line.refers(s.number("menu"), second)
    await s.passes(0.8)
    await call.hangs_up()


@scenario(
    "program",
    Record(
        INTERNAL,
        Disposition.LEFT_MENU,
        CALLER,
        transfers=[Moved("attended", "anna", "menu", "failed")],
    ),
    Record(INTERNAL, Disposition.LEFT_MENU, CALLER),
    numbers=MENU,
)
async def attended_impossible(s: Stage) -> None:
    """An agent connects two announcements with each other: the PBX says that it cannot (AttendedTransfer, Fail)."""
    anna = await s.agent("anna")
    line = await anna.dials(s.number("menu"))
    await line.answered()
    second = await anna.dials(s.number("menu"))
    await second.answered()
    await s.passes(0.4)
    await line.refers(s.number("menu"), second)
    await s.passes(0.4)
    await second.hangs_up()
    await line.hangs_up()
