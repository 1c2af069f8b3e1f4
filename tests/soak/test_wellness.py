"""A soak is well only if all of it was played, broken and compared, and its last line says so in every case (B4)."""

import json
import sys
import tempfile
from collections import Counter
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from cti.core.facts import Attempt, Call, Leg, QueueStay, Talk, Transfer
from tests.core.test_comparison import told
from tests.rig import RigError
from tests.scenarios.run import FIXTURES
from tests.scenarios.scenes import loaded
from tests.soak import __main__ as command
from tests.soak.books import Ledger
from tests.soak.crowd import Played
from tests.soak.plan import Trouble, Wanted, draws
from tests.soak.records import Records
from tests.soak.soak import Soak
from tests.soak.verdict import Difference, Verdict, judge

PLAY = loaded()["queue_caller_hangs_up"]
OTHER = loaded()["queue_abandoned"]
RECONCILED = {
    "pbxs": [
        {"checked": 3, "explained": [{"rule": "cut_off"}, {"rule": "recall_dropped"}, {"rule": "cut_off"}]},
        {"checked": 2, "explained": [{"rule": "cut_off"}]},
    ]
}


def played(trouble: str = "", *, hung_up: bool = False, began: float = 100.0, play: Any = PLAY) -> Played:
    return Played(play, {"channels": []}, began, began + 10, hung_up=hung_up, trouble=trouble)


def ended(*plays: Played, wanted: Wanted | None = None, died: tuple[float, ...] = ()) -> Soak:
    """A soak in which everything that was wanted has happened, and these were the plays."""
    wanted = wanted or Wanted(calls=10)
    soak = Soak(wanted, judged=True)
    soak.crowd = cast("Any", SimpleNamespace(played=list(plays), died=died, begun=wanted.calls, playing=0))
    happened = {Trouble.KILL: wanted.kills, Trouble.CUT: wanted.cuts, Trouble.RESTART: wanted.restarts}
    soak.troubles = cast("Any", SimpleNamespace(done=Counter(happened), now=""))
    soak.verdict = Verdict(calls=wanted.calls)
    soak.verdict.drawn.update(one.play.name for one in plays)
    soak.verdict.with_plan.update(one.play.name for one in plays if not one.trouble)
    return soak


def test_a_soak_in_which_all_went_well() -> None:
    soak = ended(*[played()] * 10)
    assert (soak.well(), soak.amiss()) == (True, [])


@pytest.mark.parametrize("what", list(Trouble))
def test_every_trouble_must_have_happened(what: Trouble) -> None:
    """B3: a run without its deaths, cuts and restarts shows nothing."""
    soak = ended(played())
    assert soak.troubles is not None
    soak.troubles.done[what] -= 1
    assert not soak.well()


@pytest.mark.parametrize("field", ["missing", "duplicated"])
def test_nothing_is_missing_or_double(field: str) -> None:
    soak = ended(played())
    setattr(soak.verdict, field, 1)
    assert not soak.well()


def test_a_difference_without_a_rule_and_an_error_of_the_daemon_are_not_well() -> None:
    soak = ended(played())
    soak.verdict.unexplained.append(Difference("end", "x", ""))
    assert not soak.well()
    soak = ended(played())
    soak.bugs.append("KeyError")
    assert not soak.well()


def test_too_few_calls_are_not_well() -> None:
    soak = ended(played())
    soak.verdict.calls -= 1
    assert not soak.well()


def test_plays_that_fail_are_counted_and_few() -> None:
    """B4: a play that fails by itself is compared with nothing; a tenth of all may."""
    soak = ended(*[played()] * 90, *[played("AmiError: no such channel")] * 10)
    assert (soak.figures()["not_to_the_end"], soak.well()) == (10, True)
    soak = ended(*[played()] * 90, *[played("AmiError: no such channel")] * 11)
    assert (soak.figures()["not_to_the_end"], soak.well()) == (11, False)


def test_what_the_soak_itself_ended_did_not_fail() -> None:
    """B4: somebody hung up out of turn, or the PBX was killed meanwhile; before or after it is no excuse."""
    ended_by_us = [played("cut short", hung_up=True), played("cut short", began=195), played("E", began=190)]
    soak = ended(*ended_by_us, *[played("TimeoutError: ")] * 2, played("E", began=201), died=(200.0,))
    assert soak.figures()["not_to_the_end"] == 3


def test_a_scenario_that_is_never_held_against_its_plan_is_named() -> None:
    """B4: in a long run one that was drawn five times must have been compared once."""
    plays = [*[played()] * 96, *[played("E", play=OTHER)] * 4]
    long = Wanted(calls=1000)
    soak = ended(*plays, wanted=long)
    assert soak.figures()["never_compared"] == [OTHER.name]
    assert soak.well()
    assert not ended(*plays, played("cut short", hung_up=True, play=OTHER), wanted=long).well()
    assert ended(*plays, played(play=OTHER), wanted=long).well()
    assert ended(*plays, played("E", play=OTHER), wanted=Wanted(calls=999)).well()


