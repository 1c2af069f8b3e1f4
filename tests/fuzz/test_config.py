"""Hostile configuration (issue 3) and import files: only the error for people comes out, never another, nor a secret.

Asserted: whatever TOML says, `config.settings.parse` gives settings or `ConfigError`, and the import gives a plan or
`FileRefused`, each problem naming a key and a cure; whatever bytes a file has, likewise.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from config.settings import ConfigError, Problem, Settings, load, parse
from cti.daemon.errors import ImportRefused
from cti.daemon.importer import apply_import, plan_import
from cti.daemon.roster_file import FileRefused, Reader, read
from cti.daemon.roster_tables import RosterFile
from routing.model import ALLOWED_NUMBERS
from store import open_store
from store.people import PeopleSnapshot
from tests.fuzz.toml import TABLE, spoilt

SECRET = "hunter2-is-not-to-be-seen"
ENVIRON = {"CTI_SECRET": SECRET}
_ACCOUNT = {"user": "u", "secret_env": "CTI_SECRET"}
RIGHT: dict[str, Any] = {
    "data_dir": "var",
    "database": {"url": "sqlite+aiosqlite:///var/cti.sqlite3"},
    "http": {"host": "127.0.0.1", "port": 8475, "behind_proxy": False, "allowed_hosts": ["cti.example.com"]},
    "log": {"level": "info", "format": "json", "mask_numbers": True},
    "away": {"limit": "15m", "warn_before": 120, "grace": 10.0, "limits": {"lunch": "1h"}},
    "service_level": {"default": "20s", "queues": {"sales": "15s"}},
    "duty": {"timezone": "Asia/Shanghai", "publish_days": 60, "publish_every": "1h"},
    "notify": {"webhook_url": "https://example.com/hook", "webhook_secret_env": "CTI_SECRET"},
    "pbx": {
        "main": {
            "host": "127.0.0.1",
            "port": 5038,
            "tls": False,
            "trunks": ["PJSIP/trunk-a"],
            "internal_contexts": ["from-internal"],
            "keepalive": "10s",
            "inbox_size": 100_000,
            "reader": _ACCOUNT,
            "actor": _ACCOUNT,
            "publisher": _ACCOUNT,
        }
    },
}
PEOPLE: dict[str, Any] = {
    "people": [
        {"id": "2001", "name": "王芳", "pin": "4711", "queues": {"sales": 0}},
        {"id": "3001", "name": "赵敏", "number": "13911110001"},
        {"id": "3002", "name": "孙磊", "number": "13911110002", "active": True},
    ],
    "hotlines": [
        {
            "name": "night",
            "numbers": ["4002"],
            "supervisor": "3002",
            "rotation": "week",
            "hours": {"workday": {"office": "09:00-18:00", "duty": "08:00-21:00"}, "day_off": {"duty": "09:00-20:00"}},
        }
    ],
    "rotations": [{"name": "week", "starts": "2026-01-05", "people": ["3001", "3002"]}],
}  # fmt: skip

HARD = settings(
    max_examples=250,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)


def _settings(text: dict[str, Any]) -> None:
    try:
        made = parse(text, Path(tempfile.gettempdir()), ENVIRON)
    except ConfigError as error:
        _explained(error.problems, SECRET)
    else:
        assert isinstance(made, Settings)
        assert SECRET not in repr(made)


def _explained(problems: Sequence[Problem], secret: str) -> None:
    assert problems
    assert all(problem.cure for problem in problems)
    assert secret not in "\n".join(map(str, problems))


@HARD
@given(TABLE)
def test_any_tables_give_settings_or_config_errors(text: dict[str, Any]) -> None:
    """No structure of TOML makes anything but `ConfigError` come out."""
    _settings(text)


@HARD
@given(spoilt(RIGHT))
def test_a_file_that_is_nearly_right_is_explained(text: dict[str, Any]) -> None:
    """A right file with a few hostile values gives settings, or problems that each name a key and a cure."""
    _settings(text)


@HARD
@given(
    st.binary(max_size=300) | st.text(max_size=300).map(lambda text: text.encode("utf-8", "surrogatepass"))
)
def test_any_bytes_are_refused_as_a_file(raw: bytes) -> None:
    """A configuration or import file of any bytes is refused by name and line, never with a traceback."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "any.toml")
        path.write_bytes(raw)
        with pytest.raises(ConfigError):
            load(path, ENVIRON)
        try:
            read(path)
        except FileRefused as error:
            _explained(error.problems, SECRET)


def _people(text: dict[str, Any]) -> None:
    try:
        file = RosterFile.model_validate(text)
    except ValueError:  # pydantic's own; `read` explains it
        return
    try:
        Reader(file, PeopleSnapshot(), "Asia/Shanghai", ENVIRON, ALLOWED_NUMBERS).part()
    except FileRefused as error:
        _explained(error.problems, "4711")


@HARD
@given(TABLE)
def test_any_tables_are_people_or_refused(text: dict[str, Any]) -> None:
    """No structure of TOML makes anything but a refusal come out of the import."""
    _people(text)


@HARD
@given(spoilt(PEOPLE))
def test_people_that_are_nearly_right_are_explained(text: dict[str, Any]) -> None:
    """The same for a file that is nearly right; and no PIN is told."""
    _people(text)


_LINES = (
    'id = "2001"', 'id = ""', 'name = "王芳"', 'name = ""', 'pin = "4711"', 'pin = "47"', 'number = "13911110001"',
    'number = "00900"', "active = false", "queues = { sales = 0 }", 'queues = { "a&b:c" = 99999999999 }',
    'rotation = "week"', "starts = 2026-01-05", "starts = 9999-12-31", "starts = 0001-01-01", 'people = ["2001"]',
    "people = []", 'numbers = ["4002"]', 'supervisor = "2001"', 'hours.workday.duty = "00:00-24:00"',
    'hours.day_off.office = "23:00-01:00"', "date = 2026-10-01", 'kind = "day_off"', "official = true",
    "start = 2026-10-01T00:00:00", "end = 9999-12-31T23:59:59Z", "start = 0001-01-01T00:00:00+23:59", 'person = "2001"',
    'weekday = "monday"', "handover = 09:00:00", 'hotline = "night"', 'name = "night"', 'name = "week"',
)  # fmt: skip
_HEADS = ("[[people]]", "[[hotlines]]", "[[rotations]]", "[[overrides]]", "[[calendar]]")


@settings(HARD, max_examples=50)
@given(st.lists(st.tuples(st.sampled_from(_HEADS), st.lists(st.sampled_from(_LINES), max_size=6, unique=True)), max_size=4))  # fmt: skip
async def test_whatever_is_let_in_can_be_stored_and_read_back(tables: list[tuple[str, list[str]]]) -> None:
    """An import that passes its check also passes the database and comes back as a roster that can be resolved."""
    text = "\n".join("\n".join((head, *lines)) for head, lines in tables)
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "people.toml")
        path.write_text(text)  # noqa: ASYNC240 - nobody else runs in this loop
        async with await open_store(f"sqlite+aiosqlite:///{directory}/cti.sqlite3") as store:
            try:
                plan = await plan_import(store, path, environ={}, now=1_790_000_000.0)
            except ImportRefused:
                return
            await apply_import(store, plan)
            again = await plan_import(store, path, environ={}, now=1_790_000_000.0)
            assert again.changes == ()
