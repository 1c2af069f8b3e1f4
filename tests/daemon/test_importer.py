"""`cti import`: a dry run first, everything wrong at once, PINs hashed and never shown."""

import hashlib
from collections.abc import AsyncIterator
from datetime import date
from pathlib import Path

import pytest

from cti.daemon.importer import ImportPlan, apply_import, plan_import
from cti.daemon.roster_file import FileRefused, hash_pin
from routing.roster import DayKind, DutyKind, resolve
from store import Store, open_store
from tests.routing.rosters import at

EXAMPLE = Path(__file__).parents[2] / "config/people.example.toml"
NOW = at("2026-02-02 12:00")


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with await open_store(f"sqlite+aiosqlite:///{tmp_path}/cti.sqlite3") as opened:
        yield opened


async def plan(store: Store, text: str, tmp_path: Path, **environ: str) -> ImportPlan:
    path = tmp_path / "people.toml"
    path.write_text(text)
    return await plan_import(store, path, environ=environ, now=NOW)


async def refused(store: Store, text: str, tmp_path: Path, **environ: str) -> dict[str, tuple[str, str]]:
    """The problems of a file: key to (value, whole text)."""
    with pytest.raises(FileRefused) as caught:
        await plan(store, text, tmp_path, **environ)
    return {problem.key: (problem.value, str(problem)) for problem in caught.value.problems}


async def imported(store: Store, text: str, tmp_path: Path, **environ: str) -> None:
    await apply_import(store, await plan(store, text, tmp_path, **environ))


ONE = '[[people]]\nid = "2001"\nname = "王芳"\nnumber = "13800002001"\npin = "4711"\nqueues = { sales = 0 }\n'


async def test_the_example_can_be_imported_and_decides_the_duty(store: Store) -> None:
    """D2: the teaching example is a working roster without warnings."""
    found = await plan_import(store, EXAMPLE, environ={}, now=NOW)
    assert found.problems == ()
    await apply_import(store, found)
    snapshot = await store.people.load()
    roster = snapshot.roster("Asia/Shanghai")
    duty = resolve(roster, "sales", at("2026-02-03 19:00"))
    assert [(r.person, r.role.value) for r in duty.ladder] == [
        ("2002", "primary"),
        ("2003", "backup"),
        ("9001", "supervisor"),
    ]
    assert resolve(roster, "sales", at("2026-02-18 10:00")).ladder[0].person == "2002"
    assert resolve(roster, "sales", at("2026-05-20 10:00")).kind is DutyKind.DUTY  # the company's own day


async def test_a_plan_writes_nothing_and_applying_it_twice_changes_nothing(store: Store) -> None:
    """D2: dry run first; the second import has nothing to say."""
    first = await plan_import(store, EXAMPLE, environ={}, now=NOW)
    assert (await store.people.load()).people == ()
    assert {change.what for change in first.changes} == {"added"}
    await apply_import(store, first)
    second = await plan_import(store, EXAMPLE, environ={}, now=NOW)
    assert second.changes == ()
    assert second.unchanged == len(first.changes)
    assert second.lines == [f"0 added, 0 changed, 0 deactivated, 0 removed, {second.unchanged} unchanged"]
    assert second.as_dict() == {"changes": [], "unchanged": second.unchanged, "problems": []}


async def test_a_pin_is_hashed_as_the_dialplan_verifies_it_and_never_shown(
    store: Store, tmp_path: Path
) -> None:
    """C1: salt and SHA-1 of salt and PIN; not in the plan, its JSON or a repr."""
    found = await plan(store, ONE, tmp_path)
    assert "4711" not in f"{found.lines}{found.as_dict()}{found!r}"
    await apply_import(store, found)
    (person,) = (await store.people.load()).people
    salt, _, digest = person.pin.partition(":")
    assert len(salt) == 8
    assert digest == hashlib.sha1(f"{salt}4711".encode()).hexdigest()  # noqa: S324 - as agreed with the dialplan


