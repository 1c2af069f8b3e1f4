"""The stories of real calls as a person reads them: who with whom, and nobody in two columns (B4)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import TypeVar

import pytest

from cti.core.backfill import Rows, plan
from cti.core.books import BadLine, parse_cdr_line, parse_queue_line
from cti.core.cel import parse_cel_line
from cti.core.facts import (
    Attempt,
    Call,
    Direction,
    Fact,
    Gap,
    Leg,
    QueueStay,
    Recording,
    StayOutcome,
    Talk,
    Transfer,
)
from cti.core.memory import Known
from cti.core.picture import picture
from cti.core.rules import Rules
from cti.core.story import Books, Parts, Story
from cti.core.telling import tell
from cti.daemon.recorder import arrivals, read_recording
from tests.core.recorded_calls import all_names
from tests.scenarios.fixtures import run_of
from tests.scenarios.judge import hear
from tests.scenarios.run import FIXTURES
from tests.scenarios.scenes import loaded

T = TypeVar("T")
CLOCKS = 0.3  # s between a step and the event that told it


def parts_of(facts: Sequence[Fact], call: Call) -> Parts:
    def of(kind: type[T]) -> list[T]:
        return [fact for fact in facts if isinstance(fact, kind) and getattr(fact, "call_id", "") == call.id]

    return Parts(call, of(Leg), of(QueueStay), of(Attempt), of(Talk), of(Transfer), of(Recording))


def first_call(facts: Sequence[Fact], direction: Direction | None = None) -> Call:
    calls = [one for one in facts if isinstance(one, Call) and one.merged_into is None]
    return min((c for c in calls if direction in {None, c.direction}), key=lambda call: call.started_at)


@cache
def heard(name: str) -> tuple[Fact, ...]:
    """What a recorded scenario left on record."""
    return tuple(hear(FIXTURES / f"{name}.ami.gz").latest.values())


@cache
def books_of(name: str) -> Books:
    """The books of a recorded scenario."""

    def read(book: str, parse: Callable[[str], T | BadLine]) -> list[T]:
        rows = [parse(line) for line in (FIXTURES / f"{name}.{book}").read_text("utf-8").splitlines()]
        return [row for row in rows if not isinstance(row, BadLine)]

    return Books(
        read("queue_log", parse_queue_line), read("cel.csv", parse_cel_line), read("cdr.csv", parse_cdr_line)
    )


def story(name: str, books: Books | None = None, direction: Direction | None = None) -> Story:
    """The story of a recorded scenario's first call."""
    facts = heard(name)
    return tell(parts_of(facts, first_call(facts, direction)), books=books)


def told_from_books(name: str) -> Story:
    """The same, had nobody listened."""
    books = books_of(name)
    assert books.cel is not None
    rows = Rows(books.queue_log or (), books.cel)
    gap = Gap(
        "p-gap", "p", min(row.at for row in books.cel) - 5, max(row.at for row in books.cel) + 5, "stopped"
    )
    made = plan("p", Rules(), [gap], rows, Known())
    facts = list({fact.key: fact for fact in (*made.new, *made.completed)}.values())
    return tell(parts_of(facts, first_call(facts)), books=books)


def happened(told: Story) -> list[str]:
    """`who what`, from which book, of what the books alone tell."""
    return [
        f"{step.who} {step.what} [{step.source} {step.event}]" for step in told.steps if step.source != "seen"
    ]


def lines(name: str) -> list[str]:
    """`who what (event)` of each step; agents by their role, without their device."""
    told, cast = story(name), run_of(loaded()[name]).cast
    out = []
    for step in told.steps:
        line = f"{step.who} {step.what} ({step.event})"
        for role, number in cast.items():
            line = line.replace(f"{number} PJSIP/1{number[1:]}", role).replace(number, role)
        out.append(line)
    return out


def test_a_consultation_is_between_the_two_who_consult() -> None:
    """The colleague is rung by the agent and talks with the agent; with the caller only after the transfer."""
    told = lines("attended_by_the_phone")
    assert "anna rings ben (was available) (DialBegin)" in told
    assert "anna talks with ben (BridgeEnter)" in told
    talks = [line for line in told if "talks with" in line]
    assert talks == [
        "anna talks with the caller (BridgeEnter)",
        "anna talks with ben (BridgeEnter)",
        "ben talks with the caller (BridgeEnter)",
    ]


