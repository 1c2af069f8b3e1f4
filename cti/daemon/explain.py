"""`cti explain`: one call's whole story for a person. It needs no running daemon."""

import asyncio
import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer
from rich.console import Group
from rich.table import Table
from rich.text import Text

from config.settings import Settings
from cti.core.story import Parts, Story, lines_of, picture, quality_in_words, tell
from cti.daemon import errors
from cti.daemon.bookreader import BookUnreadable
from cti.daemon.booksources import books_of
from cti.daemon.options import ConfigOption, JsonOption, console, say, settings_of, write_json
from cti.daemon.show import cell


def explain(
    call: Annotated[str, typer.Argument(help="The call's id, or the uniqueid of its first channel.")],
    config: ConfigOption = None,
    as_json: JsonOption = False,
    lines: Annotated[bool, typer.Option("--lines", help="Show the books' raw lines about it, too.")] = False,
) -> None:
    """Tell the whole story of one call.

    What happened to whom, when, and from which event or book that is known; with a picture.
    """
    settings = settings_of(config, needed=("database", "books"))
    told, raw = asyncio.run(_explain(settings, call, lines=lines or as_json))
    zone = ZoneInfo(settings.duty.timezone)
    if as_json:
        write_json(_story(told, raw))
        return
    if told.call.id not in {call, *(f"{name}-{call}" for name in settings.pbx)}:
        typer.echo(f"{call} became part of {told.call.id}")
    typer.echo(f"{told.call.id}: {quality_in_words(told.call)}")
    shown: list[Any] = [_timeline(told, zone), Text("\n".join(picture(told)))]
    if lines:
        shown.append(_raw(raw, zone))
    console().print(Group(*shown))


async def _explain(
    settings: Settings, call: str, *, lines: bool
) -> tuple[Story, list[tuple[float, str, str]]]:
    from store import StoreError, open_store  # noqa: PLC0415 - the other commands start faster without it

    try:
        async with await open_store(settings.database.full_url) as store:
            for call_id in (call, *(f"{name}-{call}" for name in settings.pbx)):
                record = await store.queries.call(call_id)
                if record is not None:
                    break
            else:
                raise errors.CtiError(f"no call {call!r} is on record; `cti calls` shows their ids")
            ends = [gap.ended_at for gap in await store.queries.gaps(record.call.pbx)]
    except StoreError as error:
        raise errors.StoreError(str(error)) from error
    parts = Parts(
        record.call,
        record.legs,
        record.queue_stays,
        record.attempts,
        record.talks,
        record.transfers,
        record.recordings,
    )
    raw = await _lines(settings, parts) if lines else []
    return tell(parts, ends), raw


async def _lines(settings: Settings, parts: Parts) -> list[tuple[float, str, str]]:
    call = parts.call
    if call.pbx not in settings.pbx:
        return []
    try:
        books = await books_of(settings, call.pbx).read(
            call.started_at - 2, (call.ended_at or dt.datetime.now(dt.UTC).timestamp()) + 2
        )
    except BookUnreadable as error:
        say(str(error))
        return []
    channels = {leg.uniqueid for leg in parts.legs}
    cdr = [(row.end, "cdr", row.raw) for row in books.cdr or () if row.uniqueid in channels]
    return sorted(lines_of(parts, books.rows()) + cdr, key=lambda line: line[0])


def _story(told: Story, raw: Sequence[tuple[float, str, str]]) -> dict[str, Any]:
    return {
        "call": told.call.id,
        "quality": told.call.quality.value,
        "steps": [_step(step.at, step.who, step.what, step.source, step.event) for step in told.steps],
        "lines": [{"at": _iso(at), "book": book, "line": line} for at, book, line in raw],
    }


def _step(at: float, who: str, what: str, source: str, event: str) -> Mapping[str, str]:
    return {"at": _iso(at), "who": who, "what": what, "source": source, "event": event}


def _iso(at: float) -> str:
    return dt.datetime.fromtimestamp(at, dt.UTC).isoformat().replace("+00:00", "Z")


def _timeline(told: Story, zone: ZoneInfo) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for column in (f"time ({zone.key})", "after", "who", "what", "from"):
        table.add_column(column, overflow="fold")
    for step in told.steps:
        local = dt.datetime.fromtimestamp(step.at, zone)
        known = step.event if step.source == "seen" else step.source
        table.add_row(
            Text(f"{local:%Y-%m-%d %H:%M:%S}.{local.microsecond // 1000:03}"),
            Text(f"{step.at - told.call.started_at:+.1f} s"),
            cell(step.who),
            cell(step.what),
            cell(known, "" if step.source == "seen" else "yellow"),
        )
    return table


def _raw(raw: Sequence[tuple[float, str, str]], zone: ZoneInfo) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for column in ("time", "book", "line"):
        table.add_column(column, overflow="fold")
    for at, book, line in raw:
        table.add_row(Text(f"{dt.datetime.fromtimestamp(at, zone):%H:%M:%S}"), Text(book), cell(line))
    return table
