"""Whoever comes, pauses and goes while the daemon dies and its link breaks: the records end as queue_log has it (B3, C1, C3).

The core and the bookkeeper are the real ones; the PBX is what app_queue does with one agent, the disk what the store makes of
facts, and the judge the soak's, which knows nothing of either.
"""

import asyncio
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import pytest

from cti.core import events as ev
from cti.core.books import QueueRow, parse_queue_line
from cti.core.core import Core
from cti.core.facts import AgentState, AwayEpisode, Fact, FactKey, Gap, Incident, Link
from cti.core.memory import Known, Memory
from cti.core.rules import AwayRule, Rules
from cti.daemon.bookkeeper import Bookkeeper
from cti.daemon.books import BookRows
from store.pending import KEPT, reopens
from store.queries import StateSpan
from tests.core.dialogue import seen_member
from tests.soak.attendance import compare, compare_absences, read
from tests.soak.clerks import QUEUES, Membership, Restart

AGENT, PHONE, PBX = "2101", "PJSIP/1101", "main"
T0 = 1_795_000_000.0
RULES = Rules(away=AwayRule(limit=900.0, warn_before=120.0, grace=1.0))
LATER = 0.0017  # s after which an event of something is heard
SYNC = 0.3  # s that asking the PBX takes

REASONS = ("lunch", "break", "")

Act = tuple[str, str, str]
"""What the agent does: a verb, a queue ("" all of them), a pause reason."""


@dataclass
class Seat:
    """A member of one queue, as app_queue has it."""

    paused: bool
    reason: str
    last_pause: float


@dataclass
class Pbx:
    """app_queue, and its queue_log."""

    booted: float = T0 - 5000
    seats: dict[str, Seat] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)
    before: list[tuple[float, dict[str, Seat]]] = field(default_factory=list)

    def act(self, at: float, act: Act) -> list[ev.Event]:
        """Do it, when it can be done; what AMI says of it."""
        self.before.append((at, {queue: replace(seat) for queue, seat in self.seats.items()}))
        verb, queue, reason = act
        match verb:
            case "add" if queue not in self.seats:
                paused = bool(reason) and all(seat.paused for seat in self.seats.values()) is False
                self.seats[queue] = Seat(paused, "", int(at) if paused else 0.0)
                self._line(at, "MANAGER", queue, "ADDMEMBER", "PAUSED" if paused else "")
                return [self._seen(at, queue, "added")]
            case "remove" if queue in self.seats:
                del self.seats[queue]
                self._line(at, "MANAGER", queue, "REMOVEMEMBER", "")
                return [ev.MemberRemoved(at + LATER, queue, AGENT, PHONE)]
            case "pause" | "unpause":
                return list(self._pause(at, queue, reason, paused=verb == "pause"))
        return []

    def _pause(self, at: float, queue: str, reason: str, *, paused: bool) -> Iterator[ev.Event]:
        chosen = [name for name in self.seats if queue in {"", name}]
        others = [seat.reason for name, seat in self.seats.items() if seat.paused and name not in chosen]
        reason = (
            (others[0] if others else reason) if paused else ""
        )  # of two at a time nobody knows the first
        if chosen and not queue:
            self._line(at, "NONE", "NONE", "PAUSEALL" if paused else "UNPAUSEALL", reason)
        for name in chosen:
            self.seats[name] = Seat(paused, reason, int(at) if paused else self.seats[name].last_pause)
            self._line(at, "NONE", name, "PAUSE" if paused else "UNPAUSE", reason)
            yield self._seen(at, name, "changed")

    def _line(self, at: float, callid: str, queue: str, verb: str, data: str) -> None:
        self.lines.append(f"{int(at)}|{callid}|{queue}|{AGENT}|{verb}|{data}")

    def _seen(self, at: float, queue: str, what: str) -> ev.MemberSeen:
        seat = self.seats[queue]
        return seen_member(
            at + LATER,
            AGENT,
            PHONE,
            queue,
            what=what,
            paused=seat.paused,
            reason=seat.reason,
            last_pause=seat.last_pause,
        )

    def listed(self, at: float) -> ev.Resynced:
        return ev.Resynced(
            at,
            self.booted,
            members=tuple(self._seen(at - LATER, queue, "listed") for queue in sorted(self.seats)),
        )

    def die(self, at: float, forgets: float) -> None:
        """What AstDB had not written is as it was before."""
        for then, seats in reversed(self.before):
            if then < at - forgets:
                break
            self.seats = seats
        self.before = []

    def start(self, at: float) -> None:
        self.booted = float(int(at))
        for seat in self.seats.values():
            seat.last_pause = self.booted if seat.paused else 0.0
        self.lines.append(f"{int(at)}|NONE|NONE|NONE|QUEUESTART|")

    def members(self) -> Membership:
        return {queue: (seat.paused, seat.reason) for queue, seat in self.seats.items()}

    # -- as books

    any, missing, behind = True, "", 0.0

    async def read(self, since: float, until: float) -> BookRows:
        rows = [parse_queue_line(line) for line in self.lines]
        return BookRows(
            tuple(row for row in rows if isinstance(row, QueueRow) and since <= row.at <= until),
            places={"queue_log": "queue_log"},
        )


