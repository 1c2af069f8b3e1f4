"""The live terminal view of the demo: what a person sees of calls, agents, occupancy and duty."""

import asyncio
import io
import re
import time
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from cti.core.facts import State
from metrics.formulas import occupancy
from tests.rig import Rig, RigError

REFRESH = 0.5  # seconds
_TICK_LINE = 5.0  # seconds between lines where there is no terminal

_FONT_FACE = re.compile(
    r"@font-face \{.*?\}\s*", re.DOTALL
)  # fonts of a far server; any monospaced one will do

_COLOURS = {
    "available": "green",
    "on_call": "bold cyan",
    "ringing": "yellow",
    "wrap_up": "blue",
    "away": "magenta",
    "unreachable": "red",
    "logged_out": "dim",
    "answered": "green",
    "abandoned": "red",
    "accepted": "green",
    "unanswered": "red",
}


@dataclass(slots=True)
class Picture:
    """What the API said last."""

    agents: list[dict[str, Any]] = field(default_factory=list)
    queues: list[dict[str, Any]] = field(default_factory=list)
    calls: list[dict[str, Any]] = field(default_factory=list)
    duty: list[dict[str, Any]] = field(default_factory=list)
    work_items: list[dict[str, Any]] = field(default_factory=list)
    incidents: list[dict[str, Any]] = field(default_factory=list)


async def look(rig: Rig) -> Picture:
    """Ask the API once, as a wallboard would."""
    agents, queues, calls, duty, items, incidents = await asyncio.gather(
        rig.get("/api/v1/agents"),
        rig.get("/api/v1/queues"),
        rig.get("/api/v1/calls", direction="inbound", limit="9"),
        rig.get("/api/v1/duty", hotline="night"),
        rig.get("/api/v1/work-items", limit="5"),
        rig.get("/api/v1/incidents", limit="3"),
    )
    return Picture(
        agents["items"], queues["items"], calls["items"], duty["items"], items["items"], incidents["items"]
    )


async def show(rig: Rig, console: Console, version: str, until: float | None) -> None:
    """Draw until cancelled; `until` is the monotonic instant at which the traffic ends."""
    if not console.is_terminal:
        await _lines(rig, console, until)
        return
    news: deque[str] = deque(maxlen=4)
    with Live(console=console, refresh_per_second=4, screen=False) as live:
        while True:
            try:
                live.update(_screen(await look(rig), rig, version, until, news))
            except RigError as error:
                news.append(str(error).splitlines()[0])
            await asyncio.sleep(REFRESH)


async def take_picture(rig: Rig, version: str, until: float | None, file: Path) -> None:
    """Save what a terminal would show now, as SVG."""
    screen = _screen(await look(rig), rig, version, until, ())
    console = Console(record=True, width=132, file=io.StringIO(), force_terminal=False)
    console.print(screen)
    svg = console.export_svg(title="make demo")
    await asyncio.to_thread(file.write_text, _FONT_FACE.sub("", svg), encoding="utf-8")


async def _lines(rig: Rig, console: Console, until: float | None) -> None:
    while True:
        picture = await look(rig)
        states = " ".join(f"{agent['agent']}:{agent['state']}" for agent in picture.agents)
        waiting = sum(queue["waiting"] for queue in picture.queues)
        console.print(f"  {_left(until):>12}  waiting {waiting}  {states}", highlight=False, soft_wrap=True)
        await asyncio.sleep(_TICK_LINE)


def _left(until: float | None) -> str:
    return "Ctrl-C ends" if until is None else f"{max(0.0, until - time.monotonic()):.0f} s to go"


def _screen(
    picture: Picture, rig: Rig, version: str, until: float | None, news: Iterable[str]
) -> RenderableType:
    head = Text.assemble(
        ("CTI beside the PBX", "bold"), f"   {version}   {_left(until)}\n",
        (f"metrics {rig.url}/metrics   API {rig.url}/api/v1/calls", "dim"),
    )  # fmt: skip
    top = Table.grid(expand=True, padding=(0, 1))
    top.add_column(ratio=1)
    top.add_column(ratio=1)
    top.add_row(_agents(picture), Group(_queues(picture), _duty(picture)))
    parts: list[RenderableType] = [head, top, _calls(picture)]
    parts += [Text(line, style="red") for line in news]
    return Group(*parts)


