"""The daemon with two stopwatches: `python -m tests.bench.probe OUT run --config …` is `cti run --config …`.

From the PBX's timestamp of an event to the moment the metrics sink has taken what it led to, and to the moment the
row that it changed is committed; and, to tell the PBX's own delay from ours, to the read that brought it. At its end
it writes all three to OUT: arrays of pairs (PBX timestamp, seconds).
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

from cti.core import core as core_module
from cti.core import parsing
from cti.core.events import ClockStepped, Event, LinkLost, Resynced, Tick
from cti.core.facts import Fact, FactKey
from cti.core.wire import Message
from cti.daemon import pump
from cti.daemon.__main__ import main
from metrics.record import Metrics
from store.writer import Writer

_NOT_FROM_THE_PBX = (Resynced, LinkLost, Tick, ClockStepped)

to_door: list[tuple[float, float]] = []
to_metric: list[tuple[float, float]] = []
to_row: list[tuple[float, float]] = []
_unmetered: list[float] = []
_unwritten: dict[FactKey, list[tuple[Fact, float]]] = {}


def _watch_core() -> None:
    step = core_module.Core.step

    def watched(self: core_module.Core, event: Event) -> core_module.Outcome:
        outcome = step(self, event)
        if outcome.facts and not isinstance(event, _NOT_FROM_THE_PBX):
            _unmetered.append(event.at)
            for fact in outcome.facts:
                _unwritten.setdefault(fact.key, []).append((fact, event.at))
        return outcome

    core_module.Core.step = watched  # type: ignore[method-assign]


def _watch_door() -> None:
    parse = parsing.parse

    def watched(message: Message, arrived_at: float) -> Event | None:
        event = parse(message, arrived_at)
        if event is not None:
            to_door.append((event.at, arrived_at - event.at))
        return event

    vars(pump)["parse"] = watched


def _watch_metrics() -> None:
    take = Metrics.take

    def watched(self: Metrics, facts: Any) -> None:
        take(self, facts)
        now = time.time()
        to_metric.extend((at, now - at) for at in _unmetered)
        _unmetered.clear()

    Metrics.take = watched  # type: ignore[method-assign]


def _watch_writer() -> None:
    transact = Writer._transact

    async def watched(self: Writer, facts: dict[FactKey, Fact], **options: Any) -> Exception | None:
        error = await transact(self, facts, **options)
        if error is None:
            now = time.time()
            for key, fact in facts.items():
                _committed(key, fact, now)
        return error

    Writer._transact = watched  # type: ignore[method-assign]


def _committed(key: FactKey, fact: Fact, now: float) -> None:
    """Every version of the row up to the one written is durable; later ones still wait."""
    versions = _unwritten.pop(key, [])
    written = next((index for index, (version, _) in enumerate(versions) if version is fact), -1) + 1
    to_row.extend((at, now - at) for _, at in versions[:written])
    if versions[written:]:
        _unwritten[key] = versions[written:]


if __name__ == "__main__":
    out = Path(sys.argv.pop(1))
    _watch_door()
    _watch_core()
    _watch_metrics()
    _watch_writer()
    try:
        main()
    finally:
        out.write_text(json.dumps({"to_door": to_door, "to_metric": to_metric, "to_row": to_row}))
