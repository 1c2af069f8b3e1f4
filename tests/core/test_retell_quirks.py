"""CEL as a busy or a restarted Asterisk writes it tells the same calls (B3)."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import pytest

from cti.core import events as ev
from cti.core.books import QueueRow, parse_queue_line
from cti.core.cel import CelRow, parse_cel_line
from cti.core.core import Core
from cti.core.facts import (
    AgentState,
    Attempt,
    AttemptOutcome,
    Call,
    EndedBy,
    Leg,
    QueueStay,
    State,
    StayOutcome,
    Transfer,
)
from cti.core.retell import retell
from tests.core.dialogue import seen_member
from tests.scenarios.fixtures import run_of
from tests.scenarios.judge import PBX, RULES, Session, play
from tests.scenarios.run import FIXTURES
from tests.scenarios.scenes import loaded


def books(name: str) -> tuple[list[CelRow], list[QueueRow]]:
    """CEL and queue_log of the committed run."""
    cel = [parse_cel_line(line) for line in (FIXTURES / f"{name}.cel.csv").read_text().splitlines()]
    log = [parse_queue_line(line) for line in (FIXTURES / f"{name}.queue_log").read_text().splitlines()]
    return [row for row in cel if isinstance(row, CelRow)], [row for row in log if isinstance(row, QueueRow)]


def told(name: str, cel: list[CelRow], log: list[QueueRow]) -> Session:
    """The core, told of these rows; the agents have been logged in since the morning."""
    cast = run_of(loaded()[name]).cast.values()
    agents = [one for one in cast if len(one) == 4 and one.startswith("20")]
    seats = {agent: f"PJSIP/1{agent[1:]}" for agent in agents}
    members = [seen_member(cel[0].at - 60, agent, seat, "shift") for agent, seat in seats.items()]
    session = Session()
    play(Core(PBX, RULES), [*members, *retell(cel, log, seats)], session)
    return session


def test_a_phone_that_a_program_rang_may_answer_before_asterisk_notes_its_application() -> None:
    """AppDial2 is missing from the ANSWER row now and then: it was rung all the same."""
    name = "brought_together_by_a_program"
    cel, log = books(name)
    hurried = [replace(row, app="", appdata="") if row.app == "AppDial2" else row for row in cel]
    assert hurried != cel
    one, two = told(name, cel, log), told(name, hurried, log)
    assert one.all(Attempt)
    assert one.all(Attempt) == two.all(Attempt)


def test_a_queue_whose_caller_has_no_further_row_yet_rings_its_members() -> None:
    """The books read while a caller waits: a busy phone that is over belongs to the call that goes on."""
    name = "queue_member_busy"
    cel, log = books(name)
    refused = next(n for n, row in enumerate(cel) if row.event == "HANGUP")
    session = told(name, cel[: refused + 2], log[:1])
    [call] = [call for call in session.all(Call) if call.merged_into is None]
    assert call.ended_at is None
    assert {leg.call_id for leg in session.all(Leg)} == {call.id}


def test_a_transfer_whose_target_asterisk_does_not_name() -> None:
    """Under load transfer_target_channel is N/A: whoever else is in the second bridge is the target."""
    name = "attended_by_feature_code"
    cel, log = books(name)
    nameless = [
        replace(row, extra={**row.extra, "transfer_target_channel_uniqueid": "N/A"})
        if row.event == "ATTENDEDTRANSFER"
        else row
        for row in cel
    ]
    assert nameless != cel
    one, two = told(name, cel, log), told(name, nameless, log)
    assert [transfer.to for transfer in one.all(Transfer)] == [transfer.to for transfer in two.all(Transfer)]
    assert one.all(Transfer)[0].to


def test_names_of_channels_come_again_after_a_restart() -> None:
    """A PBX that begins anew counts its channels from 0: who hung up is looked for among those of that time."""
    name = "queue_caller_hangs_up"
    cel, log = books(name)
    later = _later(1000.0)
    session = told(name, [*cel, *(later(row) for row in cel)], log)
    assert [call.ended_by for call in session.all(Call)] == [EndedBy.CALLER] * 2


def test_what_a_transfer_leads_to_may_be_noted_before_it() -> None:
    """The phone that a blind transfer rings may be in CEL a moment before the transfer is."""
    name = "blind_and_not_answered"
    cel, log = books(name)
    n = next(n for n, row in enumerate(cel) if row.event == "BLINDTRANSFER")
    rung = next(m for m, row in enumerate(cel) if row.event == "CHAN_START" and m > n)
    ahead = [row for row in cel[n : rung + 1] if row.uniqueid != cel[n].uniqueid]
    behind = [row for row in cel[n : rung + 1] if row.uniqueid == cel[n].uniqueid]
    early = [replace(row, at=cel[n].at - 0.0003) for row in ahead]
    others = [*cel[:n], *early, *behind, *cel[rung + 1 :]]
    assert [one.result for one in told(name, others, log).all(Transfer)] == ["no_answer"]


def test_a_caller_who_hangs_up_right_after_being_handed_on() -> None:
    """The agent who hands on by hanging up leaves after the others have met, and has ended nothing."""
    name = "attended_by_feature_code"
    cel, log = books(name)
    over = next(n for n, row in enumerate(cel) if row.event == "ATTENDEDTRANSFER") + 3
    soon = [*cel[:over], *(replace(row, at=row.at - 0.5) for row in cel[over:])]
    assert cel[over].at - 0.5 > cel[over - 1].at
    assert told(name, soon, log).all(Call)[0].ended_by is EndedBy.CALLER


def test_a_busy_asterisk_hangs_up_late_on_the_members_who_were_slower() -> None:
    """Cause 26 (answered elsewhere) says that somebody was quicker, whenever the phone stops ringing."""
    name = "queue_ringall"
    cel, log = books(name)
    slower = {row.uniqueid for row in cel if row.event == "HANGUP" and row.extra["hangupcause"] == 26}
    late = [
        replace(row, at=row.at + 0.3)
        if row.uniqueid in slower and row.event in {"HANGUP", "CHAN_END"}
        else row
        for row in cel
    ]
    session = told(name, sorted(late, key=lambda row: row.at), log)
    assert slower
    assert Counter(one.outcome for one in session.all(Attempt)) == {
        AttemptOutcome.ANSWERED: 1,
        AttemptOutcome.CANCELLED: len(slower),
    }
    ends = [one.ended_at or 0.0 for one in session.all(Attempt)]
    assert max(ends) - min(ends) < 0.1, "they rang no longer than until somebody was there"


def test_a_caller_may_hang_up_in_the_instant_of_the_key() -> None:
    """They left by the key all the same: app_queue sends an abandon for whoever hangs up in the queue."""
    name = "queue_left_by_key"
    cel, log = books(name)
    left = next(row.at for row in cel if row.event == "APP_END")
    soon = [replace(row, at=left + 0.001) if row.at > left else row for row in cel]
    [stay] = told(name, soon, log).all(QueueStay)
    assert stay.outcome is StayOutcome.LEFT_BY_KEY


@pytest.mark.parametrize(
    ("verb", "outcome"),
    [("RINGCANCELED", AttemptOutcome.CANCELLED), ("RINGNOANSWER", AttemptOutcome.NO_ANSWER)],
)
def test_queue_log_knows_what_came_first_where_the_caller_gave_up(verb: str, outcome: AttemptOutcome) -> None:
    """A phone may stop ringing in the instant of the abandon, and not because of it."""
    name = "queue_abandoned_while_ringing"
    cel, log = books(name)
    assert any(row.verb == "RINGCANCELED" for row in log)
    lines = [replace(row, verb=verb) if row.verb == "RINGCANCELED" else row for row in log]
    assert [one.outcome for one in told(name, cel, lines).all(Attempt)] == [outcome]


def test_a_second_of_queue_log_that_is_behind() -> None:
    """queue_log takes its second from a clock that ticks: just after a full second it may still have the one before."""
    name = "queue_local_member_abandoned"
    cel, log = books(name)
    over = next(row.at for row in cel if row.event == "APP_END" and row.app == "Queue")
    later = _later(1.004 - over % 1)
    log = [
        replace(row, callid=f"9{row.callid}", at=float(int(over)))
        for row in log
        if row.callid == cel[0].uniqueid
    ]
    [attempt] = told(name, [later(row) for row in cel], log).all(Attempt)
    assert attempt.outcome is AttemptOutcome.CANCELLED


def _later(seconds: float) -> Callable[[CelRow], CelRow]:
    def moved(row: CelRow) -> CelRow:
        return replace(row, at=row.at + seconds, uniqueid=f"9{row.uniqueid}", linkedid=f"9{row.linkedid}")

    return moved


def test_several_passes_without_a_sign_in_between() -> None:
    """Three passes through one queue within three seconds are one run of Queue in CEL, and three passes all the same."""
    name = "queue_thrice_then_abandoned"
    cel, log = books(name)
    stays = told(name, cel, log).all(QueueStay)
    assert [stay.outcome for stay in stays] == ["timeout", "timeout", "abandoned"]


def test_whole_seconds_that_outlast_the_channel() -> None:
    """A second of queue_log that was rounded up ends after its caller was gone: it ends with them, each pass in its place."""
    name = "queue_thrice_then_abandoned"
    cel, log = books(name)
    late = [replace(row, at=row.at + (0 if n < 3 else 1)) for n, row in enumerate(log)]
    stays = told(name, cel, late).all(QueueStay)
    assert [stay.outcome for stay in stays] == ["timeout", "timeout", "abandoned"]
    assert all(stay.left_at is not None and stay.left_at <= cel[-1].at for stay in stays)


def test_the_second_queue_may_ring_before_the_first_ones_phone_is_hung_up() -> None:
    """A busy Asterisk: who rings rings for the queue that the caller is in by then."""
    name = "queue_two_in_a_row"
    cel, log = books(name)
    first, second = [n for n, row in enumerate(cel) if row.event == "CHAN_START"][1:]
    late = [replace(row, at=cel[second].at + 0.001) for row in cel[first + 1 : second]]
    hurried = [*cel[: first + 1], cel[second], *late, *cel[second + 1 :]]
    queues = [attempt.queue for attempt in told(name, hurried, log).all(Attempt)]
    assert queues == [attempt.queue for attempt in told(name, cel, log).all(Attempt)]
    assert [queue and queue[:7] for queue in queues] == ["sales-0", "support"]


def test_a_phone_that_declines_as_the_caller_hangs_up_was_given_up() -> None:
    """queue_log has which came first, the refusal (cause 21) or the caller's hangup: a ringing that was cancelled."""
    name = "queue_abandoned_while_ringing"
    cel, log = books(name)
    [rung] = [leg.uniqueid for leg in told(name, cel, log).all(Leg) if leg.agent]
    declined = [
        replace(row, extra={**row.extra, "hangupcause": 21})
        if (row.event, row.uniqueid) == ("HANGUP", rung)
        else row
        for row in cel
    ]
    assert declined != cel
    [attempt] = told(name, declined, log).all(Attempt)
    assert attempt.outcome is AttemptOutcome.CANCELLED
    refused = [replace(row, verb="RINGNOANSWER") if row.verb == "RINGCANCELED" else row for row in log]
    assert refused != log
    [attempt] = told(name, declined, refused).all(Attempt)
    assert attempt.outcome is AttemptOutcome.REJECTED


