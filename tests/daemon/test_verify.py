"""`cti reconcile`: the real command on a real database and the books of a recorded session (B4)."""

import asyncio
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from cti.core.facts import Call, Fact, QueueStay, Talk
from store import open_store
from tests.daemon.test_bookkeeper import SESSION, session
from tests.daemon.test_cli import CONFIG, cti

FROM = "2026-11-21T22:49:00Z"  # the session was recorded then
TO = "2026-11-21T22:55:00Z"
ANSWERED = "main-1795301406.16"


def made(directory: Path, facts: list[Fact], *, books: bool = True) -> Path:
    """A configuration whose database has these facts and whose PBX has the session's books."""
    given = "".join(f'{key} = "{SESSION / name}"\n' for key, name in (
        ("queue_log", "queue_log"), ("cdr_csv", "cdr.csv"), ("cel_csv", "cel.csv")
    ))  # fmt: skip
    given = f'trunks = ["PJSIP/trunk-a", "PJSIP/trunk-b"]\n{given if books else ""}'
    text = CONFIG.format(port=1, extra="")
    path = directory / "cti.toml"
    path.write_text(text.replace('host = "127.0.0.1"\n', f'host = "127.0.0.1"\n{given}'))
    asyncio.run(_put(directory, facts))
    return path


async def _put(directory: Path, facts: list[Fact]) -> None:
    async with await open_store(f"sqlite+aiosqlite:///{directory}/var/cti.sqlite3") as store:
        store.writer.put(facts)
        await store.writer.committed()


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tmp_path_factory.mktemp("verify"), session())


def test_records_that_agree(config: Path) -> None:
    """Exit status 0, and how much was compared."""
    done = cti("reconcile", "--from", FROM, "--to", TO, "--config", config)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "main: 24 compared, 0 differ, 0 left out (still open, or at the edge)\n"


def test_records_that_differ_are_grouped_with_both_sides(tmp_path: Path) -> None:
    """Exit status 1; each reason with our record and the book's raw lines."""
    facts = session()
    lost = {"main-1795301434.245"}
    kept = [
        fact for fact in facts
        if not lost & {getattr(fact, "call_id", ""), getattr(fact, "id", "")}
        and not (isinstance(fact, QueueStay) and fact.call_id == ANSWERED and fact.outcome is None)
    ]  # fmt: skip
    wrong = [
        replace(fact, agent="2009")
        if isinstance(fact, QueueStay) and fact.call_id == ANSWERED and fact.agent
        else fact
        for fact in kept
    ]
    done = cti("reconcile", "--from", FROM, "--to", TO, "--json", "--config", made(tmp_path, wrong))
    assert done.returncode == 1
    answer = json.loads(done.stdout)
    assert (answer["mismatches"], answer["verified"]) == (3, True)
    [pbx] = answer["pbxs"]
    by_reason = {one["reason"]: one for one in pbx["mismatches"]}
    assert set(by_reason) == {"agent", "not_in_records", "cdr_without_call"}
    agent = by_reason["agent"]
    assert (agent["ours"], agent["book"]) == ("2009", "2001")
    assert any("CONNECT" in line for line in agent["lines"])
    assert any("agent 2009" in line for line in agent["record"])
    shown = cti("reconcile", "--from", FROM, "--to", TO, "--config", tmp_path / "cti.toml")
    assert shown.returncode == 1
    assert "not_in_records (1)" in shown.stdout
    assert "BLINDTRANSFER" in shown.stdout


