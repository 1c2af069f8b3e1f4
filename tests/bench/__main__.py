"""Measure everything once, on this machine; ends with 1 when a promise is not kept."""

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console

from tests.bench import live, load
from tests.bench.figures import Figure, of_json, show
from tests.pbx.provision import ProvisionError, Tree, provision
from tests.rig import Rig

_CALLS = 100_000
_LIVE_CALLS = 10_000


class _Told(list[Figure]):
    """Figures, each told as soon as it is there."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console

    def tell(self, *figures: Figure) -> None:
        self += figures
        for figure in figures:
            self._console.print(f"  {figure.name} {figure.value:.4g} {figure.unit}", highlight=False)


async def _measure(console: Console, tree: Tree, directory: Path, keep: Path | None) -> list[Figure]:
    figures = _Told(console)
    recording = keep or directory / "load.cti"
    recording.unlink(missing_ok=True)
    async with load.pbx(tree, directory / "pbx") as asterisk, load.Callers(asterisk) as callers:
        console.print(f"{asterisk.version}: the daemon beside it at {live.RATE:g} calls/s …")
        async with Rig(directory / "cpu", asterisk.ami_port) as rig:
            figures.tell(*await live.cpu(asterisk, rig, callers))
        console.print("recording …")
        await live.recording(asterisk, callers, recording)
        console.print("to the PBX's saturation …")
        out = directory / "delays.json"
        probe = Rig(directory / "delays", asterisk.ami_port, program=("tests.bench.probe", str(out)))
        figures.tell(*await live.delays(asterisk, probe, callers, out))
        console.print("a restart over a full house …")
        rig = Rig(directory / "restart", asterisk.ami_port)
        figures.tell(await live.restart(asterisk, rig, callers))
    console.print("recorded bytes at full speed …")
    figures.tell(_speed(await _child("speed", str(recording))))
    console.print(f"{_CALLS} calls through one process …")
    figures.tell(*_memory(await _child("memory", str(recording), str(_CALLS), str(_LIVE_CALLS))))
    return figures


async def _child(*arguments: str) -> dict[str, float]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.bench.replay", *arguments, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"measuring {arguments[0]} ended with {process.returncode}")
    return of_json(out.decode().splitlines()[-1])


def _speed(found: dict[str, float]) -> Figure:
    return Figure(
        "pipeline_vs_panoramisk",
        found["pipeline"] / found["panoramisk"],
        "ratio",
        f"the recorded {found['bytes'] / 1e6:.0f} MB ({found['events']:.0f} events) in reads of 64 kB, in turns, best of"
        f" {found['rounds']:.0f} rounds each: bytes to committed SQLite rows, metrics and live picture {found['pipeline']:.0f}"
        f" events/s; panoramisk's AMIProtocol.data_received with nothing behind it {found['panoramisk']:.0f} events/s (by CPU"
        f" time {found['pipeline_cpu']:.0f} and {found['panoramisk_cpu']:.0f})",
        limit=1.0,
        at_least=True,
        aim=2.0,
    )


def _memory(found: dict[str, float]) -> list[Figure]:
    half, whole = found[f"rss_at_{_CALLS // 2}"], found[f"rss_at_{_CALLS}"]
    how = (
        "synthetic: the recorded calls over and over through the whole pipeline, each time with the uniqueids and"
        f" timestamps of a later hour, {found['calls']:.0f} calls in all"
    )
    return [
        Figure("bytes_per_live_call", found["per_live"], "bytes",
               f"{how}; then {found['live']:.0f} more of which nobody hangs up: growth of resident memory by call"),
        Figure("rss_after_100k_calls", whole, "bytes", f"{how}; resident memory of the process, store and all"),
        Figure("rss_growth_50k_to_100k", whole / half - 1, "ratio", f"{how}; {half / 1e6:.1f} MB after half of them;"
               " within 3 % is no growth", limit=0.03),
    ]  # fmt: skip


def main() -> int:
    """Measure, show, print; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--keep-recording", type=Path, help="where the recorded AMI stream is left")
    options = parser.parse_args()
    console, began = Console(stderr=True), time.monotonic()
    try:
        tree = provision()
    except ProvisionError as error:
        console.print(f"[red]These figures need an Asterisk:[/] {error}")
        return 2
    with tempfile.TemporaryDirectory(prefix="cti-bench-") as directory:
        figures = asyncio.run(_measure(console, tree, Path(directory), options.keep_recording))
    show(console, figures)
    console.print(f"{time.monotonic() - began:.0f} s in all")
    for figure in figures:
        print(figure.as_json())
    return 0 if all(figure.holds for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
