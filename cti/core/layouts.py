r"""The quick way from a frame to its event: one Asterisk writes the headers of one kind of event in one order.

A `Layout` is learnt from a frame that has been read by name: a regular expression with the frame's header names, in
their order, and with a group for each value that the event needs. A frame it matches has been checked line by line, so
the groups are what looking the headers up would find, at a fifth of the cost. A frame it does not match, or a value
out of the ordinary, goes the plain way. What comes out is the same either way (`tests/core/test_layouts.py`).
"""

import re
from collections.abc import Callable, Mapping, Sequence
from operator import getitem
from typing import Any, Self

from cti.core.fields import PLAIN_NUMBER, Always, AnyField, Computed, Either, Field, Unusable
from cti.core.wire import VARIABLE

_MOST_HEADERS = 120  # of an event; Asterisk has some sixty at most
_MOST_BYTES = 4_096  # of a frame that is worth learning from
_STAMP = "Timestamp"
_VARIABLE = VARIABLE.encode()
_ANYTHING = rb"[^\r]*+"


class _Irregular(ValueError):
    """Not a frame to learn from."""


def _lines(frame: bytes) -> dict[str, bytes]:
    """Header name (of variables, `ChanVariable/NAME`) to how its line begins, in order."""
    if len(frame) > _MOST_BYTES:
        raise _Irregular
    found: dict[str, bytes] = {}
    for line in frame.split(b"\r\n"):
        name, colon, value = line.partition(b": ")
        if not (colon and name.isascii()) or b"/" in name:
            raise _Irregular
        begins, key = name + colon, name.decode()
        if name.endswith(_VARIABLE):
            variable, sign, _ = value.partition(b"=")
            if not (sign and variable.isascii()):
                raise _Irregular
            begins, key = begins + variable + sign, f"{key}/{variable.decode()}"
        if key in found or len(found) == _MOST_HEADERS:
            raise _Irregular  # where one header stands twice only the plain way knows which counts
        found[key] = begins
    return found


class _Plan:
    """Which header each attribute comes from, in messages that have these headers and no others."""

    def __init__(self, headers: Mapping[str, bytes], fields: Sequence[AnyField]) -> None:
        self.patterns = {_STAMP: PLAIN_NUMBER}  # header to what its value must look like
        self.sources: list[str | None] = []  # for each attribute its header
        self.memos: list[Mapping[bytes, Any]] = []
        self.whole = False  # whether something must be absent from the frame
        for field in fields:
            self._add(field, headers)

    def _add(self, field: AnyField, headers: Mapping[str, bytes]) -> None:
        if isinstance(field, Computed):
            raise _Irregular
        if isinstance(field, Always):
            self._constant(field)
            return
        options = field.fields if isinstance(field, Either) else (field,)
        there = [option for option in options if option.header in headers]
        self.whole |= len(there) < len(options)
        if not there:
            self._constant(field)
            return
        source = there[0]
        pattern = source.plain if _only(source, options, headers) else source.surely
        if self.patterns.setdefault(source.header, pattern) != pattern:
            raise _Irregular
        self.sources.append(source.header)
        self.memos.append(source.memo)

    def _constant(self, field: Field | Either | Always) -> None:
        self.sources.append(None)
        self.memos.append({b"": field.read({})})


def _only(source: Field, options: Sequence[Field], headers: Mapping[str, bytes]) -> bool:
    """Whether the options after the source are absent, and would give nothing but their being empty."""
    later = options[options.index(source) + 1 :]
    return all(option.header not in headers and _may_be_absent(option) for option in later)


def _may_be_absent(option: Field) -> bool:
    try:
        return not option.read({})
    except Unusable:
        return False


class Layout:
    """Reads the frames that have the same headers in the same order as the one it was made from."""

    __slots__ = ("_kind", "_match", "_memos", "_order")

    @classmethod
    def of(cls, frame: bytes, kind: Callable[..., Any], fields: Sequence[AnyField]) -> Self | None:
        """Learn from a frame that could be read by name; None when it is not regular enough."""
        try:
            return cls(frame, kind, fields)
        except _Irregular:
            return None

    def __init__(self, frame: bytes, kind: Callable[..., Any], fields: Sequence[AnyField]) -> None:
        headers = _lines(frame)
        if _STAMP not in headers:
            raise _Irregular
        plan = _Plan(headers, fields)
        pattern, group = _compiled(frame, headers, plan)
        self._kind = kind
        self._match = re.compile(pattern).match
        self._memos = tuple(plan.memos)
        empty = len(group) + 1
        # The timestamp comes last; `map` ends with the memos, one before it.
        self._order = (*(group[name] if name else empty for name in plan.sources), group[_STAMP])

    def read(self, frame: bytes) -> Any | None:
        """The event, or None when this frame is not laid out so."""
        found = self._match(frame)
        if found is None:
            return None
        raw = found.group(*self._order)
        return self._kind(float(raw[-1]), *map(getitem, self._memos, raw))


def _compiled(frame: bytes, headers: Mapping[str, bytes], plan: _Plan) -> tuple[bytes, dict[str, int]]:
    """The expression, and the number of each header's group; one more group, at the end, is always empty."""
    first_line = frame[: frame.find(b"\r\n")]
    lines: list[bytes] = []
    group: dict[str, int] = {}
    needed = 0
    for number, (name, begins) in enumerate(headers.items()):
        value = plan.patterns.get(name)
        if value is not None:
            group[name] = len(group) + 1
            needed = number + 1
        lines.append(re.escape(begins) + (_ANYTHING if value is None else b"(%b)" % value))
    lines[0] = re.escape(first_line)
    # What stands behind the last value that is needed may be anything, unless something must not be there.
    end = rb"()\Z" if plan.whole else rb"()(?:\r\n|\Z)"
    return rb"\r\n".join(lines if plan.whole else lines[:needed]) + end, group