async def test_an_unchanged_pin_keeps_its_salt_and_a_new_one_gets_a_new_salt(
    store: Store, tmp_path: Path
) -> None:
    """C1: importing the same file again is no change; without a PIN the stored one stays."""
    await imported(store, ONE, tmp_path)
    (before,) = (await store.people.load()).people
    assert (await plan(store, ONE, tmp_path)).changes == ()
    without = ONE.replace('pin = "4711"\n', "")
    assert (await plan(store, without, tmp_path)).changes == ()
    await imported(store, without, tmp_path)
    assert (await store.people.load()).people[0].pin == before.pin
    (change,) = (await plan(store, ONE.replace("4711", "0815"), tmp_path)).changes
    assert (change.what, change.detail) == ("changed", "a new PIN")
    await imported(store, ONE.replace("4711", "0815"), tmp_path)
    after = (await store.people.load()).people[0].pin
    assert after.partition(":")[0] != before.pin.partition(":")[0]
    assert hash_pin("0815", after.partition(":")[0]) == after


async def test_a_pin_can_come_from_the_environment(store: Store, tmp_path: Path) -> None:
    """C1: so that no file need hold it."""
    text = ONE.replace('pin = "4711"', 'pin_env = "PIN_2001"')
    await imported(store, text, tmp_path, PIN_2001="123456")
    pin = (await store.people.load()).people[0].pin
    assert hash_pin("123456", pin.partition(":")[0]) == pin
    problems = await refused(store, text, tmp_path)
    assert problems["people[0].pin_env"][0] == '"PIN_2001"'
    assert "not set" in problems["people[0].pin_env"][1]


@pytest.mark.parametrize(
    "line", ['pin = "927"', "pin = 9273", 'pin = "92 73"', 'pn = "9273"', 'pin_env = "9273"']
)
async def test_a_wrong_pin_is_refused_without_showing_it(store: Store, tmp_path: Path, line: str) -> None:
    """G1: no error shows a PIN, not even one in the wrong place."""
    problems = await refused(store, ONE.replace('pin = "4711"', line), tmp_path)
    assert all("927" not in text and "92 73" not in text for _, text in problems.values())


async def test_every_mistake_is_told_at_once_with_key_value_and_cure(store: Store, tmp_path: Path) -> None:
    """D2: what the file's form gets wrong, all in one go."""
    text = """
    color = "red"
    [[people]]
    id = "20A1"
    name = ""
    colour = "red"
    [[hotlines]]
    name = "sales line"
    numbers = []
    hours = { workday = { office = "9-18" } }
    [[rotations]]
    name = "week"
    starts = "2026-01-05"
    people = ["2001"]
    weekday = "mondey"
    handover = "25:00"
    [[overrides]]
    start = 2026-02-16T09:00:00
    end = 2026-02-16T08:00:00
    person = "2001"
    [[calendar]]
    date = 2026-05-20
    kind = "holiday"
    """
    problems = await refused(store, text, tmp_path)
    assert set(problems) == {
        "color",
        "people[0].id",
        "people[0].name",
        "people[0].colour",
        "hotlines[0].name",
        "hotlines[0].numbers",
        "hotlines[0].hours.workday.office",
        "rotations[0].starts",
        "rotations[0].weekday",
        "rotations[0].handover",
        "overrides[0].end",
        "calendar[0].kind",
    }
    assert 'did you mean "monday"?' in problems["rotations[0].weekday"][1]
    assert problems["hotlines[0].hours.workday.office"][0] == '"9-18"'
    assert "known here: id, name, number" in problems["people[0].colour"][1]
    assert "write for example starts = 2026-01-05" in problems["rotations[0].starts"][1]


async def test_every_reference_that_leads_nowhere_is_told_at_once(store: Store, tmp_path: Path) -> None:
    """D2: people, rotations and hotlines that do not exist, numbers that may not be dialled, twins."""
    text = (
        ONE
        + ONE.replace("13800002001", "95555555").replace("王芳", "李强")
        + """
    [[hotlines]]
    name = "sales"
    numbers = ["4008001234", "4008001234"]
    supervisor = "9009"
    rotation = "weak"
    [[rotations]]
    name = "week"
    starts = 2026-01-05
    people = ["2001", "2002"]
    [[overrides]]
    start = 2026-02-16T09:00:00
    end = 2026-02-17T08:00:00
    person = "2003"
    hotline = "sale"
    """
    )
    problems = await refused(store, text, tmp_path)
    assert set(problems) == {
        "people.id",
        "people[1].number",
        "hotlines.numbers",
        "hotlines[0].supervisor",
        "hotlines[0].rotation",
        "rotations[0].people[1]",
        "overrides[0].person",
        "overrides[0].hotline",
    }
    assert 'did you mean "week"?' in problems["hotlines[0].rotation"][1]


