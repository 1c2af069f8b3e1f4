"""What the daemon published outlives the PBX's own death."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from tests.pbx.asterisk import PUBLISHER, AsteriskError, Lab
from tests.pbx.conftest import pin_row
from tests.pbx.duty import duty_row, now_segment, publish_row
from tests.pbx.phones import PhoneNetwork
from tests.pbx.provision import PROJECT_ROOT, Tree

PIN = "4711"
MOBILE = "13911110001"
ABANDON = """
import asyncio, os, pathlib, signal, sys
from tests.pbx.asterisk import Asterisk
from tests.pbx.provision import provision

async def main():
    pbx = Asterisk(provision(), directory=pathlib.Path(sys.argv[1]))
    await pbx.start()
    print(pbx.pid, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


async def test_rows_and_logins_survive_a_killed_pbx(tree: Tree) -> None:
    """After a kill the roster still routes, and an agent who was logged in still is. No daemon runs."""
    async with Lab(tree) as lab, await PhoneNetwork.connect(lab.phones) as phones:
        async with await lab.pbx.ami(*PUBLISHER) as publisher:
            await publisher.db_put("cti-agent/2001", "pin", pin_row(PIN))
            await publisher.db_put("cti-agent/2001", "queues", "sales:0")
            await publisher.db_put("cti-hotline", "4002", "night")
            await publish_row(publisher, "night", duty_row(now_segment(f"d:{MOBILE}")))
        await phones.login("1001", "2001", PIN)
        # A killed Asterisk loses about the last half second of AstDB writes; that loss is not what this test is about.
        await asyncio.sleep(1)
        await lab.pbx.restart(kill=True)
        async with await lab.pbx.ami() as ami:
            rows = await ami.query("QueueStatus", {"Queue": "sales"})
            assert [(m["Name"], m["Location"]) for m in rows if m.event == "QueueMember"] == [
                ("2001", "PJSIP/1001")
            ]
            await phones.set_mobile(MOBILE, mode="accept", talk=0.2)
            await phones.customer_calls("4002")
            ended = await ami.wait_for("UserEvent", UserEvent="CtiDuty", Action="ended")
            assert (ended["Result"], ended["Number"]) == ("accepted", MOBILE)


async def test_an_instance_that_dies_says_why(tree: Tree) -> None:
    """The error of a PBX that was killed has its exit code and the tail of its log; it starts again as it was."""
    async with Lab(tree) as lab:
        await lab.pbx.kill9()
        with pytest.raises(AsteriskError, match=r"not running; exit code -9[\s\S]*--- full\n\["):
            _ = lab.pbx.pid
        await lab.pbx.start()
        assert lab.pbx.version.startswith("asterisk 22.")
        assert lab.pbx.cpu_seconds() > 0


@pytest.mark.usefixtures("tree")
async def test_no_pbx_outlives_a_test_run_that_is_killed(tmp_path: Path) -> None:
    """The kernel ends the instance when the process that started it is gone, however that came about."""
    runner = await asyncio.create_subprocess_exec(
        sys.executable, "-c", ABANDON, str(tmp_path), cwd=PROJECT_ROOT, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await runner.communicate()
    assert runner.returncode == -9
    async with asyncio.timeout(30):
        while _alive(int(output)):  # noqa: ASYNC110  # the death of a stranger's child sends no event
            await asyncio.sleep(0.02)


def _alive(pid: int) -> bool:
    """Whether the process runs; a zombie, left where nobody reaps orphans, does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
