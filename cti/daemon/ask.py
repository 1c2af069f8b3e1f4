"""The commands that ask the running daemon: calls, agents, queues, duty, faults."""

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer
from rich.table import Table

from config.settings import Settings
from cti.core.facts import Direction, Disposition, Quality, State
from cti.daemon.client import Client
from cti.daemon.moments import moment
from cti.daemon.options import ConfigOption, JsonOption, console, say, settings_of, write_json
from cti.daemon.show import Tables

Draw = Callable[[Tables], Callable[[Sequence[Mapping[str, Any]]], Table]]

FromOption = Annotated[
    str | None, typer.Option("--from", help='From then on: "2026-10-01 09:30", "today", or "2h" (ago).')
]
ToOption = Annotated[str | None, typer.Option("--to", help="Up to then; written like --from.")]
PbxOption = Annotated[str | None, typer.Option("--pbx", help="Of this PBX only.")]
LimitOption = Annotated[int, typer.Option("--limit", "-n", min=1, max=100_000, help="At most so many rows.")]


class _Asked:
    """One command's way from options to rows to what is shown."""

    def __init__(self, config: Path | None, *, as_json: bool) -> None:
        self.settings: Settings = settings_of(config, needed=())
        self.client = Client(self.settings)
        self.zone = ZoneInfo(self.settings.duty.timezone)
        self.now = dt.datetime.now(dt.UTC)
        self._as_json = as_json

    def instant(self, text: str | None, option: str) -> str | None:
        """Turn a time as written by a person into the API's form."""
        if text is None:
            return None
        try:
            return moment(text, self.zone, self.now).astimezone(dt.UTC).isoformat().replace("+00:00", "Z")
        except (ValueError, OverflowError) as error:
            raise typer.BadParameter(str(error), param_hint=option) from None

    def figures(
        self, rows: Sequence[Mapping[str, Any]], draw: Draw, nothing: str, pbx: str | None = None
    ) -> None:
        """Write rows as `show` does, and say which PBXs' books cannot be read or compared, and why: in JSON in each row."""
        books = self.client.get("/api/v1/books", {"pbx": pbx})["items"]
        self.show([{**row, "unverified": _why(books, row["pbx"])} for row in rows], draw, nothing)
        for one in books:
            if one["unverified"]:
                say(f"{one['pbx']}: UNVERIFIED: {one['unverified']}")

    def today(self, answer: Mapping[str, Any], draw: Draw, nothing: str, pbx: str | None = None) -> None:
        """Write a picture's rows as `figures` does, and say so when those of today are not whole: in JSON in each row."""
        whole = bool(answer["today_complete"])
        self.figures([{**row, "today_complete": whole} for row in answer["items"]], draw, nothing, pbx)
        if not whole:
            say(
                "The figures of today are NOT COMPLETE yet: after its start the daemon still reads back what was before."
            )

    def show(self, rows: Sequence[Mapping[str, Any]], draw: Draw, nothing: str) -> None:
        """Write the rows as JSON, as a table, or as a sentence when there are none."""
        if self._as_json:
            write_json(list(rows))
        elif rows:
            console().print(draw(Tables(self.zone, self.now))(rows))
        else:
            typer.echo(nothing)


def _why(books: Sequence[Mapping[str, Any]], pbx: str) -> str:
    return next((str(one["unverified"]) for one in books if one["pbx"] == pbx), "")


def calls(  # noqa: PLR0917 - each is an option
    config: ConfigOption = None,
    as_json: JsonOption = False,
    since: FromOption = None,
    before: ToOption = None,
    direction: Annotated[Direction | None, typer.Option(help="Seen from the PBX.")] = None,
    disposition: Annotated[Disposition | None, typer.Option(help="How the call ended.")] = None,
    agent: Annotated[str | None, typer.Option(help="Who talked, or answered from a queue.")] = None,
    queue: Annotated[str | None, typer.Option(help="In which the call waited.")] = None,
    number: Annotated[str | None, typer.Option(help="The caller's number.")] = None,
    pbx: PbxOption = None,
    quality: Annotated[Quality | None, typer.Option(help="How much of the record was seen.")] = None,
    open_: Annotated[
        bool | None, typer.Option("--open/--over", help="Those that go on, or those that are over.")
    ] = None,
    limit: LimitOption = 50,
) -> None:
    """Show calls, newest first."""
    asked = _Asked(config, as_json=as_json)
    query = {
        "from": asked.instant(since, "--from"),
        "to": asked.instant(before, "--to"),
        "direction": direction,
        "disposition": disposition,
        "agent": agent,
        "queue": queue,
        "caller_number": number,
        "pbx": pbx,
        "quality": quality,
        "open": None if open_ is None else str(open_).lower(),
    }
    rows = asked.client.items("/api/v1/calls", query, limit)
    asked.figures(rows, lambda tables: tables.calls, "No call is on record for this.", pbx)


def agents(
    config: ConfigOption = None,
    as_json: JsonOption = False,
    state: Annotated[State | None, typer.Option(help="Only those in this state.")] = None,
    pbx: PbxOption = None,
) -> None:
    """Show every agent now.

    State, since when, why, and the occupancy of today.
    """
    asked = _Asked(config, as_json=as_json)
    answer = asked.client.get("/api/v1/agents", {"state": state, "pbx": pbx})
    asked.today(answer, lambda tables: tables.agents, "No agent is known yet.", pbx)


def queues(config: ConfigOption = None, as_json: JsonOption = False, pbx: PbxOption = None) -> None:
    """Show every queue now.

    Who waits, who is free, and the figures of today.
    """
    asked = _Asked(config, as_json=as_json)
    answer = asked.client.get("/api/v1/queues", {"pbx": pbx})
    asked.today(answer, lambda tables: tables.queues, "No queue is known yet.", pbx)


def duty(
    config: ConfigOption = None,
    as_json: JsonOption = False,
    at: Annotated[str | None, typer.Option(help='When, e.g. "2026-10-01 20:30"; now when left out.')] = None,
    hotline: Annotated[str | None, typer.Option(help="Of this hotline only.")] = None,
) -> None:
    """Show who answers the hotlines, at any instant."""
    asked = _Asked(config, as_json=as_json)
    query = {"at": asked.instant(at, "--at"), "hotline": hotline}
    rows = asked.client.get("/api/v1/duty", query)["items"]
    asked.show(rows, lambda tables: tables.duty, "No hotline is known; `cti import FILE` brings them.")


def faults(  # noqa: PLR0917 - each is an option
    config: ConfigOption = None,
    as_json: JsonOption = False,
    since: FromOption = None,
    before: ToOption = None,
    open_: Annotated[bool, typer.Option("--open", help="Only those that go on.")] = False,
    pbx: PbxOption = None,
    limit: LimitOption = 50,
) -> None:
    """Show faults, newest first.

    What was broken, from when to when.
    """
    asked = _Asked(config, as_json=as_json)
    query = {
        "from": asked.instant(since, "--from"),
        "to": asked.instant(before, "--to"),
        "open": "true" if open_ else None,
        "pbx": pbx,
    }
    rows = asked.client.items("/api/v1/faults", query, limit)
    asked.show(rows, lambda tables: tables.faults, "No fault is on record for this.")