@pytest.mark.parametrize("name", ["blind_by_the_phone", "attended_by_the_phone", "half_finished_to_a_queue"])
def test_whoever_hands_on_has_one_column(name: str) -> None:
    """The one who transfers is the one who talked, and the picture shows it."""
    told = story(name)
    move = next(step for step in told.steps if step.kind == "move")
    assert move.who in {step.who for step in told.steps if step.kind == "talk"}
    agents = [actor.split()[0] for actor in told.actors if "PJSIP/" in actor]
    assert len(agents) == len(set(agents))
    assert any("hands on" in line for line in picture(told))


def test_a_consulted_queue_is_joined_by_the_agent() -> None:
    """Whoever consults a queue goes into it; who comes out of it is who was put through by then."""
    told = [line for line in lines("half_finished_to_a_queue") if "queue" in line or "connected" in line]
    assert "anna joins queue support-044 at place 1 (QueueCallerJoin)" in told
    assert "caller is connected to ben after 2.0 s (DialEnd, AgentConnect)" in told
    told = lines("attended_to_a_queue")
    assert [line for line in told if " joins queue " in line] == [
        "caller joins queue sales-045 at place 1 (QueueCallerJoin)",
        "anna joins queue support-045 at place 1 (QueueCallerJoin)",
    ]
    assert "anna is connected to ben after 0.0 s (DialEnd, AgentConnect)" in told


def test_a_queue_consulted_by_feature_code_is_joined_by_the_agent() -> None:
    """The channel that waits is a Local one of the PBX's; the agent talks to it, and hands the caller on to it."""
    call, agent = _leg("1.1", "PJSIP/trunk-a"), _leg("1.2", "PJSIP/1001", agent="2001", dialed=True)
    local = _leg("1.4", "Local/7044@agents")
    stay = QueueStay(
        "p-1.4/q1", call.id, "p", 1, "support", "1.4", 20.0, 1, 25.0, 25.0, StayOutcome.ANSWERED, 5.0, "2002"
    )
    talk = Talk("p-1.2/t1", call.id, "p", "sales", "2001", "PJSIP/1001", 10.0, 30.0)
    handed_on = Transfer("p-1.2/x1", call.id, "p", "attended", "2001", "7044", 30.0, "answered")
    whole = Call("p-1.1", "p", Direction.INBOUND, "139", "", "7044", 1.0)
    told = tell(Parts(whole, [call, agent, local], [stay], talks=[talk], transfers=[handed_on]))
    assert [step.who for step in told.steps if step.kind in {"join", "leave"}] == ["2001 PJSIP/1001"] * 2


def _leg(uniqueid: str, device: str, *, agent: str | None = None, dialed: bool = False) -> Leg:
    return Leg(f"p-{uniqueid}", "p-1.1", "p", uniqueid, "1.1", f"{device}-1", device, "", agent, dialed, 1.0)


def test_a_transfer_says_where_it_is_known_from() -> None:
    """What a book filled in is marked, part by part."""
    parts = parts_of(heard("blind_by_the_phone"), first_call(heard("blind_by_the_phone")))
    (transfer,) = parts.transfers
    for sources, said in (((), "seen"), (("*:cel",), "cel"), (("result:cel",), "seen")):
        told = tell(replace(parts, transfers=[replace(transfer, sources=sources)]))
        assert [step.source for step in told.steps if step.kind == "move"] == [said]


def test_a_consultation_by_feature_code_is_the_agents() -> None:
    """The PBX dials for the agent through channels of its own, and the story names the agent."""
    assert "anna rings ben (was available) (DialBegin)" in lines("attended_by_feature_code")


def test_a_member_behind_local_channels_is_one_person() -> None:
    """Rung by the queue, with the phone's name."""
    told = story("queue_nested_local_member")
    assert {(step.who, step.to) for step in told.steps if step.kind == "ring"} == {
        ("queue sales-092", "2047 PJSIP/1047")
    }
    assert not [actor for actor in told.actors if "Local/" in actor]


def test_the_phone_that_forwards_is_named() -> None:
    """The book names the one who called."""
    told = happened(story("direct_phone_forwards", books_of("direct_phone_forwards")))
    assert "2005 PJSIP/1005 forwards the call to 1004 [cel FORWARD]" in told