class Disk:
    """What the store makes of facts, and loses of them."""

    def __init__(self) -> None:
        self.now = T0
        self.rows: dict[FactKey, Any] = {}
        self.spool: dict[FactKey, Fact] = {}
        self._waiting: list[tuple[float, Fact, bool]] = []

    def put(self, facts: Iterable[Fact], *, from_books: bool = False) -> None:
        kinds = (AgentState, AwayEpisode, Gap, Incident, Link)
        self._waiting += [(self.now, fact, from_books) for fact in facts if isinstance(fact, kinds)]

    def keep(self, facts: Iterable[Fact]) -> None:
        """The spool has the newest of each kind that it takes; here it is never trimmed, as if each death came before that."""
        for fact in facts:
            if type(fact) in KEPT:
                self.spool[fact.key] = fact

    async def committed(self) -> None:
        self.flush()

    def flush(self, until: float = float("inf")) -> None:
        kept = []
        for at, fact, from_books in self._waiting:
            if at <= until or (type(fact) in KEPT and not from_books):
                self._write(fact, from_books=from_books)
            else:
                kept.append((at, fact, from_books))
        self._waiting = kept

    def lose(self, seconds: float) -> None:
        """The daemon is killed: what waited to be written is gone, but for what is in the spool."""
        self.flush(self.now - seconds)
        self._waiting = []

    def _write(self, fact: Fact, *, from_books: bool) -> None:
        old = self.rows.get(fact.key)
        if old is not None and (from_books or reopens(fact, old)):
            return
        if old is not None and isinstance(fact, AgentState) and self.states()[-1].since > fact.since:
            return
        self.rows[fact.key] = fact

    def _all(self, kind: type[Any]) -> list[Any]:
        return [fact for fact in self.rows.values() if isinstance(fact, kind)]

    def states(self) -> list[AgentState]:
        return sorted(self._all(AgentState), key=lambda one: one.since)

    def episodes(self) -> list[AwayEpisode]:
        return sorted(self._all(AwayEpisode), key=lambda one: one.started_at)

    def lasting(self) -> dict[FactKey, Any]:
        """Everything but the gaps."""
        return {key: fact for key, fact in self.rows.items() if not isinstance(fact, Gap)}

    def gaps(self) -> list[Gap]:
        return self._all(Gap)

    def spans(self) -> list[StateSpan]:
        states = self.states()
        return [StateSpan(one, after.since) for one, after in pairwise(states)] + [
            StateSpan(one, None) for one in states[-1:]
        ]

    def memory(self, booted: float) -> Memory:
        episodes = tuple(one for one in self.episodes() if one.ended_at is None)
        return Memory(episodes=episodes, agent_states=tuple(self.states()[-1:]), booted_at=booted)

    # -- as queries

    async def around(self, pbx: str, uniqueids: Iterable[str], *, since: float, before: float) -> Known:  # noqa: ARG002
        states = [
            span.state
            for span in self.spans()
            if span.state.since < before and (span.until is None or span.until > since)
        ]
        episodes = [
            one
            for one in self.episodes()
            if one.started_at < before and (one.ended_at is None or one.ended_at > since)
        ]
        gaps = [gap for gap in self.gaps() if gap.began_at < before and gap.ended_at > since]
        return Known(agent_states=states, episodes=episodes, gaps=gaps)

    async def seen_between(self, pbx: str) -> tuple[float, float] | None:  # noqa: ARG002
        links = [link.at for link in self._all(Link)]
        if not links:
            return None
        return min(links), max([*links, *(one.since for one in self.states())])

    async def open_gaps(self, pbx: str) -> tuple[Gap, ...]:  # noqa: ARG002
        return tuple(gap for gap in self.gaps() if gap.filled_at is None)


