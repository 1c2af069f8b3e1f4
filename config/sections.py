"""The tables of the configuration file, one frozen model each, with their checks.

Durations are seconds (floats), paths are absolute. A check that needs another key reads it from the ones validated
before (`info.data`), so one wrong value never hides the next.
"""

import zoneinfo
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
        scheme = value.partition(":")[0]
        if not value.startswith(POSTGRESQL):
            cure = f'write "{SQLITE}var/cti.sqlite3" or "{POSTGRESQL}user@host/cti"'
            refuse("is not a database we support", cure, shown(f"{scheme}:…"))
        try:
            parts = urlsplit(value)
            complete = bool(parts.hostname and parts.username and parts.path.strip("/")) and parts.port != 0
        except ValueError:
            complete, parts = False, urlsplit("")
        if parts.password is not None:
            cure = "take the password out and write database.password_env or database.password_file"
            refuse("a secret never stands in this file", cure, HIDDEN)
        if not complete:
            refuse("is not complete", f'write "{POSTGRESQL}user@host/cti"', shown(f"{scheme}:…"))
        return value

    @property
    def full_url(self) -> str:
        """The URL with the password in it; never log it."""
        if self.password is None or not self.url.startswith(POSTGRESQL):
            return self.url
        user, _, rest = self.url.removeprefix(POSTGRESQL).partition("@")
        return f"{POSTGRESQL}{user}:{quote(self.password.get_secret_value(), safe='')}@{rest}"


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


class Duty(Table):
    """How the roster is published to the PBX."""

    timezone: str = Field("Asia/Shanghai", examples=["Asia/Shanghai"])
    publish_days: int = Field(60, ge=1, le=366, examples=[60])
    publish_every: PositiveDuration = 3600.0

    @field_validator("timezone")
    @classmethod
    def _exists(cls, value: str) -> str:
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
    queue_log: FilePath | None = Field(None, examples=["/var/log/asterisk/queue_log"])
    cdr_csv: FilePath | None = Field(None, examples=["/var/log/asterisk/cdr-csv/Master.csv"])
    cel_csv: FilePath | None = Field(None, examples=["/var/log/asterisk/cel-custom/cti.csv"])

    @field_validator("ca_file")
    @classmethod
    def _used(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        if value is not None and info.data.get("tls", True) is False:
            refuse("is given, but tls is not on", "set tls = true, or remove ca_file")
        return _existing(value)
