"""The demo does what the README says it does, on a real Asterisk and without one."""

import json
import subprocess
import sys
from typing import Any

import pytest

KEYS = {
    "pbx", "calls", "answered", "abandoned", "agents", "away_incidents", "duty_calls", "duty_accepted", "work_items",
    "events_seen", "events_dropped", "books_mismatch",
}  # fmt: skip


def _demo(*arguments: str) -> tuple[dict[str, Any], str]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.demo", *arguments],
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1]), done.stdout


@pytest.mark.pbx
def test_the_demo_runs_a_call_centre_whose_records_agree_with_the_books() -> None:
    """B1, B4, C3, D4: traffic of every kind, nothing dropped, no mismatch, and its last line is one JSON object."""
    figures, shown = _demo("--seconds", "22")
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


def test_without_asterisk_a_recorded_session_goes_through_the_same_door() -> None:
    """The embedded PBX plays a real session; records and its books agree as far as it was played."""
    figures, _ = _demo("--recorded", "--seconds", "25")
    assert figures["pbx"] == "recorded"
    assert figures["answered"] > 0
    assert figures["work_items"] > 0
    assert (figures["events_dropped"], figures["books_mismatch"]) == (0, 0)
