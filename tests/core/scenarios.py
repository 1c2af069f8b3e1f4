"""Calls as a real Asterisk 22 tells them, each as one function on a dialogue.

The order of the lines is that of AMI captures of the real thing. `n` keeps the ids of one call apart from those of
others: channels are `<n>.1`, `<n>.2` …, agents `<n>1`, `<n>2` at devices PJSIP/<agent>, the queue is `q<n>`.
"""

from collections.abc import Callable

from cti.core import events as ev
from cti.core.facts import Disposition, StayOutcome
from tests.core.dialogue import START, Dialogue

Scenario = Callable[[Dialogue, str], None]


def device(agent: str) -> str:
    return f"PJSIP/{agent}"


def comes_in(d: Dialogue, n: str, queue: str = "") -> str:
    """A customer's call is there, and waits if a queue is named; returns its channel."""
    caller = f"{n}.1"
    d.channel(caller, f"PJSIP/trunk-a-000{n}1")
    if queue:
        d.up(caller)
        d.wait(0.5)
        d.join(queue, caller)
    return caller


def takes(d: Dialogue, queue: str, caller: str, uniqueid: str, agent: str) -> None:
    """The member picks up, and app_queue puts the two together."""
    d.up(uniqueid)
    d.dial_end(caller, uniqueid, "ANSWER")
    d.leave_queue(queue, caller)
    d.connect(queue, caller, uniqueid, agent, device(agent))
    d.enter(f"b{caller}", uniqueid, caller)


def queue_answered(d: Dialogue, n: str) -> None:
    """The agent picks up after 3 s, they talk 20 s, the caller hangs up."""
    agent, queue = f"{n}1", f"q{n}"
    d.member(agent, device(agent), queue)
    caller = comes_in(d, n, queue)
    d.ring(queue, caller, f"{n}.2", agent, device(agent))
    d.member(agent, device(agent), queue, what="changed", status=6)
    d.wait(3)
    takes(d, queue, caller, f"{n}.2", agent)
    d.wait(20)
    d.asks_hangup(caller)
    d.complete(queue, caller, agent, device(agent), talk=20.0)
    d.leave(f"b{caller}", caller, f"{n}.2")
    d.destroy(f"b{caller}")
    d.asks_hangup(caller, by_device=False)
    d.hangup(f"{n}.2")
    d.member(agent, device(agent), queue, what="changed")
    d.hangup(caller)


def queue_abandoned(d: Dialogue, n: str) -> None:
    """The caller hangs up while the agent's phone rings."""
    agent, queue = f"{n}1", f"q{n}"
    d.member(agent, device(agent), queue)
    caller = comes_in(d, n, queue)
    d.ring(queue, caller, f"{n}.2", agent, device(agent))
    d.wait(7)
    d.asks_hangup(caller)
    d.dial_end(caller, f"{n}.2", "CANCEL")
    d.dial_end(caller, f"{n}.2", "CANCEL")
    d.abandon(queue, caller)
    d.hangup(f"{n}.2", 0)
    d.leave_queue(queue, caller)
    d.asks_hangup(caller, by_device=False)
    d.hangup(caller)


def queue_timeout(d: Dialogue, n: str) -> None:
    """Nobody picks up within the queue's time; an announcement follows, and the PBX hangs up."""
    agent, queue = f"{n}1", f"q{n}"
    d.member(agent, device(agent), queue)
    caller = comes_in(d, n, queue)
    d.ring(queue, caller, f"{n}.2", agent, device(agent))
    d.wait(15)
    d.rings_no_answer(queue, caller, f"{n}.2", agent, device(agent))
    d.dial_end(caller, f"{n}.2", "NOANSWER")
    d.dial_end(caller, f"{n}.2", "CANCEL")
    d.hangup(f"{n}.2", 0)
    d.abandon(queue, caller)
    d.leave_queue(queue, caller)
    d.wait(2)
    d.asks_hangup(caller, by_device=False)
    d.hangup(caller, status="TIMEOUT")


