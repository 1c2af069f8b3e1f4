"""CDR rows as the CEL rows they imply, for a PBX that keeps no CEL, or lost some of it.

A CDR row is a pair of parties and knows less: who hung up and why is not in it, the second party has a name and no
uniqueid (queue_log's CONNECT has one, else it is made of the row's own), and a queue's answer is queue_log's.
"""

import re
from collections.abc import Mapping, Sequence

from cti.core.books import CdrRow, QueueRow
from cti.core.cel import CelRow
from cti.core.instants import made_at

_CAUSES: Mapping[str, int] = {"BUSY": 17, "FAILED": 38, "CONGESTION": 34}
_CLID = re.compile(r'"(.*)" ?<[^>]*>')
_SECOND = 1.0
_FIRST_ROWS = 2.0  # s by which the CDR may date a begin otherwise
_LATER = 2e-6  # s by which the party that was rung is younger than the one who rang


def cel_of(cdr: Sequence[CdrRow], queue_log: Sequence[QueueRow]) -> list[CelRow]:
    """The rows in order of time; hangup causes that nobody knows are 0."""
    names = {row.channel: row.uniqueid for row in cdr}
    connects = [row for row in queue_log if row.verb == "CONNECT" and len(row.data) > 1]
    completes = {row.callid: row.verb for row in queue_log if row.verb.startswith("COMPLETE")}
    by_channel: dict[str, list[CdrRow]] = {}
    for row in cdr:
        by_channel.setdefault(row.uniqueid, []).append(row)
    found: list[tuple[float, int, CelRow]] = []
    for rows in by_channel.values():
        verb = completes.get(rows[0].uniqueid, "")
        found += _channel(sorted(rows, key=lambda row: row.start), names, connects, verb)
    return [row for _, _, row in sorted(found, key=lambda one: one[:2])]


def lacking(cdr: Sequence[CdrRow], cel: Sequence[CelRow], *, since: float, until: float) -> list[CdrRow]:
    """The rows of those groups of which CEL has nothing, although all of it from `since` to `until` is there.

    A group whose first channel was made before that has its rows of CEL before it, however late its rows of the CDR are.
    """
    known = {row.uniqueid for row in cel} | {row.linkedid for row in cel}
    groups: dict[str, list[CdrRow]] = {}
    for row in cdr:
        groups.setdefault(row.group, []).append(row)
    unknown = [
        rows
        for name, rows in groups.items()
        if known.isdisjoint({name, *(row.uniqueid for row in rows)})
        and _began(name, rows) >= since + _FIRST_ROWS
        and max(row.end for row in rows) <= until
    ]
    if not unknown:
        return []
    seen: dict[str, list[float]] = {}
    for one in cel:
        seen.setdefault(one.channel, []).append(one.at)
    return [row for rows in unknown if not any(_is_seen(row, seen) for row in rows) for row in rows]


def _began(name: str, rows: Sequence[CdrRow]) -> float:
    made = (made_at(uniqueid) for uniqueid in {name, *(row.uniqueid for row in rows)})
    return min([*(row.start for row in rows), *(at for at in made if at is not None)])


def _is_seen(row: CdrRow, seen: Mapping[str, Sequence[float]]) -> bool:
    """Whether CEL has one of its two channels; after a restart their names are others'."""
    ats = (*seen.get(row.channel, ()), *(seen.get(row.dstchannel, ()) if row.dstchannel else ()))
    return any(row.start - _SECOND <= at <= row.end + _SECOND for at in ats)


def _channel(
    rows: Sequence[CdrRow], names: Mapping[str, str], connects: Sequence[QueueRow], complete: str
) -> list[tuple[float, int, CelRow]]:
    first, last = rows[0], max(rows, key=lambda row: row.end)
    told = [(first.start, 0, _row(first, "CHAN_START", first.start, app=""))]
    answered = next((row for row in rows if row.answer is not None), None)
    if answered is not None and answered.answer is not None:
        told.append((answered.answer, 3, _row(answered, "ANSWER", answered.answer)))
    for row in rows:
        told += _pair(row, names, connects)
    status = {"ANSWERED": "ANSWER", "NO ANSWER": "NOANSWER"}.get(last.disposition, last.disposition)
    cause = _CAUSES.get(last.disposition, 0)
    source = {"COMPLETECALLER": last.channel, "COMPLETEAGENT": last.dstchannel}.get(complete, "")
    extra: dict[str, str | int] = {"hangupcause": cause, "dialstatus": status, "hangupsource": source}
    end = _row(last, "HANGUP", last.end, app="", extra=extra)
    told.append((last.end, 9, end))
    return told


def _pair(
    row: CdrRow, names: Mapping[str, str], connects: Sequence[QueueRow]
) -> list[tuple[float, int, CelRow]]:
    if row.lastapp not in {"Dial", "Queue"}:
        return []
    told = [
        (row.start, 1, _row(row, "APP_START", row.start)),
        (row.end, 8, _row(row, "APP_END", row.end)),
    ]
    if not row.dstchannel:
        return told
    connect = next((one for one in connects if _connects(one, row)), None)
    answered_at = None
    if row.lastapp == "Queue":
        answered_at = min(max(connect.at, row.start), row.end) if connect is not None else None
    elif row.disposition == "ANSWERED" and row.answer is not None:
        answered_at = max(row.answer, row.start)
    made = connect.data[1] if connect is not None else f"{row.uniqueid}+{row.sequence or row.end}"
    other = names.get(row.dstchannel, made)

    def of_other(event: str, at: float, **extra: str | int) -> CelRow:
        return _row(
            row, event, at, app="AppQueue" if row.lastapp == "Queue" else "AppDial", other=other, extra=extra
        )

    if row.dstchannel not in names:
        told.append((row.start, 2, of_other("CHAN_START", row.start + _LATER)))
        cause = 0 if answered_at is not None else _CAUSES.get(row.disposition, 0)
        told.append((row.end, 7, of_other("HANGUP", row.end, hangupcause=cause)))
    if answered_at is not None:
        bridge = f"cdr-{row.uniqueid}-{row.sequence or row.end}"
        here = {"bridge_id": bridge, "bridge_technology": "simple_bridge"}
        told += [
            (answered_at, 3, of_other("ANSWER", answered_at)),
            (answered_at, 4, of_other("BRIDGE_ENTER", answered_at, **here)),
            (answered_at, 5, _row(row, "BRIDGE_ENTER", answered_at, extra=here)),
            (row.end, 5, _row(row, "BRIDGE_EXIT", row.end, extra=here)),
            (row.end, 6, of_other("BRIDGE_EXIT", row.end, **here)),
        ]
    return told


def _connects(connect: QueueRow, row: CdrRow) -> bool:
    if row.lastapp != "Queue" or row.disposition != "ANSWERED" or connect.callid != row.uniqueid:
        return False
    return row.start - _SECOND <= connect.at <= row.end


def _row(
    row: CdrRow,
    event: str,
    at: float,
    *,
    app: str | None = None,
    other: str = "",
    extra: Mapping[str, str | int] | None = None,
) -> CelRow:
    name = _CLID.match(row.clid)
    return CelRow(
        at=at,
        event=event,
        linkedid=row.group,
        uniqueid=other or row.uniqueid,
        channel=row.dstchannel if other else row.channel,
        peer="",
        number="" if other else row.src,
        name="" if other or name is None else name[1],
        exten=row.dst,
        context=row.dcontext,
        app=row.lastapp if app is None else app,
        appdata=row.lastdata,
        extra=extra or {},
        raw=row.raw,
    )
