"""What the administrator includes holds what it says: least privilege, prompts, no unknown names."""

from __future__ import annotations

import re

import pytest

from tests.pbx.amiclient import AmiError
from tests.pbx.asterisk import ACTOR, DIALPLAN, PUBLISHER, READER, Lab, PbxConfig
from tests.pbx.conftest import Pbx
from tests.pbx.provision import Tree

ORIGINATE = {"Channel": "Local/s@local-callers", "Application": "System", "Data": "true"}
FORBIDDEN = [
    (READER, "DBPut", {"Family": "x", "Key": "y", "Val": "z"}),
    (READER, "Originate", ORIGINATE),
    (READER, "QueueAdd", {"Queue": "sales", "Interface": "PJSIP/1001"}),
    (READER, "GetConfig", {"Filename": "manager.conf"}),
    (ACTOR, "DBPut", {"Family": "x", "Key": "y", "Val": "z"}),
    (ACTOR, "Originate", ORIGINATE),
    (ACTOR, "Command", {"Command": "core show version"}),
    (ACTOR, "GetConfig", {"Filename": "manager.conf"}),
    (PUBLISHER, "Originate", ORIGINATE),
    (PUBLISHER, "Command", {"Command": "core show version"}),
    (PUBLISHER, "UpdateConfig", {"SrcFilename": "manager.conf", "DstFilename": "manager.conf"}),
]
SPOKEN = """
[try-prompt]
exten => _[a-z].,1,Answer()
 same => n,Set(CHANNEL(language)=zh)
 same => n,Playback(${CTI_PROMPTS}/${EXTEN})
 same => n,UserEvent(Played,Status: ${PLAYBACKSTATUS})
"""


@pytest.mark.parametrize(("account", "action", "headers"), FORBIDDEN)
async def test_an_account_can_do_one_thing(
    pbx: Pbx, account: tuple[str, str], action: str, headers: dict[str, str]
) -> None:
    """Reading, acting and publishing are three accounts, and none of them can run a program on the PBX."""
    async with await pbx.lab.pbx.ami(*account) as session:
        with pytest.raises(AmiError, match=r"[Pp]ermission denied|refused"):
            await session.action(action, headers)


async def test_the_reader_is_spared_what_nobody_consumes(pbx: Pbx) -> None:
    """A call's events arrive; variables, dialplan steps, music and the queues' own device states do not."""
    await pbx.publish_agent("2001", "1234")
    await pbx.phones.login("1001", "2001", "1234")
    call = await pbx.phones.customer_calls("4001", patience=1)
    await call.ended()
    await pbx.reader.wait_for("Hangup", CallerIDNum="13800138000")
    names = {event.event for event in pbx.reader.events}
    assert not names & {"VarSet", "Newexten", "MusicOnHoldStart", "DTMFEnd", "PeerStatus"}
    assert {"Newchannel", "QueueMemberAdded", "QueueMemberStatus", "DeviceStateChange", "UserEvent"} <= names
    devices = {event["Device"] for event in pbx.reader.find("DeviceStateChange")}
    assert not any(device.startswith("Queue:") for device in devices)
    assert "PJSIP/1001" in devices


def test_every_prompt_is_there_in_both_languages() -> None:
    """What the dialplan plays exists, and nothing is carried that it does not play."""
    dialplan = (DIALPLAN / "extensions-cti.conf").read_text()
    played = set(re.findall(r"\$\{cti_prompts\}/([a-z0-9-]+)", dialplan))
    for language in ("zh", "en"):
        assert {path.stem for path in (DIALPLAN / "prompts" / language).glob("*.ulaw")} == played
    assert sum(path.stat().st_size for path in (DIALPLAN / "prompts").rglob("*.ulaw")) < 600_000


def test_every_setting_is_documented() -> None:
    """A global that the dialplan reads stands in the list at its top."""
    dialplan = (DIALPLAN / "extensions-cti.conf").read_text()
    listed = set(re.findall(r"^;   (CTI_[A-Z_]+)", dialplan, re.MULTILINE))
    inherited = {"CTI_CALL", "CTI_CALLER", "CTI_HOTLINE", "CTI_MARK", "CTI_NUMBER"}
    assert set(re.findall(r"\$\{(CTI_[A-Z_]+)", dialplan)) - inherited == listed


async def test_the_language_of_the_channel_chooses_the_prompt(tree: Tree) -> None:
    """With an absolute directory Asterisk finds the file of the channel's language below it."""
    config = PbxConfig(spoken_prompts=True, dialplan_extra=SPOKEN)
    async with Lab(tree, config=config) as lab, await lab.pbx.ami() as ami:
        await ami.action(
            "Originate",
            {"Channel": "Local/logged-in@try-prompt/n", "Application": "Wait", "Data": "9", "Async": "true"},
        )
        assert (await ami.wait_for("UserEvent", UserEvent="Played"))["Status"] == "SUCCESS"
