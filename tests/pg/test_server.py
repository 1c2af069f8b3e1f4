"""A real PostgreSQL can be had on a bare machine, and leaves nothing behind."""

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.debtree import PROJECT_ROOT, ProvisionError
from tests.pg.provision import Tree, find_tree, provision
from tests.pg.server import Postgres


def test_a_complete_tree_is_used_again(pg_tree: Tree) -> None:
    """Provisioning twice downloads once: the second time there is nothing to report."""
    said: list[str] = []
    assert provision(progress=lambda text, _: said.append(text)) == pg_tree
    assert said == []


def test_the_tree_runs_without_installation(pg_tree: Tree) -> None:
    """The unpacked server answers with its version, through its own loader, wherever it is moved to."""
    assert pg_tree.version().startswith("postgres (PostgreSQL) ")


def test_a_tree_that_was_cut_short_is_not_used(tmp_path: Path) -> None:
    """Without its marker, which is written last, a tree does not count."""
    (tmp_path / "tree/usr/lib/postgresql").mkdir(parents=True)
    assert find_tree(tmp_path) is None


def test_a_machine_without_apt_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says what is missing and what to use instead."""
    monkeypatch.setattr("shutil.which", lambda _: None)
    with pytest.raises(ProvisionError, match=r"apt-get is missing.*the test database.*Debian"):
        provision(tmp_path)


def test_the_server_is_on_loopback_with_a_password(pg_server: Postgres) -> None:
    """Nobody gets in from elsewhere, or without the password, which is new in every run."""
    assert pg_server.execute("SHOW listen_addresses") == [("127.0.0.1",)]
    rules = pg_server.execute("SELECT DISTINCT auth_method FROM pg_hba_file_rules")
    assert rules == [("scram-sha-256",)]
    assert (pg_server.data.stat().st_mode & 0o777, pg_server.home.stat().st_mode & 0o077) == (0o700, 0)


def test_a_server_keeps_its_data_over_a_crash(pg_own: Postgres) -> None:
    """Killed and started again it has what was committed, on the same port."""
    pg_own.execute("CREATE TABLE kept AS SELECT 1 AS n")
    pg_own.stop(at_once=True)
    pg_own.start()
    assert pg_own.execute("SELECT n FROM kept") == [(1,)]


def test_a_tree_nobody_else_may_read_is_copied(pg_tree: Tree, tmp_path: Path) -> None:
    """As root, with the checkout below a private home, the server still runs: from a copy."""
    hidden = tmp_path / "private"
    subprocess.run(["cp", "-a", str(pg_tree.root), str(hidden)], check=True)
    hidden.chmod(0o700)
    tree = Tree(
        root=hidden,
        loader=hidden / pg_tree.loader.relative_to(pg_tree.root),
        lib_dir=hidden / pg_tree.lib_dir.relative_to(pg_tree.root),
    )
    with Postgres(tree) as server:
        assert server.execute("SELECT 1") == [(1,)]
    assert not server.home.exists()


_RUNS_FOR_EVER = """
import sys, time
from tests.pg.provision import provision
from tests.pg.server import Postgres
server = Postgres(provision())
server.make()
server.start()
print(server._pid(), server.home, flush=True)
time.sleep(600)
"""


def test_no_server_outlives_a_test_run_that_is_killed(pg_tree: Tree) -> None:
    """A test run that dies takes its server along, so that none is left running."""
    assert pg_tree.root.exists()
    with subprocess.Popen(
        [sys.executable, "-c", _RUNS_FOR_EVER], stdout=subprocess.PIPE, text=True, cwd=PROJECT_ROOT
    ) as run:
        assert run.stdout is not None
        pid, home = run.stdout.readline().split()
        handle = os.pidfd_open(int(pid))
        run.send_signal(signal.SIGKILL)
    try:
        assert select.select([handle], [], [], 10)[0], f"PostgreSQL {pid} is still there"
    finally:
        os.close(handle)
        subprocess.run(["rm", "-rf", home], check=True)