async def test_a_hotlines_own_number_is_nobodys_mobile(store: Store, tmp_path: Path) -> None:
    """D4: a duty mobile that is the hotline itself would ring in a circle."""
    text = ONE.replace("13800002001", "02155556666") + '[[hotlines]]\nname = "s"\nnumbers = ["02155556666"]\n'
    assert "own number" in (await refused(store, text, tmp_path))["people[0].number"][1]


@pytest.mark.parametrize(("content", "cure"), [(b"\xff", "UTF-8"), (b"a = ", "TOML")])
async def test_a_file_that_is_no_toml_is_told(
    store: Store, tmp_path: Path, content: bytes, cure: str
) -> None:
    path = tmp_path / "people.toml"
    path.write_bytes(content)
    with pytest.raises(FileRefused, match=cure):
        await plan_import(store, path)
    with pytest.raises(FileRefused, match="cannot be read"):
        await plan_import(store, tmp_path / "none.toml")


async def test_who_is_not_in_the_file_becomes_inactive_and_what_is_not_is_removed(
    store: Store, tmp_path: Path
) -> None:
    """D2: a section is the whole truth about its part; a section left out stays."""
    await apply_import(store, await plan_import(store, EXAMPLE, environ={}, now=NOW))
    found = await plan(
        store,
        ONE + "[[overrides]]\nstart = 2026-03-01T09:00:00\nend = 2026-03-02T09:00:00\nperson = '2003'\n",
        tmp_path,
    )
    told = {(c.part, c.what, c.key) for c in found.changes}
    assert ("people", "deactivated", "2002 李强") in told
    assert ("overrides", "removed", "sales-20260216T090000-2002") in told
    assert ("overrides", "added", "all-20260301T090000-2003") in told
    assert not [c for c in found.changes if c.part in {"hotlines", "rotations", "calendar"}]
    assert {p.subject for p in found.problems if p.kind.value == "person_inactive"} == {
        "person 2002",
        "person 2003",
        "person 9001",
    }
    await apply_import(store, found)
    snapshot = await store.people.load()
    assert [person.id for person in snapshot.people if person.active] == ["2001"]
    assert [override.start for override in snapshot.overrides] == [at("2026-03-01 09:00")]


async def test_changes_are_told_field_by_field(store: Store, tmp_path: Path) -> None:
    """D2: a person sees what is different, from what to what."""
    await apply_import(store, await plan_import(store, EXAMPLE, environ={}, now=NOW))
    text = (
        EXAMPLE.read_text()
        .replace("13800002002", "13800002222")
        .replace('duty = "09:00-20:00"', 'duty = "09:00-22:00"')
        .replace("backups = 1", "backups = 2")
    )
    found = await plan(store, text, tmp_path)
    assert [(c.part, c.what, c.detail) for c in found.changes] == [
        ("people", "changed", "number 13800002002 → 13800002222"),
        ("hours", "changed", "duty 09:00-20:00 → 09:00-22:00"),
        ("rotations", "changed", "backups 1 → 2"),
    ]
    await apply_import(store, found)
    assert (await plan(store, text, tmp_path)).changes == ()


async def test_local_times_are_the_rosters_zone_and_offsets_count(store: Store, tmp_path: Path) -> None:
    """D2: 09:00 is nine o'clock where the duty is; an offset says otherwise."""
    await imported(
        store,
        ONE
        + "[[overrides]]\nstart = 2026-03-01T09:00:00+00:00\nend = 2026-03-02T09:00:00+00:00\nperson='2001'\n"
        "[[calendar]]\ndate = 2027-01-01\nkind = 'day_off'\nofficial = true\n",
        tmp_path,
    )
    snapshot = await store.people.load()
    assert snapshot.overrides[0].start == at("2026-03-01 17:00")
    assert (snapshot.days[0].date, snapshot.days[0].kind) == (date(2027, 1, 1), DayKind.DAY_OFF)
