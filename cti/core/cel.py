"""CEL, the PBX's most exact book: one row for each thing that happened to a channel, with microseconds.

CSV as `cel_custom` writes it, with the shipped mapping (asterisk-dialplan/cdr-cel-cti.example.conf) or with the one of
Asterisk's own sample.
"""

import csv
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, tzinfo

from cti.core.books import BadLine
from cti.core.instants import made_at, moment

_LONGEST = 8_000  # characters of a line
_SHOWN = 500  # characters of a bad line that are kept
_EVENT = re.compile(r"[A-Z_]{3,40}")
CHANNEL_ENDS = frozenset({"HANGUP", "CHAN_END"})
_UNIQUEID = re.compile(r"[\w.@:-]{1,150}")

SHIPPED_COLUMNS = (
    "event", "at", "linkedid", "uniqueid", "channel", "peer", "number", "name", "exten", "context",
    "app", "appdata", "accountcode", "userfield", "extra",
)  # fmt: skip
"""The shipped mapping of cel_custom."""

SAMPLE_COLUMNS = (
    "event", "at", "name", "number", "ani", "rdnis", "dnid", "exten", "context", "channel", "app", "appdata",
    "amaflags", "accountcode", "uniqueid", "linkedid", "peer", "userfield", "userdeftype", "extra",
)  # fmt: skip
"""Asterisk's own sample of cel_custom."""


@dataclass(frozen=True, slots=True)
class CelRow:
    """One row of CEL."""

    at: float  # epoch
    event: str  # CHAN_START, ANSWER, BRIDGE_ENTER …
    linkedid: str
    uniqueid: str
    channel: str
    peer: str
    number: str
    name: str
    exten: str
    context: str
    app: str
    appdata: str
    extra: Mapping[str, str | int]  # {} where the event has none
    raw: str


def parse_cel_line(line: str, timezone: tzinfo = UTC) -> CelRow | BadLine:
    """Read one row, without its line end; the two layouts are told apart by how many columns there are."""
    if len(line) > _LONGEST:
        return BadLine(line[:_SHOWN], "too long")
    try:
        [fields] = csv.reader([line], strict=True)
    except (csv.Error, ValueError):
        return BadLine(line[:_SHOWN], "not one CSV row")
    columns = next((c for c in (SHIPPED_COLUMNS, SAMPLE_COLUMNS) if len(c) == len(fields)), None)
    if columns is None:
        return BadLine(line[:_SHOWN], "no known column layout")
    named = dict(zip(columns, fields, strict=True))
    return cel_row(named, moment(named["at"], timezone, made_at(named["uniqueid"])), line)


def cel_row(named: Mapping[str, str], at: float | None, raw: str) -> CelRow | BadLine:
    """A row from its columns by the names of `SHIPPED_COLUMNS`; `raw` is what a person sees of it."""
    if at is None or not _EVENT.fullmatch(named["event"]) or not _UNIQUEID.fullmatch(named["uniqueid"]):
        return BadLine(raw[:_SHOWN], "no event, instant or uniqueid")
    return CelRow(
        at=at,
        event=named["event"],
        linkedid=named["linkedid"],
        uniqueid=named["uniqueid"],
        channel=named["channel"],
        peer=named["peer"],
        number=named["number"],
        name=named["name"],
        exten=named["exten"],
        context=named["context"],
        app=named["app"],
        appdata=named["appdata"],
        extra=_extra(named["extra"]),
        raw=raw,
    )


def _extra(text: str) -> Mapping[str, str | int]:
    """The JSON of some events; what is not an object of plain values is passed over, the row is still worth having."""
    try:
        found = json.loads(text) if text else {}
    except (ValueError, RecursionError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {str(key): value for key, value in found.items() if isinstance(value, str | int)}


@dataclass(frozen=True, slots=True)
class Run:
    """One run of an application on a channel, as CEL has it: several that follow at once are one."""

    begin: CelRow
    end: CelRow | None  # APP_END; None when there is none
    over: float  # when it, or its channel, was over; inf while neither is


def runs_of(rows: Sequence[CelRow], app: str) -> list[Run]:
    """The runs of an application on the channel that has these rows, in order."""
    found: list[Run] = []
    begin: CelRow | None = None
    for row in rows:
        starts = row.event == "APP_START" and row.app == app
        ends = row.event in CHANNEL_ENDS or (row.event == "APP_END" and row.app == app)
        if begin is not None and (starts or ends):
            found.append(Run(begin, row if row.event == "APP_END" else None, row.at))
            begin = None
        if starts:
            begin = row
    if begin is not None:
        found.append(Run(begin, None, math.inf))
    return found


def queue_of(row: CelRow) -> str:
    """The queue that a row of the application Queue names."""
    return row.appdata.split(",", 1)[0]


def channels_of(rows: Sequence[CelRow]) -> Mapping[str, list[CelRow]]:
    """The rows of each channel, by uniqueid, in the book's order."""
    found: dict[str, list[CelRow]] = {}
    for row in rows:
        found.setdefault(row.uniqueid, []).append(row)
    return found
