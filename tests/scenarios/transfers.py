"""Calls that are handed on: blind, attended, half-finished, cancelled, in chains, by the caller, by a program."""

from cti.core.facts import AttemptOutcome, Direction, Disposition, EndedBy, State, StayOutcome
from tests.scenarios.model import Moved, Record, Rung, Stay, Talked, scenario
from tests.scenarios.stage import Desk, Line, Stage

IN, OUT, INTERNAL = Direction.INBOUND, Direction.OUTBOUND, Direction.INTERNAL
CALLER, AGENT, SYSTEM = EndedBy.CALLER, EndedBy.AGENT, EndedBy.SYSTEM
ANSWERED, NO_ANSWER, BUSY = AttemptOutcome.ANSWERED, AttemptOutcome.NO_ANSWER, AttemptOutcome.BUSY
CANCELLED = AttemptOutcome.CANCELLED
SALES: dict[str, dict[str, object]] = {"sales": {}}
BOTH: dict[str, dict[str, object]] = {"sales": {}, "support": {}}
LINE = {"line": ["Answer()", "Queue({sales},tT,,,60)", "Hangup()"]}
LINES = {**LINE, "second": ["Answer()", "Queue({support},tT,,,20)", "Hangup()"]}
BRIEF = {**LINE, "second": ["Answer()", "Queue({support},tT,,,2)", "Hangup()"]}
BY_ANNA = [Stay("sales", StayOutcome.ANSWERED, "anna")]


async def with_anna(s: Stage, seconds: float = 0.8) -> tuple[Desk, Line, Line]:
    """A queue's call that Anna has taken: her desk, her line, the customer's."""
    anna = await s.agent("anna", "sales")
    call = await s.customer("line")
    line = await anna.picks_up()
    await s.saw("AgentConnect")
    await s.passes(seconds)
    return anna, line, call


def handed_on(
    how: Moved,
    *talks: Talked,
    by: EndedBy = CALLER,
    rung: AttemptOutcome = ANSWERED,
    first: float | None = 0.8,
) -> Record:
    """Anna's queue call, which went to Ben."""
    return Record(
        IN,
        Disposition.ANSWERED,
        by,
        BY_ANNA,
        [Rung("anna", ANSWERED, "sales"), Rung("ben", rung)],
        [Talked("anna", first, hold=None if first is None else 0.0, queue="sales"), *talks],
        [how],
    )


@scenario(
    "transfer",
    handed_on(Moved("blind", "anna", "ben", "answered"), Talked("ben", 1.0)),
    queues=SALES,
    numbers=LINE,
)
async def blind_by_the_phone(s: Stage) -> None:
    """The agent presses transfer (SIP REFER); a colleague answers and talks with the customer."""
    _, line, call = await with_anna(s)
    ben = await s.agent("ben")
    await line.refers(ben.ext)
    await ben.picks_up()
    await s.passes(1.0)
    await call.hangs_up()


@scenario(
    "transfer",
    handed_on(Moved("blind", "anna", "ben", "answered"), Talked("ben", 1.0), first=None),
    queues=SALES,
    numbers=LINE,
)
async def blind_by_feature_code(s: Stage) -> None:
    """The agent presses #1 and the colleague's number (features.conf blindxfer)."""
    _, line, call = await with_anna(s)
    ben = await s.agent("ben")
    await line.presses("#1")
    await s.passes(0.5)
    await line.presses(ben.ext)
    await ben.picks_up()
    await s.passes(1.0)
    await call.hangs_up()


@scenario(
    "transfer",
    handed_on(Moved("blind", "anna", "ben", "answered"), Talked("ben", 1.0)),
    queues=SALES,
    numbers=LINE,
)
async def blind_by_program(s: Stage) -> None:
    """A program hands the call on for the agent (AMI BlindTransfer)."""
    anna, _, call = await with_anna(s)
    ben = await s.agent("ben")
    await s.does("BlindTransfer", Channel=anna.channel(), Context="from-internal", Exten=ben.ext)
    await ben.picks_up()
    await s.passes(1.0)
    await call.hangs_up()


