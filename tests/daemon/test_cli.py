"""The command line, as a person or a script meets it: a real process against a real daemon side."""

import contextlib
import datetime as dt
import gzip
import io
import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from unittest import mock
from zoneinfo import ZoneInfo

import pytest

from cti.daemon import token
from cti.daemon.cli import main
from cti.daemon.errors import ConfigError
from cti.daemon.moments import moment
from cti.daemon.openapi import version
from cti.daemon.show import Tables, cell, span
from tests.daemon.served import AT, TOKEN, Served, call, served_in_thread

NOW = dt.datetime(2026, 10, 1, 12, 0, tzinfo=dt.UTC)
SHANGHAI = ZoneInfo("Asia/Shanghai")
RECORDING = Path(__file__).parents[1] / "recordings" / "demo.ami.gz"
CONFIG = """
{extra}
[http]
port = {port}
[pbx.main]
host = "127.0.0.1"
reader = {{ user = "r", secret_env = "CTI_TEST_SECRET" }}
actor = {{ user = "a", secret_env = "CTI_TEST_SECRET" }}
publisher = {{ user = "p", secret_env = "CTI_TEST_SECRET" }}
"""


@dataclass(frozen=True)
class Done:
    returncode: int
    stdout: str
    stderr: str


def cti(*arguments: str | Path, cwd: str | Path = "/", environ: Mapping[str, str] | None = None) -> Done:
    """Run the command in this process, as its entry point does; everything it opens is real."""
    out, err = io.StringIO(), io.StringIO()
    clean = {"CTI_TEST_SECRET": "hunter2"} | dict(environ or {})
    with (
        mock.patch.dict(os.environ, clean, clear=True),
        mock.patch.object(sys, "argv", ["cti", *map(str, arguments)]),
        contextlib.chdir(cwd),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        pytest.raises(SystemExit) as ended,
    ):
        main()
    return Done(int(ended.value.code or 0), out.getvalue(), err.getvalue())


def configured(directory: Path, port: int, extra: str = "") -> Path:
    """Write a configuration file, and the token as the daemon would have."""
    path = directory / "cti.toml"
    path.write_text(CONFIG.format(port=port, extra=extra))
    return path


