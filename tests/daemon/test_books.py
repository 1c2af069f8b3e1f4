"""Spans of the books, across rotation, through garbage, and in the time zone of the PBX (B3, B4)."""

import gzip
import os
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from config.sections import PbxSettings
from cti.core.backfill import plan
from cti.core.cdrcel import lacking
from cti.core.facts import AgentState, Call, EndedBy, Gap
from cti.daemon.bookreader import BookUnreadable
from cti.daemon.books import BookRows, Books
from tests.core.test_comparison import known, told
from tests.scenarios.judge import PBX, RULES
from tests.scenarios.run import FIXTURES
from tests.scenarios.scenes import loaded

T0 = 1_795_000_000


def books(timezone: str = "UTC", **paths: Path) -> Books:
    given: dict[str, Any] = {"queue_log": None, "cdr_csv": None, "cel_csv": None, **paths}
    return Books(PbxSettings.model_construct(**given), where="pbx.main", timezone=timezone)


def lines(begin: int, count: int) -> str:
    return "".join(f"{T0 + n}|1.{n}|sales|NONE|ENTERQUEUE||138|1\n" for n in range(begin, begin + count))


def seconds(found: Books, since: float, until: float) -> list[int]:
    rows = found.read_now(T0 + since, T0 + until).queue_log
    assert rows is not None
    return [int(row.at) - T0 for row in rows]


def test_a_span_in_a_large_book_is_read_alone(tmp_path: Path) -> None:
    """Exactly the lines of [since, until], wherever they stand in the file."""
    path = tmp_path / "queue_log"
    path.write_text(lines(0, 20_000))
    found = books(queue_log=path)
    for since in (0, 1, 777, 9_999, 19_990):
        assert seconds(found, since, since + 5) == list(range(since, since + 6))
    assert seconds(found, 30_000, 40_000) == []
    assert seconds(found, -50, 0) == [0]


def test_rotated_books_belong_to_it(tmp_path: Path) -> None:
    """What logrotate renamed and packed is read, oldest first; other files beside it are not."""
    path = tmp_path / "queue_log"
    with gzip.open(tmp_path / "queue_log.2.gz", "wt") as packed:
        packed.write(lines(0, 10))
    (tmp_path / "queue_log.1").write_text(lines(10, 10))
    path.write_text(lines(20, 10))
    (tmp_path / "queue_logger").write_text(lines(100, 5))
    assert seconds(books(queue_log=path), 0, 1000) == list(range(30))


def test_a_file_not_touched_since_is_not_opened(tmp_path: Path) -> None:
    """A year of packed logs costs nothing."""
    path = tmp_path / "queue_log"
    path.write_text(lines(20, 10))
    old = tmp_path / "queue_log.1.gz"
    old.write_bytes(b"not gzip at all")
    os.utime(old, (T0, T0))
    assert seconds(books(queue_log=path), 100, 1000) == []


def test_garbage_is_counted_and_hides_nothing(tmp_path: Path) -> None:
    """Bad lines come back with the book they stand in; a last line that is being written waits."""
    path = tmp_path / "queue_log"
    head, rest = lines(0, 3).encode(), lines(3, 2).encode()
    path.write_bytes(head + b"garbage\n\xff\x00\n" + rest + b"%d|1.9|sales|NO" % (T0 + 9))
    read = books(queue_log=path).read_now(T0, T0 + 100)
    assert read.queue_log is not None
    assert [row.callid for row in read.queue_log] == ["1.0", "1.1", "1.2", "1.3", "1.4"]
    assert read.bad_lines == 2
    assert set(read.bad) == {"queue_log"}
    assert [line.raw for line in read.bad["queue_log"].samples] == ["garbage", "\ufffd\x00"]


def test_a_book_that_is_not_there_yet_is_empty(tmp_path: Path) -> None:
    """A new PBX has no calls; whether it may be absent is judged elsewhere. A wrong directory is a mistake that is named."""
    read = books(queue_log=tmp_path / "queue_log").read_now(T0, T0 + 10)
    assert read.queue_log == ()
    assert read.absent == {"queue_log"}
    assert read.places == {"queue_log": f"pbx.main.queue_log: {tmp_path / 'queue_log'}"}
    with pytest.raises(BookUnreadable, match="the directory does not exist"):
        books(queue_log=tmp_path / "no" / "queue_log").read_now(T0, T0 + 1)


def test_a_book_that_may_not_be_read_names_the_cure(tmp_path: Path) -> None:
    """The error says which file and what to do."""
    (tmp_path / "queue_log").mkdir()
    with pytest.raises(BookUnreadable, match="usermod"):
        books(queue_log=tmp_path / "queue_log").read_now(0, T0)


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    """Without queue_log or CDR nothing is verified; CEL alone still fills gaps."""
    assert books().missing == "queue_log and cdr_csv not configured"
    assert not books().any
    assert books(cel_csv=tmp_path / "cel").any


