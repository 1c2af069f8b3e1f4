"""The 15-minute rule (C3): warned, reported, logged out, written down; not to be dodged, and right after a restart."""

from dataclasses import replace

import pytest

from cti.core import events as ev
from cti.core.commands import PauseMember, RemoveMember
from cti.core.facts import AwayEpisode, Cause, Incident, Notice, State
from cti.core.rules import AwayRule, Rules
from tests.core import scenarios as s
from tests.core.dialogue import RULES, Dialogue, seen_member

PHONE = "PJSIP/11"
LIMIT, WARN, GRACE = 900.0, 120.0, 10.0
AWAY = Rules(
    trunks=RULES.trunks,
    away=AwayRule(limit=LIMIT, warn_before=WARN, grace=GRACE, limits={"lunch": 3600.0, "training": 60.0}),
)


def logged_in() -> Dialogue:
    pbx = Dialogue(AWAY)
    pbx.member("11", PHONE, "q1", "q2")
    return pbx


@pytest.fixture
def pbx() -> Dialogue:
    """An agent who is logged in to two queues and has just left."""
    pbx = logged_in()
    pbx.pause("11", PHONE, "q1", "q2")
    return pbx


def removals(pbx: Dialogue) -> list[str]:
    return [command.queue for command in pbx.commands if isinstance(command, RemoveMember)]


def test_warned_before_the_limit(pbx: Dialogue) -> None:
    """C3: the agent is told in time, once, and nothing else happens yet."""
    pbx.wait(LIMIT - WARN - 1)
    assert pbx.told(Notice) == []
    pbx.wait(WARN - 1)
    (notice,) = pbx.told(Notice)
    assert (notice.kind, notice.agent) == ("away_warning", "11")
    assert notice.at == pytest.approx(pbx.episode("11").warn_at)
    assert (pbx.commands, pbx.incidents()) == ([], [])


def test_reported_and_logged_out_at_the_limit(pbx: Dialogue) -> None:
    """C3: the lead is told, the incident is written down, and a logout goes to every queue, at the limit exactly."""
    pbx.wait(LIMIT)
    episode = pbx.episode("11")
    assert episode.reported_at == pytest.approx(episode.started_at + LIMIT)
    assert [notice.agent for notice in pbx.notices("away_limit")] == ["11"]
    assert sorted(removals(pbx)) == ["q1", "q2"]
    assert [(i.kind, i.agent, i.result) for i in pbx.incidents()] == [("away_limit", "11", None)]
    pbx.remove("11", PHONE, "q1", "q2")
    (incident,) = pbx.incidents()
    assert incident.result == "logged_out"
    episode = pbx.episode("11")
    assert episode.logged_out_at == episode.ended_at == pbx.at
    assert (pbx.state("11").state, pbx.state("11").cause) == (State.LOGGED_OUT, Cause.RULE)
    pbx.wait(60)
    assert pbx.core.next_deadline() is None


def test_the_commands_of_one_episode_have_stable_ids(pbx: Dialogue) -> None:
    """C3: the same wish has the same id when it is sent again."""
    pbx.wait(LIMIT + 30)
    ids = [command.id for command in pbx.commands]
    assert len(ids) > len(set(ids)) == 2
    assert all(id_.startswith(pbx.episode("11").id) for id_ in ids)


def test_back_in_time_ends_the_episode(pbx: Dialogue) -> None:
    """C3: as of the return, once the grace is over."""
    pbx.wait(300)
    pbx.unpause("11", PHONE, "q1", "q2")
    back = pbx.state("11").since
    assert pbx.episode("11").ended_at is None
    pbx.wait(LIMIT)
    assert pbx.episode("11").ended_at == back
    assert (pbx.told(Notice), pbx.commands) == ([], [])


@pytest.mark.parametrize("reasons", [["break", "break"], ["other", "meeting", "break"], ["lunch", "lunch"]])
def test_pausing_again_or_changing_the_reason_does_not_start_again(pbx: Dialogue, reasons: list[str]) -> None:
    """C3: though the PBX resets LastPause each time; a longer limit of another reason does not apply either."""
    began = pbx.episode("11").started_at
    for reason in reasons:
        pbx.wait(200)
        pbx.pause("11", PHONE, "q1", "q2", reason=reason)
    pbx.wait(LIMIT)
    episode = pbx.episode("11")
    assert episode.started_at == began
    assert episode.reported_at == pytest.approx(began + LIMIT)
    assert len({e.id for e in pbx.told(AwayEpisode)}) == 1