def test_a_dial_that_ends_before_its_time_was_given_up() -> None:
    """DIALSTATUS may be that of an earlier dial; whether this one rang to its end, its timeout says."""
    name = "blind_and_not_answered"
    cel, log = books(name)
    over = next(n for n, row in enumerate(cel) if row.event == "APP_END" and row.app == "Dial")
    soon = [*cel[:over], *(replace(row, at=row.at - 0.3) for row in cel[over:])]
    assert soon[over].at > cel[over - 1].at
    whole, cut = told(name, cel, log), told(name, soon, log)
    assert [one.result for one in whole.all(Transfer)] == ["no_answer"]
    assert [one.result for one in cut.all(Transfer)] == ["failed"]
    assert AttemptOutcome.CANCELLED in {one.outcome for one in cut.all(Attempt)}


def test_an_attended_transfer_of_a_line_that_is_in_no_bridge() -> None:
    """CEL notes it on the line that is in one: the consultation's, when whoever was to be handed on is gone."""
    name = "attended_by_the_caller"
    cel, log = books(name)
    n = next(n for n, row in enumerate(cel) if row.event == "ATTENDEDTRANSFER")
    one, extra = cel[n], cel[n].extra
    other = next(row for row in cel if row.uniqueid == extra["channel2_uniqueid"])
    swapped = replace(
        one,
        uniqueid=other.uniqueid,
        channel=other.channel,
        extra={
            "bridge1_id": extra["bridge2_id"],
            "channel2_name": one.channel,
            "channel2_uniqueid": one.uniqueid,
            "app": "unknown",
            "transferee_channel_name": "N/A",
            "transferee_channel_uniqueid": "N/A",
            "transfer_target_channel_name": extra["transfer_target_channel_name"],
            "transfer_target_channel_uniqueid": extra["transfer_target_channel_uniqueid"],
        },
    )
    [right] = told(name, cel, log).all(Transfer)
    [found] = told(name, [*cel[:n], swapped, *cel[n + 1 :]], log).all(Transfer)
    assert (found.kind, found.by, found.to) == (right.kind, right.by, right.to)


