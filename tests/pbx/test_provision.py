"""A real Asterisk can be had on a bare machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import debtree
from tests.pbx.provision import ProvisionError, Tree, find_tree, provision


def test_a_complete_tree_is_used_again(tree: Tree) -> None:
    """Provisioning twice downloads once: the second time there is nothing to report."""
    said: list[str] = []
    assert provision(progress=lambda text, _: said.append(text)) == tree
    assert said == []


def test_the_tree_runs_without_installation(tree: Tree) -> None:
    """The unpacked program answers with its version, through its own loader."""
    assert tree.version().startswith("Asterisk 22.")


def test_a_tree_that_was_cut_short_is_not_used(tmp_path: Path) -> None:
    """Without its marker, which is written last, a tree does not count."""
    (tmp_path / "tree/usr/sbin").mkdir(parents=True)
    assert find_tree(tmp_path) is None


def test_a_machine_without_apt_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says what is missing and what to use instead."""
    monkeypatch.setattr("shutil.which", lambda _: None)
    with pytest.raises(ProvisionError, match=r"apt-get is missing.*Debian"):
        provision(tmp_path)


def test_mirrors_are_read_from_both_kinds_of_source_files(tmp_path: Path) -> None:
    """When apt has no index yet, its source files tell the mirror."""
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list").write_text(
        "# deb http://off/ x\ndeb [trusted=yes] http://one/debian stable main\n"
    )
    (tmp_path / "sources.list.d/two.sources").write_text(
        "Types: deb\nURIs: http://two/debian\nSuites: stable\n"
    )
    assert debtree._mirrors_of_sources(tmp_path) == ["http://one/debian", "http://two/debian"]