# --- what the CDR tells in the zone it is written in --------------------------------------------------------------------


def master(zone: str, count: int = 5) -> str:
    """A Master.csv of calls of a minute, one after the other, in local time."""
    written = ""
    for number in range(count):
        begin = T0 + 100 * number
        times = ",".join(
            f'"{datetime.fromtimestamp(at, ZoneInfo(zone)):%Y-%m-%d %H:%M:%S}"'
            for at in (begin, begin + 1, begin + 60)
        )
        written += f'"","1001","1002","c","""x"" <1001>","PJSIP/1001-{number}","","Hangup","",{times},60,59,"ANSWERED",'
        written += f'"DOCUMENTATION","{begin}.{number}"\n'
    return written


@pytest.mark.parametrize("zone", ["Asia/Shanghai", "UTC", "America/New_York"])
def test_a_master_csv_is_in_the_time_of_its_pbx(tmp_path: Path, zone: str) -> None:
    """Asterisk writes local time there, or UTC with usegmtime."""
    path = tmp_path / "Master.csv"
    path.write_text(master(zone))
    rows = books(zone, cdr_csv=path).read_now(T0, T0 + 200).cdr
    assert [(row.start, row.end) for row in rows or ()] == [(T0, T0 + 60), (T0 + 100, T0 + 160)]


@pytest.mark.parametrize(
    ("written", "read", "words"),
    [
        ("Asia/Shanghai", "UTC", ("8 h too late when read as UTC", "that of the PBX, which is at UTC+08:00")),
        (
            "UTC",
            "Asia/Shanghai",
            ("8 h too early when read as Asia/Shanghai", 'timezone to "UTC" (as with usegmtime'),
        ),
        ("Asia/Kolkata", "Asia/Shanghai", ("2.5 h too early", "UTC+05:30")),
    ],
)
def test_a_wrong_time_zone_is_refused(
    tmp_path: Path, written: str, read: str, words: tuple[str, str]
) -> None:
    """Every window would find other calls' rows, or none: the key and the zone are named."""
    path = tmp_path / "Master.csv"
    path.write_text(master(written))
    with pytest.raises(BookUnreadable) as error:
        books(read, cdr_csv=path).read_now(T0, T0 + 200)
    for part in ("pbx.main.cdr_csv", str(path), "set pbx.main.timezone to", *words):
        assert part in str(error.value)


def test_a_cel_in_another_zone_is_refused_too(tmp_path: Path) -> None:
    """With a dateformat in cel.conf it has local time; a call of exactly a quarter of an hour says nothing of zones."""
    path = tmp_path / "cel.csv"
    begins = [(T0 + 100 * number, f"{T0 + 100 * number}.{number}") for number in range(5)]

    def row(event: str, at: int, uniqueid: str) -> str:
        local = f"{datetime.fromtimestamp(at, ZoneInfo('Asia/Shanghai')):%Y-%m-%d %H:%M:%S}"
        return f'"{event}","{local}","{uniqueid}","{uniqueid}","c","","","","","","","","","",""\n'

    path.write_text("".join(row("HANGUP", at + 900, uniqueid) for at, uniqueid in begins))
    assert len(books("Asia/Shanghai", cel_csv=path).read_now(T0, T0 + 5000).cel or ()) == 5
    path.write_text("".join(row("CHAN_START", at, uniqueid) for at, uniqueid in begins))
    assert len(books("Asia/Shanghai", cel_csv=path).read_now(T0, T0 + 5000).cel or ()) == 5
    with pytest.raises(BookUnreadable, match=r"pbx.main.cel_csv: .* 8 h too late when read as UTC"):
        books("UTC", cel_csv=path).read_now(T0, T0 + 5000)


# --- what is filled in without CEL --------------------------------------------------------------------------------------


def test_without_a_usable_cel_gaps_are_filled_from_the_cdr(tmp_path: Path) -> None:
    """Not configured, not there, or garbage: what the CDR implies is taken, and said to be."""
    cdr, cel = tmp_path / "Master.csv", tmp_path / "cel.csv"
    cdr.write_text(master("UTC"))
    for found in (books(cdr_csv=cdr), books(cdr_csv=cdr, cel_csv=cel)):
        assert found.read_now(T0, T0 + 200).rows().source == "cdr"
    cel.write_text("garbage\n" * 10)
    assert books(cdr_csv=cdr, cel_csv=cel).read_now(T0, T0 + 200).rows().source == "cdr"
    cel.write_text(f'"HANGUP","{T0}","1.1","1.1","c","","","","","","","","","",""\n')
    assert books(cdr_csv=cdr, cel_csv=cel).read_now(T0, T0 + 200).rows().source == "cel"


KEPT, LOST = "direct_caller_hangs_up", "queue_caller_hangs_up"  # by CEL


