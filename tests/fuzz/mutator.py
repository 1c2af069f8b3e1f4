"""A seeded mutator of AMI: real frames made hostile, and streams of them torn, shuffled and doubled.

The same seed gives the same bytes, so that a failure is its seed. The corpus is what a real Asterisk said
(`tests/recordings`), with lines of its own for the events that recording lacks.
"""

import random
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

from cti.core.wire import Framer
from cti.daemon.recorder import read_recording

RECORDING = Path(__file__).parents[1] / "recordings" / "demo.ami.gz"
END = b"\r\n\r\n"

# Told by no call of the recording; the values in angle brackets are replaced by those of its channels and bridges.
_LACKING = (
    b"Event: Rename\r\nChannel: <channel>\r\nNewname: <channel>\r\nUniqueid: <uniqueid>",
    b"Event: Hold\r\nChannel: <channel>\r\nUniqueid: <uniqueid>",
    b"Event: Unhold\r\nChannel: <channel>\r\nUniqueid: <uniqueid>",
    b"Event: BridgeMerge\r\nToBridgeUniqueid: <bridge>\r\nFromBridgeUniqueid: <bridge>",
    b"Event: LocalBridge\r\nLocalOneUniqueid: <uniqueid>\r\nLocalTwoUniqueid: <uniqueid>",
    b"Event: LocalOptimizationBegin\r\nLocalOneUniqueid: <uniqueid>\r\nLocalTwoUniqueid: <uniqueid>",
    b"Event: LocalOptimizationEnd\r\nLocalOneUniqueid: <uniqueid>\r\nLocalTwoUniqueid: <uniqueid>",
    b"Event: FullyBooted\r\nUptime: 12\r\nLastReload: 12",
    b"Event: Shutdown\r\nShutdown: Cleanly\r\nRestart: False",
)

_HOSTILE = (
    b"", b" ", b"-1", b"0", b"1e999", b"-1e999", b"nan", b"inf", b"99999999999999999999", b"1_000", b"\xd9\xa1\xd9\xa2",
    b"<unknown>", b"\x00", b"\xff\xfe\xfd", "王伟".encode(), b"O\\'Brien\\\\", b"Local/", b"Local/1", b"Local/;1",
    b";2", b"/", b"PJSIP/", b"%s%n", b"'; DROP TABLE call; --", b"A" * 5_000, b"\xe7\x8e", b"2026-02-30", b"::", b"=",
    b"\xed\xa0\x80", b"\xf0\x9f\x93\x9e" * 200, b"1" * 400, b"yes", b"Success", b"cti-resync-1-Ping", b"-", b"\t",
)  # fmt: skip

Op = Callable[[random.Random, bytes], bytes]


@cache
def corpus() -> tuple[bytes, ...]:
    """Every frame of the recording, then the lines it lacks; none with its blank line."""
    framer = Framer()
    return (*(frame for _, data in read_recording(RECORDING) for frame in framer.feed(data)), *_LACKING)


@cache
def values() -> dict[bytes, tuple[bytes, ...]]:
    """Header name to the values the recording has for it."""
    found: dict[bytes, dict[bytes, None]] = {}
    for frame in corpus():
        for line in frame.split(b"\r\n"):
            name, _, value = line.partition(b": ")
            found.setdefault(name, {})[value] = None
    return {name: tuple(some) for name, some in found.items()}


def _a_value(dice: random.Random, name: bytes) -> bytes:
    if dice.random() < 0.4:
        return dice.choice(_HOSTILE)
    like = {b"NewName": b"Channel", b"Newname": b"Channel"}.get(name, name)
    for ending in (b"Uniqueid", b"Linkedid", b"Channel"):
        if name.endswith(ending) and b"Bridge" not in name:
            like = b"Channel" if ending == b"Channel" else b"Uniqueid"
    return dice.choice(values().get(like) or _HOSTILE)


def filled(dice: random.Random, frame: bytes) -> bytes:
    """The frame with channels and bridges of the recording where it has angle brackets."""
    for mark, name in (
        (b"<channel>", b"Channel"),
        (b"<uniqueid>", b"Uniqueid"),
        (b"<bridge>", b"BridgeUniqueid"),
    ):
        while mark in frame:
            frame = frame.replace(mark, dice.choice(values()[name]), 1)
    return frame


