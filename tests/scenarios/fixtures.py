"""The committed runs: each scenario's recorded stream, the books of the same run, and who was who."""

import json
from pathlib import Path

from cti.core.facts import QueueStay
from tests.scenarios.celbook import beside_cel
from tests.scenarios.judge import (
    Books,
    Run,
    compared,
    differences,
    hear,
    placed,
    states_held,
    unexplained,
)
from tests.scenarios.model import Scenario
from tests.scenarios.run import FIXTURES


def books_of(play: Scenario, directory: Path = FIXTURES) -> Books:
    """The books of the committed run."""
    return Books.read(
        *((directory / f"{play.name}.{book}").read_text() for book in ("queue_log", "cdr.csv", "cel.csv"))
    )


def run_of(play: Scenario, directory: Path = FIXTURES) -> Run:
    """Who was who in the committed run."""
    return Run.of(play, json.loads((directory / f"{play.name}.json").read_text()))


def judged(play: Scenario, directory: Path = FIXTURES) -> list[str]:
    """Everything that is wrong with the record of a committed run, as lines for a person."""
    heard, run = hear(directory / f"{play.name}.ami.gz"), run_of(play, directory)
    books = books_of(play, directory)
    session = placed(heard, books.rows())
    report = compared(session, books, run)
    out = differences(heard, run) + states_held(session, run) + unexplained(report, run)
    out += differences(session, run) if session.latest != heard.latest else []
    out += [f"{stay.id} has no queue" for stay in session.all(QueueStay) if not stay.queue]
    out += [str(odd) for odd in beside_cel(heard, books) if odd.reason not in play.explained]
    out += [str(odd) for odd in beside_cel(session, books) if odd.reason not in play.explained]
    out += [f"rejected: {fact.reason} {fact.detail}" for fact in session.rejected]
    if not report.checked:
        out.append("nothing was compared with the books")
    return out
