"""The file that `cti import` reads: TOML to `store.people.PeoplePart`, strict, every mistake at once with its cure.

A section that stands in the file is the whole truth about its part: who is not in `[[people]]` any more becomes
inactive, a hotline, rotation, override or day that is not in its section any more is removed. A section that is not in
the file stays as the database has it. PINs are hashed here and nowhere shown.
"""

import hashlib
import re
import secrets
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from pydantic import ValidationError

from config.problems import HIDDEN, Problem, alike, explain, shown
from cti.daemon.errors import ImportRefused
from cti.daemon.roster_tables import (
    WEEKDAYS,
    DayTable,
    HotlineTable,
    OverrideTable,
    PersonTable,
    RosterFile,
    RotationTable,
)
from routing.calendar import DayKind, OwnDay
from routing.model import Hotline, Hours, Override, Person, Rotation
from store.people import PeoplePart, PeopleSnapshot


class FileRefused(ImportRefused):
    """The file cannot be imported; `problems` holds everything that is wrong with it, not only the first."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = list(problems)
        super().__init__("\n".join(map(str, self.problems)))


def read(path: Path) -> RosterFile:
    """Read a file's form; what it refers to is not yet looked at. Raises FileRefused."""
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise FileRefused(
            [Problem(str(path), "", "give the path of a TOML file", f"cannot be read ({error.strerror})")]
        ) from None
    except UnicodeDecodeError as error:
        raise FileRefused(
            [Problem(str(path), "", "save the file as UTF-8", f"byte {error.start} is not UTF-8")]
        ) from None
    except tomllib.TOMLDecodeError as error:
        raise FileRefused(
            [Problem(str(path), "", "correct the TOML there", f"is not TOML: {error}")]
        ) from None
    try:
        return RosterFile.model_validate(raw)
    except ValidationError as error:
        raise FileRefused(_hide_people(explain(error, RosterFile))) from None


def _hide_people(found: Iterable[Problem]) -> Iterator[Problem]:
    """A PIN under a misspelt key is a PIN all the same."""
    for problem in found:
        unknown = problem.wrong == "unknown key" and problem.key.startswith("people")
        yield Problem(problem.key, HIDDEN, problem.cure, problem.wrong) if unknown else problem


