"""AMI turned hostile, through the whole pipeline (A1, issue 3).

Promised: whatever a PBX (or whoever sits on its line) sends, no exception escapes, and memory stays bounded: the
unfinished frame by `MAX_FRAME`, the inbox by its size, and what the core keeps by what it believes to live, all of
which it lets go when the PBX says that nothing does.

Asserted: `CTI_FUZZ_MESSAGES` (240,000 unless set) mutated messages of a real Asterisk, in torn, shuffled, doubled
and truncated streams, seeded by number, pass framer, stream, inbox, parser, core and sinks with every exception let
out; after each life of a connection all tables are empty again.
"""

import os
import random
import tracemalloc

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cti.core.wire import MAX_FRAME, Framer, decode, event_name
from tests.fuzz.mutator import END, chunks, corpus, stream
from tests.fuzz.pipeline import INBOX, Pipeline

MESSAGES = int(os.environ.get("CTI_FUZZ_MESSAGES", "240000"))
SHARDS = 4  # tests, so that a failure names a quarter and a seed
LIFE = 500  # frames of one connection
EMPTY = ("legs", "calls", "bridges", "names", "moving", "dirty", "held", "members", "ringing", "on_call", "queue_talks", "live_calls")  # fmt: skip

QUIET = settings(
    max_examples=300, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow], database=None
)  # fmt: skip


@pytest.mark.usefixtures("silent")
@pytest.mark.parametrize("shard", range(SHARDS))
def test_mutated_messages_never_raise_and_never_stay(shard: int) -> None:
    """A1: the full count of mutants goes through; afterwards nothing of them is left in the core or the picture."""
    pipeline, told, life = Pipeline(), 0, 0
    tables: dict[str, int] = {}
    while told < MESSAGES // SHARDS:
        seed, life = shard * 1_000_000 + life, life + 1
        told += _one_life(pipeline, seed)
        tables = pipeline.sizes()
        pipeline.lose()
        left = pipeline.sizes()
        assert {name: left[name] for name in EMPTY if left[name]} == {}, f"seed {seed}, before: {tables}"
    assert pipeline.longest_rest <= MAX_FRAME + 65_536
    assert pipeline.facts > told / 20, "the mutants were too broken to reach the core"
    assert pipeline.pump.figures.rejected > 0


def _one_life(pipeline: Pipeline, seed: int) -> int:
    dice = random.Random(seed)
    frames = stream(dice, LIFE)
    told = 0
    try:
        for piece in chunks(dice, frames):
            told += pipeline.read(piece)
            assert pipeline.inbox.depth <= INBOX
    except Exception as error:
        error.add_note(f"seed {seed}")
        raise
    return told


@pytest.mark.usefixtures("silent")
def test_memory_does_not_grow_with_what_was_thrown_at_it() -> None:
    """A1: after the first thousand mutants, ten thousand more take no more memory than what counters may."""
    pipeline = Pipeline()
    for seed in range(4):
        _one_life(pipeline, seed)
        pipeline.lose()
    tracemalloc.start()
    try:
        _many(pipeline, range(10, 18))
        first = tracemalloc.get_traced_memory()[0]
        _many(pipeline, range(18, 34))
        second = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert second - first < 8 * 1024 * 1024, (first, second)


def _many(pipeline: Pipeline, seeds: range) -> None:
    for seed in seeds:
        _one_life(pipeline, seed)
        pipeline.lose()


@QUIET
@given(st.lists(st.binary(max_size=200), max_size=30), st.randoms(use_true_random=False))
def test_framing_does_not_depend_on_how_the_bytes_arrive(pieces: list[bytes], dice: random.Random) -> None:
    """A1: the same bytes give the same frames in one read or in many; each decodes to text."""
    data = END.join(pieces)
    whole = Framer()
    once = whole.feed(data)
    torn = Framer()
    many: list[bytes] = []
    at = 0
    while at < len(data):
        size = dice.randint(1, 50)
        many += torn.feed(data[at : at + size])
        at += size
    assert (many, torn.greeting, torn.oversize) == (once, whole.greeting, whole.oversize)
    for frame in once:
        event_name(frame)
        assert all("\0" not in text for pair in decode(frame).items() for text in pair)


def test_an_endless_frame_is_thrown_away_as_it_comes() -> None:
    """A1: 64 MB without a blank line hold no more than a frame's worth, count once, and the next frame is whole."""
    framer = Framer()
    framer.feed(b"Event: Newchannel\r\n")
    for _ in range(1024):
        assert framer.feed(b"x" * 65_536) == []
        assert len(framer._rest) <= MAX_FRAME + 65_536
    assert framer.feed(END + b"Event: Hangup\r\nUniqueid: 1.1" + END) == [b"Event: Hangup\r\nUniqueid: 1.1"]
    assert framer.oversize == 1


@pytest.mark.usefixtures("silent")
def test_the_recording_itself_still_means_the_same_between_two_storms() -> None:
    """A1: hostility leaves nothing behind that changes the next, honest connection."""
    calm, stormy = Pipeline(), Pipeline()
    for seed in range(5):
        _one_life(stormy, 77_000 + seed)
    for pipeline in (calm, stormy):
        pipeline.lose()
        pipeline.facts = 0
        honest = b"".join(frame + END for frame in corpus()[:1_900])
        for at in range(0, len(honest), 4_096):
            pipeline.read(honest[at : at + 4_096])
    assert calm.facts > 1_000
    seen = {"live_calls"}  # the same ids again: the picture remembers that those calls ended
    assert {k: v for k, v in calm.sizes().items() if k not in seen} == {
        k: v for k, v in stormy.sizes().items() if k not in seen
    }
