"""The metrics sink, read back through Prometheus' own parser from the text it exports."""

from dataclasses import replace

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from cti.core.explained import RULES
from cti.core.facts import (
    AgentState,
    Attempt,
    AttemptOutcome,
    AwayEpisode,
    Call,
    Cause,
    Direction,
    Disposition,
    Fact,
    Fault,
    FaultKind,
    Incident,
    Link,
    Queue,
    QueueStay,
    Rejected,
    RejectReason,
    State,
    StayOutcome,
    Talk,
    WorkItem,
)
from cti.core.mismatch import MismatchReason
from metrics import families
from metrics.formulas import occupancy, service_level
from metrics.record import Metrics
from metrics.sources import DoorFigures, DutyFigures, NotifyFigures, Sources, SpoolFigures, StoreFigures

T0 = 1_760_000_000.0


class Desk:
    """A metrics sink with a clock that the test sets."""

    def __init__(self, *, sources: Sources | None = None, max_names: int = 100) -> None:
        self.now = T0
        self.metrics = Metrics(
            CollectorRegistry(),
            service_level={"support": 12.5},
            default_service_level=20.0,
            now=lambda: self.now,
            pbxs=["main"],
            reasons=MismatchReason,
            rules=RULES,
            sources=sources,
            max_names=max_names,
        )

    def take(self, *facts: Fact) -> None:
        self.metrics.take(facts)

    def samples(self) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
        text = self.metrics.metrics_text().decode()
        return {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    def value(self, name: str, /, **labels: str) -> float | None:
        return self.samples().get((name, frozenset(labels.items())))

    def names(self) -> set[str]:
        return {name for name, _ in self.samples()}


@pytest.fixture
def desk() -> Desk:
    return Desk()


def agent(
    state: State, since: float, *, who: str = "2001", queues: tuple[str, ...] = ("sales",)
) -> AgentState:
    device = "" if state is State.LOGGED_OUT else "PJSIP/1001"
    return AgentState("main", who, "王小明", device, queues, state, since, "", Cause.AGENT)


def link(at: float, *, up: bool) -> Link:
    return Link("main", up, at)


def stay(number: int, outcome: StayOutcome | None, wait: float | None, queue: str = "sales") -> QueueStay:
    return QueueStay(
        id=f"main-{number}/q1",
        call_id=f"main-{number}",
        pbx="main",
        ordinal=1,
        queue=queue,
        uniqueid=str(number),
        joined_at=T0 + number,
        left_at=None if outcome is None else T0 + number + (wait or 0.0),
        outcome=outcome,
        wait=wait,
    )


def call(number: int, *, ended: bool = True) -> Call:
    return Call(
        id=f"main-{number}",
        pbx="main",
        direction=Direction.INBOUND,
        caller_number="13800138000",
        caller_name="李雷",
        dialed_number="400",
        started_at=T0,
        ended_at=T0 + 9 if ended else None,
        disposition=Disposition.ANSWERED if ended else None,
    )


def test_a_state_is_one_hot_and_its_instant_is_exported(desk: Desk) -> None:
    """Exactly one state holds at any instant, and its beginning is an instant, not an age."""
    desk.take(agent(State.AWAY, T0 + 5))
    assert desk.value("cti_agent_state", pbx="main", agent="2001", state="away") == 1
    assert (
        sum(desk.value("cti_agent_state", pbx="main", agent="2001", state=state) or 0 for state in State) == 1
    )
    assert desk.value("cti_agent_state_since_timestamp_seconds", pbx="main", agent="2001") == T0 + 5
    assert desk.value("cti_agent_info", pbx="main", agent="2001", name="王小明", device="PJSIP/1001") == 1


def seconds(desk: Desk, state: State) -> float | None:
    return desk.value("cti_agent_state_seconds_total", pbx="main", agent="2001", state=state)


def test_state_seconds_grow_between_events(desk: Desk) -> None:
    """State seconds are right at every scrape, with no update loop (F1)."""
    desk.take(agent(State.AVAILABLE, T0))
    desk.now = T0 + 10
    assert seconds(desk, State.AVAILABLE) == 10
    desk.take(agent(State.ON_CALL, T0 + 30))
    desk.now = T0 + 100
    assert seconds(desk, State.AVAILABLE) == 30
    assert seconds(desk, State.ON_CALL) == 70
    assert seconds(desk, State.RINGING) == 0


def test_state_seconds_before_this_process_are_not_counted(desk: Desk) -> None:
    """A restart does not make a counter jump: what an earlier process counted is not counted again."""
    desk.take(agent(State.AWAY, T0 - 3600))
    desk.now = T0 + 7
    assert seconds(desk, State.AWAY) == 7


def test_a_counter_never_falls(desk: Desk) -> None:
    """A scrape's clock that ran ahead of the PBX's does not make Prometheus see a restart."""
    desk.take(agent(State.AVAILABLE, T0))
    desk.now = T0 + 10.5
    assert seconds(desk, State.AVAILABLE) == 10.5
    desk.take(agent(State.ON_CALL, T0 + 10))
    assert seconds(desk, State.AVAILABLE) == 10.5
    desk.take(agent(State.AVAILABLE, T0 + 11))
    desk.now = T0 + 12
    assert seconds(desk, State.AVAILABLE) == 11


def test_a_backdated_state_is_not_counted_twice(desk: Desk) -> None:
    """After a reconnect a state may be told with an earlier beginning; no second is given away twice."""
    desk.take(agent(State.AVAILABLE, T0), agent(State.AWAY, T0 + 20), agent(State.AVAILABLE, T0 + 10))
    desk.now = T0 + 25
    assert seconds(desk, State.AVAILABLE) == 25
    assert seconds(desk, State.AWAY) == 0


def test_time_without_a_link_belongs_to_no_state(desk: Desk) -> None:
    """While the link is down the agent's state is unknown, and how long is itself a metric."""
    desk.take(link(T0, up=True), agent(State.AVAILABLE, T0), agent(State.LOGGED_OUT, T0, who="2002"))
    desk.take(link(T0 + 10, up=False))
    desk.now = T0 + 25
    assert seconds(desk, State.AVAILABLE) == 10
    assert desk.value("cti_agent_unknown_seconds_total", pbx="main", agent="2001") == 15
    assert desk.value("cti_agent_unknown_seconds_total", pbx="main", agent="2002") == 0
    assert desk.value("cti_ami_link_up", pbx="main") == 0
    desk.take(link(T0 + 30, up=True), agent(State.ON_CALL, T0 + 28))
    desk.now = T0 + 40
    assert desk.value("cti_agent_unknown_seconds_total", pbx="main", agent="2001") == 20
    assert seconds(desk, State.AVAILABLE) == 10
    assert seconds(desk, State.ON_CALL) == 10
    assert desk.value("cti_ami_connects_total", pbx="main") == 2


def test_an_agent_who_left_disappears(desk: Desk) -> None:
    """Somebody logged out for more than a day is exported no more, counters included."""
    desk.take(agent(State.AVAILABLE, T0), agent(State.LOGGED_OUT, T0 + 60))
    desk.now = T0 + 3600
    assert desk.value("cti_agent_state", pbx="main", agent="2001", state="logged_out") == 1
    desk.now = T0 + 60 + 86_401
    assert not [labels for _, labels in desk.samples() if ("agent", "2001") in labels]


def test_occupancy_from_state_seconds(desk: Desk) -> None:
    """Occupancy is (on_call + wrap_up) ÷ (on_call + wrap_up + available + ringing); away is outside (F1)."""
    desk.take(
        agent(State.AVAILABLE, T0),
        agent(State.RINGING, T0 + 20),
        agent(State.ON_CALL, T0 + 30),
        agent(State.WRAP_UP, T0 + 80),
        agent(State.AWAY, T0 + 90),
    )
    desk.now = T0 + 1000
    sums = desk.metrics.state_seconds()["main", "2001"]
    assert sums[State.AWAY] == 910
    assert occupancy(sums) == pytest.approx((50 + 10) / (50 + 10 + 20 + 10))
    assert occupancy({State.AWAY: 10.0}) is None


def test_service_level_fixture_through_the_exported_counters(desk: Desk) -> None:
    """100 offered, 70 answered and 10 abandoned within T, 20 later: 0.778, 0.70, 0.80 and 0.778."""
    number = 0
    for outcome, wait, count in (
        (StayOutcome.ANSWERED, 20.0, 70),
        (StayOutcome.ABANDONED, 3.0, 10),
        (StayOutcome.ANSWERED, 20.001, 20),
    ):
        for _ in range(count):
            number += 1
            desk.take(stay(number, outcome, wait))

    def total(name: str, outcomes: tuple[StayOutcome, ...]) -> float:
        return sum(desk.value(name, pbx="main", queue="sales", outcome=o) or 0 for o in outcomes)

    level = service_level(
        offered=total("cti_queue_calls_total", families.OFFERED),
        answered=total("cti_queue_calls_total", (StayOutcome.ANSWERED,)),
        answered_within=total("cti_queue_calls_within_threshold_total", (StayOutcome.ANSWERED,)),
        abandoned_within=total("cti_queue_calls_within_threshold_total", (StayOutcome.ABANDONED,)),
    )
    assert level.ignore_early_abandons == pytest.approx(0.778, abs=0.0005)
    assert level.strict == pytest.approx(0.70)
    assert level.abandons_as_good == pytest.approx(0.80)
    assert level.answered_only == pytest.approx(0.778, abs=0.0005)


def test_the_histogram_has_a_bucket_at_the_threshold(desk: Desk) -> None:
    """The queue's own threshold is a bucket, and a wait of exactly that length is inside it."""
    desk.take(
        stay(1, StayOutcome.ANSWERED, 12.5, queue="support"), stay(2, StayOutcome.ANSWERED, 12.6, "support")
    )
    labels = {"pbx": "main", "queue": "support", "outcome": "answered"}
    assert desk.value("cti_queue_wait_seconds_bucket", le="12.5", **labels) == 1
    assert desk.value("cti_queue_wait_seconds_bucket", le="10.0", **labels) == 0
    assert desk.value("cti_queue_wait_seconds_bucket", le="+Inf", **labels) == 2
    assert desk.value("cti_queue_wait_seconds_sum", **labels) == pytest.approx(25.1)
    assert desk.value("cti_queue_calls_within_threshold_total", **labels) == 1
    assert desk.value("cti_queue_service_level_threshold_seconds", pbx="main", queue="support") == 12.5


def test_a_changed_threshold_holds_for_queues_that_are_known(desk: Desk) -> None:
    """F1: after a reload each queue has a bucket at its threshold and counts by it; what was counted stays counted."""
    desk.take(
        stay(1, StayOutcome.ANSWERED, 12.0, queue="support"),
        stay(2, StayOutcome.ANSWERED, 12.0, queue="sales"),
    )
    desk.metrics.use_service_level({"support": 7.5, "sales": 10.0}, 20.0)
    desk.take(
        stay(3, StayOutcome.ANSWERED, 7.5, queue="support"),
        stay(4, StayOutcome.ANSWERED, 12.0, queue="sales"),
    )

    def value(name: str, queue: str, **labels: str) -> float | None:
        return desk.value(name, pbx="main", queue=queue, outcome="answered", **labels)

    assert value("cti_queue_wait_seconds_bucket", "support", le="7.5") == 1
    assert value("cti_queue_wait_seconds_count", "support") == 1  # begun anew, as after a restart
    assert value("cti_queue_wait_seconds_count", "sales") == 2  # it had a bucket there
    assert value("cti_queue_calls_within_threshold_total", "support") == 2
    assert value("cti_queue_calls_within_threshold_total", "sales") == 1
    assert desk.value("cti_queue_service_level_threshold_seconds", pbx="main", queue="sales") == 10.0


def test_each_ended_part_is_counted_once(desk: Desk) -> None:
    """A part whose end is sent again (a late AgentComplete, a replay) changes no counter."""
    ended = stay(1, StayOutcome.ANSWERED, 4.0)
    talk = Talk("main-9/t1", "main-1", "main", "sales", "2001", "PJSIP/1001", T0, T0 + 30, hold=5.0)
    ring = Attempt(
        "main-9/a", "main-1", "main", ended.id, "sales", "2001", "PJSIP/1001",
        State.AVAILABLE, T0, None, T0, T0 + 2, AttemptOutcome.ANSWERED,
    )  # fmt: skip
    for _ in range(3):
        desk.take(call(1), ended, replace(ended, book_talk=30.0), talk, ring)
    assert desk.value("cti_queue_calls_total", pbx="main", queue="sales", outcome="answered") == 1
    assert desk.value("cti_queue_talk_seconds_total", pbx="main", queue="sales") == 30
    assert desk.value("cti_queue_hold_seconds_total", pbx="main", queue="sales") == 5
    assert desk.value("cti_queue_attempts_total", pbx="main", queue="sales", outcome="answered") == 1
    assert desk.value("cti_agent_attempts_total", pbx="main", agent="2001", outcome="answered") == 1
    assert (
        desk.value(
            "cti_calls_total", pbx="main", direction="inbound", disposition="answered", quality="complete"
        )
        == 1
    )


def turned_away(desk: Desk, queue: str) -> float | None:
    return desk.value("cti_queue_calls_total", pbx="main", queue=queue, outcome="full")


def test_who_was_turned_away_counts_for_the_queue_that_cel_names(desk: Desk) -> None:
    """F1: a counter takes nothing back, so it waits for the name, and each counts once."""
    seen = stay(1, StayOutcome.FULL, 0.0, queue="")
    desk.now = T0 + 60
    desk.take(seen)
    assert turned_away(desk, "unknown") is None
    for _ in range(2):
        desk.take(replace(seen, queue="sales", sources=("queue:cel",)), seen)
        assert turned_away(desk, "sales") == 1
    desk.now = T0 + 3600
    assert (turned_away(desk, "sales"), turned_away(desk, "unknown")) == (1, None)


def test_who_was_turned_away_by_a_queue_that_nobody_names_is_not_lost_sight_of(desk: Desk) -> None:
    """F1: without CEL it counts as of a queue that is unknown, after five minutes, and for good."""
    seen = stay(1, StayOutcome.FULL, 0.0, queue="")
    desk.take(seen)
    desk.now = T0 + 302
    assert turned_away(desk, "unknown") == 1
    desk.take(replace(seen, queue="sales", sources=("queue:cel",)), seen)
    desk.take(link(T0 + 310, up=False), Queue("main", "support", "ringall", 5.0, 0))
    desk.now = T0 + 3600
    assert (turned_away(desk, "unknown"), turned_away(desk, "sales")) == (1, None)


def test_what_an_earlier_process_gave_up_waiting_for_is_not_counted_again(desk: Desk) -> None:
    """F1: CEL that comes back hours later; what it names of the last minutes nobody has counted yet."""
    late = replace(stay(1, StayOutcome.FULL, 0.0, queue="sales"), sources=("queue:cel",))
    desk.take(replace(late, joined_at=T0 - 400, left_at=T0 - 400))
    assert turned_away(desk, "sales") == 0
    desk.take(replace(late, id="main-2/n1", joined_at=T0 - 60, left_at=T0 - 60))
    desk.take(
        replace(late, id="main-3/n1", joined_at=T0 - 4000, left_at=T0 - 4000, sources=("*:cel",))
    )  # of a gap
    assert turned_away(desk, "sales") == 2


def test_how_a_pass_ended_is_waited_for(desk: Desk) -> None:
    """F1: queue_log may say it within minutes; else it is unknown."""
    desk.take(stay(1, StayOutcome.UNKNOWN, 9.0), stay(2, StayOutcome.UNKNOWN, 9.0))
    desk.take(stay(1, StayOutcome.TIMEOUT, 9.0))
    desk.now = T0 + 400

    def count(outcome: str) -> float | None:
        return desk.value("cti_queue_calls_total", pbx="main", queue="sales", outcome=outcome)

    assert (count("timeout"), count("unknown")) == (1, 1)


def test_a_merged_call_is_counted_as_one(desk: Desk) -> None:
    """A call that turned out to be a part of another is not a second call."""
    desk.take(call(1, ended=False), call(2, ended=False))
    assert desk.value("cti_calls_live", pbx="main", direction="inbound") == 2
    desk.take(replace(call(2), merged_into="main-1"), call(1))
    assert desk.value("cti_calls_live", pbx="main", direction="inbound") == 0
    assert (
        desk.value(
            "cti_calls_total", pbx="main", direction="inbound", disposition="answered", quality="complete"
        )
        == 1
    )


def test_who_waits_now_and_since_when(desk: Desk) -> None:
    """Waiting callers and the oldest's joining are live; nobody waiting means no instant, not 1970."""
    desk.take(stay(1, None, None), stay(2, None, None))
    oldest = "cti_queue_oldest_waiting_joined_timestamp_seconds"
    assert desk.value("cti_queue_waiting", pbx="main", queue="sales") == 2
    assert desk.value(oldest, pbx="main", queue="sales") == T0 + 1
    desk.take(replace(stay(1, None, None), answered_at=T0 + 3))
    assert desk.value(oldest, pbx="main", queue="sales") == T0 + 2
    desk.take(stay(2, StayOutcome.ABANDONED, 4.0))
    assert desk.value("cti_queue_waiting", pbx="main", queue="sales") == 0
    assert desk.value(oldest, pbx="main", queue="sales") is None


def test_members_by_state(desk: Desk) -> None:
    """A queue's members are counted by state; a logged-out agent is no member."""
    desk.take(Queue("main", "sales", "ringall", 5.0, 0))
    desk.take(
        agent(State.AWAY, T0), agent(State.ON_CALL, T0, who="2002"), agent(State.LOGGED_OUT, T0, who="2003")
    )
    assert desk.value("cti_queue_members", pbx="main", queue="sales", state="away") == 1
    assert desk.value("cti_queue_members", pbx="main", queue="sales", state="on_call") == 1
    assert desk.value("cti_queue_members", pbx="main", queue="sales", state="available") == 0


def test_a_queue_that_left_disappears(desk: Desk) -> None:
    """A queue the PBX no longer lists after a reconnect is exported no more; the others keep their counts."""
    sales, support = (Queue("main", name, "ringall", 5.0, 0) for name in ("sales", "support"))
    desk.take(sales, support, stay(1, StayOutcome.ANSWERED, 2.0))
    desk.take(link(T0 + 10, up=False), link(T0 + 20, up=True))
    assert desk.value("cti_queue_waiting", pbx="main", queue="support") == 0
    desk.take(sales)
    assert desk.value("cti_queue_waiting", pbx="main", queue="support") is None
    assert desk.value("cti_queue_calls_total", pbx="main", queue="sales", outcome="answered") == 1


def test_known_series_exist_at_zero(desk: Desk) -> None:
    """Before their first event the series of a known PBX, queue and agent are there, at 0."""
    desk.take(Queue("main", "sales", "ringall", 5.0, 0), agent(State.AVAILABLE, T0))
    for name, labels in (
        ("cti_ami_link_up", {}),
        ("cti_ami_connects_total", {}),
        ("cti_ami_events_rejected_total", {"reason": "too_long"}),
        ("cti_faults_open", {"kind": "link"}),
        ("cti_reconcile_checked_total", {}),
        *(("cti_reconcile_mismatch_total", {"reason": reason.value}) for reason in MismatchReason),
        *(("cti_reconcile_explained_total", {"rule": rule}) for rule in RULES),
        ("cti_work_items_total", {"kind": "after_hours_call", "result": "accepted"}),
        ("cti_queue_calls_total", {"queue": "sales", "outcome": "join_empty"}),
        ("cti_queue_wait_seconds_count", {"queue": "sales", "outcome": "abandoned"}),
        ("cti_queue_calls_within_threshold_total", {"queue": "sales", "outcome": "answered"}),
        ("cti_agent_away_incidents_total", {"agent": "2001"}),
        ("cti_agent_attempts_total", {"agent": "2001", "outcome": "no_answer"}),
    ):
        assert desk.value(name, pbx="main", **labels) == 0, name


def test_away_warnings_and_incidents_are_counted_once(desk: Desk) -> None:
    """The away rule's warnings and incidents are counted, each once, whatever is told about them later (C3)."""
    episode = AwayEpisode("main-2001-1", "main", "2001", "break", T0, T0 + 780, T0 + 900)
    incident = Incident("i1", "main", "away_limit", "2001", T0 + 900, "")
    desk.take(agent(State.AWAY, T0), episode, replace(episode, warned_at=T0 + 780))
    desk.take(replace(episode, warned_at=T0 + 780, reported_at=T0 + 900))
    desk.take(incident, replace(incident, result="logged_out"))
    assert desk.value("cti_agent_away_warnings_total", pbx="main", agent="2001") == 1
    assert desk.value("cti_agent_away_incidents_total", pbx="main", agent="2001") == 1


def test_after_hours_calls_and_work_items_by_result(desk: Desk) -> None:
    """An after-hours call is counted when its result is known, once (D7)."""
    item = WorkItem("main-1", "main", "after_hours_call", "main-1", "hotline", "139", T0, "ringing")
    desk.take(item, replace(item, result="accepted"), replace(item, result="accepted", state="done"))
    assert desk.value("cti_duty_calls_total", pbx="main", hotline="hotline", result="accepted") == 1
    assert desk.value("cti_duty_calls_total", pbx="main", hotline="hotline", result="unanswered") == 0
    assert desk.value("cti_work_items_total", pbx="main", kind="after_hours_call", result="accepted") == 1


def test_faults_and_rejections(desk: Desk) -> None:
    """A fault is open between its begin and its end; what could not be taken is counted by reason (A3)."""
    fault = Fault("f1", FaultKind.LINK, "main", T0)
    desk.take(fault, Rejected("main", RejectReason.BAD_VALUE, T0, "Cause=x"))
    assert desk.value("cti_faults_open", pbx="main", kind="link") == 1
    desk.take(replace(fault, ended_at=T0 + 5))
    assert desk.value("cti_faults_open", pbx="main", kind="link") == 0
    assert desk.value("cti_faults_total", pbx="main", kind="link") == 1
    assert desk.value("cti_ami_events_rejected_total", pbx="main", reason="bad_value") == 1


def test_a_fault_of_the_daemon_belongs_to_no_pbx(desk: Desk) -> None:
    """The database's fault is exported with an empty pbx, from 0 on, and makes no PBX appear (A3)."""
    assert desk.value("cti_faults_open", pbx="", kind="database") == 0
    fault = Fault("cti-database-1", FaultKind.DATABASE, "", T0)
    desk.take(fault)
    assert desk.value("cti_faults_open", pbx="", kind="database") == 1
    desk.take(replace(fault, ended_at=T0 + 5))
    assert desk.value("cti_faults_open", pbx="", kind="database") == 0
    assert desk.value("cti_faults_total", pbx="", kind="database") == 1
    assert desk.value("cti_ami_link_up", pbx="") is None


def test_the_comparison_with_the_books(desk: Desk) -> None:
    """How many records were checked and how many differ, by reason, adds up over the comparisons (B4)."""
    for _ in range(2):
        desk.metrics.reconciled(
            "main",
            checked=10,
            mismatches={"agent": 1, "outcome": 0},
            explained={"cut_off": 4, "recall_dropped": 0},
            bad_lines=3,
        )
    assert desk.value("cti_reconcile_checked_total", pbx="main") == 20
    assert desk.value("cti_reconcile_mismatch_total", pbx="main", reason="agent") == 2
    assert desk.value("cti_reconcile_mismatch_total", pbx="main", reason="outcome") == 0
    assert desk.value("cti_reconcile_explained_total", pbx="main", rule="cut_off") == 8
    assert desk.value("cti_reconcile_explained_total", pbx="main", rule="recall_dropped") == 0
    assert desk.value("cti_book_bad_lines_total", pbx="main") == 6


def test_names_are_bounded() -> None:
    """More names than the cap share the label 'other', and that is counted; nothing grows without bound."""
    desk = Desk(max_names=2)
    for number in range(10):
        desk.take(stay(number, StayOutcome.ANSWERED, 1.0, queue=f"q{number}"))
        desk.take(agent(State.AVAILABLE, T0, who=str(number), queues=(f"q{number}",)))
    assert desk.value("cti_queue_calls_total", pbx="main", queue="other", outcome="answered") == 8
    assert desk.value("cti_metrics_overflow_total", name="queue") == 8
    assert desk.value("cti_metrics_overflow_total", name="agent") == 8
    queues = {dict(labels).get("queue") for _, labels in desk.samples()} - {None}
    assert queues == {"q0", "q1", "other"}


def test_no_caller_number_or_call_id_is_exported(desk: Desk) -> None:
    """Labels never carry caller numbers, caller names or call ids."""
    item = WorkItem("main-1", "main", "after_hours_call", "main-17", "hotline", "13800138000", T0, "accepted")
    desk.take(call(17), stay(17, StayOutcome.ANSWERED, 1.0), item)
    text = desk.metrics.metrics_text().decode()
    assert "13800138000" not in text
    assert "李雷" not in text
    assert "main-17" not in text


def test_figures_of_other_rooms_are_read_at_the_scrape() -> None:
    """Door, store, spool, notifier and duty are asked at the scrape; an instant that has not happened is absent."""
    seen = [5]
    desk = Desk(
        sources=Sources(
            door=lambda: [DoorFigures("main", seen[0], 1, 2, T0)],
            store=lambda: StoreFigures(1, 2, 3, 4, None),
            spool=lambda: SpoolFigures(1, 2, 300, 4, 5),
            notify=lambda: NotifyFigures(0, 1, 2, 3, 4),
            duty=lambda: [DutyFigures("main", 60, T0 + 60, T0)],
            today=lambda: seen[0] > 5,
        )
    )
    assert desk.value("cti_ami_events_seen_total", pbx="main") == 5
    assert desk.value("cti_today_complete") == 0
    seen[0] = 6
    assert desk.value("cti_today_complete") == 1
    assert desk.value("cti_ami_events_seen_total", pbx="main") == 6
    assert desk.value("cti_store_retries_total") == 4
    assert desk.value("cti_store_last_commit_timestamp_seconds") is None
    assert desk.value("cti_spool_bytes") == 300
    assert desk.value("cti_spool_damaged_lines_total") == 5
    assert desk.value("cti_notify_failed_total") == 3
    assert desk.value("cti_duty_horizon_timestamp_seconds", pbx="main") == T0 + 60


def test_every_exported_name_is_declared(desk: Desk) -> None:
    """`metrics.families` is the one place: nothing is exported that is not declared there, with help and prefix."""
    desk.take(agent(State.AVAILABLE, T0), stay(1, StayOutcome.ANSWERED, 1.0), call(1), link(T0, up=True))
    declared = {family.name.removesuffix("_total") for family in families.ALL}
    text = desk.metrics.metrics_text().decode()
    exported = {family.name for family in text_string_to_metric_families(text)}
    exported = {name.removesuffix("_info") for name in exported}
    assert exported <= declared
    assert all(family.name.startswith("cti_") and family.help for family in families.ALL)
    assert len({family.name for family in families.ALL}) == len(families.ALL)


def test_a_snapshot_stays_as_it_was(desk: Desk) -> None:
    """What is written later, in another thread, is the moment of the scrape and not that of the writing."""
    desk.take(stay(1, StayOutcome.ANSWERED, 1.0))
    before = desk.metrics.metrics_text()
    written = desk.metrics.snapshot()
    desk.take(stay(2, StayOutcome.ANSWERED, 1.0), agent(State.AVAILABLE, T0))
    assert written() == before
    assert desk.metrics.metrics_text() != before
