"""The PBX's books, read from files that a real Asterisk 22 wrote (`books/`), and from damaged lines."""

from datetime import UTC
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cti.core.books import (
    CUSTOM_COLUMNS,
    BadLine,
    CdrRow,
    QueueRow,
    parse_cdr_line,
    parse_queue_line,
)
from cti.core.facts import StayOutcome
from cti.core.passes import MemberSpan, member_spans, passes

RECORDED = Path(__file__).parent / "books"


def queue_rows(*lines: str) -> list[QueueRow]:
    rows = [parse_queue_line(line) for line in lines]
    assert all(isinstance(row, QueueRow) for row in rows), rows
    return [row for row in rows if isinstance(row, QueueRow)]


def recorded_queue_log() -> list[QueueRow]:
    return queue_rows(*(RECORDED / "queue_log").read_text().splitlines())


def recorded_cdr(name: str) -> list[CdrRow]:
    rows = [parse_cdr_line(line) for line in (RECORDED / name).read_text().splitlines()]
    assert all(isinstance(row, CdrRow) for row in rows), rows
    return [row for row in rows if isinstance(row, CdrRow)]


def test_every_pass_of_the_recorded_queue_log() -> None:
    """Answered by either side's hang-up, abandoned, key, timeout, empty, withdrawn, transferred: as they happened."""
    found = [
        (p.queue, p.nth, p.outcome, p.agent, p.book_wait, p.book_talk, p.ended_by)
        for p in passes(recorded_queue_log())
    ]
    answered = StayOutcome.ANSWERED
    assert found == [
        ("sales", 1, answered, "2001", 0, 3, "caller"),
        ("sales", 1, StayOutcome.ABANDONED, None, 4, None, ""),
        ("sales", 1, answered, "2001", 1, 2, "agent"),
        ("keyed", 1, StayOutcome.LEFT_BY_KEY, None, 2, None, ""),
        ("short", 1, StayOutcome.TIMEOUT, None, 2, None, ""),
        ("sales", 1, StayOutcome.TIMEOUT, None, 2, None, ""),
        ("emptyq", 1, StayOutcome.EMPTY, None, 0, None, ""),
        ("keyed", 1, StayOutcome.WITHDRAWN, None, 2, None, ""),
        ("sales", 1, answered, "2001", 0, 2, "transfer"),
    ]


def test_a_pass_keeps_its_raw_lines() -> None:
    """Whoever looks into a mismatch sees the book's own lines."""
    second = passes(recorded_queue_log())[1]
    assert [line.split("|")[4] for line in second.lines] == [
        "ENTERQUEUE",
        "RINGNOANSWER",
        "RINGCANCELED",
        "ABANDON",
    ]


def test_memberships_and_pauses_of_the_recorded_queue_log() -> None:
    """Agent sessions and pauses come from the book by queue; what has not ended is open."""
    assert member_spans(recorded_queue_log()) == (
        MemberSpan("member", "2001", "sales", 1795299608.0),
        MemberSpan("member", "2002", "sales", 1795299608.0, 1795299634.0),
        MemberSpan("pause", "2001", "sales", 1795299634.0, None, "lunch"),
    )


def test_pausing_again_does_not_begin_a_new_pause() -> None:
    """Re-pausing changes the reason and not the beginning; leaving the queue ends the pause (C3)."""
    spans = member_spans(
        queue_rows(
            "100|M|sales|2001|ADDMEMBER|PAUSED",
            "110|NONE|sales|2001|PAUSE|break",
            "120|NONE|sales|2001|PAUSE|lunch",
            "130|M|sales|2001|REMOVEMEMBER|",
        )
    )
    assert spans == (
        MemberSpan("member", "2001", "sales", 100.0, 130.0),
        MemberSpan("pause", "2001", "sales", 110.0, 130.0, "lunch"),
    )


@pytest.mark.parametrize(
    "data",
    [
        "BRIDGE|9d1c0a3e-1f0b|4|17|1",
        "APP|Queue|4|17|1",
        "LINK|PJSIP/1001-00000001|PJSIP/1002-00000002|4|17|1",
    ],
)
def test_attended_transfers_have_their_figures_at_the_end(data: str) -> None:
    """However an attended transfer is described, hold and talk are the third and second from the end."""
    [one] = passes(
        queue_rows(
            "100|1.1|sales|NONE|ENTERQUEUE||138|1",
            "104|1.1|sales|2001|CONNECT|4|1.2|3",
            f"121|1.1|sales|2001|ATTENDEDTRANSFER|{data}",
        )
    )
    assert (one.outcome, one.book_talk, one.ended_by) == (StayOutcome.ANSWERED, 17.0, "transfer")


