"""The kinds of value the configuration knows beyond TOML's own: durations, paths, hosts, names, secrets."""

import ipaddress
import math
import re
import stat
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated, Any, NoReturn

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo
from pydantic_core import PydanticCustomError

from config.problems import HIDDEN, Problem, dotted, shown

_DURATION = re.compile(
    r"(?:(?P<d>\d{1,6})d)?\s*(?:(?P<h>\d{1,6})h)?\s*(?:(?P<m>\d{1,7})m)?\s*(?:(?P<s>\d{1,9}(?:\.\d{1,6})?)s)?",
    re.ASCII,
)
_UNITS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0}
_LONGEST_DURATION = 366 * 86400.0
_HOST = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*\.?")
_PBX_NAME = re.compile(r"[a-z0-9_-]{1,40}")
_LONGEST_SECRET = 512
_READABLE_BY_OTHERS = stat.S_IROTH | stat.S_IWOTH | stat.S_IXOTH


def refuse(wrong: str, cure: str, value: str | None = None) -> NoReturn:
    """Raise the error that `config.problems.explain` understands; `value` replaces what was written."""
    context: dict[str, Any] = {"wrong": wrong, "cure": cure}
    if value is not None:
        context["shown"] = value
    raise PydanticCustomError("cti", "{wrong}; {cure}", context)


def parse_duration(value: object) -> float:
    """Read a duration: seconds as a number, or text such as "15m", "8s", "1h30m"."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _bounded(float(value))
    match = _DURATION.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None or not any(match.groupdict().values()):
        refuse("is not a duration", 'write seconds as a number, or text such as "15m", "8s" or "1h30m"')
    return _bounded(sum(float(n) * _UNITS[unit] for unit, n in match.groupdict().items() if n))


def _bounded(seconds: float) -> float:
    if not math.isfinite(seconds) or not 0 <= seconds <= _LONGEST_DURATION:
        refuse("is out of range", "write a duration from 0 to 366 days")
    return seconds


def _positive(seconds: float) -> float:
    if seconds <= 0:
        refuse("must be longer than 0", 'write a duration such as "20s"')
    return seconds


def _path(value: object, info: ValidationInfo) -> object:
    if value is None or isinstance(value, Path):
        return value
    if not isinstance(value, str) or not value or not value.isprintable():
        refuse("is not a path", "write a path as text, relative to this file or absolute")
    return base_of(info) / _home(value)


def _home(value: str) -> Path:
    try:
        return Path(value).expanduser()
    except RuntimeError:
        refuse("names a home directory that does not exist", "write the whole path")


def base_of(info: ValidationInfo) -> Path:
    """Return the directory that relative paths start from."""
    context = info.context or {}
    return Path(context.get("base", Path.cwd()))


def _host(value: str) -> str:
    if not _HOST.fullmatch(value):
        try:
            ipaddress.ip_address(value)
        except ValueError:
            refuse("is not a host", "write a host name or an IP address, without scheme and port")
    return value.lower().rstrip(".")


def is_loopback(host: str) -> bool:
    """Tell whether `host` can only be reached from this machine. Names other than localhost count as reachable."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _pbx_name(value: str) -> str:
    if not _PBX_NAME.fullmatch(value):
        refuse("is not a PBX name", "use a-z, 0-9, _ and - only, at most 40 characters, e.g. [pbx.main]")
    return value


def _line(value: str) -> str:
    if not value.strip() or not value.isprintable():
        refuse("must be one line of text", "write it without control characters, and not empty")
    return value


Duration = Annotated[float, BeforeValidator(parse_duration)]
PositiveDuration = Annotated[float, BeforeValidator(parse_duration), AfterValidator(_positive)]
FilePath = Annotated[Path, BeforeValidator(_path)]
Host = Annotated[str, AfterValidator(_host)]
PbxName = Annotated[str, AfterValidator(_pbx_name)]
Line = Annotated[str, Field(max_length=200), AfterValidator(_line)]
Lines = Annotated[tuple[Line, ...], Field(strict=False)]
Port = Annotated[int, Field(ge=1, le=65535)]


class Secrets:
    """Takes secrets from where a table says they are, and collects what is wrong with them."""

    def __init__(self, base: Path, environ: Mapping[str, str], needed: Collection[str]) -> None:
        self._base = base
        self._environ = environ
        self._needed = needed  # tables; in the others a variable that is not set is no problem
        self.problems: list[Problem] = []

    def resolve(self, table: dict[str, Any], name: str, at: tuple[str, ...]) -> None:
        """Replace `<name>_env` or `<name>_file` in `table` by `<name>`; refuse `<name>` itself.

        When something is wrong the problem is kept and `<name>` gets a placeholder, so that nobody complains twice.
        """
        literal = table.pop(name, None)
        env, file = table.pop(f"{name}_env", None), table.pop(f"{name}_file", None)
        if literal is not None:
            cure = f'move it to a file of mode 0600 and write {name}_file = "path", or {name}_env = "NAME"'
            self._problem((*at, name), HIDDEN, "a secret never stands in this file", cure)
        elif env is not None and file is not None:
            key = (*at, f"{name}_env")
            self._problem(key, shown(env), f"stands beside {name}_file", "keep one of the two")
        elif env is not None:
            table[name] = self._from_environment(env, (*at, f"{name}_env"))
        elif file is not None:
            table[name] = self._from_file(file, (*at, f"{name}_file"))
        if name not in table and (literal is not None or env is not None):
            table[name] = HIDDEN

    def _problem(self, key: tuple[str, ...], value: str, wrong: str, cure: str) -> str:
        self.problems.append(Problem(dotted(key), value, cure, wrong))
        return HIDDEN

    def _from_environment(self, env: object, key: tuple[str, ...]) -> str:
        if not isinstance(env, str) or not env.isidentifier():
            # What is no variable's name may be the secret itself, written into the wrong key.
            return self._problem(
                key, HIDDEN, "is not a variable's name", 'write for example "CTI_READER_SECRET"'
            )
        if not self._environ.get(env):
            if key[0] not in self._needed and key[-2] not in self._needed:
                return HIDDEN
            return self._problem(
                key, shown(env), "this environment variable is not set", f"set {env} for the daemon"
            )
        return self._usable(self._environ[env], key, env)

    def _from_file(self, file: object, key: tuple[str, ...]) -> str:
        if not isinstance(file, str) or not file or not file.isprintable():
            return self._problem(key, shown(file), "is not a path", "write the path of a file of mode 0600")
        path = self._base / file
        try:
            mode = path.stat().st_mode
            if not stat.S_ISREG(mode):
                return self._problem(
                    key, shown(file), "is not a file", "write the path of a file of mode 0600"
                )
            if mode & _READABLE_BY_OTHERS:
                return self._problem(
                    key, shown(file), f"everybody may read it (mode {mode & 0o777:04o})", f"chmod 0600 {path}"
                )
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "is not UTF-8 text"
            return self._problem(
                key, shown(file), f"cannot be read ({why})", f"put the secret into {path}, mode 0600"
            )
        return self._usable(text.rstrip("\r\n"), key, file)

    def _usable(self, secret: str, key: tuple[str, ...], where: str) -> str:
        if not secret or len(secret) > _LONGEST_SECRET or not secret.isprintable():
            cure = f"put one line of 1 to {_LONGEST_SECRET} printable characters there"
            return self._problem(key, shown(where), "the secret there is empty or not one line", cure)
        return secret
