"""Whatever ties calls together, and in whatever order it is heard: the same one call, under the oldest's id (B1).

Each thing happens at an instant of its own; what is drawn is the order in which it is told.
"""

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cti.core import events as ev
from cti.core.facts import Attempt, Call, Fact, FactKey, Leg, QueueStay, Talk, Transfer
from tests.core.dialogue import LINE, START, Dialogue

MEET, LEAVE = 10.0, 100.0  # s after the start at which channels begin to meet, and to hang up
Tie = Callable[[Dialogue], object]
Order = Callable[[Iterable[Any]], list[Any]]


@dataclass(frozen=True)
class Edge:
    """What ties the calls of two channels (given by number) together."""

    kind: str
    one: int
    two: int

    def ties(self) -> list[Tie]:
        """What happens, one after the other."""
        return TIES[self.kind](self, f"{self.one}.1", f"{self.two}.1")

    @property
    def does(self) -> set[tuple[str, int]]:
        """What its channels do in it that each does once at most."""
        match self.kind:
            case "bridge":
                return set()
            case "pickup":
                return {("begins", self.one), ("is lost", self.two)}
            case "attended":
                return {("hands on", self.one)}
        return {("begins", self.two)}


@dataclass(frozen=True)
class Timed:
    """Something that ties, and when it happens."""

    at: float
    edge: Edge
    tie: Tie

    def is_about(self, other: "Timed") -> bool:
        """Whether both are about one channel."""
        return bool({self.edge.one, self.edge.two} & {other.edge.one, other.edge.two})


def _bridge(edge: Edge, one: str, two: str) -> list[Tie]:
    bridge = f"b{edge.one}-{edge.two}"

    def meet(pbx: Dialogue) -> None:
        pbx.enter(bridge, one, two)
        pbx.leave(bridge, one, two)

    return [meet]


def _local(edge: Edge, one: str, two: str) -> list[Tie]:
    outer, inner = _half(edge, "1"), _half(edge, "2")
    return [
        lambda pbx: pbx.dial(one, outer),
        lambda pbx: pbx._line(ev.LocalBridged, outer, inner),
        lambda pbx: pbx.dial(inner, two),
    ]


def _half(edge: Edge, which: str) -> str:
    return f"1{edge.one}{edge.two}.{which}"


def _said(kind: type[ev.Event], *fields: object) -> list[Tie]:
    return [lambda pbx: pbx._line(kind, *fields)]


TIES: dict[str, Callable[[Edge, str, str], list[Tie]]] = {
    "bridge": _bridge,
    "dial": lambda _edge, one, two: [lambda pbx: pbx.dial(one, two)],
    "local": _local,
    "queue": lambda _edge, one, two: _said(ev.MemberCalled, "q1", one, two, f"1{two[0]}", f"PJSIP/1{two[0]}"),
    "pickup": lambda _edge, one, two: _said(ev.PickedUp, one, two),
    "attended": lambda _edge, one, two: _said(ev.AttendedTransferred, one, "", two, "", "11", "", "", True),
}


@st.composite
def trees(draw: st.DrawFn) -> list[Edge]:
    """Edges of all kinds, either way round, that make one call of two to five.

    No channel is rung twice, takes two calls that ring elsewhere, or hands two calls on: no PBX says so.
    """
    edges: list[Edge] = []
    for n in range(1, draw(st.integers(2, 5))):
        ends = [draw(st.integers(0, n - 1)), n]
        if draw(st.booleans()):
            ends.reverse()
        edge = Edge(draw(st.sampled_from(sorted(TIES))), *ends)
        if any(edge.does & other.does for other in edges):
            edge = Edge("bridge", *ends)
        edges.append(edge)
    return edges


def played(edges: list[Edge], told: Order = list, ended: Order = list) -> Dialogue:
    """The channels come up by number, then meet, and hang up one after the other.

    Each thing that ties happens at an instant of its own, and is told in the order `told`; who hangs up is in that of `ended`.
    """
    pbx = Dialogue()
    for n in range(len(edges) + 1):
        pbx.channel(f"{n}.1", f"PJSIP/{'trunk-a' if n % 2 else f'10{n}'}-000{n}")
    ties: list[Timed] = []
    for edge in edges:
        if edge.kind == "local":
            for half in ("1", "2"):
                uniqueid = _half(edge, half)
                pbx.channel(uniqueid, f"Local/11@agents-{edge.one}{edge.two};{half}", state=0, person="")
        for tie in edge.ties():
            ties.append(Timed(START + MEET + len(ties), edge, tie))
    legs = ended(pbx.core.calls.legs)
    for one in told(ties):
        pbx.at = one.at
        one.tie(pbx)
    pbx.at = START + LEAVE
    for uniqueid in legs:
        pbx.hangup(uniqueid)
    return pbx


