"""Functions written at run time, as `dataclasses` does: for what is done by the thousand each second.

The `__init__` that it writes for a frozen class goes through `object.__setattr__` by name for each field. Being of a
class with the same slots that is not frozen while they are filled takes a third of the time, and leaves everything else,
frozenness included, as it was.
"""

from dataclasses import MISSING, fields
from typing import Any


def quicken(*kinds: type[Any]) -> None:
    """Give these frozen dataclasses with slots (no factories, no `__post_init__`) a quicker `__init__`."""
    for kind in kinds:
        filled = type(kind.__name__, (), {"__slots__": tuple(field.name for field in fields(kind))})
        names: dict[str, Any] = {"_become": object.__setattr__, "_filled": filled, "_kind": kind}
        parameters, body = [], ["    _become(self, '__class__', _filled)\n"]
        for field in fields(kind):
            names[f"default_{field.name}"] = field.default
            default = "" if field.default is MISSING else f"=default_{field.name}"
            parameters.append(f"{field.name}{default}")
            body.append(f"    self.{field.name} = {field.name}\n")
        body.append("    self.__class__ = _kind\n")
        made = written("__init__", f"def __init__(self, {', '.join(parameters)}):\n{''.join(body)}", names)
        made.__qualname__ = f"{kind.__qualname__}.__init__"
        kind.__init__ = made


def written(name: str, source: str, names: dict[str, Any]) -> Any:
    """The function `name` that this source defines, with `names` as its globals; nothing heard may be in the source."""
    exec(source, names)  # noqa: S102 - as dataclasses does
    return names[name]
