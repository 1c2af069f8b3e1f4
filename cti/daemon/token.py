"""The API's bearer tokens: each made once, kept in a file that only the daemon's user can read."""

import os
import secrets
import stat
from pathlib import Path

from cti.daemon.errors import ConfigError

NAME = "api-token"
BOOKS = "books-token"
"""Opens only the path to which `cti ship-books` sends."""
_SHORTEST = 20


class TokenMissing(ConfigError):
    """No daemon ever started on this data directory."""


def ensure(data_dir: Path, name: str = NAME) -> str:
    """Return the token of this name, made at the first start.

    Raises:
        ConfigError: the file cannot be made, or others can read it.
    """
    path = data_dir / name
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        _make(path)
    except FileExistsError:
        pass  # made at an earlier start
    except OSError as error:
        raise ConfigError(
            f"{path}: cannot be made ({error.strerror}); make data_dir writable for the user of the daemon"
        ) from error
    return read_file(path)


def _make(path: Path) -> None:
    """Write the whole file under another name and link it: nobody ever sees half a token."""
    if path.exists():
        raise FileExistsError(path)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(32) + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.link(draft, path)
    finally:
        draft.unlink()


def read(data_dir: Path) -> str:
    """Return the token that the daemon made; raises as `read_file`."""
    return read_file(data_dir / NAME)


def read_file(path: Path) -> str:
    """Return the token in a file.

    Raises:
        TokenMissing: there is none.
        ConfigError: it cannot be read, or others can read it.
    """
    try:
        mode = path.stat().st_mode
        text = path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        raise TokenMissing(
            f"{path}: there is no API token; the daemon makes it at its first start (cti run)"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{path}: the API token cannot be read ({error}); run this as the daemon's user"
        ) from error
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise ConfigError(
            f"{path}: others can read the API token (mode {stat.S_IMODE(mode):04o}); delete it and start the daemon "
            "again, which makes a new one"
        )
    if len(text) < _SHORTEST or not text.isprintable():
        raise ConfigError(
            f"{path}: holds no usable API token; delete it and start the daemon again, which makes a new one"
        )
    return text