def test_a_pickup_is_no_ringing() -> None:
    """Who takes a call that rings elsewhere was not rung."""
    told = lines("pickup_of_a_queue_call")
    assert [line for line in told if line.startswith("ben takes the ringing call")]
    assert not [line for line in told if "rings ben" in line]
    assert "caller is connected to ben after 1.1 s (Pickup)" in told


def test_a_talk_of_two_agents_is_told_once() -> None:
    """An internal call: one talk, and nobody talks with themselves."""
    assert [line for line in lines("internal_answered") if "talks with" in line] == [
        "ben talks with the caller (BridgeEnter)"
    ]


def test_mobiles_behind_one_trunk_are_told_apart() -> None:
    """After hours every leg leaves by a trunk: its number says whose phone it was."""
    told = story("night_second_number_takes_it")
    rung = [step.to for step in told.steps if step.kind == "ring"]
    assert len(rung) == len(set(rung)) == 2


def test_who_was_turned_away_is_told_with_the_queue_as_soon_as_cel_names_it() -> None:
    """AMI tells of it as the next queue is joined, and names none; the run of Queue proves it, and is no joining's proof."""
    name = "queue_overflows_to_another"
    assert "caller is turned away by a queue that is not known: nobody is there (QueueCallerJoin)" in lines(
        name
    )
    told = story(name, books_of(name))
    [refused], [joined] = ([step for step in told.steps if step.kind == kind] for kind in ("refuse", "join"))
    assert (refused.what, refused.source, refused.to) == (
        "is turned away by queue sales-116: nobody is there",
        "cel",
        "queue sales-116",
    )
    assert [line.verb for line in refused.lines] == ["APP_START Queue"]
    assert [line.verb for line in joined.lines] == ["ENTERQUEUE"]


def test_a_queue_that_turns_away_after_another_is_told_after_it() -> None:
    """CEL is a moment earlier than AMI, and has the end of the run alone."""
    name = "queue_timeout_then_turned_away"
    told = story(name, books_of(name))
    ended = [
        (step.kind, [line.verb for line in step.lines]) for step in told.steps if step.to.startswith("queue")
    ]
    assert [one for one in ended if one[0] in {"leave", "refuse"}] == [
        ("leave", ["EXITWITHTIMEOUT"]),
        ("refuse", ["APP_END Queue"]),
    ]


@pytest.mark.parametrize("name", all_names())
def test_every_recorded_call_can_be_told(name: str) -> None:
    """In order of time, from begin to end, with a line in the picture for everybody."""
    told = story(name)
    assert [step.at for step in told.steps] == sorted(step.at for step in told.steps)
    assert told.steps[0].kind == "begin"
    assert "end" in {step.kind for step in told.steps}
    assert not [step for step in told.steps if step.kind == "talk" and step.to == step.who]
    assert len(picture(told)) > 1
    assert all(len(line) <= 80 for line in picture(told, 80))


@pytest.mark.parametrize("name", all_names())
def test_every_event_named_is_one_that_came(name: str) -> None:
    """What a step says that it is known from was sent by the PBX, at that instant, about that channel (B4)."""
    came = [
        (float(arrival.what["Timestamp"]), arrival.what)
        for arrival in arrivals(read_recording(FIXTURES / f"{name}.ami.gz"), "p")
        if isinstance(arrival.what, Mapping) and "Timestamp" in arrival.what
    ]
    for step in story(name).steps:
        for event in step.event.split(", "):
            near = [what for at, what in came if what["Event"] == event and abs(at - step.at) < CLOCKS]
            assert near, step
            others = step.kind in {"talk", "silence"} and not step.to  # told of a room as others come and go
            assert others or any(step.channels & set(what.values()) for what in near), step


