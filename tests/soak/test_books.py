"""The soak's own reading of the books finds the calls of every recorded scenario (B4)."""

import csv
import io
import json
from dataclasses import replace
from functools import cache
from typing import Any

import pytest

from cti.core.facts import Attempt, Call, Leg, QueueStay, StayOutcome, Talk, Transfer
from tests.scenarios.fixtures import books_of as scenario_books
from tests.scenarios.fixtures import run_of
from tests.scenarios.judge import Run, hear, placed
from tests.scenarios.run import FIXTURES
from tests.scenarios.scenes import loaded
from tests.soak.books import Ledger
from tests.soak.crowd import Played
from tests.soak.records import Part, Records
from tests.soak.rules import explain
from tests.soak.verdict import Difference, against_plan, judge


@pytest.mark.parametrize("name", loaded())
def test_as_many_calls_as_declared(name: str) -> None:
    """B4: channels are tied to exactly the calls that the scenario declares, and the CDR knows each of them."""
    queue_log, cdr, cel = (FIXTURES / f"{name}.{book}" for book in ("queue_log", "cdr.csv", "cel.csv"))
    ledger = Ledger.of_files(queue_log, cdr, cel)
    assert len(ledger.calls) == len(loaded()[name].records)
    assert all(told.cdr and told.ended is not None for told in ledger.calls)


def row(event: str, at: float, uniqueid: str, channel: str, app: str = "", **extra: Any) -> str:
    """A line of CEL, of a channel that is alone with its linkedid."""
    line = [event, f"{at:.6f}", uniqueid, uniqueid, channel, *[""] * 5, app, "", "", "", json.dumps(extra)]
    out = io.StringIO()
    csv.writer(out, quoting=csv.QUOTE_ALL).writerow(line)
    return out.getvalue()


def recall(
    cause: int = 0, source: str = "", transferer_gone: float = 12.003, mover: str = "PJSIP/1003-1"
) -> str:
    """CEL of a half-finished transfer whose recall is gone at 12.002."""
    return "".join([
        row("CHAN_START", 1.0, "1.1", mover),
        row("ATTENDEDTRANSFER", 10.0, "1.1", mover),
        row("CHAN_START", 12.0, "12.2", "PJSIP/1003-2"),
        row("HANGUP", 12.002, "12.2", "PJSIP/1003-2", "AppDial2", hangupcause=cause, hangupsource=source),
        row("HANGUP", transferer_gone, "1.1", mover, hangupcause=16),
    ])  # fmt: skip


def test_a_recall_that_asterisk_dropped_is_known_by_its_traces() -> None:
    """B4: the phone of who handed the caller on, rung by Asterisk itself and gone at once, with the transferer's channel."""
    assert [told.recall_of for told in Ledger.read("", "", recall()).calls] == ["", "1.1"]


@pytest.mark.parametrize(
    "cel",
    [
        recall(cause=17),
        recall(source="PJSIP/1003-2"),
        recall(transferer_gone=10.5),
        recall(mover="PJSIP/1004-1"),
    ],
    ids=["it was busy", "it hung up itself", "the transfer was over", "another phone"],
)
def test_nothing_else_is_a_dropped_recall(cel: str) -> None:
    """B4: a rule that explains a difference covers the one thing that Asterisk does, and no more."""
    assert not any(told.recall_of for told in Ledger.read("", "", cel).calls)


def test_a_local_channel_the_pbx_died_in_belongs_to_who_waits() -> None:
    """B4: of a member that rings as the PBX dies CEL has the birth alone, not that a queue rang it."""
    name = "queue_local_member_abandoned"
    cel = (FIXTURES / f"{name}.cel.csv").read_text().splitlines(keepends=True)
    born = next(n for n, line in enumerate(cel) if ";2" in line and "CHAN_START" in line)
    assert len(Ledger.read("", "", "".join(cel[: born + 1])).calls) == 1


def books_of(name: str) -> tuple[str, str]:
    """The queue_log and CEL of a recorded scenario."""
    return (FIXTURES / f"{name}.queue_log").read_text(), (FIXTURES / f"{name}.cel.csv").read_text()


@cache
def heard(name: str) -> Records:
    """What is on record of a recorded scenario."""
    session = placed(hear(FIXTURES / f"{name}.ami.gz"), scenario_books(loaded()[name]).rows())
    kinds: tuple[type[Part], ...] = (Leg, QueueStay, Attempt, Talk, Transfer)
    return Records.of(session.all(Call), [part for kind in kinds for part in session.all(kind)])


