"""The soak in short: every kind of call while the daemon is killed, its links cut and the PBX killed (B3, B4)."""

from pathlib import Path

import pytest

from tests.pbx.provision import find_tree, provision
from tests.soak.plan import Wanted
from tests.soak.soak import Soak, run

pytestmark = [pytest.mark.pbx, pytest.mark.timeout(400 if find_tree() is not None else 1000)]

WANTED = Wanted(calls=120, kills=2, cuts=1, restarts=1, at_once=12, seed=20261122, longest=4.0)

# Other tests run beside this one: a script's pause may outlast what it was to meet. Then the books say what happened.
OF_THE_SCRIPT = ("plan_", "count")
FEW = 5  # lines; a call told wrong on a machine that stalls is told by several, and `make soak` asks for none
ABSENCE = "absence_"  # after gaps within seconds one is now and then in two; `make soak` counts them


async def test_no_call_is_missing_or_double(tmp_path: Path) -> None:
    """B3, B4: after two deaths of the daemon, a cut and a restart every call of the books is on record, once, as they have it."""
    soak = Soak(WANTED)
    await run(soak, provision(), tmp_path, print)
    verdict = soak.verdict
    assert not soak.bugs, soak.bugs[0]
    assert not verdict.lost, "\n".join(map(str, verdict.lost))
    against_books = [one for one in verdict.unexplained if not one.kind.startswith((*OF_THE_SCRIPT, ABSENCE))]
    assert len(against_books) <= FEW, "\n".join(map(str, against_books))
    figures = soak.figures()
    assert verdict.calls >= WANTED.calls
    assert (figures["kills"], figures["cuts"], figures["restarts"]) == (2, 1, 1)
