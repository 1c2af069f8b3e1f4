"""A running PBX pair for the session, and a daemon beside it for each test."""

import datetime as dt
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from tests.demo.__main__ import LAB
from tests.demo.floor import AGENTS, DUTY, PEOPLE, PIN
from tests.pbx.amiclient import AmiClient
from tests.pbx.asterisk import Lab
from tests.pbx.phones import PhoneNetwork
from tests.pbx.provision import provision
from tests.rig import Rig

SETTINGS = '[away]\nlimit = "4s"\nwarn_before = "2s"\ngrace = "1s"\n[service_level]\ndefault = "4s"\n'


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All of these need the PBX and share one event loop, because the pair runs for the whole session."""
    for item in items:
        if Path(item.path).is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.pbx)
            if pytest_asyncio.is_async_test(item):
                item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


def lasted(part: Mapping[str, object]) -> float:
    """Seconds of a part that has begun and ended."""
    began, ended = (dt.datetime.fromisoformat(str(part[name])) for name in ("started_at", "ended_at"))
    return (ended - began).total_seconds()


@dataclass
class World:
    """One PBX with its phones, and one daemon."""

    lab: Lab
    phones: PhoneNetwork
    ami: AmiClient
    rig: Rig

    async def log_in(self, *agents: str, answer_after: float = 0.3) -> None:
        """These agents sit down at their desks and log in by feature code."""
        for agent in agents:
            desk = AGENTS[agent][1]
            await self.phones.set_phone(desk, mode="answer", answer_after=answer_after)
            await self.phones.login(desk, agent, PIN)

    async def the_call(self, number: str, *, ended: bool = True) -> dict[str, object]:
        """The record of the only call from this caller, once it is there (and over)."""

        async def look() -> dict[str, object] | None:
            found = await self.rig.items("/api/v1/calls", caller_number=number)
            assert len(found) <= 1, found
            return found[0] if found and (not ended or found[0]["ended_at"] is not None) else None

        record: dict[str, object] = await self.rig.eventually(look)
        return record

    async def whole(self, number: str) -> dict[str, object]:
        """The same with all its parts."""
        call = await self.the_call(number)
        whole: dict[str, object] = await self.rig.get(f"/api/v1/calls/{call['id']}")
        return whole


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def lab(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Lab]:
    async with Lab(provision(), config=LAB, directory=tmp_path_factory.mktemp("e2e")) as running:
        yield running


async def _empty(ami: AmiClient, phones: PhoneNetwork) -> None:
    await phones.reset()
    await ami.action("Hangup", {"Channel": "/^.*$/"})
    for row in await ami.query("QueueStatus"):
        if row.event == "QueueMember":
            await ami.action("QueueRemove", {"Queue": row["Queue"], "Interface": row["Location"]})
    for family in ("cti-login", "cti-device", "cti-joined", "cti-lock", "cti-pending"):
        await ami.db_del(family)


@pytest_asyncio.fixture(loop_scope="session")
async def world(lab: Lab, tmp_path: Path) -> AsyncIterator[World]:
    """Nobody is logged in, the people of the demo are published, the daemon is ready."""
    books = (lab.pbx.queue_log_path, lab.pbx.cdr_csv_path, lab.pbx.cel_path)
    rig = Rig(tmp_path / "cti", lab.pbx.ami_port, settings=SETTINGS, books=books)
    await rig.import_people(PEOPLE)
    async with await PhoneNetwork.connect(lab.phones) as phones, await lab.pbx.ami() as ami:
        await _empty(ami, phones)
        for _, number in DUTY.values():
            await phones.set_mobile(number, mode="accept", after=0.3)
        async with rig:
            await rig.logged("published")
            # A daemon that dies before its first commit was never there: what came before is not its to tell.
            await rig.eventually(lambda: rig.metric("cti_store_written_total"))
            yield World(lab, phones, ami, rig)
            await _empty(ami, phones)
