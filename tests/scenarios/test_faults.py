"""What the record must say when something breaks in the middle of a call: each fault, done to every recorded scenario."""

import ast
import csv
import io
import random
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from functools import cache
from zoneinfo import ZoneInfo

import pytest

from cti.core import events as ev
from cti.core.books import CUSTOM_COLUMNS, CdrRow, parse_cdr_line
from cti.core.core import Core
from cti.core.facts import (
    Call,
    Disposition,
    EndedBy,
    Fact,
    FactKey,
    Fault,
    FaultKind,
    Leg,
    Quality,
    QueueStay,
    Rejected,
    Talk,
)
from tests.pbx.provision import PROJECT_ROOT
from tests.scenarios.faults import ELSEWHERE, Named, fault
from tests.scenarios.fixtures import books_of, run_of
from tests.scenarios.injury import cuts, in_the_middle, login, moved, shuffled, told
from tests.scenarios.judge import (
    PBX,
    RULES,
    Session,
    compared,
    differences,
    events_of,
    placed,
    unexplained,
)
from tests.scenarios.run import FIXTURES
from tests.scenarios.scenes import loaded

AWAY = 30.0  # s for which a PBX was gone
MOMENT = 0.002  # s within which Asterisk's threads may tell of channels in any order


@cache
def stream(name: str) -> tuple[ev.Event, ...]:
    return tuple(events_of(FIXTURES / f"{name}.ami.gz"))


@cache
def undisturbed(name: str) -> Session:
    """What is on record when nothing breaks; not to be changed."""
    return told(stream(name))


def standing(session: Session) -> dict[str, Call]:
    return {call.id: call for call in session.all(Call) if call.merged_into is None}


def groups(session: Session) -> dict[str, frozenset[str]]:
    """Which channels are one call."""
    found: dict[str, set[str]] = {}
    for leg in session.all(Leg):
        found.setdefault(leg.call_id, set()).add(leg.uniqueid)
    return {call: frozenset(channels) for call, channels in found.items()}


def open_parts(session: Session) -> list[str]:
    """Ids of what has no end."""
    calls = [
        call.id for call in standing(session).values() if call.disposition is None or call.ended_at is None
    ]
    parts = [leg.id for leg in session.all(Leg) if leg.ended_at is None]
    parts += [stay.id for stay in session.all(QueueStay) if stay.outcome is None]
    return calls + parts + [talk.id for talk in session.all(Talk) if talk.ended_at is None]


def strangers(session: Session, whole: Session) -> list[set[str]]:
    """Calls that have nothing to do with each other and are one here."""
    right = {own: call for call, channels in groups(whole).items() for own in channels}
    of_calls = ({right[own] for own in channels if own in right} for channels in groups(session).values())
    return [calls for calls in of_calls if len(calls) > 1]


def apart(session: Session, right: Mapping[str, frozenset[str]]) -> list[frozenset[str]]:
    """Channels that belong together and are in two calls here."""
    ours = {own: call for call, channels in groups(session).items() for own in channels}
    return [one for one in right.values() if len({ours[own] for own in one if own in ours}) > 1]


def by_linkedid(seen: ev.Resynced) -> dict[str, frozenset[str]]:
    """What the list itself says belongs together: who is in a conference shares it with strangers, and their linkedid."""
    shared = {bridge.bridge for bridge in seen.bridges or () if bridge.kind != "basic"}
    found: dict[str, set[str]] = {}
    for channel in seen.channels:
        if channel.bridge in shared:
            continue
        found.setdefault(channel.linkedid, set()).add(channel.uniqueid)
    return {linkedid: frozenset(channels) for linkedid, channels in found.items()}


def faults(session: Session) -> Mapping[FaultKind, Fault]:
    return {one.kind: one for one in session.all(Fault)}


