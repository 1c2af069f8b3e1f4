"""The soak's rules explain what the books leave open, and no other value of the same field (B4)."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from typing import Any

import pytest

from cti.core.facts import Attempt, Call, EndedBy, Leg, Quality, QueueStay, Recording, Talk, Transfer
from tests.scenarios.fixtures import books_of
from tests.scenarios.judge import hear, placed
from tests.scenarios.run import FIXTURES
from tests.scenarios.scenes import loaded
from tests.soak.books import Ledger
from tests.soak.crowd import Played
from tests.soak.records import Part, Records
from tests.soak.rules import explain
from tests.soak.verdict import Difference, judge

_KINDS: tuple[type[Part], ...] = (Leg, QueueStay, Attempt, Talk, Transfer, Recording)

Change = Callable[[Part], Part | None]


@cache
def heard(name: str) -> Records:
    """What is on record of a recorded scenario, as if it had not been wholly seen."""
    session = placed(hear(FIXTURES / f"{name}.ami.gz"), books_of(loaded()[name]).rows())
    calls = [replace(call, quality=Quality.GAPPED) for call in session.all(Call)]
    return Records.of(calls, [part for kind in _KINDS for part in session.all(kind)])


def changed(on_record: Records, kind: type[Part], change: Change) -> Records:
    """The records with every part of a kind as `change` has it; None: it is not there."""
    parts = {
        call_id: [
            one for part in parts if (one := change(part) if isinstance(part, kind) else part) is not None
        ]
        for call_id, parts in on_record.parts.items()
    }
    return replace(on_record, parts=parts)


def with_calls(on_record: Records, change: Mapping[str, Any]) -> Records:
    """The records with this in every call."""
    return replace(on_record, calls={key: replace(one, **change) for key, one in on_record.calls.items()})


def rules(name: str, on_record: Records, *, more: tuple[str, ...] = ()) -> dict[str, set[str]]:
    """Which rules explain which differences of a recorded scenario; "" is none."""
    queue_log, cdr, cel = (FIXTURES / f"{name}.{book}" for book in ("queue_log", "cdr.csv", "cel.csv"))
    summary = json.loads((FIXTURES / f"{name}.json").read_text())
    summary["channels"] += more
    played = Played(loaded()[name], summary, 0, 0, hung_up=False, trouble="")
    found: dict[str, set[str]] = {}

    def note(one: Any) -> str:
        found.setdefault(one.kind, set()).add(explain(one))
        return "noted"

    judge(Ledger.of_files(queue_log, cdr, cel), on_record, [played], note)
    return found


def longer(seconds: float, agent: str | None = None) -> Change:
    """Talks (of this agent) that end so much later."""

    def change(part: Part) -> Part:
        assert isinstance(part, Talk)
        mine = agent is None or part.agent == agent
        return replace(part, ended_at=(part.ended_at or 0.0) + seconds) if mine else part

    return change


def _cast(name: str, role: str) -> str:
    cast: dict[str, str] = json.loads((FIXTURES / f"{name}.json").read_text())["cast"]
    return cast[role]


CODE = "half_finished_by_feature_code"


@pytest.mark.parametrize(
    ("ours", "book", "rule"),
    [(3.0, 1.0, "untold"), (0.0, 9.0, "untold"), (5.0, 1.0, ""), (999.0, 1.0, ""), (1.0, 9.0, "")],
)
def test_the_seconds_of_a_talk_that_is_untold_are_nearly_those_of_cel(
    ours: float, book: float, rule: str
) -> None:
    """B4: a talk that the books do not tell may be missing, or be some seconds longer or shorter than its bridges."""
    one = Difference("talk", "p-1", "", CODE, "gapped", ours=ours, book=book)
    assert explain(one) == rule
    assert explain(replace(one, quality="complete")) == ""
    assert explain(replace(one, play="queue_caller_hangs_up")) == ""
    assert explain(replace(one, play="attended_three_way")) == (rule if ours else "")


@pytest.mark.parametrize("seconds", [20.0, 999.0])
def test_no_talk_is_much_longer_than_declared(seconds: float) -> None:
    """B4: that the talks of a kind of call are untold does not make any of them right."""
    found = rules(CODE, changed(heard(CODE), Talk, longer(seconds, _cast(CODE, "ben"))))
    assert found["plan_talks"] == {""}


def test_one_talk_that_the_books_do_not_tell_may_be_missing() -> None:
    """B4: one, where the table says `talk`; not all of them, and no one of somebody else."""
    ben = _cast(CODE, "ben")

    def gone(part: Part) -> Part | None:
        return None if isinstance(part, Talk) and part.agent == ben else part

    def strange(part: Part) -> Part:
        return replace(part, agent="2099") if isinstance(part, Talk) and part.agent == ben else part

    assert rules(CODE, changed(heard(CODE), Talk, gone))["plan_talks"] == {"untold"}
    assert rules(CODE, changed(heard(CODE), Talk, lambda _: None))["plan_talks"] == {""}
    assert rules(CODE, changed(heard(CODE), Talk, strange))["plan_talks"] == {""}
    three = "attended_three_way"
    assert rules(three, changed(heard(three), Talk, gone_of(three, "ben")))["plan_talks"] == {""}


@pytest.mark.parametrize(("more", "seconds", "rule"), [(1, 0.3, "untold"), (2, 0.3, ""), (1, 99.0, "")])
def test_a_talk_is_cut_in_two_at_most(more: int, seconds: float, rule: str) -> None:
    """B4: CEL does not name who is swapped out of a bridge: one talk then looks like two, and like no three."""
    name = "attended_three_way"
    on_record = heard(name)
    [(call_id, parts)] = on_record.parts.items()
    ben = next(part for part in parts if isinstance(part, Talk) and part.agent == _cast(name, "ben"))
    cut = [
        replace(ben, id=f"{ben.id}{n}", ended_at=ben.started_at + seconds, queue=None) for n in range(more)
    ]
    assert rules(name, replace(on_record, parts={call_id: [*parts, *cut]}))["plan_talks"] == {rule}


def gone_of(name: str, role: str) -> Change:
    """No talk of this one."""
    who = _cast(name, role)
    return lambda part: None if isinstance(part, Talk) and part.agent == who else part


@pytest.mark.parametrize(("more", "rule"), [(1, "untold"), (2, ""), (5, "")])
def test_a_count_is_off_by_one_at_most(more: int, rule: str) -> None:
    """B4: of a transfer of which CEL says the same either way one call more may be on record, not any number."""
    name = "half_finished_and_recalled"
    on_record, channels = heard(name), [f"9.{n}" for n in range(more)]
    call = next(iter(on_record.calls.values()))
    leg = next(part for part in on_record.parts[call.id] if isinstance(part, Leg))
    calls = [replace(call, id=f"p-{one}", started_at=call.started_at + 1) for one in channels]
    legs = [replace(leg, id=f"p-{one}", uniqueid=one, call_id=f"p-{one}") for one in channels]
    old = [part for parts in on_record.parts.values() for part in parts]
    found = Records.of([*on_record.calls.values(), *calls], [*old, *legs])
    assert rules(name, found, more=tuple(channels))["count"] == {rule}


@pytest.mark.parametrize("agent", ["anna", None, "2099"])
def test_who_answered_a_pass_is_told(agent: str | None) -> None:
    """B4: by queue_log, even where a caller took the place of who waited: nothing explains another agent, or none."""
    name = "half_finished_to_a_queue"
    who = _cast(name, agent) if agent == "anna" else agent

    def change(part: Part) -> Part:
        assert isinstance(part, QueueStay)
        return replace(part, agent=who) if part.queue.startswith("support") else part

    assert rules(name, changed(heard(name), QueueStay, change))["plan_stays"] == {""}


def test_who_ended_a_call_without_a_sign_is_not_somebody_else() -> None:
    """B4: the agent's own line has no sign of who ended it; then the record says so, and names nobody."""
    name = "agent_pool"
    wrong = {
        ended_by: rules(name, with_calls(heard(name), {"ended_by": ended_by}))["plan_ended_by"]
        for ended_by in (EndedBy.SYSTEM, EndedBy.UNKNOWN, EndedBy.AGENT)
    }
    # Two calls: the one that is declared as anybody else ended it differs by every wrong name.
    assert wrong[EndedBy.AGENT] == {""}
    assert "untold" in wrong[EndedBy.UNKNOWN]