def test_a_caller_who_hangs_up_while_the_phone_is_asked_is_not_refused() -> None:
    """Dial runs its question when it is picked up: who hangs up then decides whether that was a refusal."""
    name = "direct_confirmation_refused"
    cel, log = books(name)
    refused = next(row for row in cel if row.event == "HANGUP" and row.app == "AppDial")
    caller = cel[0]
    quits = [
        replace(row, at=refused.at + 0.001, extra={**row.extra, "hangupsource": caller.channel})
        if (row.event, row.uniqueid) == ("HANGUP", caller.uniqueid)
        else row
        for row in cel
    ]
    assert [one.outcome for one in told(name, cel, log).all(Attempt)] == [AttemptOutcome.REJECTED]
    assert [one.outcome for one in told(name, quits, log).all(Attempt)] == [AttemptOutcome.ANSWERED]


def test_a_busy_asterisk_hangs_up_late_on_a_phone_whose_dial_is_over() -> None:
    """It rang until the dial ended, not until the channel was gone."""
    name = "direct_cancelled"
    cel, log = books(name)
    rung = next(row.uniqueid for row in cel if row.app == "AppDial")
    over = next(row.at for row in cel if row.event == "APP_END" and row.app == "Dial")
    late = [
        replace(row, at=over + 0.7) if row.uniqueid == rung and row.event in {"HANGUP", "CHAN_END"} else row
        for row in cel
    ]
    [attempt] = told(name, sorted(late, key=lambda row: row.at), log).all(Attempt)
    assert (attempt.outcome, attempt.ended_at) == (AttemptOutcome.CANCELLED, over)