def queue_second_agent(d: Dialogue, n: str) -> None:
    """The first agent lets it ring, the second picks up and hangs up."""
    one, two, queue = f"{n}1", f"{n}2", f"q{n}"
    d.member(one, device(one), queue)
    d.member(two, device(two), queue)
    caller = comes_in(d, n, queue)
    d.ring(queue, caller, f"{n}.2", one, device(one))
    d.wait(10)
    d.rings_no_answer(queue, caller, f"{n}.2", one, device(one))
    d.dial_end(caller, f"{n}.2", "NOANSWER")
    d.dial_end(caller, f"{n}.2", "CANCEL")
    d.hangup(f"{n}.2", 0)
    d.wait(1)
    d.ring(queue, caller, f"{n}.3", two, device(two))
    d.wait(2)
    takes(d, queue, caller, f"{n}.3", two)
    d.wait(30)
    d.asks_hangup(f"{n}.3")
    d.complete(queue, caller, two, device(two), talk=30.0)
    d.leave(f"b{caller}", f"{n}.3", caller)
    d.hangup(f"{n}.3")
    d.asks_hangup(caller, by_device=False)
    d.hangup(caller)


def queue_left_by_key(d: Dialogue, n: str) -> None:
    """The caller presses a key that leads out of the queue."""
    queue = f"q{n}"
    caller = comes_in(d, n, queue)
    d.wait(4)
    d.leave_queue(queue, caller)
    d.wait(3)
    d.asks_hangup(caller, by_device=False)
    d.hangup(caller)


def queue_ringall(d: Dialogue, n: str) -> None:
    """Two phones ring, one is picked up."""
    one, two, queue = f"{n}1", f"{n}2", f"q{n}"
    d.member(one, device(one), queue)
    d.member(two, device(two), queue)
    caller = comes_in(d, n, queue)
    d.ring(queue, caller, f"{n}.2", two, device(two))
    d.ring(queue, caller, f"{n}.3", one, device(one))
    d.wait(2)
    d.up(f"{n}.3")
    d.dial_end(caller, f"{n}.2", "CANCEL")
    d.hangup(f"{n}.2", 26)
    takes(d, queue, caller, f"{n}.3", one)
    d.wait(9)
    d.asks_hangup(f"{n}.3")
    d.complete(queue, caller, one, device(one), talk=9.0)
    d.leave(f"b{caller}", f"{n}.3", caller)
    d.hangup(f"{n}.3")
    d.hangup(caller)


def direct(d: Dialogue, n: str, *, by: str = "caller") -> None:
    """A call to an agent's own number is answered."""
    agent = f"{n}1"
    d.member(agent, device(agent), f"q{n}")
    caller = comes_in(d, n)
    d.rung(f"{n}.2", device(agent), linkedid=caller)
    d.dial(caller, f"{n}.2", device(agent))
    d.wait(2)
    d.up(f"{n}.2")
    d.dial_end(caller, f"{n}.2", "ANSWER")
    d.up(caller)
    d.enter(f"b{caller}", f"{n}.2", caller)
    d.wait(12)
    first, second = (caller, f"{n}.2") if by == "caller" else (f"{n}.2", caller)
    d.asks_hangup(first)
    d.leave(f"b{caller}", first, second)
    d.destroy(f"b{caller}")
    d.hangup(second)
    d.hangup(first)


def direct_by_agent(d: Dialogue, n: str) -> None:
    direct(d, n, by="agent")


def unanswered(d: Dialogue, n: str, status: str, cause: int, *, caller_cause: int = 0) -> None:
    """A call to an agent's own number comes to nothing: the phone, or the PBX, ends the ringing."""
    agent = f"{n}1"
    d.member(agent, device(agent), f"q{n}")
    caller = comes_in(d, n)
    d.rung(f"{n}.2", device(agent), linkedid=caller)
    d.dial(caller, f"{n}.2", device(agent))
    d.wait(1)
    d.asks_hangup(f"{n}.2")
    d.dial_end(caller, f"{n}.2", status)
    d.hangup(f"{n}.2", cause)
    d.hangup(caller, caller_cause or cause)


def direct_busy(d: Dialogue, n: str) -> None:
    unanswered(d, n, "BUSY", 17)


def direct_rejected(d: Dialogue, n: str) -> None:
    unanswered(d, n, "NOANSWER", 21)


def direct_unreachable(d: Dialogue, n: str) -> None:
    unanswered(d, n, "CHANUNAVAIL", 20)


