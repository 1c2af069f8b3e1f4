"""The lines to the outside: which of them the PBX cannot reach, from when to when (A3).

| heard                                          | about                         | broken when                          |
|------------------------------------------------|-------------------------------|--------------------------------------|
| ContactStatus of a configured trunk            | that trunk                    | every contact of it is unreachable   |
| the device state that the door asks for        | that trunk                    | unavailable or invalid               |
| Registry                                       | that registration, any trunk  | anything but registered              |

A trunk and a registration are different things with faults of their own: who is registered may be unreachable all the same.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

from cti.core import events as ev
from cti.core.facts import Fact, Fault, FaultKind
from cti.core.faults import ended, told

_GONE = "Removed"
_UNREACHABLE = "Unreachable"
_UNAVAILABLE = frozenset({"UNAVAILABLE", "INVALID"})
_REGISTERED = "Registered"
_UNDER_WAY = frozenset({"Request Sent", "Auth. Sent"})  # neither there nor gone
_MOST = 200  # subjects; an outside party must not fill memory with made-up ones
_SUBJECT_ENDS = ": "


class Trunks:
    """The trunks of one PBX; `step` gives the faults that begin and end."""

    def __init__(self, pbx: str, trunks: Iterable[str]) -> None:
        self.pbx = pbx
        self._trunks = frozenset(trunks)
        self._open: dict[str, Fault] = {}  # by subject
        self._contacts: dict[str, dict[str, bool]] = {}  # trunk to contact to whether it is there

    def restore(self, faults: Iterable[Fault]) -> None:
        """Take up what was broken before this process."""
        for fault in faults:
            if fault.kind is FaultKind.TRUNK:
                self._open[fault.detail.partition(_SUBJECT_ENDS)[0]] = fault

    def use(self, trunks: Iterable[str]) -> None:
        """Go by another list of trunks from now on."""
        self._trunks = frozenset(trunks)

    def step(self, event: ev.Event) -> list[Fact]:
        """Take one event; those that are about something else give nothing."""
        handler = self._EVENTS.get(type(event))
        return [] if handler is None else handler(self, event)

    def _contact(self, e: ev.ContactChanged) -> list[Fact]:
        trunk = f"PJSIP/{e.endpoint}"
        if trunk not in self._trunks:
            return []
        contacts = self._contacts.setdefault(trunk, {})
        if e.status == _GONE:
            contacts.pop(e.uri, None)
        elif e.uri in contacts or len(contacts) < _MOST:
            contacts[e.uri] = e.status != _UNREACHABLE
        why = f"{e.uri} does not answer" if contacts else "it has no contact"
        return self._is(trunk, e.at, broken=not any(contacts.values()), why=why)

    def _seen(self, e: ev.TrunkSeen) -> list[Fact]:
        if e.device not in self._trunks:
            return []
        self._contacts.pop(e.device, None)
        return self._is(e.device, e.at, broken=e.state in _UNAVAILABLE, why=f"its state is {e.state.lower()}")

    def _registration(self, e: ev.RegistrationChanged) -> list[Fact]:
        if e.status in _UNDER_WAY:
            return []
        subject = f"registration of {_bare(e.user)} at {_bare(e.domain)}"
        why = e.status.lower() + (f" ({e.cause})" if e.cause else "")
        return self._is(subject, e.at, broken=e.status != _REGISTERED, why=why)

    def _is(self, subject: str, at: float, *, broken: bool, why: str) -> list[Fact]:
        known = self._open.get(subject)
        if broken and known is None and len(self._open) < _MOST:
            detail = f"{subject}{_SUBJECT_ENDS}{why}"
            fault_id = f"{self.pbx}-{FaultKind.TRUNK}-{at:.6f}-{subject}"
            self._open[subject] = fault = Fault(fault_id, FaultKind.TRUNK, self.pbx, at, None, detail)
            return told(fault)
        if not broken and known is not None:
            return told(ended(self._open.pop(subject), at))
        return []

    _EVENTS: ClassVar[Mapping[type, Callable[["Trunks", Any], list[Fact]]]] = {
        ev.ContactChanged: _contact,
        ev.TrunkSeen: _seen,
        ev.RegistrationChanged: _registration,
    }


OUTSIDE = frozenset(Trunks._EVENTS)  # noqa: SLF001 - our own
"""The events that are about trunks."""


def _bare(uri: str) -> str:
    """`sip:me@example.com` without its scheme and its parts that differ from time to time."""
    return (
        uri.partition(":")[2].partition(";")[0]
        if uri.startswith(("sip:", "sips:"))
        else uri.partition(";")[0]
    )
