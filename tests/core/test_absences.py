"""C3: who was away while nobody listened is on record afterwards, from the books; nobody is warned or logged out for it."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from cti.core import events as ev
from cti.core.absences import absences
from cti.core.backfill import Plan, Rows, plan
from cti.core.books import QueueRow
from cti.core.core import Core
from cti.core.facts import AgentState, AwayEpisode, FactKey, Gap, Incident
from cti.core.memory import Known
from cti.core.rules import AwayRule, Rules
from tests.core.dialogue import remember, seen_member

RULES = Rules(away=AwayRule(limit=900.0, warn_before=120.0, grace=10.0))
T0 = 1_795_000_000.0
PHONE, QUEUES = "PJSIP/11", ("q1", "q2")
WHOLE = 0.4  # s that queue_log leaves out
Records = dict[FactKey, Any]
Turn = tuple[float, bool]  # seconds after T0 at which the agent leaves (True) or is back


def rows(turns: Iterable[Turn]) -> Rows:
    """What queue_log has of it."""
    found = []
    for at, away in turns:
        verb, data = ("PAUSE", ("break",)) if away else ("UNPAUSE", ("",))
        found += [QueueRow(T0 + at, "NONE", queue, "2001", verb, data, "") for queue in QUEUES]
    return Rows([QueueRow(T0 - 10, "NONE", "q1", "2001", "RINGNOANSWER", ("0",), ""), *found])


def member(at: float, *, away: bool, what: str = "changed", paused_at: float = 0.0) -> list[ev.Event]:
    """The agent in both queues."""
    reason = "break" if away else ""
    return [
        seen_member(at, "2001", PHONE, queue, what=what, paused=away, reason=reason, last_pause=paused_at)
        for queue in QUEUES
    ]


class Day:
    """A daemon that hears an agent's turns, save for those of a gap; records are what a store has of it."""

    def __init__(self) -> None:
        self.records: Records = {}
        self.core = Core("p", RULES)
        self.commands = 0
        self._say(ev.Resynced(T0 - 100, 1.0, members=tuple(member(T0 - 100, away=False, what="listed"))))  # type: ignore[arg-type]  # members are events too

    def _say(self, event: ev.Event) -> None:
        step = self.core.step(event)
        self.commands += len(step.commands)
        for fact in step.facts:
            if isinstance(fact, AwayEpisode | AgentState | Incident):
                self.records[fact.key] = fact

    def until(self, at: float) -> None:
        """Time passes."""
        while (due := self.core.next_deadline()) is not None and due <= at:
            self._say(ev.Tick(due))

    def hear(self, turns: Iterable[Turn]) -> None:
        for at, away in turns:
            self.until(T0 + at)
            for event in member(T0 + at + WHOLE, away=away, paused_at=T0 + at):
                self._say(event)

    def miss(self, turns: Sequence[Turn], began: float, ended: float) -> Gap:
        """Be dead from `began` to `ended`, and find the agent in a list then."""
        self.until(T0 + began)
        self.core = Core("p", RULES)
        self.core.restore(remember(self.records.values()))
        last = [turn for turn in turns if turn[0] < ended][-1:] or [(0.0, False)]
        paused_at = max((T0 + at for at, away in turns if away and at < ended), default=0.0)
        listed = member(T0 + ended, away=last[0][1], what="listed", paused_at=paused_at)
        self._say(ev.Resynced(T0 + ended, 1.0, members=tuple(listed)))  # type: ignore[arg-type]  # as above
        return Gap("g", "p", T0 + began, T0 + ended, "stopped")

    def episodes(self) -> list[AwayEpisode]:
        found = [fact for fact in self.records.values() if isinstance(fact, AwayEpisode)]
        return sorted(found, key=lambda one: one.started_at)

    def incidents(self) -> list[Incident]:
        return [fact for fact in self.records.values() if isinstance(fact, Incident)]

    def learn(self, found: Plan) -> None:
        """As the bookkeeper hands it on."""
        self.core.agents.learn_away(found.ongoing)
        self._say(ev.Tick(max(one.started_at for one in found.ongoing)))

    def fill(self, turns: Iterable[Turn], gap: Gap) -> Plan:
        """Plan, and write as the store does."""
        states = [fact for fact in self.records.values() if isinstance(fact, AgentState)]
        found = plan("p", RULES, [gap], rows(turns), Known(agent_states=states, episodes=self.episodes()))
        self.records |= {fact.key: fact for fact in found.new if fact.key not in self.records}
        self.records |= {fact.key: fact for fact in found.completed}
        return found