def direct_no_answer(d: Dialogue, n: str) -> None:
    """It rings until the dial's time is over."""
    agent = f"{n}1"
    d.member(agent, device(agent), f"q{n}")
    caller = comes_in(d, n)
    d.rung(f"{n}.2", device(agent), linkedid=caller)
    d.dial(caller, f"{n}.2", device(agent))
    d.wait(20)
    d.dial_end(caller, f"{n}.2", "NOANSWER")
    d.hangup(f"{n}.2", 0)
    d.asks_hangup(caller, by_device=False)
    d.hangup(caller, 16)


def direct_cancelled(d: Dialogue, n: str) -> None:
    """The caller hangs up while it rings."""
    agent = f"{n}1"
    d.member(agent, device(agent), f"q{n}")
    caller = comes_in(d, n)
    d.rung(f"{n}.2", device(agent), linkedid=caller)
    d.dial(caller, f"{n}.2", device(agent))
    d.wait(5)
    d.asks_hangup(caller)
    d.dial_end(caller, f"{n}.2", "CANCEL")
    d.hangup(f"{n}.2", 16)
    d.hangup(caller)


def menu(d: Dialogue, n: str) -> None:
    """The caller hangs up while an announcement plays."""
    caller = comes_in(d, n)
    d.up(caller)
    d.wait(6)
    d.asks_hangup(caller)
    d.hangup(caller)


def duty_accepted(d: Dialogue, n: str) -> None:
    """After hours: the first mobile does not take it, the second presses 1 and talks (Local /n legs)."""
    caller = comes_in(d, n)
    d.up(caller)
    for leg, number in ((2, "13911110001"), (5, "13911110002")):
        one, two, mobile = (f"{n}.{leg + i}" for i in range(3))
        d.local(one, two, f"{number}@cti-leg", linkedid=caller)
        d.dial(caller, one, f"{number}@cti-leg/n")
        d.rung(mobile, "PJSIP/trunk-a", linkedid=caller)
        d.dial(two, mobile, f"{number}@trunk-a")
        d.wait(4)
        if leg == 2:
            d.dial_end(two, mobile, "NOANSWER")
            d.hangup(mobile, 0)
            d.asks_hangup(two, by_device=False)
            d.dial_end(caller, one, "NOANSWER")
            d.hangup(one, 21)
            d.hangup(two, 21)
    d.up(mobile)
    d.dial_end(two, mobile, "ANSWER")
    d.wait(1.2)  # the prompt, and the key
    d.up(two)
    d.enter(f"i{caller}", mobile, two)
    d.up(one)
    d.dial_end(caller, one, "ANSWER")
    d.enter(f"o{caller}", one, caller)
    d.wait(60)
    d.asks_hangup(mobile)
    d.leave(f"i{caller}", mobile)
    d.leave(f"i{caller}", two)
    d.hangup(mobile)
    d.hangup(two, 21)
    d.leave(f"o{caller}", one)
    d.leave(f"o{caller}", caller)
    d.hangup(one, 21)
    d.asks_hangup(caller, by_device=False)
    d.hangup(caller)


def local_member(d: Dialogue, n: str, *, optimised: bool = False) -> None:
    """The queue's member is a Local channel that dials the agent's phone."""
    agent, queue, interface = f"{n}1", f"q{n}", f"Local/{n}1@agents" + ("" if optimised else "/n")
    d.member(agent, interface, queue, state_interface=device(agent))
    caller = comes_in(d, n, queue)
    one, two, phone = f"{n}.2", f"{n}.3", f"{n}.4"
    d.local(one, two, f"{n}1@agents", linkedid=caller)
    d.ring(queue, caller, one, agent, interface)
    d.rung(phone, device(agent), linkedid=caller)
    d.dial(two, phone, device(agent))
    d.wait(3)
    d.up(phone)
    d.dial_end(two, phone, "ANSWER")
    d.enter(f"i{caller}", phone, two)
    d.up(one)
    d.dial_end(caller, one, "ANSWER")
    d.leave_queue(queue, caller)
    d.connect(queue, caller, one, agent, interface)
    d.enter(f"o{caller}", one, caller)
    if optimised:
        d.optimises(one, begun=True)
        d.leave(f"i{caller}", phone)
        d.leave(f"o{caller}", one)
        d.enter(f"o{caller}", phone, swapped=one)
        d.optimises(one, begun=False)
        d.leave(f"i{caller}", two)
        d.destroy(f"i{caller}")
        d.asks_hangup(two, by_device=False)
        d.asks_hangup(one)
        d.hangup(two)
        d.hangup(one)
    d.wait(10)
    d.asks_hangup(phone)
    if optimised:
        d.leave(f"o{caller}", phone, caller)
        d.hangup(phone)
    else:
        d.leave(f"i{caller}", phone, two)
        d.hangup(phone)
        d.hangup(two)
        d.leave(f"o{caller}", one, caller)
        d.hangup(one)
    d.complete(queue, caller, agent, interface, talk=10.0)
    d.hangup(caller)