class Daemon:
    """From its start to its death."""

    def __init__(self, pbx: Pbx, disk: Disk) -> None:
        self.pbx, self.disk = pbx, disk
        self.commands: list[Any] = []
        self.core = Core(PBX, RULES)
        self.listens = False

    async def start(self, booted: float) -> None:
        self.disk.put(self.disk.spool.values())
        self.disk.flush()
        memory, seen = self.disk.memory(booted), await self.disk.seen_between(PBX)
        self.core.restore(memory)
        self.keeper = Bookkeeper(
            PBX,
            RULES,
            self.pbx,  # type: ignore[arg-type]  # has of the books what is asked of them
            self.disk,
            self.disk,
            now=lambda: self.disk.now,
            learned=self.core.agents.learn,
            away=self.core.agents.learn_away,
            keep=self.disk.keep,
            every=1e9,
        )
        await self.keeper.restore(seen)

    def hear(self, events: Iterable[ev.Event]) -> None:
        for event in events:
            self.wait(event.at)
            self._step(event)

    def wait(self, until: float) -> None:
        """Time passes: what comes due is dealt with in its instant."""
        while (due := self.core.next_deadline()) is not None and due < until:
            self.disk.now = max(self.disk.now, due)
            self._step(ev.Tick(due))

    def _step(self, event: ev.Event) -> None:
        outcome = self.core.step(event)
        self.commands += outcome.commands
        self.disk.keep(outcome.facts)
        self.disk.put(outcome.facts)
        self.keeper.take(outcome.facts)

    async def round(self) -> None:
        status = await self.keeper.round()
        assert not status.unverified


@dataclass(frozen=True)
class Break:
    """What breaks: after so many seconds of peace, for so long; and what is lost by it (s before it)."""

    what: str  # kill, cut, pbx
    after: float
    lasts: float
    loses: float


@dataclass
class World:
    """Everything, second by second."""

    every: float  # s between two rounds of the bookkeeper
    pbx: Pbx = field(default_factory=Pbx)
    disk: Disk = field(default_factory=Disk)
    restarts: list[Restart] = field(default_factory=list)

    async def live(self, acts: Sequence[tuple[float, Act]], breaks: Sequence[Break]) -> None:
        doings = self._times(acts, breaks)
        self.daemon = Daemon(self.pbx, self.disk)
        self.alive = self.up = True  # the daemon, and the PBX
        self.started = False
        self.booted = self.pbx.booted
        await self.daemon.start(self.booted)
        self._attach(T0)
        self._round_at = T0 + self.every
        for at, what in doings:
            await self._until(at)
            if what[0] == "mended":
                await self._mend(at)
            elif len(what) == len(("what", "loses")):
                self._break(at, *what)
            else:
                said = self.pbx.act(at, what)
                if self.daemon.listens:
                    self.daemon.hear(said)
        await self._until(at + 60)

    def _break(self, at: float, what: str, loses: float) -> None:
        if what == "kill":
            self.disk.lose(loses)
            self.alive = self.daemon.listens = self.started = False
            return
        if what == "pbx":
            self.up, self.died = False, at
            self.pbx.die(at, loses)
        if self.daemon.listens:
            self.daemon.listens = False
            self.daemon.hear([ev.LinkLost(at, what)])

    async def _mend(self, at: float) -> None:
        if not self.up:
            self.up = True
            self.pbx.start(at)
            self.restarts.append(Restart(self.died, at + 0.1, {AGENT: self.pbx.members()}))
        if not self.alive:
            self.daemon = Daemon(self.pbx, self.disk)
            self.alive = True
            await self.daemon.start(self.booted)
            self._round_at = at + self.every
        if not self.daemon.listens:
            self._attach(at + SYNC)

    def _attach(self, at: float) -> None:
        self.disk.now = at
        self.daemon.hear([self.pbx.listed(at)])
        self.booted = self.pbx.booted
        self.daemon.listens = self.started = True

    async def _until(self, at: float) -> None:
        while self.alive and self._round_at < at:
            self._now(self._round_at)
            await self.daemon.round()
            self._round_at += self.every
        self._now(at)

    def _now(self, at: float) -> None:
        if self.alive and self.started:
            self.daemon.wait(at)
        self.disk.now = max(at, self.disk.now)
        if self.alive:
            self.disk.flush(at - 0.2)

    @staticmethod
    def _times(acts: Sequence[tuple[float, Act]], breaks: Sequence[Break]) -> list[tuple[float, Any]]:
        troubles: list[tuple[float, Any]] = []
        at, quiet = T0 + 1, []
        for one in breaks:
            at += one.after
            troubles.append((at, (one.what, one.loses)))
            troubles.append((at + one.lasts, ("mended", 0.0)))
            if one.what == "pbx":
                quiet.append((at, at + one.lasts + 0.5))  # nobody does anything while it is away
            at += one.lasts + 2 * SYNC
        doings: list[tuple[float, Any]] = []
        at = T0 + 2
        for wait, act in acts:
            at += wait
            for begin, end in quiet:
                if begin <= at < end:
                    at = end
            doings.append((at, act))
        last = max([at, *(when for when, _ in troubles)]) + 21
        home = [(last + 3 * n, ("remove", queue, "")) for n, queue in enumerate(QUEUES)]
        return sorted([*doings, *troubles], key=lambda one: one[0]) + home

    async def fill_again(self) -> None:
        """Every gap, as if none had been filled."""
        for gap in self.disk.gaps():
            self.disk.rows[gap.key] = replace(gap, filled_at=None)
        self.daemon = Daemon(self.pbx, self.disk)
        await self.daemon.start(self.booted)
        await self.daemon.keeper.round()
        self.disk.flush()

    def differences(self) -> list[str]:
        seats = read("\n".join(self.pbx.lines), [AGENT], self.restarts, T0)
        found = [
            *compare(seats, self.disk.spans(), self.disk.gaps()),
            *compare_absences(seats, self.disk.episodes()),
        ]
        return [str(one) for one in found]