def lived(turns: Sequence[Turn], began: float, ended: float) -> tuple[Day, Gap]:
    """A whole day with a gap, filled when it is over."""
    day = Day()
    day.hear(turn for turn in turns if turn[0] < began)
    gap = day.miss(turns, began, ended)
    day.hear(turn for turn in turns if turn[0] >= ended)
    day.until(T0 + 50_000)
    return day, gap


def spans(episodes: Iterable[AwayEpisode]) -> list[tuple[float, float]]:
    """Begin and end of each, in seconds after T0."""
    return [(round(one.started_at - T0), round((one.ended_at or T0) - T0)) for one in episodes]


def test_an_absence_within_the_gap_is_added() -> None:
    """Whole, from the books, and without a warning that nobody gave."""
    turns = [(200.0, True), (1000.0, False)]
    day, gap = lived(turns, 100, 2000)
    assert day.episodes() == []
    before = day.commands
    day.fill(turns, gap)
    (episode,) = day.episodes()
    assert spans([episode]) == [(200, 1000)]
    assert episode.sources == ("*:queue_log",)
    assert (episode.warned_at, episode.reported_at, episode.logged_out_at) == (None, None, None)
    assert (day.incidents(), day.commands) == ([], before)


def test_an_absence_over_the_limit_is_written_down_as_unseen() -> None:
    """An incident at the limit, told of nobody then; no command goes to the PBX."""
    turns = [(200.0, True), (1700.0, False)]
    day, gap = lived(turns, 100, 2000)
    before = day.commands
    day.fill(turns, gap)
    (incident,), (episode,) = day.incidents(), day.episodes()
    assert (incident.kind, incident.at, incident.result) == ("away_limit", T0 + 1100, "unseen")
    assert incident.id == f"{episode.id}/limit"
    assert "1500 s" in incident.detail
    assert day.commands == before


def test_a_return_within_the_gap_is_dated() -> None:
    """Who had left before and was back when somebody looked came back when the books say; until then it waits."""
    turns = [(50.0, True), (600.0, False)]
    day, gap = lived(turns, 100, 2000)
    assert spans(day.episodes()) == [(50, 2000)]
    late = Day()
    late.hear(turns[:1])
    late.miss(turns, 100, 2000)
    assert late.fill(turns, gap).living == [late.episodes()[0].id]
    day.fill(turns, gap)
    (episode,) = day.episodes()
    assert spans([episode]) == [(50, 600)]
    assert episode.sources == ("ended_at:queue_log",)
    assert day.incidents() == []


def test_an_absence_that_goes_on_is_left_to_the_live_rule() -> None:
    """Begun in the gap, it is found in the list with its begin; the limit is the rule's to watch, once."""
    turns = [(1800.0, True), (2500.0, False)]
    day, gap = lived(turns, 100, 2000)
    before = day.episodes()
    assert spans(before) == [(1800, 2500)]
    day.fill(turns, gap)
    assert day.episodes() == before


def test_who_paused_again_in_the_gap_left_earlier() -> None:
    """The PBX forgets the first pause; the books do not."""
    turns = [(200.0, True), (1500.0, True), (2300.0, False)]
    day, gap = lived(turns, 100, 2000)
    assert spans(day.episodes()) == [(1500, 2300)]
    day.fill(turns, gap)
    (episode,) = day.episodes()
    assert spans([episode]) == [(200, 2300)]
    assert episode.limit_at == T0 + 1100
    assert [incident.at for incident in day.incidents()] == [T0 + 1100]


