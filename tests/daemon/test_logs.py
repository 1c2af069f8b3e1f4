"""The log: one shape for all, callers masked, secrets never shown, nothing lost that a fault needs."""

import io
import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from cti.daemon import logs


@dataclass(frozen=True)
class Wanted:
    level: str = "debug"
    format: str = "json"
    mask_numbers: bool = True


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()


def written(wanted: Wanted = Wanted(), **fields: Any) -> dict[str, Any]:
    stream = io.StringIO()
    logs.configure(wanted, stream)
    structlog.get_logger("cti.test").info("said", **fields)
    line: dict[str, Any] = json.loads(stream.getvalue())
    return line


def test_a_line_is_one_json_object_with_utc_time() -> None:
    """Machines read it: timestamp with Z, level, logger, event, fields; Chinese stays readable."""
    line = written(name="王芳", wait=1.5, queue=None)
    assert line["timestamp"].endswith("Z")
    assert {k: line[k] for k in ("event", "level", "logger", "name", "wait", "queue")} == {
        "event": "said",
        "level": "info",
        "logger": "cti.test",
        "name": "王芳",
        "wait": 1.5,
        "queue": None,
    }


def test_libraries_log_in_the_same_shape() -> None:
    """What aiohttp, SQLAlchemy, Alembic and panoramisk log goes the same way, masked too."""
    stream = io.StringIO()
    logs.configure(Wanted(), stream)
    logging.getLogger("panoramisk.manager").warning("call from %s failed", "13800138000")
    line = json.loads(stream.getvalue())
    assert (line["event"], line["level"]) == ("call from *******8000 failed", "warning")
    assert line["logger"] == "panoramisk.manager"


def test_levels_hold_for_us_and_for_libraries() -> None:
    """At info, debug lines cost nothing and libraries speak only when something is wrong."""
    stream = io.StringIO()
    logs.configure(Wanted(level="info"), stream)
    structlog.get_logger().debug("no")
    logging.getLogger("alembic.runtime.migration").info("no")
    logging.getLogger("sqlalchemy.engine").info("no")
    assert stream.getvalue() == ""


def test_not_even_debug_writes_rows_of_the_database() -> None:
    """C1, G1: a PIN's salt and hash stand in a row, and a hash of four digits is quickly tried through."""
    stream = io.StringIO()
    logs.configure(Wanted(level="debug"), stream)
    logging.getLogger("sqlalchemy.engine.Engine").debug("Row ('2001', '王芳', '1ded2d18', 'b61a')")
    logging.getLogger("aiosqlite").debug("executing INSERT INTO people, ('2001', '王芳')")
    assert stream.getvalue() == ""
    logging.getLogger("asyncio").debug("others may")
    assert "others may" in stream.getvalue()


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("13800138000", "*******8000"),
        ("from 13800138000 to 2001", "from *******8000 to 2001"),
        ("请拨打13800138000联系", "请拨打*******8000联系"),
        ("+86 138 0013 8000", "+** *** **** 8000"),
        ("138-0013-8000.", "***-****-8000."),
        ("02150123456", "*******3456"),
        ("0755-12345678", "0755-****5678"),
        ("PJSIP/13800138000@trunk-a", "PJSIP/*******8000@trunk-a"),
        ("Local/13800138000@leg-00000021;1", "Local/*******8000@leg-00000021;1"),
        ("4001234567", "******4567"),
        ("8613800138000", "*********8000"),
    ],
)
def test_numbers_in_free_text_keep_their_last_four_digits(text: str, masked: str) -> None:
    """A caller's number never stands whole in the log, whatever wrote it."""
    assert written(note=text)["note"] == masked
    assert logs.mask_text(text) == masked


