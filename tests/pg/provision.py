"""Provision a real PostgreSQL server for the tests; how, see :mod:`tests.debtree`.

``python -m tests.pg.provision`` does it with progress on the terminal and prints the server's version line.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from tests import debtree
from tests.debtree import PROJECT_ROOT, DebTree, Progress, ProvisionError, quiet

__all__ = ["DEFAULT_CACHE", "ProvisionError", "Tree", "find_tree", "provision"]

DEFAULT_CACHE = PROJECT_ROOT / ".cache" / "pg"

# initdb starts `postgres` by itself, so that name has to be a program that finds the tree's loader.
_STARTER = """#!/bin/sh
root=${{0%/{bin}/*}}
exec "$root/{loader}" --library-path "$root/{libs}" --argv0 "$0" "$root/{bin}/postgres.real" "$@"
"""


@dataclass(frozen=True)
class Tree(DebTree):
    """An unpacked PostgreSQL server."""

    package = "postgresql"
    about = "the test database"
    layout = "1"

    @property
    def bin_dir(self) -> Path:
        found = sorted(self.root.glob("usr/lib/postgresql/*/bin"))
        if not found:
            raise ProvisionError(
                f"no PostgreSQL server in {self.root}; remove that directory and provision again"
            )
        return found[-1]

    @property
    def postgres(self) -> Path:
        """Starts the server; finds its loader itself."""
        return self.bin_dir / "postgres"

    def initdb(self, *args: str) -> list[str]:
        """The argument vector that makes a data directory."""
        return self.run(self.bin_dir / "initdb", *args)

    def prepare(self) -> None:
        """Keep only what the server needs (a third of the tree), and let it find its loader."""
        self._prune()
        real = self.bin_dir / "postgres.real"
        self.postgres.rename(real)
        inside = {"bin": self.bin_dir, "loader": self.loader, "libs": self.lib_dir}
        names = {key: str(path.relative_to(self.root)) for key, path in inside.items()}
        self.postgres.write_text(_STARTER.format(**names))
        self.postgres.chmod(0o755)
        for path in (
            self.root,
            *self.root.rglob("*"),
        ):  # the server runs as another user when the tests run as root
            if not path.is_symlink():
                path.chmod(path.stat().st_mode | (0o555 if path.is_dir() else 0o444))

    def _prune(self) -> None:
        kept = {
            self.root / "usr/lib/postgresql",
            self.root / "usr/share/postgresql",
            self.lib_dir,
            self.loader.parent,
        }
        parents = {parent for one in kept for parent in one.parents}
        for path in sorted(self.root.rglob("*")):
            if path in parents or any(path == one or one in path.parents for one in kept):
                if path.parent == self.lib_dir and path.is_dir():
                    shutil.rmtree(path)  # plug-ins of other programs
                continue
            if path.is_symlink() or path.is_file():
                path.unlink()
            elif path.is_dir():
                shutil.rmtree(path)

    def version(self) -> str:
        """What ``postgres --version`` prints; ProvisionError if it does not run."""
        return self._says([str(self.postgres), "--version"])


def provision(cache: Path = DEFAULT_CACHE, progress: Progress = quiet) -> Tree:
    """Return a complete tree under ``cache``, making it first if there is none; see `debtree.provision`."""
    return debtree.provision(Tree, cache, progress)


def find_tree(cache: Path = DEFAULT_CACHE) -> Tree | None:
    """The complete tree under ``cache``, or None; never makes one."""
    return debtree.find(Tree, cache)


if __name__ == "__main__":
    raise SystemExit(debtree.run_as_program(lambda progress: provision(progress=progress)))
