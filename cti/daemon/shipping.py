"""The command that ships books; the work is in `cti.daemon.ship`."""

import asyncio
import os
import signal
from pathlib import Path
from typing import Annotated

import typer

from cti.daemon import token

_TOKEN = "CTI_BOOKS_TOKEN"  # noqa: S105 - the name of a variable

BookOption = Annotated[Path | None, typer.Option(help="This book; a file that is there or will be.")]


def ship_books(  # noqa: PLR0917 - each is an option
    to: Annotated[str, typer.Option("--to", envvar="CTI_URL", help="The daemon: https://cti.example.com.")],
    pbx: Annotated[
        str, typer.Option("--pbx", envvar="CTI_PBX", help="Its name in the daemon's configuration.")
    ],
    queue_log: BookOption = None,
    cdr_csv: BookOption = None,
    cel_csv: BookOption = None,
    token_file: Annotated[
        Path | None,
        typer.Option(help=f"Holds the daemon's books-token, chmod 0600; else the variable {_TOKEN}."),
    ] = None,
    ca_file: Annotated[
        Path | None, typer.Option(help="The authority that signed the daemon's certificate, PEM.")
    ] = None,
    allow_http: Annotated[
        bool, typer.Option("--allow-http", help="Send in the clear, because the way is guarded otherwise.")
    ] = False,
) -> None:
    """Send a remote PBX's books to the daemon.

    Runs beside the PBX until SIGTERM or Ctrl-C. It keeps no state: the daemon tells how far it has each file.
    """
    named = {"queue_log": queue_log, "cdr_csv": cdr_csv, "cel_csv": cel_csv}
    books = {name: path for name, path in named.items() if path is not None}
    if not books:
        raise typer.BadParameter("give at least one of them", param_hint="--queue-log, --cdr-csv, --cel-csv")
    secret = token.read_file(token_file) if token_file is not None else os.environ.get(_TOKEN, "")
    if not secret:
        raise typer.BadParameter(f"give it, or set {_TOKEN}", param_hint="--token-file")
    asyncio.run(_ship(books, to, pbx, secret, ca_file, allow_http=allow_http))


async def _ship(
    books: dict[str, Path], to: str, pbx: str, secret: str, ca_file: Path | None, *, allow_http: bool
) -> None:
    from config.sections import Log  # noqa: PLC0415 - the other commands start faster without them
    from cti.daemon import logs  # noqa: PLC0415
    from cti.daemon.ship import Shipper, Target  # noqa: PLC0415

    logs.configure(Log())
    shipper = Shipper(books, Target(to, pbx, secret, ca_file, allow_http=allow_http))
    running = asyncio.ensure_future(shipper.run())
    for ending in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(ending, running.cancel)
    await asyncio.wait({running})
    if not running.cancelled():
        running.result()
