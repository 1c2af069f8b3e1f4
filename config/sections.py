"""The tables of the configuration file, one frozen model each, with their checks.

Durations are seconds (floats), paths are absolute. A check that needs another key reads it from the ones validated
before (`info.data`), so one wrong value never hides the next.
"""

import importlib.util
import re
import zoneinfo
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import quote, urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationInfo, field_validator

from config.problems import HIDDEN, alike, shown
from config.values import (
    Duration,
    FilePath,
    Host,
    Line,
    Lines,
    Port,
    PositiveDuration,
    base_of,
    is_loopback,
    refuse,
)

SQLITE = "sqlite+aiosqlite:///"
POSTGRESQL = "postgresql+asyncpg://"
DEFAULT_ZONE = "Asia/Shanghai"
MARIADB = "mysql+asyncmy://"
_TABLE_NAME = re.compile(r"(?:[A-Za-z_]\w{0,63}\.)?[A-Za-z_]\w{0,63}", re.ASCII)
BOOKS = ("queue_log", "cdr_csv", "cel_csv")
PAUSE_REASONS = ("break", "lunch", "training", "meeting", "after_call", "other")


class Table(BaseModel):
    """A table: nothing unknown in it, nothing converted silently, nothing changed later."""

    model_config = ConfigDict(
        frozen=True, strict=True, extra="forbid", validate_default=True, hide_input_in_errors=True
    )


class Database(Table):
    """Where records are kept. `url` holds no password: give `full_url` to the driver."""

    url: str = Field(examples=["sqlite+aiosqlite:///var/cti.sqlite3"])
    password: SecretStr | None = None

    @field_validator("url")
    @classmethod
    def _supported(cls, value: str, info: ValidationInfo) -> str:
        if value.startswith(SQLITE):
            return _sqlite(value, info)
        if not value.startswith(POSTGRESQL):
            cure = f'write "{SQLITE}var/cti.sqlite3" or "{POSTGRESQL}user@host/cti"'
            refuse("is not a database we support", cure, _scheme(value))
        return _server(value, "database", f"{POSTGRESQL}user@host/cti")

    @property
    def full_url(self) -> str:
        """The URL with the password in it; never log it."""
        if not self.url.startswith(POSTGRESQL):
            return self.url
        return _with_password(self.url, self.password)


def _scheme(url: str) -> str:
    """What may be shown of a URL that may hold a secret."""
    return shown(f"{url.partition(':')[0]}:…")


def _server(url: str, table: str, example: str) -> str:
    """Check the URL of a database server."""
    try:
        parts = urlsplit(url)
        complete = bool(parts.hostname and parts.username and parts.path.strip("/")) and parts.port != 0
    except ValueError:
        complete, parts = False, urlsplit("")
    if parts.password is not None:
        cure = f"take the password out and write {table}.password_env or {table}.password_file"
        refuse("a secret never stands in this file", cure, HIDDEN)
    if not complete:
        refuse("is not complete", f'write "{example}"', _scheme(url))
    return url


def _with_password(url: str, password: SecretStr | None) -> str:
    if password is None:
        return url
    scheme, _, rest = url.partition("://")
    user, _, place = rest.partition("@")
    return f"{scheme}://{user}:{quote(password.get_secret_value(), safe='')}@{place}"


def _sqlite(url: str, info: ValidationInfo) -> str:
    name, mark, options = url.removeprefix(SQLITE).partition("?")
    if name in {"", ":memory:"} or name.startswith("file:") or not url.isprintable():
        refuse(
            "is not a file, and would be gone after a restart", f'write for example "{SQLITE}var/cti.sqlite3"'
        )
    return f"{SQLITE}{base_of(info) / Path(name).expanduser()}{mark}{options}"


