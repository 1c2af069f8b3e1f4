r"""AMI bytes to messages, purely: cut into frames, look at the name, decode the whole message at once.

A frame ends at `\r\n\r\n`, searched in bytes, so a character that two reads split survives. Whatever comes in,
nothing here raises and memory stays bounded by `max_frame`. The first line decides whether a frame is wanted at
all (`event_name`); only wanted ones are worth a `decode`.
"""

from collections.abc import Iterator, Mapping
from typing import Any

_END = b"\r\n\r\n"
_GREETING = b"Asterisk Call Manager/"
_GREETING_LONGEST = 256  # bytes; a peer that sends more without a line end is not greeting us
_EVENT = b"Event: "
VARIABLE = "ChanVariable"
"""The header, after a prefix or none, whose lines are `NAME=value`."""

Message = Mapping[str, str]
"""Header to value; a `ChanVariable: NAME=v` line stands under `ChanVariable/NAME`."""

MAX_FRAME = 65_536  # bytes; the largest event of Asterisk is well below


class Framer:
    """Cuts a byte stream into frames; the same stream gives the same frames, however it is chunked.

    Attributes:
        greeting: the line with which Asterisk opens a connection, "" before it came (or if it never did).
        oversize: frames thrown away because they were longer than `max_frame` bytes.
    """

    __slots__ = ("_greeted", "_max_frame", "_rest", "_skipping", "greeting", "oversize")

    def __init__(self, max_frame: int = MAX_FRAME) -> None:
        self.greeting = ""
        self.oversize = 0
        self._max_frame = max_frame
        self._rest = b""  # the unfinished frame
        self._greeted = False
        self._skipping = False

    def feed(self, data: bytes) -> list[bytes]:
        """Take the bytes of one read and return the frames they complete, without their blank line."""
        if self._rest:
            data = self._rest + data
        if not self._greeted:
            data = self._take_greeting(data)
            if not self._greeted:
                self._rest = data
                return []
        if self._skipping:
            data = self._skip(data)
        frames = data.split(_END)
        self._rest = frames.pop()
        if len(data) > self._max_frame:
            frames = self._drop_oversize(frames)
        return [frame for frame in frames if frame]

    def _take_greeting(self, data: bytes) -> bytes:
        head = data[:_GREETING_LONGEST]
        if not head.startswith(_GREETING) and not _GREETING.startswith(head):
            self._greeted = True
            return data
        line, end, _ = head.partition(b"\r\n")
        if end:
            self._greeted = True
            self.greeting = line.decode("utf-8", "replace")
            return data[len(line) + len(end) :]
        self._greeted = len(head) == _GREETING_LONGEST
        return data

    def _drop_oversize(self, frames: list[bytes]) -> list[bytes]:
        kept = [frame for frame in frames if len(frame) <= self._max_frame]
        self.oversize += len(frames) - len(kept)
        # Its last three bytes may be the beginning of the blank line.
        if len(self._rest) > self._max_frame + len(_END) - 1:
            self.oversize += 1
            self._skipping = True
            self._rest = self._rest[-(len(_END) - 1) :]
        return kept

    def _skip(self, data: bytes) -> bytes:
        """Throw away the rest of an oversize frame, already counted."""
        _, end, rest = data.partition(_END)
        if not end:
            return data[-(len(_END) - 1) :]
        self._skipping = False
        return rest


def event_name(frame: bytes) -> str:
    """Name of the event in this frame by its first line alone, "" for a response or anything else."""
    if not frame.startswith(_EVENT):
        return ""
    end = frame.find(b"\r\n", len(_EVENT))
    return str(frame[len(_EVENT) : end if end >= 0 else len(frame)], "utf-8", "replace")


class _Needles(dict[str, str]):
    """What to look for in a frame's text to find a header's value, by the header's name."""

    def __missing__(self, name: str) -> str:
        header, slash, variable = name.partition("/")
        is_variable = slash and header.endswith(VARIABLE)
        needle = f"\r\n{header}: {variable}=" if is_variable else f"\r\n{name}: "
        if len(self) < _MOST_NEEDLES:
            self[name] = needle
        return needle


_MOST_NEEDLES = 1_000
_NEEDLES = _Needles()


class Headers(Mapping[str, str]):
    """One frame as a mapping that looks a header up when it is asked for, as `decode` would have it.

    An event has some thirty headers and its consumer wants five of them: finding five costs a third of decoding all.
    Lines must be as Asterisk writes them (`Name: value`); iterating decodes everything.
    """

    __slots__ = ("_text", "frame")
    _text: str

    def __init__(self, frame: bytes) -> None:
        self.frame = frame

    def _whole(self) -> str:
        """The text, decoded when it is first looked at, which may be never."""
        try:
            return self._text
        except AttributeError:
            self._text = f"\r\n{text_of(self.frame)}\r\n"
            return self._text

    def get(self, name: str, default: Any = None) -> Any:
        """The value of a header, the first of that name."""
        text, needle = self._whole(), _NEEDLES[name]
        at = text.find(needle)
        if at < 0:
            return default
        at += len(needle)
        return text[at : text.find("\r\n", at)]

    def __getitem__(self, name: str) -> str:
        value: str | None = self.get(name)
        if value is None:
            raise KeyError(name)
        return value

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and _NEEDLES[name] in self._whole()

    def __iter__(self) -> Iterator[str]:
        return iter(self._decoded())

    def __len__(self) -> int:
        return len(self._decoded())

    def _decoded(self) -> dict[str, str]:
        return decode(self.frame)


def text_of(raw: bytes) -> str:
    """Text of bytes from the wire; what is no UTF-8, and NULs (no database takes them), become U+FFFD."""
    text = str(raw, "utf-8", "replace")
    return text.replace("\0", "\ufffd") if "\0" in text else text


def decode(frame: bytes) -> dict[str, str]:
    """Header to value of one whole frame.

    `ChanVariable: NAME=v` stands under `ChanVariable/NAME`, with a prefix (`DestChanVariable/NAME`) where it had
    one. Of other repeated headers the first wins. Bytes that are no UTF-8, and NULs (no database takes them),
    become U+FFFD. Lines without a colon are left out.
    """
    text = text_of(frame)
    message: dict[str, str] = {}
    for line in text.split("\r\n"):
        name, colon, value = line.partition(": ")
        if not colon:
            name, colon, value = line.partition(":")
            if not colon:
                continue
        if "=" in value and name.endswith(VARIABLE):
            variable, _, value = value.partition("=")
            name = f"{name}/{variable}"
        if name not in message:
            message[name] = value
    return message
