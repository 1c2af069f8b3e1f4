"""The soak in short: every kind of call while the daemon is killed, its links cut and the PBX killed (B3, B4)."""

from pathlib import Path

import pytest

from tests.pbx.provision import find_tree, provision
from tests.scenarios.scenes import loaded
from tests.soak.plan import Wanted
from tests.soak.soak import Soak, run

pytestmark = [
    pytest.mark.pbx,
    pytest.mark.alone,
    pytest.mark.timeout(400 if find_tree() is not None else 1000),
]

# As many calls as all scenarios have, so that each is drawn.
WANTED = Wanted(
    calls=sum(len(play.records) for play in loaded().values()),
    kills=2,
    cuts=1,
    restarts=1,
    at_once=12,
    seed=20261122,
    longest=4.0,
)


async def test_no_call_is_missing_or_double(tmp_path: Path) -> None:
    """B3, B4: after two deaths of the daemon, a cut and a restart every call of the books is on record, once, as they have it."""
    soak = Soak(WANTED)
    await run(soak, provision(), tmp_path, print)
    verdict, figures = soak.verdict, soak.figures()
    print(figures)
    assert not soak.bugs, soak.bugs[0]
    assert not verdict.lost, "\n".join(map(str, verdict.lost))
    assert not verdict.unexplained, "\n".join(map(str, verdict.unexplained))
    assert soak.well(), soak.amiss()
    assert (figures["kills"], figures["cuts"], figures["restarts"]) == (2, 1, 1)
    assert set(verdict.drawn) == set(loaded())
