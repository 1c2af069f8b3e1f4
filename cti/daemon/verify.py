"""`cti reconcile`: the records beside the PBX's books. It needs no running daemon."""

import asyncio
import datetime as dt
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer
from rich.table import Table
from rich.text import Text

from config.settings import Settings
from cti.core.backfill import uniqueids
from cti.core.comparison import Pages, compare
from cti.core.explained import RULES
from cti.core.facts import Attempt, Call, Leg, QueueStay, Talk, Transfer
from cti.core.memory import Known
from cti.core.mismatch import Mismatch, MismatchReason, Report
from cti.core.retold import said
from cti.core.rules import Rules
from cti.daemon import errors
from cti.daemon.bookfitness import fitness
from cti.daemon.bookindex import BadLines
from cti.daemon.bookreader import BookUnreadable
from cti.daemon.books import Books
from cti.daemon.booksources import books_of
from cti.daemon.moments import moment
from cti.daemon.options import ConfigOption, JsonOption, console, say, settings_of, write_json
from cti.daemon.show import cell

_LOOK_BACK = 3600.0  # s before the window in which a pass that reaches into it may have begun
_EDGE = 5.0  # s by which both books must have what happened, beyond what the books say of themselves
_MINUTE = 90.0  # s in which a running daemon adds to the records what only CEL tells
_DISAGREE = 1
_NOTHING = Report(0, (), 0)


