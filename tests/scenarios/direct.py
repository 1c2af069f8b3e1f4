"""Calls without a queue: to a phone, from a phone, in the menu, forwarded, to several phones."""

from cti.core.facts import AttemptOutcome, Direction, Disposition, EndedBy, State
from tests.scenarios.model import Record, Rung, Talked, scenario
from tests.scenarios.stage import NO_NUMBER, Stage

IN, OUT, INTERNAL = Direction.INBOUND, Direction.OUTBOUND, Direction.INTERNAL
CALLER, AGENT, SYSTEM = EndedBy.CALLER, EndedBy.AGENT, EndedBy.SYSTEM
ANSWERED, NO_ANSWER, BUSY = AttemptOutcome.ANSWERED, AttemptOutcome.NO_ANSWER, AttemptOutcome.BUSY
REJECTED, CANCELLED = AttemptOutcome.REJECTED, AttemptOutcome.CANCELLED
UNREACHABLE = AttemptOutcome.UNREACHABLE
TO_ANNA = {"desk": ["Dial(PJSIP/<anna>,20)", "Hangup()"]}


@scenario(
    "direct",
    Record(
        IN,
        Disposition.ANSWERED,
        CALLER,
        attempts=[Rung("anna", ANSWERED)],
        talks=[Talked("anna", 1.2)],
        caller="customer",
        caller_name="王伟",
        dialed="desk",
    ),
    numbers=TO_ANNA,
)
async def direct_caller_hangs_up(s: Stage) -> None:
    """A customer calls an agent's own number, they talk, the customer hangs up."""
    anna = await s.agent("anna")
    call = await s.customer("desk")
    await anna.picks_up()
    await s.passes(1.2)
    await call.hangs_up()


@scenario(
    "direct",
    Record(IN, Disposition.ANSWERED, AGENT, attempts=[Rung("anna", ANSWERED)], talks=[Talked("anna", 1.2)]),
    numbers=TO_ANNA,
)
async def direct_agent_hangs_up(s: Stage) -> None:
    """A customer calls an agent's own number, they talk, the agent hangs up."""
    anna = await s.agent("anna")
    call = await s.customer("desk")
    line = await anna.picks_up()
    await s.passes(1.2)
    await line.hangs_up()
    await call.ended()


@scenario("direct", Record(IN, Disposition.BUSY, SYSTEM, attempts=[Rung("anna", BUSY)]), numbers=TO_ANNA)
async def direct_busy(s: Stage) -> None:
    """The phone says that it is busy."""
    await s.agent("anna", mode="busy")
    await (await s.customer("desk")).ended()


@scenario(
    "direct", Record(IN, Disposition.REJECTED, SYSTEM, attempts=[Rung("anna", REJECTED)]), numbers=TO_ANNA
)
async def direct_rejected(s: Stage) -> None:
    """The agent declines the ringing call."""
    anna = await s.agent("anna")
    call = await s.customer("desk")
    line = await anna.rings()
    await line.rejects()
    await call.ended()


@scenario(
    "direct",
    Record(IN, Disposition.NO_ANSWER, SYSTEM, attempts=[Rung("anna", NO_ANSWER)]),
    numbers={"desk": ["Dial(PJSIP/<anna>,2)", "Hangup()"]},
)
async def direct_no_answer(s: Stage) -> None:
    """The phone rings until the time is over."""
    await s.agent("anna")
    await (await s.customer("desk")).ended()


@scenario(
    "direct", Record(IN, Disposition.FAILED, SYSTEM, attempts=[Rung("anna", UNREACHABLE)]), numbers=TO_ANNA
)
async def direct_unreachable(s: Stage) -> None:
    """The phone is out of order (SIP 502): the call cannot be delivered."""
    await s.agent("anna", mode="unavailable")
    await (await s.customer("desk")).ended()


@scenario(
    "direct", Record(IN, Disposition.NO_ANSWER, SYSTEM, attempts=[Rung("anna", NO_ANSWER)]), numbers=TO_ANNA
)
async def direct_temporarily_unavailable(s: Stage) -> None:
    """The phone says 480, which Asterisk takes for no answer (cause 19)."""
    await s.agent("anna", mode="unreachable")
    await (await s.customer("desk")).ended()


@scenario(
    "direct",
    Record(INTERNAL, Disposition.FAILED, SYSTEM),
    numbers={"nowhere": ["Dial(PJSIP/9999,5)", "Hangup()"]},
)
async def direct_no_such_phone(s: Stage) -> None:
    """A phone dials one the PBX does not know: no channel is even made for it."""
    anna = await s.desk("anna")
    await (await anna.dials("nowhere")).ended()