def local_member_optimised(d: Dialogue, n: str) -> None:
    local_member(d, n, optimised=True)


def dials_out(d: Dialogue, n: str) -> None:
    """An agent calls a customer."""
    agent = f"{n}1"
    d.member(agent, device(agent), f"q{n}")
    caller = f"{n}.1"
    d.channel(caller, f"{device(agent)}-000{n}", exten="13911110009", number=agent, context="from-internal")
    d.rung(f"{n}.2", "PJSIP/trunk-a", linkedid=caller)
    d.dial(caller, f"{n}.2", "13911110009@trunk-a")
    d.wait(4)
    d.dial_end(caller, f"{n}.2", "ANSWER")
    d.enter(f"b{caller}", f"{n}.2", caller)
    d.wait(8)
    d.asks_hangup(f"{n}.2")
    d.leave(f"b{caller}", f"{n}.2", caller)
    d.hangup(f"{n}.2")
    d.hangup(caller)


ALL: dict[str, Scenario] = {
    scenario.__name__: scenario
    for scenario in (
        queue_answered,
        queue_abandoned,
        queue_timeout,
        queue_second_agent,
        queue_left_by_key,
        queue_ringall,
        direct,
        direct_by_agent,
        direct_busy,
        direct_rejected,
        direct_unreachable,
        direct_no_answer,
        direct_cancelled,
        menu,
        duty_accepted,
        local_member,
        local_member_optimised,
        dials_out,
    )
}

DISPOSITION: dict[str, Disposition] = {
    "queue_answered": Disposition.ANSWERED,
    "queue_abandoned": Disposition.ABANDONED,
    "queue_timeout": Disposition.NO_ANSWER,
    "queue_second_agent": Disposition.ANSWERED,
    "queue_left_by_key": Disposition.NO_ANSWER,
    "queue_ringall": Disposition.ANSWERED,
    "direct": Disposition.ANSWERED,
    "direct_by_agent": Disposition.ANSWERED,
    "direct_busy": Disposition.BUSY,
    "direct_rejected": Disposition.REJECTED,
    "direct_unreachable": Disposition.FAILED,
    "direct_no_answer": Disposition.NO_ANSWER,
    "direct_cancelled": Disposition.NO_ANSWER,
    "menu": Disposition.LEFT_MENU,
    "duty_accepted": Disposition.ANSWERED,
    "local_member": Disposition.ANSWERED,
    "local_member_optimised": Disposition.ANSWERED,
    "dials_out": Disposition.ANSWERED,
}

STAY: dict[str, StayOutcome] = {
    "queue_answered": StayOutcome.ANSWERED,
    "queue_abandoned": StayOutcome.ABANDONED,
    "queue_timeout": StayOutcome.TIMEOUT,
    "queue_second_agent": StayOutcome.ANSWERED,
    "queue_left_by_key": StayOutcome.LEFT_BY_KEY,
    "queue_ringall": StayOutcome.ANSWERED,
    "local_member": StayOutcome.ANSWERED,
    "local_member_optimised": StayOutcome.ANSWERED,
}


def script(scenario: Scenario, n: str, *, at: float = START) -> list[ev.Event]:
    """The lines of one scenario."""
    d = Dialogue(at=at)
    scenario(d, n)
    return [event for event in d.events if not isinstance(event, ev.Tick)]
