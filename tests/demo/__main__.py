"""`make demo`: sets everything up, runs a small call centre, shows it live, checks it against the PBX's books.

The last line on standard output is one JSON object, so that a script can run the demo too.
"""

import argparse
import asyncio
import contextlib
import json
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.demo.books import Books
from tests.demo.embedded import PlayedFloor, played_floor
from tests.demo.floor import PEOPLE, Floor
from tests.demo.recording import keep_books, make_room, recorder
from tests.demo.summary import Summary, door_of, summarise
from tests.demo.view import show, take_picture
from tests.pbx.asterisk import Lab, PbxConfig, QueueConfig
from tests.pbx.phones import PhoneNetwork
from tests.pbx.provision import ProvisionError, Tree, provision
from tests.rig import Rig

SETTINGS = """
[away]
limit = "8s"
warn_before = "3s"
grace = "1s"
[service_level]
default = "4s"
[wrap_up]
default = "2s"
"""
"""Limits that can be watched; otherwise the daemon is as it is anywhere."""

LAB = PbxConfig(
    queues=(
        QueueConfig("sales", timeout=5, wrapuptime=2, retry=1),
        QueueConfig("support", timeout=5, wrapuptime=2, retry=1),
    ),
    globals={"CTI_RING_SECONDS": "3", "CTI_SILENCE_SECONDS": "2", "CTI_CONFIRM_SECONDS": "2"},
)


class Options(argparse.Namespace):
    """What was asked for on the command line."""

    seconds: float | None
    recorded: bool
    record: Path | None
    picture: Path | None
    keep: Path | None


def _provision(console: Console) -> Tree | None:
    """A tree to run Asterisk from, or None where there can be none (said why)."""
    with console.status("Looking for Asterisk …") as status:

        def progress(text: str, fraction: float | None) -> None:
            status.update(text if fraction is None else f"{text} {fraction:.0%}")
            if not console.is_terminal:
                console.print(f"  {text}")

        try:
            return provision(progress=progress)
        except ProvisionError as error:
            console.print(f"[yellow]No Asterisk can be provisioned here:[/] {error}")
            console.print("Playing a session recorded from a real one instead.")
            return None


async def _on_asterisk(console: Console, tree: Tree, options: Options, directory: Path) -> Summary:
    console.print("Starting Asterisk and the phone network on loopback …")
    async with Lab(tree, config=LAB, directory=directory / "lab") as lab:
        books = (lab.pbx.queue_log_path, lab.pbx.cdr_csv_path)
        rig = Rig(directory / "cti", lab.pbx.ami_port, settings=SETTINGS, books=books)
        imported = (await rig.import_people(PEOPLE)).rstrip().splitlines()[-1]
        console.print(f"People, hotlines and rotas imported: {imported}", highlight=False)
        async with contextlib.AsyncExitStack() as stack:
            await stack.enter_async_context(rig)
            if options.record is not None:
                await stack.enter_async_context(recorder(rig, options.record))
            phones = await stack.enter_async_context(await PhoneNetwork.connect(lab.phones))
            console.print(f"{lab.pbx.version}, daemon {rig.pid}; six agents log in by feature code …")
            floor = Floor(phones)
            await rig.logged("published", timeout=30)
            await floor.open()
            await _watch(console, rig, lab.pbx.version, options, floor)
            door = await door_of(rig)
        if options.record is not None:
            await keep_books(rig, *books, options.record)
        return await summarise(rig, door, Books.of_files(*books), lab.pbx.version)


async def _recorded(console: Console, options: Options, directory: Path) -> Summary:
    async with played_floor() as played:
        rig = Rig(directory / "cti", played.port, settings=SETTINGS)
        await rig.import_people(PEOPLE)
        async with rig:
            await _watch(console, rig, "recorded", options, played)
            door, until = await door_of(rig), time.time()
        return await summarise(rig, door, played.books(), "recorded", until=None if played.over() else until)


async def _watch(
    console: Console, rig: Rig, version: str, options: Options, floor: Floor | PlayedFloor
) -> None:
    """Show the floor while it works; Ctrl-C ends it in order."""
    seconds = options.seconds
    until = None if seconds is None else time.monotonic() + seconds
    console.print(
        f"metrics {rig.url}/metrics   API {rig.url}/api/v1/calls (token: {rig.directory / 'var/api-token'})"
    )
    working = asyncio.create_task(floor.run(seconds))
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGINT, working.cancel)
    showing = asyncio.create_task(show(rig, console, version, until))
    try:
        with contextlib.suppress(asyncio.CancelledError):
            await working
        if options.picture is not None:
            await take_picture(rig, version, until, options.picture)
        await floor.close()
    finally:
        loop.remove_signal_handler(signal.SIGINT)
        showing.cancel()
        await asyncio.gather(showing, return_exceptions=True)


def _print(console: Console, summary: Summary) -> None:
    table = Table(title="What happened", show_header=False, box=None)
    for name, value in summary.figures().items():
        table.add_row(name.replace("_", " "), str(value))
    console.print(table)
    for line in summary.mismatches[:10]:
        console.print(f"[red]books differ:[/] {line}")


def main() -> int:
    """Run the demo; exit status 0 when it went as it should."""
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--seconds", type=float, help="end by itself after so many seconds of traffic")
    parser.add_argument(
        "--recorded", action="store_true", help="play the recorded session even if Asterisk is there"
    )
    parser.add_argument(
        "--record", type=Path, metavar="FILE", help="also record the AMI session (cti record)"
    )
    parser.add_argument("--picture", type=Path, metavar="FILE", help="save the live view near the end as SVG")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep everything in this directory")
    options = parser.parse_args(namespace=Options())
    console = Console()
    tree = None if options.recorded else _provision(console)
    directory = options.keep or Path(tempfile.mkdtemp(prefix="cti-demo-"))
    directory.mkdir(parents=True, exist_ok=True)
    if options.record is not None:
        make_room(options.record)
    try:
        running = (
            _recorded(console, options, directory)
            if tree is None
            else _on_asterisk(console, tree, options, directory)
        )
        summary = asyncio.run(running)
    finally:
        if options.keep is None:
            shutil.rmtree(directory, ignore_errors=True)
    _print(console, summary)
    print(json.dumps(summary.figures(), ensure_ascii=False), flush=True)
    return 0 if summary.well() else 1


if __name__ == "__main__":
    sys.exit(main())
