r"""The quick way from a frame to its event: one Asterisk writes the headers of one kind of event in one order.

A `Layout` is learnt from a frame that has been read by name: a regular expression of the frame's header names, in
their order, with a group for each value that the event needs. A frame it matches has been checked line by line, so
the groups are what looking the headers up would find, at a fifth of the cost. A frame it does not match, or a value
out of the ordinary, goes the plain way. What comes out is the same either way (`tests/core/test_layouts.py`).
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from cti.core.fields import PLAIN_NUMBER, Always, AnyField, Computed, Either, Field, Unusable
from cti.core.quick import written
from cti.core.wire import VARIABLE

_MOST_HEADERS = 120  # of an event; Asterisk has some sixty at most
_MOST_BYTES = 4_096  # of a frame that is worth learning from
_STAMP = "Timestamp"
_VARIABLE = VARIABLE.encode()
_ANYTHING = rb"[^\r]*+"

Layout = Callable[[bytes], Any]


class _Irregular(ValueError):
    """Not a frame to learn from."""


def _lines(frame: bytes) -> dict[str, bytes]:
    """Header name (of variables, `ChanVariable/NAME`) to how its line begins, in order."""
    if len(frame) > _MOST_BYTES or not frame.startswith(b"Event: "):
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
    if _STAMP not in found:
        raise _Irregular
    return found


class _Plan:
    """Which header each attribute comes from, in messages that have these headers and no others."""

    def __init__(self, headers: Mapping[str, bytes], fields: Sequence[AnyField]) -> None:
        self.patterns = {_STAMP: PLAIN_NUMBER}  # header to what its value must look like
        self.sources: list[str | None] = []  # the header of each attribute
        self.memos: list[Any] = []  # what converts that header's value; without header, the value
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
        self.memos.append(field.read({}))


def _only(source: Field, options: Sequence[Field], headers: Mapping[str, bytes]) -> bool:
    """Whether the options after the source are absent, and would give nothing but their being empty."""
    later = options[options.index(source) + 1 :]
    return all(option.header not in headers and _may_be_absent(option) for option in later)


def _may_be_absent(option: Field) -> bool:
    try:
        return not option.read({})
    except Unusable:
        return False


def learn(frame: bytes, kind: Callable[..., Any], fields: Sequence[AnyField]) -> Layout | None:
    """Learn from a frame that could be read by name.

    Args:
        frame: with its `Event:` line first.
        kind: called with the timestamp (epoch seconds) and the value of each field.
        fields: what the event is made of.

    Returns:
        What gives the event of a frame with the same headers in the same order, and None for any other; None when
        this frame is not regular enough to learn from.
    """
    try:
        headers = _lines(frame)
        plan = _Plan(headers, fields)
    except _Irregular:
        return None
    pattern, groups = _compiled(frame, headers, plan)
    return _reader(re.compile(pattern), groups, kind, plan)


def _reader(
    pattern: re.Pattern[bytes], groups: Sequence[str], kind: Callable[..., Any], plan: _Plan
) -> Layout:
    """Write the function that reads a frame: without loops, it takes two thirds of the time."""
    names: dict[str, Any] = {"match": pattern.match, "kind": kind}
    values = []
    for number, (source, memo) in enumerate(zip(plan.sources, plan.memos, strict=True)):
        if source is None:
            names[f"constant{number}"] = memo
            values.append(f"constant{number}")
        else:
            names[f"memo{number}"] = memo
            values.append(f"memo{number}[group{groups.index(source)}]")
    body = f"""\
def read(frame):
    found = match(frame)
    if found is None:
        return None
    {"".join(f"group{number}, " for number in range(len(groups)))} = found.groups()
    return kind(float(group{groups.index(_STAMP)}), {", ".join(values)})
"""
    read: Layout = written(
        "read", body, names
    )  # nothing in it comes from a frame but how many groups there are
    return read


def _compiled(frame: bytes, headers: Mapping[str, bytes], plan: _Plan) -> tuple[bytes, list[str]]:
    """The expression, and the header of each of its groups."""
    lines: list[bytes] = []
    groups: list[str] = []
    needed = 0
    for number, (name, begins) in enumerate(headers.items(), 1):
        value = plan.patterns.get(name)
        if value is not None:
            groups.append(name)
            needed = number
        lines.append(re.escape(begins) + (_ANYTHING if value is None else b"(%b)" % value))
    lines[0] = re.escape(frame[: frame.find(b"\r\n")])
    # What stands behind the last value that is needed may be anything, unless something must not be there.
    end = rb"\Z" if plan.whole else rb"(?:\r\n|\Z)"
    return rb"\r\n".join(lines if plan.whole else lines[:needed]) + end, groups
