"""What the tellers of a call's story write with: the names of everybody, and the steps so far."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from cti.core.facts import Attempt, AttemptOutcome, Leg, Talk, Transfer
from cti.core.provenance import source_of
from cti.core.story import CALLER, Parts, Step


class Scribe:
    """Takes down the steps of one call."""

    def __init__(self, parts: Parts, names: Mapping[str, str], gap_ends: Sequence[float]) -> None:
        """`names` are by uniqueid; `gap_ends` are instants at which somebody looked again."""
        self.parts, self._gaps = parts, gap_ends
        self.steps: list[Step] = []
        self.names = {f"{parts.call.pbx}-{uniqueid}": name for uniqueid, name in names.items()}
        self.legs = {leg.id: leg for leg in parts.legs}

    def add(  # noqa: PLR0917 - the columns of one line
        self,
        part: Any,
        name: str,
        kind: str,
        who: str,
        what: str,
        event: str,
        *,
        to: str = "",
        label: str = "",
        about: Iterable[str] = (),
        by: Iterable[str] = (),
    ) -> None:
        """Take down what happened at the instant that this field of a part has, if it has one; see `Step`.

        `about` and `by` are the uniqueids to which it happened and of who had it happen.
        """
        at = getattr(part, name)
        if at is None:
            return
        source = source_of(part, name, self._gaps)
        known = event if source == "seen" else ""
        channels = frozenset(about or [uniqueid_of(part)])
        cause = frozenset(filter(None, by))
        self.steps.append(Step(at, kind, who, what, source, known, to, label or what, channels, cause))

    def party(self, part: Talk | Transfer) -> str:
        """Who talks, or hands on."""
        return self.names.get(part.id.rpartition("/")[0], part.device if isinstance(part, Talk) else part.by)

    def linked(self, leg_id: str) -> str:
        """The linkedid of a leg: the uniqueid of the first channel of what it belongs to."""
        leg = self.legs.get(leg_id)
        return leg.linkedid if leg is not None else ""

    def dialler(self, leg_id: str) -> str:
        """Who had this phone rung: the queue, whoever began the consultation it belongs to, or else the caller."""
        leg = self.legs.get(leg_id)
        if leg is not None and (known := self._behind(leg)):
            return known
        linked = f"{self.parts.call.pbx}-{self.linked(leg_id)}"
        name = self.names.get(linked, CALLER)
        return CALLER if linked == leg_id or name == self.names.get(leg_id) else name

    def _behind(self, leg: Leg) -> str:
        """Who had a phone rung through channels of the PBX's own: a queue, or an agent who consults by feature code."""
        for one in self.parts.attempts:
            if leg.agent and one.agent == leg.agent and one.device.startswith("Local/"):
                return f"queue {one.queue}" if one.queue else CALLER
        for handed in self.parts.transfers:
            consulted = handed.kind != "blind" and leg.number and leg.number == handed.to
            if consulted and leg.dialed and leg.started_at < handed.at:
                return self.party(handed)
        return ""

    def picked_up_at(self, at: float | None) -> bool:
        """Whether somebody took a call at this instant that rang at another phone."""
        return any(is_pickup(one) and one.started_at == at for one in self.parts.attempts)


def is_pickup(attempt: Attempt) -> bool:
    """A phone that took what rang elsewhere never rang: its attempt has no length."""
    return attempt.outcome is AttemptOutcome.ANSWERED and attempt.started_at == attempt.ended_at


def uniqueid_of(part: Any) -> str:
    """The uniqueid of the channel that a part is named after."""
    return str(part.id.partition("/")[0].removeprefix(f"{part.pbx}-"))


def words(value: str) -> str:
    """An enumerated word, for people."""
    return value.replace("_", " ")
