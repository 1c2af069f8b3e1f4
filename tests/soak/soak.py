"""One soak from its beginning to its judgement."""

import asyncio
import datetime as dt
import json
import random
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from store import open_store
from tests.chaos.proxy import Proxy
from tests.pbx.asterisk import Lab
from tests.pbx.provision import Tree
from tests.rig import Rig, RigError
from tests.scenarios.run import pbx_config
from tests.scenarios.scenes import loaded
from tests.soak.attendance import GRACE, compare, compare_absences, read
from tests.soak.books import Ledger
from tests.soak.clerks import CLERKS, PHONES, Clerks
from tests.soak.clerks import queues as clerks_queues
from tests.soak.crowd import STAFFED, VACANT, Crowd, Played, shift
from tests.soak.plan import Trouble, Wanted, breaks, chosen, draws
from tests.soak.records import Records
from tests.soak.rules import explain
from tests.soak.trouble import Troubles
from tests.soak.verdict import Verdict, judge

_FILLED = 180.0  # s the daemon gets to complete the last call, and to compare it
_LOST = "the database refuses"
_SHARE = 0.1  # of all plays, that may fail though the soak itself broke none of them
# In a run of so many calls a scenario that is drawn so often must be held against its plan once.
_LONG, _OFTEN = 1000, 5
_PBX_SETTINGS = 'keepalive = "5s"'
# Nobody stays back for long here; with more grace than that all absences of an agent would be one.
_SETTINGS = f'[away]\ngrace = "{GRACE:g}s"\n'


@dataclass
class Soak:
    """What goes on, for whoever watches, and what came of it."""

    wanted: Wanted
    crowd: Crowd | None = None
    troubles: Troubles | None = None
    clerks: Clerks | None = None
    changes: int = 0  # of agents' states, by the book
    phase: str = "starting Asterisk"
    began: float = field(default_factory=time.time)
    verdict: Verdict = field(default_factory=Verdict)
    judged: bool = False
    error: str = ""  # why it did not come to a judgement
    bugs: list[str] = field(
        default_factory=list
    )  # exceptions in the daemon's log, and what could not be written
    reconciled: dict[str, Any] = field(default_factory=dict)

    def figures(self) -> dict[str, Any]:
        """The last line; what is not known for want of a judgement is None."""
        verdict, done = self.verdict, self.troubles.done if self.troubles is not None else {}
        judged, begun = self.judged, self.crowd.begun if self.crowd is not None else 0
        figures = {
            "calls": verdict.calls if judged else begun,
            "kills": done.get(Trouble.KILL, 0),
            "missing": verdict.missing if judged else None,
            "duplicated": verdict.duplicated if judged else None,
            "unexplained": len(verdict.unexplained) if judged else None,
            "cuts": done.get(Trouble.CUT, 0),
            "restarts": done.get(Trouble.RESTART, 0),
            "bugs": len(self.bugs),
            "plays": len(self.played),
            "not_to_the_end": len(self.failed()),
            "never_compared": self.never_compared() if judged else None,
            "compared": verdict.compared if judged else None,
            "agent_changes": self.changes,
            "reconcile_checked": sum(one["checked"] for one in self._pbxs),
            "reconcile_explained": dict(
                Counter(one["rule"] for pbx in self._pbxs for one in pbx["explained"])
            ),
            "explained": dict(verdict.explained),
            "quality": dict(verdict.qualities),
            "hung_up_out_of_turn": sum(one.hung_up for one in self.played),
            "seconds": round(time.time() - self.began),
            "seed": self.wanted.seed,
        }
        return figures | ({"error": self.error} if self.error else {})

    def progress(self) -> dict[str, Any]:
        """How far it is."""
        crowd, troubles = self.crowd, self.troubles
        return {
            "phase": self.phase,
            "calls": f"{crowd.begun if crowd else 0}/{self.wanted.calls}",
            "overlapping": crowd.playing if crowd else 0,
            "played": len(self.played),
            "not to the end": len(self.failed()),
            "troubles": ", ".join(f"{what} {n}" for what, n in troubles.done.items()) if troubles else "",
            "broken now": troubles.now if troubles else "",
            "seconds": round(time.time() - self.began),
        }

    @property
    def played(self) -> list[Played]:
        """The plays that are over."""
        return [] if self.crowd is None else self.crowd.played

    @property
    def _pbxs(self) -> list[Mapping[str, Any]]:
        return list(self.reconciled.get("pbxs", ()))

    def failed(self) -> list[Played]:
        """Plays that did not come to their end though nobody hung up out of turn and the PBX lived."""
        died = () if self.crowd is None else self.crowd.died

        def broken(one: Played) -> bool:
            return one.hung_up or any(one.began <= at <= one.ended for at in died)

        return [one for one in self.played if one.trouble and not broken(one)]

    def never_compared(self, drawn: int = 1) -> list[str]:
        """Scenarios that were drawn at least so often, and no play of which was held against its plan."""
        verdict = self.verdict
        return sorted(
            name for name, times in verdict.drawn.items() if times >= drawn and not verdict.with_plan[name]
        )

    def amiss(self) -> list[str]:
        """What is not as it must be, in words."""
        if self.error or not self.judged:
            return [f"no end: {self.error or self.phase}"]
        wanted, figures, plays = self.wanted, self.figures(), len(self.played)
        unseen = self.never_compared(_OFTEN) if wanted.calls >= _LONG else []
        said = {
            f"{figures['calls']} calls of {wanted.calls}": figures["calls"] < wanted.calls,
            f"{figures['kills']} kills, not {wanted.kills}": figures["kills"] != wanted.kills,
            f"{figures['cuts']} cuts, not {wanted.cuts}": figures["cuts"] != wanted.cuts,
            f"{figures['restarts']} restarts, not {wanted.restarts}": figures["restarts"] != wanted.restarts,
            f"{figures['missing']} missing": figures["missing"],
            f"{figures['duplicated']} duplicated": figures["duplicated"],
            f"{figures['unexplained']} unexplained": figures["unexplained"],
            f"{len(self.bugs)} errors of the daemon": self.bugs,
            f"{len(self.failed())} of {plays} plays not to the end": len(self.failed()) > _SHARE * plays,
            f"never held against the plan: {', '.join(unseen)}": unseen,
        }
        return [text for text, is_so in said.items() if is_so]

    def well(self) -> bool:
        """Whether everything is as it must be."""
        return not self.amiss()


