"""What every command needs: which configuration, and words on the two output streams."""

import json
import os
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from config.problems import ConfigError, Problem
from config.settings import SECRETS, Settings, load

PLACES = (Path("cti.toml"), Path("/etc/cti/cti.toml"))

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        envvar="CTI_CONFIG",
        help="The configuration file; else ./cti.toml, else /etc/cti/cti.toml.",
        show_default=False,
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="JSON for scripts instead of a table for people.")]


def find(config: Path | None) -> Path:
    """Return the configuration file to use.

    Raises:
        ConfigError: none was given, and none is where it is looked for.
    """
    if config is not None:
        return config
    for place in PLACES:
        if place.is_file():
            return place
    cure = "give it with --config or CTI_CONFIG; config/cti.example.toml is one to begin with"
    places = " and ".join(map(str, PLACES))
    raise ConfigError([Problem("--config", "", cure, f"no configuration file is at {places}")])


def settings_of(config: Path | None, needed: Collection[str] = SECRETS) -> Settings:
    """Load the configuration file to use; only these sections' secrets must be at hand. Raises ConfigError."""
    return load(find(config), os.environ, needed)


def console() -> Console:
    """Return where tables go: wide enough for a script's pipe, as wide as the terminal otherwise."""
    return Console(width=None if sys.stdout.isatty() else 200, highlight=False)


def say(text: str) -> None:
    """Tell the person something that is not the answer itself."""
    typer.echo(text, err=True)


def write_json(what: Any) -> None:
    """Write an answer for scripts; what could steer a terminal is escaped, and means the same."""
    text = json.dumps(what, ensure_ascii=False, indent=2)
    typer.echo(
        "".join(char if char.isprintable() or char == "\n" else json.dumps(char)[1:-1] for char in text)
    )