@scenario(
    "transfer",
    Record(
        IN,
        Disposition.ANSWERED,
        CALLER,
        BY_ANNA,
        [Rung("anna", ANSWERED, "sales")],
        [Talked("anna", 0.8, queue="sales"), Talked("mobile", 1.0)],
        [Moved("blind", "anna", "out", "answered")],
    ),
    queues=SALES,
    numbers={**LINE, "out": ["Dial(PJSIP/<mobile>@trunk-b,20)", "Hangup()"]},
)
async def blind_to_outside(s: Stage) -> None:
    """The call is handed on to a mobile of the public network."""
    _, line, call = await with_anna(s)
    await s.mobile("mobile")
    await line.refers(s.number("out"))
    other = await s.offered(s.cast["mobile"])
    await other.picks_up()
    await s.passes(1.0)
    await call.hangs_up()


@scenario(
    "transfer",
    Record(
        IN,
        Disposition.ANSWERED,
        CALLER,
        [*BY_ANNA, Stay("support", StayOutcome.ANSWERED, "ben")],
        [Rung("anna", ANSWERED, "sales"), Rung("ben", ANSWERED, "support")],
        [Talked("anna", 0.8, queue="sales"), Talked("ben", 1.0, queue="support")],
        [Moved("blind", "anna", "second", "answered")],
    ),
    queues=BOTH,
    numbers=LINES,
)
async def blind_to_a_queue(s: Stage) -> None:
    """The call is handed on to another queue, where an agent takes it."""
    _, line, call = await with_anna(s)
    ben = await s.agent("ben", "support")
    await line.refers(s.number("second"))
    await ben.picks_up()
    await s.passes(1.0)
    await call.hangs_up()


@scenario(
    "transfer",
    Record(
        IN,
        Disposition.ANSWERED,
        CALLER,
        [*BY_ANNA, Stay("support", StayOutcome.ABANDONED)],
        [Rung("anna", ANSWERED, "sales")],
        [Talked("anna", 0.8, queue="sales")],
        [Moved("blind", "anna", "second", "abandoned")],
    ),
    queues=BOTH,
    numbers=LINES,
)
async def blind_to_a_queue_and_abandoned(s: Stage) -> None:
    """The call is handed on to a queue where nobody is; the customer gives up there."""
    _, line, call = await with_anna(s)
    await line.refers(s.number("second"))
    await s.joined(2)
    await s.passes(0.8)
    await call.hangs_up()


@scenario(
    "transfer",
    handed_on(Moved("blind", "anna", "ben", "busy"), by=SYSTEM, rung=BUSY),
    queues=SALES,
    numbers=LINE,
)
async def blind_to_a_busy_phone(s: Stage) -> None:
    """The call is handed on to a colleague who is busy: it ends there."""
    _, line, call = await with_anna(s)
    ben = await s.agent("ben", mode="busy")
    await line.refers(ben.ext)
    await call.ended()


@scenario(
    "transfer",
    Record(
        IN,
        Disposition.ANSWERED,
        CALLER,
        BY_ANNA,
        [Rung("anna", ANSWERED, "sales")],
        [Talked("anna", 1.8, queue="sales")],
    ),
    queues=SALES,
    numbers=LINE,
)
async def blind_to_a_dead_number(s: Stage) -> None:
    """The number does not exist: the transfer is refused, which no event tells, and the talk goes on."""
    _, line, call = await with_anna(s)
    await line.refers("9998")
    await s.passes(1.0)
    await call.hangs_up()


@scenario(
    "transfer",
    Record(
        INTERNAL,
        Disposition.ANSWERED,
        AGENT,
        [],
        [Rung("ben", ANSWERED), Rung("carl", ANSWERED)],
        [Talked("anna", 0.8), Talked("ben", 0.8), Talked("ben", 1.0), Talked("carl", 1.0)],
        [Moved("blind", "anna", "carl", "answered")],
    ),
)
async def blind_by_the_caller(s: Stage) -> None:
    """The one who called hands on whom she called: Ben finds himself talking with Carl."""
    anna, ben, carl = [await s.agent(role) for role in ("anna", "ben", "carl")]
    call = await anna.dials(ben.ext)
    line = await ben.picks_up()
    await s.passes(0.8)
    await call.refers(carl.ext)
    await carl.picks_up()
    await s.passes(1.0)
    await line.hangs_up()


