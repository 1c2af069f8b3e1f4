"""A call's story as a sequence diagram in plain characters: a column for everybody, a line for every step.

    +0.5 s    │─────▶│      │   joins at place 1
    +0.5 s    │      │─────▶│   rings

Time stands on the left and the words on the right, so that columns may be narrow: the picture fits the width that is given.
"""

import string
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from cti.core.story import Step, Story

_TIME = 10  # columns for the time
_WIDEST, _NARROWEST = 14, 3  # columns of an actor
_LABEL = 16  # columns that the words have at least
_GAP = 2  # between the last actor and the words
_OTHERS = "…"

_BOTH = frozenset({"talk", "silence"})
_OUT = frozenset({"gone", "end", "exit"})  # where a line stops
_DOUBLE = frozenset({"talk"})


@dataclass(frozen=True, slots=True)
class _Frame:
    """Where everything stands."""

    heads: Mapping[str, str]  # what stands above an actor's column
    places: Mapping[str, int]  # the column of an actor's line
    words: int  # where the words begin, after the time


def picture(story: Story, width: int = 80) -> list[str]:
    """The lines of the diagram, none wider than `width` columns; abbreviations are told below it."""
    frame = _frame(story, width)
    last = {actor: n for n, step in enumerate(story.steps) for actor in (step.who, step.to)}
    lines = [_cut(_header(frame), width)]
    for n, step in enumerate(story.steps):
        alive = {frame.places[actor] for actor in story.actors if last.get(actor, -1) >= n}
        line = _drawn(frame, step, alive)
        time = f"{step.at - story.call.started_at:+.1f} s".rjust(_TIME - _GAP).ljust(_TIME)
        lines.append(_cut(time + _padded(line, frame.words) + step.label, width).rstrip())
    return lines + _legend(story, frame, width)


def _frame(story: Story, width: int) -> _Frame:
    words = max((_wide(step.label) for step in story.steps), default=0)
    words = min(words, max(_LABEL, width // 3))
    room = max(width - _TIME - _GAP - words, _NARROWEST)
    actors = story.actors[: max(1, room // _NARROWEST)]
    most = min(_WIDEST, room // len(actors))
    heads = _heads(story.actors, actors, most) or _letters(story.actors, actors)
    each = max(_NARROWEST, min(most, max(map(_wide, heads.values())) + 2))
    places = {actor: place * each + each // 2 for actor, place in _places(story.actors, actors)}
    return _Frame(heads, places, each * len(actors) + _GAP)


def _places(everybody: Sequence[str], shown: Sequence[str]) -> Iterator[tuple[str, int]]:
    """Everybody's column; those for whom there is no room share the last."""
    for n, actor in enumerate(everybody):
        yield actor, min(n, len(shown) - 1)


def _heads(everybody: Sequence[str], shown: Sequence[str], each: int) -> dict[str, str] | None:
    """The names themselves, or their first words, where they fit and tell everybody apart.

    A letter for whoever has none that fits; None where most would have one.
    """
    if len(shown) < len(everybody):
        return None
    for short in (str, _short):
        heads = {actor: short(actor) for actor in everybody}
        clear = {
            actor: head for actor, head in heads.items()
            if _wide(head) < each and list(heads.values()).count(head) == 1
        }  # fmt: skip
        if len(clear) == len(everybody):
            return clear
    if len(clear) * 2 < len(everybody):
        return None
    return {actor: clear.get(actor, letter) for actor, letter in _letters(everybody, shown).items()}


def _short(actor: str) -> str:
    """The agent or number of a phone, the name of a queue, a conference or a mailbox."""
    first, _, second = actor.partition(" ")
    return (second if first in {"queue", "conference", "mailbox"} else first) or actor


def _letters(everybody: Sequence[str], shown: Sequence[str]) -> dict[str, str]:
    """A letter for everybody, and one sign for all those for whom there is no room."""
    names = [*string.ascii_uppercase, *(f"{a}{b}" for a in string.ascii_uppercase for b in string.digits)]
    heads = dict(zip(everybody, names, strict=False))
    if len(shown) < len(everybody):
        heads |= dict.fromkeys(everybody[len(shown) - 1 :], _OTHERS)
    return heads


def _header(frame: _Frame) -> str:
    seen: dict[int, str] = {}
    for actor, place in frame.places.items():
        seen.setdefault(place, frame.heads[actor])
    line = ""
    for place, head in sorted(seen.items()):
        line = _padded(line, place - _wide(head) // 2) + head
    return " " * _TIME + line


# --- lines ----------------------------------------------------------------------------------------------------------


def _drawn(frame: _Frame, step: Step, alive: set[int]) -> str:
    line = [" "] * (frame.words - _GAP)
    for at in alive:
        line[at] = "│"
    who, to = frame.places.get(step.who), frame.places.get(step.to)
    if who is not None and to is not None and who != to:
        _arrow(line, step, who, to)
    elif who is not None:
        line[who] = "x" if step.kind in _OUT else "●"
    else:
        line = ["═" if step.kind == "end" else sign for sign in line]
    return "".join(line)


def _arrow(line: list[str], step: Step, start: int, end: int) -> None:
    left, right = min(start, end), max(start, end)
    dash = "═" if step.kind in _DOUBLE else "─"
    line[left + 1 : right] = dash * (right - left - 1)
    if end > start or step.kind in _BOTH:
        line[right - 1] = "▶"
    if end < start or (step.kind in _BOTH and right - left > _GAP):
        line[left + 1] = "◀"


def _legend(story: Story, frame: _Frame, width: int) -> list[str]:
    """Whose line is whose, where the head does not say it in full."""
    told = [f"{head} = {actor}" for actor, head in frame.heads.items() if head not in {actor, _OTHERS}]
    others = [actor for actor in story.actors if frame.heads[actor] == _OTHERS]
    if others:
        told.append(f"{_OTHERS} = {len(others)} others: {', '.join(others)}")
    lines: list[str] = []
    for one in told:
        if lines and _wide(lines[-1]) + len(one) + _GAP <= width:
            lines[-1] += f"; {one}"
        else:
            lines.append(one)
    return [_cut(line, width) for line in lines]


# --- widths ---------------------------------------------------------------------------------------------------------


def _wide(text: str) -> int:
    """How many columns of a terminal it takes."""
    return sum(map(_columns, text))


def _columns(char: str) -> int:
    if unicodedata.combining(char):
        return 0
    return 2 if unicodedata.east_asian_width(char) in {"W", "F"} else 1


def _padded(text: str, columns: int) -> str:
    return text + " " * max(0, columns - _wide(text))


def _cut(text: str, width: int) -> str:
    """No wider than this; what is cut off is shown as `…`."""
    if _wide(text) <= width:
        return text
    kept, taken = "", 1
    for char in text:
        taken += _columns(char)
        if taken > width:
            break
        kept += char
    return f"{kept}…"