@pytest.mark.parametrize(("number", "rule"), [("s", "untold"), ("13900000000", ""), ("1001", "")])
def test_a_number_that_is_untold_is_not_another_one(number: str, rule: str) -> None:
    """B4: CEL does not name the number a program dialled: the record then has none."""
    name = "dialler_calls_a_customer"
    assert rules(name, with_calls(heard(name), {"dialed_number": number}))["plan_dialed"] == {rule}


def test_a_transfer_that_failed_may_be_missing_and_not_be_another() -> None:
    """B4: CEL does not tell of a transfer that the PBX refused."""
    name = "attended_impossible"

    def to_another(part: Part) -> Part:
        assert isinstance(part, Transfer)
        return replace(part, to="1099")

    assert rules(name, changed(heard(name), Transfer, lambda _: None))["plan_transfers"] == {"untold"}
    assert rules(name, changed(heard(name), Transfer, to_another))["plan_transfers"] == {""}


def test_a_recording_that_a_program_began_may_be_missing() -> None:
    """B4, B6: no book tells of it; CEL tells of one that the dialplan began, and none is that nobody began."""
    program, dialplan, none = "recorded_for_a_while", "recorded_from_the_dialplan", "queue_caller_hangs_up"
    assert rules(program, changed(heard(program), Recording, lambda _: None)) == {
        "plan_recordings": {"recording_untold"}
    }
    assert rules(dialplan, changed(heard(dialplan), Recording, lambda _: None)) == {"plan_recordings": {""}}
    [[*parts]] = heard(program).parts.values()
    tape = next(part for part in parts if isinstance(part, Recording))
    for name in (program, none):
        [(call_id, own)] = heard(name).parts.items()
        stray = replace(tape, id="p-9/r", call_id=call_id, file="/tmp/stray.wav")  # noqa: S108 - a name in a record
        assert rules(name, replace(heard(name), parts={call_id: [*own, stray]})) == {
            "plan_recordings": {""}
        }, name