@dataclass(frozen=True, slots=True)
class Verdict:
    """The comparison of one PBX; `unverified` says why there is none, or why it is not whole."""

    pbx: str
    unverified: str = ""
    report: Report = _NOTHING
    known: Known = Known()  # noqa: RUF009 - immutable
    bad: Mapping[str, BadLines] = field(default_factory=dict)  # lines that could not be read, by book
    notes: tuple[str, ...] = ()  # what lacks although the records can be verified


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
    the raw lines. What a written rule explains (docs/scenarios.md) is counted apart. Exit status 1 when they disagree,
    or when the books cannot be read.
    """
    settings = settings_of(config, needed=("database", "books"))
    names = _names(settings, pbx)
    zone, now = ZoneInfo(settings.duty.timezone), dt.datetime.now(dt.UTC)
    start, end = _instant(since, "--from", zone, now), _instant(until, "--to", zone, now)
    if start >= now.timestamp():
        raise typer.BadParameter(f"{since!r} is still to come; name a time that is over", param_hint="--from")
    if start >= end:
        message = f"{until!r} is not after --from {since!r}; name a later time, or leave it out for now"
        raise typer.BadParameter(message, param_hint="--to")
    verdicts = asyncio.run(_reconcile(settings, names, start, min(end, now.timestamp())))
    if as_json:
        write_json(_as_dict(verdicts))
    else:
        for verdict in verdicts:
            _show(verdict)
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
    # The other commands start faster without these.
    from cti.daemon.service import rules_of  # noqa: PLC0415
    from store import StoreError, open_store  # noqa: PLC0415

    try:
        async with await open_store(settings.database.full_url, make=False) as store:
            return [
                await _verdict(
                    name, rules_of(settings, name), books_of(settings, name), store.queries, since, until
                )
                for name in names
            ]
    except StoreError as error:
        raise errors.StoreError(str(error)) from error


async def _verdict(  # noqa: PLR0917 - what was asked for
    name: str, rules: Rules, books: Books, queries: Any, since: float, until: float
) -> Verdict:
    if not books.any:
        return Verdict(name, books.missing)
    now, begin = dt.datetime.now(dt.UTC).timestamp(), since - _LOOK_BACK
    try:
        read = await books.read(begin, now)
    except BookUnreadable as error:
        return Verdict(name, str(error))
    channels = uniqueids(read.rows()) | {row.uniqueid for row in read.cdr or ()}
    known = await queries.around(name, channels, since=since, before=now)
    bad = {book: lines for book, lines in read.bad.items() if lines.count}
    fit = fitness(read, known, since, until)
    if fit.unverified:
        return Verdict(name, fit.unverified, bad=bad, notes=fit.notes)
    pages = Pages(read.queue_log, read.cdr, read.cel or None, begin)
    edge = _EDGE + books.behind
    fresh = max(0.0, until - now + _MINUTE + books.behind)
    report = compare(name, rules, known, pages, since=since, until=until, edge=edge, fresh=fresh)
    return Verdict(name, books.missing, report, known, bad, fit.notes)


# --- JSON -----------------------------------------------------------------------------------------------------------


def _as_dict(verdicts: Sequence[Verdict]) -> dict[str, Any]:
    return {
        "mismatches": sum(len(verdict.report.mismatches) for verdict in verdicts),
        "explained": sum(len(verdict.report.explained) for verdict in verdicts),
        "bad_lines": sum(lines.count for verdict in verdicts for lines in verdict.bad.values()),
        "verified": not any(verdict.unverified for verdict in verdicts),
        "pbxs": [_of_pbx(verdict) for verdict in verdicts],
    }


def _of_pbx(verdict: Verdict) -> dict[str, Any]:
    report, known = verdict.report, verdict.known
    return {
        "pbx": verdict.pbx,
        "unverified": verdict.unverified,
        "notes": list(verdict.notes),
        "checked": report.checked,
        "left_out": report.left_out,
        "by_reason": dict(report.by_reason()),
        "by_rule": dict(report.by_rule(RULES)),
        "mismatches": [_mismatch(one, known) for one in report.mismatches],
        "explained": [{"rule": one.rule, **_mismatch(one, known)} for one in report.explained],
        "bad_lines": {
            book: {
                "count": lines.count,
                "samples": [{"why": line.why, "line": line.raw} for line in lines.samples],
            }
            for book, lines in verdict.bad.items()
        },
    }


def _mismatch(one: Mismatch, known: Known) -> dict[str, Any]:
    return {
        "reason": one.reason.value,
        "call_id": one.call_id,
        "uniqueid": one.uniqueid,
        "field": str(one.field),
        "ours": one.ours,
        "book": one.book,
        "record": list(_record(one, known)),
        "lines": list(one.lines),
    }


# --- our record, as text beside the book's raw lines --------------------------------------------------------------------

_OF_CALL = frozenset(
    {
        MismatchReason.DISPOSITION,
        MismatchReason.DUPLICATED,
        MismatchReason.JOINED,
        MismatchReason.NOT_IN_CEL,
        MismatchReason.LEG,
    }
)


def _record(one: Mismatch, known: Known) -> Iterator[str]:
    """What we have on record about it."""
    yield from (_call(call) for call in known.calls if call.id == one.call_id)
    if one.reason in _OF_CALL:
        yield from (_leg(leg) for leg in known.legs if leg.call_id == one.call_id)
    yield from (_stay(stay) for stay in known.stays if stay.uniqueid == one.uniqueid)
    match one.reason:
        case MismatchReason.ATTEMPT | MismatchReason.RANG:
            yield from (_attempt(part) for part in _mine(known.attempts, one))
        case MismatchReason.TALK:
            yield from (_talk(part) for part in _mine(known.talks, one))
        case MismatchReason.TRANSFER:
            yield from (_transfer(part) for part in _mine(known.transfers, one))


def _mine(parts: Iterable[Any], one: Mismatch) -> Iterator[Any]:
    return (part for part in parts if part.call_id == one.call_id)


def _call(call: Call) -> str:
    return (
        f"call {call.id} {call.direction} {call.caller_number} {call.caller_name!r} to {call.dialed_number}, "
        f"{said(call.started_at)} to {said(call.ended_at)}, answered {said(call.answered_at)}, {call.disposition}, "
        f"ended by {call.ended_by}, {call.quality}{_sources(call.sources)}"
    )


def _leg(leg: Leg) -> str:
    return (
        f"leg {leg.channel} agent {leg.agent} {said(leg.started_at)} to {said(leg.ended_at)}, "
        f"answered {said(leg.answered_at)}{_sources(leg.sources)}"
    )


def _stay(stay: QueueStay) -> str:
    return (
        f"stay {stay.id} {stay.queue} {said(stay.joined_at)} to {said(stay.left_at)} {stay.outcome} agent {stay.agent} "
        f"wait {said(stay.wait)} book_wait {stay.book_wait} book_talk {stay.book_talk}{_sources(stay.sources)}"
    )


def _attempt(one: Attempt) -> str:
    return (
        f"ringing {one.device} agent {one.agent} queue {one.queue} {said(one.started_at)} to {said(one.ended_at)} "
        f"{one.outcome}{_sources(one.sources)}"
    )


def _talk(talk: Talk) -> str:
    return (
        f"talk {talk.device} agent {talk.agent} queue {talk.queue} {said(talk.started_at)} to {said(talk.ended_at)}"
        f"{_sources(talk.sources)}"
    )


def _transfer(one: Transfer) -> str:
    return (
        f"transfer {one.kind} by {one.by} to {one.to} at {said(one.at)} {one.result}{_sources(one.sources)}"
    )


def _sources(sources: Iterable[str]) -> str:
    return f" ({', '.join(sources)})" if sources else ""


# --- for people -----------------------------------------------------------------------------------------------------


def _show(verdict: Verdict) -> None:
    report = verdict.report
    if verdict.unverified:
        say(f"{verdict.pbx}: UNVERIFIED: {verdict.unverified}")
    for note in verdict.notes:
        say(f"{verdict.pbx}: note: {note}")
    explained = f"{len(report.explained)} explained, " if report.explained else ""
    typer.echo(
        f"{verdict.pbx}: {report.checked} compared, {len(report.mismatches)} differ, {explained}"
        f"{report.left_out} left out (still open, or at the edge)"
    )
    for rule, count in report.by_rule(RULES).items():
        if count:
            typer.echo(f"  {count} by {rule}: {RULES[rule].text.partition('. ')[0]}. (docs/scenarios.md)")
    for book, lines in verdict.bad.items():
        typer.echo(f"  {lines.count} lines of {book} cannot be read, for example")
        for line in lines.samples:
            console().print(Text("    ") + cell(line.raw) + Text(f" ({line.why})"))
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
            cell(str(one.field)),
            cell(one.ours),
            cell(one.book),
            Text("\n").join(map(cell, _record(one, known))),
            Text("\n").join(map(cell, one.lines)),
        )
    return table