class Http(Table):
    """The API, metrics and health. Loopback unless TLS or a proxy guards it."""

    tls_cert: FilePath | None = Field(None, examples=["/etc/cti/tls.pem"])
    tls_key: FilePath | None = Field(None, examples=["/etc/cti/tls.key"])
    behind_proxy: bool = Field(default=False, examples=[True])
    host: Host = Field("127.0.0.1", examples=["127.0.0.1"])
    port: Port = Field(8475, examples=[8475])
    allowed_hosts: Annotated[tuple[Host, ...], Field(strict=False)] = Field(
        (), examples=[["cti.example.com"]]
    )

    @field_validator("tls_cert", "tls_key")
    @classmethod
    def _exists(cls, value: Path | None) -> Path | None:
        return _existing(value)

    @field_validator("tls_key")
    @classmethod
    def _pair(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        if "tls_cert" in info.data and (value is None) != (info.data["tls_cert"] is None):
            refuse("only one of http.tls_cert and http.tls_key is given", "give both, or neither")
        return value

    @field_validator("host")
    @classmethod
    def _guarded(cls, value: str, info: ValidationInfo) -> str:
        known = {"tls_cert", "behind_proxy"} <= info.data.keys()
        if known and not is_loopback(value) and not (info.data["tls_cert"] or info.data["behind_proxy"]):
            cure = (
                'keep "127.0.0.1", or give http.tls_cert and http.tls_key, '
                "or set http.behind_proxy = true when a proxy with TLS stands in front"
            )
            refuse("would be reachable from other machines without encryption", cure)
        return value


def _existing(value: Path | None) -> Path | None:
    if value is not None and not value.is_file():
        refuse("is not a file", f"put the file at {value}, or correct the path")
    return value


class Log(Table):
    """What is logged and how."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "json", "pretty"] = "auto"  # auto: pretty on a terminal, else JSON
    mask_numbers: bool = Field(default=True, examples=[True])


def _pause_reason(value: str) -> str:
    if value not in PAUSE_REASONS:
        cure = f"use {', '.join(PAUSE_REASONS)}. {alike(value, PAUSE_REASONS)}".rstrip(". ")
        refuse("is not a pause reason", cure)
    return value


PauseReason = Annotated[str, AfterValidator(_pause_reason)]


class Away(Table):
    """The away rule (C3); seconds."""

    limit: PositiveDuration = 900.0
    limits: dict[PauseReason, PositiveDuration] = Field({}, examples=[{"lunch": "1h"}])  # by pause reason
    warn_before: Duration = 120.0
    grace: Duration = 10.0

    @field_validator("warn_before", "grace")
    @classmethod
    def _shorter(cls, value: float, info: ValidationInfo) -> float:
        shortest = min([info.data.get("limit", value + 1), *info.data.get("limits", {}).values()])
        if value >= shortest:
            refuse(
                f"must be shorter than every away limit ({shortest:g} s)", "shorten it, or raise the limit"
            )
        return value


class ServiceLevel(Table):
    """Within how many seconds a call is to be answered."""

    default: PositiveDuration = 20.0
    queues: dict[Line, PositiveDuration] = Field({}, examples=[{"sales": "15s"}])


class WrapUp(Table):
    """How long the PBX keeps calls of a queue from an agent after one (`wrapuptime` of queues.conf)."""

    default: Duration = 0.0
    queues: dict[Line, Duration] = Field({}, examples=[{"sales": "10s"}])


class Duty(Table):
    """How the roster is published to the PBX."""

    timezone: str = Field(DEFAULT_ZONE, examples=[DEFAULT_ZONE])
    publish_days: int = Field(60, ge=1, le=366, examples=[60])
    publish_every: PositiveDuration = 3600.0

    @field_validator("timezone")
    @classmethod
    def _exists(cls, value: str) -> str:
        return _zone(value)


def _zone(value: str) -> str:
    if value not in zoneinfo.available_timezones():
        hint = alike(value, zoneinfo.available_timezones())
        refuse("is not a time zone", f'write a name such as "Asia/Shanghai". {hint}'.rstrip(". "))
    return value


class Notify(Table):
    """Who is told: a webhook, signed with `webhook_secret`."""

    webhook_secret: SecretStr | None = None
    webhook_url: str | None = Field(None, examples=["https://example.com/hook"])

    @field_validator("webhook_url")
    @classmethod
    def _signed(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is None:
            return value
        try:
            parts = urlsplit(value)
            usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
        except ValueError:
            usable = False
        host = shown(value.split("?")[0]) if "@" not in value else HIDDEN
        if not usable or "@" in value or not value.isprintable() or " " in value:
            refuse("is not a web address", 'write for example "https://example.com/hook"', host)
        if info.data.get("webhook_secret", "") is None:
            cure = "write notify.webhook_secret_file or notify.webhook_secret_env"
            refuse("has no secret to sign with", cure, host)
        return value


class Account(Table):
    """A manager account of the PBX."""

    user: Line = Field(examples=["cti-reader"])
    secret: SecretStr = Field(examples=["see secret_file"])


def _table_name(value: str) -> str:
    if value and not _TABLE_NAME.fullmatch(value):
        refuse(
            "is not the name of a table", 'write for example "cdr", or "" for a book that is not kept there'
        )
    return value


TableName = Annotated[str, AfterValidator(_table_name)]


class BookSources(Table):
    """Where the books of a PBX are when they are not files of this machine. `url` holds no password."""

    url: str | None = Field(None, examples=["mysql+asyncmy://cti_books@pbx.example.com/asteriskcdrdb"])
    password: SecretStr | None = None
    ca_file: FilePath | None = Field(None, examples=["/etc/cti/pbx-ca.pem"])
    timezone: str = Field(DEFAULT_ZONE, examples=["Asia/Shanghai"])
    cdr_table: TableName = Field("cdr", examples=["cdr"])
    cel_table: TableName = Field("cel", examples=["cel"])
    queue_log_table: TableName = Field("", examples=["queue_log"])
    late: Duration = Field(15.0, examples=["15s"])
    shipped: Annotated[tuple[Literal["queue_log", "cdr_csv", "cel_csv"], ...], Field(strict=False)] = Field(
        (), examples=[list(BOOKS)]
    )
    keep: PositiveDuration = Field(30 * 86400.0, examples=["30d"])

    @field_validator("url")
    @classmethod
    def _supported(cls, value: str | None) -> str | None:
        if value is None:
            return value
        if not value.startswith((MARIADB, POSTGRESQL)):
            cure = f'write "{MARIADB}user@host/asteriskcdrdb" or "{POSTGRESQL}user@host/asteriskcdrdb"'
            refuse("is not a database we can read books from", cure, _scheme(value))
        if value.startswith(MARIADB) and importlib.util.find_spec("asyncmy") is None:
            cure = "install it beside this program: pip install 'cti-beside-pbx[mariadb]'"
            refuse("the driver for MariaDB is missing", cure, _scheme(value))
        return _server(value, "books", f"{MARIADB}user@host/asteriskcdrdb")

    @field_validator("ca_file")
    @classmethod
    def _there(cls, value: Path | None) -> Path | None:
        return _existing(value)

    @field_validator("timezone")
    @classmethod
    def _exists(cls, value: str) -> str:
        return _zone(value)

    @property
    def full_url(self) -> str:
        """The URL with the password in it; never log it."""
        return _with_password(self.url or "", self.password)

    def of_database(self) -> Mapping[str, str]:
        """Tables by book; those that are kept there."""
        if self.url is None:
            return {}
        tables = {"queue_log": self.queue_log_table, "cdr_csv": self.cdr_table, "cel_csv": self.cel_table}
        return {book: table for book, table in tables.items() if table}


class PbxSettings(Table):
    """One PBX, reached through AMI by three accounts of least privilege."""

    host: Host = Field(examples=["127.0.0.1"])
    port: Port = Field(5038, examples=[5038])
    tls: bool = Field(default=False, examples=[True])
    ca_file: FilePath | None = Field(None, examples=["/etc/cti/pbx-ca.pem"])
    trunks: Lines = Field((), examples=[["PJSIP/trunk-a"]])
    internal_contexts: Lines = Field(("from-internal",), examples=[["from-internal"]])
    reader: Account = Field(examples=["[pbx.NAME.reader] with user and secret_file"])
    actor: Account = Field(examples=["[pbx.NAME.actor] with user and secret_file"])
    publisher: Account = Field(examples=["[pbx.NAME.publisher] with user and secret_file"])
    keepalive: PositiveDuration = 10.0
    inbox_size: int = Field(100_000, ge=100, le=10_000_000, examples=[100_000])
    timezone: str = Field(DEFAULT_ZONE, examples=["Asia/Shanghai"])
    queue_log: FilePath | None = Field(None, examples=["/var/log/asterisk/queue_log"])
    cdr_csv: FilePath | None = Field(None, examples=["/var/log/asterisk/cdr-custom/cti.csv"])
    cel_csv: FilePath | None = Field(None, examples=["/var/log/asterisk/cel-custom/cti.csv"])
    books: BookSources | None = Field(None, examples=["[pbx.NAME.books] with url, or with shipped"])

    @field_validator("ca_file")
    @classmethod
    def _used(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        if value is not None and info.data.get("tls", True) is False:
            refuse("is given, but tls is not on", "set tls = true, or remove ca_file")
        return _existing(value)

    @field_validator("timezone")
    @classmethod
    def _exists(cls, value: str) -> str:
        return _zone(value)

    @field_validator("books")
    @classmethod
    def _once(cls, value: BookSources | None, info: ValidationInfo) -> BookSources | None:
        """A book that is read at two places would tell every call twice."""
        if value is None:
            return value
        if value.url is None and not value.shipped:
            refuse(
                "names no place",
                "give url (a database) or shipped (books that `cti ship-books` sends)",
                "{…}",
            )
        for book in BOOKS:
            places = [
                place
                for place, there in (
                    (book, info.data.get(book) is not None),
                    ("books.shipped", book in value.shipped),
                    (f"books.{book.removesuffix('_csv')}_table", book in value.of_database()),
                )
                if there
            ]
            if len(places) > 1:
                cure = "keep one of the places; a table is not read when its name is empty"
                refuse(f"one book has two places: {' and '.join(places)}", cure, "{…}")
        return value