@scenario(
    "transfer",
    Record(
        IN,
        Disposition.ANSWERED,
        CALLER,
        BY_ANNA,
        [Rung("anna", ANSWERED, "sales"), Rung("ben", ANSWERED), Rung("carl", ANSWERED)],
        [Talked("anna", 0.8, queue="sales"), Talked("ben", 0.8), Talked("carl", 0.8)],
        [Moved("blind", "anna", "ben", "answered"), Moved("blind", "ben", "carl", "answered")],
    ),
    queues=SALES,
    numbers=LINE,
)
async def blind_chain(s: Stage) -> None:
    """Anna hands the call on to Ben, and Ben to Carl."""
    _, line, call = await with_anna(s)
    ben, carl = await s.agent("ben"), await s.agent("carl")
    await line.refers(ben.ext)
    line = await ben.picks_up()
    await s.passes(0.8)
    await line.refers(carl.ext)
    await carl.picks_up()
    await s.passes(0.8)
    await call.hangs_up()


# --- attended -----------------------------------------------------------------------------------------------------


async def consults(anna: Desk, line: Line, number: str) -> Line:
    """Anna puts the customer on hold and dials somebody on her phone's second line."""
    await line.holds()
    return await anna.dials(number)


@scenario(
    "transfer",
    Record(
        IN,
        Disposition.ANSWERED,
        CALLER,
        BY_ANNA,
        [Rung("anna", ANSWERED, "sales"), Rung("ben", ANSWERED)],
        [
            Talked("anna", 1.6, hold=0.8, queue="sales"),
            Talked("anna", 0.8),
            Talked("ben", 0.8),
            Talked("ben", 1.0),
        ],
        [Moved("attended", "anna", "ben", "answered")],
    ),
    queues=SALES,
    numbers=LINE,
)
async def attended_by_the_phone(s: Stage) -> None:
    """The agent asks a colleague first, then connects the two (SIP REFER with Replaces): one call in the end."""
    anna, line, call = await with_anna(s)
    ben = await s.agent("ben")
    second = await consults(anna, line, ben.ext)
    await ben.picks_up()
    await s.passes(0.8)
    await line.refers(ben.ext, second)
    await s.saw("AttendedTransfer")
    await s.passes(1.0)
    await call.hangs_up()


@scenario(
    "transfer",
    Record(
        IN,
        Disposition.ANSWERED,
        CALLER,
        BY_ANNA,
        [Rung("anna", ANSWERED, "sales")],
        [Talked("anna", 2.2, hold=0.8, queue="sales")],
    ),
    Record(
        INTERNAL,
        Disposition.ANSWERED,
        CALLER,
        [],
        [Rung("ben", ANSWERED)],
        [Talked("anna", 0.8), Talked("ben", 0.8)],
    ),
    queues=SALES,
    numbers=LINE,
)
async def attended_thought_better_of(s: Stage) -> None:
    """The agent asks a colleague and goes back to the customer: nothing ever joins the two calls."""
    anna, line, call = await with_anna(s)
    ben = await s.agent("ben")
    second = await consults(anna, line, ben.ext)
    await ben.picks_up()
    await s.passes(0.8)
    await second.hangs_up()
    await line.resumes()
    await s.passes(0.6)
    await call.hangs_up()


@scenario(
    "transfer",
    Record(
        IN,
        Disposition.ANSWERED,
        CALLER,
        BY_ANNA,
        [Rung("anna", ANSWERED, "sales"), Rung("ben", ANSWERED)],
        [Talked("anna", 1.4, hold=0.6, queue="sales"), Talked("ben", 1.0)],
        [Moved("half_finished", "anna", "ben", "answered")],
    ),
    queues=SALES,
    numbers=LINE,
    explained={"book_talk": "masquerade_of_the_caller"},
)
async def half_finished_by_the_phone(s: Stage) -> None:
    """The agent connects the two while the colleague's phone still rings (REFER with Replaces of an early dialog)."""
    anna, line, call = await with_anna(s)
    ben = await s.agent("ben")
    second = await consults(anna, line, ben.ext)
    other = await ben.rings()
    await s.passes(0.6)
    await line.refers(ben.ext, second)
    await s.saw("AttendedTransfer")
    await other.picks_up()
    await s.passes(1.0)
    await call.hangs_up()


