"""Rows written many at once are the rows written one by one."""

import sqlite3

import pytest

from store.wide import run

STATEMENT = (
    "INSERT INTO t (k, v, w) VALUES (?, ?, (SELECT max(k) FROM t WHERE k < ?))"
    " ON CONFLICT (k) DO UPDATE SET v = excluded.v"
)


def fresh() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE t (k INTEGER PRIMARY KEY, v TEXT NOT NULL, w INTEGER)")
    return connection


def kept(connection: sqlite3.Connection) -> list[tuple[int, str]]:
    return connection.execute("SELECT k, v FROM t ORDER BY k").fetchall()


@pytest.mark.parametrize("count", [0, 1, 7, 8, 63, 64, 65, 200])
def test_however_many_rows_there_are_each_is_written_and_the_last_of_a_key_stays(count: int) -> None:
    rows = [(n % 50, f"v{n} (?)", n) for n in range(count)]
    one, many = fresh(), fresh()
    one.executemany(STATEMENT, rows)
    run(many, STATEMENT, rows)
    assert kept(many) == kept(one)


def test_what_is_no_insert_runs_row_by_row() -> None:
    connection = fresh()
    run(connection, STATEMENT, [(n, "old", n) for n in range(100)])
    run(connection, "UPDATE t SET v = ? WHERE k = ?", [(f"new{n}", n) for n in range(100)])
    assert kept(connection) == [(n, f"new{n}") for n in range(100)]


def test_a_row_that_is_refused_refuses_them_all() -> None:
    """The writer rolls back and writes one by one then."""
    with pytest.raises(sqlite3.IntegrityError):
        run(fresh(), STATEMENT, [(n, None if n == 70 else "v", n) for n in range(100)])