def of_passes(name: str, queue_log: str, on_record: Records) -> list[Difference]:
    """In what the passes of a recorded scenario differ from a queue_log."""
    run = run_of(loaded()[name])
    played = Played(
        run.scenario, {"channels": dict.fromkeys(run.channels, "")}, 0, 0, hung_up=True, trouble=""
    )
    ledger = Ledger.read(queue_log, "", books_of(name)[1])
    return [one for one in judge(ledger, on_record, [played], lambda _: "").unexplained if one.kind in PASS]


def refusals(name: str, on_record: Records) -> list[str]:
    """In what those whom queues turned away differ from the books."""
    ledger = Ledger.read(books_of(name)[0], "", books_of(name)[1])
    found = judge(ledger, on_record, [], lambda _: "").unexplained
    return [one.kind for one in found if one.kind.startswith("turned_away")]


@pytest.mark.parametrize("name", loaded())
def test_whoever_was_turned_away_is_on_record_once(name: str) -> None:
    """B4: by that queue, at that instant, and nobody else is."""
    assert refusals(name, heard(name)) == []


@pytest.mark.parametrize(
    ("change", "kinds"),
    [
        ({"queue": ""}, ["turned_away_not_in_book", "turned_away_not_in_records"]),
        ({"queue": "sales-1"}, ["turned_away_not_in_book", "turned_away_not_in_records"]),
        ({"joined_at": 1.0}, ["turned_away_not_in_book", "turned_away_not_in_records"]),
        ({"outcome": StayOutcome.TIMEOUT}, ["turned_away_not_in_records"]),
    ],
)
def test_a_wrong_refusal_is_found(change: dict[str, Any], kinds: list[str]) -> None:
    """B4: without a name, with another one, at another time, or as something else."""
    name = "queue_turned_away_to_a_phone"
    assert refusals(name, changed(heard(name), QueueStay, **change)) == kinds


PASS = frozenset({"agent", "book_talk", "book_wait", "outcome", "not_in_records", "not_in_book"})


def changed(on_record: Records, kind: type[Part], **fields: Any) -> Records:
    """The records, with this in every part of a kind."""
    parts = {
        call_id: [replace(part, **fields) if isinstance(part, kind) else part for part in parts]
        for call_id, parts in on_record.parts.items()
    }
    return replace(on_record, parts=parts)


def test_a_pickup_explains_who_picked_up_and_nobody_else() -> None:
    """B4: the book credits whose phone rang, by CEL somebody else took the call: that agent is right, and no third one."""
    name = "pickup_of_a_queue_call"
    queue_log, _ = books_of(name)
    stays = heard(name)
    assert [explain(one) for one in of_passes(name, queue_log, stays)] == [name]
    third = of_passes(name, queue_log, changed(stays, QueueStay, agent="2099"))
    assert [(one.kind, explain(one)) for one in third] == [("agent", "")]
    nobody = of_passes(name, queue_log, changed(stays, QueueStay, agent=None))
    assert [(one.kind, explain(one)) for one in nobody] == [("agent", "")]
    strange = of_passes(name, queue_log.replace("|2036|", "|2098|"), stays)  # at neither phone
    assert [(one.kind, explain(one)) for one in strange] == [("agent", "")]


def test_a_pickup_explains_an_agent_and_no_other_field() -> None:
    """B4: how long the caller waited and talked is the book's, whoever picked up."""
    name = "pickup_of_a_queue_call"
    wrong = changed(heard(name), QueueStay, book_talk=9.0)
    assert [(one.kind, explain(one)) for one in of_passes(name, books_of(name)[0], wrong)] == [
        ("agent", name),
        ("book_talk", ""),
    ]


# The line that ends the first pass, and the uniqueid of the consultation under which Asterisk sometimes writes it.
ELSEWHERE = {
    "half_finished_by_the_phone": ("1795303829|1795303827.331|sales-043|2023|", "1795303829.340"),
    "attended_to_a_menu": ("1795308737|1795308735.152|sales-088|2005|", "1795308736.161"),
    "half_finished_to_a_queue": ("1795303833|1795303831.294|sales-044|2016|", "1795303832.303"),
}
RULE = {"half_finished_to_a_queue": "masquerade_into_queue"}


def talks(name: str, queue_log: str, on_record: Records) -> list[str]:
    """How the differences in `book_talk` are explained."""
    return [explain(one) for one in of_passes(name, queue_log, on_record) if one.kind == "book_talk"]