@scenario(
    "transfer",
    Record(
        IN,
        Disposition.ANSWERED,
        CALLER,
        [*BY_ANNA, Stay("support", StayOutcome.ANSWERED, "ben")],
        [Rung("anna", ANSWERED, "sales"), Rung("ben", ANSWERED, "support")],
        [Talked("anna", 1.9, hold=1.1, queue="sales"), Talked("ben", 1.0, queue="support")],
        [Moved("half_finished", "anna", "second", "answered")],
    ),
    queues=BOTH,
    numbers=LINES,
    explained={"not_in_book": "masquerade_into_queue", "book_talk": "masquerade_of_the_caller"},
)
async def half_finished_to_a_queue(s: Stage) -> None:
    """The agent dials a queue and connects the customer while it waits: the waiting channel is another one from then on."""
    anna, line, call = await with_anna(s)
    second = await consults(anna, line, s.number("second"))
    await s.joined(2)
    await s.passes(0.6)
    await line.refers(s.number("second"), second)
    await s.saw("AttendedTransfer")
    await s.passes(0.6)
    ben = await s.agent("ben", "support")
    await ben.picks_up()
    await s.passes(1.0)
    await call.hangs_up()


@scenario(
    "transfer",
    Record(
        IN,
        Disposition.ANSWERED,
        CALLER,
        [*BY_ANNA, Stay("support", StayOutcome.ANSWERED, "ben")],
        [Rung("anna", ANSWERED, "sales"), Rung("ben", ANSWERED, "support")],
        [
            Talked("anna", None, hold=None, queue="sales"),
            Talked("anna", None),
            Talked("ben", None, queue="support"),
            Talked("ben", 1.0, queue="support"),
        ],
        [Moved("attended", "anna", "second", "answered")],
    ),
    queues=BOTH,
    numbers=LINES,
)
async def attended_to_a_queue(s: Stage) -> None:
    """The agent dials a queue, talks with the agent there, then connects the two."""
    anna, line, call = await with_anna(s)
    ben = await s.agent("ben", "support")
    second = await consults(anna, line, s.number("second"))
    await ben.picks_up()
    await s.passes(0.8)
    await line.refers(s.number("second"), second)
    await s.saw("AttendedTransfer")
    await s.passes(1.0)
    await call.hangs_up()


@scenario(
    "transfer",
    Record(
        IN,
        Disposition.ANSWERED,
        CALLER,
        [*BY_ANNA, Stay("support", StayOutcome.ABANDONED)],
        [Rung("anna", ANSWERED, "sales")],
        [Talked("anna", 1.9, hold=1.1, queue="sales")],
        [Moved("half_finished", "anna", "second", "abandoned")],
    ),
    queues=BOTH,
    numbers=LINES,
    explained={"not_in_book": "masquerade_into_queue", "book_talk": "masquerade_of_the_caller"},
)
async def half_finished_to_a_queue_abandoned(s: Stage) -> None:
    """The agent connects the customer with a queue nobody answers, and the customer gives up there."""
    anna, line, call = await with_anna(s)
    second = await consults(anna, line, s.number("second"))
    await s.joined(2)
    await s.passes(0.6)
    await line.refers(s.number("second"), second)
    await s.saw("AttendedTransfer")
    await s.passes(0.8)
    await call.hangs_up()


@scenario(
    "transfer",
    Record(
        IN,
        Disposition.ANSWERED,
        CALLER,
        BY_ANNA,
        [Rung("anna", ANSWERED, "sales")],
        [Talked("anna", 2.7, hold=1.3, queue="sales")],
    ),
    Record(INTERNAL, Disposition.ABANDONED, CALLER, [Stay("support", StayOutcome.ABANDONED)]),
    queues=BOTH,
    numbers=LINES,
)
async def attended_to_a_queue_thought_better_of(s: Stage) -> None:
    """The agent dials a queue, waits in vain, and goes back to the customer: nothing ever joins the two calls."""
    anna, line, call = await with_anna(s)
    second = await consults(anna, line, s.number("second"))
    await s.joined(2)
    await s.passes(0.8)
    await second.hangs_up()
    await line.resumes()
    await s.passes(0.6)
    await call.hangs_up()


