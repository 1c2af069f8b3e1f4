"""The rooms of the house keep to their doors: what may be imported where, and that pure rooms are pure."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PURE = ("cti/core", "routing")
OURS = frozenset({"cti", "routing", "store", "metrics", "config", "tests", "asterisk_dialplan"})

# What each room may import besides the standard library and itself; a name opens the modules below it too.
DOORS: dict[str, frozenset[str]] = {
    "cti/core": frozenset({"cti.core"}),
    "routing": frozenset({"cti.core.facts", "chinese_calendar"}),
    "store": frozenset(
        {"cti.core.facts", "cti.core.memory", "routing.model", "routing.calendar", "sqlalchemy", "alembic"}
    ),
    "metrics": frozenset({"cti.core.facts", "prometheus_client"}),
    "config": frozenset({"pydantic", "pydantic_core"}),
}

# Modules of the standard library that reach outside: sockets, files, processes, clocks, chance.
IMPURE = frozenset(
    {
        "asyncio", "concurrent", "ctypes", "glob", "http", "io", "logging", "mmap", "multiprocessing", "os",
        "pathlib", "random", "secrets", "select", "selectors", "shutil", "signal", "socket", "socketserver",
        "sqlite3", "ssl", "subprocess", "sys", "tempfile", "threading", "time", "urllib", "uuid",
    }
)  # fmt: skip
CLOCKS = frozenset({"now", "utcnow", "today", "time", "time_ns", "monotonic", "perf_counter"})
BUILTINS_OUT = frozenset({"open", "print", "input", "exec", "eval", "__import__"})
WRITES_CODE = frozenset({"cti/core/quick.py"})  # from names in our own source, as dataclasses does it


def modules(room: str) -> list[Path]:
    found = sorted((ROOT / room).rglob("*.py"))
    assert found, f"no modules in {room}"
    return found


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Line and full dotted name of everything a module imports, `from a import b` as a.b."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}:{node.lineno}: relative import"
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def opens(door: str, name: str) -> bool:
    return name == door or name.startswith(f"{door}.")


def where(path: Path, line: int) -> str:
    return f"{path.relative_to(ROOT)}:{line}"


@pytest.mark.parametrize("room", DOORS)
def test_a_room_imports_only_what_its_doors_open(room: str) -> None:
    """The table of the architecture: a room that needs more is a decision, not an accident."""
    own = room.replace("/", ".")
    closed = [
        f"{where(path, line)} imports {name}"
        for path in modules(room)
        for line, name in imports(path)
        if name.split(".")[0] not in sys.stdlib_module_names
        and not any(opens(door, name) for door in DOORS[room] | {own})
    ]
    assert closed == []


@pytest.mark.parametrize("room", PURE)
def test_a_pure_room_reaches_nothing_outside(room: str) -> None:
    """No sockets, files, tasks, chance or processes: what is computed follows from the arguments alone."""
    reached = [
        f"{where(path, line)} imports {name}"
        for path in modules(room)
        for line, name in imports(path)
        if name.split(".")[0] in IMPURE
    ]
    assert reached == []


@pytest.mark.parametrize("room", PURE)
def test_a_pure_room_reads_no_clock(room: str) -> None:
    """Time enters as an argument: no `.now()`, `.today()`, `time()`, nor a way to print, open or evaluate."""
    called = []
    for path in modules(room):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call):
                continue
            match node.func:
                case ast.Attribute(attr=attr) if attr in CLOCKS:
                    called.append(f"{where(path, node.lineno)} calls .{attr}()")
                case ast.Name(id=name) if name in BUILTINS_OUT | CLOCKS:
                    called.append(f"{where(path, node.lineno)} calls {name}()")
    assert [call for call in called if call.rsplit(":", 1)[0] not in WRITES_CODE] == []


def test_panoramisk_stays_behind_one_door() -> None:
    """What is known to be wrong with it is dealt with in one place."""
    users = {
        str(path.relative_to(ROOT))
        for room in OURS - {"tests", "asterisk_dialplan"}
        for path in modules(room)
        for _line, name in imports(path)
        if opens("panoramisk", name)
    }
    assert users == {"cti/daemon/ami.py"}


def test_only_the_shell_imports_the_shell() -> None:
    """Nothing below the daemon knows of it."""
    below = [
        f"{where(path, line)} imports {name}"
        for room in DOORS
        for path in modules(room)
        for line, name in imports(path)
        if opens("cti.daemon", name) or opens("tests", name)
    ]
    assert below == []


def test_no_distribution_owns_one_of_our_names() -> None:
    """Our top-level names are common words: a dependency that brought a `store` of its own would shadow ours."""
    owners = packages_distributions()
    ours = project()["name"]
    taken = {name: set(owners.get(name, [])) - {ours} for name in OURS}
    assert {name: who for name, who in taken.items() if who} == {}


def project() -> dict[str, str]:
    """The `[project]` table."""
    return dict(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"])


def dependencies() -> set[str]:
    table = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    listed = [
        *table["dependencies"],
        *(one for extra in table["optional-dependencies"].values() for one in extra),
    ]
    return {re.split(r"[\[<>=!~; ]", requirement, maxsplit=1)[0].lower() for requirement in listed}


def test_every_dependency_says_why_it_is_there() -> None:
    """One line each in docs/dependencies.md, and no line for what is gone."""
    text = (ROOT / "docs/dependencies.md").read_text()
    explained = {match.lower() for match in re.findall(r"^\| \[?`([\w.-]+)`", text, re.MULTILINE)}
    assert explained == dependencies()


def test_every_package_is_shipped() -> None:
    """The package list is explicit; a new folder of ours must not be forgotten in it."""
    shipped = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"])
    there = {
        str(path.parent.relative_to(ROOT)).replace("/", ".")
        for room in OURS - {"tests", "asterisk_dialplan"}
        for path in (ROOT / room).rglob("__init__.py")
    }
    assert there <= shipped
