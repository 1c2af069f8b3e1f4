"""Records a demo: the AMI stream by `cti record`, and beside it the PBX's books and the marks the dialplan left."""

import asyncio
import contextlib
import json
import shutil
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from store import open_store
from store.queries import CallRecord
from tests.demo.books import CDR, MARKS, QUEUE_LOG, RECORDING
from tests.rig import Rig


def make_room(directory: Path) -> None:
    """An earlier recording gives way."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / RECORDING.name).unlink(missing_ok=True)


@contextlib.asynccontextmanager
async def recorder(rig: Rig, directory: Path) -> AsyncIterator[None]:
    """Run `cti record` meanwhile."""
    file = directory / RECORDING.name
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "cti.daemon", "record", str(file), "--pbx", "main", "--config", str(rig.config)
    )  # fmt: skip
    try:
        yield
    finally:
        process.send_signal(signal.SIGINT)
        await process.wait()


async def keep_books(rig: Rig, queue_log: Path, cdr_csv: Path, directory: Path) -> None:
    """Copy the books, and write the pending marks again from the work items that were made of them."""
    shutil.copyfile(queue_log, directory / QUEUE_LOG.name)
    shutil.copyfile(cdr_csv, directory / CDR.name)
    marks = {}
    async with await open_store(rig.database_url) as store:
        for item in (await store.queries.work_items(limit=500)).items:
            record = await store.queries.call(item.call_id)
            assert record is not None, item
            marks[item.call_id.removeprefix("main-")] = _mark(
                record, item.hotline, item.result, item.accepted_by, item.accepted_at
            )
    (directory / MARKS.name).write_text(json.dumps(marks, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def _mark(
    record: CallRecord, hotline: str, result: str, number: str | None, accepted_at: float | None
) -> str:
    call = record.call
    accepted = "" if accepted_at is None else f"{accepted_at:.3f}"
    ended = "" if call.ended_at is None else f"{call.ended_at:.3f}"
    fields = ("1", f"{call.started_at:.3f}", hotline, call.dialed_number, call.caller_number, result)
    return "|".join((*fields, number or "", accepted, ended))
