"""Plays scenarios on real PBXs: one after the other with a recording of each, or several at a time with one recording."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import traceback
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cti.daemon.recorder import RecordingSummary, record
from tests.pbx.asterisk import READER, Asterisk, Lab, PbxConfig, QueueConfig
from tests.pbx.provision import Tree
from tests.scenarios.model import ALL, Scenario
from tests.scenarios.stage import House, Stage

FIXTURES = Path(__file__).parent.parent / "recordings" / "scenarios"
AT_ONCE = 6  # scenarios that are played at the same time
_TRIES = 2  # now and then Asterisk drops a recalled call by itself: that is no call to be judged
_PHONES = tuple(f"1{n:03d}" for n in range(1, 49))
_DIALPLAN = """
[from-trunk]
include => scenarios
[from-internal]
include => scenarios
include => parked
[scenarios]
"""


def pbx_config(plays: Iterable[Scenario]) -> PbxConfig:
    """A PBX on which these can be played."""
    plays = list(plays)
    queues = [config for play in plays for config in play.queue_configs()]
    text = _DIALPLAN + "\n".join(play.dialplan() for play in plays)
    text += "\n" + "\n".join(play.filled(play.contexts) for play in plays) + "\n"
    return PbxConfig(queues=(QueueConfig("floor"), *queues), phones=_PHONES, dialplan_extra=text)


@asynccontextmanager
async def recorded(pbx: Asterisk, out: Path) -> AsyncIterator[None]:
    """Record the PBX with the product's recorder, from when it is in step until the end."""
    begun = asyncio.Event()

    def progress(summary: RecordingSummary) -> None:
        if summary.pbx:
            begun.set()

    out.unlink(missing_ok=True)  # noqa: ASYNC240 - small local files, in tests
    async with await pbx.ami() as ami:
        task = asyncio.create_task(record("127.0.0.1", pbx.ami_port, *READER, out, None, progress))
        while not begun.is_set():
            await ami.action("UserEvent", {"UserEvent": "Scenario", "What": "before"})
            done, _ = await asyncio.wait({task}, timeout=0.2)
            if done:
                task.result()
        try:
            yield
        finally:
            await ami.action("UserEvent", {"UserEvent": "Scenario", "What": "end"})
            await asyncio.sleep(0.3)  # the recorder's session sends no sign of having written it
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


@dataclass(frozen=True)
class BookEnds:
    """How long the PBX's books were at a moment."""

    pbx: Asterisk
    lengths: Mapping[str, int]

    @classmethod
    def now(cls, pbx: Asterisk) -> BookEnds:
        return cls(pbx, {name: _length(path) for name, path in _books(pbx).items()})

    async def since(self) -> dict[str, bytes]:
        """What was written since; waits until the PBX has stopped writing (it tells no event of that)."""
        before: dict[str, int] = {}
        while True:
            now = {name: _length(path) for name, path in _books(self.pbx).items()}
            if now == before:
                break
            before = now
            await asyncio.sleep(0.25)
        return {
            name: path.read_bytes()[self.lengths[name] :] if path.is_file() else b""
            for name, path in _books(self.pbx).items()
        }


def _books(pbx: Asterisk) -> dict[str, Path]:
    return {"queue_log": pbx.queue_log_path, "cdr.csv": pbx.cdr_csv_path, "cel.csv": pbx.cel_path}


def _length(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


async def record_one(house: House, play: Scenario, out: Path = FIXTURES) -> str:
    """Play alone and leave its fixture behind; returns why it failed, or ""."""
    out.mkdir(parents=True, exist_ok=True)  # noqa: ASYNC240 - small local files, in tests
    stage, ends = Stage(house, play), BookEnds.now(house.lab.pbx)
    raw = out / f"{play.name}.ami"
    trouble = ""
    async with recorded(house.lab.pbx, raw):
        try:
            await stage.run()
        except Exception:  # noqa: BLE001 - whatever went wrong is the result
            trouble = traceback.format_exc()
    data = _elsewhere(raw.read_bytes(), house.lab.pbx)
    raw.unlink()
    (out / f"{play.name}.ami.gz").write_bytes(gzip.compress(data, 9, mtime=0))
    for name, book in (await ends.since()).items():
        (out / f"{play.name}.{name}").write_bytes(_elsewhere(book, house.lab.pbx))
    (out / f"{play.name}.json").write_text(json.dumps(stage.summary(), ensure_ascii=False, indent=1) + "\n")
    return trouble


def _elsewhere(data: bytes, pbx: Asterisk) -> bytes:
    """The same bytes (and as many), with the PBX in a directory that says nothing of this machine."""
    here = str(pbx.directory).encode()
    return data.replace(here, b"/opt/pbx".ljust(len(here), b"-"))


@dataclass(frozen=True)
class Outcome:
    """How one scenario went in a session with others."""

    trouble: str
    summary: Mapping[str, Any]
    failed: frozenset[str]  # channels of a try that could not be played to its end


async def play_all(house: House, plays: Iterable[Scenario], at_once: int = AT_ONCE) -> dict[str, Outcome]:
    """Play many at the same time on one PBX."""
    places = asyncio.Semaphore(at_once)

    async def one(play: Scenario) -> tuple[str, Outcome]:
        async with places:
            failed: frozenset[str] = frozenset()
            for _ in range(_TRIES):
                stage = Stage(house, play)
                trouble = ""
                try:
                    await stage.run()
                except Exception:  # noqa: BLE001 - whatever went wrong is the result
                    trouble = traceback.format_exc()
                    failed |= frozenset(stage.summary()["channels"])
                if not trouble:
                    break
            return play.name, Outcome(trouble, stage.summary(), failed)

    return dict(await asyncio.gather(*(one(play) for play in plays)))


@asynccontextmanager
async def house(
    tree: Tree, plays: Iterable[Scenario] | None = None, directory: Path | None = None
) -> AsyncIterator[House]:
    """A PBX for these scenarios (all of them when none are named)."""
    config = pbx_config(ALL.values() if plays is None else plays)
    async with Lab(tree, config=config, directory=directory) as lab, House.open(lab) as opened:
        yield opened
