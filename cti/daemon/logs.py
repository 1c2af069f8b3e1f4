"""One log: structlog and the libraries' own logging in one shape, callers' numbers masked, secrets never shown.

In service each line is one JSON object with `timestamp` (ISO-8601, UTC), `level`, `event` and its fields; on a
terminal it is coloured text. What counts as a caller's number is said at `mask_text`.
"""

import logging
import re
import sys
from collections.abc import Mapping
from typing import Any, Protocol, TextIO

import structlog
from pydantic import SecretStr
from structlog.typing import EventDict, Processor, WrappedLogger

HIDDEN = "(not shown)"
_KEPT = 4  # last digits that stay readable, so that two lines about one caller can be told to be so

_NUMBER_KEYS = frozenset(
    {
        "caller",
        "caller_number",
        "number",
        "dialed_number",
        "accepted_by",
        "accepted_number",
        "mobile",
        "phone",
    }
)
_NAME_KEYS = frozenset({"caller_name"})
_UNTOUCHED_KEYS = frozenset(
    {"timestamp", "level", "logger", "uniqueid", "linkedid", "call_id", "id", "agent", "port", "pbx", "pid"}
)
_SECRET_KEY = re.compile(
    r"secret|passw|token|authorization|credential|cookie|(?:^|_)pins?(?:$|_)", re.IGNORECASE
)
_SECRET_TEXT = re.compile(
    r"(?P<what>\b(?:secret|password|passwd|authorization|(?:api[-_ ]?)?token|pin)[\"']?\s*[:=]\s*[\"']?(?:bearer\s+)?"
    r"|\bbearer\s+)[^\s,;&\"']+|(?<=://)[^/\s:@]*:[^/\s@]+(?=@)",
    re.IGNORECASE,
)
_SPEAKS_OF_SECRETS = re.compile(r"secret|passw|authori|bearer|token|pin\b|://", re.IGNORECASE)
_MOBILE = r"(?:\+?86[ -]?)?1[3-9][0-9][ -]?[0-9]{4}[ -]?[0-9]{4}"
_NUMBER = re.compile(rf"(?<![0-9])(?<![0-9]\.)(?:{_MOBILE}|\+?[0-9]{{7,}})(?![0-9]|\.[0-9])")
_DATE = r"(?:19|20)[0-9]{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])"
_EPOCH = r"1[5-9](?:[0-9]{8}|[0-9]{11}|[0-9]{14})"  # whole seconds, milliseconds or microseconds until 2033
_NO_NUMBER = re.compile(rf"{_DATE}|{_EPOCH}")
_CHANNEL_SERIAL = re.compile(r"0[0-9a-f]{7}(?![0-9a-f])")  # Asterisk's counter: PJSIP/1001-00000021
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")

_NEVER_DEBUG = (
    "sqlalchemy",
    "aiosqlite",
)  # they would write whole rows: names, and the PINs' salts and hashes
_LIBRARIES = {
    "aiosqlite": logging.WARNING,
    "aiohttp.access": logging.WARNING,
    "alembic": logging.WARNING,
    "asyncio": logging.WARNING,
    "panoramisk": logging.WARNING,
    "sqlalchemy": logging.WARNING,
}


class LogSettings(Protocol):
    """What of the configuration's `[log]` is needed here."""

    @property
    def level(self) -> str:
        """debug, info, warning or error."""

    @property
    def format(self) -> str:
        """auto, json or pretty."""

    @property
    def mask_numbers(self) -> bool:
        """Whether callers' numbers are masked."""


def mask_number(text: str) -> str:
    """Replace every digit but the last four by `*`; up to four digits (an extension) stay as they are."""
    digits = sum(char in "0123456789" for char in text)
    if digits <= _KEPT:
        return text
    masked, seen = [], 0
    for char in text:
        if char in "0123456789":
            seen += 1
            masked.append("*" if seen <= digits - _KEPT else char)
        else:
            masked.append(char)
    return "".join(masked)