def test_a_phone_that_cannot_take_a_call_did_not_answer() -> None:
    """Cause 58: its own end of a dial after which DIALSTATUS is that of one before; nobody gave it up."""
    name = "blind_to_a_busy_phone"
    cel, log = books(name)
    [place] = [n for n, row in enumerate(cel) if row.event == "HANGUP" and row.app == "AppDial"]
    unable = replace(cel[place], extra={**cel[place].extra, "hangupcause": 58})
    ends = [
        replace(row, extra={**row.extra, "dialstatus": "ANSWER"})
        if (row.event, row.uniqueid) == ("HANGUP", cel[0].uniqueid)
        else row
        for row in [*cel[:place], unable, *cel[place + 1 :]]
    ]
    attempts = told(name, ends, log).all(Attempt)
    assert [one.outcome for one in attempts] == [AttemptOutcome.ANSWERED, AttemptOutcome.NO_ANSWER]


def shifted(rows: list[CelRow], to: float) -> list[CelRow]:
    """The rows, the first at this instant."""
    return [replace(row, at=to + row.at - rows[0].at) for row in rows]


def test_a_phone_rung_before_a_logout_that_the_book_dates_a_tick_early_is_the_agents() -> None:
    """The second of queue_log is of a clock that may be a tick behind CEL's."""
    cel, log = books("originate_busy")
    assert [(row.verb, row.at) for row in log] == [("ADDMEMBER", log[0].at), ("REMOVEMEMBER", log[0].at)]
    seats = {log[0].member: "PJSIP/1013"}
    for began, agents in ((0.9997, ["2013"]), (1.002, ["2013"]), (1.2, [])):
        session = Session()
        play(Core(PBX, RULES), retell(shifted(cel, log[0].at + began), log, seats), session)
        assert [one.agent for one in session.all(Attempt)] == agents, began


