"""Calls with all their parts, put together from facts. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from cti.core.facts import Attempt, Call, Fact, Leg, QueueStay, Recording, Talk, Transfer

Part = Leg | QueueStay | Attempt | Talk | Transfer | Recording


@dataclass(slots=True)
class Whole:
    """A call with all its parts by id."""

    call: Call
    legs: dict[str, Leg] = field(default_factory=dict)
    stays: dict[str, QueueStay] = field(default_factory=dict)
    attempts: dict[str, Attempt] = field(default_factory=dict)
    talks: dict[str, Talk] = field(default_factory=dict)
    transfers: dict[str, Transfer] = field(default_factory=dict)
    recordings: dict[str, Recording] = field(default_factory=dict)

    def take(self, part: Part) -> None:
        """Add a part."""
        match part:
            case Leg():
                self.legs[part.id] = part
            case QueueStay():
                self.stays[part.id] = part
            case Attempt():
                self.attempts[part.id] = part
            case Talk():
                self.talks[part.id] = part
            case Transfer():
                self.transfers[part.id] = part
            case Recording():
                self.recordings[part.id] = part

    @property
    def channels(self) -> set[str]:
        """Uniqueids."""
        return {leg.uniqueid for leg in self.legs.values()}


def wholes(facts: Iterable[Fact]) -> dict[str, Whole]:
    """The calls among these facts, by id; what was merged into another is part of that."""
    parts = list(facts)
    calls = {fact.id: fact for fact in parts if isinstance(fact, Call)}
    found = {call.id: Whole(call) for call in calls.values() if call.merged_into is None}
    for part in parts:
        if isinstance(part, Part):
            whole = found.get(_root(calls, part.call_id))
            if whole is not None:
                whole.take(part)
    return found


def _root(calls: Mapping[str, Call], call_id: str) -> str:
    seen: set[str] = set()
    while call_id in calls and call_id not in seen:
        seen.add(call_id)
        call_id = calls[call_id].merged_into or call_id
    return call_id
