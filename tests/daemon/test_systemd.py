"""What a service manager is told, over a real NOTIFY_SOCKET."""

import asyncio
import configparser
import contextlib
import os
import socket
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from cti.daemon.systemd import ServiceManager


@contextlib.contextmanager
def listening(address: str) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notices:
        notices.bind(address)
        notices.settimeout(20)
        yield notices


@pytest.mark.parametrize("abstract", [False, True])
def test_states_are_told(tmp_path: Path, abstract: bool) -> None:
    """READY, RELOADING with its moment, STOPPING: as sd_notify(3) wants them, also on an abstract socket."""
    name = f"cti-test-{os.getpid()}"
    address = f"\0{name}" if abstract else str(tmp_path / "notify")
    with listening(address) as notices:
        manager = ServiceManager({"NOTIFY_SOCKET": f"@{name}" if abstract else address})
        manager.ready("serving main")
        assert notices.recv(999) == b"READY=1\nSTATUS=serving main"
        manager.reloading()
        first, second = notices.recv(999).decode().splitlines()
        assert (first, second.partition("=")[0]) == ("RELOADING=1", "MONOTONIC_USEC")
        manager.stopping()
        assert notices.recv(999).startswith(b"STOPPING=1")


def test_without_a_service_manager_nobody_is_told() -> None:
    """Started by hand: nothing is sent, and nothing said of it."""
    with capture_logs() as said:
        ServiceManager({}).ready()
    assert said == []


def test_a_service_manager_that_left_is_no_reason_to_fail(tmp_path: Path) -> None:
    """It is told of, and who comes in its place hears the next."""
    address = str(tmp_path / "notify")
    manager = ServiceManager({"NOTIFY_SOCKET": address})
    with capture_logs() as said:
        manager.ready()
    assert [(one["event"], one["log_level"], one["what"]) for one in said] == [
        ("not_notified", "warning", "READY=1")
    ]
    with listening(address) as notices:
        manager.stopping()
        assert notices.recv(999).startswith(b"STOPPING=1")


async def test_the_watchdog_is_fed_only_while_all_is_well(tmp_path: Path) -> None:
    """A part that makes no progress is a reason to be killed and started again."""
    address, well = str(tmp_path / "notify"), [True, True, False, False, True]
    with listening(address) as notices:
        manager = ServiceManager({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "30000"})
        asked = iter(well)
        done = asyncio.Event()

        def so_far() -> bool:
            answer = next(asked, None)
            if answer is None:
                done.set()
            return bool(answer)

        feeding = asyncio.create_task(manager.keep_alive(so_far))
        await done.wait()
        feeding.cancel()
        notices.setblocking(False)
        fed = 0
        with contextlib.suppress(BlockingIOError):
            while notices.recv(99) == b"WATCHDOG=1":
                fed += 1
        assert fed == well.count(True)


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),  # meant for another process
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({}, None),
    ],
)
def test_who_is_watched(environ: dict[str, str], seconds: float | None) -> None:
    assert ServiceManager(environ).watchdog == seconds


def test_the_unit_is_shipped_and_fits_the_daemon() -> None:
    """The unit file comes with the program, reloads by SIGHUP, and relies on the watchdog that the daemon feeds."""
    unit = configparser.RawConfigParser(strict=False, allow_no_value=True, comment_prefixes=("#",))
    unit.optionxform = str  # type: ignore[assignment,method-assign]  # keys as they stand
    unit.read_string((resources.files("config") / "cti.service").read_text())
    service = unit["Service"]
    assert (service["Type"], service["ExecReload"]) == ("notify", "/bin/kill -HUP $MAINPID")
    assert int(service["WatchdogSec"]) > 0
    assert "cti run" in service["ExecStart"]
    assert service["NoNewPrivileges"] == "yes"
    assert float(service["TimeoutStopSec"]) > 10 + 5 + 5  # store, notices, requests
