"""`cti explain`: the real command on a real database and the books of recorded calls (B1, B3, B4)."""

import json
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from cti.core.facts import Call, Fact
from tests.daemon.test_bookkeeper import session
from tests.daemon.test_cli import CONFIG, cti
from tests.daemon.test_verify import ANSWERED, made
from tests.scenarios.run import FIXTURES

UNANSWERED = "main-1795301434.245"


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tmp_path_factory.mktemp("explain"), session())


def replayed(directory: Path, scenario: str, *, books: tuple[str, ...] = ("queue_log", "cdr", "cel")) -> Path:
    """A configuration whose database has a recorded scenario and whose PBX has these of its books."""
    places = {"queue_log": "queue_log", "cdr": "cdr.csv", "cel": "cel.csv"}
    keys = {"queue_log": "queue_log", "cdr": "cdr_csv", "cel": "cel_csv"}
    given = "".join(f'{keys[book]} = "{FIXTURES / f"{scenario}.{places[book]}"}"\n' for book in books)
    path = directory / "cti.toml"
    text = CONFIG.format(port=1, extra="")
    path.write_text(text.replace('host = "127.0.0.1"\n', f'host = "127.0.0.1"\n{given}'))
    (directory / "var").mkdir(exist_ok=True)
    url = f"sqlite+aiosqlite:///{directory}/var/cti.sqlite3"
    done = cti("replay", FIXTURES / f"{scenario}.ami.gz", "--database", url)
    assert done.returncode == 0, done.stderr
    return path


def calls_of(config: Path) -> list[str]:
    """Ids of all calls on record, the oldest first."""
    text = "select id from calls where merged_into is null order by started_at"
    with sqlite3.connect(config.parent / "var" / "cti.sqlite3") as database:
        return [row[0] for row in database.execute(text)]


def test_the_story_of_a_call(config: Path) -> None:
    """Who did what, when, by which event; a picture with everybody in it."""
    done = cti("explain", "1795301434.245", "--config", config)
    assert done.returncode == 0
    for words in ("joins the queue at place 1", "stops ringing: no answer", "talks with the caller"):
        assert words in done.stdout
    assert "AgentCalled" in done.stdout
    assert "queue sales" in done.stdout
    assert "═▶│" in done.stdout
    assert "UNVERIFIED" not in done.stdout


def test_the_story_for_scripts_has_the_books_lines(config: Path) -> None:
    """JSON: steps with instants, sources and events, each with the raw lines that prove it, and those of none."""
    story = json.loads(cti("explain", ANSWERED, "--json", "--config", config).stdout)
    assert (story["call"], story["verified"], story["unverified"]) == (ANSWERED, True, "")
    assert {step["source"] for step in story["steps"]} <= {"seen", "cel"}
    assert [step["at"] for step in story["steps"]] == sorted(step["at"] for step in story["steps"])
    assert {line["book"] for line in story["lines"]} == {"queue_log", "cel", "cdr"}
    beside = [line for step in story["steps"] for line in step["lines"]]
    assert len(beside) + len(story["unexplained"]) == len(story["lines"])
    [join] = [step for step in story["steps"] if step["kind"] == "join"]
    assert any("ENTERQUEUE" in line["line"] for line in join["lines"])


def test_each_step_is_followed_by_its_lines(config: Path) -> None:
    """With --lines; what no step explains stands at the end."""
    shown = cti("explain", ANSWERED, "--lines", "--config", config).stdout.splitlines()
    joined = next(n for n, line in enumerate(shown) if "joins the queue" in line)
    assert "ENTERQUEUE" in shown[joined + 1]


def test_a_call_from_the_books_says_so(tmp_path: Path) -> None:
    """A record that nobody saw names the book beside every step, and the line's own word."""
    facts: list[Fact] = [
        replace(fact, sources=("*:cel",))
        for fact in session()
        if isinstance(fact, Call) and fact.id == ANSWERED
    ]
    done = cti("explain", ANSWERED, "--json", "--config", made(tmp_path, facts))
    steps = json.loads(done.stdout)["steps"]
    assert {step["source"] for step in steps} == {"cel"}
    assert steps[0]["event"] == "CHAN_START"


def test_an_unknown_call_is_named(config: Path) -> None:
    """Status 1, and where ids are found."""
    done = cti("explain", "1.1", "--config", config)
    assert done.returncode == 1
    assert "no call '1.1' is on record; `cti calls` shows their ids" in done.stderr
