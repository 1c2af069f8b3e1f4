"""The configuration file: what a newcomer writes works, and every mistake is named with its cure, all at once."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.problems import HIDDEN
from config.sections import PAUSE_REASONS
from config.settings import ConfigError, Problem, Settings, load, parse
from config.values import parse_duration
from cti.core.rules import Rules

EXAMPLE = Path(__file__).parents[2] / "config" / "cti.example.toml"
ENVIRON = {f"CTI_{name}_SECRET": "hunter2" for name in ("READER", "ACTOR", "PUBLISHER")}
ACCOUNT = {"user": "u", "secret_env": "CTI_READER_SECRET"}
PBX = {"host": "127.0.0.1", "reader": ACCOUNT, "actor": ACCOUNT, "publisher": ACCOUNT}


def made(base: Path, **tables: Any) -> Settings:
    return parse({"pbx": {"main": PBX}, **tables}, base, ENVIRON)


def problems(base: Path, **tables: Any) -> list[Problem]:
    with pytest.raises(ConfigError) as caught:
        made(base, **tables)
    return caught.value.problems


def only(base: Path, **tables: Any) -> Problem:
    found = problems(base, **tables)
    assert len(found) == 1, found
    return found[0]


def test_the_example_loads_as_it_is() -> None:
    """The file a newcomer copies is right, and stands on the defaults."""
    settings = load(EXAMPLE, ENVIRON)
    assert settings.data_dir == EXAMPLE.parent / "var"
    assert settings.database.url == f"sqlite+aiosqlite:///{EXAMPLE.parent}/var/cti.sqlite3"
    assert (settings.away.limit, settings.away.warn_before) == (900.0, 120.0)
    assert settings.pbx["main"].actor.user == "cti-actor"


def test_every_default_the_example_shows_is_the_real_one(tmp_path: Path) -> None:
    """A commented line of the example is a valid line; those that say `default` agree with the code."""
    text = re.sub(r"(?m)^# ([a-z_]+ = )", r"\1", EXAMPLE.read_text())
    for name in ("cert.pem", "key.pem", "pbx-ca.pem"):
        (tmp_path / "tls").mkdir(exist_ok=True)
        (tmp_path / "tls" / name).write_text("x")
    (tmp_path / "secrets").mkdir()
    for name in ("database", "webhook", "reader", "actor", "publisher"):
        (tmp_path / "secrets" / name).write_text("hunter2\n")
        (tmp_path / "secrets" / name).chmod(0o600)
    text = re.sub(r'(?m)^\w+_env = "\w+"$|^(secret|password|webhook_secret)_env = .*$', "", text)
    text = text.replace("tls = false", "tls = true")
    full = parse(tomllib.loads(text), tmp_path, {})
    plain = load(EXAMPLE, ENVIRON)
    assert full.log == plain.log
    assert full.duty == plain.duty
    assert full.service_level.default == plain.service_level.default
    assert full.wrap_up.default == plain.wrap_up.default
    assert full.away.model_copy(update={"limits": {}}) == plain.away
    assert (full.http.host, full.http.port) == (plain.http.host, plain.http.port)
    assert full.pbx["main"].keepalive == plain.pbx["main"].keepalive
    assert full.pbx["main"].inbox_size == plain.pbx["main"].inbox_size
    assert full.notify.webhook_secret is not None


def test_all_mistakes_are_named_at_once(tmp_path: Path) -> None:
    """One run of check-config shows everything that is wrong, each with its key as written in the file."""
    found = problems(
        tmp_path,
        datadir="x",
        http={"port": 70000},
        log={"level": "inof"},
        away={"limit": "1m", "warn_before": "2m", "grace": "soon", "limits": {"lunhc": "1h", "meeting": -1}},
        duty={"timezone": "Asia/Shangai", "publish_days": True},
        service_level={"default": 0},
    )
    assert {p.key for p in found} == {
        "datadir",
        "http.port",
        "log.level",
        "away.warn_before",
        "away.grace",
        "away.limits.lunhc",
        "away.limits.meeting",
        "duty.timezone",
        "duty.publish_days",
        "service_level.default",
    }
    assert all(p.value and p.cure and p.wrong for p in found)


@pytest.mark.parametrize(
    ("tables", "key", "cure"),
    [
        ({"data_dirr": "x"}, "data_dirr", 'did you mean "data_dir"?'),
        ({"log": {"level": "inof"}}, "log.level", 'did you mean "info"?'),
        ({"duty": {"timezone": "Asia/Shangai"}}, "duty.timezone", 'did you mean "Asia/Shanghai"?'),
        ({"away": {"limits": {"lunhc": 60}}}, "away.limits.lunhc", 'did you mean "lunch"?'),
        ({"http": {"allowed_hosts": ["https://x/"]}}, "http.allowed_hosts[0]", "without scheme"),
        ({"http": 5}, "http", "correct"),
        ({"pbx": {}}, "pbx", "[pbx.main]"),
        ({"pbx": {"Main PBX": PBX}}, 'pbx."Main PBX"', "a-z"),
        ({"pbx": {"main": {**PBX, "host": "10.0.0.1 "}}}, "pbx.main.host", "host name or an IP address"),
        ({"pbx": {"main": {**PBX, "trunks": "PJSIP/a"}}}, "pbx.main.trunks", '["PJSIP/trunk-a"]'),
        ({"pbx": {"main": {**PBX, "ca_file": "x.pem"}}}, "pbx.main.ca_file", "tls = true"),
        ({"pbx": {"main": {**PBX, "keepalive": float("nan")}}}, "pbx.main.keepalive", "0 to 366 days"),
        ({"pbx": {"a": PBX, "b": PBX}}, "pbx.b.host", "keep one"),
        ({"pbx": {"a": {k: v for k, v in PBX.items() if k != "actor"}}}, "pbx.a.actor", "[pbx.NAME.actor]"),
        ({"database": {"url": "mysql://x/y"}}, "database.url", "postgresql+asyncpg://"),
        ({"database": {"url": "sqlite+aiosqlite://"}}, "database.url", "sqlite+aiosqlite:///"),
        ({"database": {"url": "sqlite+aiosqlite:///:memory:"}}, "database.url", "cti.sqlite3"),
        ({"database": {"url": "postgresql+asyncpg://host"}}, "database.url", "user@host/cti"),
        ({"database": {"url": "postgresql+asyncpg://u@[::1/x"}}, "database.url", "user@host/cti"),
        ({"notify": {"webhook_url": "ftp://x"}}, "notify.webhook_url", "https://"),
        ({"notify": {"webhook_url": "https://x/y"}}, "notify.webhook_url", "webhook_secret_file"),
    ],
)
def test_a_mistake_names_its_key_and_the_cure(
    tmp_path: Path, tables: dict[str, Any], key: str, cure: str
) -> None:
    """Each kind of mistake says where it stands and what to write instead."""
    problem = only(tmp_path, **tables)
    assert problem.key == key
    assert cure in problem.cure


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "cti.example.com"])  # noqa: S104 - refused
def test_other_machines_reach_it_only_behind_tls_or_a_proxy(tmp_path: Path, host: str) -> None:
    """An address beyond loopback is refused until TLS or behind_proxy guards it."""
    assert only(tmp_path, http={"host": host}).key == "http.host"
    assert made(tmp_path, http={"host": host, "behind_proxy": True}).http.host == host
    for name in ("c.pem", "k.pem"):
        (tmp_path / name).write_text("x")
    assert made(tmp_path, http={"host": host, "tls_cert": "c.pem", "tls_key": "k.pem"}).http.tls_key
    assert only(tmp_path, http={"tls_cert": "c.pem"}).key == "http.tls_key"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_loopback_needs_no_guard(tmp_path: Path, host: str) -> None:
    """On this machine alone the API may speak plainly."""
    assert made(tmp_path, http={"host": host}).http.host == host


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("15m", 900),
        ("8s", 8),
        ("1h30m", 5400),
        ("1h 30m", 5400),
        ("1d", 86400),
        ("0.5s", 0.5),
        (8, 8),
        (2.5, 2.5),
    ],
)
def test_durations_are_read_as_people_write_them(written: object, seconds: float) -> None:
    """Durations become seconds."""
    assert parse_duration(written) == seconds


@pytest.mark.parametrize(
    "written", ["", "8", "s", "m15", "-8s", "8s9m", "1e3s", "１５m", True, None, [], "9999999d"]
)
def test_what_is_no_duration_is_refused(tmp_path: Path, written: object) -> None:
    """Nothing ambiguous passes for a duration."""
    assert only(tmp_path, service_level={"default": written}).key == "service_level.default"


@given(st.text(max_size=12))
def test_any_text_for_a_duration_is_read_or_refused(text: str) -> None:
    """No text breaks the reader: seconds come out, or a problem."""
    try:
        made(Path("/"), away={"grace": text})
        keys = []
    except ConfigError as error:
        keys = [p.key for p in error.problems]
    assert keys in ([], ["away.grace"])


class TestSecrets:
    """Secrets come from the environment or from files of mode 0600, and never show."""

    def test_from_a_file_beside_the_configuration(self, tmp_path: Path) -> None:
        """A relative path starts from the configuration file; the final newline is not part of the secret."""
        (tmp_path / "s").write_text("hunter2\n")
        (tmp_path / "s").chmod(0o600)
        account = {"user": "u", "secret_file": "s"}
        settings = made(tmp_path, pbx={"main": {**PBX, "reader": account}})
        assert settings.pbx["main"].reader.secret.get_secret_value() == "hunter2"

    def test_a_file_that_everybody_may_read_is_refused(self, tmp_path: Path) -> None:
        """The cure is the command that mends it."""
        (tmp_path / "s").write_text("hunter2")
        (tmp_path / "s").chmod(0o644)
        problem = only(tmp_path, pbx={"main": {**PBX, "reader": {"user": "u", "secret_file": "s"}}})
        assert problem.key == "pbx.main.reader.secret_file"
        assert problem.cure == f"chmod 0600 {tmp_path / 's'}"

    @pytest.mark.parametrize(
        "content", [b"", b"\n", b"a\nb", b"a\r\nAction: Command", b"\xff\xfe", b"x" * 600]
    )
    def test_what_cannot_be_a_secret_is_refused(self, tmp_path: Path, content: bytes) -> None:
        """A secret is one line: nothing in it could become a header of its own."""
        (tmp_path / "s").write_bytes(content)
        (tmp_path / "s").chmod(0o600)
        problem = only(tmp_path, pbx={"main": {**PBX, "reader": {"user": "u", "secret_file": "s"}}})
        assert problem.key == "pbx.main.reader.secret_file"

    @pytest.mark.parametrize(
        ("account", "key"),
        [
            ({"user": "u", "secret": "hunter2"}, "secret"),
            ({"user": "u", "secret_env": "hunter2 "}, "secret_env"),
            ({"user": "u", "secret_env": "UNSET"}, "secret_env"),
            ({"user": "u", "secret_file": "missing"}, "secret_file"),
            ({"user": "u", "secret_env": "CTI_READER_SECRET", "secret_file": "x"}, "secret_env"),
            ({"user": "u"}, "secret_file"),
        ],
    )
    def test_each_way_to_get_it_wrong_has_one_problem(
        self, tmp_path: Path, account: dict[str, str], key: str
    ) -> None:
        """Exactly one complaint, at the key that was written."""
        assert only(tmp_path, pbx={"main": {**PBX, "reader": account}}).key == f"pbx.main.reader.{key}"

    @pytest.mark.parametrize(
        "tables",
        [
            {"pbx": {"main": {**PBX, "reader": {"user": "u", "secret": "hunter2"}}}},
            {"pbx": {"main": {**PBX, "reader": {"user": "u", "secert": "hunter2"}}}},
            {"pbx": {"main": {**PBX, "reader": {"user": "u", "secret_env": "hunter2!"}}}},
            {"pbx": {"main": {**PBX, "reader": "hunter2"}}},
            {"pbx": {"main": {**PBX, "reader_pw": "hunter2"}}},
            {"database": {"url": "postgresql+asyncpg://cti:hunter2@h/cti"}},
            {"database": {"url": "postgres://cti:hunter2@h/cti"}},
            {"database": {"password": "hunter2"}},
            {"notify": {"webhook_url": "https://u:hunter2@h/x"}},
            {"notify": {"webhook_url": "https://h/x?key=hunter2"}},
            {"notify": {"webhook_secret": "hunter2"}},
            {"api_token": "hunter2"},
        ],
    )
    def test_a_secret_written_into_the_wrong_place_is_not_repeated(
        self, tmp_path: Path, tables: dict[str, Any]
    ) -> None:
        """The complaint about it does not show it."""
        found = problems(tmp_path, **tables)
        assert "hunter2" not in "\n".join(map(str, found))
        assert any(p.value == HIDDEN or "…" in p.value or "h/x" in p.value for p in found) or found

    def test_they_never_show_in_a_repr(self, tmp_path: Path) -> None:
        """Settings can be logged whole; only the driver gets the URL with the password."""
        settings = made(
            tmp_path,
            database={
                "url": "postgresql+asyncpg://cti@h:5433/cti?ssl=require",
                "password_env": "CTI_ACTOR_SECRET",
            },
            notify={"webhook_url": "https://h/x", "webhook_secret_env": "CTI_READER_SECRET"},
        )
        assert "hunter2" not in repr(settings) + str(settings) + settings.model_dump_json()
        assert settings.database.full_url == "postgresql+asyncpg://cti:hunter2@h:5433/cti?ssl=require"


class TestFile:
    """The file itself may be missing or broken; that too is a problem with a cure, never a traceback."""

    @pytest.mark.parametrize(
        ("content", "says"),
        [
            (b"[http\nport = 1", "line 1"),
            (b"\xff\xfeh", "UTF-8"),
            (b"", "pbx"),
            (b"a = 1\na = 2\n", "line 2"),
        ],
    )
    def test_what_is_not_toml_says_where(self, tmp_path: Path, content: bytes, says: str) -> None:
        """The line or the byte is named."""
        path = tmp_path / "cti.toml"
        path.write_bytes(content)
        with pytest.raises(ConfigError, match=says):
            load(path, {})

    def test_a_missing_file_says_how_to_give_it(self, tmp_path: Path) -> None:
        """The cure names --config."""
        with pytest.raises(ConfigError, match="--config"):
            load(tmp_path / "none.toml", {})
        with pytest.raises(ConfigError, match="--config"):
            load(tmp_path, {})

    def test_a_byte_order_mark_is_no_mistake(self, tmp_path: Path) -> None:
        """Editors on Windows write one."""
        path = tmp_path / "cti.toml"
        path.write_bytes(b"\xef\xbb\xbf" + EXAMPLE.read_bytes())
        assert load(path, ENVIRON).pbx


def test_settings_do_not_change(tmp_path: Path) -> None:
    """Whoever holds settings holds the same ones for ever."""
    with pytest.raises(ValueError, match="frozen"):
        made(tmp_path).http.port = 1


def test_pause_reasons_are_those_of_the_core() -> None:
    """C3: a limit can be given for every reason an agent can choose (`rule` is ours)."""
    assert set(PAUSE_REASONS) == set(Rules().pause_reasons) - {"rule"}
