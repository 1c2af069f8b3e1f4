"""Text to frozen settings: strict, and every mistake at once, each with its key, its value and the cure.

`load` is the only way in. The file owns PBXs, URLs, thresholds and switches; people, rosters and calendars are in
the database. Durations are seconds (floats); paths are absolute. Secrets come from environment variables or files,
never from the text, and never show in a repr or an error.
"""

import tomllib
import zoneinfo
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated, Any, cast

from pydantic import Field, ValidationError, field_validator

from config.problems import ConfigError, Problem, explain, shown
from config.sections import (
    DEFAULT_ZONE,
    SQLITE,
    Account,
    Away,
    BookSources,
    Database,
    Duty,
    Http,
    Log,
    Notify,
    PbxSettings,
    ServiceLevel,
    Table,
    WrapUp,
)
from config.values import FilePath, PbxName, Secrets, refuse

__all__ = [
    "Account",
    "Away",
    "BookSources",
    "ConfigError",
    "Database",
    "Duty",
    "Http",
    "Log",
    "Notify",
    "PbxSettings",
    "Problem",
    "ServiceLevel",
    "Settings",
    "load",
    "parse",
]

_ACCOUNTS = ("reader", "actor", "publisher")
SECRETS = ("database", "notify", "pbx")  # the sections that name secrets
_SECTIONS = ("database", "http", "log", "away", "service_level", "wrap_up", "duty", "notify")


class Settings(Table):
    """Everything the configuration file decides."""

    data_dir: FilePath = Field(Path("var"), examples=["var"])
    database: Database
    http: Http
    log: Log
    away: Away
    service_level: ServiceLevel
    wrap_up: WrapUp
    duty: Duty
    notify: Notify
    pbx: Annotated[dict[PbxName, PbxSettings], Field(min_length=1)] = Field(
        examples=["[pbx.main] with host, and [pbx.main.reader], .actor and .publisher"]
    )

    @field_validator("data_dir")
    @classmethod
    def _directory(cls, value: Path) -> Path:
        if value.exists() and not value.is_dir():
            refuse("is not a directory", "write the path of a directory; it is made at the first start")
        return value


def load(path: Path, environ: Mapping[str, str], needed: Collection[str] = SECRETS) -> Settings:
    """Read the configuration file.

    Args:
        path: the TOML file; relative paths inside it start from its directory.
        environ: the environment that `…_env` keys name variables of.
        needed: sections whose secrets will be used; in the others a variable may be missing here, for often only
            the daemon has it.

    Raises:
        ConfigError: with every problem that was found.
    """
    return parse(_read(path), path.absolute().parent, environ, needed)


def parse(
    text: dict[str, Any], base: Path, environ: Mapping[str, str], needed: Collection[str] = SECRETS
) -> Settings:
    """Turn parsed TOML into settings; `base` is where relative paths start. Raises ConfigError."""
    raw = _copied(text)
    for section in _SECTIONS:
        raw.setdefault(section, {})
    raw.setdefault("data_dir", "var")
    if isinstance(raw["database"], dict) and isinstance(raw["data_dir"], str):
        raw["database"].setdefault("url", f"{SQLITE}{raw['data_dir']}/cti.sqlite3")
    _give_zones(raw)
    secrets = Secrets(base, environ, needed)
    _take_secrets(raw, secrets)
    problems = secrets.problems
    try:
        settings = Settings.model_validate(raw, context={"base": base})
    except ValidationError as error:
        problems += explain(error, Settings)
        settings = None
    problems += _twice(raw["pbx"]) if isinstance(raw.get("pbx"), dict) else []
    if problems or settings is None:
        raise ConfigError(problems)
    return settings


def _give_zones(raw: dict[str, Any]) -> None:
    """A PBX stands where its company is, and writes its books in its own time, unless they say otherwise."""
    zone = _zone_of(raw["duty"], DEFAULT_ZONE)
    pbxs = raw.get("pbx")
    for table in pbxs.values() if isinstance(pbxs, dict) else ():
        if isinstance(table, dict):
            books = table.get("books")
            table.setdefault("timezone", _zone_of(books, zone))
            if isinstance(books, dict):
                books.setdefault("timezone", _zone_of(table, zone))


def _zone_of(table: object, otherwise: str) -> str:
    """The time zone that a table names; one that is none is said there already."""
    zone = table.get("timezone") if isinstance(table, dict) else None
    return zone if isinstance(zone, str) and zone in zoneinfo.available_timezones() else otherwise


def _copied(table: dict[str, Any]) -> dict[str, Any]:
    """Copy a table so that no two keys share one, as TOML text would have it."""
    return {key: _copied(value) if isinstance(value, dict) else value for key, value in table.items()}


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        cure = "give the path of the configuration file with --config, or set CTI_CONFIG"
        raise ConfigError(
            [Problem(str(path), "", cure, f"cannot be read ({error.strerror or error})")]
        ) from None
    except UnicodeDecodeError as error:
        wrong = f"byte {error.start} is not UTF-8"
        raise ConfigError([Problem(str(path), "", "save the file as UTF-8", wrong)]) from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(
            [Problem(str(path), "", "correct the TOML there", f"is not TOML: {error}")]
        ) from None


def _take_secrets(raw: dict[str, Any], secrets: Secrets) -> None:
    for section, name in (("database", "password"), ("notify", "webhook_secret")):
        if isinstance(raw[section], dict):
            secrets.resolve(raw[section], name, (section,))
    pbxs = raw.get("pbx")
    for pbx, table in pbxs.items() if isinstance(pbxs, dict) else ():
        for account in _ACCOUNTS:
            if isinstance(table, dict) and isinstance(table.get(account), dict):
                secrets.resolve(table[account], "secret", ("pbx", pbx, account))
        if isinstance(table, dict) and isinstance(table.get("books"), dict):
            secrets.resolve(table["books"], "password", ("pbx", pbx, "books"))


def _twice(pbxs: dict[str, Any]) -> list[Problem]:
    """Two names for one PBX would count every call twice."""
    seen: dict[tuple[object, object], str] = {}
    problems = []
    for name, table in pbxs.items():
        if not isinstance(table, dict) or not isinstance(table.get("host"), str):
            continue
        address = (cast("str", table["host"]).lower(), str(table.get("port", 5038)))
        if address in seen:
            wrong = f"is the same PBX as pbx.{seen[address]}"
            problems.append(Problem(f"pbx.{name}.host", shown(table["host"]), "keep one of the two", wrong))
        seen.setdefault(address, name)
    return problems
