"""Provision a real Asterisk for the tests; how, see :mod:`tests.debtree`.

Suite ``sid`` is the only one of Debian's that carries Asterisk 22. ``python -m tests.pbx.provision`` does it with
progress on the terminal and prints Asterisk's version line.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests import debtree
from tests.debtree import PROJECT_ROOT, DebTree, Progress, ProvisionError, quiet

__all__ = ["DEFAULT_CACHE", "PROJECT_ROOT", "ProvisionError", "Tree", "find_tree", "provision"]

DEFAULT_CACHE = PROJECT_ROOT / ".cache" / "pbx"
ZONES = Path("/usr/share/zoneinfo/Asia")


@dataclass(frozen=True)
class Tree(DebTree):
    """An unpacked Asterisk."""

    package = "asterisk"
    about = "the test PBX"
    layout = "1"

    @property
    def asterisk(self) -> Path:
        return self.root / "usr/sbin/asterisk"

    @property
    def modules_dir(self) -> Path:
        return self.lib_dir / "asterisk/modules"

    @property
    def data_dir(self) -> Path:
        return self.root / "usr/share/asterisk"

    def command(self, *args: str) -> list[str]:
        """The argument vector that runs Asterisk from this tree."""
        return self.run(self.asterisk, *args)

    def version(self) -> str:
        """What ``asterisk -V`` prints, for example ``Asterisk 22.10.1~dfsg-1``; ProvisionError if it does not run."""
        return self._says(self.command("-V"))


def provision(cache: Path = DEFAULT_CACHE, progress: Progress = quiet) -> Tree:
    """Return a complete tree under ``cache``, making it first if there is none; see `debtree.provision`."""
    if not ZONES.is_dir():
        raise ProvisionError("install the package tzdata: Asterisk reads its time zones from there")
    return debtree.provision(Tree, cache, progress)


def find_tree(cache: Path = DEFAULT_CACHE) -> Tree | None:
    """The complete tree under ``cache``, or None; never makes one."""
    return debtree.find(Tree, cache)


if __name__ == "__main__":
    raise SystemExit(debtree.run_as_program(lambda progress: provision(progress=progress)))