async def run(soak: Soak, tree: Tree, directory: Path, say: Callable[[str], None]) -> None:
    """Play it all and judge it; raises RigError when the daemon does not come back, or does not come to an end."""
    try:
        await _run(soak, tree, directory, say)
    finally:
        _keep(soak, directory)


async def _run(soak: Soak, tree: Tree, directory: Path, say: Callable[[str], None]) -> None:
    plays = tuple(loaded().values())
    config = pbx_config(plays)
    config = replace(
        config, phones=STAFFED + VACANT + PHONES, queues=(*config.queues, shift(), *clerks_queues())
    )
    async with Lab(tree, config=config, directory=directory / "lab") as lab, Proxy(lab.pbx.ami_port) as link:
        books = (lab.pbx.queue_log_path, lab.pbx.cdr_csv_path, lab.pbx.cel_path)
        rig = Rig(directory / "cti", link.port, settings=_SETTINGS, pbx_settings=_PBX_SETTINGS, books=books)
        async with rig:
            since = time.time()
            say(f"{lab.pbx.version}, seed {soak.wanted.seed}, everything in {directory}")
            await _play(soak, lab, rig, link)
            soak.phase = "letting the daemon complete its records"
            over = time.time()
            await rig.eventually(lambda: _filled(rig, over), timeout=_FILLED)
            await asyncio.sleep(1)
            soak.phase = "judging"
            soak.reconciled = await _reconcile(rig, since)
        soak.bugs = [
            str(line.get("exception", line.get("event")))
            for line in rig.lines
            if "exception" in line or str(line.get("event")).startswith(_LOST)
        ]
        ledger = Ledger.of_files(*books, since=since)
        on_record = await Records.read(rig.database_url)
        assert soak.crowd is not None
        assert soak.clerks is not None
        seats = read(lab.pbx.queue_log_path.read_text(), CLERKS, soak.clerks.restarts, since, on_record.gaps)
        soak.changes = sum(len(seat.changes) for seat in seats.values())
        of_agents = [
            *compare(seats, on_record.states, on_record.gaps),
            *compare_absences(seats, on_record.episodes),
        ]
        soak.verdict = judge(
            ledger,
            on_record,
            soak.crowd.played,
            explain,
            reconciled=soak.reconciled,
            of_agents=of_agents,
        )
        soak.judged = True


def _keep(soak: Soak, directory: Path) -> None:
    """Put what was played, and every difference with the rule that explains it, beside the books."""
    plays = ([one.play.name, one.hung_up, one.trouble, one.summary] for one in soak.played)
    _write(directory / "played", (json.dumps(play, ensure_ascii=False) for play in plays))
    found = [("", one) for one in (*soak.verdict.lost, *soak.verdict.unexplained)] + soak.verdict.by_rule
    _write(directory / "differences", (f"{rule or 'UNEXPLAINED'}: {one}" for rule, one in found))


def _write(path: Path, lines: Iterable[str]) -> None:
    path.write_text("".join(f"{line}\n" for line in lines))


async def _play(soak: Soak, lab: Lab, rig: Rig, link: Proxy) -> None:
    wanted = soak.wanted
    plays = chosen(wanted, tuple(loaded().values()))
    at_once = min(wanted.at_once, len(plays))  # nothing is played twice at a time
    crowd = soak.crowd = Crowd(lab, draws(wanted, plays), calls=wanted.calls, at_once=at_once)
    troubles = soak.troubles = Troubles(rig, link, crowd)
    clerks = soak.clerks = Clerks(lab, crowd.open, crowd.died, random.Random(f"clerks {wanted.seed}"))
    soak.phase = "playing"
    async with asyncio.TaskGroup() as group:
        group.create_task(clerks.run())
        await asyncio.gather(crowd.run(), troubles.run(breaks(wanted)))
        clerks.over.set()
    await crowd.hang_up()


async def _filled(rig: Rig, over: float) -> bool:
    """Whether no call is open, every gap is filled, and all is compared that ended up to when it was over."""
    async with await open_store(rig.database_url) as store:
        gaps = await store.queries.open_gaps("main")
    if gaps or await rig.items("/api/v1/calls", open="true"):
        return False
    [books] = (await rig.get("/api/v1/books"))["items"]
    verified = books["verified_until"]
    return verified is not None and dt.datetime.fromisoformat(verified).timestamp() >= over


async def _reconcile(rig: Rig, since: float) -> dict[str, Any]:
    """What `cti reconcile` says of the whole time."""
    begin = dt.datetime.fromtimestamp(since, dt.UTC).isoformat()
    _, out, err = await rig.run_cti("reconcile", "--json", "--from", begin)
    try:
        found: dict[str, Any] = json.loads(out)
    except ValueError:
        raise RigError(f"cti reconcile: {out}{err}") from None
    if not found["verified"]:
        raise RigError(f"cti reconcile could not compare: {out}")
    return found