def test_the_same_queue_twice_is_two_passes() -> None:
    """A caller who comes back to the same queue has a second pass, and two queues in a row are two."""
    found = passes(
        queue_rows(
            "100|1.1|sales|NONE|ENTERQUEUE||138|1",
            "105|1.1|sales|NONE|EXITWITHTIMEOUT|1|1|5",
            "105|1.1|support|NONE|ENTERQUEUE||138|1",
            "110|1.1|support|NONE|EXITWITHTIMEOUT|1|1|5",
            "110|1.1|sales|NONE|ENTERQUEUE||138|1",
        )
    )
    assert [(one.queue, one.nth, one.outcome) for one in found] == [
        ("sales", 1, StayOutcome.TIMEOUT),
        ("support", 1, StayOutcome.TIMEOUT),
        ("sales", 2, None),
    ]


def test_an_agent_dump_does_not_end_the_pass() -> None:
    """An agent who hangs up during the announcement leaves the caller waiting."""
    [one] = passes(
        queue_rows(
            "100|1.1|sales|NONE|ENTERQUEUE||138|1",
            "104|1.1|sales|2001|AGENTDUMP|",
            "109|1.1|sales|NONE|ABANDON|1|1|9",
        )
    )
    assert (one.outcome, one.agent, one.book_wait) == (StayOutcome.ABANDONED, None, 9.0)


def test_a_restart_cuts_the_open_passes() -> None:
    """A restarted PBX never ends its passes; they are marked as cut and not taken for open ones."""
    cut, after = passes(
        queue_rows(
            "100|1.1|sales|NONE|ENTERQUEUE||138|1",
            "200|NONE|NONE|NONE|QUEUESTART|",
            "201|2.1|sales|NONE|ENTERQUEUE||138|1",
        )
    )
    assert (cut.cut, cut.outcome, cut.ended_at) == (True, None, None)
    assert not after.cut


def test_lines_without_their_beginning_make_no_pass() -> None:
    """A book read from its middle does not invent passes."""
    assert passes(queue_rows("104|1.1|sales|2001|CONNECT|4|1.2|3")) == ()


@pytest.mark.parametrize(
    "line",
    [
        "",
        "\x00" * 40,
        "no pipes here",
        "abc|1.1|sales|NONE|ENTERQUEUE||138|1",
        "-5|1.1|sales|NONE|ENTERQUEUE||138|1",
        "９９|1.1|sales|NONE|ENTERQUEUE||138|1",
        "99999999999999999999999|1.1|sales|NONE|ENTERQUEUE||138|1",
        "100|1.1|sales|NONE",
        "100||sales|NONE|ENTERQUEUE||138|1",
        "100|1.1|sales|NONE|enter queue|",
        "100|1.1|sales|2001|CONNECT|",
        "100|1.1|sales|2001|COMPLETECALLER|4|",
        "100|1.1|sales|2001|COMPLETECALLER|4|nan",
        "100|1.1|sales|2001|BLINDTRANSFER|4",
        "100|1.1|sales|NONE|ABANDON|1|1",
        "1" * 5000,
    ],
)
def test_a_damaged_queue_line_is_a_bad_line(line: str) -> None:
    """Garbage and cut-off lines are counted with their reason and never raised."""
    bad = parse_queue_line(line)
    assert isinstance(bad, BadLine)
    assert bad.why
    assert len(bad.raw) <= 500


def test_an_unknown_verb_is_a_row() -> None:
    """A verb that a later Asterisk adds is no damage; it just means nothing to us."""
    [row] = queue_rows("100|1.1|sales|NONE|NEWTHING|x")
    assert row.verb == "NEWTHING"
    assert passes([row]) == ()


def test_the_recorded_cdr_in_both_layouts() -> None:
    """The shipped mapping and Asterisk's own Master.csv tell the same calls."""
    custom, master = recorded_cdr("cti.csv"), recorded_cdr("Master.csv")
    assert len(custom) == len(master) == 15
    for ours, theirs in zip(custom, master, strict=True):
        assert (ours.uniqueid, ours.channel, ours.dstchannel) == (
            theirs.uniqueid,
            theirs.channel,
            theirs.dstchannel,
        )
        assert (ours.disposition, ours.dst, ours.clid) == (theirs.disposition, theirs.dst, theirs.clid)
        assert int(ours.start) == theirs.start
        assert theirs.linkedid == ""
        assert ours.group == theirs.group
    busy = custom[5]
    assert (busy.disposition, busy.answer, busy.billsec) == ("BUSY", None, 0.0)
    assert busy.clid == '"王伟" <13800138000>'
    assert busy.start == pytest.approx(1795299620.930056)


def test_local_time_is_read_in_the_time_zone_of_the_pbx() -> None:
    """A Master.csv written in local time is read with the PBX's time zone."""
    line = (RECORDED / "Master.csv").read_text().splitlines()[0]
    utc, shanghai = (
        parse_cdr_line(line, timezone=UTC),
        parse_cdr_line(line, timezone=ZoneInfo("Asia/Shanghai")),
    )
    assert isinstance(utc, CdrRow)
    assert isinstance(shanghai, CdrRow)
    assert utc.start - shanghai.start == 8 * 3600