def test_a_change_of_reason_can_bring_the_limit_nearer(pbx: Dialogue) -> None:
    """C3: from lunch (an hour) to training (a minute): a minute from the change."""
    pbx = logged_in()
    pbx.pause("11", PHONE, "q1", "q2", reason="lunch")
    assert pbx.episode("11").limit_at == pytest.approx(pbx.at + 3600, abs=0.1)
    pbx.wait(100)
    pbx.pause("11", PHONE, "q1", "q2", reason="training")
    changed = pbx.at
    pbx.wait(61)
    assert pbx.episode("11").reported_at == pytest.approx(changed + 60, abs=0.1)


def test_one_queue_after_the_other_is_one_episode() -> None:
    """C3: a pause in all queues comes as one event per queue."""
    pbx = logged_in()
    pbx.pause("11", PHONE, "q1")
    assert pbx.told(AwayEpisode) == []
    pbx.wait(100)
    pbx.pause("11", PHONE, "q2")
    assert pbx.episode("11").started_at == pbx.at


def test_a_return_within_the_grace_does_not_end_it(pbx: Dialogue) -> None:
    """C3: unpausing for a moment every few minutes dodges nothing."""
    began = pbx.episode("11").started_at
    for _ in range(3):
        pbx.wait(280)
        pbx.unpause("11", PHONE, "q1", "q2")
        pbx.wait(GRACE - 1)
        pbx.pause("11", PHONE, "q1", "q2")
    pbx.wait(60)
    assert pbx.episode("11").reported_at == pytest.approx(began + LIMIT)


def test_a_logout_and_login_ends_it(pbx: Dialogue) -> None:
    """C3: whoever logs out is away no longer, and starts anew."""
    pbx.wait(300)
    pbx.remove("11", PHONE, "q1", "q2")
    episode = pbx.episode("11")
    assert (episode.ended_at, episode.logged_out_at) == (pbx.at, None)
    pbx.member("11", PHONE, "q1", paused=True, reason="break")
    assert pbx.episode("11").id != episode.id


def on_queue_call(pbx: Dialogue) -> None:
    """The agent talks with a customer of the queue, and is paused in the middle of it."""
    s.comes_in(pbx, "1", "q1")
    pbx.ring("q1", "1.1", "1.2", "11", PHONE)
    s.takes(pbx, "q1", "1.1", "1.2", "11")
    pbx.pause("11", PHONE, "q1", "q2")


def test_never_in_the_middle_of_a_call() -> None:
    """C3: the report comes at the limit, the logout the moment the customer's call is over."""
    pbx = logged_in()
    on_queue_call(pbx)
    pbx.wait(LIMIT + 300)
    assert pbx.episode("11").reported_at == pytest.approx(pbx.episode("11").limit_at)
    assert [incident.result for incident in pbx.incidents()] == ["deferred"]
    assert pbx.commands == []
    pbx.leave("b1.1", "1.2", "1.1")
    assert sorted(removals(pbx)) == ["q1", "q2"]


def test_a_private_call_stops_nothing(pbx: Dialogue) -> None:
    """C3: the agent's own call stops neither clock nor report nor logout."""
    pbx.channel("5.1", f"{PHONE}-0005", exten="13911110009", number="11", context="from-internal")
    assert pbx.state("11").state is State.ON_CALL
    pbx.wait(LIMIT)
    assert len(pbx.notices("away_limit")) == 1
    assert sorted(removals(pbx)) == ["q1", "q2"]


def test_a_logout_that_failed_is_tried_again(pbx: Dialogue) -> None:
    """C3: until the PBX says that the member is gone; what is gone already is not removed again."""
    pbx.wait(LIMIT)
    pbx.done(pbx.commands[0].id, ok=False, message="Unable to remove interface: queue locked")
    pbx.remove("11", PHONE, "q2")
    pbx.commands.clear()
    pbx.wait(9)
    assert pbx.commands == []
    pbx.wait(2)
    assert removals(pbx) == ["q1"]
    pbx.commands.clear()
    pbx.wait(10.5)
    assert removals(pbx) == ["q1"]


def test_a_member_of_the_configuration_file_is_paused_by_the_rule(pbx: Dialogue) -> None:
    """C3: what QueueRemove will not remove is paused everywhere with reason `rule`, and that is the logout."""
    pbx.wait(LIMIT)
    pbx.done(pbx.commands[0].id, ok=False, message="Member not dynamic")
    pause = pbx.commands[-1]
    assert isinstance(pause, PauseMember)
    assert (pause.interface, pause.agent, pause.reason) == (PHONE, "11", "rule")
    pbx.done(pause.id)
    assert [incident.result for incident in pbx.incidents()] == ["paused"]
    pbx.pause("11", PHONE, "q1", "q2", reason="rule")
    assert (pbx.state("11").reason, pbx.state("11").cause) == ("rule", Cause.RULE)
    assert pbx.episode("11").reason == "break"
    pbx.commands.clear()
    pbx.wait(3600)
    assert pbx.commands == []
    assert len(pbx.notices("away_limit")) == 1