@pytest.mark.parametrize(
    "text",
    [
        "2001",
        "PJSIP/1001-0000002a",
        "PJSIP/1001-00000021",
        "1732190000.123",
        "main-1732190000.123/q1",
        "1732190000.123456",
        "1732190000-1732230000:o",
        "1732190000123",
        "2026-10-01T09:00:00.123456Z",
        "20261001",
        "127.0.0.1:5038",
        "port 5038, 100000 events",
        "192.168.100.200",
    ],
)
def test_what_is_no_callers_number_stays(text: str) -> None:
    """Agents, channels, uniqueids, instants, ports and dates are what a fault is found by."""
    assert written(note=text)["note"] == text


def test_fields_that_hold_numbers_are_masked_whatever_their_length() -> None:
    """A short or foreign number under `caller_number` is a caller's too; identifiers are left alone."""
    line = written(
        caller_number="555123",
        number=13800138000,
        caller_name="王小明",
        uniqueid="1732190000.13800138000",
        agent="2001",
        port=50381234,
        calls=12345678,
        parts=[{"caller": "555123"}, "13800138000"],
    )
    assert (line["caller_number"], line["number"], line["caller_name"]) == ("**5123", "*******8000", "王*")
    assert line["parts"] == [{"caller": "**5123"}, "*******8000"]
    assert (line["uniqueid"], line["agent"]) == ("1732190000.13800138000", "2001")
    assert (line["port"], line["calls"]) == (50381234, 12345678)


def test_masking_can_be_switched_off_but_secrets_stay_hidden() -> None:
    """`mask_numbers = false` is about numbers only."""
    line = written(Wanted(mask_numbers=False), caller_number="13800138000", password="hunter2")
    assert line["caller_number"] == "13800138000"
    assert line["password"] == logs.HIDDEN


@pytest.mark.parametrize(
    "fields",
    [
        {"secret": "hunter2"},
        {"api_token": "hunter2"},
        {"headers": {"Authorization": "Bearer hunter2"}},
        {"account": [SecretStr("hunter2")]},
        {"note": "Action: Login\r\nUsername: u\r\nSecret: hunter2\r\n"},
        {"note": "Authorization: Bearer hunter2"},
        {"note": "bearer hunter2"},
        {"note": "postgresql+asyncpg://cti:hunter2@db/cti"},
        {"note": 'password="hunter2"'},
        {"pin": 1234},
    ],
)
def test_secrets_never_show(fields: dict[str, Any]) -> None:
    """Neither as a field nor inside a text."""
    text = json.dumps(written(**fields))
    assert "hunter2" not in text
    assert "1234" not in json.loads(text).get("pin", "")


def test_a_traceback_is_kept_and_masked() -> None:
    """Our own bugs are logged with where they happened, without whose call it was."""
    stream = io.StringIO()
    logs.configure(Wanted(), stream)
    try:
        int("no row for 13800138000")
    except ValueError:
        structlog.get_logger().exception("failed")
    line = json.loads(stream.getvalue())
    assert "no row for *******8000" in line["exception"]
    assert "test_logs.py" in line["exception"]


def test_pretty_lines_cannot_steer_the_terminal() -> None:
    """An escape sequence in a caller's name stays text."""
    stream = io.StringIO()
    logs.configure(Wanted(format="pretty"), stream)
    structlog.get_logger().info("said \x1b[2J", note="a\x1b]0;b\x07")
    assert "\x1b" not in stream.getvalue()
    assert "said" in stream.getvalue()


def test_configuring_twice_does_not_write_twice() -> None:
    """A reload replaces the handler."""
    stream = io.StringIO()
    logs.configure(Wanted(), stream)
    logs.configure(Wanted(), stream)
    structlog.get_logger().info("once")
    assert len(stream.getvalue().splitlines()) == 1


@given(st.text())
def test_any_text_can_be_logged(text: str) -> None:
    """Nothing a PBX sends breaks the log; no mobile survives it."""
    masked = logs.mask_text(logs.hide_secrets(f"{text} 13800138000"))
    assert "13800138000" not in masked or text.endswith(".")
