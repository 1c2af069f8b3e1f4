"""The PBX's own books of a demo: of the Asterisk that just ran, or of the one a recording was made from."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self, TypeVar

from cti.core.books import CdrRow, QueueRow, parse_cdr_line, parse_queue_line
from cti.core.mismatch import Report
from cti.core.reconcile import reconcile
from cti.daemon.bookindex import Kind
from cti.daemon.bookreader import BookReader
from store import Store

RECORDINGS = Path(__file__).parents[1] / "recordings"
RECORDING = RECORDINGS / "demo.ami.gz"
QUEUE_LOG = RECORDINGS / "demo.queue_log"
CDR = RECORDINGS / "demo.cdr.csv"
MARKS = RECORDINGS / "demo.marks.json"

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class Books:
    """queue_log and CDR rows, and how many lines of them could not be read."""

    queue: tuple[QueueRow, ...]
    cdr: tuple[CdrRow, ...]
    bad: int = 0

    @classmethod
    def of_files(cls, queue_log: Path, cdr_csv: Path) -> Self:
        """Read both books to their end."""
        queue, bad_queue = _read(queue_log, Kind(parse_queue_line, lambda row: row.at))
        cdr, bad_cdr = _read(cdr_csv, Kind(parse_cdr_line, lambda row: row.end))
        return cls(queue, cdr, bad_queue + bad_cdr)

    @classmethod
    def of_recording(cls) -> Self:
        """The books of the committed recording."""
        return cls.of_files(QUEUE_LOG, CDR)

    def moved(self, seconds: float) -> Self:
        """The same books, as if everything had happened so much later."""
        queue = tuple(replace(row, at=row.at + seconds) for row in self.queue)
        cdr = tuple(
            replace(
                row,
                start=row.start + seconds,
                end=row.end + seconds,
                answer=row.answer and row.answer + seconds,
            )
            for row in self.cdr
        )
        return replace(self, queue=queue, cdr=cdr)

    async def compare(
        self, store: Store, pbx: str = "main", *, since: float | None = None, until: float | None = None
    ) -> Report:
        """Hold the daemon's records against them."""
        records = await store.queries.records(pbx)
        return reconcile(
            records.stays, records.calls, records.legs, self.queue, self.cdr, since=since, until=until
        )


def _read(path: Path, kind: Kind[Row]) -> tuple[tuple[Row, ...], int]:
    batch = BookReader(path, kind).read_now()
    return batch.rows, batch.bad.count


def recorded_marks() -> dict[str, str]:
    """The pending marks of the recorded session: uniqueid to final value."""
    marks: dict[str, str] = json.loads(MARKS.read_text(encoding="utf-8"))
    return marks
