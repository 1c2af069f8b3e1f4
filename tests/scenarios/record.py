"""Make the fixtures again: `python -m tests.scenarios.record [--jobs N] [NAME…]` plays each scenario alone on a real PBX.

What is made is judged at once; a name may end in `*`. Ends with status 1 when a record is not as it must be.
"""

import argparse
import asyncio
import fnmatch
import tempfile
from pathlib import Path

from tests.pbx.provision import provision
from tests.scenarios.fixtures import judged
from tests.scenarios.model import ALL, Scenario
from tests.scenarios.run import FIXTURES, house, record_one
from tests.scenarios.scenes import loaded


async def _worker(waiting: "asyncio.Queue[Scenario]", out: Path, failed: list[str]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        async with house(provision(), directory=Path(directory)) as opened:
            while not waiting.empty():
                play = waiting.get_nowait()
                trouble = await record_one(opened, play, out)
                problems = [trouble.strip().splitlines()[-1]] if trouble else judged(play, out)
                print("ok  " if not problems else "FAIL", play.name, flush=True)
                for problem in problems:
                    print("      " + problem.strip().replace("\n", "\n      "), flush=True)
                failed += [play.name] if problems else []


async def _main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=["*"])
    parser.add_argument("--jobs", type=int, default=2, help="PBXs side by side")
    parser.add_argument("--out", type=Path, default=FIXTURES)
    arguments = parser.parse_args()
    plays = [play for play in ALL.values() if any(fnmatch.fnmatch(play.name, n) for n in arguments.names)]
    waiting: asyncio.Queue[Scenario] = asyncio.Queue()
    for play in plays:
        waiting.put_nowait(play)
    failed: list[str] = []
    await asyncio.gather(
        *(_worker(waiting, arguments.out, failed) for _ in range(min(arguments.jobs, len(plays))))
    )
    print(f"{len(plays)} played, {len(failed)} failed: {' '.join(sorted(failed))}")
    return 1 if failed else 0


if __name__ == "__main__":
    assert loaded()
    raise SystemExit(asyncio.run(_main()))
