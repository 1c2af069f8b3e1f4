"""The recorded scenarios as material for properties: any of them, any number of times, at any moment of one PBX."""

import re
from collections.abc import Iterable
from dataclasses import fields, is_dataclass, replace
from functools import cache
from typing import Any

from cti.core import events as ev
from tests.core.dialogue import START
from tests.scenarios.judge import events_of
from tests.scenarios.run import FIXTURES
from tests.scenarios.scenes import loaded

_PHONE = re.compile(
    r"\b((?:10|20|30|51)\d\d)\b"
)  # extensions, agents, agents of the pool, mailboxes of the stage's people
_CHANNEL = re.compile(r"-[0-9a-f]{2}([0-9a-f]{6})(?=;[12]$|$)")
_QUEUE = re.compile(r"^(\w+)-(\d{3})$")
_UNIQUEID = re.compile(r"^\d{10}\.\d+$")
_BRIDGE = re.compile(r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")
_EPOCH = 1e9  # s; a float beyond it is an instant


@cache
def recorded(name: str) -> tuple[ev.Event, ...]:
    """A scenario's committed stream."""
    return tuple(events_of(FIXTURES / f"{name}.ami.gz"))


@cache
def all_names() -> tuple[str, ...]:
    """Every scenario with a recording."""
    return tuple(sorted(name for name in loaded() if (FIXTURES / f"{name}.ami.gz").exists()))


@cache
def plain_names() -> tuple[str, ...]:
    """Those whose PBX and link stay up: one login, before everything, that finds no channels."""
    return tuple(name for name in all_names() if _is_plain(recorded(name)))


def _is_plain(events: tuple[ev.Event, ...]) -> bool:
    breaks = [e for e in events if isinstance(e, ev.Resynced | ev.LinkLost | ev.ClockStepped)]
    return len(breaks) == 1 and isinstance(breaks[0], ev.Resynced) and not breaks[0].channels


@cache
def script(name: str, n: int, *, shared: bool = False) -> tuple[ev.Event, ...]:
    """A plain scenario as the `n`-th on a PBX, from START on: with channels and bridges of its own, as on any PBX.

    Its phones, agents and queues are its own too, unless they are `shared` with all other scripts.

    Raises:
        ValueError: `n` is not in 1..9.
    """
    if not 1 <= n <= 9:
        raise ValueError(n)
    events = recorded(name)
    return tuple(_moved(event, n, START - events[0].at, shared=shared) for event in events)


def later(events: Iterable[ev.Event], seconds: float) -> list[ev.Event]:
    """The same, so much later."""
    return [replace(event, at=event.at + seconds) for event in events]


def together(scripts: Iterable[Iterable[ev.Event]]) -> list[ev.Event]:
    """All of them on one PBX in the order of their instants, after one login that finds what each login found."""
    events = [event for script in scripts for event in script]
    logins = [event for event in events if isinstance(event, ev.Resynced)]
    first = replace(
        logins[0],
        at=min(login.at for login in logins),
        queues=tuple(queue for login in logins for queue in login.queues),
        members=tuple(member for login in logins for member in login.members),
    )
    rest = [event for event in events if not isinstance(event, ev.Resynced)]
    return [first, *sorted(rest, key=lambda event: event.at)]


def _moved(value: Any, n: int, by: float, *, shared: bool) -> Any:
    if isinstance(value, str):
        return _renamed(value, n, shared=shared)
    if isinstance(value, float):
        return value + by if value > _EPOCH else value
    if isinstance(value, tuple):
        return tuple(_moved(one, n, by, shared=shared) for one in value)
    if is_dataclass(value) and not isinstance(value, type):
        moved = {f.name: _moved(getattr(value, f.name), n, by, shared=shared) for f in fields(value)}
        return replace(value, **moved)
    return value


def _renamed(text: str, n: int, *, shared: bool) -> str:
    if _UNIQUEID.match(text):
        second, _, number = text.partition(".")
        return f"{second}.{n * 100_000 + int(number)}"
    if _BRIDGE.match(text):
        return f"{text}-{n}"
    text = _CHANNEL.sub(rf"-{n:02x}\1", text)
    return text if shared else _PHONE.sub(rf"{n}\1", _QUEUE.sub(rf"\1-{n}\2", text))
