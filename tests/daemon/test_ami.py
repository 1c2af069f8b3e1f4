"""The door against a PBX that behaves and misbehaves, over real sockets (A1)."""

import asyncio
import contextlib
import functools
import time
from collections.abc import Callable

import pytest
from structlog.testing import capture_logs

from cti.core.events import LinkLost, Resynced
from cti.daemon.ami import ROLES, Pbx, Role
from cti.daemon.embedded import EmbeddedPbx
from cti.daemon.errors import ActionFailed, ActionTimeout, LinkDown
from cti.daemon.inbox import Inbox
from cti.daemon.link import LONGEST_LINE, checked
from tests.daemon.doors import FAST, SECRETS, door, kinds, settings, whats

HANGUP = {"Event": "Hangup", "Timestamp": "1700000000.5", "Uniqueid": "1.1", "CallerIDName": "王小明"}


async def until(true: Callable[[], bool]) -> None:
    """Poll for something that has no event to await (a counter of the other side)."""
    async with asyncio.timeout(20):
        while not true():  # noqa: ASYNC110 - see above
            await asyncio.sleep(0.005)


def logged_in_again(pbx: Pbx, logins: int) -> bool:
    return pbx.status.logins > logins


async def test_events_arrive_decoded_after_the_state() -> None:
    """The first arrival after a login is Resynced, then live events; what nobody consumes never arrives."""
    async with EmbeddedPbx(secrets=SECRETS) as pbx, door(pbx.port) as cti:
        pbx.send({"Event": "VarSet", "Variable": "x"})
        pbx.send(HANGUP)
        got = await whats(cti, lambda got: len(got) == 2)
        assert kinds(got) == ["Resynced", "Hangup"]
        assert got[1] == HANGUP
        assert cti.status.up
        assert cti.stream.version == "22.0.0-embedded"


async def test_each_role_logs_in_as_itself_and_its_answers_find_it() -> None:
    async with EmbeddedPbx(secrets=SECRETS) as pbx, door(pbx.port) as cti:
        assert len(pbx.sessions) == 3
        answers = await asyncio.gather(
            *[
                cti.action("publisher", {"Action": "DBPut", "Family": "f", "Key": f"k{n}", "Val": f"值{n}"})
                for n in range(50)
            ]
        )
        assert len({answer["ActionID"] for answer in answers}) == 50
        rows = await cti.listing("reader", {"Action": "DBGetTree", "Family": "f"}, {"DBGetTreeResponse"})
        assert [row["Val"] for row in rows] == [f"值{n}" for n in range(50)]


async def test_two_lists_at_once_do_not_mix() -> None:
    async with EmbeddedPbx(secrets=SECRETS) as pbx, door(pbx.port) as cti:
        pbx.db.update({"a": {"1": "x"}, "b": {"1": "y", "2": "z"}, "c": {}})
        lists = await asyncio.gather(
            *[
                cti.listing("reader", {"Action": "DBGetTree", "Family": family}, {"DBGetTreeResponse"})
                for family in "abc"
            ]
        )
        assert [[row["Val"] for row in rows] for rows in lists] == [["x"], ["y", "z"], []]


async def test_the_pbxs_refusal_is_the_error() -> None:
    async with EmbeddedPbx(secrets=SECRETS) as pbx, door(pbx.port) as cti:
        with pytest.raises(ActionFailed, match="Database entry could not be deleted"):
            await cti.action("publisher", {"Action": "DBDel", "Family": "f", "Key": "k"})
        with pytest.raises(ActionFailed, match="unknown command"):
            await cti.listing("reader", {"Action": "Nonsense"}, {"X"})


async def test_values_never_inject_headers() -> None:
    """A line break or NUL in a value, or a line Asterisk would cut, is refused before anything is sent."""
    async with EmbeddedPbx(secrets=SECRETS) as pbx, door(pbx.port) as cti:
        before = len(pbx.actions)
        for bad in ["x\r\nAction: Originate", "x\ny", "x\ry", "x\0", "值" * 350]:
            with pytest.raises(ActionFailed, match="nothing was sent"):
                await cti.action("publisher", {"Action": "DBPut", "Family": "f", "Key": "k", "Val": bad})
        with pytest.raises(ActionFailed, match="no AMI header name"):
            await cti.action("publisher", {"Action": "DBPut", "A: b\r\nC": "d"})
        assert len(pbx.actions) == before


