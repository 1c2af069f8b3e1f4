"""Whatever ties calls together, and in whatever order it is heard: the same one call, under the oldest's id (B1)."""

import random
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cti.core import events as ev
from cti.core.facts import Attempt, Call, Fact, FactKey, Leg, Transfer
from tests.core.dialogue import Dialogue

Tie = Callable[[Dialogue], object]


@dataclass(frozen=True)
class Edge:
    """What ties the calls of two channels (given by number) together."""

    kind: str
    one: int
    two: int


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
    "queue": lambda _edge, one, two: _said(ev.MemberCalled, "q1", one, two, "11", "PJSIP/11"),
    "pickup": lambda _edge, one, two: _said(ev.PickedUp, one, two),
    "attended": lambda _edge, one, two: _said(ev.AttendedTransferred, one, two, "", "", "11", "", "", True),
}


@st.composite
def trees(draw: st.DrawFn) -> list[Edge]:
    """Edges of all kinds, either way round, that make one call of two to five."""
    edges = []
    for n in range(1, draw(st.integers(2, 5))):
        ends = [draw(st.integers(0, n - 1)), n]
        if draw(st.booleans()):
            ends.reverse()
        edges.append(Edge(draw(st.sampled_from(sorted(TIES))), *ends))
    return edges


def played(edges: list[Edge], order: random.Random | None) -> Dialogue:
    """The channels come up by number, then meet and hang up: in order, or in an order drawn."""
    pbx = Dialogue()
    for n in range(len(edges) + 1):
        pbx.channel(f"{n}.1", f"PJSIP/{'trunk-a' if n % 2 else f'10{n}'}-000{n}")
    ties: list[Tie] = []
    for edge in edges:
        if edge.kind == "local":
            for half in ("1", "2"):
                uniqueid = _half(edge, half)
                pbx.channel(uniqueid, f"Local/11@agents-{edge.one}{edge.two};{half}", state=0, person="")
        ties += TIES[edge.kind](edge, f"{edge.one}.1", f"{edge.two}.1")
    hangups = list(pbx.core.calls.legs)
    if order is not None:
        order.shuffle(ties)
        order.shuffle(hangups)
    for tie in ties:
        tie(pbx)
    for uniqueid in hangups:
        pbx.hangup(uniqueid)
    return pbx


def top(pbx: Dialogue, call_id: str) -> str:
    """Where the pointers of merged calls lead; one that leads in a circle never returns."""
    calls = {call.id: call for call in pbx.all(Call)}
    passed = [call_id]
    while (elder := calls[passed[-1]].merged_into) is not None:
        assert elder not in passed
        passed.append(elder)
    return passed[-1]


def membership(pbx: Dialogue) -> dict[FactKey, str]:
    """Which call each part belongs to."""
    parts: list[Fact] = [*pbx.all(Leg), *pbx.all(Attempt), *pbx.all(Transfer)]
    return {part.key: part.call_id for part in parts if isinstance(part, Leg | Attempt | Transfer)}


@settings(max_examples=80, deadline=None)
@given(edges=trees(), seed=st.integers(0, 2**32))
def test_the_order_of_what_ties_calls_together_does_not_matter(edges: list[Edge], seed: int) -> None:
    """B1: one call under the oldest's id with the same parts; every younger call that was told of points to it."""
    plain, mixed = played(edges, None), played(edges, random.Random(seed))
    assert membership(mixed) == membership(plain)
    assert set(membership(mixed).values()) == {"p-0.1"}
    assert {top(mixed, call.id) for call in mixed.all(Call)} == {"p-0.1"}
    assert mixed.leftovers() == plain.leftovers() == []


@pytest.mark.parametrize("kind", sorted(TIES))
def test_each_kind_of_edge_ties(kind: str) -> None:
    """B1: without the edge they are two calls, with it one."""
    pbx = played([Edge(kind, 0, 1)], None)
    assert {top(pbx, call.id) for call in pbx.all(Call)} == {"p-0.1"}
    apart = Dialogue()
    for n in range(2):
        apart.channel(f"{n}.1", f"PJSIP/trunk-a-000{n}")
        apart.hangup(f"{n}.1")
    assert {call.id for call in apart.all(Call) if call.merged_into is None} == {"p-0.1", "p-1.1"}
