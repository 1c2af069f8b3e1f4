"""All scenarios on one real PBX, several at a time: the records are right though calls overlap, and the books agree (B1, B4)."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import pytest_asyncio

from cti.core.facts import Disposition, Quality
from tests.pbx.amiclient import Message
from tests.pbx.provision import find_tree, provision
from tests.scenarios.celbook import beside_cel
from tests.scenarios.judge import (
    Books,
    Run,
    Session,
    compared,
    differences,
    hear,
    placed,
    states_held,
    unexplained,
)
from tests.scenarios.run import BookEnds, Outcome, house, play_all, recorded
from tests.scenarios.scenes import loaded
from tests.scenarios.stage import House
from tests.scenarios.test_faults import open_parts, standing, strangers

pytestmark = [
    pytest.mark.pbx,
    pytest.mark.timeout(400 if find_tree() is not None else 1000),
    pytest.mark.asyncio(loop_scope="session"),
]

_BUSY = (
    60  # the second session begins when a bridge has been entered so often; somebody has just begun to talk
)
SPARE = 2.0  # s by which a live talk may be longer than the script's pauses; the books are held against it beside this


@dataclass
class Played:
    """What came of one session with all scenarios in it."""

    outcomes: dict[str, Outcome]
    session: Session
    books: Books
    late: Session  # what a second one says that came when many calls were under way


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def played(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Played]:
    """Every scenario on one PBX, several at a time, recorded by the product's recorder."""
    directory = tmp_path_factory.mktemp("scenarios")
    async with house(provision(), directory=directory) as opened:
        ends = BookEnds.now(opened.lab.pbx)
        async with recorded(opened.lab.pbx, directory / "all.ami"):
            everything = asyncio.create_task(play_all(opened, loaded().values()))
            await under_way(opened, everything)
            async with recorded(opened.lab.pbx, directory / "late.ami"):
                outcomes = await everything
        books = await ends.since()
    read = Books.read(*(books[name].decode() for name in ("queue_log", "cdr.csv", "cel.csv")))
    session = placed(hear(directory / "all.ami"), read.rows())
    yield Played(outcomes, session, read, hear(directory / "late.ami"))


async def under_way(opened: House, everything: asyncio.Task[dict[str, Outcome]]) -> None:
    """Wait until the floor is busy: a good part of the calls are over, and people talk."""
    bridged = 0

    def busy(message: Message) -> bool:
        nonlocal bridged
        bridged += message.event == "BridgeEnter"
        return bridged == _BUSY

    seen = asyncio.create_task(opened.pbx.wait_for("BridgeEnter", since=0, timeout=300, where=busy))
    await asyncio.wait({seen, everything}, return_when=asyncio.FIRST_COMPLETED)
    seen.cancel()


@pytest.mark.parametrize("name", loaded())
async def test_the_record_live(played: Played, name: str) -> None:
    """B1, B4: among many other calls the record of this one is as declared, and agrees with the books."""
    outcome = played.outcomes[name]
    assert not outcome.trouble, outcome.trouble
    run = Run.of(loaded()[name], outcome.summary)
    assert differences(played.session, run, SPARE) == []
    assert states_held(played.session, run) == []
    assert unexplained(compared(played.session, played.books, run), run) == []
    odd = beside_cel(played.session, played.books, run.channels)
    assert [str(one) for one in odd if one.reason not in run.scenario.explained] == []


async def test_nothing_is_left_over_or_rejected(played: Played) -> None:
    """B1: after all of it no channel, call or bridge is held on to, and nothing the PBX said was refused."""
    assert played.session.leftovers == []
    assert played.session.rejected == []


async def test_attached_while_people_talk(played: Played) -> None:
    """A1, B3: who comes when calls are under way has these as gapped ones, and every later call exactly as the other has."""
    late, whole = standing(played.late), standing(played.session)
    assert (played.late.leftovers, open_parts(played.late), played.late.rejected) == ([], [], [])
    assert strangers(played.late, played.session) == []
    found = {id_ for id_, call in late.items() if call.quality is Quality.GAPPED}
    assert found
    assert found < late.keys()
    for id_, call in late.items():
        if id_ not in found:
            assert call == whole[id_]
        elif id_ in whole:
            assert call.ended_at == whole[id_].ended_at
            assert Disposition.ANSWERED in {whole[id_].disposition, None} or call.answered_at is None


async def test_every_book_line_has_its_record(played: Played) -> None:
    """B4: over the whole session every line of the books belongs to a record, but for what a rule explains."""
    explained = {
        (reason, channel)
        for name, outcome in played.outcomes.items()
        for reason in loaded()[name].explained
        for channel in outcome.summary["channels"]
    }
    failed = {channel for outcome in played.outcomes.values() for channel in outcome.failed}
    report = compared(played.session, played.books)
    assert report.checked > len(loaded())
    assert [
        m for m in report.mismatches if (m.reason, m.uniqueid) not in explained and m.uniqueid not in failed
    ] == []
