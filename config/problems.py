"""What is wrong with a configuration, said so that a person can mend it: key, value, what is wrong, cure."""

import difflib
import re
import types
import typing
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

HIDDEN = "(not shown)"
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_SECRET_WORDS = ("secret", "pass", "pw", "token", "key", "pin", "credential", "auth")
_LONGEST = 80  # characters of a value that are shown


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong, with its cure."""

    key: str  # dotted, as written in the file
    value: str  # as written, shortened; HIDDEN where it could be a secret; "" when nothing was written
    cure: str  # what to do, in the imperative
    wrong: str = ""  # what is wrong with the value

    def __str__(self) -> str:
        shown = f"{self.key} = {self.value}" if self.value else self.key
        return f"{shown}: {self.wrong}; {self.cure}" if self.wrong else f"{shown}: {self.cure}"


class ConfigError(Exception):
    """The configuration cannot be used; `problems` holds everything that is wrong with it, not only the first."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = list(problems)
        super().__init__("\n".join(map(str, self.problems)))


def dotted(parts: Iterable[object]) -> str:
    """Join the parts of a key the way TOML writes them."""
    written = ""
    for part in parts:
        if isinstance(part, int):
            written += f"[{part}]"
        elif part != "[key]":
            text = str(part)
            text = text if _BARE_KEY.fullmatch(text) else shown(text)
            written += f".{text}" if written else text
    return written


def shown(value: object) -> str:
    """Write a value as TOML would, shortened."""
    match value:
        case bool():
            text = "true" if value else "false"
        case str():
            text = '"' + "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in value) + '"'
        case dict():
            text = "{…}" if value else "{}"
        case list() | tuple():
            text = f"[{', '.join(shown(item) for item in value[:9])}]"
        case None:
            text = ""
        case _:
            text = str(value)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def alike(word: str, known: Iterable[str]) -> str:
    """Return "did you mean …?" when a known word resembles `word`, else ""."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f'did you mean "{close[0]}"?' if close else ""


def explain(error: ValidationError, root: type[BaseModel]) -> list[Problem]:
    """Turn every error of pydantic into a problem a person understands."""
    return [_explain(detail, root) for detail in error.errors(include_url=False)]


def _explain(detail: ErrorDetails, root: type[BaseModel]) -> Problem:
    loc, context, value = detail["loc"], detail.get("ctx", {}), detail["input"]
    key = dotted(loc)
    match detail["type"]:
        case "cti":
            return Problem(key, context.get("shown", shown(value)), context["cure"], context["wrong"])
        case "missing" if loc[-1] == "secret":
            cure = 'write secret_file = "path" or secret_env = "NAME"'
            return Problem(f"{key}_file", "", cure, "is missing")
        case "missing":
            return Problem(key, "", _example(root, loc), "is missing")
        case "extra_forbidden":
            return _unknown_key(loc, value, root)
        case "literal_error":
            expected = str(context["expected"]).replace("'", '"')
            hint = alike(str(value), re.findall(r'"([^"]*)"', expected))
            return Problem(key, shown(value), f"write {expected}. {hint}".rstrip(". "), "is not known")
    return _wrong_kind(detail, root)


def _wrong_kind(detail: ErrorDetails, root: type[BaseModel]) -> Problem:
    key, table = dotted(detail["loc"]), _model(root, detail["loc"])
    wrong = "must be a table" if table else detail["msg"].removeprefix("Input ")
    # A word where a table with secrets belongs may be the secret itself.
    value = HIDDEN if table and _holds_secrets(table) else shown(detail["input"])
    return Problem(key, value, _example(root, detail["loc"]), wrong[:1].lower() + wrong[1:])


def _unknown_key(loc: tuple[int | str, ...], value: object, root: type[BaseModel]) -> Problem:
    table = _model(root, loc[:-1])
    known = list(table.model_fields) if table else []
    name = str(loc[-1])
    hint = alike(name, known) or f"known here: {', '.join(known)}"
    secretive = any(word in name.lower() for word in _SECRET_WORDS) or (table and _holds_secrets(table))
    written = HIDDEN if secretive and not isinstance(value, dict) else shown(value)
    return Problem(dotted(loc), written, f"{hint}; rename or remove it", "unknown key")


def _holds_secrets(table: type[BaseModel]) -> bool:
    return any("secret" in field or "password" in field for field in table.model_fields)


def _example(root: type[BaseModel], loc: tuple[int | str, ...]) -> str:
    """Say what could stand at `loc`, or at the nearest field above it."""
    for end in range(len(loc), 0, -1):
        table = _model(root, loc[: end - 1])
        field = table.model_fields.get(str(loc[end - 1])) if table else None
        if field is not None:
            return _shown_example(str(loc[end - 1]), (field.examples or [None])[0])
    return "correct it"


def _shown_example(name: str, example: object) -> str:
    if example is None:
        return "correct it"
    if isinstance(example, str) and example.startswith("["):
        return f"add the table {example}"
    if isinstance(example, dict):
        return (
            f"write for example {name} = {{ {', '.join(f'{k} = {shown(v)}' for k, v in example.items())} }}"
        )
    return f"write for example {name} = {shown(example)}"


def _model(root: type[BaseModel], loc: tuple[int | str, ...]) -> type[BaseModel] | None:
    """Find the model of the table at `loc`."""
    kind: Any = root
    for part in loc:
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            field = kind.model_fields.get(str(part))
            kind = field.annotation if field else None
        elif typing.get_origin(kind) is dict:
            kind = typing.get_args(kind)[1]
        elif typing.get_origin(kind) is tuple:
            kind = typing.get_args(kind)[0]
        else:
            return None
        if typing.get_origin(kind) in {typing.Union, types.UnionType}:
            kind = next(arg for arg in typing.get_args(kind) if arg is not type(None))
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None
