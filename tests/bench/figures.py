"""What was measured: one line of a table for people, one JSON object for machines."""

import json
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure; `limit` is what is promised: at most so much, or (`at_least`) at least so much."""

    name: str
    value: float
    unit: str
    how: str
    limit: float | None = None
    at_least: bool = False
    aim: float | None = None

    @property
    def holds(self) -> bool:
        """Whether the promise is kept; true where nothing is promised."""
        if self.limit is None:
            return True
        return self.value >= self.limit if self.at_least else self.value <= self.limit

    def as_json(self) -> str:
        """One line."""
        return json.dumps({"figure": self.name, "value": _rounded(self.value), "unit": self.unit})


def _rounded(value: float) -> float:
    return float(f"{value:.4g}") if abs(value) < 10_000 else round(value)


def show(console: Console, figures: list[Figure]) -> None:
    """A table with how each figure was measured below it."""
    table = Table(title="Measured in this run, on this machine", title_justify="left")
    for column, justify in (("figure", "left"), ("value", "right"), ("unit", "left"), ("promised", "right")):
        table.add_column(column, justify=justify)  # type: ignore[arg-type]  # rich's Literal
    for figure in figures:
        mark = "" if figure.limit is None else ("[green]" if figure.holds else "[red]")
        table.add_row(figure.name, f"{mark}{_rounded(figure.value):g}", figure.unit, _promised(figure))
    console.print(table)
    for figure in figures:
        console.print(f"[bold]{figure.name}[/]: {figure.how}", highlight=False)


def _promised(figure: Figure) -> str:
    if figure.limit is None:
        return ""
    sign = "≥" if figure.at_least else "≤"
    aim = "" if figure.aim is None else f" (aim {figure.aim:g})"
    return f"{sign} {figure.limit:g}{aim}"


def of_json(line: str) -> dict[str, Any]:
    """What a measuring child process printed last."""
    found: dict[str, Any] = json.loads(line)
    return found