def any_order(dice: random.Random) -> Order:
    return lambda things: dice.sample(list(things), len(list(things)))


def in_step(dice: random.Random) -> Order:
    """As a PBX may tell it: what is about one channel in order, the rest in any."""

    def shuffled(ties: Iterable[Timed]) -> list[Timed]:
        rest, out = list(ties), []
        while rest:
            free = [n for n, one in enumerate(rest) if not any(one.is_about(other) for other in rest[:n])]
            out.append(rest.pop(dice.choice(free)))
        return out

    return shuffled


def top(pbx: Dialogue, call_id: str) -> str:
    """Where the pointers of merged calls lead; one that leads in a circle never returns."""
    calls = {call.id: call for call in pbx.all(Call)}
    passed = [call_id]
    while (elder := calls[passed[-1]].merged_into) is not None:
        assert elder not in passed
        passed.append(elder)
    return passed[-1]


def parts(pbx: Dialogue) -> dict[FactKey, Fact]:
    """Every call that stands and every part, with all its fields."""
    kinds = (Call, Leg, QueueStay, Attempt, Talk, Transfer)
    facts = (fact for fact in pbx.latest.values() if isinstance(fact, kinds))
    return {fact.key: fact for fact in facts if getattr(fact, "merged_into", None) is None}


def membership(pbx: Dialogue) -> dict[FactKey, str]:
    """Which call each part that is told of in any order belongs to."""
    kinds: list[Leg | Attempt | Transfer] = [*pbx.all(Leg), *pbx.all(Attempt), *pbx.all(Transfer)]
    return {part.key: part.call_id for part in kinds}


def first_met(edges: list[Edge]) -> float | None:
    """When the first two people heard each other: with the second one's coming into the bridge."""
    before, found = 0, None
    for edge in edges:
        if edge.kind == "bridge" and found is None:
            found = START + MEET + before + 2 * LINE
        before += len(edge.ties())
    return found


@settings(max_examples=80, deadline=None)
@given(edges=trees(), dice=st.randoms(use_true_random=False))
def test_the_order_of_what_ties_calls_together_does_not_matter(
    edges: list[Edge], dice: random.Random
) -> None:
    """B1: in any order whatever it is one call under the oldest's id, the same in every field, with the same parts.

    It was answered when two people first heard each other, however late that is told, and whichever call it was of then.
    """
    plain, mixed = played(edges), played(edges, any_order(dice), any_order(dice))
    assert membership(mixed) == membership(plain)
    assert set(membership(mixed).values()) == {"p-0.1"}
    assert {top(mixed, call.id) for call in mixed.all(Call)} == {"p-0.1"}
    assert mixed.call("0.1") == plain.call("0.1")
    assert mixed.call("0.1").answered_at == pytest.approx(first_met(edges), abs=LINE / 2)
    assert mixed.leftovers() == plain.leftovers() == []


@settings(max_examples=80, deadline=None)
@given(edges=trees(), dice=st.randoms(use_true_random=False))
def test_every_field_of_every_part_is_the_same(edges: list[Edge], dice: random.Random) -> None:
    """B1: however the PBX's threads overtake each other, so long as what is about one channel is told in order."""
    assert parts(played(edges, in_step(dice))) == parts(played(edges))


@pytest.mark.parametrize("kind", sorted(TIES))
def test_each_kind_of_edge_ties(kind: str) -> None:
    """B1: without the edge they are two calls, with it one."""
    pbx = played([Edge(kind, 0, 1)])
    assert {top(pbx, call.id) for call in pbx.all(Call)} == {"p-0.1"}
    apart = Dialogue()
    for n in range(2):
        apart.channel(f"{n}.1", f"PJSIP/trunk-a-000{n}")
        apart.hangup(f"{n}.1")
    assert {call.id for call in apart.all(Call) if call.merged_into is None} == {"p-0.1", "p-1.1"}
