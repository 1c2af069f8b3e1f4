"""docs/comparison.md says what both tools say now, and our side of it is right (B1).

The peer itself is asked by `make comparison` alone; its answers are committed, and no test runs it.
"""

from collections.abc import Sequence

import pytest

from tests.peer.streams import digest, heard, recorded, version
from tests.peer.table import DOCUMENT, Row, document, row
from tests.peer.told import Told, Verdict, theirs, verdicts
from tests.scenarios.judge import Run
from tests.scenarios.scenes import loaded

CURE = "run 'make comparison'"


@pytest.fixture(scope="module", name="rows")
def _rows() -> list[Row]:
    return [row(name, answer) for name, answer in heard().items()]


def test_every_recording_was_given_to_the_peer() -> None:
    """B1: no scenario is left out of the comparison, and each answer is to the recording that is committed."""
    assert {name: answer["recording"] for name, answer in heard().items()} == {
        name: digest(name) for name in recorded()
    }, CURE


def test_our_side_is_right(rows: Sequence[Row]) -> None:
    """B1: in every scenario, all that both tools speak of is told rightly by this daemon."""
    wrong = {one.name: one.our_verdicts for one in rows if set(one.our_verdicts.values()) != {Verdict.RIGHT}}
    assert wrong == {}


def test_the_document_is_in_step(rows: Sequence[Row]) -> None:
    """B1: the table is what the recordings and the peer's answers make of it today."""
    text = DOCUMENT.read_text()
    assert text == document(rows, version()), CURE
    assert [one.name for one in rows if f"\n| {one.name} |" not in text] == []


BLIND = ("blind", "anna", frozenset({"ben"}))
CALL = Told("customer", "line", "answered", frozenset({"anna", "ben"}), (BLIND,))


@pytest.mark.parametrize(
    ("told", "aspect", "verdict"),
    [
        ([], "calls", Verdict.SILENT),
        ([CALL, CALL], "calls", Verdict.WRONG),
        ([Told("customer", "desk", "answered")], "parties", Verdict.WRONG),
        ([Told("customer", "", "answered")], "parties", Verdict.PART),
        ([Told(outcome="completed")], "outcome", Verdict.WRONG),
        ([Told(outcome="answered")], "talked", Verdict.SILENT),
        ([Told(talked=frozenset({"anna"}))], "talked", Verdict.PART),
        ([Told(talked=frozenset({"anna", "carl"}))], "talked", Verdict.WRONG),
        ([Told(transfers=(("attended", "anna", frozenset({"ben"})),))], "transfers", Verdict.WRONG),
        ([Told(transfers=(BLIND, BLIND))], "transfers", Verdict.WRONG),
        ([Told(transfers=(("blind", "anna", frozenset({"ben", "line"})),))], "transfers", Verdict.RIGHT),
    ],
)
def test_the_criteria(told: Sequence[Told], aspect: str, verdict: Verdict) -> None:
    """The judge can say each of its four words, for us as for the peer."""
    assert verdicts([CALL], told)[aspect] is verdict
    assert set(verdicts([CALL], [CALL]).values()) == {Verdict.RIGHT}


def test_not_reached_for_another_reason_is_right_in_part() -> None:
    """A word that rightly says that nobody was reached is worth something; one that says abandoned is false."""
    voicemail = [Told("customer", "desk", "voicemail")]
    assert verdicts(voicemail, [Told("customer", "desk", "completed")])["outcome"] is Verdict.PART
    assert verdicts(voicemail, [Told("customer", "desk", "abandoned")])["outcome"] is Verdict.WRONG


def test_calls_that_a_transfer_names_are_one_call() -> None:
    """The peer's consultation and its transferred call count as one, under the older's name."""
    run = Run(
        loaded()["blind_chain"], {"anna": "2010", "ben": "2011", "customer": "138"}, {}, frozenset(), 0.0
    )
    customer, anna, ben = (
        ["PJSIP/trunk-a-0001", "9.1", "9.1", "138", "1010"],
        ["PJSIP/1010-0003", "10.2", "10.2", "1010", "1011"],
        ["PJSIP/1011-0004", "10.3", "10.2", "1011", "s"],
    )
    calls = theirs(
        [
            {"what": "up", "caller": anna, "targets": [ben]},
            {"what": "attended", "caller": customer, "by": anna, "targets": [ben]},
            {"what": "hangup", "caller": customer, "reason": "completed"},
        ],
        run,
    )
    assert len(calls) == 1
    assert calls[0].talked == {"anna", "ben"}
    assert calls[0].transfers == (("attended", "anna", frozenset({"ben", "anna"})),)
