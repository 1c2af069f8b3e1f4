"""The `cti` command. Exit status: 0 done, 2 usage or configuration, 3 no daemon answers, 1 anything else."""

import asyncio
import dataclasses
import importlib.metadata
import json
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from config.problems import ConfigError
from config.settings import Settings
from cti.daemon import ask, errors, explain, report, shipping, verify
from cti.daemon.client import DaemonUnreachable, RequestRefused
from cti.daemon.garbage import not_collected
from cti.daemon.options import ConfigOption, JsonOption, console, find, say, settings_of, write_json

OK, OTHER, USAGE, UNREACHABLE = 0, 1, 2, 3

_EXAMPLES = """\b
Examples:
  cti check-config --config cti.toml   is everything in it right?
  cti import people.toml               what would change? (--apply does it)
  cti run --config cti.toml            the daemon
  cti agents                           who is where, since when, why
  cti calls --from today --disposition abandoned
  cti calls --from 2h --json | jq '.[].caller_number'
  cti duty --at "2026-10-01 20:30"     who answers then?
  cti reconcile --from today           do the records agree with the PBX's books?
  cti explain main-1795301434.245      what happened in this call, step by step?
  cti ship-books --to https://cti.example.com --pbx main --queue-log /var/log/asterisk/queue_log
                                       beside a remote PBX: send its books to the daemon
  cti fault open headset --detail "desk 12 hears nothing" --by 2001

\b
Exit status: 0 done, 2 usage or configuration, 3 no daemon answers,
1 anything else.
"""

app = typer.Typer(
    name="cti",
    help="Call records, agents, the away rule and after-hours duty beside an Asterisk PBX.",
    epilog=_EXAMPLES,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    rich_markup_mode=None,
)


@contextmanager
def _store_errors() -> Iterator[None]:
    """Put the store's errors among ours."""
    from store.errors import StoreError  # noqa: PLC0415 - the other commands start faster without it

    try:
        yield
    except StoreError as error:
        raise errors.StoreError(str(error)) from error


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"cti {importlib.metadata.version('cti-beside-pbx')}")
        raise typer.Exit