def test_who_was_back_and_left_again_was_away_twice() -> None:
    """What looked like one long absence."""
    turns = [(50.0, True), (400.0, False), (700.0, True), (900.0, False)]
    day, gap = lived(turns, 100, 800)
    assert spans(day.episodes()) == [(50, 900)]
    day.fill(turns, gap)
    assert spans(day.episodes()) == [(50, 400), (700, 900)]


def test_pausing_again_in_the_gap_gains_no_time() -> None:
    """C3: the limit counts from when the books say; the live rule reports and logs out by it, for the agent is away now."""
    turns: list[Turn] = [(200.0, True), (900.0, True)]
    day = Day()
    gap = day.miss(turns, 100, 1000)
    assert [one.limit_at for one in day.episodes()] == [T0 + 1800]
    found = day.fill(turns, gap)
    assert not [fact for fact in found.new if not isinstance(fact, AgentState)]
    assert (found.completed, found.living) == ([], [])
    day.learn(found)
    (episode,) = day.episodes()
    assert (spans([episode])[0][0], episode.limit_at) == (200, T0 + 1100)
    assert set(episode.sources) == {f"{name}:queue_log" for name in ("started_at", "warn_at", "limit_at")}
    assert day.fill(turns, gap).ongoing == []
    before = day.commands
    day.until(T0 + 1099)
    assert (day.incidents(), day.commands) == ([], before)
    day.until(T0 + 1101)
    (incident,) = day.incidents()
    assert (incident.at, incident.result) == (T0 + 1100, None)
    assert day.commands > before


def test_who_was_back_in_between_has_no_less_time() -> None:
    """C3: of one long absence the books make two, and the limit is that of the one that goes on."""
    turns: list[Turn] = [(50.0, True), (400.0, False), (700.0, True)]
    day = Day()
    day.hear(turns[:1])
    gap = day.miss(turns, 100, 800)
    assert [one.limit_at for one in day.episodes()] == [T0 + 50 + WHOLE + 900]
    found = day.fill(turns, gap)
    assert found.living == []
    day.learn(found)
    first, second = day.episodes()
    assert (spans([first]), second.ended_at, second.limit_at) == ([(50, 400)], None, T0 + 1600)
    assert day.fill(turns, gap).ongoing == []
    day.until(T0 + 1500)
    assert day.incidents() == []
    day.hear([(1550.0, False)])
    day.until(T0 + 5000)
    assert spans(day.episodes()) == [(50, 400), (700, 1550)]


def test_what_is_over_by_now_or_reported_is_not_learned() -> None:
    """The books come late: whoever is back, or was reported meanwhile, stays as seen."""
    turns: list[Turn] = [(200.0, True), (900.0, True)]
    for wait in (1500.0, 3000.0):
        day = Day()
        gap = day.miss(turns, 100, 1000)
        found = day.fill(turns, gap)
        if wait < 1800:
            day.hear([(1200.0, False)])
        day.until(T0 + wait)
        before = dict(day.records)
        day.learn(found)
        assert day.records == before


PAUSES = st.lists(
    st.tuples(st.integers(40, 1500), st.sampled_from([4, 40, 200, 1200])), min_size=1, max_size=5
)  # how long away, how long there; 4 s is no return


@settings(max_examples=150)
@given(PAUSES, st.integers(0, 4000), st.integers(60, 4000))
def test_any_gap_is_filled_with_what_a_daemon_that_heard_all_has(
    pauses: list[tuple[int, int]], began: int, length: int
) -> None:
    """The same absences with the same begins and ends, to the second of queue_log; and once more changes nothing."""
    turns: list[Turn] = []
    at = 20.0
    for away, there in pauses:
        turns += [(at, True), (at + away, False)]
        at += away + there
    whole = Day()
    whole.hear(turns)
    whole.until(T0 + 50_000)
    ended = began + length + 0.5
    day, gap = lived(turns, began + 0.5, ended)
    day.fill(turns, gap)
    seen_as_one = [one for one in day.episodes() if one.reported_at is not None]
    right = [one for one in whole.episodes() if not _within(one, seen_as_one)]
    ours = [one for one in day.episodes() if not _within(one, seen_as_one)]
    assert len(ours) == len(right)
    for mine, one in zip(ours, right, strict=True):
        assert abs(mine.started_at - one.started_at) < 1.0
        assert mine.ended_at is not None
        assert one.ended_at is not None
        assert abs(mine.ended_at - one.ended_at) < 1.0
    before = dict(day.records)
    again = day.fill(turns, gap)
    assert (again.completed, again.living, day.records) == ([], [], before)