@pytest.mark.parametrize("name", all_names())
def test_every_line_of_the_books_stands_somewhere(name: str) -> None:
    """Beside one step or among those that none explains; of the latter the most are of channels inside the PBX (B4)."""
    facts, books = heard(name), books_of(name)
    call = first_call(facts)
    parts = parts_of(facts, call)
    told = tell(parts, books=books)
    beside = [line for step in told.steps for line in step.lines]
    every = [row.raw for row in books.cel or () if row.uniqueid in parts.channels]
    every += [row.raw for row in books.cdr or () if row.uniqueid in parts.channels]
    every += [row.raw for row in books.queue_log or () if row.callid in parts.channels]
    assert sorted(line.raw for line in (*beside, *told.unexplained)) == sorted(every)
    own = {leg.uniqueid for leg in parts.legs if not leg.device.startswith("Local/")}
    left = [line for line in told.unexplained if line.channels & own]
    assert len(left) <= max(5, len(beside) // 4), left


def test_lines_stand_beside_what_they_prove() -> None:
    """A plain chain of transfers: not a line is left over."""
    told = story("blind_chain_of_three", books_of("blind_chain_of_three"))
    assert [line.raw for line in told.unexplained] == []
    verbs = {step.kind: {line.verb for line in step.lines} for step in told.steps}
    assert "ENTERQUEUE" in verbs["join"]
    assert "CONNECT" in verbs["leave"]
    assert "BLINDTRANSFER" in verbs["move"]
    assert {"HANGUP", "CHAN_END"} <= verbs["gone"]


def test_a_conference_is_no_hole() -> None:
    """B1: who enters, who is there, who leaves; the customer's call has a picture."""
    told = story("conference_coming_and_going", books_of("conference_coming_and_going"), Direction.INBOUND)
    assert happened(told) == [
        "caller is answered by the PBX (Answer) [cel ANSWER]",
        "caller enters conference 064, where PJSIP/1027 and PJSIP/1028 are already [cel BRIDGE_ENTER]",
        "caller leaves conference 064 [cel BRIDGE_EXIT]",
    ]
    assert "enters" in "".join(picture(told))
    agent = story("conference_coming_and_going", books_of("conference_coming_and_going"))
    assert any("talks with others in conference 064" in step.what for step in agent.steps)


def test_a_conference_is_told_from_the_cdr_where_there_is_no_cel() -> None:
    """B1: less exactly."""
    books = replace(books_of("conference_coming_and_going"), cel=None)
    told = story("conference_coming_and_going", books, Direction.INBOUND)
    assert happened(told) == [
        "caller enters conference 064 [cdr ANSWERED ConfBridge]",
        "caller leaves conference 064 [cdr ANSWERED ConfBridge]",
    ]


@pytest.mark.parametrize(
    ("name", "end"),
    [
        ("parked_and_fetched", "is fetched by 2024 PJSIP/1024 [cel PARK_END]"),
        ("parked_until_timeout", "is no longer parked: nobody fetched it in time [cel PARK_END]"),
        ("parked_and_given_up", "gives up while parked [cel PARK_END]"),
    ],
)
def test_a_parked_call_is_no_hole(name: str, end: str) -> None:
    """B1: who parked it, and who fetched it or that nobody did."""
    told = story(name, books_of(name))
    assert any(line.startswith("caller is parked by 20") for line in happened(told))
    assert f"caller {end}" in happened(told)
    cdr = story(name, replace(books_of(name), cel=()))
    kinds = [step.kind for step in cdr.steps if step.source == "cdr"]
    assert kinds == ["park", "unpark"]


def test_the_voicemail_is_told() -> None:
    """B1: when it began, and when it was over."""
    told = happened(story("voicemail_after_a_queue", books_of("voicemail_after_a_queue")))
    assert "caller is asked to leave a message in mailbox 1000@default [cel APP_START VoiceMail]" in told
    assert "caller is done with the voicemail [cel APP_END VoiceMail]" in told


def test_a_number_that_does_not_exist_is_told() -> None:
    """Nothing rings, and the book says what was dialled."""
    told = happened(story("direct_no_such_phone", books_of("direct_no_such_phone")))
    assert "caller has PJSIP/9999 dialled, and nothing rings [cel APP_START Dial]" in told


def test_recordings_and_hold_have_their_instants_and_seconds() -> None:
    """Begin and end of a recording; hold as the seconds that are on record, and as unknown where nobody saw."""
    told = lines("recorded_for_a_while")
    assert any("is recorded to " in line and "(MixMonitorStart)" in line for line in told)
    assert any("is no longer recorded" in line and "(MixMonitorStop)" in line for line in told)
    assert any("is no longer recorded (paused for " in line for line in lines("recorded_and_paused"))
    assert any(" s of it on hold)" in line for line in lines("hold_by_the_agent"))
    missed = told_from_books("hold_by_the_agent")
    assert any("(seconds on hold not known)" in step.what for step in missed.steps)


@pytest.mark.parametrize(
    "name", ["blind_by_the_phone", "attended_by_the_phone", "parked_and_fetched", "queue_timeout"]
)
def test_what_nobody_saw_names_the_book_and_its_word(name: str) -> None:
    """B3: what queue_log tells is called queue_log, and no event is named that nobody heard."""
    told = told_from_books(name)
    assert {step.source for step in told.steps} == {"cel", "queue_log"}
    by_kind = {step.kind: step for step in told.steps}
    assert (by_kind["join"].source, by_kind["join"].event) == ("queue_log", "ENTERQUEUE")
    assert by_kind["leave"].event in {"CONNECT", "EXITWITHTIMEOUT"}
    assert by_kind["begin"].event == "CHAN_START"
    if "move" in by_kind:
        assert by_kind["move"].event in {"BLINDTRANSFER", "ATTENDEDTRANSFER"}
    named = {word for step in told.steps for word in step.event.split(", ")}
    assert not named & {"Newchannel", "BridgeEnter", "Hangup", "AgentConnect", "BlindTransfer", "Pickup"}


def test_an_open_call_goes_on() -> None:
    """With what is not over: who talks."""
    facts = heard("queue_caller_hangs_up")
    parts = parts_of(facts, first_call(facts))
    talks = [replace(talk, ended_at=None) for talk in parts.talks]
    call = replace(parts.call, ended_at=None, disposition=None, ended_by=None)
    legs = [replace(leg, ended_at=None) for leg in parts.legs]
    told = tell(replace(parts, call=call, legs=legs, talks=talks))
    assert told.steps[-1].what == f"the call goes on: {talks[0].agent} {talks[0].device} talks"
    assert picture(told)[-2].endswith("goes on")


def test_an_instant_that_nobody_saw_is_called_a_guess() -> None:
    """An end at which somebody looked again, after a gap, is not when it happened."""
    facts = heard("queue_caller_hangs_up")
    parts = parts_of(facts, first_call(facts))
    assert parts.call.ended_at is not None
    told = tell(parts, [parts.call.ended_at])
    (end,) = (step for step in told.steps if step.kind == "end")
    assert (end.source, end.event) == ("guess", "")


# --- the picture ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [60, 80, 120])
def test_six_fit_the_terminal(width: int) -> None:
    """Heads that tell everybody apart, a legend for what is short, and words that are not cut off."""
    drawn = picture(story("blind_chain_of_three"), width)
    assert max(map(len, drawn)) <= width
    heads = drawn[0].split()
    assert len(set(heads)) == 6
    legend = " ".join(drawn[-3:])
    for agent in ("2001 PJSIP/1001", "2004 PJSIP/1004", "queue sales-056"):
        assert agent in legend or agent in drawn[0]
    words = " ".join(drawn)
    for said in ("calls 70560", "joins at place 1", "is connected", "hands on to 1002", "stop talking"):
        assert said in words


def test_a_crowd_fits_too() -> None:
    """Those for whom there is no room share a column, and the legend says so."""
    legs = [replace(_leg(f"1.{n}", f"PJSIP/{n}", dialed=True), ring_started_at=2.0) for n in range(2, 90)]
    whole = Call("p-1.1", "p", Direction.INBOUND, "139", "", "7044", 1.0)
    drawn = picture(tell(Parts(whole, [_leg("1.1", "PJSIP/trunk-a"), *legs])), 80)
    assert max(map(len, drawn)) <= 80
    assert any(" others: " in line for line in drawn)


def test_names_of_two_columns_a_character_stay_in_line() -> None:
    """The terminal gives a Chinese character two columns; the lines below stand under the middle of the head."""
    stay = QueueStay("p-1.1/q1", "p-1.1", "p", 1, "售后", "1.1", 2.0, 1)
    whole = Call("p-1.1", "p", Direction.INBOUND, "139", "", "7044", 1.0)
    head, begin, *_ = picture(tell(Parts(whole, [_leg("1.1", "PJSIP/trunk-a")], [stay])), 60)
    place = head.index("queue 售后")
    assert begin.index("│") in range(place, place + len("queue 售后") + 2)