@fault(
    "what was over is `complete` and as it was; what lived is `gapped`, ended when the PBX was last heard, answered only if it was seen; link and restart have a begin and an end"
)
@pytest.mark.parametrize("name", loaded())
def test_pbx_killed_in_mid_call(name: str) -> None:
    """A3, B3: Asterisk dies at any moment and comes back half a minute later, without a channel."""
    events = stream(name)
    whole = undisturbed(name)
    ids = {call.id for call in whole.all(Call)}
    for heard in in_the_middle(events):
        core, at = Core(PBX, RULES), events[heard - 1].at
        session = told(events[:heard], core=core)
        before, known = standing(session), groups(session)
        lived = {call.id: call.ended_by for call in core.calls.calls.values()}
        back = replace(login(events[:1], 1), at=at + AWAY, booted_at=at + AWAY - 5)
        told([ev.LinkLost(at + 0.1, "reset"), back], core=core, session=session)
        assert (session.leftovers, open_parts(session)) == ([], [])
        assert (strangers(session, whole), apart(session, known)) == ([], [])
        assert standing(session).keys() <= ids
        for call in standing(session).values():
            if call.id not in lived:
                assert call == before[call.id]
                continue
            assert (call.quality, call.ended_at) == (Quality.GAPPED, at + 0.1)
            assert (call.disposition is Disposition.ANSWERED) == (call.answered_at is not None)
            assert call.ended_by is (lived[call.id] or EndedBy.UNKNOWN)
        kinds = faults(session)
        assert kinds[FaultKind.LINK].ended_at == kinds[FaultKind.PBX_RESTART].ended_at == back.at
        assert kinds[FaultKind.PBX_RESTART].began_at == at + 0.1


@fault(
    "what was heard whole is `complete` and as it was; what lived meanwhile is `gapped`, the same call with the same id, answered only if it was; nothing unrelated is joined"
)
@pytest.mark.parametrize("overflow", [False, True], ids=["link", "overflow"])
@pytest.mark.parametrize("name", loaded())
def test_events_lost_in_mid_call(name: str, overflow: bool) -> None:
    """A1, B3: the link breaks in mid-call (AMI reconnect), or more comes than can be taken: what is said in between is lost."""
    events = stream(name)
    whole = undisturbed(name)
    for dies, returns in cuts(name, events):
        core = Core(PBX, RULES)
        session = told(events[:dies], core=core)
        over = {id_: call for id_, call in standing(session).items() if call.ended_at is not None}
        lost = ev.LinkLost(events[dies - 1].at, "gone", overflow)
        back = login(events, returns)
        told([lost, back, *events[returns:]], core=core, session=session)
        assert (session.leftovers, open_parts(session)) == ([], [])
        assert strangers(session, whole) == []
        assert {id_: session.latest[call.key] for id_, call in over.items()} == over
        last = events[dies - 1].at
        for call in standing(session).values():
            seen_whole = call.started_at > back.at or call.id in over
            assert (call.quality is Quality.COMPLETE) == seen_whole, call
            right = standing(whole).get(call.id)
            if right is not None and call.answered_at is not None and call.answered_at <= last:
                assert call.answered_at == right.answered_at
            if right is not None and call.disposition is Disposition.ANSWERED:
                assert right.disposition is Disposition.ANSWERED
        kind = FaultKind.OVERFLOW if overflow else FaultKind.LINK
        assert faults(session)[kind].ended_at is not None


@fault(
    "`gapped`, begun when the oldest channel was made (to the list's second); channels of one linkedid are one call (but in a conference), unrelated ones never; answered only if it was"
)
@pytest.mark.parametrize("name", loaded())
def test_attached_to_live_calls(name: str) -> None:
    """A1, B3: the daemon starts for the first time while people talk, wait and ring."""
    events = stream(name)
    whole = undisturbed(name)
    for heard in in_the_middle(events):
        seen = login(events, heard)
        session = told([seen, *events[heard:]])
        assert (session.leftovers, open_parts(session)) == ([], [])
        assert (strangers(session, whole), apart(session, by_linkedid(seen))) == ([], [])
        listed = {channel.uniqueid for channel in seen.channels}
        for leg in session.all(Leg):
            call = standing(session)[leg.call_id]
            right = standing(whole).get(call.id)
            if leg.uniqueid in listed:
                assert call.quality is Quality.GAPPED
            if right is not None:
                assert abs(call.started_at - right.started_at) <= 1.0
            if right is not None and call.disposition is Disposition.ANSWERED:
                assert right.disposition is Disposition.ANSWERED, (heard, events[heard - 1])


def on_record(session: Session) -> dict[FactKey, Fact]:
    """All of it: parts of calls, agents' states, faults; not what was refused, which is counted and not kept."""
    return {key: fact for key, fact in session.latest.items() if not isinstance(fact, Rejected)}


@fault("`complete`, and the same record, with all its parts, in every field")
@pytest.mark.parametrize("name", loaded())
def test_everything_told_again(name: str) -> None:
    """B1: each event comes twice in a row, and the whole stream once more after its end."""
    events = stream(name)
    core = Core(PBX, RULES)
    session = told((event for once in events for event in (once, once)), core=core)
    assert differences(session, run_of(loaded()[name])) == []
    assert on_record(session) == on_record(undisturbed(name))
    told(events[1:], core=core, session=session)
    assert on_record(session) == on_record(undisturbed(name))