def test_the_incident_names_why_the_agent_left_even_if_the_pause_is_seen_before_its_answer(
    pbx: Dialogue,
) -> None:
    """C3: events and answers come over two connections; what the rule did is never the reason on record."""
    pbx.wait(LIMIT)
    pbx.done(pbx.commands[0].id, ok=False, message="Member not dynamic")
    pbx.pause("11", PHONE, "q1", "q2", reason="rule")
    pbx.done(pbx.commands[-1].id)
    (incident,) = pbx.incidents()
    assert (incident.detail, incident.result) == ("away (break) for 900 s", "paused")


def test_a_pause_that_failed_is_tried_again(pbx: Dialogue) -> None:
    """C3: neither removed nor paused is not the end of it."""
    pbx.wait(LIMIT)
    pbx.done(pbx.commands[0].id, ok=False, message="Member not dynamic")
    pbx.done(pbx.commands[-1].id, ok=False, message="Interface not found")
    pbx.commands.clear()
    pbx.wait(11)
    assert removals(pbx)


def test_answers_to_commands_of_others_mean_nothing(pbx: Dialogue) -> None:
    """C3: a command of another episode changes nothing."""
    pbx.wait(LIMIT)
    before = len(pbx.facts)
    pbx.done("p-99-1/remove/q1|PJSIP/99", ok=False, message="Member not dynamic")
    assert len(pbx.facts) == before


def test_a_rule_without_warning_time_warns_at_once() -> None:
    """C3: a limit shorter than the warning time still warns first."""
    pbx = logged_in()
    pbx.pause("11", PHONE, "q1", "q2", reason="training")
    (notice,) = pbx.notices("away_warning")
    assert notice.at == pbx.at
    pbx.wait(61)
    assert len(pbx.notices("away_limit")) == 1


# -- restarts


def restarted(pbx: Dialogue, after: float, *, reason: str = "break", paused: bool = True) -> Dialogue:
    """The daemon was dead for so long, and finds the agent as described."""
    later = Dialogue(AWAY, at=pbx.at + after, memory=pbx.memory())
    members = [
        seen_member(later.at, "11", PHONE, queue, paused=paused, reason=reason, last_pause=later.at - 5)
        for queue in ("q1", "q2")
    ]
    later.resynced(members=tuple(members))
    return later


def test_right_after_a_restart(pbx: Dialogue) -> None:
    """C3: the limit stands where it stood, though the PBX says the pause is five seconds old."""
    pbx.wait(600)
    later = restarted(pbx, 100)
    assert later.commands == []
    later.wait(LIMIT - 700)
    episode = later.episode("11")
    assert (episode.id, episode.started_at) == (pbx.episode("11").id, pbx.episode("11").started_at)
    assert episode.reported_at == pytest.approx(episode.started_at + LIMIT)
    assert sorted(removals(later)) == ["q1", "q2"]


def test_a_limit_passed_while_the_daemon_was_dead(pbx: Dialogue) -> None:
    """C3: is dealt with at once, and reported as of now."""
    later = restarted(pbx, LIMIT + 60)
    assert len(later.notices("away_limit")) == 1
    assert later.notices("away_warning") == []
    assert sorted(removals(later)) == ["q1", "q2"]
    assert later.episode("11").reported_at == later.at


def test_a_report_is_not_repeated_after_a_restart(pbx: Dialogue) -> None:
    """C3: one incident per episode; the logout that was under way is sent again under the same ids."""
    pbx.wait(LIMIT)
    ids = {command.id for command in pbx.commands}
    later = restarted(pbx, 5)
    assert (later.told(Incident), later.told(Notice)) == ([], [])
    assert {command.id for command in later.commands} == ids


def test_the_agent_came_back_while_the_daemon_was_dead(pbx: Dialogue) -> None:
    """C3: then it ends as of when that was seen."""
    later = restarted(pbx, 60, paused=False)
    found = later.at
    later.wait(LIMIT)
    assert later.episode("11").ended_at == found
    assert (later.commands, later.notices("away_limit")) == ([], [])


