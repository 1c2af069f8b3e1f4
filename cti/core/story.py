"""The story of one call: what a person is told of it.

Types and words; `cti.core.telling` makes it of the record, and `cti.core.picture` draws it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cti.core.books import CdrRow, QueueRow
from cti.core.cel import CelRow
from cti.core.facts import Attempt, Call, Leg, Quality, QueueStay, Recording, Talk, Transfer

CALLER = "caller"
ORDER = (
    "begin",
    "refuse",
    "join",
    "ring",
    "forward",
    "miss",
    "answer",
    "leave",
    "wait",
    "talk",
    "record",
    "move",
    "silence",
    "park",
    "unpark",
    "enter",
    "exit",
    "mail",
    "mailed",
    "unrecord",
    "gone",
    "end",
    "open",
)
"""The kinds of steps, in the order in which steps of one instant are told."""


@dataclass(frozen=True, slots=True)
class Parts:
    """One call with its parts."""

    call: Call
    legs: Sequence[Leg] = ()
    stays: Sequence[QueueStay] = ()
    attempts: Sequence[Attempt] = ()
    talks: Sequence[Talk] = ()
    transfers: Sequence[Transfer] = ()
    recordings: Sequence[Recording] = ()

    @property
    def origin(self) -> str:
        """The uniqueid of the call's first channel."""
        return self.call.id.removeprefix(f"{self.call.pbx}-")

    @property
    def channels(self) -> frozenset[str]:
        """The uniqueids of all its channels."""
        return frozenset({self.origin, *(leg.uniqueid for leg in self.legs)})


@dataclass(frozen=True, slots=True)
class Books:
    """What the PBX's books say of the time of a call; a book that is not kept is None."""

    queue_log: Sequence[QueueRow] | None = None
    cel: Sequence[CelRow] | None = None
    cdr: Sequence[CdrRow] | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a book about a call."""

    at: float  # epoch; of a CDR row, its end
    book: str  # queue_log, cel, cdr
    verb: str  # what happened, in the book's own word; with the application where that has one
    channels: frozenset[str]  # uniqueids
    raw: str
    member: str = ""  # of a queue, as queue_log names them


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happened."""

    at: float
    kind: str  # one of `ORDER`
    who: str  # "" when it happened to the call as a whole
    what: str  # for people, after `who`
    source: str  # seen, queue_log, cdr, cel, mark, or guess: nobody knows the instant
    event: str = ""  # what tells it: the AMI event when seen, else the book's own word, if that is known
    to: str = ""  # with whom, if with anybody
    label: str = ""  # the same in a few words, for the picture
    channels: frozenset[str] = frozenset()  # uniqueids to which it happened
    caused_by: frozenset[str] = frozenset()  # uniqueids of who had it happen
    lines: tuple[Line, ...] = ()  # of the books, where they were read


@dataclass(frozen=True, slots=True)
class Story:
    """All of it."""

    call: Call
    steps: tuple[Step, ...]
    actors: tuple[str, ...] = ()  # in the order in which they appear
    unexplained: tuple[Line, ...] = ()  # lines of the books about the call that belong to no step


def names_of(parts: Parts) -> dict[str, str]:
    """What everybody is called, by uniqueid; one person's channels have one name, those inside the PBX too."""
    names = {leg.uniqueid: f"{leg.agent or leg.number or ''} {leg.device}".lstrip() for leg in parts.legs}
    phones: dict[str | None, set[str]] = {}
    for leg in parts.legs:
        if not leg.device.startswith("Local/"):
            phones.setdefault(leg.agent, set()).add(names[leg.uniqueid])
    for leg in parts.legs:
        if leg.agent and leg.device.startswith("Local/") and len(phones.get(leg.agent, ())) == 1:
            names[leg.uniqueid] = next(iter(phones[leg.agent]))
    return {**names, parts.origin: CALLER}


def actors_of(steps: Iterable[Step]) -> tuple[str, ...]:
    """Everybody who appears, in that order, the caller first."""
    found: dict[str, None] = {CALLER: None}
    for step in steps:
        for actor in filter(None, (step.who, step.to)):
            found.setdefault(actor)
    return tuple(found)


def in_order(steps: Iterable[Step]) -> tuple[Step, ...]:
    """By instant, and those of one instant as they are understood best."""
    return tuple(sorted(steps, key=lambda step: (step.at, ORDER.index(step.kind))))


def quality_in_words(call: Call) -> str:
    """What a person should make of the record's quality."""
    return {
        Quality.COMPLETE: "seen from beginning to end",
        Quality.GAPPED: "seen in part; what is marked otherwise came from the PBX's books",
        Quality.FROM_BOOKS: "not seen: the daemon was not listening; told from the PBX's books",
    }[call.quality]
