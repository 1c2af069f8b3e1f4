"""A PBX pair for the session, agents at their desks, and a daemon that each test may break as it likes."""

import asyncio
import datetime as dt
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from tests.chaos.disk import Disk
from tests.chaos.proxy import Proxy
from tests.demo.floor import AGENTS, DUTY, PEOPLE, PIN
from tests.end_to_end.conftest import _empty
from tests.pbx.amiclient import AmiClient
from tests.pbx.asterisk import Lab, PbxConfig, QueueConfig
from tests.pbx.phones import PhoneNetwork
from tests.pbx.provision import find_tree, provision
from tests.rig import Rig

SETTINGS = '[away]\nlimit = "4s"\nwarn_before = "2s"\ngrace = "1s"\n[service_level]\ndefault = "4s"\n'
PBX_SETTINGS = 'keepalive = "3s"'
LAB = PbxConfig(
    queues=(QueueConfig("sales", timeout=5, retry=1), QueueConfig("support", timeout=5, retry=1)),
    globals={"CTI_RING_SECONDS": "3", "CTI_SILENCE_SECONDS": "2", "CTI_CONFIRM_SECONDS": "2"},
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All of these need the PBX and share one event loop, because the pair runs for the whole session."""
    patience = (
        300 if find_tree() is not None else 900
    )  # s; a fault may last half a minute, unpacking a PBX minutes
    for item in items:
        if Path(item.path).is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.pbx)
            item.add_marker(pytest.mark.timeout(patience))
            if pytest_asyncio.is_async_test(item):
                item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def lab(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Lab]:
    async with Lab(provision(), config=LAB, directory=tmp_path_factory.mktemp("chaos")) as running:
        yield running


@dataclass
class Site:
    """One PBX with phones and agents, a link that can be bad, and the daemon's directory (not started)."""

    lab: Lab
    phones: PhoneNetwork
    ami: AmiClient
    link: Proxy
    directory: Path

    async def rig(
        self,
        *,
        settings: str = "",
        pbx_settings: str = PBX_SETTINGS,
        disk: Disk | None = None,
        database_url: str | None = None,
    ) -> Rig:
        """A daemon behind the link; it knows the people, and is not started."""
        books = (self.lab.pbx.queue_log_path, self.lab.pbx.cdr_csv_path)
        rig = Rig(
            self.directory / "cti", self.link.port, settings=SETTINGS + settings, pbx_settings=pbx_settings, books=books,
            prefix=disk.prefix if disk else (), var=disk.seen if disk else None, database_url=database_url,
        )  # fmt: skip
        await rig.import_people(PEOPLE)
        return rig

    async def open(self, *agents: str) -> None:
        """These agents (all of them unless named) log in, all at once."""
        await asyncio.gather(*(self._sit_down(agent) for agent in agents or AGENTS))

    async def _sit_down(self, agent: str) -> None:
        desk = AGENTS[agent][1]
        await self.phones.set_phone(desk, mode="answer", answer_after=0.2)
        await self.phones.login(desk, agent, PIN)

    async def queues_of(self, agent: str) -> list[str]:
        """Where the PBX has this agent."""
        async with await self.lab.pbx.ami() as ami:
            rows = await ami.query("QueueStatus")
        return [row["Queue"] for row in rows if row.event == "QueueMember" and row["Name"] == agent]

    async def settled(self, rig: Rig) -> None:
        """Wait until no call is open, and every mark of a night call has become a work item."""
        async with await self.lab.pbx.ami() as ami:

            async def quiet() -> bool:
                marks = await ami.query("DBGetTree", {"Family": "cti-pending"})
                open_calls = await rig.items("/api/v1/calls", open="true", pbx="main")
                return not open_calls and not any(row.event == "DBGetTreeResponse" for row in marks)

            await rig.eventually(quiet, timeout=90)


@pytest_asyncio.fixture(loop_scope="session")
async def site(lab: Lab, tmp_path: Path) -> AsyncIterator[Site]:
    async with (
        await PhoneNetwork.connect(lab.phones) as phones,
        await lab.pbx.ami() as ami,
        Proxy(lab.pbx.ami_port) as link,
    ):
        await _empty(ami, phones)
        for _, number in DUTY.values():
            await phones.set_mobile(number, mode="accept", after=0.2)
        yield Site(lab, phones, ami, link, tmp_path)
    async with await PhoneNetwork.connect(lab.phones) as phones, await lab.pbx.ami() as ami:
        await phones.ami.action("Hangup", {"Channel": "/^.*$/"})
        await _empty(ami, phones)


def epoch(instant: object) -> float:
    """Seconds since 1970 of an instant as the API writes it."""
    return dt.datetime.fromisoformat(str(instant)).timestamp()