@pytest.mark.parametrize("lost", [LOST, "attended_by_the_phone", "queue_abandoned", "agent_pool"])
def test_a_call_that_cel_lost_is_filled_from_the_cdr(lost: str) -> None:
    """B3: other calls' rows say nothing of it, and each call says what told it."""
    one, two = told(KEPT), told(lost)
    cdr = tuple(sorted((*one.cdr, *two.cdr), key=lambda row: row.end))
    log = (*one.queue_log, *two.queue_log)
    states = [fact for fact in (*one.facts, *two.facts) if isinstance(fact, AgentState)]
    gap = Gap("gap", PBX, 0.0, 4e9, "stopped")

    def filled(rows: BookRows) -> set[Any]:
        found = plan(PBX, RULES, [gap], rows.rows(), known(states))
        return {fact for fact in found.new if not isinstance(fact, AgentState)}

    alone = filled(BookRows(log, one.cdr, one.cel)), filled(BookRows(log, two.cdr, ()))
    mixed = filled(BookRows(log, cdr, one.cel))
    assert all(alone)
    assert mixed == alone[0] | alone[1]
    sources = {call.id: call.sources for call in mixed if isinstance(call, Call)}
    assert set(sources.values()) == {("*:cel",), ("*:cdr",)}
    of_cdr = [call for call in mixed if isinstance(call, Call) and call.sources == ("*:cdr",)]
    assert EndedBy.SYSTEM not in {call.ended_by for call in of_cdr}
    instants = [row.at for row in BookRows(log, cdr, one.cel).rows().cel]
    assert instants == pytest.approx(sorted(instants), abs=1e-5, rel=0)


@pytest.mark.parametrize("name", [KEPT, "queue_abandoned", "attended_by_the_phone", "queue_rotation"])
def test_a_complete_record_of_a_call_that_cel_lost_is_left_alone(name: str) -> None:
    """B3: what the CDR implies is not as exact as CEL, and nobody is taken to be turned away for it."""
    one, two = told(LOST), told(name)
    rows = BookRows((*one.queue_log, *two.queue_log), (*one.cdr, *two.cdr), one.cel).rows()
    assert rows.of_cdr
    found = plan(PBX, RULES, [Gap("gap", PBX, 0.0, 1.0, "stopped")], rows, known((*one.facts, *two.facts)))
    assert not [fact for fact in (*found.new, *found.completed) if not isinstance(fact, AgentState)]


@pytest.mark.parametrize("name", loaded())
def test_no_call_is_lost_wherever_the_reading_begins_and_ends(name: str) -> None:
    """B3: rows of CEL outside of what was read are not lost ones; an agent's line and what it ties may be older."""
    run = told(name)
    instants = sorted({row.start for row in run.cdr} | {row.end for row in run.cdr} | {0.0, 4e9})
    bounds = [at + by for at in instants for by in (-0.001, 0.001)]
    for since in bounds:
        cel_since = [row for row in run.cel if row.at >= since]
        for until in bounds:
            cel = [row for row in cel_since if row.at <= until]
            cdr = [row for row in run.cdr if since <= row.end <= until]
            assert not cel or not lacking(cdr, cel, since=since, until=until), (since, until)


def test_a_call_is_not_lost_whose_rows_may_be_elsewhere_or_come_yet(tmp_path: Path) -> None:
    """B3: it must have begun after the begin of what was read, and ended before the newest rows of CEL."""
    cdr, cel = tmp_path / "cdr.csv", tmp_path / "cel.csv"
    cdr.write_text("".join((FIXTURES / f"{name}.cdr.csv").read_text() for name in (KEPT, LOST)))
    cel.write_text((FIXTURES / f"{KEPT}.cel.csv").read_text())
    found, lost = books(cdr_csv=cdr, cel_csv=cel), told(LOST).cdr
    began, ended = min(row.start for row in lost), max(row.end for row in lost)
    first = told(KEPT).cel[0].at

    def filled(since: float, until: float) -> bool:
        return bool(found.read_now(since, until).rows().of_cdr)

    assert filled(first - 5, ended + 3.1)
    assert not filled(first - 5, ended + 2.9)
    cel.write_text(cel.read_text().replace(f'"{int(first)}.', f'"{int(ended) + 9}.'))
    assert filled(began - 3.1, ended + 60)
    assert not filled(began - 0.5, ended + 60)


def test_a_lost_call_need_not_say_in_its_name_when_it_began() -> None:
    """B3: a uniqueid may be anything."""
    [row] = told(KEPT).cdr
    nameless = replace(row, uniqueid="a", linkedid="")
    assert lacking([nameless], told(LOST).cel, since=0.0, until=4e9) == [nameless]
    assert lacking([nameless], told(LOST).cel, since=row.start, until=4e9) == []