def test_the_judgement_says_what_was_drawn_and_what_compared() -> None:
    """B4: of a play that somebody ended out of turn, or that failed, nothing is held against its plan."""
    name = PLAY.name
    queue_log, cdr, cel = (FIXTURES / f"{name}.{book}" for book in ("queue_log", "cdr.csv", "cel.csv"))
    summary = json.loads((FIXTURES / f"{name}.json").read_text())
    plays = [
        Played(PLAY, summary, 0, 9, hung_up=False, trouble=""),
        played("E", play=OTHER),
        played(hung_up=True, play=OTHER),
    ]
    facts = told(name).facts
    calls = [fact for fact in facts if isinstance(fact, Call)]
    parts = [fact for fact in facts if isinstance(fact, Leg | QueueStay | Attempt | Talk | Transfer)]
    for on_record, held in ((Records.of(calls, parts), {name: 1}), (Records.of([], []), {name: 0})):
        verdict = judge(Ledger.of_files(queue_log, cdr, cel), on_record, plays, lambda _: "")
        assert verdict.drawn == {name: 1, OTHER.name: 2}
        assert verdict.with_plan == held


def test_the_differences_that_the_product_explains_are_counted() -> None:
    """B4: by its rules, of all PBXs."""
    soak = ended(played())
    soak.reconciled = RECONCILED
    figures = soak.figures()
    assert figures["reconcile_explained"] == {"cut_off": 3, "recall_dropped": 1}
    assert figures["reconcile_checked"] == 5


def test_every_scenario_is_drawn_once_before_any_comes_twice() -> None:
    """B4: like a pack of cards, so that a run of as many plays as there are scenarios has them all."""
    plays = tuple(loaded().values())
    drawn = [draw.play.name for draw in islice(draws(Wanted(seed=3), plays), 3 * len(plays))]
    for n in range(3):
        assert set(drawn[n * len(plays) : (n + 1) * len(plays)]) == set(loaded())
    assert drawn[: len(plays)] != drawn[len(plays) : 2 * len(plays)]


# --- the command


@pytest.fixture
def evidence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Where the command puts the books."""
    directory = tmp_path / "evidence"
    monkeypatch.setattr(sys, "argv", ["soak", "--calls", "10"])
    monkeypatch.setattr(tempfile, "mkdtemp", lambda **_: str(directory))
    monkeypatch.setattr(command, "provision", lambda: None)
    return directory


def last_line(capsys: pytest.CaptureFixture[str]) -> tuple[dict[str, Any], str]:
    out, err = capsys.readouterr()
    said: dict[str, Any] = json.loads(out.splitlines()[-1])
    return said, err


@pytest.mark.parametrize(
    ("failure", "said"),
    [
        (RigError("it did not come back\nits log"), "RigError: it did not come back"),
        (TimeoutError(), "TimeoutError"),
        (ExceptionGroup("tasks", [ValueError("odd"), RigError("gone")]), "ValueError: odd; RigError: gone"),
        (KeyboardInterrupt(), "KeyboardInterrupt"),
    ],
)
def test_the_last_line_comes_whatever_goes_wrong(
    failure: BaseException,
    said: str,
    evidence: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """B4: one JSON object with what is known, exit status 1, and the books are kept."""

    async def breaks(soak: Soak, *_: Any) -> None:
        soak.crowd, soak.phase = ended(played()).crowd, "playing"
        raise failure

    monkeypatch.setattr(command, "run", breaks)
    assert command.main() == 1
    figures, err = last_line(capsys)
    assert figures["error"] == f"playing: {said}"
    assert (figures["calls"], figures["kills"], figures["plays"]) == (10, 0, 1)
    assert [figures[name] for name in ("missing", "duplicated", "unexplained")] == [None] * 3
    assert evidence.is_dir()
    assert f"kept: {evidence}" in err


@pytest.mark.parametrize("lost", [0, 1])
def test_the_books_are_kept_when_it_did_not_go_well(
    lost: int, evidence: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """B4: and only then; the exit status says the same."""

    async def ends(soak: Soak, *_: Any) -> None:
        like = ended(played(), wanted=soak.wanted)
        soak.crowd, soak.troubles, soak.judged = like.crowd, like.troubles, True
        soak.verdict = Verdict(calls=10, missing=lost)

    monkeypatch.setattr(command, "run", ends)
    assert command.main() == lost
    figures, err = last_line(capsys)
    assert figures["missing"] == lost
    assert "error" not in figures
    assert evidence.is_dir() == bool(lost)
    assert ("kept: " in err) == bool(lost)
