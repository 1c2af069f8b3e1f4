"""`cti explain`: one call's whole story for a person. It needs no running daemon."""

import asyncio
import datetime as dt
from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any
from zoneinfo import ZoneInfo

import typer
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from config.settings import Settings
from cti.core.picture import picture
from cti.core.story import Line, Step, Story, quality_in_words
from cti.daemon import errors
from cti.daemon.booksources import books_of
from cti.daemon.options import ConfigOption, JsonOption, console, settings_of, write_json
from cti.daemon.show import cell
from cti.daemon.storytelling import Told, parts_of, told

if TYPE_CHECKING:
    from store.queries import CallRecord, Queries

_INDENT = 4


def explain(
    call: Annotated[str, typer.Argument(help="The call's id, or the uniqueid of its first channel.")],
    config: ConfigOption = None,
    as_json: JsonOption = False,
    pbx: Annotated[str | None, typer.Option("--pbx", help="Of this PBX only.")] = None,
    lines: Annotated[
        bool,
        typer.Option(
            "--lines", help="Show the books' raw lines below each step, and those that belong to none."
        ),
    ] = False,
) -> None:
    """Tell the whole story of one call.

    What happened to whom, when, and from which event or line of the PBX's books that is known; with a picture.
    """
    settings = settings_of(config, needed=("database", "books"))
    if pbx is not None and pbx not in settings.pbx:
        raise typer.BadParameter(f"choose one of: {', '.join(settings.pbx)}", param_hint="--pbx")
    known = asyncio.run(_explain(settings, call, pbx))
    if as_json:
        write_json(_as_dict(known))
        return
    zone, out = ZoneInfo(settings.duty.timezone), console()
    out.print(Group(*_headline(known, call, settings, zone)))
    out.print(_with_lines(known.story, zone) if lines else _timeline(known.story, zone))
    drawn = Text("\n").join(map(cell, picture(known.story, out.width)))
    out.print(drawn, no_wrap=True, overflow="ignore", crop=False)


async def _explain(settings: Settings, call: str, pbx: str | None) -> Told:
    from store import StoreError, open_store  # noqa: PLC0415 - the other commands start faster without it

    try:
        async with await open_store(settings.database.full_url, make=False) as store:
            record = await _record(store.queries, call, pbx, settings.pbx)
            ends = [gap.ended_at for gap in await store.queries.gaps(record.call.pbx)]
    except StoreError as error:
        raise errors.StoreError(str(error)) from error
    sources = books_of(settings, record.call.pbx) if record.call.pbx in settings.pbx else None
    return await told(parts_of(record), ends, sources)


async def _record(queries: "Queries", call: str, pbx: str | None, every: Collection[str]) -> "CallRecord":
    """The call of this id; else the one of this uniqueid, which several PBXs may have given."""
    record = await queries.call(call)
    if record is not None and pbx in {None, record.call.pbx}:
        return record
    found = {}
    for call_id in (f"{name}-{call}" for name in (every if pbx is None else (pbx,))):
        record = await queries.call(call_id)
        if record is not None:
            found[call_id] = record
    match list(found.values()):
        case [only]:
            return only
        case []:
            at = "" if pbx is None else f" of PBX {pbx}"
            raise errors.CtiError(f"no call {call!r}{at} is on record; `cti calls` shows their ids")
    raise errors.CtiError(f"{call!r} is a call of several PBXs; give one of these ids: {', '.join(found)}")


# --- for scripts ----------------------------------------------------------------------------------------------------


def _as_dict(known: Told) -> dict[str, Any]:
    story = known.story
    every = [line for step in story.steps for line in step.lines] + list(story.unexplained)
    return {
        "call": story.call.id,
        "quality": story.call.quality.value,
        "verified": not known.unverified,
        "unverified": known.unverified,
        "notes": list(known.notes),
        "steps": [_step(step) for step in story.steps],
        "lines": [_line(line) for line in sorted(every, key=lambda line: line.at)],
        "unexplained": [_line(line) for line in story.unexplained],
    }


def _step(step: Step) -> dict[str, Any]:
    return {
        "at": _iso(step.at),
        "kind": step.kind,
        "who": step.who,
        "what": step.what,
        "to": step.to,
        "source": step.source,
        "event": step.event,
        "lines": [_line(line) for line in step.lines],
    }


def _line(line: Line) -> dict[str, str]:
    return {"at": _iso(line.at), "book": line.book, "line": line.raw}


def _iso(at: float) -> str:
    return dt.datetime.fromtimestamp(at, dt.UTC).isoformat().replace("+00:00", "Z")


# --- for people -----------------------------------------------------------------------------------------------------


def _headline(known: Told, asked: str, settings: Settings, zone: ZoneInfo) -> Iterator[Text]:
    call = known.story.call
    if call.id not in {asked, *(f"{name}-{asked}" for name in settings.pbx)}:
        yield cell(f"{asked} became part of {call.id}")
    begun = dt.datetime.fromtimestamp(call.started_at, zone)
    yield cell(f"{call.id}: {call.direction.value}, {begun:%Y-%m-%d %H:%M:%S} ({zone.key})")
    yield cell(quality_in_words(call))
    if known.unverified:
        yield cell(f"UNVERIFIED: {known.unverified}", "yellow")
    for note in known.notes:
        yield cell(f"note: {note}", "yellow")


def _timeline(story: Story, zone: ZoneInfo) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for column in ("time", "after"):
        table.add_column(column, no_wrap=True)
    for column in ("what happened", "known from"):
        table.add_column(column, overflow="fold")
    for step in story.steps:
        table.add_row(*_row(step, story, zone))
    return table


def _row(step: Step, story: Story, zone: ZoneInfo) -> tuple[Text, Text, Text, Text]:
    local, begun = (dt.datetime.fromtimestamp(at, zone) for at in (step.at, story.call.started_at))
    day = "" if local.date() == begun.date() else f"{local:%Y-%m-%d} "
    return (
        Text(f"{day}{local:%H:%M:%S}.{local.microsecond // 1000:03}"),
        Text(f"{step.at - story.call.started_at:+.1f} s".rjust(8)),
        Text.assemble(cell(f"{step.who} ", "bold"), cell(step.what)) if step.who else cell(step.what),
        cell(_known_from(step), "" if step.source == "seen" else "yellow"),
    )


def _known_from(step: Step) -> str:
    if step.source == "seen":
        return step.event
    if step.source == "guess":
        return "a guess: nobody saw when"
    return f"{step.source} {step.event}".rstrip()


def _with_lines(story: Story, zone: ZoneInfo) -> Group:
    """Each step with the lines of the books that prove it below, as wide as the terminal."""
    shown: list[RenderableType] = []
    for step in story.steps:
        time, after, what, known = _row(step, story, zone)
        shown.append(Text("  ").join([time, after, what, Text.assemble("[", known, "]")]))
        shown += _raw(step.lines, zone)
    if story.unexplained:
        shown.append(Text("\nLines of the books about it that no step explains:"))
        shown += _raw(story.unexplained, zone)
    return Group(*shown)


def _raw(lines: Sequence[Line], zone: ZoneInfo) -> Iterator[RenderableType]:
    if not lines:
        return
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for line in lines:
        at = dt.datetime.fromtimestamp(line.at, zone)
        table.add_row(Text(f"{line.book} {at:%H:%M:%S}"), cell(line.raw))
    yield Padding(table, (0, 0, 0, _INDENT), style="dim")