@scenario(
    "direct",
    Record(OUT, Disposition.FAILED, SYSTEM),
    numbers={"out": ["Dial(PJSIP/<mobile>@trunk-a,10)", "Hangup()"]},
)
async def direct_congestion(s: Stage) -> None:
    """An agent dials out and the network is congested."""
    anna = await s.agent("anna")
    await s.mobile("mobile", mode="congestion")
    await (await anna.dials("out")).ended()


@scenario(
    "direct", Record(IN, Disposition.NO_ANSWER, CALLER, attempts=[Rung("anna", CANCELLED)]), numbers=TO_ANNA
)
async def direct_cancelled(s: Stage) -> None:
    """The customer hangs up while the phone rings."""
    anna = await s.agent("anna")
    call = await s.customer("desk")
    await anna.rings()
    await s.passes(0.8)
    await call.hangs_up()


@scenario(
    "direct",
    Record(IN, Disposition.LEFT_MENU, CALLER),
    numbers={"silence": ["Wait(20)", "Hangup()"]},
)
async def direct_gone_at_once(s: Stage) -> None:
    """The customer hangs up before anything was done with the call."""
    call = await s.customer("silence")
    await s.saw("Newchannel")
    await call.hangs_up()


@scenario(
    "direct",
    Record(IN, Disposition.LEFT_MENU, CALLER),
    numbers={"menu": ["Answer()", "Wait(20)", "Hangup()"]},
)
async def direct_in_the_menu(s: Stage) -> None:
    """The customer hears the menu and hangs up."""
    call = await s.customer("menu")
    await call.answered()
    await s.passes(0.5)
    await call.hangs_up()


@scenario(
    "direct",
    Record(IN, Disposition.LEFT_MENU, SYSTEM),
    numbers={"menu": ["Answer()", "Wait(1)", "Hangup()"]},
)
async def direct_menu_ends(s: Stage) -> None:
    """An announcement plays to its end, and the PBX hangs up."""
    call = await s.customer("menu")
    await call.ended()


@scenario(
    "direct",
    Record(
        IN,
        Disposition.ANSWERED,
        CALLER,
        attempts=[Rung("anna", CANCELLED), Rung("ben", ANSWERED)],
        talks=[Talked("ben", 1.0)],
    ),
    numbers=TO_ANNA,
)
async def direct_phone_forwards(s: Stage) -> None:
    """The agent's phone forwards to a colleague by itself (302), who answers."""
    ben = await s.agent("ben")
    await s.agent("anna", mode=f"forward:{ben.ext}")
    call = await s.customer("desk")
    await ben.picks_up()
    await s.passes(1.0)
    await call.hangs_up()


def _forward(status: str) -> dict[str, list[str]]:
    return {
        "desk": [
            "Dial(PJSIP/<anna>,2)",
            f'GotoIf($["${{DIALSTATUS}}" = "{status}"]?scenarios,desk-{{n}},1)',
            "Hangup()",
        ]
    }


_FORWARD = "[scenarios]\nexten => desk-{n},1,Dial(PJSIP/<ben>,20)\n same => n,Hangup()"


@scenario(
    "direct",
    Record(
        IN,
        Disposition.ANSWERED,
        CALLER,
        attempts=[Rung("anna", BUSY), Rung("ben", ANSWERED)],
        talks=[Talked("ben", 1.0)],
    ),
    numbers=_forward("BUSY"),
    contexts=_FORWARD,
)
async def direct_forward_on_busy(s: Stage) -> None:
    """The agent is busy, and the dialplan rings a colleague."""
    await s.agent("anna", mode="busy")
    ben = await s.agent("ben")
    call = await s.customer("desk")
    await ben.picks_up()
    await s.passes(1.0)
    await call.hangs_up()


@scenario(
    "direct",
    Record(
        IN,
        Disposition.ANSWERED,
        CALLER,
        attempts=[Rung("anna", NO_ANSWER), Rung("ben", ANSWERED)],
        talks=[Talked("ben", 1.0)],
    ),
    numbers=_forward("NOANSWER"),
    contexts=_FORWARD,
)
async def direct_forward_on_no_answer(s: Stage) -> None:
    """The agent does not answer, and the dialplan rings a colleague."""
    await s.agent("anna")
    ben = await s.agent("ben")
    call = await s.customer("desk")
    await ben.picks_up()
    await s.passes(1.0)
    await call.hangs_up()


@scenario(
    "direct",
    Record(IN, Disposition.ANSWERED, CALLER, talks=[Talked("mobile", 1.0)]),
    numbers={"desk": ["Dial(PJSIP/<mobile>@trunk-a,20)", "Hangup()"]},
)
async def direct_forward_always_outside(s: Stage) -> None:
    """Every call to this number is sent on to a mobile: in by one trunk, out by the other."""
    await s.mobile("mobile")
    call = await s.customer("desk", trunk="trunk-b")
    line = await s.offered(s.cast["mobile"])
    await line.picks_up()
    await s.passes(1.0)
    await call.hangs_up()


