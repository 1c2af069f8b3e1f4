r"""How the attributes of an event are read from the headers of an AMI message, and what makes a value unusable.

A `Field` names its header and converts its text. It also knows which raw values are plain enough (`plain`) to be
converted without a look at anything else, and remembers what it made of them (`memo`): that is what `cti.core.layouts`
reads events with, for the same uniqueids, names and numbers come again and again.

Values: `<unknown>` means empty; names are C-escaped by Asterisk (`O\'Brien`) and unescaped here.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cti.core.facts import RejectReason
from cti.core.wire import Message, text_of

LONGEST = 256  # characters of a header value that is kept
_MOST_REMEMBERED = 4_096  # values of a memo; some ten times what lives on a busy PBX at once
_FURTHEST = 4_102_444_800.0  # s; 2100 as an instant, and no duration either: what is more is garbage
_GREATEST = 2**31 - 1  # what databases take as an integer
_EMPTY = {"", "<unknown>", "<null>", "(null)"}
_TRUE = {"1", "yes", "true", "True", "on"}
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}

# What is not of these forms is left to the conversions below, which judge everything.
_PLAIN = rb"[^\r]{0,256}+"
_SOME = rb"[^\r]{1,256}+"
_SURELY_TEXT = rb"[^\r<(][^\r]{0,255}+"  # is not empty after cleaning either
_PLAIN_INT = rb"[0-9]{0,9}+"
PLAIN_NUMBER = rb"[0-3]?[0-9]{1,9}(?:\.[0-9]{1,9})?"


class Unusable(ValueError):
    """A message that cannot be turned into an event; `reason` says why, the text which header."""

    def __init__(self, reason: RejectReason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class Memo(dict[bytes, Any]):
    """Raw value to what it means, bounded; for conversions that cannot fail on what they are given."""

    def __init__(self, convert: Callable[[str], Any]) -> None:
        super().__init__()
        self._convert = convert

    def __missing__(self, raw: bytes) -> Any:
        if len(self) >= _MOST_REMEMBERED:
            self.clear()
        value = self[raw] = self._convert(text_of(raw))
        return value


@dataclass(frozen=True, slots=True)
class Field:
    """One header, and what its text means.

    Attributes:
        header: its name; a channel variable stands under `ChanVariable/NAME`.
        convert: from text to value; raises Unusable.
        memo: the same for raw values that match `plain`, for which `convert` would not raise.
        plain: regular expression.
        surely: regular expression of values that are plain and mean something that is not empty.
        default: text taken where the header is missing.
    """

    header: str
    convert: Callable[[str], Any]
    memo: Memo
    plain: bytes = _PLAIN
    surely: bytes = _SOME
    default: str = ""

    def read(self, message: Message) -> Any:
        """The value in this message. Raises Unusable."""
        return self.convert(message.get(self.header, self.default))


@dataclass(frozen=True, slots=True)
class Either:
    """The first of several fields that is not empty."""

    fields: tuple[Field, ...]

    def read(self, message: Message) -> Any:
        """The value in this message. Raises Unusable."""
        for field in self.fields:
            value = field.read(message)
            if value:
                break
        return value


@dataclass(frozen=True, slots=True)
class Always:
    """A value that no header tells."""

    value: object

    def read(self, _message: Message) -> Any:
        """The value, whatever the message says."""
        return self.value


@dataclass(frozen=True, slots=True)
class Computed:
    """A value that several headers tell together."""

    read: Callable[[Message], Any]


AnyField = Field | Either | Always | Computed


def _cleaned(value: str) -> str:
    if value in _EMPTY:
        return ""
    if "\\" in value:
        value = _unescape(value)
    return value[:LONGEST]


def _unescape(value: str) -> str:
    out: list[str] = []
    rest = iter(value)
    for char in rest:
        if char == "\\":
            after = next(rest, "\\")
            out.append(_ESCAPES.get(after, after))
        else:
            out.append(char)
    return "".join(out)


_AS_IT_IS = Memo(str)
_CLEANED = Memo(_cleaned)
_INTS = Memo(lambda text: int(text or 0))
_NUMBERS = Memo(lambda text: float(text or 0))
_FLAGS = Memo(_TRUE.__contains__)


def must(header: str) -> Field:
    """A value that must be there, as it is."""

    def convert(value: str) -> str:
        if not value:
            raise Unusable(RejectReason.MISSING_HEADER, header)
        if len(value) > LONGEST:
            raise Unusable(RejectReason.TOO_LONG, header)
        return value

    return Field(header, convert, _AS_IT_IS, plain=_SOME)


def given(header: str) -> Field:
    """A value as it is, empty where there is none."""
    return Field(header, str, _AS_IT_IS)


def text(header: str) -> Field:
    """A text for people, cleaned."""
    return Field(header, _cleaned, _CLEANED, surely=_SURELY_TEXT)


def number(header: str) -> Field:
    """Seconds, or an instant; 0 where there is none."""
    return Field(header, lambda value: number_of(value, header), _NUMBERS, plain=b"(?:%b)?" % PLAIN_NUMBER)


def number_of(value: str, header: str, default: float = 0.0) -> float:
    """The number that a value shows. Raises Unusable."""
    if not value:
        return default
    try:
        found = float(value)
    except ValueError:
        raise Unusable(RejectReason.BAD_VALUE, f"{header}={value[:40]}") from None
    if not -_FURTHEST < found < _FURTHEST:  # nor is NaN
        raise Unusable(RejectReason.BAD_VALUE, f"{header}={value[:40]}")
    return found


def integer(header: str) -> Field:
    """An integer, 0 where there is none."""

    def convert(value: str) -> int:
        try:
            found = int(value[:20] or 0)
        except ValueError:
            raise Unusable(RejectReason.BAD_VALUE, f"{header}={value[:40]}") from None
        if abs(found) > _GREATEST:
            raise Unusable(RejectReason.BAD_VALUE, f"{header}={value[:40]}")
        return found

    return Field(header, convert, _INTS, plain=_PLAIN_INT)


def flag(header: str) -> Field:
    """Yes or no."""
    return Field(header, _TRUE.__contains__, _FLAGS)


def equals(header: str, wanted: str, *, default: str = "") -> Field:
    """Whether the header has this value."""
    return Field(header, wanted.__eq__, Memo(wanted.__eq__), default=default)


def clock(header: str) -> Field:
    """Seconds of a `[[HH:]MM:]SS` figure or a plain number; 0 when it is neither."""

    def convert(value: str) -> float:
        total = 0.0
        for part in value.split(":"):
            if not part.isdecimal():
                return 0.0
            total = total * 60 + int(part[:9])
        return total if total < _FURTHEST else 0.0

    return Field(header, convert, Memo(convert))


def either(*fields: Field) -> Either:
    """The first of these that is not empty."""
    return Either(fields)