def _state(value: str) -> Text:
    return Text(value, style=_COLOURS.get(value, ""))


def _age(instant: str | None) -> str:
    if instant is None:
        return ""
    return f"{max(0.0, time.time() - datetime.fromisoformat(instant).timestamp()):.0f} s"


def _agents(picture: Picture) -> Panel:
    table = Table(expand=True, box=None)
    for title in ("agent", "name", "desk", "state", "since", "occupancy"):
        table.add_column(title, justify="right" if title in {"since", "occupancy"} else "left", no_wrap=True)
    for agent in sorted(picture.agents, key=lambda row: row["agent"]):
        occupancy = agent["occupancy"]
        reason = f" ({agent['reason']})" if agent["reason"] else ""
        state = _state(agent["state"])
        state.append(reason)
        table.add_row(
            agent["agent"], agent["name"], agent["device"].removeprefix("PJSIP/"), state, _age(agent["since"]),
            "" if occupancy is None else f"{occupancy:.0%}",
        )  # fmt: skip
    return Panel(table, title=f"Agents, floor occupancy {_floor(picture)}", border_style="dim")


def _floor(picture: Picture) -> str:
    """Occupancy of the whole floor, from sums of seconds (never from an average of averages)."""
    seconds: Counter[State] = Counter()
    for agent in picture.agents:
        seconds.update({State(name): value for name, value in agent["seconds"].items()})
    share = occupancy(seconds)
    return "not known yet" if share is None else f"{share:.0%}"


def _queues(picture: Picture) -> Panel:
    table = Table(expand=True, box=None)
    for title in ("queue", "wait", "oldest", "offered", "answered", "lost", "SL"):
        table.add_column(title, justify="left" if title == "queue" else "right", no_wrap=True)
    for queue in picture.queues:
        today, level = queue["today"], queue["service_level"]
        shown = level[level["default"]]
        table.add_row(
            queue["name"], str(queue["waiting"]), _age(queue["longest_waiting_since"]), str(today["offered"]),
            str(today["answered"]), str(today["lost"]), "" if shown is None else f"{shown:.0%}",
        )  # fmt: skip
    return Panel(table, title="Queues", border_style="dim")


def _duty(picture: Picture) -> Panel:
    lines = [
        Text(f"{rung['role']:<10} {rung['name']} {rung['number']}")
        for duty in picture.duty
        for rung in duty["ladder"]
    ]
    lines += [
        Text.assemble("↳ ", _masked(item["caller_number"]), " ", _state(item["result"]))
        for item in picture.work_items[:3]
    ]
    lines += [
        Text(f"! {incident['agent']} {incident['detail']}", style="magenta")
        for incident in picture.incidents[:2]
    ]
    return Panel(Group(*lines), title="On duty (night), work items, incidents", border_style="dim")


def _calls(picture: Picture) -> Panel:
    table = Table(expand=True, box=None)
    for title in ("started", "caller", "number", "dialed", "outcome", "ended by", "quality"):
        table.add_column(title, no_wrap=True)
    for call in picture.calls:
        started = datetime.fromisoformat(call["started_at"]).astimezone()
        outcome = call["disposition"] or ("talking" if call["answered_at"] else "in progress")
        table.add_row(
            f"{started:%H:%M:%S}", call["caller_name"], _masked(call["caller_number"]), call["dialed_number"],
            _state(outcome), call["ended_by"] or "", call["quality"],
        )  # fmt: skip
    return Panel(table, title="Calls from outside, newest first", border_style="dim")


def _masked(number: str) -> str:
    return f"{number[:3]}****{number[-4:]}"