def test_the_longest_line_asterisk_takes_is_taken() -> None:
    """Measured: 1,024 bytes with the line's end are read, one more is refused."""
    value = "v" * (LONGEST_LINE - len("Val: \r\n"))
    assert checked({"Val": value}) == {"Val": value}
    with pytest.raises(ActionFailed, match="1025 bytes"):
        checked({"Val": value + "v"})


async def test_a_cut_link_is_told_and_comes_back_in_step() -> None:
    """The loss is an arrival with its reason; after the reconnect the state is read again; 1 reconnect counted."""
    async with EmbeddedPbx(secrets=SECRETS) as pbx, door(pbx.port) as cti:
        pbx.cut()
        got = await whats(cti, lambda got: kinds(got).count("Resynced") == 2)
        assert kinds(got) == ["Resynced", "LinkLost", "Resynced"]
        pbx.send(HANGUP)
        assert kinds(await whats(cti, bool)) == ["Hangup"]
        assert cti.status.reconnects == 1


async def test_an_unanswered_action_fails_at_the_cut_and_is_never_sent_again() -> None:
    """What is not idempotent must not be repeated by the machinery: the caller learns LinkDown instead."""
    async with EmbeddedPbx(secrets=SECRETS) as pbx, door(pbx.port) as cti:
        pbx.unanswered.add("QueueRemove")
        removal = asyncio.ensure_future(
            cti.action("actor", {"Action": "QueueRemove", "Queue": "q", "Interface": "i"})
        )
        await until(lambda: any(a["Action"] == "QueueRemove" for a in pbx.actions))
        pbx.cut()
        with pytest.raises(LinkDown, match="before QueueRemove was answered"):
            await removal
        await until(lambda: cti.links["actor"].status.logins == 2)
        await cti.action("actor", {"Action": "Ping"})
        assert [a["Action"] for a in pbx.actions].count("QueueRemove") == 1


async def test_without_a_link_an_action_fails_at_once_and_says_why() -> None:
    async with EmbeddedPbx(secrets=SECRETS) as pbx:
        port = pbx.port
    async with door(port, wait=False) as cti:
        await whats(cti, bool)
        with pytest.raises(LinkDown, match=f"127.0.0.1:{port}"):
            await cti.action("actor", {"Action": "Ping"})


async def test_an_action_that_is_not_answered_times_out_and_leaves_nothing_behind() -> None:
    async with EmbeddedPbx(secrets=SECRETS) as pbx, door(pbx.port) as cti:
        pbx.unanswered.add("QueuePause")
        with pytest.raises(ActionTimeout, match=r"QueuePause was not answered within 0\.05 s"):
            await cti.action("actor", {"Action": "QueuePause"}, timeout=0.05)
        assert await cti.action("actor", {"Action": "Ping"})


async def test_a_black_holed_link_is_noticed_by_silence() -> None:
    """No bytes, a ping, no answer: dropped; the loss is dated to the last sign of life."""
    async with EmbeddedPbx(secrets=SECRETS) as pbx, door(pbx.port, keepalive=0.1) as cti:
        pbx.silent = True
        got = await whats(cti, lambda got: "LinkLost" in kinds(got))
        lost = got[-1]
        assert isinstance(lost, LinkLost)
        assert "answers no ping" in lost.why
        assert lost.at <= time.time() - 2 * 0.1  # twice the keepalive ago
        pbx.silent = False
        assert kinds(await whats(cti, bool)) == ["Resynced"]


async def test_a_quiet_link_that_answers_pings_stays() -> None:
    async with EmbeddedPbx(secrets=SECRETS) as pbx, door(pbx.port, keepalive=0.05) as cti:
        await until(lambda: [a["Action"] for a in pbx.actions].count("Ping") >= 6)
        assert cti.status.reconnects == 0


