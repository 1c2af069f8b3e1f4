"""Notices rows that came into the books after their time had been judged.

A database may get a row late (the CDR module's batches, a queue of its own, replication), and a file may come from
elsewhere. What is read again each time for the sake of long calls is held against what was read before.
"""

from collections.abc import Iterator

from cti.daemon.books import BookRows


class Latecomers:
    """What queue_log and CDR said of the last windows, and CEL of who came to a queue."""

    def __init__(self) -> None:
        self._since = float("inf")  # everything from then on was in the last reading
        self._lines: frozenset[str] = frozenset()

    def found(self, books: BookRows, since: float, judged: float) -> float | None:
        """When the oldest latecomer happened, None when there is none (epochs).

        Args:
            books: what was read now.
            since: from when on it is everything the books say.
            judged: up to when it had been judged before.
        """
        lines = list(_lines(books))
        late = [at for at, raw in lines if self._since <= at < judged and raw not in self._lines]
        self._since, self._lines = since, frozenset(raw for _, raw in lines)
        return min(late, default=None)


def _lines(books: BookRows) -> Iterator[tuple[float, str]]:
    yield from ((row.at, row.raw) for row in books.queue_log or ())
    yield from ((row.end, row.raw) for row in books.cdr or ())
    of_queues = (row for row in books.cel or () if row.event == "APP_START" and row.app == "Queue")
    yield from ((row.at, row.raw) for row in of_queues)