def test_every_field_is_compared_and_shown_with_its_lines(tmp_path: Path) -> None:
    """B4: a lost talk and a call that never ended are found, with our record and the raw lines."""
    wrong: list[Fact] = []
    for fact in session():
        if isinstance(fact, Call) and fact.id == ANSWERED:
            wrong.append(replace(fact, ended_at=None, disposition=None))
        elif not (isinstance(fact, Talk) and fact.call_id == "main-1795301434.245"):
            wrong.append(fact)
    done = cti("reconcile", "--from", FROM, "--to", TO, "--json", "--config", made(tmp_path, wrong))
    assert done.returncode == 1
    [pbx] = json.loads(done.stdout)["pbxs"]
    assert {one["reason"] for one in pbx["mismatches"]} == {"open", "talk"}
    talk = next(one for one in pbx["mismatches"] if one["reason"] == "talk")
    assert any("BRIDGE_ENTER" in line for line in talk["lines"])
    assert any("main-1795301434.245" in line for line in talk["record"])


def test_unreadable_lines_are_shown(tmp_path: Path) -> None:
    """How many there are in which book, and some of them, also for scripts."""
    path = made(tmp_path, session())
    garbled = tmp_path / "queue_log"
    lines = (SESSION / "queue_log").read_text().splitlines()
    garbled.write_text("\n".join([*lines[:20], "garb\x1b[31mage", "1795301420|more", *lines[20:], ""]))
    path.write_text(path.read_text().replace(str(SESSION / "queue_log"), str(garbled)))
    done = cti("reconcile", "--from", FROM, "--to", TO, "--json", "--config", path)
    answer = json.loads(done.stdout)
    assert answer["bad_lines"] == 2
    [bad] = [pbx["bad_lines"]["queue_log"] for pbx in answer["pbxs"]]
    assert bad["count"] == 2
    assert {sample["line"] for sample in bad["samples"]} == {"garb\x1b[31mage", "1795301420|more"}
    shown = cti("reconcile", "--from", FROM, "--to", TO, "--config", path)
    assert "2 lines of queue_log cannot be read" in shown.stdout
    assert "1795301420|more" in shown.stdout
    assert "\x1b[31m" not in shown.stdout


def test_a_window_that_holds_nothing_is_refused(config: Path) -> None:
    """The wrong way round, or still to come: a usage error that says so, not "0 compared"."""
    turned = cti("reconcile", "--from", TO, "--to", FROM, "--config", config)
    assert turned.returncode == 2
    assert "is not after --from" in turned.stderr
    ahead = cti("reconcile", "--from", "2199-01-01", "--to", "2199-02-01", "--config", config)
    assert ahead.returncode == 2
    assert "is still to come" in ahead.stderr


def test_a_database_that_is_not_there_is_an_error_and_is_not_made(tmp_path: Path) -> None:
    """A mistyped URL does not report every call missing."""
    path = made(tmp_path, session())
    for left in (tmp_path / "var").glob("cti.sqlite3*"):
        left.unlink()
    done = cti("reconcile", "--from", FROM, "--to", TO, "--config", path)
    assert done.returncode == 1
    assert "cti.sqlite3 does not exist" in done.stderr
    assert not list((tmp_path / "var").glob("cti.sqlite3*"))


def test_a_pbx_without_books_is_unverified(tmp_path: Path) -> None:
    """It is never called right."""
    done = cti("reconcile", "--config", made(tmp_path, [], books=False))
    assert done.returncode == 1
    assert "main: UNVERIFIED: queue_log and cdr_csv not configured" in done.stderr


def test_a_time_that_is_none_is_refused(config: Path) -> None:
    """Usage errors end with status 2."""
    assert cti("reconcile", "--from", "soon", "--config", config).returncode == 2
    assert cti("reconcile", "--pbx", "other", "--config", config).returncode == 2


def test_books_that_cannot_be_read_name_the_cure(tmp_path: Path) -> None:
    """Unverified, with the file and what to do."""
    path = made(tmp_path, [])
    shutil.copyfile(SESSION / "queue_log", tmp_path / "copy")
    text = path.read_text().replace(str(SESSION / "queue_log"), str(tmp_path / "no" / "queue_log"))
    path.write_text(text)
    done = cti("reconcile", "--config", path)
    assert done.returncode == 1
    assert "the directory does not exist" in done.stderr
