"""Who sat where, by the books alone (B3)."""

from cti.core.books import QueueRow
from cti.core.cel import CelRow
from cti.core.seats import read_seats

MEMBER = "Local/3003@pool"


def connected(second: float, agent: str, uniqueid: str) -> QueueRow:
    return QueueRow(second, "1.1", "q1", agent, "CONNECT", ("1", uniqueid, "0"), f"{second} {agent}")


def rung(at: float, uniqueid: str) -> CelRow:
    return CelRow(
        at,
        "CHAN_START",
        uniqueid,
        uniqueid,
        f"{MEMBER}-0001;1",
        "",
        "",
        "",
        "",
        "",
        "",
        "",
        {},
        f"CHAN_START {uniqueid}",
    )


def test_a_member_whom_several_agents_are_in_turn_is_theirs_as_it_is_rung() -> None:
    """CONNECT names the agent; its second may begin after the ringing, which is theirs all the same."""
    channels = {"1.2": [rung(100.4, "1.2")], "2.2": [rung(200.4, "2.2")]}
    connects = [connected(101.0, "2020", "1.2"), connected(201.0, "2046", "2.2")]
    seats = read_seats(connects, [row for rows in channels.values() for row in rows], channels)
    asked = {100.4: "2020", 101.5: "2020", 200.3: "2020", 200.4: "2046", 300.0: "2046"}
    assert {at: seats.agent_at(MEMBER, at) for at in asked} == asked
