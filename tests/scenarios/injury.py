"""Does to recorded streams what faults do to live ones: cuts, repeats, shuffles, puts the clock. Durations are seconds."""

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any

from cti.core import events as ev
from cti.core.core import Core
from tests.core.shadow import Shadow
from tests.scenarios.judge import PBX, RULES, Session, play

_EPOCH = 1e9  # a float beyond it is an instant
_ABOUT = (
    "uniqueid",
    "source",
    "one",
    "two",
    "by",
    "second",
    "whom",
    "target",
    "member_channel",
    "swapped",
    "bridge",
    "consultation",
)


def told(*streams: Iterable[ev.Event], core: Core | None = None, session: Session | None = None) -> Session:
    """What one core says of these streams, one after the other."""
    core, session = core or Core(PBX, RULES), session or Session()
    for stream in streams:
        play(core, stream, session)
    return session


def in_the_middle(events: Sequence[ev.Event], most: int = 12) -> list[int]:
    """Numbers of events after which something can happen to a call: all of them, or `most` evenly spread."""
    first = next(n for n, event in enumerate(events) if isinstance(event, ev.ChannelCreated))
    places = range(first + 1, len(events))
    return list(places) if len(places) <= most else [places[n * len(places) // most] for n in range(most)]


def cuts(name: str, events: Sequence[ev.Event], count: int = 4) -> list[tuple[int, int]]:
    """From where to where nothing is heard, drawn from the scenario's name."""
    places, dice = in_the_middle(events, len(events)), random.Random(name)
    drawn = (sorted(dice.choices(places, k=2)) for _ in range(count))
    return [(dies, returns) for dies, returns in drawn if dies < returns]


def login(events: Sequence[ev.Event], heard: int) -> ev.Resynced:
    """What a login right after so many events would find."""
    return Shadow(events[:heard]).resynced(events[heard - 1].at + 0.00001)


def moved(value: Any, by: float) -> Any:
    """An event with all its instants so much later."""
    if isinstance(value, float):
        return value + by if value > _EPOCH else value
    if isinstance(value, tuple):
        return tuple(moved(one, by) for one in value)
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{f.name: moved(getattr(value, f.name), by) for f in fields(value)})
    return value


def about(event: ev.Event) -> frozenset[str]:
    """The channels and bridges an event is about."""
    if isinstance(event, ev.LocalOptimized):
        return frozenset()  # one thread does all of it, in all bridges concerned
    return frozenset(getattr(event, name) for name in _ABOUT if getattr(event, name, ""))


def shuffled(
    events: Sequence[ev.Event], within: float, dice: random.Random, *, in_order: bool
) -> list[ev.Event]:
    """Events that come within so many seconds change places; `in_order`: but not those about one channel or bridge.

    Asterisk's own threads tell of channels independently of each other, of each channel and each bridge in order. What
    is about none (members, lists) stays where it is, and so does a Local channel's taking itself out.
    """
    rest = list(events)
    out: list[ev.Event] = []
    while rest:
        near = list(_movable(rest, within, in_order=in_order))
        out.append(rest.pop(dice.choice(near)))
    return out


def _movable(rest: Sequence[ev.Event], within: float, *, in_order: bool) -> Iterator[int]:
    before: set[str] = set()
    for n, event in enumerate(rest):
        own = about(event)
        if n and (event.at - rest[0].at > within or not own):
            return
        if not in_order or not own & before:
            yield n
        if not own:
            return
        before |= own
