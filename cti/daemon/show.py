"""Answers of the API as tables for people. Local time and mm:ss exist only here."""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from zoneinfo import ZoneInfo

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

Row = Mapping[str, Any]

_COLOURS = {
    "available": "green",
    "ringing": "yellow",
    "on_call": "cyan",
    "wrap_up": "blue",
    "away": "magenta",
    "unreachable": "red",
    "logged_out": "dim",
    "answered": "green",
    "abandoned": "red",
    "no_answer": "yellow",
    "busy": "yellow",
    "failed": "red",
    "duty": "cyan",
    "closed": "red",
    "office": "green",
}
_NOTHING = "–"


def cell(value: object, style: str = "") -> Text:
    """Turn what somebody else wrote into text that cannot style or steer the terminal."""
    text = _NOTHING if value in {None, ""} else str(value)
    return Text("".join(char if char.isprintable() else "�" for char in text), style=style)


def word(value: str | None) -> Text:
    """Turn one of our own enumerated words into coloured text."""
    return cell((value or "").replace("_", " "), _COLOURS.get(value or "", ""))


def span(seconds: float | None) -> Text:
    """Write a duration as m:ss or h:mm:ss."""
    if seconds is None:
        return cell(None)
    minutes, rest = divmod(max(0, round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return Text(f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}")


def ratio(value: float | None) -> Text:
    """Write a ratio as a percentage."""
    return cell(None if value is None else f"{value:.0%}")


class Tables:
    """Makes the tables; `zone` is the local time, `now` the moment ages are counted to."""

    def __init__(self, zone: ZoneInfo, now: dt.datetime) -> None:
        self._zone = zone
        self._now = now

    def calls(self, rows: Sequence[Row]) -> Table:
        """Make the table of calls."""
        table = _table(
            "started",
            "from",
            "name",
            "to",
            "direction",
            "ended as",
            "answered after",
            "length",
            "record",
            "id",
        )
        for row in rows:
            length = _between(row["started_at"], row["ended_at"] or self._now.isoformat())
            table.add_row(
                self._time(row["started_at"]),
                cell(row["caller_number"]),
                cell(row["caller_name"]),
                cell(row["dialed_number"]),
                word(row["direction"]),
                word(row["disposition"] or "going on"),
                span(_between(row["started_at"], row["answered_at"])),
                span(length),
                word(row["quality"]),
                cell(row["id"], "" if row["quality"] == "complete" else "yellow"),
            )
        table.caption = (
            "record: complete (all of it was seen), gapped (some was missed), from books (nobody listened)"
        )
        return table

    def agents(self, rows: Sequence[Row]) -> Table:
        """Make the table of agents."""
        table = _table("agent", "name", "state", "for", "reason", "phone", "queues", "occupancy", "pbx")
        for row in rows:
            table.add_row(
                cell(row["agent"]),
                cell(row["name"]),
                word(row["state"]),
                span(_between(row["since"], self._now.isoformat())),
                word(row["reason"]),
                cell(row["device"]),
                cell(", ".join(row["queues"])),
                ratio(row["occupancy"]),
                cell(row["pbx"]),
            )
        return table

    def queues(self, rows: Sequence[Row]) -> Table:
        """Make the table of queues."""
        names = ("queue", "waiting", "longest", "free", "on call", "away")
        table = _table(*names, "offered", "answered", "lost", "in time", "ASA", "pbx")
        for row in rows:
            agents, today = row["agents"], row["today"]
            longest = _between(row["longest_waiting_since"], self._now.isoformat())
            table.add_row(
                cell(row["name"]) if row["name"] else cell("unknown", "dim"),
                cell(row["waiting"], "red" if row["waiting"] else ""),
                span(longest),
                cell(agents.get("available", 0)),
                cell(agents.get("on_call", 0)),
                cell(agents.get("away", 0)),
                cell(today["offered"]),
                cell(today["answered"]),
                cell(today["lost"]),
                ratio(row["service_level"][row["service_level"]["default"]]),
                span(today["asa"]),
                cell(row["pbx"]),
            )
        caption = "figures of today; in time: answered within the threshold, early abandons left out"
        if not all(row["name"] for row in rows):
            caption += "\nunknown: turned away (full, or nobody there) by a queue that CEL has not named"
        table.caption = caption
        return table

    def duty(self, rows: Sequence[Row]) -> Table:
        """Make the table of who is on duty."""
        table = _table("hotline", "answered by", "until", "ladder", "why")
        for row in rows:
            ladder = [f"{n}. {rung['name']} {rung['number']}" for n, rung in enumerate(row["ladder"], 1)]
            table.add_row(
                cell(row["hotline"]),
                word(row["kind"]),
                self._time(row["end"]),
                Text("\n").join(map(cell, ladder)) if ladder else cell(None),
                word(", ".join(row["reasons"])),
            )
        return table

    def faults(self, rows: Sequence[Row]) -> Table:
        """Make the table of faults."""
        table = _table("began", "ended", "lasted", "kind", "pbx", "told", "detail", "id")
        for row in rows:
            lasted = _between(row["began_at"], row["ended_at"] or self._now.isoformat())
            table.add_row(
                self._time(row["began_at"]),
                self._time(row["ended_at"]) if row["ended_at"] else cell("goes on", "red"),
                span(lasted),
                word(row["kind"]),
                cell(row["pbx"]),
                cell(_told(row["told"])),
                cell(row["detail"]),
                cell(row["id"]),
            )
        return table

    def _time(self, instant: str | None) -> Text:
        if instant is None:
            return cell(None)
        return Text(f"{dt.datetime.fromisoformat(instant).astimezone(self._zone):%Y-%m-%d %H:%M:%S}")


def _told(deliveries: Sequence[Row]) -> str:
    """Who was told of its begin; `(no)` behind whoever could not be."""
    begun = [one for one in deliveries if one["kind"] == "fault_began"]
    return ", ".join(one["channel"] + ("" if one["ok"] else " (no)") for one in begun)


def _table(*columns: str) -> Table:
    table = Table(box=SIMPLE_HEAD, caption_justify="left")
    for column in columns:
        table.add_column(column)
    return table


def _between(begin: str | None, end: str | None) -> float | None:
    if begin is None or end is None:
        return None
    return (dt.datetime.fromisoformat(end) - dt.datetime.fromisoformat(begin)).total_seconds()


def pairs(rows: Iterable[tuple[str, object]]) -> Table:
    """Make a table of names and values."""
    table = Table(box=None, show_header=False)
    for name, value in rows:
        table.add_row(Text(name, style="bold"), cell(value))
    return table
