"""A caller who waits where an agent's consultation waited, by the books (B3)."""

from collections.abc import Mapping

from cti.core import events as ev
from cti.core.books import QueueRow, parse_queue_line
from cti.core.cel import CelRow
from cti.core.retell import retell

CALLER, ANNA, ASKED, BEN, CARL = "1000.1", "1000.2", "1010.3", "1020.8", "1040.9"
SEATS = {"2001": "PJSIP/1001", "2002": "PJSIP/1002", "2003": "PJSIP/1003"}


def row(  # noqa: PLR0917 - the columns of a row
    at: float,
    event: str,
    own: str,
    channel: str,
    app: str = "",
    data: str = "",
    extra: Mapping[str, str | int] | None = None,
) -> CelRow:
    of_call = own if own in {CALLER, ASKED} else CALLER
    raw = f"{at} {event} {own}"
    return CelRow(at, event, of_call, own, channel, "", "", "", "s", "c", app, data, extra or {}, raw)


def line(text: str) -> QueueRow:
    found = parse_queue_line(text)
    assert isinstance(found, QueueRow)
    return found


def test_the_next_queue_of_a_caller_who_took_a_place_rings_its_own() -> None:
    """The place taken is in qb; its time runs out, and the dialplan goes on to qc."""
    trunk, hers, second, his, carls = (
        "PJSIP/trunk-1", "PJSIP/1001-2", "PJSIP/1001-3", "PJSIP/1002-8", "PJSIP/1003-9"
    )  # fmt: skip
    moved = {"channel2_uniqueid": ASKED, "transferee_channel_uniqueid": CALLER, "app": "Queue"}
    bridge = {"bridge_id": "b1", "bridge_technology": "simple_bridge"}
    cel = [
        row(1000.0, "CHAN_START", CALLER, trunk),
        row(1000.5, "APP_START", CALLER, trunk, "Queue", "qa"),
        row(1001.0, "CHAN_START", ANNA, hers, "AppQueue"),
        row(1003.0, "ANSWER", ANNA, hers, "AppQueue"),
        row(1003.1, "BRIDGE_ENTER", ANNA, hers, "AppQueue", extra=bridge),
        row(1003.1, "BRIDGE_ENTER", CALLER, trunk, "Queue", extra=bridge),
        row(1010.0, "CHAN_START", ASKED, second),
        row(1010.2, "APP_START", ASKED, second, "Queue", "qb"),
        row(1015.2, "ATTENDEDTRANSFER", ANNA, hers, "AppQueue", extra=moved),
        row(1015.3, "HANGUP", ANNA, hers),
        row(1015.3, "HANGUP", ASKED, second),
        row(1020.0, "CHAN_START", BEN, his, "AppQueue"),
        row(1025.0, "HANGUP", BEN, his, "AppQueue"),
        row(1030.0, "APP_END", CALLER, trunk, "Queue", "qb"),
        row(1030.0, "APP_START", CALLER, trunk, "Queue", "qc"),
        row(1040.0, "CHAN_START", CARL, carls, "AppQueue"),
        row(1043.0, "ANSWER", CARL, carls, "AppQueue"),
        row(1050.0, "HANGUP", CARL, carls, "AppQueue"),
        row(1050.0, "HANGUP", CALLER, trunk),
    ]
    log = [
        line(f"1000|{CALLER}|qa|NONE|ENTERQUEUE||139|1"),
        line(f"1003|{CALLER}|qa|2001|CONNECT|3|{ANNA}|2"),
        line(f"1010|{ASKED}|qb|NONE|ENTERQUEUE||1001|1"),
        line(f"1015|{ASKED}|qa|2001|ATTENDEDTRANSFER|APP|Queue|3|12|1"),
        line(f"1025|{CALLER}|qb|2002|RINGNOANSWER|5000"),
        line(f"1030|{CALLER}|qb|NONE|EXITWITHTIMEOUT|1|1|20"),
        line(f"1030|{CALLER}|qc|NONE|ENTERQUEUE||139|1"),
        line(f"1043|{CALLER}|qc|2003|CONNECT|13|{CARL}|3"),
    ]
    told = retell(cel, log, SEATS)
    rung = [(one.queue, one.member_channel) for one in told if isinstance(one, ev.MemberCalled)]
    left = [(one.queue, one.uniqueid) for one in told if isinstance(one, ev.CallerLeft)]
    assert rung == [("qa", ANNA), ("qb", BEN), ("qc", CARL)]
    assert left == [("qa", CALLER), ("qb", CALLER), ("qc", CALLER)]