def test_who_logs_in_again_in_the_second_after_a_logout_is_there() -> None:
    """A logout is told late, yet never after what the agent did in the next second."""
    cel, log = books("originate_busy")
    back, seats = replace(log[0], at=log[0].at + 1), {log[0].member: "PJSIP/1013"}
    session = Session()
    play(Core(PBX, RULES), retell(shifted(cel, back.at + 0.02), [*log, back], seats), session)
    assert [one.agent for one in session.all(Attempt)] == ["2013"]
    assert session.all(AgentState)[-1].state is State.AVAILABLE


def test_who_took_a_call_that_began_before_the_books_were_read_sits_nowhere_else() -> None:
    """CONNECT of a pickup has the member who rang and the channel of who took the call, whose phone it is not."""
    cel, log = books("pickup_of_a_queue_call")
    [taken] = [row for row in cel if row.event == "PICKUP"]
    taker = next(row for row in cel if row.uniqueid == taken.extra["pickup_channel_uniqueid"])
    [connected] = [row for row in log if row.verb == "CONNECT"]
    assert connected.data[1] == taker.uniqueid
    seats = {connected.member: f"PJSIP/1{connected.member[1:]}"}
    back = QueueRow(connected.at + 30, "MANAGER", "floor", connected.member, "ADDMEMBER", ("",), "back")
    begun = [row for row in cel if row.at >= taker.at]
    seen = [event for event in retell(begun, [*log, back], seats) if isinstance(event, ev.MemberSeen)]
    assert [one.interface for one in seen if one.at == back.at] == [seats[connected.member]]


def test_a_phone_that_could_not_even_be_called_did_not_ring() -> None:
    """Without a free port the channel is there and gone, by itself and without a cause, and AMI tells of no dial."""
    name = "direct_no_answer"
    cel, log = books(name)
    [rung] = [row for row in cel if row.event == "CHAN_START" and row.linkedid != row.uniqueid]
    gone: dict[str, str | int] = {"hangupcause": 0, "hangupsource": rung.channel, "dialstatus": ""}
    own = {
        id(row): replace(row, at=rung.at + 0.002, extra=gone) for row in cel if row.uniqueid == rung.uniqueid
    }
    hurried = [own[id(row)] if row.event in {"HANGUP", "CHAN_END"} and id(row) in own else row for row in cel]
    session = told(name, sorted(hurried, key=lambda row: row.at), log)
    assert session.all(Attempt) == []
    [leg] = [leg for leg in session.all(Leg) if leg.uniqueid == rung.uniqueid]
    assert (leg.dialed, leg.ring_started_at, leg.ended_at) == (False, None, rung.at + 0.002)
    assert told(name, cel, log).all(Attempt) != []