@app.callback()
def _options(
    _version_wanted: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass


@app.command()
def run(config: ConfigOption = None) -> None:
    """Run the daemon.

    It runs until SIGTERM or Ctrl-C, and then makes everything durable that it took.
    """
    path = find(config)
    settings = settings_of(path)
    with not_collected():
        from cti.daemon import service  # noqa: PLC0415 - the other commands start faster without it

    with _store_errors():
        status = service.run(settings, path)
    raise typer.Exit(status)


@app.command("check-config")
def check_config(config: ConfigOption = None) -> None:
    """Check the configuration file.

    Every mistake is shown at once, each with its cure.
    """
    path = find(config)
    settings = settings_of(path)
    from cti.daemon.show import pairs  # noqa: PLC0415

    scheme = "https" if settings.http.tls_cert else "http"
    typer.echo(f"{path} is right.")
    console().print(
        pairs(
            [
                *((f"pbx.{name}", f"{pbx.host}:{pbx.port}") for name, pbx in settings.pbx.items()),
                ("database", settings.database.url),
                ("api", f"{scheme}://{settings.http.host}:{settings.http.port}"),
                ("data", settings.data_dir),
                ("time zone", settings.duty.timezone),
            ]
        )
    )


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="People, hotlines, rotas and calendar; TOML.")],
    config: ConfigOption = None,
    apply: Annotated[
        bool, typer.Option("--apply", help="Do it; else only what would change is shown.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Import people, hotlines, rotas and calendar.

    Shows what would change in the database; --apply does it, all or nothing.
    """
    settings = settings_of(config, needed=("database",))
    with _store_errors():
        asyncio.run(_import(file, settings, apply=apply, as_json=as_json))


async def _import(file: Path, settings: Settings, *, apply: bool, as_json: bool) -> None:
    from cti.daemon.importer import apply_import, plan_import  # noqa: PLC0415
    from store import open_store  # noqa: PLC0415

    async with await open_store(settings.database.full_url) as store:
        plan = await plan_import(store, file, timezone=settings.duty.timezone, environ=os.environ)
        if as_json:
            write_json(plan.as_dict() | {"applied": apply})
        else:
            typer.echo("\n".join(plan.lines))
        if apply:
            await apply_import(store, plan)
    if not as_json:
        say("Done." if apply else "Nothing was changed; --apply does it.")


@app.command()
def record(
    file: Annotated[Path, typer.Argument(help="A file that does not exist yet; .gz compresses.")],
    config: ConfigOption = None,
    pbx: Annotated[str | None, typer.Option(help="Which PBX; may be left out when there is one.")] = None,
    seconds: Annotated[
        float | None, typer.Option(min=0.1, help="How long; until Ctrl-C when left out.")
    ] = None,
) -> None:
    """Record what a PBX says, with its timing.

    What is recorded is the raw stream of manager events; `cti replay` plays it.
    """
    settings = settings_of(config, needed=("pbx",))
    name = pbx or next(iter(settings.pbx))
    if name not in settings.pbx or (pbx is None and len(settings.pbx) > 1):
        raise typer.BadParameter(f"choose one of: {', '.join(settings.pbx)}", param_hint="--pbx")
    asyncio.run(_record(file, settings, name, seconds))


async def _record(file: Path, settings: Settings, name: str, seconds: float | None) -> None:
    from cti.daemon import recorder  # noqa: PLC0415
    from cti.daemon.ami import tls_context  # noqa: PLC0415

    pbx, summary = settings.pbx[name], recorder.RecordingSummary(file)

    def progress(so_far: recorder.RecordingSummary) -> None:
        nonlocal summary
        summary = so_far
        if sys.stderr.isatty():
            typer.echo(f"\r{summary.seconds:.0f} s, {summary.events} events ", nl=False, err=True)

    user, secret = pbx.reader.user, pbx.reader.secret.get_secret_value()
    recording = asyncio.ensure_future(
        recorder.record(pbx.host, pbx.port, user, secret, file, seconds, progress, tls_context(pbx))
    )
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, recording.cancel)
    await asyncio.wait({recording})
    if not recording.cancelled():
        summary = recording.result()
    typer.echo(
        f"{summary.path}: {summary.events} events in {summary.seconds:.1f} s from {summary.pbx or name} "
        f"({summary.ended}). Play it with: cti replay {summary.path}"
    )


@app.command()
def replay(
    file: Annotated[Path, typer.Argument(help="A recording made by `cti record`.")],
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="Take the thresholds from here.")
    ] = None,
    database: Annotated[
        str | None, typer.Option(help="Keep the records there (URL); a throw-away database when left out.")
    ] = None,
    pbx: Annotated[str, typer.Option(help="The name under which records are kept.")] = "main",
    as_json: JsonOption = False,
) -> None:
    """Play a recording through the whole pipeline.

    The same recording always gives the same records.
    """
    rules = None
    if config is not None:
        from cti.daemon.service import rules_of  # noqa: PLC0415

        settings = settings_of(config, needed=())
        if pbx not in settings.pbx:
            raise typer.BadParameter(f"choose one of: {', '.join(settings.pbx)}", param_hint="--pbx")
        rules = rules_of(settings, pbx)
    from cti.daemon.replay import replay as play  # noqa: PLC0415

    with tempfile.TemporaryDirectory(prefix="cti-replay-") as directory, _store_errors():
        url = database or f"sqlite+aiosqlite:///{directory}/replay.sqlite3"
        summary = asyncio.run(play(file, database_url=url, pbx=pbx, rules=rules))
    if summary.cut_short:
        say(
            f"Warning: {file} ends in the middle of a record, as after a power cut or on a full disk; played was what is "
            f"whole, the first {summary.seconds:.1f} s. What came later can be had from the PBX's books."
        )
    _show_summary(dataclasses.asdict(summary), as_json=as_json)


def _show_summary(summary: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(summary, ensure_ascii=False))
        return
    from cti.daemon.show import pairs  # noqa: PLC0415

    rows = [(name.replace("_", " "), _listed(value)) for name, value in summary.items()]
    console().print(pairs(rows))


def _listed(value: object) -> object:
    if isinstance(value, dict):
        return ", ".join(f"{name} {count}" for name, count in value.items() if count)
    return f"{value:.1f}" if isinstance(value, float) else value


@app.command()
def openapi() -> None:
    """Write the API's OpenAPI document."""
    from cti.daemon.openapi import text  # noqa: PLC0415

    typer.echo(text())


app.command("ship-books")(shipping.ship_books)
for command in (ask.calls, ask.agents, ask.queues, ask.duty, ask.faults, verify.reconcile, explain.explain):
    app.command()(command)
app.add_typer(report.app, name="fault")


def main() -> NoReturn:
    """Run the command line; people's mistakes end in a sentence and a status, never in a traceback."""
    try:
        app(prog_name="cti")
    except (ConfigError, errors.ConfigError) as error:
        _end(error, USAGE)
    except DaemonUnreachable as error:
        _end(error, UNREACHABLE)
    except RequestRefused as error:
        _end(error, USAGE if error.status == 400 else OTHER)  # noqa: PLR2004 - bad request
    except errors.CtiError as error:
        _end(error, OTHER)
    sys.exit(OK)


def _end(error: Exception, status: int) -> NoReturn:
    for line in str(error).splitlines():
        say(f"cti: {line}")
    sys.exit(status)