@scenario(
    "transfer",
    Record(
        IN,
        Disposition.ANSWERED,
        CALLER,
        [*BY_ANNA, Stay("support", StayOutcome.ANSWERED, "ben")],
        [Rung("anna", ANSWERED, "sales"), Rung("ben", ANSWERED, "support")],
        [
            Talked("anna", None, hold=None, queue="sales"),
            Talked("anna", None),
            Talked("ben", None, queue="support"),
            Talked("anna", 0.8, queue="sales"),
        ],
    ),
    queues=BOTH,
    numbers=LINES,
)
async def attended_to_a_queue_cancelled_by_feature_code(s: Stage) -> None:
    """The agent consults a queue's agent by *2 and goes back to the customer with *1."""
    _, line, call = await with_anna(s)
    ben = await s.agent("ben", "support")
    await line.presses("*2")
    await s.passes(0.5)
    await line.presses(s.number("second"))
    await ben.picks_up()
    await s.passes(0.8)
    await line.presses("*1")
    await s.passes(0.8)
    await call.hangs_up()


@scenario(
    "transfer",
    Record(
        IN,
        Disposition.ANSWERED,
        CALLER,
        [*BY_ANNA, Stay("support", StayOutcome.TIMEOUT)],
        [Rung("anna", ANSWERED, "sales")],
        [Talked("anna", None, hold=None, queue="sales"), Talked("anna", 0.8, queue="sales")],
    ),
    queues=BOTH,
    numbers=BRIEF,
)
async def attended_to_a_queue_failed(s: Stage) -> None:
    """The agent consults a queue by *2; nobody answers there within its time, and the agent has the customer again."""
    _, line, call = await with_anna(s)
    await line.presses("*2")
    await s.passes(0.5)
    await line.presses(s.number("second"))
    await s.joined(2)
    await s.many("QueueCallerLeave", 2)
    await s.passes(1.0)
    await call.hangs_up()


@scenario(
    "transfer",
    Record(
        IN,
        Disposition.ANSWERED,
        CALLER,
        BY_ANNA,
        [Rung("anna", ANSWERED, "sales"), Rung("ben", ANSWERED)],
        [
            Talked("anna", None, hold=None, queue="sales"),
            Talked("anna", 0.8),
            Talked("ben", 0.8),
            Talked("ben", 1.0),
        ],
        [Moved("attended", "anna", "ben", "answered")],
    ),
    queues=SALES,
    numbers=LINE,
)
async def attended_by_feature_code(s: Stage) -> None:
    """The agent presses *2 and the number, talks with the colleague, and hangs up: the two are connected."""
    _, line, call = await with_anna(s)
    ben = await s.agent("ben")
    await line.presses("*2")
    await s.passes(0.5)
    await line.presses(ben.ext)
    await ben.picks_up()
    await s.passes(0.8)
    await line.hangs_up()
    await s.saw("AttendedTransfer")
    await s.passes(1.0)
    await call.hangs_up()


@scenario(
    "transfer",
    Record(
        IN,
        Disposition.ANSWERED,
        CALLER,
        BY_ANNA,
        [Rung("anna", ANSWERED, "sales")],
        [Talked("anna", None, hold=None, queue="sales")],
        [Moved("attended", "anna", "pause", "failed")],
    ),
    queues=SALES,
    numbers={**LINE, "pause": ["Wait(3)", "Hangup()"]},
)
async def attended_by_feature_code_of_a_caller_who_hangs_up(s: Stage) -> None:
    """The customer hangs up while the agent keys in the number after *2: Asterisk dials it, and hangs up at once."""
    _, line, call = await with_anna(s)
    await line.presses("*2")
    await s.passes(0.5)
    await call.hangs_up()
    await line.presses(s.number("pause"))
    await line.ended()