@pytest.fixture(scope="module")
def side(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served_in_thread(tmp_path_factory.mktemp("served")) as running:
        yield running


@pytest.fixture(scope="module")
def config(side: Served, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("cti")
    (directory / "var").mkdir()
    file = directory / "var" / token.NAME
    file.touch(mode=0o600)
    file.write_text(f"{TOKEN}\n")
    return configured(directory, side.port)


class TestAsking:
    """calls, agents, queues, duty, faults."""

    def test_calls_as_json_follow_every_page(self, config: Path) -> None:
        """A script gets one array of the API's own objects."""
        done = cti("calls", "--json", "--limit", "12", "--config", config)
        assert done.returncode == 0, done.stderr
        assert [row["id"] for row in json.loads(done.stdout)] == [call(n).id for n in range(12, 0, -1)]

    def test_calls_as_a_table(self, config: Path) -> None:
        """A person sees numbers, Chinese names, words and local time."""
        done = cti("calls", "--disposition", "answered", "--number", "13800130002", "-c", config)
        assert "李 小龙" in done.stdout
        assert "2026-09-21 22:15:20" in done.stdout
        assert "answered" in done.stdout

    def test_filters_reach_the_api(self, config: Path) -> None:
        """Options are the API's filters; times are written as people do."""
        done = cti("calls", "--from", "2026-09-21 22:20", "--to", "2026-09-21T14:21:00Z", "--over", "--json",
                   "-c", config)  # fmt: skip
        assert [row["id"] for row in json.loads(done.stdout)] == [call(7).id]

    @pytest.mark.parametrize(
        ("command", "shows"),
        [
            (["agents"], "away"),
            (["agents", "--state", "available"], "2001"),
            (["queues"], "sales"),
            (["duty"], "王芳 13700002222"),
            (["duty", "--at", "2026-10-01 20:30", "--hotline", "sales"], "李雷"),
            (["faults"], "disk full"),
            (["faults", "--open"], "goes on"),
            (["calls", "--queue", "none"], "No call is on record"),
        ],
    )
    def test_tables(self, config: Path, command: list[str], shows: str) -> None:
        """Each table shows what it is for."""
        done = cti(*command, "-c", config)
        assert done.returncode == 0, done.stderr
        assert shows in done.stdout

    def test_asking_needs_no_secret_but_the_token(self, config: Path) -> None:
        """The variables with the PBX's secrets are the daemon's; whoever asks does not have them."""
        asked = cti("agents", "-c", config, environ={"CTI_TEST_SECRET": ""})
        assert asked.returncode == 0, asked.stderr
        checked = cti("check-config", "-c", config, environ={"CTI_TEST_SECRET": ""})
        assert (checked.returncode, checked.stderr.count("set CTI_TEST_SECRET")) == (2, 3)

    @pytest.mark.parametrize("command", ["agents", "queues", "duty", "faults", "calls"])
    def test_json(self, config: Path, command: str) -> None:
        """Every one of them has a form for scripts, and nothing else on the output."""
        assert isinstance(json.loads(cti(command, "--json", "-c", config).stdout), list)

    def test_an_unknown_hotline_is_told_in_a_sentence(self, config: Path) -> None:
        """The daemon's own words, no traceback."""
        done = cti("duty", "--hotline", "none", "-c", config)
        assert (done.returncode, done.stderr) == (1, "cti: No hotline has this name\n")

    def test_a_time_nobody_understands(self, config: Path) -> None:
        """Status 2, with the option and how to write one."""
        done = cti("calls", "--from", "gestern", "-c", config)
        assert done.returncode == 2
        assert "--from" in done.stderr
        assert "2026-10-01 09:30" in done.stderr

    def test_a_wrong_token_is_told(self, tmp_path: Path, side: Served) -> None:
        """The token of another daemon does not open this one."""
        other = configured(tmp_path, side.port)
        (tmp_path / "var").mkdir()
        token.ensure(tmp_path / "var")
        done = cti("agents", "-c", other)
        assert done.returncode == 1
        assert "token" in done.stderr


class TestWhenNothingAnswers:
    """Exit status 3, and the cure."""

    def test_no_daemon_ever_started_here(self, tmp_path: Path) -> None:
        """There is no token yet."""
        done = cti("agents", "-c", configured(tmp_path, 9))
        assert done.returncode == 3
        assert "cti run" in done.stderr
        assert "Traceback" not in done.stderr

    def test_the_daemon_is_not_running(self, tmp_path: Path) -> None:
        """Nobody listens on the port."""
        path = configured(tmp_path, 9)
        token.ensure(tmp_path / "var")
        done = cti("agents", "-c", path)
        assert done.returncode == 3
        assert "http://127.0.0.1:9: the daemon does not answer (Connection refused)" in done.stderr


class TestConfiguration:
    """Status 2, every mistake with its key and cure."""

    def test_check_config_says_what_was_understood(self, tmp_path: Path) -> None:
        """And never a secret."""
        done = cti("check-config", "-c", configured(tmp_path, 8475))
        assert done.returncode == 0
        assert "127.0.0.1:5038" in done.stdout
        assert "hunter2" not in done.stdout

    def test_check_config_names_every_mistake(self, tmp_path: Path) -> None:
        """One line each."""
        path = configured(tmp_path, 70000, 'datadir = "x"\n[log]\nlevel = "loud"')
        done = cti("check-config", "-c", path)
        assert done.returncode == 2
        assert [line.split(" = ")[0] for line in done.stderr.splitlines()] == [
            "cti: http.port",
            "cti: log.level",
            "cti: datadir",
        ]

    def test_run_refuses_it_too(self, tmp_path: Path) -> None:
        """The same words, the same status."""
        done = cti("run", "-c", configured(tmp_path, 70000))
        assert done.returncode == 2
        assert "http.port" in done.stderr
        assert "Traceback" not in done.stderr

    def test_where_it_is_looked_for(self, tmp_path: Path) -> None:
        """--config, else CTI_CONFIG, else ./cti.toml; none at all is told with a cure."""
        assert cti("check-config", cwd=tmp_path).returncode == 2
        path = configured(tmp_path, 8475)
        assert cti("check-config", cwd=tmp_path).returncode == 0
        assert cti("check-config", cwd="/", environ={"CTI_CONFIG": str(path)}).returncode == 0
        assert "--config" in cti("check-config", "-c", tmp_path / "none.toml").stderr


class TestOthers:
    """Help, version, import, replay, openapi."""

    def test_the_installed_command_is_this_one(self) -> None:
        """`cti` and `python -m cti.daemon` are the same program."""
        for command in ([str(Path(sys.executable).parent / "cti")], [sys.executable, "-m", "cti.daemon"]):
            done = subprocess.run(
                [*command, "--version"], capture_output=True, text=True, check=True, timeout=60
            )
            assert done.stdout == f"cti {version()}\n"

    def test_help_teaches(self) -> None:
        """By examples, and with what the exit status means."""
        done = cti("--help")
        assert done.returncode == 0
        assert "cti duty --at" in done.stdout
        assert "Exit status" in done.stdout

    def test_version(self) -> None:
        """`cti 0.1.0`."""
        assert cti("--version").stdout.startswith("cti 0.")

    def test_openapi_needs_no_configuration(self, tmp_path: Path) -> None:
        """The document, as JSON."""
        assert json.loads(cti("openapi", cwd=tmp_path).stdout)["openapi"] == "3.1.0"

    def test_import_shows_first_and_applies_when_told(self, tmp_path: Path) -> None:
        """Dry run by default; --apply does it; a second time nothing is left to do."""
        path = configured(tmp_path, 8475)
        example = Path(__file__).parents[2] / "config" / "people.example.toml"
        environ = dict.fromkeys(("PIN_2001", "PIN_2002", "PIN_2003"), "1234")
        first = cti("import", example, "--json", "-c", path, environ=environ)
        assert first.returncode == 0, first.stderr
        assert json.loads(first.stdout)["applied"] is False
        assert "Nothing was changed" in cti("import", example, "-c", path, environ=environ).stderr
        assert "Done." in cti("import", example, "--apply", "-c", path, environ=environ).stderr
        again = json.loads(cti("import", example, "--json", "-c", path, environ=environ).stdout)
        assert [change for change in again["changes"] if change["what"] != "changed"] == []

    def test_import_of_nonsense_is_refused_in_a_sentence(self, tmp_path: Path) -> None:
        """Status 1 and no traceback."""
        done = cti("import", tmp_path / "none.toml", "-c", configured(tmp_path, 8475))
        assert done.returncode == 1
        assert "none.toml" in done.stderr
        assert "Traceback" not in done.stderr

    def test_replay_of_nonsense_is_refused_in_a_sentence(self, tmp_path: Path) -> None:
        """Status 1 and no traceback."""
        (tmp_path / "x").write_text("no recording")
        done = cti("replay", tmp_path / "x")
        assert (done.returncode, "Traceback" in done.stderr) == (1, False)

    def test_replay_of_a_recording_that_was_cut_short_says_so(self, tmp_path: Path) -> None:
        """What is whole is played; that something is missing is said to people and to programs."""
        whole = gzip.decompress(RECORDING.read_bytes())
        (tmp_path / "whole.ami").write_bytes(whole)
        (tmp_path / "cut.ami").write_bytes(whole[: len(whole) // 2 + 1])
        done = {name: cti("replay", tmp_path / f"{name}.ami", "--json") for name in ("whole", "cut")}
        assert {name: json.loads(one.stdout)["cut_short"] for name, one in done.items()} == {
            "whole": False,
            "cut": True,
        }
        assert "middle of a record" in done["cut"].stderr
        assert done["whole"].stderr == ""
        assert json.loads(done["cut"].stdout)["calls"] > 0

    def test_record_of_a_pbx_that_is_not_there(self, tmp_path: Path) -> None:
        """It says that nothing answers, and leaves no file."""
        path = configured(tmp_path, 8475)
        path.write_text(path.read_text().replace('host = "127.0.0.1"\n', 'host = "127.0.0.1"\nport = 9\n'))
        done = cti("record", tmp_path / "out", "--seconds", "1", "-c", path)
        assert (done.returncode, "Traceback" in done.stderr) == (1, False)
        assert not (tmp_path / "out").exists()

    def test_record_wants_to_know_which_pbx(self, tmp_path: Path) -> None:
        """A name that is not in the file is refused with those that are."""
        done = cti("record", tmp_path / "out", "--pbx", "x", "-c", configured(tmp_path, 8475))
        assert done.returncode == 2
        assert "main" in done.stderr


class TestToken:
    """The API's token on disk."""

    def test_made_once_and_only_for_its_owner(self, tmp_path: Path) -> None:
        """Mode 0600 from the first moment, the same at the next start, no draft left."""
        old = os.umask(0)
        try:
            made = token.ensure(tmp_path / "var")
        finally:
            os.umask(old)
        file = tmp_path / "var" / token.NAME
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert len(made) >= 40
        assert token.ensure(tmp_path / "var") == made == token.read(tmp_path / "var")
        assert [path.name for path in (tmp_path / "var").iterdir()] == [token.NAME]

    @pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
    def test_refused_when_others_can_read_it(self, tmp_path: Path, mode: int) -> None:
        """By the daemon and by the command line, with the cure."""
        token.ensure(tmp_path)
        (tmp_path / token.NAME).chmod(mode)
        with pytest.raises(ConfigError, match="delete it"):
            token.ensure(tmp_path)

    @pytest.mark.parametrize("content", ["", "short", "\x00" * 40])
    def test_refused_when_it_is_no_token(self, tmp_path: Path, content: str) -> None:
        """An empty file does not mean an open door."""
        (tmp_path / token.NAME).touch(mode=0o600)
        (tmp_path / token.NAME).write_text(content)
        with pytest.raises(ConfigError, match="no usable API token"):
            token.ensure(tmp_path)

    def test_a_data_directory_that_cannot_be_made(self, tmp_path: Path) -> None:
        """Named, with the cure."""
        (tmp_path / "file").touch()
        with pytest.raises(ConfigError, match="data_dir"):
            token.ensure(tmp_path / "file" / "var")


class TestWords:
    """Times in, durations and text out."""

    @pytest.mark.parametrize(
        ("text", "meant"),
        [
            ("now", NOW),
            ("2h", NOW - dt.timedelta(hours=2)),
            ("today", dt.datetime(2026, 10, 1, tzinfo=SHANGHAI)),
            ("2026-10-01", dt.datetime(2026, 10, 1, tzinfo=SHANGHAI)),
            ("2026-10-01 09:30", dt.datetime(2026, 10, 1, 9, 30, tzinfo=SHANGHAI)),
            ("2026-10-01T01:30:00Z", dt.datetime(2026, 10, 1, 1, 30, tzinfo=dt.UTC)),
        ],
    )
    def test_a_time_as_people_write_it(self, text: str, meant: dt.datetime) -> None:
        """Without an offset it is local."""
        assert moment(text, SHANGHAI, NOW) == meant

    @pytest.mark.parametrize(
        ("seconds", "text"), [(0, "0:00"), (59.6, "1:00"), (3725, "1:02:05"), (None, "–")]
    )
    def test_a_duration(self, seconds: float | None, text: str) -> None:
        """m:ss, and hours when there are any."""
        assert span(seconds).plain == text

    def test_a_name_cannot_steer_the_terminal_or_the_table(self) -> None:
        """Escape sequences and markup in a caller's name stay text."""
        assert cell("\x1b[2J[red]王[/red]").plain == "�[2J[red]王[/red]"

    def test_a_call_that_goes_on_has_a_length(self) -> None:
        """Its age."""
        now = dt.datetime.fromtimestamp(AT + 60, dt.UTC)
        row = {
            "started_at": "2026-09-21T14:13:20.250000Z", "answered_at": None, "ended_at": None, "caller_number": "1",
            "caller_name": "", "dialed_number": "2", "direction": "inbound", "disposition": None, "id": "x",
            "quality": "complete",
        }  # fmt: skip
        (length,) = list(Tables(SHANGHAI, now).calls([row]).columns[7].cells)
        assert str(length) == "1:00"

    def test_callers_who_were_turned_away_by_a_queue_that_is_not_known(self) -> None:
        """CEL has not named it (yet): the row says so, and what that means stands below."""
        today = {"offered": 0, "answered": 0, "lost": 3, "asa": None}
        level = {"default": "strict", "strict": None}
        row = {"pbx": "main", "name": "", "waiting": 0, "longest_waiting_since": None, "agents": {}}
        rows = [row | {"today": today, "service_level": level}]
        table = Tables(SHANGHAI, dt.datetime.fromtimestamp(AT, dt.UTC)).queues(rows)
        names, *_, lost, _in_time, _asa, _pbx = (str(*column.cells) for column in table.columns)
        assert (names, lost) == ("unknown", "3")
        assert "unknown: turned away" in str(table.caption)
        known = Tables(SHANGHAI, dt.datetime.fromtimestamp(AT, dt.UTC)).queues([rows[0] | {"name": "sales"}])
        assert "unknown" not in str(known.caption)
