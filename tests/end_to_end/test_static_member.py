"""C3 for a member whom the PBX will not remove, because queues.conf names them."""

from dataclasses import replace
from pathlib import Path

from tests.demo.__main__ import LAB
from tests.demo.floor import PEOPLE
from tests.end_to_end.conftest import SETTINGS
from tests.pbx.asterisk import Lab, QueueConfig
from tests.rig import Rig

QUEUES = tuple(QueueConfig(name, members=("PJSIP/1001,0,2001,PJSIP/1001",)) for name in ("sales", "support"))


async def test_a_member_the_pbx_will_not_remove_is_paused_everywhere_by_the_rule(tmp_path: Path) -> None:
    """C3: "Member not dynamic" is not the end of it: paused in every queue with reason rule, incident says so."""
    async with Lab(config=replace(LAB, queues=QUEUES), directory=tmp_path / "lab") as lab:
        rig = Rig(tmp_path / "cti", lab.pbx.ami_port, settings=SETTINGS)
        await rig.import_people(PEOPLE)
        async with rig, await lab.pbx.ami() as ami:
            pause = {"Interface": "PJSIP/1001", "Paused": "true", "Reason": "break"}
            await ami.action("QueuePause", pause)
            await rig.logged("away_limit", agent="2001")

            async def incidents() -> list[dict[str, object]]:
                return [row for row in await rig.items("/api/v1/incidents") if row["result"] is not None]

            (incident,) = await rig.eventually(incidents)
            members = [row for row in await ami.query("QueueStatus") if row.event == "QueueMember"]
            assert sorted((row["Queue"], row["Paused"], row["PausedReason"]) for row in members) == [
                ("sales", "1", "rule"),
                ("support", "1", "rule"),
            ]
            assert (incident["agent"], incident["result"]) == ("2001", "paused")
            assert "break" in str(incident["detail"])