ACTS: Sequence[tuple[int, Sequence[str], Sequence[str], Sequence[str]]] = (
    (25, ("pause",), ("",), REASONS),
    (20, ("unpause",), ("",), ("",)),
    (15, ("pause",), QUEUES, REASONS),
    (10, ("unpause",), QUEUES, ("",)),
    (12, ("remove",), QUEUES, ("",)),
    (18, ("add",), QUEUES, ("", "", "paused")),
)
"""How often what is done, in which of these queues and for which of these reasons."""


def drawn_act(dice: random.Random) -> Act:
    [(_, *chosen)] = dice.choices(ACTS, [weight for weight, *_ in ACTS])
    verb, queue, reason = (dice.choice(one) for one in chosen)
    return verb, queue, reason


def drawn_break(dice: random.Random, kinds: Sequence[str]) -> Break:
    """Mostly short, and soon after the one before; an Asterisk takes a second to start."""
    least = 1.3 if "pbx" in kinds else 0.3
    lasts = dice.uniform(least, 3) if dice.random() < 0.7 else dice.uniform(3, 15)
    after = dice.uniform(0.4, 25 if dice.random() < 0.7 else 4)
    return Break(dice.choice(kinds), after, lasts, dice.choice([0, 0.1, 0.3, 0.5]))


def check(seed: int, kinds: Sequence[str], every: Sequence[float]) -> None:
    """What the book says is on record, the gaps are filled, and filling them all again changes nothing."""
    dice = random.Random(f"{seed} {kinds}")
    acts = [(dice.uniform(2.2, 5.5), drawn_act(dice)) for _ in range(dice.randint(3, 60))]
    breaks = [drawn_break(dice, kinds) for _ in range(dice.randint(1, 10))]
    world = World(dice.choice(every))
    asyncio.run(world.live([(2.0, ("add", "returns", "")), (2.3, ("add", "spares", "")), *acts], breaks))
    assert world.differences() == [], seed
    assert all(gap.filled_at is not None for gap in world.disk.gaps()), seed
    before = world.disk.lasting()
    asyncio.run(world.fill_again())
    assert world.disk.lasting() == before, seed


@pytest.mark.parametrize("block", range(8))
def test_gaps_within_seconds_of_each_other(block: int) -> None:
    """B3, C1, C3: the daemon dies and is cut off anew before the last time was filled in, or long after."""
    for seed in range(25):
        check(25 * block + seed, ("kill", "cut"), (1.0, 3.3, 40.0))


@pytest.mark.parametrize("block", range(4))
def test_a_pbx_that_forgets_its_last_second(block: int) -> None:
    """B3, C1: what AstDB had not written when the PBX was killed is as it was before, though queue_log has it."""
    for seed in range(25):
        check(25 * block + seed, ("kill", "cut", "pbx"), (1.0, 3.3))
