"""Spans of the books: found by halving, across rotation, through garbage (B3, B4)."""

import gzip
import os
from pathlib import Path
from typing import Any

import pytest

from config.sections import PbxSettings
from cti.daemon.bookreader import BookUnreadable
from cti.daemon.books import Books

T0 = 1_795_000_000


def books(**paths: Path) -> Books:
    given: dict[str, Any] = {"queue_log": None, "cdr_csv": None, "cel_csv": None, **paths}
    return Books(PbxSettings.model_construct(**given))


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
    path.write_text(lines(0, 3) + "garbage\n\xff\x00\n" + lines(3, 2) + f"{T0 + 9}|1.9|sales|NO")
    read = books(queue_log=path).read_now(T0, T0 + 100)
    assert read.queue_log is not None
    assert [row.callid for row in read.queue_log] == ["1.0", "1.1", "1.2", "1.3", "1.4"]
    assert read.bad_lines == 2
    assert set(read.bad) == {"queue_log"}


def test_a_book_that_is_not_there_yet_is_empty(tmp_path: Path) -> None:
    """A new PBX has no calls; a wrong directory is a mistake that is named."""
    assert seconds(books(queue_log=tmp_path / "queue_log"), 0, 10) == []
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