@scenario(
    "transfer",
    Record(
        IN,
        Disposition.ANSWERED,
        CALLER,
        BY_ANNA,
        [Rung("anna", ANSWERED, "sales"), Rung("ben", ANSWERED)],
        [
            Talked("anna", None, hold=None, queue="sales"),
            Talked("anna", 0.8),
            Talked("ben", 0.8),
            Talked("ben", 1.0),
        ],
        [Moved("attended", "anna", "ben", "answered")],
    ),
    queues=SALES,
    numbers=LINE,
)
async def attended_by_program(s: Stage) -> None:
    """A program starts the consultation (AMI Atxfer); the agent hangs up and the two are connected."""
    anna, line, call = await with_anna(s)
    ben = await s.agent("ben")
    await s.does("Atxfer", Channel=anna.channel(), Context="from-internal", Exten=ben.ext)
    await ben.picks_up()
    await s.passes(0.8)
    await line.hangs_up()
    await s.saw("AttendedTransfer")
    await s.passes(1.0)
    await call.hangs_up()


@scenario(
    "transfer",
    Record(
        IN,
        Disposition.ANSWERED,
        CALLER,
        BY_ANNA,
        [Rung("anna", ANSWERED, "sales"), Rung("ben", ANSWERED)],
        [
            Talked("anna", None, hold=None, queue="sales"),
            Talked("anna", None),
            Talked("ben", None),
            Talked("anna", 0.8, queue="sales"),
        ],
    ),
    queues=SALES,
    numbers=LINE,
)
async def attended_cancelled_by_feature_code(s: Stage) -> None:
    """The agent consults a colleague by *2, then goes back to the customer with *1."""
    _, line, call = await with_anna(s)
    ben = await s.agent("ben")
    await line.presses("*2")
    await s.passes(0.5)
    await line.presses(ben.ext)
    await ben.picks_up()
    await s.passes(0.8)
    await line.presses("*1")
    await s.passes(0.8)
    await call.hangs_up()


@scenario(
    "transfer",
    Record(
        IN,
        Disposition.ANSWERED,
        CALLER,
        BY_ANNA,
        [Rung("anna", ANSWERED, "sales"), Rung("ben", ANSWERED)],
        [Talked("anna", None, hold=None, queue="sales"), Talked("ben", 1.0)],
        [Moved("half_finished", "anna", "ben", "answered")],
    ),
    queues=SALES,
    numbers=LINE,
)
async def half_finished_by_feature_code(s: Stage) -> None:
    """The agent presses *2 and the number, and hangs up while the colleague's phone rings; it is answered."""
    _, line, call = await with_anna(s)
    ben = await s.agent("ben")
    await line.presses("*2")
    await s.passes(0.5)
    await line.presses(ben.ext)
    other = await ben.rings()
    await s.passes(0.6)
    await line.hangs_up()
    await s.passes(0.6)
    await other.picks_up()
    await s.passes(1.0)
    await call.hangs_up()


@scenario(
    "transfer",
    Record(
        IN,
        Disposition.ANSWERED,
        CALLER,
        BY_ANNA,
        [
            Rung("anna", ANSWERED, "sales"),
            Rung("ben", CANCELLED),
            Rung(
                "anna", ANSWERED, state=State.ON_CALL
            ),  # Asterisk keeps her line until the transfer is decided
        ],
        [Talked("anna", None, hold=None, queue="sales"), Talked("anna", 1.0, queue="sales")],
        [Moved("half_finished", "anna", "ben", "recalled")],
    ),
    queues=SALES,
    numbers=LINE,
)
async def half_finished_and_recalled(s: Stage) -> None:
    """The agent hangs up while the colleague's phone rings, which is not answered: the agent is called back."""
    anna, line, call = await with_anna(s)
    ben = await s.agent("ben")
    await line.presses("*2")
    await s.passes(0.5)
    await line.presses(ben.ext)
    await ben.rings()
    await s.passes(0.6)
    await line.hangs_up()
    await anna.picks_up()
    await s.passes(1.0)
    await call.hangs_up()