class Reader:
    """Turns a file that is well formed into what is to stand in the database, and collects what is wrong with it."""

    def __init__(
        self,
        file: RosterFile,
        stored: PeopleSnapshot,
        timezone: str,
        environ: Mapping[str, str],
        allowed: str,
    ) -> None:
        self.problems: list[Problem] = []
        self._file, self._stored, self._environ = file, stored, environ
        self._zone = ZoneInfo(timezone)
        self._allowed = allowed

    def part(self) -> PeoplePart:
        """Everything the file says. Raises FileRefused with every problem."""
        file = self._file
        part = PeoplePart(
            people=None
            if file.people is None
            else tuple(map(self._person, range(len(file.people)), file.people)),
            hotlines=None if file.hotlines is None else tuple(map(_hotline, file.hotlines)),
            hours=None if file.hotlines is None else tuple(h for line in file.hotlines for h in _hours(line)),
            rotations=None if file.rotations is None else tuple(map(_rotation, file.rotations)),
            overrides=None if file.overrides is None else tuple(map(self._override, file.overrides)),
            days=None if file.calendar is None else tuple(map(_day, file.calendar)),
        )
        self._check(part)
        if self.problems:
            raise FileRefused(self.problems)
        return part

    def _problem(self, key: str, value: object, wrong: str, cure: str) -> None:
        text = value if value == HIDDEN else shown(value)
        self.problems.append(Problem(key, str(text), cure, wrong))

    # --- people ---

    def _person(self, index: int, table: PersonTable) -> Person:
        key = f"people[{index}]"
        own = {number for line in self._file.hotlines or () for number in line.numbers}
        own |= {number for line in self._stored.hotlines for number in line.numbers}
        if table.number and re.fullmatch(self._allowed, table.number) is None:
            cure = f"write a number that matches {self._allowed}; the PBX dials no other"
            self._problem(f"{key}.number", table.number, "may not be dialled", cure)
        elif table.number in own:
            self._problem(
                f"{key}.number", table.number, "is a hotline's own number", "write the person's own"
            )
        queues = tuple(table.queues.items())
        pin = self._hashed(key, table)
        return Person(table.id, table.name.strip(), table.number, table.active, pin, queues)

    def _hashed(self, key: str, table: PersonTable) -> str:
        """The PIN as it is stored; the stored one itself if the PIN is the same, empty if none is given."""
        pin = self._plain(key, table)
        if pin is None:
            return ""
        stored = next((person.pin for person in self._stored.people if person.id == table.id), "")
        salt = stored.partition(":")[0]
        if stored and hash_pin(pin, salt) == stored:
            return stored
        return hash_pin(pin, secrets.token_hex(4))

    def _plain(self, key: str, table: PersonTable) -> str | None:
        if table.pin_env is None:
            return None if table.pin is None else table.pin.get_secret_value()
        key = f"{key}.pin_env"
        value = self._environ.get(table.pin_env) if table.pin_env.isidentifier() else None
        if table.pin is not None:
            self._problem(key, HIDDEN, "stands beside pin", "keep one of the two")
        elif value is None:
            # What is no variable's name may be the PIN itself.
            name = table.pin_env if table.pin_env.isidentifier() else HIDDEN
            self._problem(key, name, "this environment variable is not set", "set it to 4 to 8 digits")
        elif re.fullmatch(r"[0-9]{4,8}", value) is None:
            self._problem(key, table.pin_env, "does not hold a PIN", "set it to 4 to 8 digits")
        else:
            return value
        return None

    # --- overrides ---

    def _override(self, table: OverrideTable) -> Override:
        start, end = self._instant(table.start), self._instant(table.end)
        name = f"{table.hotline or 'all'}-{datetime.fromtimestamp(start, self._zone):%Y%m%dT%H%M%S}-{table.person}"
        return Override(name, table.hotline, start, end, table.person, table.note)

    def _instant(self, value: datetime) -> float:
        """Local time of the roster's zone unless it carries an offset; whole seconds, as the PBX compares them."""
        local = value if value.tzinfo is not None else value.replace(tzinfo=self._zone)
        return float(int(local.timestamp()))

    # --- what refers to what ---

    def _check(self, part: PeoplePart) -> None:
        self._check_twins(part)
        known = {person.id: person.name for person in (*(part.people or ()), *self._stored.people)}
        self._check_people(known)
        self._check_names(part)

    def _check_twins(self, part: PeoplePart) -> None:
        lists: tuple[tuple[str, list[str]], ...] = (
            ("people.id", [one.id for one in part.people or ()]),
            ("hotlines.name", [one.name for one in part.hotlines or ()]),
            ("hotlines.numbers", [number for one in part.hotlines or () for number in one.numbers]),
            ("rotations", [f"{one.name} from {one.starts}" for one in part.rotations or ()]),
            ("overrides", [one.id for one in part.overrides or ()]),
            (
                "calendar",
                [f"{one.date} {'official' if one.official else 'company'}" for one in part.days or ()],
            ),
        )
        for key, names in lists:
            for name, count in Counter(names).items():
                if count > 1:
                    self._problem(key, name, f"is given {count} times", "keep one")

    def _check_people(self, known: Mapping[str, str]) -> None:
        for key, name in self._people_named():
            if name and name not in known:
                hint = alike(name, known)
                self._problem(
                    key,
                    name,
                    "is nobody's id",
                    f"add the person to [[people]], or correct it. {hint}".strip(),
                )

    def _people_named(self) -> Iterator[tuple[str, str]]:
        for n, line in enumerate(self._file.hotlines or ()):
            yield f"hotlines[{n}].supervisor", line.supervisor
        for n, rotation in enumerate(self._file.rotations or ()):
            for m, person in enumerate(rotation.people):
                yield f"rotations[{n}].people[{m}]", person
        for n, override in enumerate(self._file.overrides or ()):
            yield f"overrides[{n}].person", override.person

    def _check_names(self, part: PeoplePart) -> None:
        rotations = self._stored.rotations if part.rotations is None else part.rotations
        hotlines = self._stored.hotlines if part.hotlines is None else part.hotlines
        for n, line in enumerate(self._file.hotlines or ()):
            self._one_of(f"hotlines[{n}].rotation", line.rotation, {r.name for r in rotations}, "rotation")
        for n, override in enumerate(self._file.overrides or ()):
            self._one_of(f"overrides[{n}].hotline", override.hotline, {h.name for h in hotlines}, "hotline")

    def _one_of(self, key: str, name: str, known: set[str], what: str) -> None:
        if name and name not in known:
            hint = alike(name, known)
            self._problem(
                key, name, f"is no {what}", f"add [[{what}s]] of this name, or correct it. {hint}".strip()
            )


def hash_pin(pin: str, salt: str) -> str:
    """A PIN as the dialplan verifies it: `<salt>:<sha1 hex of salt+pin>`."""
    return f"{salt}:{hashlib.sha1((salt + pin).encode(), usedforsecurity=False).hexdigest()}"


def _hotline(table: HotlineTable) -> Hotline:
    return Hotline(table.name, table.numbers, table.queue, table.rotation, table.supervisor)


def _hours(table: HotlineTable) -> Iterator[Hours]:
    for kind, hours in ((DayKind.WORKDAY, table.hours.workday), (DayKind.DAY_OFF, table.hours.day_off)):
        if hours is not None:
            yield Hours(table.name, kind, hours.office, hours.duty)


def _rotation(table: RotationTable) -> Rotation:
    weekday = WEEKDAYS.index(table.weekday)
    return Rotation(table.name, table.starts, table.people, weekday, table.handover, table.backups)


def _day(table: DayTable) -> OwnDay:
    return OwnDay(table.date, DayKind(table.kind), table.official, table.name)
