"""The demo does what the README says it does, on a real Asterisk and without one."""

import functools
import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import IO, Any

import pytest

KEYS = {
    "pbx", "calls", "answered", "abandoned", "agents", "away_incidents", "duty_calls", "duty_accepted", "work_items",
    "events_seen", "events_dropped", "books_mismatch",
}  # fmt: skip


@dataclass
class Shown:
    """What a demo ended with and printed."""

    figures: dict[str, Any]
    text: str


RUNS = {"asterisk": ("--seconds", "22"), "recorded": ("--recorded", "--seconds", "25")}


@pytest.fixture(scope="module")
def demos() -> Iterator[Callable[[str], Shown]]:
    """Both demos run at the same time, each a process of its own, as two people would run them."""
    with ExitStack() as stack:
        running = {name: stack.enter_context(_demo(*arguments)) for name, arguments in RUNS.items()}

        @functools.cache
        def shown(name: str) -> Shown:
            process, output = running[name]
            process.wait(timeout=200)
            output.seek(0)
            out = output.read()
            assert process.returncode == 0, out[-6000:]
            return Shown(json.loads(out.splitlines()[-1]), out)

        yield shown


@contextmanager
def _demo(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], IO[str]]]:
    """A demo, and the file that all it prints goes to."""
    command = [sys.executable, "-m", "tests.demo", *arguments]
    with (
        tempfile.TemporaryFile("w+") as output,
        subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, text=True) as process,
    ):
        try:
            yield process, output
        finally:
            if process.poll() is None:  # it takes its PBX and its daemon with it
                process.send_signal(signal.SIGINT)
                with suppress(subprocess.TimeoutExpired):
                    process.wait(30)
            process.kill()


@pytest.mark.pbx
@pytest.mark.timeout(240)
def test_the_demo_runs_a_call_centre_whose_records_agree_with_the_books(
    demos: Callable[[str], Shown],
) -> None:
    """B1, B4, C3, D4: traffic of every kind, nothing dropped, no mismatch, and its last line is one JSON object."""
    figures, shown = demos("asterisk").figures, demos("asterisk").text
    assert figures.keys() >= KEYS
    assert figures["pbx"].startswith("asterisk 22")
    assert figures["calls"] >= figures["answered"] + figures["abandoned"] > 0
    assert figures["agents"] == 6
    assert figures["away_incidents"] >= 1
    assert figures["duty_calls"] == figures["work_items"] >= 2
    assert figures["duty_accepted"] >= 1
    assert figures["events_seen"] > 300
    assert (figures["events_dropped"], figures["books_mismatch"]) == (0, 0)
    assert "/metrics" in shown


@pytest.mark.timeout(240)
def test_without_asterisk_a_recorded_session_goes_through_the_same_door(
    demos: Callable[[str], Shown],
) -> None:
    """The embedded PBX plays a real session; records and its books agree as far as it was played."""
    figures = demos("recorded").figures
    assert figures["pbx"] == "recorded"
    assert figures["answered"] > 0
    assert figures["work_items"] > 0
    assert (figures["events_dropped"], figures["books_mismatch"]) == (0, 0)
