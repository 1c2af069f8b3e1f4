"""The comparison with CEL finds what is wrong: a record that is changed in any of these ways no longer agrees (B4)."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from cti.core.facts import Attempt, Call, Leg, QueueStay, Recording, Talk, Transfer
from tests.scenarios.celbook import beside_cel
from tests.scenarios.fixtures import books_of
from tests.scenarios.judge import Session, hear
from tests.scenarios.run import FIXTURES
from tests.scenarios.scenes import loaded

NAME = "attended_by_the_phone"  # one call in the end, of two linkedids
TWO = "agent_takes_a_second_call"  # two calls


def session(name: str = NAME) -> Session:
    return hear(FIXTURES / f"{name}.ami.gz")


def reasons(found: Session, name: str = NAME) -> set[str]:
    return {odd.reason for odd in beside_cel(found, books_of(loaded()[name]))}


def without_a_leg(found: Session) -> None:
    del found.latest[found.all(Leg)[-1].key]


def of_a_merged_call(found: Session) -> None:
    leg = found.all(Leg)[-1]
    merged = replace(found.all(Call)[0], id="p-9", merged_into="p-8")
    found.latest |= {leg.key: replace(leg, call_id="p-9"), merged.key: merged}


def talked_longer(found: Session) -> None:
    talk = found.all(Talk)[-1]
    found.latest[talk.key] = replace(talk, ended_at=(talk.ended_at or 0.0) + 0.3)


def never_talked(found: Session) -> None:
    del found.latest[found.all(Talk)[-1].key]


def picked_up_early(found: Session) -> None:
    leg = next(leg for leg in found.all(Leg) if leg.answered_at is not None)
    found.latest[leg.key] = replace(leg, answered_at=(leg.answered_at or 0.0) - 0.3)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (without_a_leg, "cel_channel"),
        (of_a_merged_call, "cel_channel"),
        (talked_longer, "cel_talk"),
        (never_talked, "cel_talk"),
        (picked_up_early, "cel_answered"),
    ],
)
def test_what_is_wrong_is_found(change: Callable[[Session], None], reason: str) -> None:
    """B4: a channel in no record, one of a call that no longer stands, a wrong talk, a wrong instant of picking up."""
    found = session()
    assert reasons(found) == set()
    change(found)
    assert reason in reasons(found)


INSTANTS = [
    (Call, "started_at"),
    (Call, "answered_at"),
    (Call, "ended_at"),
    (Leg, "started_at"),
    (Leg, "ring_started_at"),
    (Leg, "answered_at"),
    (Leg, "ended_at"),
    (QueueStay, "joined_at"),
    (QueueStay, "answered_at"),
    (QueueStay, "left_at"),
    (QueueStay, "wait"),
    (Attempt, "started_at"),
    (Attempt, "ended_at"),
    (Talk, "started_at"),
    (Talk, "ended_at"),
    (Transfer, "at"),
]


@pytest.mark.parametrize(
    "name", ["attended_by_the_phone", "queue_rotation", "queue_timeout", "direct_ring_group"]
)
@pytest.mark.parametrize(("kind", "field"), INSTANTS)
@pytest.mark.parametrize("by", [-0.4, 0.4, 3600.0])
def test_any_instant_that_is_off_is_found(name: str, kind: type[Any], field: str, by: float) -> None:
    """B4: each instant of each part is held against the books, to parts of a second, and that it is there at all."""
    whole = session(name)
    for fact in whole.all(kind):
        if getattr(fact, field) is None or getattr(fact, "merged_into", None) is not None:
            continue
        for wrong in (getattr(fact, field) + by, None):
            found = Session({**whole.latest, fact.key: replace(fact, **{field: wrong})})
            if wrong is not None or field not in {"started_at", "joined_at", "at"}:  # these cannot be missing
                assert reasons(found, name), f"{fact.id} {field} {wrong}"


@pytest.mark.parametrize("name", ["recorded_from_the_dialplan", "recorded_for_a_while"])
def test_a_recording_outside_its_channels_life_is_found(name: str) -> None:
    """B6: no book tells of recordings but that their channel lived."""
    whole = session(name)
    for fact in whole.all(Recording):
        for field in ("started_at", "stopped_at"):
            found = Session({**whole.latest, fact.key: replace(fact, **{field: getattr(fact, field) + 3600})})
            assert "cel_recording" in reasons(found, name)


def test_one_call_split_in_two_is_found() -> None:
    """B1: the consultation is a part of the call; were it another record, CEL's transfer would tell."""
    found = session()
    leg = found.all(Leg)[-1]
    other = replace(found.all(Call)[0], id="p-9")
    found.latest |= {leg.key: replace(leg, call_id="p-9"), other.key: other}
    assert "cel_group" in reasons(found)


def test_two_calls_in_one_record_are_found() -> None:
    """B1: two unrelated calls that became one record have nothing in common in CEL."""
    found = session(TWO)
    first = found.all(Leg)[0].call_id
    found.latest |= {leg.key: replace(leg, call_id=first) for leg in found.all(Leg)}
    assert "cel_group" in reasons(found, TWO)
