"""A small disk of its own for a daemon's data, that can be filled to the last byte.

A file system in memory, mounted in a user and mount namespace of its own: no root is needed. Where the kernel does not
allow that, the daemon's files are kept from growing instead, which its writes notice in the same way.
"""

import asyncio
import contextlib
import errno
import resource
import shutil
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tests.rig import Rig

_SIZE = "48m"
_BLOCK = 4096


@dataclass(frozen=True)
class Disk:
    """Where a daemon keeps its data: `prefix` starts it there, `seen` is that directory as this process sees it."""

    real: bool  # False where only the growth of files can be limited
    prefix: tuple[str, ...]
    seen: Path

    @contextlib.contextmanager
    def full(self, rig: Rig) -> Iterator[None]:
        """Nothing more can be written while the block runs."""
        with _filled(self.seen / "filler") if self.real else _no_growth(rig):
            yield

    def copy_of(self, database: Path, to: Path) -> Path:
        """The database of a daemon that has ended, copied to where it outlives this disk."""
        to.mkdir()
        for file in self.seen.glob(f"{database.name}*"):
            shutil.copy(file, to)
        return to / database.name


@contextlib.asynccontextmanager
async def small_disk(at: Path) -> AsyncIterator[Disk]:
    """A disk that the daemon sees at this directory, which is made."""
    await asyncio.to_thread(lambda: at.mkdir(parents=True, exist_ok=True))
    script = 'mount -t tmpfs -o "size=$1,mode=0700" tmpfs "$2" && echo mounted && read -r _'
    holder = await asyncio.create_subprocess_exec(
        "unshare", "--user", "--mount", "--map-root-user", "sh", "-c", script, "sh", _SIZE, str(at),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    assert holder.stdin is not None
    assert holder.stdout is not None
    try:
        if await holder.stdout.readline():
            enter = ("nsenter", f"--target={holder.pid}", "--user", "--mount", "--preserve-credentials")
            yield Disk(True, enter, Path(f"/proc/{holder.pid}/root") / at.relative_to("/"))
        else:
            yield Disk(False, (), at)
    finally:
        holder.stdin.close()
        await holder.wait()


@contextlib.contextmanager
def _filled(filler: Path) -> Iterator[None]:
    with filler.open("wb", buffering=0) as file:
        while _written(file):
            pass
    try:
        yield
    finally:
        filler.unlink()


def _written(file: IO[bytes]) -> bool:
    try:
        file.write(bytes(_BLOCK))
    except OSError as error:
        if error.errno == errno.ENOSPC:
            return False
        raise
    return True


@contextlib.contextmanager
def _no_growth(rig: Rig) -> Iterator[None]:
    """No file of the daemon can grow: writes fail with EFBIG instead of ENOSPC."""
    soft, hard = resource.prlimit(rig.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(rig.pid, resource.RLIMIT_FSIZE, (4096, hard))
    try:
        yield
    finally:
        resource.prlimit(rig.pid, resource.RLIMIT_FSIZE, (soft, hard))