def test_nothing_is_decided_before_the_pbx_was_asked(pbx: Dialogue) -> None:
    """C3: a daemon that cannot reach the PBX yet does not take an empty list of members for a logout."""
    later = Dialogue(AWAY, at=pbx.at + 1, memory=pbx.memory())
    later.link_lost("refused")
    later.wait(2 * LIMIT)
    assert later.told(AwayEpisode) == []


def test_an_absence_found_on_attaching_began_at_the_pbxs_lastpause() -> None:
    """C3: the best that is known of an absence that nobody saw begin."""
    pbx = Dialogue(AWAY)
    member = seen_member(pbx.at, "11", PHONE, "q1", paused=True, reason="break", last_pause=pbx.at - 500)
    pbx.resynced(members=(member,))
    assert pbx.episode("11").started_at == pytest.approx(pbx.at - 500, abs=0.1)
    pbx.wait(LIMIT - 500 + 1)
    assert len(pbx.notices("away_limit")) == 1


def found_after(pbx: Dialogue, seconds: float, **paused_at: float) -> Dialogue:
    """The daemon was dead for so long; the agent is paused in these queues by now, and in no others."""
    later = Dialogue(AWAY, at=pbx.at + seconds, memory=pbx.memory())
    members = [
        seen_member(later.at, "11", PHONE, queue, paused=True, reason="break", last_pause=pbx.at + at)
        for queue, at in paused_at.items()
    ]
    later.resynced(members=tuple(members))
    return later


def test_found_away_who_had_been_paused_in_one_queue_left_with_the_other() -> None:
    """C3: a pause of one queue, however old, takes no time from an absence that began much later."""
    pbx = logged_in()
    pbx.pause("11", PHONE, "q1")
    pbx.wait(2 * LIMIT)
    later = found_after(pbx, 60, q1=-2 * LIMIT, q2=40)
    episode = later.episode("11")
    assert (episode.started_at, episode.sources) == (pbx.at + 40, ("started_at:list",))
    assert (later.notices("away_limit"), later.commands) == ([], [])


def test_found_away_without_the_queue_they_worked_in_is_away_since_found() -> None:
    """C3: nothing in the list says when they left that queue; the old pause of the other one does not."""
    pbx = logged_in()
    pbx.pause("11", PHONE, "q1")
    pbx.wait(2 * LIMIT)
    later = found_after(pbx, 60, q1=-2 * LIMIT)
    assert later.episode("11").started_at == later.at
    assert later.notices("away_limit") == []


def test_nobody_left_before_they_were_seen_at_work() -> None:
    """C3: the PBX has whole seconds, and pauses of before the last return."""
    pbx = logged_in()
    pbx.pause("11", PHONE, "q1", "q2")
    pbx.wait(60)
    pbx.unpause("11", PHONE, "q1", "q2")
    pbx.wait(GRACE + 1)
    later = found_after(pbx, 5, q2=-70)
    assert later.episode("11").started_at >= later.at - 5 - GRACE - 1.1


def test_a_return_ends_an_absence_however_late_that_is_noticed(pbx: Dialogue) -> None:
    """C3: what comes next may be the next pause, with no tick between; so it is when books are told."""
    first = pbx.episode("11")
    pbx.at += 100
    pbx.unpause("11", PHONE, "q1")
    back = pbx.at
    pbx.at += 10 * GRACE
    pbx.pause("11", PHONE, "q1")
    ended, second = [one for one in pbx.latest.values() if isinstance(one, AwayEpisode)]
    assert (ended.id, second.ended_at) == (first.id, None)
    assert ended.ended_at == pytest.approx(back, abs=0.1)


def test_the_books_say_when_whoever_was_found_away_left() -> None:
    """C3: a begin that was a guess moves either way, and the limit with it; one that is known does not move later."""
    pbx = logged_in()
    later = found_after(pbx, 60, q1=20, q2=20)
    found = later.episode("11")
    for at in (50.0, 55.0):
        began = pbx.at + at
        told = replace(found, started_at=began, limit_at=began + LIMIT, sources=("started_at:queue_log",))
        later.core.agents.learn_away([told])
        later.say(ev.Tick(later.at))
    now = later.episode("11")
    assert now.started_at == pbx.at + 50
    assert now.limit_at == pytest.approx(pbx.at + 50 + LIMIT)


def test_a_lost_link_does_not_stop_the_clock(pbx: Dialogue) -> None:
    """C3: the limit is the clock's; the logout is sent again when the link is back."""
    pbx.wait(600)
    pbx.link_lost()
    pbx.wait(LIMIT)
    assert len(pbx.notices("away_limit")) == 1
    assert pbx.commands
