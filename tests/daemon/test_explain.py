"""`cti explain`: the real command on a real database and the books of recorded calls (B1, B3, B4)."""

import json
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from cti.core.facts import Call, Fact
from cti.daemon import explain
from tests.daemon.test_bookkeeper import SESSION, session
from tests.daemon.test_cli import CONFIG, cti
from tests.daemon.test_verify import ANSWERED, made
from tests.scenarios.run import FIXTURES

UNANSWERED = "main-1795301434.245"
UNIQUEID = ANSWERED.removeprefix("main-")


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


def rows(config: Path, query: str) -> list[tuple[str, ...]]:
    """What the database has."""
    with sqlite3.connect(config.parent / "var" / "cti.sqlite3") as database:
        return database.execute(query).fetchall()


def test_the_story_of_a_call(config: Path) -> None:
    """Who did what, when, by which event; a picture with everybody in it."""
    done = cti("explain", "1795301434.245", "--config", config)
    assert done.returncode == 0
    for words in ("joins queue sales at place 1", "stops ringing: no answer", "talks with the caller"):
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
    joined = next(n for n, line in enumerate(shown) if " joins queue " in line)
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


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A configuration of two PBXs; both have had a call of one uniqueid, and the second one of its own."""
    theirs: list[Fact] = [
        replace(fact, id=f"branch-{uniqueid}", pbx="branch")
        for fact in session()
        if isinstance(fact, Call) and fact.id == ANSWERED
        for uniqueid in (UNIQUEID, "1.7")
    ]
    path = made(tmp_path_factory.mktemp("two"), [*session(), *theirs])
    main = CONFIG[CONFIG.index("[pbx.main]") :].format()
    path.write_text(path.read_text() + main.replace("main", "branch").replace("127.0.0.1", "127.0.0.2"))
    return path


def test_a_uniqueid_of_several_pbxs_is_nobodys(two: Path) -> None:
    """A2: status 1, and the ids to choose from; none is taken silently."""
    done = cti("explain", UNIQUEID, "--config", two)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"give one of these ids: main-{UNIQUEID}, branch-{UNIQUEID}" in " ".join(done.stderr.split())


@pytest.mark.parametrize(
    ("call", "pbx", "told"),
    [
        (f"main-{UNIQUEID}", (), f"main-{UNIQUEID}"),
        (f"branch-{UNIQUEID}", (), f"branch-{UNIQUEID}"),
        (UNIQUEID, ("--pbx", "main"), f"main-{UNIQUEID}"),
        (UNIQUEID, ("--pbx", "branch"), f"branch-{UNIQUEID}"),
        (f"branch-{UNIQUEID}", ("--pbx", "branch"), f"branch-{UNIQUEID}"),
        ("1.7", (), "branch-1.7"),
        ("1795301434.245", (), UNANSWERED),
    ],
)
def test_a_call_of_one_of_several_pbxs(two: Path, call: str, pbx: tuple[str, ...], told: str) -> None:
    """A2: by its whole id, by the PBX, and by a uniqueid that only one of them has given."""
    done = cti("explain", call, *pbx, "--config", two)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{told}: ")


@pytest.mark.parametrize("call", ["1.7", "branch-1.7"])
def test_a_call_of_another_pbx_is_not_told(two: Path, call: str) -> None:
    """A2: whoever names a PBX is told of its calls alone."""
    done = cti("explain", call, "--pbx", "main", "--config", two)
    assert done.returncode == 1
    assert f"no call '{call}' of PBX main is on record" in done.stderr


def test_an_unknown_pbx_is_refused(two: Path) -> None:
    """As by the other commands, with those there are."""
    done = cti("explain", UNIQUEID, "--pbx", "nowhere", "--config", two)
    assert done.returncode != 0
    assert "choose one of: main, branch" in done.stderr


def test_a_merged_call_leads_to_the_one_it_became_a_part_of(tmp_path: Path) -> None:
    """The consultation's id tells the whole story, and says so."""
    config = replayed(tmp_path, "attended_by_the_phone")
    [(part, whole)] = rows(config, "select id, merged_into from calls where merged_into is not null")
    done = cti("explain", part, "--config", config)
    assert done.stdout.startswith(f"{part} became part of {whole}\n")
    assert "hands the call on to 1018 (attended)" in done.stdout


@pytest.mark.parametrize(
    ("scenario", "words"),
    [
        ("conference_coming_and_going", "enters conference 064"),
        ("parked_and_fetched", "is fetched by 2024 PJSIP/1024"),
        ("voicemail_after_a_queue", "is asked to leave a message in mailbox 1000@default"),
    ],
)
def test_what_the_books_alone_tell_is_in_the_story(tmp_path: Path, scenario: str, words: str) -> None:
    """B1: marked with the book's word, in the timeline and in the JSON."""
    config = replayed(tmp_path, scenario)
    [(call,)] = rows(config, "select id from calls where direction = 'inbound' and merged_into is null")
    assert words in cti("explain", call, "--config", config).stdout
    steps = json.loads(cti("explain", call, "--json", "--config", config).stdout)["steps"]
    [step] = [step for step in steps if words in step["what"]]
    assert step["source"] == "cel"
    assert step["lines"]


