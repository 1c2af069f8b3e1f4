"""Facts as the core makes them, with only what a test is about said."""

from dataclasses import replace
from typing import Any

from cti.core.facts import (
    AgentState,
    Attempt,
    AwayEpisode,
    Call,
    Cause,
    CommandKind,
    CommandRecord,
    Delivery,
    Direction,
    Fact,
    Fault,
    FaultKind,
    Gap,
    Incident,
    Leg,
    Link,
    Queue,
    QueueStay,
    Recording,
    State,
    Talk,
    Transfer,
    WorkItem,
)

T0 = 1_700_000_000.123456
PBX = "main"


def call(n: int = 1, **fields: Any) -> Call:
    made = Call(
        id=f"{PBX}-{1700000000 + n}.{n}",
        pbx=PBX,
        direction=Direction.INBOUND,
        caller_number="13800000001",
        caller_name="张三 O'Brien",
        dialed_number="4001",
        started_at=T0 + n,
    )
    return replace(made, **fields)


def leg(n: int = 1, **fields: Any) -> Leg:
    made = Leg(
        id=f"{PBX}-{1700000000 + n}.{n}",
        call_id=call(n).id,
        pbx=PBX,
        uniqueid=f"{1700000000 + n}.{n}",
        linkedid=f"{1700000000 + n}.{n}",
        channel="PJSIP/1001-0000002a",
        device="PJSIP/1001",
        number="1001",
        agent="2001",
        dialed=True,
        started_at=T0 + n,
    )
    return replace(made, **fields)


def stay(n: int = 1, **fields: Any) -> QueueStay:
    made = QueueStay(
        id=f"{PBX}-{1700000000 + n}.{n}/q1",
        call_id=call(n).id,
        pbx=PBX,
        ordinal=1,
        queue="sales",
        uniqueid=f"{1700000000 + n}.{n}",
        joined_at=T0 + n,
        position=1,
    )
    return replace(made, **fields)


def attempt(n: int = 1, **fields: Any) -> Attempt:
    made = Attempt(
        id=f"{PBX}-{1700000000 + n}.{n}/a",
        call_id=call(n).id,
        pbx=PBX,
        stay_id=stay(n).id,
        queue="sales",
        agent="2001",
        device="PJSIP/1001",
        agent_state=State.AVAILABLE,
        agent_state_since=T0,
        agent_reason=None,
        started_at=T0 + n,
    )
    return replace(made, **fields)


def talk(n: int = 1, **fields: Any) -> Talk:
    made = Talk(
        id=f"{PBX}-{1700000000 + n}.{n}/t1",
        call_id=call(n).id,
        pbx=PBX,
        queue="sales",
        agent="2001",
        device="PJSIP/1001",
        started_at=T0 + n,
        hold=1.5,
    )
    return replace(made, **fields)


def state(since: float, **fields: Any) -> AgentState:
    made = AgentState(
        pbx=PBX,
        agent="2001",
        name="李四",
        device="PJSIP/1001",
        queues=("sales", "support"),
        state=State.AVAILABLE,
        since=since,
        reason="",
        cause=Cause.AGENT,
    )
    return replace(made, **fields)


def episode(n: int = 1, **fields: Any) -> AwayEpisode:
    made = AwayEpisode(
        id=f"{PBX}-2001-{T0 + n:.6f}",
        pbx=PBX,
        agent="2001",
        reason="break",
        started_at=T0 + n,
        warn_at=T0 + n + 780,
        limit_at=T0 + n + 900,
    )
    return replace(made, **fields)


def incident(n: int = 1, **fields: Any) -> Incident:
    made = Incident(f"{PBX}-2001-{n}", PBX, "away_limit", "2001", T0 + n, "away for 15 min")
    return replace(made, **fields)


def fault(n: int = 1, **fields: Any) -> Fault:
    return replace(Fault(f"{PBX}-link-{n}", FaultKind.LINK, PBX, T0 + n, detail="refused"), **fields)


def work_item(n: int = 1, **fields: Any) -> WorkItem:
    made = WorkItem(
        id=f"{PBX}-{1700000000 + n}.{n}",
        pbx=PBX,
        kind="after_hours_call",
        call_id=call(n).id,
        hotline="night",
        caller_number="13800000001",
        created_at=T0 + n,
        result="ringing",
    )
    return replace(made, **fields)


def one_of_each() -> list[Fact]:
    return [
        call(answered_at=T0 + 2, hangup_cause=16),
        leg(ring_started_at=T0 + 1.5),
        stay(book_wait=3.0),
        attempt(),
        talk(),
        Transfer("main-t-1", call().id, PBX, "blind", "2001", "2002", T0 + 3, "answered"),
        Recording("main-r-1", call().id, PBX, "2023/张三.wav", T0 + 3),
        state(T0),
        episode(),
        incident(),
        fault(reported_by="2001"),
        Delivery(
            "main-link-1/fault_began/webhook", fault().id, PBX, "fault_began", "webhook", T0 + 2, ok=True
        ),
        CommandRecord("c1", PBX, CommandKind.REMOVE_MEMBER, "2001", "sales", "PJSIP/1001", T0),
        work_item(),
        Queue(PBX, "sales", "rrmemory", 5.0, 0),
        Gap("main-gap", PBX, T0, T0 + 60, "stopped"),
        Link(PBX, up=True, at=T0, detail="in step"),
    ]