@scenario(
    "direct",
    Record(
        IN,
        Disposition.ANSWERED,
        CALLER,
        attempts=[Rung("anna", CANCELLED), Rung("ben", ANSWERED), Rung("carl", BUSY)],
        talks=[Talked("ben", 1.0)],
    ),
    numbers={"group": ["Dial(PJSIP/<anna>&PJSIP/<ben>&PJSIP/<carl>,20)", "Hangup()"]},
)
async def direct_ring_group(s: Stage) -> None:
    """Three phones ring at once: one is busy, one answers, and the loser stops ringing."""
    anna, ben = await s.agent("anna"), await s.agent("ben")
    await s.agent("carl", mode="busy")
    call = await s.customer("group")
    await anna.rings()
    line = await ben.rings()
    await s.passes(0.4)
    await line.picks_up()
    await s.passes(1.0)
    await call.hangs_up()


@scenario(
    "direct",
    Record(IN, Disposition.REJECTED, SYSTEM, attempts=[Rung("anna", REJECTED)]),
    numbers={"desk": ["Dial(PJSIP/<anna>,20,gU(refused-{n}))", "Hangup()"]},
    contexts="[refused-{n}]\nexten => s,1,Wait(0.5)\n same => n,Set(GOSUB_RESULT=CONTINUE)\n same => n,Return()",
)
async def direct_confirmation_refused(s: Stage) -> None:
    """The phone is picked up, but the call is not accepted: nobody talked."""
    anna = await s.agent("anna")
    call = await s.customer("desk")
    await anna.picks_up()
    await call.ended()


@scenario(
    "direct",
    Record(
        OUT,
        Disposition.ANSWERED,
        CALLER,
        attempts=[],
        talks=[Talked("anna", 1.0), Talked("mobile", 1.0)],
        caller="anna",
    ),
    numbers={"out": ["Dial(PJSIP/<mobile>@trunk-a,20)", "Hangup()"]},
)
async def outbound_answered(s: Stage) -> None:
    """An agent calls a customer, who answers and hangs up."""
    anna = await s.agent("anna")
    await s.mobile("mobile")
    await anna.dials("out")
    line = await s.offered(s.cast["mobile"])
    await line.picks_up()
    await s.passes(1.0)
    await line.hangs_up()


@scenario(
    "direct",
    Record(
        OUT, Disposition.ANSWERED, AGENT, talks=[Talked("anna", 1.0), Talked("mobile", 1.0)], caller="anna"
    ),
    numbers={
        "out": [
            "Set(CALLERID(all)=The hotline <4008001234>)",
            "Dial(PJSIP/<mobile>@trunk-a,20)",
            "Hangup()",
        ]
    },
)
async def outbound_caller_id_rewritten(s: Stage) -> None:
    """An agent calls out, and the dialplan shows the hotline's number: the record keeps whose call it was."""
    anna = await s.agent("anna")
    await s.mobile("mobile")
    call = await anna.dials("out")
    line = await s.offered(s.cast["mobile"])
    await line.picks_up()
    await s.passes(1.0)
    await call.hangs_up()


@scenario(
    "direct",
    Record(OUT, Disposition.NO_ANSWER, SYSTEM),
    numbers={"out": ["Dial(PJSIP/<mobile>@trunk-a,2)", "Hangup()"]},
)
async def outbound_no_answer(s: Stage) -> None:
    """An agent calls a customer, who does not answer."""
    anna = await s.agent("anna")
    await s.mobile("mobile")
    await (await anna.dials("out")).ended()


@scenario(
    "direct",
    Record(
        INTERNAL,
        Disposition.ANSWERED,
        CALLER,
        attempts=[Rung("ben", ANSWERED)],
        talks=[Talked("anna", 1.0), Talked("ben", 1.0)],
    ),
)
async def internal_answered(s: Stage) -> None:
    """An agent calls a colleague."""
    anna, ben = await s.agent("anna"), await s.agent("ben")
    call = await anna.dials(ben.ext)
    await ben.picks_up()
    await s.passes(1.0)
    await call.hangs_up()


@scenario(
    "direct",
    Record(
        OUT,
        Disposition.ANSWERED,
        AGENT,
        attempts=[Rung("anna", ANSWERED)],
        talks=[Talked("anna", 1.0), Talked("mobile", 1.0)],
    ),
    numbers={"out": ["Dial(PJSIP/<mobile>@trunk-a,20)", "Hangup()"]},
)
async def click_to_call(s: Stage) -> None:
    """A click rings the agent's phone first; when it is picked up, the customer is dialled."""
    anna = await s.agent("anna")
    await s.mobile("mobile")
    await s.does(
        "Originate",
        Channel=anna.device,
        Context="from-internal",
        Exten=s.number("out"),
        Priority="1",
        CallerID="4008001234",
        Async="true",
    )
    line = await anna.picks_up()
    customer = await s.offered(s.cast["mobile"])
    await customer.picks_up()
    await s.passes(1.0)
    await line.hangs_up()