# --- what the books do not tell -------------------------------------------------------------------------------------


def test_without_books_the_story_is_unverified(tmp_path: Path) -> None:
    """B4: told from the record, and said so, in the text and in the JSON."""
    config = made(tmp_path, session(), books=False)
    done = cti("explain", ANSWERED, "--config", config)
    assert done.returncode == 0
    assert "UNVERIFIED: queue_log and cdr_csv not configured" in done.stdout
    assert " joins queue " in done.stdout
    story = json.loads(cti("explain", ANSWERED, "--json", "--config", config).stdout)
    assert (story["verified"], story["unverified"]) == (False, "queue_log and cdr_csv not configured")


def test_books_that_cannot_be_believed_leave_the_story_unverified(tmp_path: Path) -> None:
    """B4: a book that is not there although the call must be in it; the file is named."""
    config = made(tmp_path, session())
    config.write_text(config.read_text().replace(str(SESSION / "queue_log"), str(tmp_path / "mistyped")))
    done = cti("explain", ANSWERED, "--config", config)
    assert done.returncode == 0
    assert "UNVERIFIED: " in done.stdout
    assert "mistyped does not exist" in done.stdout


def test_books_in_a_directory_that_is_not_there_leave_the_story_unverified(tmp_path: Path) -> None:
    """B4: what cannot be read at all."""
    config = made(tmp_path, session())
    config.write_text(config.read_text().replace(str(SESSION / "cdr.csv"), str(tmp_path / "no" / "cdr.csv")))
    story = json.loads(cti("explain", ANSWERED, "--json", "--config", config).stdout)
    assert story["verified"] is False
    assert "no/cdr.csv" in story["unverified"]


def test_without_cel_there_is_a_note(tmp_path: Path) -> None:
    """The CDR and queue_log are enough to verify, and say less."""
    config = replayed(tmp_path, "voicemail_after_a_queue", books=("queue_log", "cdr"))
    [(call,)] = rows(config, "select id from calls")
    done = cti("explain", call, "--config", config)
    assert "UNVERIFIED" not in done.stdout
    assert "note: CEL is not configured" in done.stdout
    assert "is asked to leave a message in mailbox 1000@default" in done.stdout


# --- what comes from outside ----------------------------------------------------------------------------------------

EVIL = "\x1b[2J\x1b]0;owned\x07\x9b31m\x7f\u202e"


def test_nothing_from_outside_steers_the_terminal(tmp_path: Path) -> None:
    """G1: names, numbers, queues, channels and lines of the books come from callers and other machines."""
    config = replayed(tmp_path, "blind_by_the_phone")
    with sqlite3.connect(config.parent / "var" / "cti.sqlite3") as database:
        database.execute(
            "update calls set caller_name = ?, caller_number = ?, dialed_number = ?", (EVIL,) * 3
        )
        database.execute("update legs set device = device || ?, channel = channel || ?", (EVIL, EVIL))
        database.execute("update queue_stays set queue = ?, agent = ?", (EVIL, EVIL))
        database.execute("update attempts set queue = ?, agent = ?, device = ?", (EVIL,) * 3)
        database.execute("update transfers set [to] = ?", (EVIL,))
    for book in ("queue_log", "cel.csv", "cdr.csv"):
        text = (FIXTURES / f"blind_by_the_phone.{book}").read_text("utf-8").replace("138", f"{EVIL}138")
        (tmp_path / book).write_text(text, "utf-8")
        config.write_text(
            config.read_text().replace(str(FIXTURES / f"blind_by_the_phone.{book}"), str(tmp_path / book))
        )
    [(call, *_), *_] = rows(config, "select id from calls order by started_at")
    for options in ([], ["--lines"], ["--json"]):
        done = cti("explain", call, *options, "--config", config)
        assert done.returncode == 0, done.stderr
        assert [char for char in done.stdout if not char.isprintable() and char != "\n"] == []
    assert json.loads(done.stdout)["call"] == call
    assert "owned" in done.stdout


@pytest.mark.parametrize("width", [80, 120])
def test_the_picture_is_as_wide_as_the_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    """Six people at 80 columns: no line is folded."""
    config = replayed(tmp_path, "blind_chain_of_three")
    [(call, *_), *_] = rows(config, "select id from calls")
    monkeypatch.setattr(explain, "console", lambda: Console(width=width, highlight=False))
    shown = cti("explain", call, "--config", config).stdout.splitlines()
    assert max(map(len, shown)) <= width
    drawn = [line for line in shown if "│" in line]
    assert sum("hands on to" in line for line in drawn) == 3
