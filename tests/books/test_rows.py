"""B3, B4: rows of the books' tables mean what the lines of the files mean, whatever type the columns have."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cti.core.bookrows import cdr_of_row, cel_of_row, queue_of_row
from cti.core.books import BadLine, CdrRow, QueueRow, parse_queue_line
from cti.core.cel import CelRow
from cti.core.instants import made_at, moment

BERLIN = ZoneInfo("Europe/Berlin")
SHANGHAI = ZoneInfo("Asia/Shanghai")
FOLD = 1_792_890_000.0  # 2026-10-25T01:00:00Z: Berlin's clocks go back from 03:00 to 02:00
AT = 1_795_309_914.0


@pytest.mark.parametrize(
    "value",
    [
        datetime.fromtimestamp(AT, UTC),
        datetime.fromtimestamp(AT, timezone(timedelta(hours=-3.5))),
        datetime.fromtimestamp(AT, SHANGHAI).replace(tzinfo=None),
        "2026-11-22 09:11:54",
        "2026-11-22T09:11:54.000000",
        int(AT),
        AT,
        Decimal(int(AT)),
        str(int(AT)),
    ],
)
def test_an_instant_is_read_from_any_type_of_column(value: object) -> None:
    """Aware and local time, text and numbers."""
    assert moment(value, SHANGHAI) == AT


@pytest.mark.parametrize("value", [None, "", "0000-00-00 00:00:00", "soon", 0, -5, True, 1e12])
def test_what_is_no_instant_is_none(value: object) -> None:
    """Also MariaDB's zero date."""
    assert moment(value, BERLIN) is None


@given(at=st.integers(int(FOLD) - 3 * 3600, int(FOLD) + 3 * 3600), age=st.integers(0, 3000))
def test_the_repeated_hour_is_told_apart_by_the_channels_birth(at: int, age: int) -> None:
    """A clock change: outside the repeated hour every instant is exact, and inside it for a channel made in it.

    What is left is read as the first of the two hours: early by one, never late.
    """
    local = datetime.fromtimestamp(at, BERLIN).replace(tzinfo=None, fold=0)
    read = moment(local, BERLIN, float(at - age))
    repeated = FOLD <= at < FOLD + 3600
    if repeated and at - 3600 >= at - age - 1:
        assert read == at - 3600
    else:
        assert read == at


def test_a_uniqueid_says_when_its_channel_was_made() -> None:
    """With and without a system name; other names say nothing."""
    assert made_at("1795309914.17") == made_at("pbx-a-1795309914.17") == AT
    assert made_at("NONE") is None
    assert made_at("MANAGER") is None


CDR = {
    "calldate": datetime(2026, 11, 22, 9, 11, 54),  # noqa: DTZ001 - as the driver gives it
    "clid": '"王伟" <13800000031>',
    "src": "13800000031",
    "dst": "4001",
    "dcontext": "cti-office",
    "channel": "PJSIP/trunk-a-00000000",
    "dstchannel": "PJSIP/1001-00000001",
    "lastapp": "Queue",
    "lastdata": "sales,,,,300",
    "duration": 12,
    "billsec": 9,
    "disposition": "ANSWERED",
    "uniqueid": "1795309914.0",
    "linkedid": "1795309914.0",
    "sequence": 3,
    "recordingfile": "",
}


def test_a_cdr_row_of_freepbx() -> None:
    """It has neither end nor answer: they follow from duration and billsec. What a person sees is the row itself."""
    row = cdr_of_row(CDR, SHANGHAI)
    assert isinstance(row, CdrRow)
    assert (row.start, row.answer, row.end) == (AT, AT + 3, AT + 12)
    assert (row.clid, row.sequence, row.group) == ('"王伟" <13800000031>', "3", "1795309914.0")
    assert '"src": "13800000031"' in row.raw
    assert "recordingfile" not in row.raw
    unanswered = cdr_of_row({**CDR, "disposition": "NO ANSWER", "billsec": 0}, SHANGHAI)
    assert isinstance(unanswered, CdrRow)
    assert unanswered.answer is None


def test_a_cdr_row_with_every_instant() -> None:
    """The pgsql module can have columns for them; they go before what would follow."""
    more = {"start": AT, "answer": AT + 2.5, "end": AT + 11.75}
    row = cdr_of_row({**{k: v for k, v in CDR.items() if k != "calldate"}, **more}, SHANGHAI)
    assert isinstance(row, CdrRow)
    assert (row.start, row.answer, row.end) == (AT, AT + 2.5, AT + 11.75)


@pytest.mark.parametrize("lacking", ["calldate", "uniqueid"])
def test_a_row_that_cannot_be_read_is_bad_and_shown(lacking: str) -> None:
    """Counted like a bad line of a file."""
    bad = cdr_of_row({**CDR, lacking: None}, SHANGHAI)
    assert isinstance(bad, BadLine)
    assert "cti-office" in bad.raw


def test_a_cel_row() -> None:
    """Old tables call `extra` `eventextra`; bytes of a latin1 table do no harm."""
    columns = {
        "id": 7,
        "eventtype": "HANGUP",
        "eventtime": datetime(2026, 11, 22, 9, 11, 54, 250_000),  # noqa: DTZ001
        "cid_name": b"Andr\xe9",
        "cid_num": "1001",
        "channame": "PJSIP/1001-00000001",
        "uniqueid": "1795309914.4",
        "linkedid": "1795309914.0",
        "eventextra": '{"hangupcause":16,"hangupsource":"PJSIP/1001-00000001"}',
    }
    row = cel_of_row(columns, SHANGHAI)
    assert isinstance(row, CelRow)
    assert (row.at, row.event, row.number, row.name) == (AT + 0.25, "HANGUP", "1001", "Andr\ufffd")
    assert row.extra["hangupcause"] == 16
    assert isinstance(cel_of_row({**columns, "eventtype": ""}, SHANGHAI), BadLine)


@pytest.mark.parametrize(
    "line",
    [
        "1795309914|1795309914.0|sales|NONE|ENTERQUEUE||13800000031|1",
        "1795309914|1795309914.0|sales|2001|CONNECT|0|1795309914.4|0",
        "1795309914|1795309914.0|sales|2001|ATTENDEDTRANSFER|LINK|PJSIP/1-1|PJSIP/2-2|3|17|1",
        "1795309914|1795309914.0|sales|2001|BLINDTRANSFER|1002|from-internal|3|17|1",
        "1795309914|MANAGER|sales|2001|ADDMEMBER",
    ],
)
def test_queue_log_by_realtime_is_the_line_of_the_file(line: str) -> None:
    """Five columns of data, what is beyond them in the fifth, and text for the time."""
    _, callid, queue, agent, event, *data = line.split("|")
    five = [*data[:4], "|".join(data[4:]), "", "", "", "", ""][:5]
    columns = {f"data{n}": text for n, text in enumerate(five, 1)} | {
        "time": "2026-11-22 09:11:54.848168", "callid": callid, "queuename": queue, "agent": agent, "event": event,
    }  # fmt: skip
    row = queue_of_row(columns, SHANGHAI)
    assert isinstance(row, QueueRow)
    assert row == parse_queue_line(line)