@scenario("direct", Record(INTERNAL, Disposition.NO_ANSWER, SYSTEM, attempts=[Rung("anna", NO_ANSWER)]))
async def originate_not_answered(s: Stage) -> None:
    """A click rings the agent's phone, which nobody picks up."""
    anna = await s.agent("anna")
    await s.does(
        "Originate",
        Channel=anna.device,
        Application="Wait",
        Data="5",
        CallerID="4008001234",
        Timeout="1500",
        Async="true",
    )
    await anna.rings()
    await s.saw("Hangup")


@scenario("direct", Record(INTERNAL, Disposition.BUSY, SYSTEM, attempts=[Rung("anna", BUSY)]))
async def originate_busy(s: Stage) -> None:
    """A click rings an agent whose phone is busy."""
    anna = await s.agent("anna", mode="busy")
    await s.does(
        "Originate", Channel=anna.device, Application="Wait", Data="5", CallerID="4008001234", Async="true"
    )
    await s.saw("Hangup")


@scenario(
    "direct",
    Record(
        IN,
        Disposition.ANSWERED,
        CALLER,
        attempts=[Rung("anna", ANSWERED)],
        talks=[Talked("anna", 0.8)],
        caller="customer",
        caller_name="Seán O'Brien 株式会社",
    ),
    numbers=TO_ANNA,
)
async def name_of_several_bytes(s: Stage) -> None:
    """The caller's name has an apostrophe, which AMI escapes, and letters of several bytes."""
    anna = await s.agent("anna")
    call = await s.customer("desk", name="Seán O'Brien 株式会社")
    await anna.picks_up()
    await s.passes(0.8)
    await call.hangs_up()


@scenario(
    "direct",
    Record(
        IN,
        Disposition.ANSWERED,
        CALLER,
        attempts=[Rung("anna", ANSWERED)],
        talks=[Talked("anna", 0.8)],
        caller="customer",
        caller_name='The "Crow" \\ Söhne',
    ),
    numbers={
        "desk": [
            'Set(CALLERID(name)=The "Crow" \\ Söhne)',
            "Dial(PJSIP/<anna>,20)",
            "Hangup()",
        ]
    },
)
async def name_looked_up(s: Stage) -> None:
    """The dialplan looks the customer up and sets a name with quotes and a backslash."""
    anna = await s.agent("anna")
    call = await s.customer("desk")
    await anna.picks_up()
    await s.passes(0.8)
    await call.hangs_up()


@scenario(
    "direct",
    Record(
        IN,
        Disposition.ANSWERED,
        CALLER,
        attempts=[Rung("anna", ANSWERED)],
        talks=[Talked("anna", 0.8)],
        caller="anonymous",
        caller_name="Anonymous",
    ),
    numbers=TO_ANNA,
)
async def number_withheld(s: Stage) -> None:
    """The customer's number is not shown: the network says anonymous, and so does the record."""
    anna = await s.agent("anna")
    call = await s.customer("desk", number="", name="")
    await anna.picks_up()
    await s.passes(0.8)
    await call.hangs_up()


@scenario(
    "direct",
    Record(
        IN,
        Disposition.ANSWERED,
        CALLER,
        attempts=[Rung("anna", ANSWERED)],
        talks=[Talked("anna", 0.8)],
        caller="",
        caller_name="",
    ),
    numbers=TO_ANNA,
)
async def number_missing(s: Stage) -> None:
    """The network tells neither a number nor a name, not even that they are withheld; the record has none."""
    anna = await s.agent("anna")
    call = await s.customer("desk", number="", name="", variables=NO_NUMBER)
    await anna.picks_up()
    await s.passes(0.8)
    await call.hangs_up()


@scenario(
    "direct",
    Record(
        IN,
        Disposition.ANSWERED,
        CALLER,
        attempts=[Rung("anna", ANSWERED)],
        talks=[Talked("anna", 2.2, hold=0.0)],
    ),
    Record(
        IN,
        Disposition.ANSWERED,
        CALLER,
        attempts=[Rung("anna", ANSWERED, state=State.ON_CALL)],
        talks=[Talked("anna", 1.0)],
    ),
    numbers=TO_ANNA,
)
async def agent_takes_a_second_call(s: Stage) -> None:
    """While an agent talks a second customer calls and is answered on the phone's other line; two calls, never one."""
    anna = await s.agent("anna")
    first = await s.customer("desk", "first")
    await anna.picks_up()
    await s.passes(0.6)
    second = await s.customer("desk", "second")
    await anna.picks_up()
    await s.passes(1.0)
    await second.hangs_up()
    await s.passes(0.6)
    await first.hangs_up()
