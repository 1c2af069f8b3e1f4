"""The PBX's own books: lines of queue_log and CDR rows (what they say happened: `cti.core.passes`).

queue_log: `epoch|callid|queue|member|VERB|data…`, whole seconds, where callid is the uniqueid of the waiting channel.
CDR: CSV as `cdr_csv` writes it (Master.csv) or as `cdr_custom` does with the shipped mapping; one row for each pair of
parties, written when the pair is over.

A line that cannot be read becomes a `BadLine`: books are cut off by crashes and full disks, and one bad line
must not hide the others.
"""

import csv
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, tzinfo

from cti.core.instants import made_at, moment

OF_MEMBERS = frozenset({"ADDMEMBER", "REMOVEMEMBER", "PAUSE", "UNPAUSE"})
"""The lines of queue_log about where somebody is logged in and paused."""
CLOCK_LAG = 0.05
"""Seconds by which the clock of queue_log's second (time(), a tick of the kernel) may be behind CEL's."""

_LONGEST = 4_000  # characters of a line
_SHOWN = 500  # characters of a bad line that are kept
_UNIQUEID = re.compile(r"[\w.@:-]{1,150}")
_VERB = re.compile(r"[A-Z]{3,32}")
_LEAST_FIELDS = 5
_LATEST = 1e11  # an epoch beyond this is garbage


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that could not be read, and why."""

    raw: str
    why: str


@dataclass(frozen=True, slots=True)
class QueueRow:
    """One line of queue_log."""

    at: float  # epoch, whole seconds
    callid: str  # uniqueid of the waiting channel, or NONE, MANAGER, …
    queue: str
    member: str
    verb: str
    data: tuple[str, ...]
    raw: str


@dataclass(frozen=True, slots=True)
class CdrRow:
    """One CDR row; instants are epochs, durations seconds."""

    uniqueid: str
    linkedid: str  # "" where the book has none
    sequence: str
    start: float
    answer: float | None
    end: float
    duration: float
    billsec: float
    disposition: str  # ANSWERED, NO ANSWER, BUSY, FAILED, CONGESTION
    src: str
    dst: str
    clid: str
    dcontext: str
    channel: str
    dstchannel: str
    lastapp: str
    lastdata: str
    accountcode: str
    userfield: str
    raw: str

    @property
    def group(self) -> str:
        """What ties the rows of one call together: the linkedid, or the uniqueid where there is none."""
        return self.linkedid or self.uniqueid


# --- queue_log --------------------------------------------------------------------------------------------------

# Verb → positions of data that must be numbers, counted from the end where negative.
_NUMBERS: Mapping[str, tuple[int, ...]] = {
    "CONNECT": (0,),
    "COMPLETEAGENT": (0, 1),
    "COMPLETECALLER": (0, 1),
    "BLINDTRANSFER": (-3, -2),
    "ATTENDEDTRANSFER": (-3, -2),
    "ABANDON": (2,),
    "EXITWITHTIMEOUT": (2,),
    "EXITEMPTY": (2,),
    "EXITWITHKEY": (3,),
    "WITHDRAW": (2,),
}


def parse_queue_line(line: str) -> QueueRow | BadLine:
    """Read one line of queue_log, without its line end."""
    fields = line.split("|")
    if len(line) > _LONGEST or len(fields) < _LEAST_FIELDS:
        return BadLine(line[:_SHOWN], "not epoch|callid|queue|member|verb")
    epoch, callid, queue, member, verb, *data = fields
    at = _epoch(epoch)
    if at is None:
        return BadLine(line[:_SHOWN], "no epoch")
    if not _VERB.fullmatch(verb) or not callid:
        return BadLine(line[:_SHOWN], "no callid or no verb")
    for position in _NUMBERS.get(verb, ()):
        if figure(data, position) is None:
            return BadLine(line[:_SHOWN], f"{verb} lacks a figure")
    return QueueRow(at, callid, queue, member, verb, tuple(data), line)


def _epoch(text: str) -> float | None:
    if not text.isascii() or not text.isdigit() or not 0 < int(text[:20]) < _LATEST:
        return None
    return float(text)


def figure(data: Sequence[str], position: int) -> float | None:
    """Seconds at this position, None when there are none."""
    if not -len(data) <= position < len(data):
        return None
    try:
        value = float(data[position])
    except ValueError:
        return None
    return value if math.isfinite(value) else None


# --- CDR --------------------------------------------------------------------------------------------------------

MASTER_COLUMNS = (
    "accountcode", "src", "dst", "dcontext", "clid", "channel", "dstchannel", "lastapp", "lastdata",
    "start", "answer", "end", "duration", "billsec", "disposition", "amaflags",
    "uniqueid", "userfield", "peeraccount", "linkedid", "sequence",
)  # fmt: skip
"""Master.csv of cdr_csv with loguniqueid, loguserfield and newcdrcolumns; what is switched off at the end is missing."""

_WITHOUT_USERFIELD = tuple(column for column in MASTER_COLUMNS if column != "userfield")
"""Master.csv without loguserfield, but with newcdrcolumns."""

CUSTOM_COLUMNS = (
    "linkedid", "uniqueid", "sequence", "start", "answer", "end", "duration", "billsec", "disposition",
    "src", "dst", "clid", "dcontext", "channel", "dstchannel", "lastapp", "lastdata", "accountcode", "userfield",
)  # fmt: skip
"""The shipped mapping of cdr_custom (asterisk-dialplan/cdr-cel-cti.example.conf): instants as epochs."""

_MASTER_LEAST = MASTER_COLUMNS.index("uniqueid") + 1
_NO_UNIQUEID = "no uniqueid; write loguniqueid = yes into cdr.conf"
_START = (MASTER_COLUMNS.index("start"), CUSTOM_COLUMNS.index("start"))


def parse_cdr_line(
    line: str, columns: Sequence[str] | None = None, timezone: tzinfo = UTC
) -> CdrRow | BadLine:
    """Read one CDR row.

    `columns` None tells the two usual layouts apart by where the start stands. `timezone` is the PBX's own, for a
    Master.csv written without `usegmtime` (`cti.core.instants` on the hour that a clock change repeats).
    """
    if len(line) > _LONGEST:
        return BadLine(line[:_SHOWN], "too long")
    try:
        [fields] = csv.reader([line], strict=True)
    except (csv.Error, ValueError):
        return BadLine(line[:_SHOWN], "not one CSV row")
    columns = _layout(fields) if columns is None else columns
    if columns is None or len(fields) > len(columns):
        bare = len(fields) == _MASTER_LEAST - 1 and moment(fields[_START[0]], UTC) is not None
        return BadLine(line[:_SHOWN], _NO_UNIQUEID if bare else "no known column layout")
    named = dict(zip(columns, fields, strict=False))
    uniqueid = named.get("uniqueid", "")
    if not _UNIQUEID.fullmatch(uniqueid):
        return BadLine(line[:_SHOWN], _NO_UNIQUEID)
    start = moment(named.get("start", ""), timezone, made_at(uniqueid))
    end = moment(named.get("end", ""), timezone, start)
    if start is None or end is None:
        return BadLine(line[:_SHOWN], "no start or no end")
    return _cdr(named, start, moment(named.get("answer", ""), timezone, start), end, line)


def _layout(fields: Sequence[str]) -> Sequence[str] | None:
    master, custom = (fields[at] if at < len(fields) else "" for at in _START)
    if len(fields) == len(CUSTOM_COLUMNS) and moment(custom, UTC) is not None:
        return CUSTOM_COLUMNS
    if len(fields) >= _MASTER_LEAST and moment(master, UTC) is not None:
        return _WITHOUT_USERFIELD if len(fields) == len(_WITHOUT_USERFIELD) else MASTER_COLUMNS
    return None


def _cdr(named: Mapping[str, str], start: float, answer: float | None, end: float, raw: str) -> CdrRow:
    def text(column: str) -> str:
        return named.get(column, "")

    def seconds(column: str) -> float:
        return figure([text(column)], 0) or 0.0

    return CdrRow(
        uniqueid=text("uniqueid"),
        linkedid=text("linkedid"),
        sequence=text("sequence"),
        start=start,
        answer=answer,
        end=end,
        duration=seconds("duration"),
        billsec=seconds("billsec"),
        disposition=text("disposition"),
        src=text("src"),
        dst=text("dst"),
        clid=text("clid"),
        dcontext=text("dcontext"),
        channel=text("channel"),
        dstchannel=text("dstchannel"),
        lastapp=text("lastapp"),
        lastdata=text("lastdata"),
        accountcode=text("accountcode"),
        userfield=text("userfield"),
        raw=raw,
    )