# -- one frame


def _flip(dice: random.Random, frame: bytes) -> bytes:
    raw = bytearray(frame)
    for _ in range(dice.randint(1, 8)):
        if raw:
            raw[dice.randrange(len(raw))] = dice.randrange(256)
    return bytes(raw)


def _cut(dice: random.Random, frame: bytes) -> bytes:
    return frame[: dice.randrange(len(frame) + 1)]


def _grow(dice: random.Random, frame: bytes) -> bytes:
    at = dice.randrange(len(frame) + 1)
    return frame[:at] + dice.choice(_HOSTILE) + frame[at:]


def _on_lines(change: Callable[[random.Random, list[bytes]], None]) -> Op:
    def op(dice: random.Random, frame: bytes) -> bytes:
        lines = frame.split(b"\r\n")
        change(dice, lines)
        return b"\r\n".join(lines)

    return op


def _drop_line(dice: random.Random, lines: list[bytes]) -> None:
    del lines[dice.randrange(len(lines))]


def _double_line(dice: random.Random, lines: list[bytes]) -> None:
    lines.insert(dice.randrange(len(lines) + 1), dice.choice(lines))


def _shuffle_lines(dice: random.Random, lines: list[bytes]) -> None:
    rest = lines[1:]
    dice.shuffle(rest)
    lines[1:] = rest


def _other_value(dice: random.Random, lines: list[bytes]) -> None:
    for _ in range(dice.randint(1, 3)):
        at = dice.randrange(len(lines))
        name, colon, _ = lines[at].partition(b": ")
        if colon:
            lines[at] = name + b": " + _a_value(dice, name)


def _other_event(dice: random.Random, lines: list[bytes]) -> None:
    lines[0] = b"Event: " + dice.choice(values()[b"Event"])


def _bare_newlines(dice: random.Random, lines: list[bytes]) -> None:
    at = dice.randrange(len(lines))
    lines[at] = dice.choice((b"\n", b"\r", b"\n\n", b":", b": ", b"Timestamp: ")) + lines[at]


_OPS: tuple[Op, ...] = (
    _flip, _cut, _grow, _on_lines(_drop_line), _on_lines(_double_line), _on_lines(_shuffle_lines),
    _on_lines(_other_value), _on_lines(_other_value), _on_lines(_other_value), _on_lines(_other_event),
    _on_lines(_bare_newlines),
)  # fmt: skip


def mutated(dice: random.Random, frame: bytes) -> bytes:
    """The frame after one to three mutations."""
    for _ in range(dice.choice((1, 1, 2, 3))):
        frame = dice.choice(_OPS)(dice, frame)
    return frame


# -- a stream of frames


def stream(dice: random.Random, length: int) -> list[bytes]:
    """So many frames, a piece of the recording: most of them mutated, some missing, doubled or out of order."""
    everything = corpus()
    start = dice.randrange(len(everything))
    frames = [filled(dice, everything[(start + n) % len(everything)]) for n in range(length)]
    for _ in range(length // 20):
        one, two = dice.randrange(length), dice.randrange(length)
        frames[one], frames[two] = frames[two], frames[one]
    made: list[bytes] = []
    hostility = dice.choice((0.5, 0.9, 1.0))  # a share left as it is keeps calls alive for the others to hit
    while len(made) < length:
        frame = frames[len(made)]
        if dice.random() < 0.03:
            frame = filled(dice, dice.choice(_LACKING))
        elif dice.random() < 0.03 and made:
            frame = dice.choice(made)
        made.append(mutated(dice, frame) if dice.random() < hostility else frame)
    return made


def chunks(dice: random.Random, frames: Sequence[bytes]) -> list[bytes]:
    """The frames as bytes of a connection, cut anywhere; sometimes the end is missing, or a blank line is."""
    data = b"".join(frame + (END if dice.random() > 0.01 else b"\r\n") for frame in frames)
    if dice.random() < 0.2:
        data = data[: dice.randrange(len(data) + 1)]
    pieces = []
    while data:
        size = dice.choice((1, 3, 100, 1_500, 4_096, 65_536))
        pieces.append(data[:size])
        data = data[size:]
    return pieces