@scenario(
    "transfer",
    Record(
        IN,
        Disposition.ANSWERED,
        CALLER,
        BY_ANNA,
        [Rung("anna", ANSWERED, "sales"), Rung("ben", ANSWERED)],
        [
            Talked("anna", None, hold=None, queue="sales"),
            Talked("anna", None),
            Talked("anna", 0.8, queue="sales"),
            Talked("ben", None),
            Talked("ben", 1.6),
        ],
        [Moved("attended", "anna", "ben", "answered")],
    ),
    queues=SALES,
    numbers=LINE,
)
async def attended_three_way(s: Stage) -> None:
    """The agent consults a colleague, brings all three together (*3), and leaves later."""
    _, line, call = await with_anna(s)
    ben = await s.agent("ben")
    await line.presses("*2")
    await s.passes(0.5)
    await line.presses(ben.ext)
    await ben.picks_up()
    await s.passes(0.8)
    await line.presses("*3")
    await s.passes(0.8)
    await line.hangs_up()
    await s.passes(0.8)
    await call.hangs_up()


@scenario(
    "transfer",
    Record(
        IN,
        Disposition.ANSWERED,
        CALLER,
        BY_ANNA,
        [Rung("anna", ANSWERED, "sales"), Rung("ben", ANSWERED), Rung("carl", ANSWERED)],
        [
            Talked("anna", 1.4, hold=0.6, queue="sales"),
            Talked("anna", 0.6),
            Talked("ben", 0.6),
            Talked("ben", 0.8),
            Talked("carl", 0.8),
        ],
        [Moved("attended", "anna", "ben", "answered"), Moved("blind", "ben", "carl", "answered")],
    ),
    queues=SALES,
    numbers=LINE,
)
async def attended_then_blind(s: Stage) -> None:
    """Anna connects the customer with Ben after asking him; Ben hands the call on to Carl."""
    anna, line, call = await with_anna(s)
    ben, carl = await s.agent("ben"), await s.agent("carl")
    second = await consults(anna, line, ben.ext)
    his = await ben.picks_up()
    await s.passes(0.6)
    await line.refers(ben.ext, second)
    await s.saw("AttendedTransfer")
    await s.passes(0.8)
    await his.refers(carl.ext)
    await carl.picks_up()
    await s.passes(0.8)
    await call.hangs_up()


@scenario(
    "transfer",
    Record(
        IN,
        Disposition.ANSWERED,
        CALLER,
        [Stay("sales", StayOutcome.TRANSFERRED_OUT)],
        [Rung("ben", ANSWERED)],
        [Talked("ben", 1.0)],
        [],
    ),
    queues=SALES,
    numbers=LINE,
)
async def redirected_while_waiting(s: Stage) -> None:
    """A lead takes a waiting caller out of the queue to a phone (AMI Redirect)."""
    call = await s.customer("line")
    ben = await s.agent("ben")
    joined = await s.saw("QueueCallerJoin")
    await s.passes(0.6)
    await s.does("Redirect", Channel=joined["Channel"], Context="from-internal", Exten=ben.ext, Priority="1")
    await ben.picks_up()
    await s.passes(1.0)
    await call.hangs_up()


@scenario(
    "transfer",
    Record(
        IN,
        Disposition.ANSWERED,
        CALLER,
        BY_ANNA,
        [Rung("anna", ANSWERED, "sales"), Rung("ben", ANSWERED)],
        [Talked("anna", 0.8, queue="sales"), Talked("ben", 1.0)],
        [],
    ),
    queues=SALES,
    numbers=LINE,
)
async def redirected_in_mid_call(s: Stage) -> None:
    """A program takes the customer away from the agent to another phone (AMI Redirect)."""
    _, _, call = await with_anna(s)
    ben = await s.agent("ben")
    await s.does(
        "Redirect",
        Channel=s.pbx_channel("PJSIP/trunk-a-"),
        Context="from-internal",
        Exten=ben.ext,
        Priority="1",
    )
    await ben.picks_up()
    await s.passes(1.0)
    await call.hangs_up()


# --- further kinds ------------------------------------------------------------------------------------------------


@scenario(
    "transfer",
    handed_on(Moved("blind", "anna", "brief", "no_answer"), by=SYSTEM, rung=NO_ANSWER),
    queues=SALES,
    numbers={**LINE, "brief": ["Dial(PJSIP/<ben>,2)", "Hangup()"]},
)
async def blind_and_not_answered(s: Stage) -> None:
    """The call is handed on to a colleague who does not answer: it ends there."""
    _, line, call = await with_anna(s)
    await s.agent("ben")
    await line.refers(s.number("brief"))
    await call.ended()


