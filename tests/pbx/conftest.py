"""Fixtures that run a real Asterisk. A tree that cannot be provisioned is a failure, never a skip."""

# ruff: noqa: S324  # the hashes are part of the format of the rows that the dialplan reads

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pytest
import pytest_asyncio

from tests.pbx.amiclient import AmiClient
from tests.pbx.asterisk import PUBLISHER, READER, Lab
from tests.pbx.duty import publish_row
from tests.pbx.phones import PhoneNetwork
from tests.pbx.provision import Tree, find_tree, provision

T = TypeVar("T")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs the PBX; its tests share one event loop, because the pair runs for the whole session."""
    provisioned = find_tree() is not None
    for item in items:
        if not Path(item.path).is_relative_to(Path(__file__).parent):
            continue
        item.add_marker(pytest.mark.pbx)
        if pytest_asyncio.is_async_test(item):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)
        if not provisioned:
            item.add_marker(pytest.mark.timeout(900))


def pin_row(pin: str, salt: str = "ab12") -> str:
    """The value of ``cti-agent/<id>/pin``."""
    return f"{salt}:{hashlib.sha1((salt + pin).encode()).hexdigest()}"


def zone_where_it_is(hour: int) -> str:
    """A time zone in which it is now that hour of the day, so that the clock rules can be tested at any time."""
    offset = (hour - time.gmtime().tm_hour) % 24
    offset = offset - 24 if offset > 12 else offset
    # The sign of the Etc zones is reversed by POSIX.
    return f"Etc/GMT{-offset:+d}" if offset else "Etc/GMT"


async def eventually(look: Callable[[], T | None]) -> T:
    """What ``look`` finds, tried until it finds something: for the PBX's books, whose writing sends no event."""
    async with asyncio.timeout(30):
        while (found := look()) is None:  # noqa: ASYNC110  # files have no event to wait for
            await asyncio.sleep(0.02)
    return found


@dataclass
class Pbx:
    """A running pair, its phones, and three AMI sessions."""

    lab: Lab
    phones: PhoneNetwork
    ami: AmiClient
    """May see and do everything."""
    reader: AmiClient
    """The shipped reader account."""
    publisher: AmiClient
    """The shipped publisher account."""

    async def publish_agent(self, agent: str, pin: str, queues: str = "sales:0&support:1") -> None:
        for key, value in (("pin", pin_row(pin)), ("queues", queues), ("name", f"Agent {agent}")):
            await self.publisher.db_put(f"cti-agent/{agent}", key, value)

    async def publish_duty(self, hotline: str, row: str) -> None:
        await publish_row(self.publisher, hotline, row)

    async def set_global(self, name: str, value: str) -> None:
        await self.ami.action("Setvar", {"Variable": name, "Value": value})

    async def pending(self, call: str) -> list[str]:
        """The fields of a pending mark, version first."""
        value = await self.ami.db_get("cti-pending", call)
        assert value is not None, f"no pending mark of {call}"
        return value.split("|")

    async def reset(self) -> None:
        """Nobody is logged in, nothing is published, no call runs."""
        await self.phones.reset()
        for ami in (self.phones.ami, self.ami):
            with contextlib.suppress(Exception):
                await ami.action("Hangup", {"Channel": "/^.*$/"})
        for row in await self.ami.query("QueueStatus"):
            if row.event == "QueueMember":
                await self.ami.action("QueueRemove", {"Queue": row["Queue"], "Interface": row["Location"]})
        for family in (
            "cti-agent", "cti-login", "cti-device", "cti-joined", "cti-lock", "cti-hotline", "cti-hotline-queue",
            "cti-supervisor", "cti-duty", "cti-pending",
        ):  # fmt: skip
            await self.ami.db_del(family)
        await self.set_global("CTI_TZ", "Asia/Shanghai")
        for name in ("CTI_FALLBACK_NUMBER", "CTI_QUEUE_TIMEOUT"):
            await self.set_global(name, "")
        for did, hotline in (("4001", "sales"), ("4002", "night")):
            await self.publisher.db_put("cti-hotline", did, hotline)
        await self.publisher.db_put("cti-hotline-queue", "sales", "sales")
        await self.publisher.db_put("cti-supervisor", "night", SUPERVISOR)
        for ami in (self.ami, self.reader, self.phones.ami):
            ami.events.clear()


SUPERVISOR = "13900000009"


@pytest.fixture(scope="session")
def tree() -> Tree:
    return provision()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def running_pbx(tree: Tree, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Pbx]:
    async with (
        Lab(tree, directory=tmp_path_factory.mktemp("lab")) as lab,
        await PhoneNetwork.connect(lab.phones) as phones,
        await lab.pbx.ami() as ami,
        await lab.pbx.ami(*READER) as reader,
        await lab.pbx.ami(*PUBLISHER) as publisher,
    ):
        yield Pbx(lab, phones, ami, reader, publisher)


@pytest_asyncio.fixture(loop_scope="session")
async def pbx(running_pbx: Pbx) -> AsyncIterator[Pbx]:
    """The running pair, made empty again for this test."""
    async with asyncio.timeout(60):
        await running_pbx.reset()
    yield running_pbx