@fault("`complete`, and the same record")
@pytest.mark.parametrize("name", loaded())
def test_channels_told_out_of_step(name: str) -> None:
    """B1: within two milliseconds what is about different channels and bridges comes in any order."""
    events, dice = stream(name), random.Random(name)
    for _ in range(3):
        session = told(shuffled(events, MOMENT, dice, in_order=True))
        assert differences(session, run_of(loaded()[name])) == []


@fault(
    "no call, channel or bridge is held on to once the PBX has none; every part has an end; nothing unrelated is joined"
)
@pytest.mark.parametrize("name", loaded())
def test_everything_out_of_order(name: str) -> None:
    """A1: within two milliseconds anything comes before anything, effects before causes: no PBX does that."""
    events, dice = stream(name), random.Random(name)
    whole = undisturbed(name)
    for _ in range(3):
        core = Core(PBX, RULES)
        session = told(shuffled(events, MOMENT, dice, in_order=False), core=core)
        told([replace(login(events[:1], 1), at=events[-1].at + 1)], core=core, session=session)
        assert (session.leftovers, open_parts(session)) == ([], [])
        assert strangers(session, whole) == []


@fault("`complete`, and every duration as it was")
@pytest.mark.parametrize("by", [-3600.0, 7.5])
@pytest.mark.parametrize("name", loaded())
def test_clock_stepped_in_mid_call(name: str, by: float) -> None:
    """A3: the PBX's clock is put, an hour back or seconds forward, at any moment of a call."""
    events = stream(name)
    for heard in in_the_middle(events, 4):
        later = [moved(event, by) for event in events[heard:]]
        step = ev.ClockStepped(later[0].at if later else events[-1].at + by, by)
        session = told(events[:heard], [step], later)
        assert differences(session, run_of(loaded()[name])) == []


def in_local_time(cdr: str, by: float, zone: ZoneInfo) -> list[CdrRow]:
    """The CDR book so much later, as a PBX without `usegmtime` would have written it."""
    rows = []
    for row in csv.reader(cdr.splitlines()):
        for n in (CUSTOM_COLUMNS.index(name) for name in ("start", "answer", "end")):
            if row[n].strip("0."):
                row[n] = f"{datetime.fromtimestamp(float(row[n]) + by, zone):%Y-%m-%d %H:%M:%S}"
        line = io.StringIO()
        csv.writer(line).writerow(row)
        read = parse_cdr_line(line.getvalue().rstrip(), timezone=zone)
        assert isinstance(read, CdrRow), read
        rows.append(read)
    return rows


@fault("`complete`, and every duration as it was; a CDR book that is kept in local time still agrees")
@pytest.mark.parametrize("change", ["2026-03-29T01:00:00Z", "2026-10-25T01:00:00Z"], ids=["begins", "ends"])
@pytest.mark.parametrize("name", loaded())
def test_summer_time_in_mid_call(name: str, change: str) -> None:
    """A3, B4: the hour that is missing, or comes twice, where the PBX stands, begins in the middle of a call."""
    events, run = stream(name), run_of(loaded()[name])
    by = datetime.fromisoformat(change).timestamp() - events[len(events) // 2].at
    session = told(moved(event, by) for event in events)
    assert differences(session, run) == []
    books = books_of(run.scenario)
    log = tuple(replace(row, at=row.at + round(by)) for row in books.queue_log)
    cdr = in_local_time((FIXTURES / f"{name}.cdr.csv").read_text(), by, ZoneInfo("Europe/Berlin"))
    session = placed(session, replace(moved(books.rows(), by), queue_log=log))
    assert differences(session, run) == []
    assert unexplained(compared(session, replace(books, queue_log=log, cdr=tuple(cdr)), run), run) == []


@fault("the records of each as declared, and no id in common")
@pytest.mark.parametrize("name", loaded())
def test_two_pbxs_with_equal_uniqueids(name: str) -> None:
    """A2: two PBXs say the very same, event by event: same uniqueids, channels, queues and agents."""
    events, run = stream(name), run_of(loaded()[name])
    one, two = told(events), told(events, core=Core("q", RULES))
    assert differences(one, run) == differences(two, run) == []
    assert not one.latest.keys() & two.latest.keys()


@pytest.mark.parametrize("row", ELSEWHERE, ids=lambda row: row.name)
def test_every_fault_elsewhere_has_its_test(row: Named) -> None:
    """B4: the rows of docs/scenarios.md that name tests elsewhere name tests that are there."""
    path, _, name = row.test.partition("::")
    tree = ast.parse((PROJECT_ROOT / path).read_text())
    assert name in {getattr(node, "name", "") for node in ast.walk(tree)}
