"""`cti reconcile`: the records beside the PBX's books. It needs no running daemon."""

import asyncio
import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer
from rich.table import Table
from rich.text import Text

from config.settings import Settings
from cti.core.backfill import uniqueids
from cti.core.memory import Known
from cti.core.reconcile import Mismatch, Report
from cti.core.reconcile import reconcile as compare
from cti.daemon import errors
from cti.daemon.bookreader import BookUnreadable
from cti.daemon.books import Books
from cti.daemon.booksources import books_of
from cti.daemon.moments import moment
from cti.daemon.options import ConfigOption, JsonOption, console, say, settings_of, write_json
from cti.daemon.show import cell

_LOOK_BACK = 3600.0  # s before the window in which a pass that reaches into it may have begun
_DISAGREE = 1


@dataclass(frozen=True, slots=True)
class Verdict:
    """The comparison of one PBX; `unverified` says why there is none, or why it is not whole."""

    pbx: str
    unverified: str
    report: Report
    known: Known


def reconcile(
    config: ConfigOption = None,
    as_json: JsonOption = False,
    since: Annotated[
        str,
        typer.Option("--from", help='What began from then on: "2026-10-01 09:30", "today", or "2h" (ago).'),
    ] = "1d",
    until: Annotated[str, typer.Option("--to", help="Up to then; written like --from.")] = "now",
    pbx: Annotated[str | None, typer.Option("--pbx", help="Of this PBX only.")] = None,
) -> None:
    """Hold the records against the PBX's books.

    Every call that one of them lacks, every field that differs beyond the books' resolution, grouped by reason, with
    the raw lines. Exit status 1 when they disagree, or when the books cannot be read.
    """
    settings = settings_of(config, needed=("database", "books"))
    names = _names(settings, pbx)
    zone, now = ZoneInfo(settings.duty.timezone), dt.datetime.now(dt.UTC)
    start, end = _instant(since, "--from", zone, now), _instant(until, "--to", zone, now)
    verdicts = asyncio.run(_reconcile(settings, names, start, min(end, now.timestamp())))
    if as_json:
        write_json(_as_dict(verdicts))
    else:
        for verdict in verdicts:
            _show(verdict, zone)
    if any(verdict.unverified or verdict.report.mismatches for verdict in verdicts):
        raise typer.Exit(_DISAGREE)


def _names(settings: Settings, pbx: str | None) -> list[str]:
    if pbx is not None and pbx not in settings.pbx:
        raise typer.BadParameter(f"choose one of: {', '.join(settings.pbx)}", param_hint="--pbx")
    return list(settings.pbx) if pbx is None else [pbx]


def _instant(text: str, option: str, zone: ZoneInfo, now: dt.datetime) -> float:
    try:
        return moment(text, zone, now).timestamp()
    except (ValueError, OverflowError) as error:
        raise typer.BadParameter(str(error), param_hint=option) from None


async def _reconcile(settings: Settings, names: Sequence[str], since: float, until: float) -> list[Verdict]:
    from store import StoreError, open_store  # noqa: PLC0415 - the other commands start faster without it

    try:
        async with await open_store(settings.database.full_url) as store:
            return [
                await _verdict(name, books_of(settings, name), store.queries, since, until) for name in names
            ]
    except StoreError as error:
        raise errors.StoreError(str(error)) from error


async def _verdict(name: str, books: Books, queries: Any, since: float, until: float) -> Verdict:
    nothing = Verdict(name, books.missing, Report(0, (), 0), Known())
    if not books.any:
        return nothing
    now = dt.datetime.now(dt.UTC).timestamp()
    try:
        read = await books.read(since - _LOOK_BACK, now)
    except BookUnreadable as error:
        return Verdict(name, str(error), Report(0, (), 0), Known())
    channels = uniqueids(read.rows()) | {row.uniqueid for row in read.cdr or ()}
    known = await queries.around(name, channels, since=since, before=now)
    report = compare(known.stays, known.calls, known.legs, read.queue_log, read.cdr, since=since, until=until)
    return Verdict(name, books.missing, report, known)


def _as_dict(verdicts: Sequence[Verdict]) -> dict[str, Any]:
    return {
        "mismatches": sum(len(verdict.report.mismatches) for verdict in verdicts),
        "verified": not any(verdict.unverified for verdict in verdicts),
        "pbxs": [
            {
                "pbx": verdict.pbx,
                "unverified": verdict.unverified,
                "checked": verdict.report.checked,
                "left_out": verdict.report.left_out,
                "by_reason": dict(verdict.report.by_reason()),
                "mismatches": [_mismatch(one, verdict.known) for one in verdict.report.mismatches],
            }
            for verdict in verdicts
        ],
    }


def _mismatch(one: Mismatch, known: Known) -> dict[str, Any]:
    return {
        "reason": one.reason.value,
        "call_id": one.call_id,
        "uniqueid": one.uniqueid,
        "field": one.field,
        "ours": one.ours,
        "book": one.book,
        "record": _record_lines(one, known),
        "lines": list(one.lines),
    }


def _record_lines(one: Mismatch, known: Known) -> list[str]:
    """What we have on record about it, as text beside the book's raw lines."""
    stays = [
        f"stay {stay.id} {stay.queue} joined {stay.joined_at:.3f} left {stay.left_at} {stay.outcome} "
        f"agent {stay.agent} wait {stay.book_wait} talk {stay.book_talk} {' '.join(stay.sources)}"
        for stay in known.stays
        if stay.uniqueid == one.uniqueid
    ]
    calls = [
        f"call {call.id} {call.started_at:.3f}-{call.ended_at} {call.disposition} {call.quality}"
        for call in known.calls
        if call.id == one.call_id
    ]
    return calls + stays


def _show(verdict: Verdict, zone: ZoneInfo) -> None:  # noqa: ARG001 - instants stay as the books have them
    report = verdict.report
    if verdict.unverified:
        say(f"{verdict.pbx}: UNVERIFIED: {verdict.unverified}")
    typer.echo(
        f"{verdict.pbx}: {report.checked} compared, {len(report.mismatches)} differ, {report.left_out} left out "
        "(still open, or at the edge)"
    )
    for reason, count in report.by_reason().items():
        if count:
            typer.echo(f"\n{reason} ({count})")
            console().print(_table([one for one in report.mismatches if one.reason == reason], verdict.known))


def _table(mismatches: Sequence[Mismatch], known: Known) -> Table:
    table = Table(show_lines=True)
    for column in ("call", "field", "ours", "book", "our record", "the book's lines"):
        table.add_column(column, overflow="fold")
    for one in mismatches:
        table.add_row(
            cell(one.call_id or one.uniqueid),
            cell(one.field),
            cell(one.ours),
            cell(one.book),
            Text("\n").join(map(cell, _record_lines(one, known))),
            Text("\n").join(map(cell, one.lines)),
        )
    return table
