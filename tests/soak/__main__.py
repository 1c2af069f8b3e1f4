"""`make soak CALLS=3000 KILLS=20`: calls of every kind while everything breaks; the last line is one JSON object.

Exit status 1 unless nothing is missing, double, or different from the books without a written rule that explains it;
then, or when it does not come to its end ("error"), the PBX's books and the daemon's records are kept.
"""

import argparse
import asyncio
import json
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.table import Table

from tests.pbx.provision import provision
from tests.scenarios.scenes import loaded
from tests.soak.plan import Wanted
from tests.soak.soak import Soak, run

_LINE = 20.0  # s between lines where there is no terminal
_SHOWN = 40  # differences
_FAILED = 20  # plays


def _picture(soak: Soak) -> Table:
    table = Table(show_header=False, box=None, title=f"Soak: {soak.phase}")
    for name, value in soak.progress().items():
        table.add_row(name, str(value))
    return table


async def _watch(soak: Soak, console: Console) -> None:
    if not console.is_terminal:
        while True:
            console.print(
                "  ".join(f"{name} {value}" for name, value in soak.progress().items()), soft_wrap=True
            )
            await asyncio.sleep(_LINE)
    with Live(console=console, get_renderable=lambda: _picture(soak), refresh_per_second=2):
        await asyncio.Event().wait()


async def _soak(soak: Soak, directory: Path, console: Console) -> None:
    watching = asyncio.create_task(_watch(soak, console))
    try:
        await run(soak, provision(), directory, lambda text: console.print(text, highlight=False))
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


def _report(soak: Soak, console: Console) -> None:
    table = Table(title="What came of it", show_header=False, box=None)
    for name, value in soak.figures().items():
        table.add_row(name.replace("_", " "), str(value))
    console.print(table)
    for text in soak.bugs[:3]:
        console.print(text[-2000:], highlight=False, markup=False)
    for play in soak.failed()[:_FAILED]:
        text = f"not to the end: {play.play.name}: {play.trouble}"
        console.print(text[:300], soft_wrap=True, highlight=False, markup=False)
    found = [*soak.verdict.lost, *soak.verdict.unexplained]
    for one in found[:_SHOWN]:
        console.print(str(one), soft_wrap=True, highlight=False, markup=False)
    if len(found) > _SHOWN:
        console.print(f"… and {len(found) - _SHOWN} more")


def _reasons(error: BaseException) -> Iterator[str]:
    """What is behind it, groups taken apart, each in one line."""
    if isinstance(error, BaseExceptionGroup):
        for one in error.exceptions:
            yield from _reasons(one)
    else:
        yield f"{type(error).__name__}: {error}".partition("\n")[0].removesuffix(": ")


def _try(soak: Soak, what: Callable[[], None]) -> None:
    """Do it; what goes wrong is said in the last line, which comes in every case."""
    try:
        what()
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - see above
        traceback.print_exc()
        soak.error = f"{soak.phase}: {'; '.join(_reasons(error))}"


def main() -> int:
    """Run it; exit status 0 when all is well."""
    parser = argparse.ArgumentParser(prog="make soak", description=__doc__)
    parser.add_argument("--calls", type=int, default=Wanted.calls, help="at least so many calls")
    parser.add_argument("--kills", type=int, default=Wanted.kills, help="kill -9 of the daemon")
    parser.add_argument("--cuts", type=int, default=Wanted.cuts, help="cuts of its AMI connections")
    parser.add_argument("--restarts", type=int, default=Wanted.restarts, help="kill -9 and start of the PBX")
    parser.add_argument(
        "--at-once", type=int, default=Wanted.at_once, help="scenarios played at the same time"
    )
    parser.add_argument("--seed", type=int, default=int(time.time()) % 100_000, help="repeats the plan")
    parser.add_argument(
        "--only", nargs="+", metavar="NAME", default=[""], help="scenarios whose names begin so, no others"
    )
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep everything in this directory")
    given = parser.parse_args()
    if not any(name.startswith(tuple(given.only)) for name in loaded()):
        parser.error(f"--only {' '.join(given.only)}: docs/scenarios.md has no scenario whose name begins so")
    wanted = Wanted(
        given.calls,
        given.kills,
        given.cuts,
        given.restarts,
        given.at_once,
        given.seed,
        only=tuple(given.only),
    )
    directory = given.keep or Path(tempfile.mkdtemp(prefix="cti-soak-"))
    directory.mkdir(parents=True, exist_ok=True)
    soak, console = Soak(wanted), Console()
    _try(soak, lambda: asyncio.run(_soak(soak, directory, console)))
    _try(soak, lambda: _report(soak, console))
    for text in soak.amiss():
        print(text, file=sys.stderr)
    if given.keep is None and soak.well():
        shutil.rmtree(directory, ignore_errors=True)
    else:
        print(f"kept: {directory}", file=sys.stderr)
    print(json.dumps(soak.figures(), ensure_ascii=False), flush=True)
    return 0 if soak.well() else 1


if __name__ == "__main__":
    sys.exit(main())
