"""How near to the truth a record must be in what the books do not tell (`tests.scenarios.untold`), value by value."""

from collections import Counter
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet

from cti.core.facts import EndedBy
from tests.scenarios.model import Moved, Record, Scenario, Talked, Taped
from tests.soak.verdict import Difference

FEW = 3.0  # s
_NO_SIGN = frozenset({EndedBy.SYSTEM, EndedBy.UNKNOWN})
_DECIDED_LATER = frozenset(
    {"attended", "half_finished"}
)  # transfers, told apart by whether the target has answered
_NO_NUMBER = frozenset({None, "", "s"})  # "s": where a program has a channel begin


def is_near(one: Difference, untold: AbstractSet[str]) -> bool:
    """Whether what is on record is missing or nearly right, these fields of its kind of call being untold."""
    if one.kind in _OF_PLAY:
        return one.plan is not None and _OF_PLAY[one.kind](one, *one.plan, untold)
    match one.kind, one.ours, one.book:
        case "count", float(ours), float(book):
            near = abs(ours - book) == 1
        case "talk", float(ours), float(book):
            near = abs(ours - book) <= FEW or (ours == 0 and "talk" in untold)
        case _:
            near = False
    return near


def _talks(one: Difference, is_: Record, must: Record, untold: AbstractSet[str]) -> bool:
    """The declared ones, one perhaps cut in two or missing; of an outside line that is untold any number."""
    left, more = list(must.talks), list[Talked]()
    known = {talk.who for talk in must.talks}
    for talk in sorted(is_.talks, key=lambda talk: talk.who not in known):
        same = next((other for other in left if _same(one, talk, other, untold)), None)
        if same is None:
            more.append(talk)
        else:
            left.remove(same)
    longest = max((talk.seconds or 0.0 for talk in must.talks), default=0.0) + one.close
    cut = not more or not untold.isdisjoint({"talk", "talk.started_at", "talk.ended_at"})
    if any(talk.who not in known or (talk.seconds or 0.0) > longest for talk in more):
        return False
    return cut and len(more) <= 1 and (not left or ("talk" in untold and len(left) == 1))


def _same(one: Difference, talk: Talked, other: Talked, untold: AbstractSet[str]) -> bool:
    outside = "leg.number" in untold and not _of_house(talk.who) and talk.who not in one.own
    who = talk.who == other.who or outside
    queue = talk.queue == other.queue or (
        talk.queue is None and not untold.isdisjoint({"talk", "talk.queue"})
    )
    near = other.seconds is None or abs((talk.seconds or 0.0) - other.seconds) <= one.close
    return who and queue and near


def _of_house(who: str) -> bool:
    """Whether it is an extension or an agent's number."""
    return who.isdigit() and len(who) == 4


def _transfers(one: Difference, is_: Record, must: Record, untold: AbstractSet[str]) -> bool:
    if "transfer" in untold:
        return not Counter(is_.transfers) - Counter(must.transfers)

    def near(moved: Moved, other: Moved) -> bool:
        kind = moved.kind == other.kind or ("transfer.kind" in untold and moved.kind in _DECIDED_LATER)
        to = moved.to == other.to or ("transfer.to" in untold and (not moved.to or moved.to in one.own))
        result = moved.result == other.result or "transfer.result" in untold
        return kind and to and result and moved.by == other.by

    return len(is_.transfers) == len(must.transfers) and all(map(near, is_.transfers, must.transfers))


Near = Callable[[Difference, Record, Record, AbstractSet[str]], bool]

_OF_PLAY: Mapping[str, Near] = {
    "plan_talks": _talks,
    "plan_transfers": _transfers,
    "plan_ended_by": lambda _, is_, __, ___: is_.ended_by in _NO_SIGN,
    "plan_dialed": lambda _, is_, __, ___: is_.dialed in _NO_NUMBER,
    "plan_caller": lambda one, is_, _, __: not is_.caller or is_.caller in one.own,
    "plan_caller_name": lambda _, is_, __, ___: not is_.caller_name,
}


# --- recordings


def by_program(play: Scenario, tape: Taped) -> bool:
    """Whether a program, not the dialplan, has this recorded."""
    plan = "\n".join((*(step for steps in play.numbers.values() for step in steps), play.contexts))
    return tape.file.rpartition("/")[2] not in plan


def tapes_near(play: Scenario, one: Difference) -> bool:
    """Whether the recordings are the declared ones, but for those by a program: each not there, or until its channel's end."""
    if one.plan is None:
        return False
    is_, must = one.plan
    left = list(is_.recordings)
    for tape in must.recordings:
        same = next((other for other in left if other.file.endswith(tape.file)), None)
        if same is not None:
            left.remove(same)
        if not by_program(play, tape):
            if same is None or not _as_long(same, tape, one.close):
                return False
        elif same is not None and not _until_the_end(same, tape, one):
            return False
    return not left


def _as_long(tape: Taped, other: Taped, close: float) -> bool:
    return abs(tape.seconds - other.seconds) <= close and abs(tape.paused - other.paused) <= close


def _until_the_end(tape: Taped, other: Taped, one: Difference) -> bool:
    """Neither shorter than it was, nor longer than its call; a pause nobody saw the end of may last as long."""
    return other.seconds - one.close <= tape.seconds <= one.lasted and 0 <= tape.paused <= tape.seconds
