"""Rows of the books as databases have them: by column name, in the names and shapes of Asterisk's own modules.

CDR: cdr_adaptive_odbc, cdr_odbc, cdr_pgsql; CEL: cel_odbc, cel_pgsql; queue_log: realtime. FreePBX has the same columns.

Instants: an aware time says what it is; a number is an epoch; anything else is the PBX's local time (`cti.core.instants`).
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import tzinfo

from cti.core.books import BadLine, CdrRow, QueueRow, figure, parse_queue_line
from cti.core.cel import CelRow, cel_row
from cti.core.instants import made_at, moment

_SHOWN = 500  # characters of a bad row that are kept
_UNIQUEID = re.compile(r"[\w.@:-]{1,150}")

START, END = ("start", "calldate"), "end"  # of the CDR
CEL_AT, QUEUE_AT = "eventtime", "time"

Columns = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class _Row:
    """Columns, read as what they are meant to be."""

    columns: Columns
    zone: tzinfo

    def text(self, *names: str) -> str:
        """The first of these columns that the table has and that holds something; else ""."""
        for name in names:
            value = self.columns.get(name)
            if value is not None and value != "":
                return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
        return ""

    def seconds(self, name: str) -> float | None:
        return figure([self.text(name)], 0)

    def at(self, *names: str, not_before: float | None = None) -> float | None:
        value = next((self.columns[name] for name in names if self.columns.get(name) is not None), None)
        return moment(value, self.zone, not_before)

    @property
    def raw(self) -> str:
        """What a person sees of it."""
        kept = {name: value for name, value in self.columns.items() if value is not None and value != ""}
        return json.dumps(kept, ensure_ascii=False, default=str)


def cdr_of_row(columns: Columns, zone: tzinfo) -> CdrRow | BadLine:
    """A row of the CDR table; without columns for answer and end they follow from `duration` and `billsec`."""
    row = _Row(columns, zone)
    uniqueid = row.text("uniqueid")
    start = row.at(*START, not_before=made_at(uniqueid))
    if start is None or not _UNIQUEID.fullmatch(uniqueid):
        return BadLine(row.raw[:_SHOWN], "no start or uniqueid")
    duration, billsec = row.seconds("duration") or 0.0, row.seconds("billsec") or 0.0
    end = row.at(END, not_before=start) or start + duration
    answered = row.text("disposition") == "ANSWERED"
    answer = row.at("answer", not_before=start) or (end - billsec if answered else None)
    return CdrRow(
        uniqueid=uniqueid,
        linkedid=row.text("linkedid"),
        sequence=row.text("sequence"),
        start=start,
        answer=answer,
        end=end,
        duration=duration,
        billsec=billsec,
        disposition=row.text("disposition"),
        src=row.text("src"),
        dst=row.text("dst"),
        clid=row.text("clid"),
        dcontext=row.text("dcontext"),
        channel=row.text("channel"),
        dstchannel=row.text("dstchannel"),
        lastapp=row.text("lastapp"),
        lastdata=row.text("lastdata"),
        accountcode=row.text("accountcode"),
        userfield=row.text("userfield"),
        raw=row.raw,
    )


def cel_of_row(columns: Columns, zone: tzinfo) -> CelRow | BadLine:
    """A row of the CEL table."""
    row = _Row(columns, zone)
    uniqueid = row.text("uniqueid")
    named = {
        "event": row.text("eventtype"),
        "linkedid": row.text("linkedid"),
        "uniqueid": uniqueid,
        "channel": row.text("channame"),
        "peer": row.text("peer"),
        "number": row.text("cid_num"),
        "name": row.text("cid_name"),
        "exten": row.text("exten"),
        "context": row.text("context"),
        "app": row.text("appname"),
        "appdata": row.text("appdata"),
        "extra": row.text("extra", "eventextra"),
    }
    return cel_row(named, row.at(CEL_AT, not_before=made_at(uniqueid)), row.raw)


def queue_of_row(columns: Columns, zone: tzinfo) -> QueueRow | BadLine:
    """A row of queue_log as realtime writes it, brought into the form that the file has.

    Realtime has five columns for the data and leaves what is beyond in the fifth, parted by `|` as in the file.
    """
    row = _Row(columns, zone)
    callid = row.text("callid")
    at = row.at(QUEUE_AT, not_before=made_at(callid))
    if at is None:
        return BadLine(row.raw[:_SHOWN], "no time")
    data = [row.text(f"data{number}") for number in range(1, 6)]
    if not any(data):
        data = [row.text("data")]
    while data and not data[-1]:
        data.pop()
    head = [str(int(at)), callid, row.text("queuename"), row.text("agent"), row.text("event")]
    return parse_queue_line("|".join(head + data))
