"""`cti fault`: report what no machine sees, and say when it works again."""

import datetime as dt
from typing import Annotated, Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

import typer

from config.settings import Settings
from cti.core.faults import HandKind
from cti.daemon.client import Client
from cti.daemon.moments import moment
from cti.daemon.options import ConfigOption, JsonOption, settings_of, write_json

app = typer.Typer(
    help="Report faults that no machine sees; `cti faults` lists them.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

AtOption = Annotated[
    str | None, typer.Option("--at", help='When: "2026-10-01 09:30", or "10m" (ago); now when left out.')
]


@app.command("open")
def open_(  # noqa: PLR0917 - each is an option
    kind: Annotated[HandKind, typer.Argument(help="What is broken.")],
    detail: Annotated[str, typer.Option("--detail", "-d", help="What exactly, and whose.")],
    config: ConfigOption = None,
    pbx: Annotated[str | None, typer.Option("--pbx", help="At this PBX.")] = None,
    at: AtOption = None,
    by: Annotated[str | None, typer.Option("--by", help="Who reports it.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Report a fault; prints its id."""
    settings = settings_of(config, needed=())
    sent = {"kind": kind.value, "detail": detail, "pbx": pbx, "at": _instant(at, settings), "reported_by": by}
    _post(settings, "/api/v1/faults", sent, as_json=as_json)


@app.command()
def close(
    fault: Annotated[str, typer.Argument(metavar="ID", help="As `cti fault open` printed it.")],
    config: ConfigOption = None,
    at: AtOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say that what was reported works again."""
    settings = settings_of(config, needed=())
    path = f"/api/v1/faults/{quote(fault, safe='')}/close"
    _post(settings, path, {"at": _instant(at, settings)}, as_json=as_json)


def _post(settings: Settings, path: str, sent: dict[str, Any], *, as_json: bool) -> None:
    given = {name: value for name, value in sent.items() if value is not None}
    answer = Client(settings).post(path, given)
    if as_json:
        write_json(answer)
    else:
        typer.echo(answer["id"])


def _instant(text: str | None, settings: Settings) -> str | None:
    if text is None:
        return None
    try:
        at = moment(text, ZoneInfo(settings.duty.timezone), dt.datetime.now(dt.UTC))
        return at.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")
    except (ValueError, OverflowError) as error:
        raise typer.BadParameter(str(error), param_hint="--at") from None
