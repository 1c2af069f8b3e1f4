"""The way of one byte, without sockets: framer, stream, inbox, pump, core and sinks, in which nothing hides a bug."""

from collections.abc import Sequence

from prometheus_client import CollectorRegistry

from cti.core.core import Core, Outcome
from cti.core.events import Event
from cti.core.facts import Fact
from cti.core.rules import AwayRule, Rules
from cti.core.wire import MAX_FRAME, Framer, Message
from cti.daemon.inbox import Inbox
from cti.daemon.live import Live
from cti.daemon.pump import Pump, Take
from cti.daemon.resync import STEPS, Stream
from metrics.record import Metrics

RULES = Rules(away=AwayRule(8.0, 3.0, 1.0), trunks=("PJSIP/trunk-a", "PJSIP/trunk-b"))
INBOX = 400


class LoudPump(Pump):
    """A pump that lets an exception of ours out, where the daemon's logs it, counts it and goes on."""

    def _guarded(self, event: Event) -> Outcome:
        return self.core.step(event)

    def _give(self, sink: Take, facts: Sequence[Fact]) -> None:
        sink(facts)


class Pipeline:
    """One PBX's way through the daemon; `read` takes the bytes of one read of the socket."""

    def __init__(self) -> None:
        self.at = 1_790_000_000.0
        self.core = Core("main", RULES)
        self.inbox = Inbox(INBOX)
        self.stream = Stream("main", self.inbox.put, hold=INBOX)
        self.live = Live()
        self.registry = CollectorRegistry()
        self.metrics = Metrics(
            self.registry, service_level={}, default_service_level=20.0, now=lambda: self.at, pbxs=["main"]
        )
        self.pump = LoudPump(
            self.core, (self.live.take, self.metrics.take, self._kept), lambda _commands: None
        )
        self.framer = Framer()
        self.facts = 0
        self.answers: list[Message] = []
        self.longest_rest = 0
        self.lose()

    def _kept(self, facts: Sequence[Fact]) -> None:
        self.facts += len(facts)
        for fact in facts:
            assert fact.key[1], fact
            hash(fact)

    def connect(self) -> None:
        """A new connection, in the same life of the daemon."""
        self.stream.connected()
        self.framer = Framer()

    def read(self, data: bytes) -> int:
        """Take the bytes of one read; returns how many frames they completed."""
        self.at += 0.001
        frames = self.framer.feed(data)
        for frame in frames:
            answer = self.stream.take(frame, self.at, self.at)
            if answer is not None:
                self.answers[:] = [answer]
        self.longest_rest = max(self.longest_rest, len(self.framer._rest))
        assert len(self.framer._rest) <= MAX_FRAME + len(data)
        if self.inbox.depth:
            self.drain()
        return len(frames)

    def drain(self) -> None:
        batch, self.inbox._items = self.inbox._items, []
        self.pump.step_all(batch)

    def lose(self) -> None:
        """The connection ends, is made again, and the PBX says that nothing lives on it."""
        self.stream.disconnected(self.at, self.at, "cut")
        self.connect()
        self.stream.expected = None
        for step in STEPS:
            self.read(_answer(step, self.at))
        assert self.stream.mode.value == "live"
        self.drain()

    def sizes(self) -> dict[str, int]:
        """Everything that could grow, by name."""
        calls, agents = self.core.calls, self.core.agents
        return {
            "legs": len(calls.legs),
            "calls": len(calls.calls),
            "bridges": len(calls.bridges),
            "names": len(calls._by_name),
            "moving": len(calls.moving),
            "dirty": len(calls._dirty),
            "held": len(self.stream._held),
            "members": sum(len(agent.members) for agent in agents._agents.values()),
            "ringing": sum(len(agent.ringing) for agent in agents._agents.values()),
            "on_call": sum(len(agent.active) for agent in agents._agents.values()),
            "queue_talks": sum(len(agent.queue_talks) for agent in agents._agents.values()),
            "live_calls": len(self.live._open),
        }


def _answer(step: str, at: float) -> bytes:
    """What an empty PBX answers to one step of a resync."""
    head = f"Response: Success\r\nActionID: cti-resync-7-{step}\r\n"
    body = {
        "Ping": f"Ping: Pong\r\nTimestamp: {at:.6f}\r\n",
        "CoreSettings": "AsteriskVersion: 22.10.1\r\n",
        "CoreStatus": "CoreStartupDate: 2026-09-01\r\nCoreStartupTime: 08:00:00\r\n",
    }.get(step)
    if body is not None:
        return f"{head}{body}\r\n".encode()
    last = f"Event: {step}Complete\r\nActionID: cti-resync-7-{step}\r\nEventList: Complete\r\nListItems: 0\r\n\r\n"
    return f"{head}EventList: start\r\nMessage: follows\r\n\r\n{last}".encode()