def test_a_recording_by_a_program_is_as_long_as_its_channel_lives() -> None:
    """B4, B6: whose end nobody saw lasts until its call ends, and no longer."""
    name = "recorded_for_a_while"
    on_record = heard(name)
    [call] = on_record.calls.values()

    def until(at: float) -> dict[str, set[str]]:
        late = with_calls(on_record, {"ended_at": (call.ended_at or 0) + 60})
        found = changed(late, Recording, lambda part: replace(part, stopped_at=at))  # type: ignore[arg-type]  # it is a Recording
        return rules(name, found)

    assert until((call.ended_at or 0) + 50)["plan_recordings"] == {"recording_untold"}
    assert until((call.ended_at or 0) + 500)["plan_recordings"] == {""}


@pytest.mark.parametrize(
    "kind",
    [
        "open", "joined", "agent", "direction", "caller", "dialed", "transfer", "begin", "not_in_records",
        "cdr_without_call", "plan_direction", "plan_caller", "plan_dialed", "plan_transfers", "count",
    ],
)  # fmt: skip
def test_no_death_explains_whose_a_call_was(kind: str) -> None:
    """B4: a PBX that is killed loses ends; the rest it had noted before."""
    assert explain(Difference(kind, "p-1.1", "", cut=True)) == ""


def test_a_death_explains_an_end_that_no_book_has() -> None:
    """B4: of a call alive then; and nothing that the product has looked at and not explained."""
    lost = Difference("outcome", "p-1.1", "unknown, in the book nothing", cut=True)
    assert explain(lost) == "cut_off"
    assert explain(replace(lost, cut=False)) == ""
    assert explain(replace(lost, of_product=True)) == ""
