"""Faults as rows of docs/scenarios.md: each is a test that does it to recorded calls, or does it to a live PBX.

`@fault` enters a test; `ELSEWHERE` names those that stand where their machinery is.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from tests.pbx.provision import PROJECT_ROOT

_IDS = re.compile(r"^([A-G]\d(, )?)+: | \([A-G]\d(, [A-G]\d)*\)")
T = TypeVar("T", bound=Callable[..., Any])


@dataclass(frozen=True)
class Named:
    """One fault: what is done, what the record must say then, and which test proves it."""

    name: str
    what: str
    says: str
    test: str  # path::function


FAULTS: dict[str, Named] = {}


def fault(says: str) -> Callable[[T], T]:
    """Enter a test under its name; its text says what is done, `says` what must hold."""

    def enter(test: T) -> T:
        name = test.__name__.removeprefix("test_")
        path = Path(test.__code__.co_filename).relative_to(PROJECT_ROOT)
        FAULTS[name] = Named(name, _sentence(test.__doc__ or ""), says, f"{path}::{test.__name__}")
        return test

    return enter


def _sentence(text: str) -> str:
    """The first paragraph, without the ids of the needs, as a sentence."""
    plain = _IDS.sub("", " ".join(text.strip().partition("\n\n")[0].split()))
    return plain[:1].upper() + plain[1:]


ELSEWHERE = [
    Named(
        "pbx_killed_under_load",
        "Asterisk is killed (-9) under load and started again.",
        "each call is one record with an end; agents stay logged in; link and restart are faults with begin and end",
        "tests/chaos/test_pbx_killed.py::test_no_call_is_lost_by_killing_asterisk_in_mid_call",
    ),
    Named(
        "link_cut_and_black_holed",
        "The link is cut for three seconds, and later silent for thirty with its connections open (AMI reconnect).",
        "no call missing, none twice; what lived across it is completed from the books; two faults with begin and end",
        "tests/chaos/test_link.py::test_a_cut_link_and_a_black_hole_lose_no_call",
    ),
    Named(
        "attached_to_a_busy_pbx",
        "A second listener connects to a real PBX in the middle of all scenarios, several calls under way.",
        "what was under way is `gapped` and ends as it did; every later call is exactly as the first listener has it",
        "tests/scenarios/test_live.py::test_attached_while_people_talk",
    ),
    Named(
        "missed_and_filled_in",
        "In every recorded scenario the daemon dies and comes back, at six pairs of places drawn once; then the books are read.",
        "the declared record, but for what a rule below explains; a second filling changes nothing",
        "tests/scenarios/test_gaps.py::test_the_books_complete_what_was_missed",
    ),
    Named(
        "killed_at_any_event",
        "In every recorded scenario the daemon dies at any event, and goes on from its store and the lists of its login.",
        "the same calls with the same ends; an end that fell into the gap may be `unknown`",
        "tests/scenarios/test_restart.py::test_killed_at_any_event",
    ),
]
"""Those that break a real PBX, link or daemon, or need its books: tests that stand where their machinery is."""