@scenario(
    "transfer",
    Record(
        IN,
        Disposition.ANSWERED,
        CALLER,
        BY_ANNA,
        [Rung("anna", ANSWERED, "sales"), *(Rung(who, ANSWERED) for who in ("ben", "carl", "dora"))],
        [Talked("anna", 0.8, queue="sales"), *(Talked(who, 0.6) for who in ("ben", "carl", "dora"))],
        [
            Moved("blind", "anna", "ben", "answered"),
            Moved("blind", "ben", "carl", "answered"),
            Moved("blind", "carl", "dora", "answered"),
        ],
    ),
    queues=SALES,
    numbers=LINE,
)
async def blind_chain_of_three(s: Stage) -> None:
    """The call goes from Anna to Ben to Carl to Dora: one call with one id."""
    _, line, call = await with_anna(s)
    for role in ("ben", "carl", "dora"):
        desk = await s.agent(role)
        await line.refers(desk.ext)
        line = await desk.picks_up()
        await s.passes(0.6)
    await call.hangs_up()


@scenario(
    "transfer",
    Record(
        IN,
        Disposition.ANSWERED,
        CALLER,
        BY_ANNA,
        [Rung("anna", ANSWERED, "sales"), Rung("ben", BUSY)],
        [Talked("anna", None, hold=None, queue="sales"), Talked("anna", None, hold=None, queue="sales")],
    ),
    queues=SALES,
    numbers=LINE,
)
async def attended_to_a_busy_phone(s: Stage) -> None:
    """The colleague whom the agent wants to ask (*2) is busy: the agent is back with the customer, nothing was handed on."""
    _, line, call = await with_anna(s)
    ben = await s.agent("ben", mode="busy")
    await line.presses("*2")
    await s.passes(0.5)
    await line.presses(ben.ext)
    await ben.rings()
    await s.passes(1.5)
    await call.hangs_up()


@scenario(
    "transfer",
    Record(
        IN,
        Disposition.ANSWERED,
        CALLER,
        BY_ANNA,
        [Rung("anna", ANSWERED, "sales")],
        [
            Talked("anna", 1.6, hold=0.8, queue="sales"),
            Talked("anna", 0.8),
            Talked("mobile", 0.8),
            Talked("mobile", 1.0),
        ],
        [Moved("attended", "anna", "out", "answered")],
    ),
    queues=SALES,
    numbers={**LINE, "out": ["Dial(PJSIP/<mobile>@trunk-b,20)", "Hangup()"]},
)
async def attended_to_outside(s: Stage) -> None:
    """The agent asks somebody on a mobile first, then connects the customer with them."""
    anna, line, call = await with_anna(s)
    mobile = await s.mobile("mobile")
    second = await consults(anna, line, s.number("out"))
    other = await s.offered(mobile)
    await other.picks_up()
    await s.passes(0.8)
    await line.refers(s.number("out"), second)
    await s.saw("AttendedTransfer")
    await s.passes(1.0)
    await call.hangs_up()


@scenario(
    "transfer",
    Record(
        INTERNAL,
        Disposition.ANSWERED,
        AGENT,
        [],
        [Rung("ben", ANSWERED), Rung("carl", ANSWERED)],
        [
            Talked("anna", 1.6, hold=0.8),
            Talked("ben", 1.6, hold=0.8),
            Talked("anna", 0.8),
            Talked("carl", 0.8),
            Talked("ben", 1.0),
            Talked("carl", 1.0),
        ],
        [Moved("attended", "anna", "carl", "answered")],
    ),
)
async def attended_by_the_caller(s: Stage) -> None:
    """The one who called asks a third person and connects the two: she leaves, and they talk."""
    anna, ben, carl = [await s.agent(role) for role in ("anna", "ben", "carl")]
    line = await anna.dials(ben.ext)
    his = await ben.picks_up()
    await s.passes(0.8)
    second = await consults(anna, line, carl.ext)
    await carl.picks_up()
    await s.passes(0.8)
    await line.refers(carl.ext, second)
    await s.saw("AttendedTransfer")
    await s.passes(1.0)
    await his.hangs_up()
