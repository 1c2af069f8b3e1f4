"""Many rows by one statement, for SQLite.

Python's driver gives the interpreter's lock away for each statement it runs and has to get it back after each. While
the event loop is busy that takes milliseconds a row, thousands of times what SQLite needs to write it. A statement of
256 rows asks once for all of them, and the second core does the writing meanwhile.
"""

import sqlite3
from collections.abc import Sequence
from functools import cache
from itertools import chain
from typing import Any

_SIZES = (
    256,
    128,
    64,
    32,
    16,
    8,
    4,
    2,
    1,
)  # rows of one statement; few, so that each of them is kept compiled
_VALUES = "VALUES ("

STATEMENTS = 512  # compiled statements a connection has to keep: of each kind of row one for each size


def run(connection: sqlite3.Connection, statement: str, rows: Sequence[Sequence[Any]]) -> None:
    """Run a statement for each row in order; one that has `VALUES (…)` for many at once. Raises sqlite3.Error."""
    if _VALUES not in statement:
        connection.executemany(statement, rows)
        return
    done = 0
    for size in _SIZES:
        while len(rows) - done >= size:
            connection.execute(_widened(statement, size), list(chain.from_iterable(rows[done : done + size])))
            done += size


@cache
def _widened(statement: str, size: int) -> str:
    """The statement with its group of values so many times."""
    begin = statement.index(_VALUES) + len(_VALUES) - 1
    depth = 0
    for end in range(begin, len(statement)):
        depth += (statement[end] == "(") - (statement[end] == ")")
        if not depth:
            break
    group = statement[begin : end + 1]
    return statement[:begin] + ", ".join([group] * size) + statement[end + 1 :]