@pytest.mark.parametrize("name", ELSEWHERE)
def test_a_talk_whose_end_stands_under_another_uniqueid(name: str) -> None:
    """B4: a masquerade explains the talk that the misplaced line has, and no other."""
    end, consultation = ELSEWHERE[name]
    queue_log, rule = books_of(name)[0], RULE.get(name, "masquerade_of_the_caller")
    epoch, caller, *_ = end.split("|")
    assert f"{end}ATTENDEDTRANSFER" in queue_log
    misplaced = queue_log.replace(end, end.replace(caller, consultation))
    assert talks(name, queue_log, heard(name)) == []
    assert talks(name, misplaced, heard(name)) == [rule]
    line = next(line for line in misplaced.splitlines() if "ATTENDEDTRANSFER" in line)
    *_, talk, _position = line.split("|")
    noticed = misplaced.replace(line, f"{line.split('ATTENDEDTRANSFER')[0]}COMPLETECALLER|0|{talk}|1")
    assert talks(name, noticed, heard(name)) == [rule], "app_queue noticed the end before the transfer"
    wrong = changed(heard(name), QueueStay, book_talk=7.0)
    assert "" in talks(name, queue_log, wrong), "the line is in its place"
    assert "" in talks(name, misplaced, wrong), "another talk than the line's"
    assert talks(name, misplaced.replace(f"{epoch}|", "1795309999|"), heard(name)) == [""], "of another time"
    another = misplaced.replace(f"|{consultation}|sales", f"|{consultation[:-1]}9|sales")
    assert talks(name, another, heard(name)) == [""], "of a channel that takes no part"
    gone = "\n".join(line for line in queue_log.splitlines() if not line.startswith(end))
    assert talks(name, gone, heard(name)) == [""], "no line at all"


def test_a_pass_that_goes_on_under_another_uniqueid_is_the_callers_alone() -> None:
    """B4: masquerade_into_queue explains the two halves of one pass; a half without the other is an error."""
    name, rule = "half_finished_to_a_queue", "masquerade_into_queue"
    queue_log, _ = books_of(name)

    def found(queue_log: str, on_record: Records) -> set[tuple[str, str]]:
        return {(one.kind, explain(one)) for one in of_passes(name, queue_log, on_record)}

    assert found(queue_log, heard(name)) == {("not_in_book", rule), ("not_in_records", rule)}
    elsewhere = queue_log.replace("|1795303832.303|", "|1795303832.999|")
    assert found(elsewhere, heard(name)) == {("not_in_book", ""), ("not_in_records", "")}
    parts = {
        call_id: [part for part in parts if not (isinstance(part, QueueStay) and part.queue == "support-044")]
        for call_id, parts in heard(name).parts.items()
    }
    assert found(queue_log, replace(heard(name), parts=parts)) == {("not_in_records", "")}


def test_a_wrong_count_is_explained_by_a_dropped_recall_alone() -> None:
    """B4: one call too many, which is the recall, is explained; without the traces of it, it is an error."""
    name = "half_finished_by_feature_code"
    run, session = run_of(loaded()[name]), hear(FIXTURES / f"{name}.ami.gz")
    calls, legs = session.all(Call), session.all(Leg)
    parts: list[Part] = [
        *legs, *session.all(QueueStay), *session.all(Attempt), *session.all(Talk), *session.all(Transfer)
    ]  # fmt: skip
    extra = replace(calls[0], id="p-12.2", started_at=calls[0].started_at + 5)
    channel = replace(legs[0], id="p-12.2", uniqueid="12.2", call_id="p-12.2")
    on_record = Records.of([*calls, extra], [*parts, channel])
    run = Run(run.scenario, run.cast, run.places, run.channels | {"12.2"}, run.late)

    def found(*recalls: str) -> list[Difference]:
        return list(against_plan(on_record, run, recalls))

    assert [explain(one) for one in found("p-12.2")] == ["recall_dropped"]
    assert [explain(one) for one in found()] == [""]
    assert [explain(one) for one in found(calls[0].id, "p-12.2")] == [""]


def test_a_consultation_that_meets_nobody_is_of_whoever_asked_for_it() -> None:
    """B4: by the linkedid and the number it is dialled from; a number of nobody who lives there ties it to nobody."""
    name = "attended_by_feature_code_of_a_caller_who_hangs_up"
    cel = (FIXTURES / f"{name}.cel.csv").read_text()
    assert len(Ledger.read("", "", cel).calls) == 1
    half = '"Local/' + cel.split('"Local/', 2)[2].split(";2", 1)[0].split(";1", 1)[0] + ';2"'
    dialled = [
        line.replace('"1001"', '"1009"') if half in line and "CHAN_START" not in line else line
        for line in cel.splitlines()
    ]
    assert dialled != cel.splitlines()
    assert len(Ledger.read("", "", "\n".join(dialled)).calls) == 2
