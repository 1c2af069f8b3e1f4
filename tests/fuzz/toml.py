"""Hypothesis strategies for TOML: any at all, and files that are nearly right, which reach further."""

import datetime as dt
from typing import Any

from hypothesis import strategies as st

_HOSTILE = ("", " ", "\0", "\n", "\u202e", "../../etc/passwd", "/dev/null", "~nobody-at-all/x", "nan", "1e999", "9" * 400,
            "24:00", "23:59-00:00", "-1d", "0x10", "%s", "[pbx]", "王伟", "http://[::1", "sqlite+aiosqlite://")  # fmt: skip

TEXT = st.one_of(st.sampled_from(_HOSTILE), st.text(max_size=30))
SCALAR = st.one_of(
    TEXT,
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.datetimes(timezones=st.sampled_from([None, dt.UTC, dt.timezone(dt.timedelta(hours=14))])),
    st.dates(),
    st.times(),
)
VALUE: st.SearchStrategy[Any] = st.recursive(
    SCALAR, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4), max_leaves=8
)
TABLE = st.dictionaries(TEXT, VALUE, max_size=5)


def paths(tree: Any, here: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The way to every value of a tree of tables and arrays."""
    children = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    found = [(*here, key) for key, _ in children]
    return found + [path for key, child in children for path in paths(child, (*here, key))]


def copied(tree: Any) -> Any:
    """The same tree, of which nothing is shared."""
    if isinstance(tree, dict):
        return {key: copied(value) for key, value in tree.items()}
    return [copied(value) for value in tree] if isinstance(tree, list) else tree


@st.composite
def spoilt(draw: st.DrawFn, right: dict[str, Any]) -> dict[str, Any]:
    """What is right, with one to three values replaced, removed, or joined by strangers."""
    tree: dict[str, Any] = copied(right)
    for _ in range(draw(st.integers(1, 3))):
        ways = paths(tree)
        if not ways:
            break
        *above, last = draw(st.sampled_from(ways))
        parent: Any = tree
        for key in above:
            parent = parent[key]
        match draw(st.sampled_from(("replace", "replace", "replace", "remove", "add"))):
            case "replace":
                parent[last] = draw(VALUE)
            case "remove":
                del parent[last]
            case _:
                if isinstance(parent, dict):
                    parent[draw(TEXT)] = draw(VALUE)
    return tree
