"""What is wrong with a roster, found weeks ahead instead of in the night it matters.

Each problem names what it is about, from when it bites, and the cure. A problem never stops publishing: the best
possible rows go to the PBX all the same.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum

from routing.calendar import Missing, lookup
from routing.model import Hotline, Person, Roster
from routing.roster import Duty, Reason, local_date, number_allowed, rotations_named, segments, usable


class ProblemKind(StrEnum):
    """What is wrong."""

    CALENDAR_MISSING = "calendar_missing"
    PERSON_WITHOUT_NUMBER = "person_without_number"
    NUMBER_NOT_ALLOWED = "number_not_allowed"
    UNKNOWN_PERSON = "unknown_person"
    PERSON_INACTIVE = "person_inactive"
    ROTATION_EMPTY = "rotation_empty"
    NO_ROTATION = "no_rotation"
    NO_SUPERVISOR = "no_supervisor"
    NO_QUEUE = "no_queue"
    SUPERVISOR_ALONE = "supervisor_alone"
    OVERRIDE_UNUSABLE = "override_unusable"
    NOBODY = "nobody"
    LADDER_CUT = "ladder_cut"
    ROW_TOO_LONG = "row_too_long"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing to put right."""

    kind: ProblemKind
    subject: str  # whom or what it is about: "person 2001", "hotline sales", "year 2027"
    since: date  # first local date that it bites on
    cure: str  # what to do, for people


def problems(roster: Roster, first: date, days: int) -> list[Problem]:
    """Everything wrong with the roster from a local date on, for a number of days; earliest first, each once."""
    found = [
        *_calendar(roster, first, days),
        *_hotlines(roster, first),
        *_on_duty(roster, first, days),
        *_answers(roster, first, days),
    ]
    once = {(p.kind, p.subject): p for p in sorted(found, key=lambda p: p.since, reverse=True)}
    return sorted(once.values(), key=lambda p: (p.since, p.kind, p.subject))


def dates(first: date, days: int) -> Iterator[date]:
    """The local dates of a window."""
    return (first + timedelta(days=n) for n in range(days))


def _calendar(roster: Roster, first: date, days: int) -> Iterator[Problem]:
    seen: set[int] = set()
    for day in dates(first, days):
        if isinstance(lookup(roster.calendar, day), Missing) and day.year not in seen:
            seen.add(day.year)
            yield Problem(
                ProblemKind.CALENDAR_MISSING,
                f"year {day.year}",
                day,
                f"enter the official holidays and make-up working days of {day.year} (the State Council publishes "
                "them about November) with official = true, or install a newer chinesecalendar; until then "
                "weekdays count as working days",
            )


def _hotlines(roster: Roster, first: date) -> Iterator[Problem]:
    people = {person.id: person for person in roster.people}
    for line in roster.hotlines:
        subject = f"hotline {line.name}"
        if not line.queue:
            yield Problem(ProblemKind.NO_QUEUE, subject, first, "name its queue, or office calls go to duty")
        if not line.supervisor:
            cure = "name its supervisor, the last to be called and the PBX's own fallback"
            yield Problem(ProblemKind.NO_SUPERVISOR, subject, first, cure)
        else:
            yield from _person(roster, people, line.supervisor, f"the supervisor of {line.name}", first)
        yield from _rotation(roster, line, first)


def _rotation(roster: Roster, line: Hotline, first: date) -> Iterator[Problem]:
    versions = list(rotations_named(roster, line.rotation))
    if not versions or versions[0].starts > first:
        cure = f"give it a rotation that has begun by {first}; until then only the supervisor is called"
        yield Problem(ProblemKind.NO_ROTATION, f"hotline {line.name}", first, cure)
    for version in versions:
        if not version.people:
            subject = f"rotation {version.name} from {version.starts}"
            cure = "list its people in the order of their weeks"
            yield Problem(ProblemKind.ROTATION_EMPTY, subject, max(first, version.starts), cure)


def _on_duty(roster: Roster, first: date, days: int) -> Iterator[Problem]:
    """Everybody whom a rotation or an override in the window names."""
    people = {person.id: person for person in roster.people}
    last = first + timedelta(days=days)
    for line in roster.hotlines:
        versions = list(rotations_named(roster, line.rotation))
        current = [v for v in versions if v.starts <= first][-1:] + [v for v in versions if v.starts > first]
        for version in current:
            since = max(first, version.starts)
            for name in version.people if since < last else ():
                yield from _person(roster, people, name, f"rotation {version.name}", since)
    for override in roster.overrides:
        begins = max(first, local_date(roster, override.start))
        if begins < last and local_date(roster, override.end) >= first:
            yield from _person(roster, people, override.person, f"override {override.id}", begins)


def _person(
    roster: Roster, people: dict[str, Person], name: str, where: str, since: date
) -> Iterator[Problem]:
    person = people.get(name)
    subject = f"person {name}"
    if person is None:
        cure = f"{where} names somebody who is not among the people; add them or correct the id"
        yield Problem(ProblemKind.UNKNOWN_PERSON, subject, since, cure)
    elif not person.active:
        cure = f"{where} names an inactive person, who is passed over; revise the list"
        yield Problem(ProblemKind.PERSON_INACTIVE, subject, since, cure)
    elif not person.number:
        cure = f"{where} names a person without a number, who is passed over; enter the duty mobile's number"
        yield Problem(ProblemKind.PERSON_WITHOUT_NUMBER, subject, since, cure)
    elif not number_allowed(roster, person.number):
        cure = (
            f"the number is a hotline's own or does not match {roster.allowed}, so the PBX will not dial it; "
            f"correct it ({where} needs it)"
        )
        yield Problem(ProblemKind.NUMBER_NOT_ALLOWED, subject, since, cure)


_OF_REASON = {
    Reason.NOBODY: (
        ProblemKind.NOBODY,
        "nobody can be called in duty hours: callers hear the announcement; name a supervisor with a number",
    ),
    Reason.SUPERVISOR_FALLBACK: (
        ProblemKind.SUPERVISOR_ALONE,
        "nobody of the rotation can be called, only the supervisor is; put the rotation right",
    ),
    Reason.OVERRIDE_UNUSABLE: (
        ProblemKind.OVERRIDE_UNUSABLE,
        "the override's person cannot be called, the rotation goes on; name somebody else",
    ),
}


def _answers(roster: Roster, first: date, days: int) -> Iterator[Problem]:
    for line in roster.hotlines:
        for day in dates(first, days):
            yield from _of_duties(segments(roster, line.name, day))


def _of_duties(duties: Iterable[Duty]) -> Iterator[Problem]:
    for duty in duties:
        for reason in duty.reasons:
            if reason in _OF_REASON:
                kind, cure = _OF_REASON[reason]
                yield Problem(kind, f"hotline {duty.hotline}", duty.day.date, cure)


def supervisor_number(roster: Roster, line: Hotline) -> str:
    """The number published as the hotline's fallback, or empty when there is none that may be dialled."""
    for person in roster.people:
        if person.id == line.supervisor and usable(roster, person):
            return person.number
    return ""
