"""The quick way to an event gives what the plain way gives, for whatever comes in (A1)."""

import random
from collections.abc import Iterator
from dataclasses import astuple
from pathlib import Path

import pytest

from cti.core import parsing
from cti.core.events import Event
from cti.core.facts import RejectReason
from cti.core.fields import Unusable
from cti.core.layouts import Layout
from cti.core.parsing import parse, parse_by_name
from cti.core.wire import Framer, Headers, decode
from cti.daemon.recorder import read_recording
from tests.fuzz.mutator import stream

RECORDINGS = Path(__file__).parents[1] / "recordings"
MUTANTS = 200  # streams of as many frames

Result = Event | RejectReason | None


@pytest.fixture(autouse=True)
def nothing_learnt(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test learns for itself."""
    monkeypatch.setattr(parsing, "_layouts", {})


def by_name(frame: bytes) -> Result:
    try:
        return parse_by_name(Headers(frame), 1.0)
    except Unusable as error:
        return error.reason


def quickly(frame: bytes) -> Result:
    try:
        return parse(Headers(frame), 1.0)
    except Unusable as error:
        return error.reason


def known(frame: bytes) -> bool:
    """Whether the frame is read by a layout."""
    layouts = parsing._layouts.get(frame.partition(b"\r\n")[0], [])
    return any(layout(frame) is not None for layout in layouts)


def recorded() -> Iterator[bytes]:
    for path in sorted(RECORDINGS.rglob("*.ami.gz")):
        framer = Framer()
        for _, data in read_recording(path):
            yield from framer.feed(data)


def test_what_a_real_pbx_said_means_the_same_either_way() -> None:
    """Every frame of every recording, as it comes and again with everything learnt; nearly all go the quick way."""
    frames = list(recorded())
    plain = [by_name(frame) for frame in frames]
    assert [quickly(frame) for frame in frames] == plain
    assert [quickly(frame) for frame in frames] == plain
    live = [
        f for f, event in zip(frames, plain, strict=True) if event is not None and b"\r\nTimestamp: " in f
    ]
    assert sum(known(frame) for frame in live) > 0.95 * len(live)
    # ... and by name means what decoding all of it would give.
    assert [parse_by_name(decode(frame), 1.0) for frame in frames] == plain


def test_mutants_mean_the_same_either_way() -> None:
    """Torn, doubled, shuffled and garbled frames, read by what was learnt of real ones and of mutants before."""
    for frame in recorded():
        quickly(frame)
    for seed in range(MUTANTS):
        for frame in stream(random.Random(seed), MUTANTS):
            assert quickly(frame) == by_name(frame), (seed, frame)


@pytest.mark.parametrize(
    "value",
    [b"", b"<unknown>", b"(null)", b"O\\'Brien\\\\", b"\xff\xe7", b"a\0b", b"a\nb", b"a\rb", b"x" * 257, b"9" * 12, b"-1",
     b"+1", b" 1", b"1_0", b"1e3", b"inf", "٣".encode(), "王".encode() * 100, b"0.5", b"4102444801", b"1: 2", b"="],
)  # fmt: skip
def test_any_value_in_any_header(value: bytes) -> None:
    """Whatever stands where something plain is expected is judged as the plain way judges it."""
    tried = 0
    seen: set[bytes] = set()
    for frame in recorded():
        lines = frame.split(b"\r\n")
        if lines[0] in seen or by_name(frame) is None:
            continue
        seen.add(lines[0])
        quickly(frame)
        for number, line in enumerate(lines):
            name, colon, _ = line.partition(b"=" if b"ChanVariable: " in line else b": ")
            other = b"\r\n".join([*lines[:number], name + colon + value, *lines[number + 1 :]])
            result, plain = quickly(other), by_name(other)
            assert result == plain or astuple(result) == astuple(plain), other  # type: ignore[arg-type]  # events
            tried += 1
    assert tried > 400


NEWSTATE = b"Event: Newstate\r\nTimestamp: 1700000000.5\r\nChannelState: 6\r\nUniqueid: 1.1"


def test_a_header_more_or_less_is_another_layout() -> None:
    """A frame with other headers is not read by this layout, and learnt beside it."""
    assert quickly(NEWSTATE) == by_name(NEWSTATE)
    assert known(NEWSTATE)
    told = NEWSTATE + b"\r\nChanVariable: QUEUESTATUS=TIMEOUT"
    assert not known(told)
    assert quickly(told) == by_name(told)
    assert known(told)


@pytest.mark.parametrize(
    "frame",
    [
        NEWSTATE + b"\r\nUniqueid: 2.2",  # which of two counts is for the plain way to know
        NEWSTATE + b"\r\nno colon",
        NEWSTATE.replace(b"Timestamp: 1700000000.5\r\n", b""),
        NEWSTATE + b"\r\nX: " + b"x" * 5_000,
        NEWSTATE + b"".join(b"\r\nX%d: 1" % number for number in range(200)),
    ],
)
def test_nothing_is_learnt_from_what_is_irregular(frame: bytes) -> None:
    assert quickly(frame) == by_name(frame)
    assert not known(frame)


def test_what_is_learnt_is_bounded() -> None:
    """A PBX that writes every event in another way costs no memory, and is understood."""
    for number in range(100):
        frame = NEWSTATE + b"\r\nX%d: 1" % number
        assert quickly(frame) == by_name(frame)
    layouts: list[Layout] = parsing._layouts[b"Event: Newstate"]
    assert len(layouts) <= 12