def mask_text(text: str) -> str:
    """Mask what looks like a telephone number inside free text.

    That is: a mobile (11 digits from 13… to 19…, also written in groups or with +86), or any run of seven digits or
    more. Not masked: agent ids, ports and extensions (too short), uniqueids and timestamps with a fraction, whole
    epochs (10, 13 or 16 digits), dates such as 20260101, channel serials.
    """
    return _NUMBER.sub(_mask_match, text) if len(text) > _KEPT else text


def _mask_match(match: re.Match[str]) -> str:
    found = match[0]
    before = match.string[match.start() - 1 : match.start()]
    if _NO_NUMBER.fullmatch(found) or (before == "-" and _CHANNEL_SERIAL.match(match.string, match.start())):
        return found
    return mask_number(found)


def hide_secrets(text: str) -> str:
    """Replace what follows a word such as password or bearer, and the password of a URL."""
    if not _SPEAKS_OF_SECRETS.search(text):
        return text
    return _SECRET_TEXT.sub(lambda match: f"{match['what'] or ''}{HIDDEN}", text)


class Masker:
    """The processor that looks at every value of a line, however deep."""

    def __init__(self, *, mask_numbers: bool) -> None:
        self._mask_numbers = mask_numbers

    def __call__(self, _logger: WrappedLogger, _method: str, line: EventDict) -> EventDict:
        """Return the line with nothing in it that must not be read."""
        return {key: self._value(key, value) for key, value in line.items()}

    def _value(self, key: str, value: Any) -> Any:
        if isinstance(value, SecretStr) or (_SECRET_KEY.search(key) and not isinstance(value, bool)):
            return HIDDEN
        match value:
            case None | bool() | float():
                return value
            case int():
                return self._whole(key, value)
            case Mapping():
                return {str(k): self._value(str(k), v) for k, v in value.items()}
            case list() | tuple() | set() | frozenset():
                return [self._value(key, item) for item in value]
        return self._text(key, value.decode(errors="replace") if isinstance(value, bytes) else str(value))

    def _whole(self, key: str, value: int) -> int | str:
        return mask_number(str(value)) if self._mask_numbers and key in _NUMBER_KEYS else value

    def _text(self, key: str, text: str) -> str:
        text = hide_secrets(text)
        if not self._mask_numbers or key in _UNTOUCHED_KEYS:
            return text
        if key in _NUMBER_KEYS:
            return mask_number(text)
        if key in _NAME_KEYS:
            return mask_text(text[:1] + "*" if len(text) > 1 else text)
        return mask_text(text)


def _printable(_logger: WrappedLogger, _method: str, line: EventDict) -> EventDict:
    """Keep a name or a message from steering the terminal."""
    return {
        key: _CONTROL.sub(lambda m: f"\\x{ord(m[0]):02x}", value) if isinstance(value, str) else value
        for key, value in line.items()
    }


def configure(settings: LogSettings, stream: TextIO | None = None) -> None:
    """Set up structlog and the standard library's logging; may be called again.

    Args:
        settings: level, format (auto: pretty when `stream` is a terminal) and whether numbers are masked.
        stream: where lines go; standard error when left out.
    """
    stream = stream or sys.stderr
    pretty = settings.format == "pretty" or (settings.format == "auto" and stream.isatty())
    level = logging.getLevelNamesMapping()[settings.level.upper()]
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                Masker(mask_numbers=settings.mask_numbers),
                *_renderer(stream, pretty=pretty),
            ],
        )
    )
    _route(handler, level)


def _renderer(stream: TextIO, *, pretty: bool) -> list[Processor]:
    if not pretty:
        return [structlog.processors.JSONRenderer(ensure_ascii=False, default=str)]
    return [
        _printable,
        structlog.dev.ConsoleRenderer(
            colors=stream.isatty(), exception_formatter=structlog.dev.plain_traceback
        ),
    ]


def _route(handler: logging.Handler, level: int) -> None:
    root = logging.getLogger()
    for old in list(root.handlers):
        if isinstance(old.formatter, structlog.stdlib.ProcessorFormatter):
            root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level)
    logging.captureWarnings(capture=True)
    for name, lowest in _LIBRARIES.items():
        talks = level <= logging.DEBUG and name not in _NEVER_DEBUG
        logging.getLogger(name).setLevel(logging.NOTSET if talks else max(level, lowest))
