"""The room is pure: it may be read, tested and trusted without a clock, a socket or a library of the shell."""

import ast
import sys
from pathlib import Path

import routing

ROOM = Path(routing.__file__).parent
FORBIDDEN = {"asyncio", "socket", "time", "os", "pathlib", "subprocess", "threading"}
CLOCKS = {"now", "utcnow", "today", "time", "monotonic"}


def test_it_imports_nothing_but_the_standard_library_itself_and_the_calendar() -> None:
    """No library of the shell, and nothing of the standard library that touches the world."""
    for path in ROOM.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                top = name.partition(".")[0]
                assert top in {"routing", "chinese_calendar"} or top in sys.stdlib_module_names, (path, name)
                assert top not in FORBIDDEN, (path, name)


def test_it_never_reads_a_clock() -> None:
    """The instant is always an argument."""
    for path in ROOM.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                assert node.func.attr not in CLOCKS, (path, node.lineno)