async def test_a_black_hole_at_login_is_given_up() -> None:
    """A peer that accepts and says nothing: noticed by the login's deadline, retried, told once."""
    async with EmbeddedPbx(secrets=SECRETS) as pbx:
        pbx.silent = True
        async with door(pbx.port, wait=False, login=0.1) as cti:
            (lost,) = await whats(cti, bool)
            assert isinstance(lost, LinkLost)
            assert "no answer to the login" in lost.why
            assert "none came" in lost.why
            pbx.silent = False
            assert kinds(await whats(cti, bool)) == ["Resynced"]


async def test_a_refused_login_is_loud_specific_and_not_hammered() -> None:
    """It names account and host and the cure, is logged once, and is tried again slowly until it is let in."""
    async with EmbeddedPbx(secrets=SECRETS) as pbx:
        pbx.refuse_logins = True
        with capture_logs() as logs:
            async with door(pbx.port, wait=False) as cti:
                await whats(cti, bool)
                await asyncio.sleep(0.4)  # two tries at this test's pace
                refusals = [entry for entry in logs if entry["event"] == "login_refused"]
                assert {entry["role"] for entry in refusals} == {"reader", "actor", "publisher"}
                assert len(refusals) == 3
                reason = refusals[0]["reason"]
                assert f"127.0.0.1:{pbx.port}" in reason
                assert "manager.conf" in reason
                assert "secret" not in reason.replace("user and secret", "")
                pbx.refuse_logins = False
                async with asyncio.timeout(20):
                    await cti.up()


async def test_a_wrong_secret_is_refused_and_never_crosses_the_wire() -> None:
    """MD5 challenge: what is sent depends on the secret and does not hold it."""
    async with EmbeddedPbx(secrets={**SECRETS, "actor": "other"}) as pbx, door(pbx.port, wait=False) as cti:
        async with asyncio.timeout(20):
            await cti.up()
        await until(lambda: bool(cti.links["actor"].status.last_error))
        assert "account 'actor'" in cti.links["actor"].status.last_error
        assert not cti.links["actor"].status.up


async def test_a_reader_that_may_not_ask_is_told_which_right_it_lacks() -> None:
    async with EmbeddedPbx(secrets=SECRETS) as pbx:
        pbx.refused["CoreShowChannels"] = "Permission denied"
        async with door(pbx.port, wait=False) as cti:
            (lost,) = await whats(cti, bool)
            assert isinstance(lost, LinkLost)
            assert "write=reporting" in lost.why


async def test_reconnect_delays_grow_with_jitter_and_stop_growing() -> None:
    async with EmbeddedPbx(secrets=SECRETS) as pbx, door(pbx.port) as cti:
        link = cti.links["reader"]
        delays = [max(link._delay(n) for _ in range(200)) for n in range(6)]
        assert all(delay <= 0.1 for delay in delays)
        assert delays[0] <= 0.02 < delays[3]
        assert link._delay(3) != link._delay(3)


async def test_an_overflow_is_gapped_and_mended() -> None:
    """A consumer that stalls: the rest is counted, LinkLost says so, and the state is read again after."""
    async with EmbeddedPbx(secrets=SECRETS) as pbx, door(pbx.port, size=100) as cti:
        for _ in range(500):
            pbx.send(HANGUP)
        await until(lambda: cti.inbox.dropped > 0)
        assert not cti.links["reader"].in_step.is_set()
        assert "events were lost" in cti.links["reader"].trouble, "readiness turns red"
        got = await whats(cti, lambda got: kinds(got).count("Resynced") == 2)
        assert kinds(got)[0] == "Resynced"
        assert kinds(got).count("LinkLost") == 1
        assert cti.inbox.dropped + cti.stream.missed >= 400
        async with asyncio.timeout(20):
            await cti.up()
        assert not cti.links["reader"].trouble


