"""The bounded queue between doors and consumer (A1)."""

import asyncio

from cti.core.events import LinkLost
from cti.daemon.inbox import RESERVE, Arrival, Inbox


def message(number: int) -> Arrival:
    return Arrival("main", float(number), float(number), {"Event": "Hangup"})


async def test_a_batch_is_everything_that_waits_in_order() -> None:
    inbox = Inbox(10)
    for number in range(5):
        assert inbox.put(message(number))
    assert [arrival.at for arrival in await inbox.get_batch()] == [0, 1, 2, 3, 4]
    assert inbox.depth == 0
    assert inbox.highest == 5


async def test_the_consumer_sleeps_until_something_comes() -> None:
    inbox = Inbox(10)
    batch = asyncio.ensure_future(inbox.get_batch())
    await asyncio.sleep(0)
    assert not batch.done()
    inbox.put(message(1))
    assert len(await batch) == 1


async def test_what_does_not_fit_is_counted_and_left_out() -> None:
    """Overflow never blocks and never raises; what is ours (LinkLost) still gets in, within its own bound."""
    inbox = Inbox(3)
    results = [inbox.put(message(number)) for number in range(5)]
    assert results == [True, True, True, False, False]
    assert (inbox.seen, inbox.dropped) == (5, 2)
    assert inbox.put(Arrival("main", 9.0, 9.0, LinkLost(9.0, "overflow")))
    assert [inbox.put(Arrival("main", 9.0, 9.0, LinkLost(9.0, "x"))) for _ in range(RESERVE)][-1] is False
    assert inbox.depth == 3 + RESERVE


async def test_room_comes_back_when_the_batch_is_taken() -> None:
    inbox = Inbox(1)
    inbox.put(message(1))
    room = asyncio.ensure_future(inbox.room())
    await asyncio.sleep(0)
    assert not room.done()
    await inbox.get_batch()
    await room
    assert inbox.put(message(2))
