"""Provision a real MariaDB server, and the ODBC driver by which a PBX writes into one; how, see :mod:`tests.debtree`.

``python -m tests.mariadb.provision`` does it with progress on the terminal and prints the server's version line.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests import debtree
from tests.debtree import PROJECT_ROOT, DebTree, Progress, ProvisionError, quiet

__all__ = ["DEFAULT_CACHE", "ProvisionError", "Tree", "find_tree", "provision"]

DEFAULT_CACHE = PROJECT_ROOT / ".cache" / "mariadb"


@dataclass(frozen=True)
class Tree(DebTree):
    """An unpacked MariaDB server."""

    package = "mariadb-server-core"
    beside = ("odbc-mariadb",)
    about = "the test database"
    layout = "1"

    @property
    def server(self) -> Path:
        return self.root / "usr/sbin/mariadbd"

    @property
    def share(self) -> Path:
        """Error messages and the SQL that makes the system tables."""
        return self.root / "usr/share/mariadb"

    @property
    def odbc_driver(self) -> Path:
        return self.lib_dir / "odbc/libmaodbc.so"

    def version(self) -> str:
        """What ``mariadbd --version`` prints; ProvisionError if it does not run."""
        return self._says(self.run(self.server, "--version"))


def provision(cache: Path = DEFAULT_CACHE, progress: Progress = quiet) -> Tree:
    """Return a complete tree under ``cache``, making it first if there is none; see `debtree.provision`."""
    return debtree.provision(Tree, cache, progress)


def find_tree(cache: Path = DEFAULT_CACHE) -> Tree | None:
    """The complete tree under ``cache``, or None; never makes one."""
    return debtree.find(Tree, cache)


if __name__ == "__main__":
    raise SystemExit(debtree.run_as_program(lambda progress: provision(progress=progress)))