def test_the_repeated_hour_is_told_apart_by_the_channels_birth() -> None:
    """02:30 comes twice as clocks go back; the uniqueid knows which of the two it was."""
    begin = 1_792_890_000 + 1800  # 2026-10-25T01:30:00Z: 02:30 in Berlin for the second time
    line = (
        '"","1","2","c","""x"" <1>","P/1","","Hangup","","2026-10-25 02:30:00","2026-10-25 02:30:05",'
        f'"2026-10-25 02:31:00",60,55,"ANSWERED","DOCUMENTATION","{begin}.1"'
    )
    row = parse_cdr_line(line, timezone=ZoneInfo("Europe/Berlin"))
    assert isinstance(row, CdrRow)
    assert (row.start, row.answer, row.end) == (begin, begin + 5, begin + 60)


def test_a_master_csv_without_uniqueids_names_the_switch() -> None:
    """Asterisk's default leaves them out; then no row can be held against a call."""
    line = (RECORDED / "Master.csv").read_text().splitlines()[0]
    bare = line[: line.index('"DOCUMENTATION"')] + '"DOCUMENTATION"'
    for short in (bare, bare + ',"","1.1","0"'):
        bad = parse_cdr_line(short)
        assert isinstance(bad, BadLine)
        assert "loguniqueid = yes" in bad.why


def test_the_columns_of_a_master_csv_follow_the_switches() -> None:
    """Each of loguserfield and newcdrcolumns adds its own: a linkedid is never a sequence, nor an account."""
    line = (RECORDED / "Master.csv").read_text().splitlines()[0]
    start = line[: line.index('"DOCUMENTATION"')] + '"DOCUMENTATION","7.1"'
    for end, userfield, linkedid, sequence in (
        ("", "", "", ""),
        (',"note"', "note", "", ""),
        (',"peer","5.1","12"', "", "5.1", "12"),
        (',"note","peer","5.1","12"', "note", "5.1", "12"),
    ):
        row = parse_cdr_line(start + end)
        assert isinstance(row, CdrRow)
        assert (row.uniqueid, row.userfield, row.linkedid, row.sequence) == (
            "7.1",
            userfield,
            linkedid,
            sequence,
        )


def test_a_column_list_of_ones_own() -> None:
    """Another mapping can be read by naming its columns."""
    row = parse_cdr_line('"7.1",100.5,,102,"ANSWERED"', ("uniqueid", "start", "answer", "end", "disposition"))
    assert isinstance(row, CdrRow)
    assert (row.uniqueid, row.start, row.answer, row.end, row.group) == ("7.1", 100.5, None, 102.0, "7.1")


CUSTOM = (RECORDED / "cti.csv").read_text().splitlines()[0]


@pytest.mark.parametrize(
    "line",
    [
        "",
        "a,b,c",
        '"unclosed',
        CUSTOM[:-40],
        CUSTOM.replace(CUSTOM.split('","')[3], "2026-13-45 99:00:00"),
        CUSTOM.replace('"1795299608.0"', '""'),
        CUSTOM + "," * 30,
        "x" * 5000,
    ],
)
def test_a_damaged_cdr_line_is_a_bad_line(line: str) -> None:
    """Garbage and cut-off rows are counted with their reason and never raised."""
    bad = parse_cdr_line(line)
    assert isinstance(bad, BadLine)
    assert bad.why


@given(st.text())
def test_no_text_makes_the_readers_raise(text: str) -> None:
    """Whatever stands in the file, reading it yields a row or a bad line (B4)."""
    assert isinstance(parse_queue_line(text), QueueRow | BadLine)
    assert isinstance(parse_cdr_line(text), CdrRow | BadLine)


@given(
    st.lists(
        st.builds(
            "{}|{}|{}|{}|{}|{}".format,
            st.integers(1, 9),
            st.sampled_from(["1.1", "1.2", "NONE"]),
            st.sampled_from(["sales", "support"]),
            st.sampled_from(["2001", "NONE"]),
            st.sampled_from(["ENTERQUEUE", "CONNECT", "COMPLETEAGENT", "ABANDON", "QUEUESTART", "WITHDRAW"]),
            st.just("1|2|3"),
        )
    )
)
def test_any_order_of_lines_makes_passes(lines: list[str]) -> None:
    """Lines in any order, lost or repeated, never raise; there are as many passes as entries."""
    rows = queue_rows(*lines)
    assert len(passes(rows)) == sum(row.verb == "ENTERQUEUE" for row in rows)
    member_spans(rows)


def test_the_custom_columns_are_those_of_the_shipped_mapping() -> None:
    """The layout that is read is the one that the shipped example tells the administrator to write."""
    example = Path(__file__).parents[2] / "asterisk-dialplan" / "cdr-cel-cti.example.conf"
    [mapping] = [line for line in example.read_text().splitlines() if "CDR(linkedid)" in line]
    names = [part.split(")")[0].split(",")[0] for part in mapping.split("${CDR(")[1:]]
    assert tuple(names) == CUSTOM_COLUMNS
