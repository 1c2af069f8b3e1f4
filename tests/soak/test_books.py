"""The soak's own reading of the books finds the calls of every recorded scenario (B4)."""

import csv
import io
import json
from dataclasses import replace
from typing import Any

import pytest

from cti.core.facts import Attempt, Call, Leg, QueueStay, Talk, Transfer
from tests.scenarios.fixtures import run_of
from tests.scenarios.judge import Run, hear
from tests.scenarios.run import FIXTURES
from tests.scenarios.scenes import loaded
from tests.soak.books import Ledger
from tests.soak.records import Part, Records
from tests.soak.rules import explain
from tests.soak.verdict import Difference, against_plan


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


def test_a_talk_whose_end_stands_under_another_uniqueid() -> None:
    """B4: masquerade_into_queue explains the talk of a pass that has no end in the book, and no other."""
    lines = ("1|1.1|sales|NONE|ENTERQUEUE||1|1", "1|1.1|sales|2001|CONNECT|0|1.2|0")
    one = Difference("book_talk", "p-1.1", "2.0, in the book None", "half_finished_to_a_queue", lines=lines)
    assert explain(one) == "masquerade_into_queue"
    assert not explain(replace(one, lines=(*lines, "3|1.1|sales|2001|COMPLETECALLER|0|1|1")))


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
