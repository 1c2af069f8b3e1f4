"""Bytes to frames to messages (A1)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cti.core.wire import Framer, Headers, decode, event_name

GREETING = "Asterisk Call Manager/11.0.0\r\n"
EVENT = (
    "Event: Newchannel\r\nPrivilege: call,all\r\nTimestamp: 1700000000.123456\r\nCallerIDName: 王小明 ☎\r\n"
    "AccountCode: \r\nChanVariable: QUEUESTATUS=TIMEOUT\r\nChanVariable: FOO=a=b: c\r\nDestChanVariable: QUEUESTATUS=\r\n\r\n"
)


def cut(stream: bytes, sizes: list[int]) -> list[bytes]:
    chunks = []
    for size in sizes:
        chunks.append(stream[:size])
        stream = stream[size:]
    return [chunk for chunk in [*chunks, stream] if chunk]


def frames_of(chunks: list[bytes], max_frame: int) -> tuple[list[bytes], str, int]:
    framer = Framer(max_frame)
    frames = [frame for chunk in chunks for frame in framer.feed(chunk)]
    return frames, framer.greeting, framer.oversize


def test_a_name_survives_a_read_that_ends_anywhere() -> None:
    """Wherever two reads split a UTF-8 message, the decoded message is the same and no letter is lost (A1)."""
    stream = (GREETING + EVENT + EVENT).encode()
    for position in range(len(stream)):
        framer = Framer()
        frames = framer.feed(stream[:position]) + framer.feed(stream[position:])
        assert framer.greeting == GREETING.strip()
        assert [decode(frame)["CallerIDName"] for frame in frames] == ["王小明 ☎"] * 2


def test_a_stream_byte_by_byte_gives_the_same_frames() -> None:
    stream = (GREETING + EVENT * 3).encode()
    assert frames_of([bytes([byte]) for byte in stream], 65_536) == frames_of([stream], 65_536)


def test_channel_variables_stand_under_their_own_keys() -> None:
    """A variable's value may hold `=` and `: `; its prefix is kept; other repeated headers: the first wins."""
    message = decode(EVENT.encode()[:-4] + b"\r\nPrivilege: other")
    assert message["ChanVariable/QUEUESTATUS"] == "TIMEOUT"
    assert message["ChanVariable/FOO"] == "a=b: c"
    assert message["DestChanVariable/QUEUESTATUS"] == ""
    assert message["Privilege"] == "call,all"
    assert message["AccountCode"] == ""


def test_the_first_line_alone_names_the_event() -> None:
    assert event_name(EVENT.encode()) == "Newchannel"
    assert event_name(b"Response: Success\r\nEvent: Hangup") == ""
    assert event_name(b"Event: VarSet") == "VarSet"
    assert event_name(b"") == ""


def test_a_greeting_that_never_comes_holds_up_nothing() -> None:
    """A stream that begins in the middle, or a peer of another kind, is framed all the same."""
    framer = Framer()
    assert framer.feed(b"Response: Success\r\n\r\n") == [b"Response: Success"]
    assert framer.greeting == ""
    endless = Framer()
    assert endless.feed(b"Asterisk Call Manager/" + b"9" * 300) == []
    assert len(endless.feed(b"\r\n\r\nEvent: X\r\n\r\n")) == 2


@pytest.mark.parametrize("split", [1, 50, 99, 100, 101, 103, 104, 150, 10_000])
def test_an_oversize_frame_is_dropped_and_counted_and_the_next_one_lives(split: int) -> None:
    stream = b"x" * 100 + b"\r\n\r\n" + b"y" * 101 + b"\r\n\r\n" + b"z" * 5_000 + b"\r\n\r\nEvent: X\r\n\r\n"
    chunks = [stream[i : i + split] for i in range(0, len(stream), split)]
    assert frames_of(chunks, 100) == ([b"x" * 100, b"Event: X"], "", 2)


def test_an_endless_frame_takes_no_memory() -> None:
    framer = Framer(max_frame=1_000)
    for _ in range(1_000):
        assert framer.feed(b"a" * 1_000) == []
        assert len(framer._rest) <= 2_003
    assert framer.oversize == 1


def test_hostile_values_become_harmless_text() -> None:
    """NULs (no database takes them) and broken UTF-8 become U+FFFD; a lone line feed stays inside its value."""
    message = decode(
        b"Event: X\r\nA: b\0c\r\nB: \xff\xe7\x8e\r\nC: one\ntwo: 2\r\nno colon\r\nD:tight\r\n: nameless"
    )
    assert message["A"] == "b\ufffdc"
    assert "\ufffd" in message["B"]
    assert message["C"] == "one\ntwo: 2"
    assert message["D"] == "tight"


PIECES = st.sampled_from(
    [
        b"\r\n",
        b"\r\n\r\n",
        b"\r",
        b"\n",
        b"\0",
        b": ",
        b"Event: X",
        b"ChanVariable: ",
        b"=",
        "明".encode(),
        b"\xff",
    ]
)


@given(
    greeting=st.sampled_from([b"", b"Asterisk Call", GREETING.encode()]),
    pieces=st.lists(PIECES | st.binary(max_size=40), max_size=60),
    sizes=st.lists(st.integers(1, 30), max_size=80),
    max_frame=st.sampled_from([8, 64, 65_536]),
)
def test_any_bytes_in_any_chunks_give_the_same_frames_and_never_an_exception(
    greeting: bytes, pieces: list[bytes], sizes: list[int], max_frame: int
) -> None:
    """Framing does not depend on how the reads fell, stays within its bound, and nothing that comes in raises."""
    stream = greeting + b"".join(pieces)
    whole = frames_of([stream] if stream else [], max_frame)
    assert frames_of(cut(stream, sizes), max_frame) == whole
    for frame in whole[0]:
        assert len(frame) <= max_frame
        assert b"\r\n\r\n" not in frame
        event_name(frame)
        assert all(isinstance(value, str) and "\0" not in value for value in decode(frame).values())


NAMES = st.sampled_from(("Event", "Uniqueid", "Channel", "DestChannel"))
VARIABLES = st.sampled_from(("ChanVariable", "DestChanVariable"))
VALUES = st.text(max_size=12).map(lambda text: text.encode("utf-8", "replace").decode())
VALUES = VALUES.filter(lambda text: not {"\r", "\n"} & set(text))
LINES = st.tuples(NAMES, VALUES) | st.tuples(VARIABLES, VALUES.map(lambda text: f"QUEUESTATUS={text}"))


@given(st.lists(LINES))
def test_headers_looked_up_are_those_decoded(lines: list[tuple[str, str]]) -> None:
    """`Headers` is `decode`, whatever Asterisk writes: repeated headers, variables, empty and odd values."""
    frame = "\r\n".join(f"{name}: {value}" for name, value in lines).encode()
    headers, decoded = Headers(frame), decode(frame)
    assert dict(headers) == decoded
    assert len(headers) == len(decoded)
    for name in ("Event", "Channel", "DestChannel", "Absent", "ChanVariable/QUEUESTATUS"):
        assert headers.get(name) == decoded.get(name)
        assert (name in headers) == (name in decoded)