def _within(one: AwayEpisode, others: Iterable[AwayEpisode]) -> bool:
    """Those that were reported stay as they are, whatever the books make of them."""
    return any(
        other.started_at - 1 < (one.ended_at or T0) and one.started_at < (other.ended_at or T0) + 1
        for other in others
    )


GAPS = [Gap("g", "p", T0, T0 + 800.5, "stopped")]


def episode(began: float, ended: float | None, *sources: str) -> AwayEpisode:
    """In seconds after T0; sources of one on record."""
    at = T0 + began
    until = None if ended is None else T0 + ended
    return AwayEpisode(
        f"p-2001-{at:.6f}", "p", "2001", "break", at, at + 780, at + 900, ended_at=until, sources=sources
    )


def compared(told: Sequence[AwayEpisode], *known: AwayEpisode) -> list[tuple[float, float]]:
    """What is on record afterwards; once more changes nothing."""
    records = {one.id: one for one in known}
    found = absences(told, known, GAPS, grace=1.0)
    records |= {one.id: one for one in (*found.new, *found.completed) if isinstance(one, AwayEpisode)}
    again = absences(told, list(records.values()), GAPS, grace=1.0)
    assert (again.new, again.completed) == ([], [])
    return spans(sorted(records.values(), key=lambda one: one.started_at))


def test_whoever_was_found_away_left_when_the_books_say() -> None:
    """C3: not when one of their queues was paused, which may be long before, and within another absence on record."""
    told = [episode(737, 740), episode(743, 810)]
    assert compared(told[1:], episode(640, 810.4, "started_at:list")) == [(743, 810)]
    assert compared(told, episode(737.2, 740.1), episode(734, 810.4, "started_at:list")) == [
        (737, 740),
        (743, 810),
    ]


def test_a_begin_that_was_seen_stays() -> None:
    """B3: to the part of a second."""
    seen = episode(743.4, 810.4)
    assert absences([episode(743, 810)], [seen], GAPS, grace=1.0).completed == []


def test_an_end_that_was_found_is_dated_though_its_gap_is_not_on_record() -> None:
    """C3: whoever looked died before that gap was written; what they found says that it was found."""
    found = episode(700.3, 790.2, "ended_at:list")
    assert compared([episode(700, 760)], found) == [(700, 760)]


def test_an_absence_found_in_the_second_in_which_it_ended_is_one() -> None:
    """B4: away when the PBX was asked, and back in the same second of the book."""
    assert compared([episode(700, 790)], episode(790.3, 790.6, "started_at:list")) == [(700, 791)]


def test_a_return_shorter_than_the_grace_is_none_wherever_nobody_saw_it() -> None:
    """C3: away, back, and away again in a gap, and seen to leave right after it: one absence, from the first."""
    assert compared([episode(600, 700), episode(700.5, 750)]) == [(600, 750)]
    assert compared([episode(700, 799), episode(799.5, 810)], episode(799.9, 810.2)) == [(700, 810)]


def test_what_is_split_is_split_as_a_whole() -> None:
    """B3: while the later part may yet go on, nothing is written of the earlier one; nothing would come back to it."""
    told, stored = [episode(600, 700), episode(750, 810)], episode(600.2, 810.3)
    found = absences(told, [stored], GAPS, grace=1.0, until=T0 + 810.5)
    assert (found.new, found.completed, found.living) == ([], [], [stored.id])


def test_an_incident_that_was_reported_stays_as_it_was() -> None:
    """What the lead was told of is not written anew."""
    turns = [(50.0, True), (2500.0, False)]
    day, gap = lived(turns, 100, 2000)
    (incident,) = day.incidents()
    assert incident.result is None
    day.fill(turns, gap)
    assert day.incidents() == [replace(incident)]
