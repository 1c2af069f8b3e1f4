"""The lines to the outside: each has its own fault, from the first word of trouble to the first word of its end (A3)."""

from cti.core.core import Core
from cti.core.events import ContactChanged, Event, RegistrationChanged, TrunkSeen
from cti.core.facts import Fault, FaultKind, Notice
from cti.core.memory import Memory
from cti.core.parsing import parse
from cti.core.rules import Rules

RULES = Rules(trunks=("PJSIP/trunk-a", "PJSIP/trunk-b"))
A = "sip:10.0.0.1"


def told(core: Core, *events: Event) -> list[tuple[str, bool]]:
    """What each fault among the facts is about, and whether it is over."""
    facts = [fact for event in events for fact in core.step(event).facts]
    faults = [fact for fact in facts if isinstance(fact, Fault)]
    assert len([fact for fact in facts if isinstance(fact, Notice)]) == len(faults), (
        "somebody is told each time"
    )
    return [(fault.detail.partition(":")[0], fault.ended_at is not None) for fault in faults]


def test_a_trunk_is_broken_when_none_of_its_contacts_answers() -> None:
    """Two addresses: one that is silent costs nothing, both do; the first that answers ends it."""
    core = Core("p", RULES)
    assert told(core, ContactChanged(1, "trunk-a", A, "Unreachable")) == [("PJSIP/trunk-a", False)]
    assert told(core, ContactChanged(2, "trunk-a", A, "Reachable")) == [("PJSIP/trunk-a", True)]
    assert told(core, ContactChanged(3, "trunk-a", "sip:10.0.0.2", "Unreachable")) == []
    assert told(core, ContactChanged(4, "trunk-a", A, "Unreachable")) == [("PJSIP/trunk-a", False)]
    assert told(core, ContactChanged(5, "trunk-a", A, "Unreachable")) == []
    assert told(core, ContactChanged(6, "trunk-a", "sip:10.0.0.2", "NonQualified")) == [
        ("PJSIP/trunk-a", True)
    ]
    assert told(core, ContactChanged(7, "1001", A, "Unreachable")) == [], "a phone is no trunk"


def test_what_the_door_asked_for_counts_like_what_was_told() -> None:
    """After a login: found broken, found whole again."""
    core = Core("p", RULES)
    assert told(
        core, TrunkSeen(1, "PJSIP/trunk-a", "UNAVAILABLE"), TrunkSeen(1, "PJSIP/trunk-b", "INVALID")
    ) == [
        ("PJSIP/trunk-a", False),
        ("PJSIP/trunk-b", False),
    ]
    assert told(
        core, TrunkSeen(2, "PJSIP/trunk-a", "NOT_INUSE"), TrunkSeen(2, "PJSIP/1001", "UNAVAILABLE")
    ) == [("PJSIP/trunk-a", True)]


def test_a_registration_has_a_fault_of_its_own() -> None:
    core = Core("p", RULES)

    def said(at: float, status: str) -> RegistrationChanged:
        return RegistrationChanged(at, "sip:me@example.com;line=x", "sip:example.com:5060", status, "")

    what = "registration of me@example.com at example.com"
    assert told(core, said(1, "Registered"), said(2, "Request Sent")) == []
    assert [name for name, _ in told(core, said(3, "Rejected"))] == [what]
    assert told(core, said(4, "Unregistered"), said(5, "Request Sent")) == []
    assert told(core, said(6, "Registered")) == [(what, True)]


def test_a_fault_of_an_earlier_process_goes_on_and_ends() -> None:
    before = Core("p", RULES)
    facts = before.step(TrunkSeen(1, "PJSIP/trunk-a", "UNAVAILABLE")).facts
    (fault,) = [fact for fact in facts if isinstance(fact, Fault)]
    core = Core("p", RULES)
    core.restore(Memory(faults=(fault,)))
    assert told(core, TrunkSeen(9, "PJSIP/trunk-a", "UNAVAILABLE")) == []
    (over,) = [f for f in core.step(TrunkSeen(10, "PJSIP/trunk-a", "INUSE")).facts if isinstance(f, Fault)]
    assert (over.id, over.kind, over.ended_at) == (fault.id, FaultKind.TRUNK, 10)


def test_made_up_subjects_are_bounded() -> None:
    """Whatever registers somewhere, memory and faults stay bounded."""
    core = Core("p", RULES)
    events = [RegistrationChanged(n, f"sip:{n}@x", "sip:x", "Rejected", "") for n in range(1_000)]
    assert len(told(core, *events)) == 200


def test_the_spelling_of_asterisk() -> None:
    contact = {"Event": "ContactStatus", "Timestamp": "5", "URI": A, "ContactStatus": "Unreachable", "AOR": "trunk-a",
               "EndpointName": "trunk-a", "RoundtripUsec": "0"}  # fmt: skip
    assert parse(contact, 1.0) == ContactChanged(5, "trunk-a", A, "Unreachable")
    registry = {"Event": "Registry", "Timestamp": "6", "ChannelType": "PJSIP", "Username": "sip:me@x",
                "Domain": "sip:x", "Status": "Rejected"}  # fmt: skip
    assert parse(registry, 1.0) == RegistrationChanged(6, "sip:me@x", "sip:x", "Rejected", "")