async def test_hostile_bytes_do_not_end_the_connection() -> None:
    """NULs, broken UTF-8, an absurd frame: counted at most; the next event arrives."""
    async with EmbeddedPbx(secrets=SECRETS) as pbx, door(pbx.port) as cti:
        pbx.send(b"\0\xff\xfe: \r\n:::\nEvent")
        pbx.send(b"Event: Hangup\r\nUniqueid: \0\xff")
        pbx.send(b"x" * 200_000)
        pbx.send(b"Response: Success\r\nActionID: cti-resync-7-Ping")
        pbx.send(b"Response: Success\r\nActionID: cti-resync-99999999999999999999-Ping")
        pbx.send(b"Response: Error\r\nActionID: cti-resync-\xd9\xa1-")
        pbx.send(HANGUP)
        got = await whats(cti, lambda got: HANGUP in got)
        assert kinds(got) == ["Resynced", "Hangup", "Hangup"]
        assert cti.links["reader"].in_step.is_set()
        assert cti.status.reconnects == 0
        assert cti.status.bugs == 0


async def test_a_bug_of_ours_costs_one_frame_and_not_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    async with EmbeddedPbx(secrets=SECRETS) as pbx, door(pbx.port) as cti:
        take = cti.stream.take

        def buggy(frame: bytes, at: float, mono: float) -> object:
            if b"poison" in frame:
                raise RuntimeError("a bug")
            return take(frame, at, mono)

        monkeypatch.setattr(cti.stream, "take", buggy)
        with capture_logs() as logs:
            pbx.send({"Event": "Hangup", "Uniqueid": "poison"})
            pbx.send(HANGUP)
            await whats(cti, lambda got: HANGUP in got)
        assert cti.status.bugs == 1
        assert [entry["event"] for entry in logs] == ["frame_failed"]


async def test_two_pbxs_and_one_of_them_flapping_do_not_disturb_each_other() -> None:
    """A2: each has its own link, state and inbox."""
    async with (
        EmbeddedPbx(secrets=SECRETS) as good,
        EmbeddedPbx(secrets=SECRETS) as bad,
        door(good.port, name="good") as first,
        door(bad.port, name="bad") as second,
    ):
        for _ in range(3):
            logins = second.status.logins
            bad.cut()
            await until(functools.partial(logged_in_again, second, logins))
        good.send(HANGUP)
        got = await whats(first, lambda got: HANGUP in got)
        assert kinds(got) == ["Resynced", "Hangup"]
        assert first.status.reconnects == 0


async def test_roles_with_one_account_share_one_login() -> None:
    same = {"user": "reader", "secret": "r-secret"}
    async with EmbeddedPbx(secrets=SECRETS) as pbx:
        cti = Pbx("main", settings(pbx.port, actor=same, publisher=same), Inbox(), FAST)
        task = asyncio.create_task(cti.run())
        async with asyncio.timeout(20):
            await cti.up("publisher")
        assert len(pbx.sessions) == 1
        assert (await cti.action("actor", {"Action": "Ping"}))["Ping"] == "Pong"
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_the_boot_instant_survives_a_reconnect() -> None:
    """A restart of the PBX can be told from a reconnect: the same Asterisk has the same booted_at."""
    async with EmbeddedPbx(secrets=SECRETS) as pbx, door(pbx.port) as cti:
        pbx.cut()
        got = await whats(cti, lambda got: kinds(got).count("Resynced") == 2)
        booted = {what.booted_at for what in got if isinstance(what, Resynced)}
        assert len(booted) == 1
        assert abs(booted.pop() - time.time()) < 60


@pytest.mark.parametrize("first", ROLES)
async def test_the_other_accounts_come_back_as_soon_as_one_is_back(first: Role) -> None:
    """A1: after an outage nobody waits out a long delay of a role while the PBX is known to be there."""
    async with (
        EmbeddedPbx(secrets=SECRETS) as pbx,
        door(pbx.port, first_delay=3600.0, longest_delay=3600.0) as cti,
    ):
        pbx.cut()
        async with asyncio.timeout(20):
            while any(link.status.up for link in cti.links.values()):  # noqa: ASYNC110 - the other side has no event
                await asyncio.sleep(0.005)
        cti.links[first].hurry()  # its own delay is over
        async with asyncio.timeout(20):
            for role in cti.links:
                await cti.up(role)
        assert {link.status.reconnects for link in cti.links.values()} == {1}
