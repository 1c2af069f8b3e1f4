"""A program of Debian's for the tests, without root and without touching the machine.

The packages come from the mirror that the machine's own apt uses, suite ``sid``. They are fetched into a private apt
root and unpacked, never installed: no maintainer script runs, no user or service appears. The tree's programs are then
started through its own dynamic loader.
"""

from __future__ import annotations

import abc
import contextlib
import fcntl
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, TypeVar

Progress = Callable[[str, float | None], None]

PROJECT_ROOT = Path(__file__).resolve().parents[1]
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")

_SUITE = "sid"
_ARCHITECTURES = {"amd64": "x86_64-linux-gnu", "arm64": "aarch64-linux-gnu"}
_COMMAND_TIMEOUT_S = 600.0
_LOCK_TIMEOUT_S = 900.0


class ProvisionError(RuntimeError):
    """The program could not be provisioned; the message says what to do about it."""


@dataclass(frozen=True)
class DebTree(abc.ABC):
    """An unpacked package with all that it depends on; one subclass for each program."""

    package: ClassVar[str]
    beside: ClassVar[tuple[str, ...]] = ()
    """More packages that go into the same tree."""
    about: ClassVar[str]
    """What it is for, in messages."""
    layout: ClassVar[str]
    """Raised when a change here means that trees made by an older version must be made again."""

    root: Path
    loader: Path
    """The tree's own dynamic loader: the machine's C library may be older than the one the program was built for."""
    lib_dir: Path

    def run(self, program: Path, *args: str) -> list[str]:
        """The argument vector that runs a program of this tree."""
        return [str(self.loader), "--library-path", str(self.lib_dir), str(program), *args]

    def prepare(self) -> None:  # noqa: B027 - most trees need nothing
        """Whatever has to be done once in a freshly unpacked tree."""

    @abc.abstractmethod
    def version(self) -> str:
        """What the program says its version is; ProvisionError if it does not run."""

    def _says(self, command: list[str]) -> str:
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ProvisionError(f"{self.package} of the tree {self.root} does not run: {error}") from error
        if done.returncode != 0:
            raise ProvisionError(
                f"{self.package} of the tree {self.root} does not run: {done.stderr.strip()}"
            )
        return done.stdout.strip()


T = TypeVar("T", bound=DebTree)


def quiet(text: str, fraction: float | None) -> None:
    """A progress callback that shows nothing."""


def provision(kind: type[T], cache: Path, progress: Progress = quiet) -> T:
    """Return a complete tree under ``cache``, making it first if there is none.

    Idempotent and safe to call from several processes at once. ``progress`` gets a text and the share done (0–1, or
    None if unknown). Raises ProvisionError.
    """
    if not sys.platform.startswith("linux"):
        raise ProvisionError(f"{kind.about} runs on Linux only; run the tests in a Debian container")
    tree_dir = cache / "tree"
    if (tree := find(kind, cache)) is not None:
        return tree
    try:
        cache.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ProvisionError(f"cannot write to {cache}: {error}") from error
    with _lock(cache / "lock", progress):
        if (tree := find(kind, cache)) is not None:
            return tree
        return _make(kind, cache, tree_dir, progress)


def find(kind: type[T], cache: Path) -> T | None:
    """The complete tree under ``cache``, or None; never makes one."""
    marker = cache / "tree" / ".complete"
    if not marker.is_file() or marker.read_text().split()[:1] != [kind.layout]:
        return None
    return _open_tree(kind, cache / "tree")


# --- the tree ---------------------------------------------------------------------------------------------------


def _open_tree(kind: type[T], tree_dir: Path) -> T:
    multiarch = _ARCHITECTURES[_architecture()]
    loaders = sorted(
        [*tree_dir.glob("usr/lib*/ld-linux-*.so.*"), *tree_dir.glob(f"usr/lib/{multiarch}/ld-linux-*.so.*")]
    )
    if not loaders:
        raise ProvisionError(f"no dynamic loader in {tree_dir}; remove that directory and provision again")
    return kind(root=tree_dir, loader=loaders[0], lib_dir=tree_dir / "usr/lib" / multiarch)


def _make(kind: type[T], cache: Path, tree_dir: Path, progress: Progress) -> T:
    for command in ("apt-get", "dpkg-deb", "tar"):
        if shutil.which(command) is None:
            raise ProvisionError(
                f"{command} is missing: {kind.about} is made from Debian packages; use Debian or Ubuntu, or a container"
            )
    with tempfile.TemporaryDirectory(prefix="making-", dir=cache) as work_name:
        work = Path(work_name)
        debs = _download(kind, work / "apt", progress)
        fresh = work / "tree"
        fresh.mkdir()
        for number, deb in enumerate(debs):
            progress(f"unpacking {deb.name.partition('_')[0]}", 0.5 + 0.45 * number / len(debs))
            _unpack(deb, fresh)
        tree = _open_tree(kind, fresh)
        progress(f"starting {kind.package} once", 0.97)
        tree.prepare()
        version = tree.version()
        (fresh / ".complete").write_text(f"{kind.layout} {version}\n")
        if tree_dir.exists():
            shutil.rmtree(tree_dir)
        fresh.rename(tree_dir)
    progress(version, 1.0)
    return _open_tree(kind, tree_dir)


def _unpack(deb: Path, into: Path) -> None:
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(deb)], stdout=subprocess.PIPE) as packer:
        # Ownership and device nodes are no business of ours, and a plain user could not make them.
        done = subprocess.run(
            ["tar", "-x", "-C", str(into), "--no-same-owner", "--no-same-permissions"],
            stdin=packer.stdout,
            capture_output=True,
            text=True,
            check=False,
        )
    if packer.returncode != 0 or done.returncode != 0:
        raise ProvisionError(f"cannot unpack {deb.name} ({done.stderr.strip()}); is the disk full?")


# --- apt --------------------------------------------------------------------------------------------------------


def _download(kind: type[DebTree], apt: Path, progress: Progress) -> list[Path]:
    for directory in (apt / "lists/partial", apt / "cache/archives/partial", apt / "etc"):
        directory.mkdir(parents=True)
    (apt / "status").write_text("")
    keyring = f"signed-by={KEYRING} " if KEYRING.is_file() else ""
    mirrors = _mirrors()
    if not mirrors:
        raise ProvisionError(
            "apt knows no package source here; add one and run 'apt-get update', then try again"
        )
    failures: list[str] = []
    for mirror in mirrors:
        # The mirror may be a frozen one whose Release file is past its date; the signature is still checked.
        source = f"deb [{keyring}check-valid-until=no] {mirror} {_SUITE} main\n"
        (apt / "sources.list").write_text(source)
        progress("reading the package index", 0.02)
        failure = _apt(apt, "update", "-qq", "-o", "APT::Update::Error-Mode=any")
        if failure is None:
            break
        failures.append(failure)
    else:
        raise ProvisionError(_no_index_hint(failures[-1]))
    progress("choosing packages", 0.1)
    wanted = _count_packages(kind, apt)
    progress(f"downloading {wanted} packages", 0.12)
    failure = _apt(
        apt, "install", "-y", "-qq", "--download-only", kind.package, *kind.beside,
        watch=lambda: progress(f"downloading {wanted} packages", 0.12 + 0.38 * _share(apt, wanted)),
    )  # fmt: skip
    if failure is not None:
        raise ProvisionError(
            f"apt could not download {kind.package} from suite {_SUITE} of the machine's mirror: {failure}"
        )
    debs = sorted((apt / "cache/archives").glob("*.deb"))
    if not any(deb.name.startswith(f"{kind.package}_") for deb in debs):
        raise ProvisionError(
            f"the mirror's suite {_SUITE} carries no package {kind.package} for {_architecture()}"
        )
    return debs


def _share(apt: Path, wanted: int) -> float:
    return min(1.0, len(list((apt / "cache/archives").glob("*.deb"))) / max(1, wanted))


def _no_index_hint(failure: str) -> str:
    if not KEYRING.is_file() and ("NO_PUBKEY" in failure or "not signed" in failure):
        return "install the package debian-archive-keyring: apt cannot check Debian's signature without it"
    return f"apt could not read suite {_SUITE} of the machine's mirror (no network?): {failure}"


def _apt_options(apt: Path) -> list[str]:
    settings = {
        "Dir::State": apt,
        "Dir::State::status": apt / "status",
        "Dir::State::lists": apt / "lists",
        "Dir::Cache": apt / "cache",
        "Dir::Cache::archives": apt / "cache/archives",
        "Dir::Cache::pkgcache": "",
        "Dir::Cache::srcpkgcache": "",
        "Dir::Etc::sourcelist": apt / "sources.list",
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::Etc::preferences": "/dev/null",
        "Dir::Etc::preferencesparts": "/dev/null",
        "APT::Architecture": _architecture(),
        "APT::Install-Recommends": "false",
        "APT::Sandbox::User": "",
        "Acquire::Languages": "none",
        "Acquire::Retries": "2",
        "Debug::NoLocking": "1",
        "DPkg::Post-Invoke": "",
        "APT::Update::Post-Invoke": "",
    }
    return [part for key, value in settings.items() for part in ("-o", f"{key}={value}")]


def _apt(apt: Path, *args: str, watch: Callable[[], None] | None = None) -> str | None:
    """Run apt-get on the private root; None when it worked, else the last lines of what it said."""
    output = apt / "output"
    deadline = time.monotonic() + _COMMAND_TIMEOUT_S
    with output.open("wb") as sink:
        command = ["apt-get", *_apt_options(apt), *args]
        with subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink, env=_c_locale()
        ) as running:
            while running.poll() is None:
                if time.monotonic() > deadline:
                    running.kill()
                    return f"gave up after {_COMMAND_TIMEOUT_S:.0f} s"
                if watch is not None:
                    watch()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    running.wait(timeout=0.5)
    if running.returncode == 0:
        return None
    return " / ".join(output.read_text(errors="replace").strip().splitlines()[-3:])


def _count_packages(kind: type[DebTree], apt: Path) -> int:
    done = subprocess.run(
        ["apt-get", *_apt_options(apt), "-s", "-qq", "install", kind.package, *kind.beside],
        capture_output=True, text=True, check=False, env=_c_locale(),
    )  # fmt: skip
    return sum(line.startswith("Inst ") for line in done.stdout.splitlines())


def _mirrors() -> list[str]:
    """Base URIs of the machine's own package sources, Debian's main archive first."""
    listed = _mirrors_of_indexes() or _mirrors_of_sources()

    # An archive of security updates or of another distribution has no suite sid: it is only tried at last.
    def rank(uri: str) -> tuple[bool, bool]:
        return ("security" in uri, "debian" not in uri)

    return sorted(dict.fromkeys(listed), key=rank)


def _mirrors_of_indexes() -> list[str]:
    try:
        done = subprocess.run(
            ["apt-get", "indextargets", "--format", "$(REPO_URI) $(CODENAME) $(COMPONENT)", "Created-By: Packages"],
            capture_output=True, text=True, timeout=60, check=False, env=_c_locale(),
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return []
    rows = [line.split() for line in done.stdout.splitlines()]
    return [row[0] for row in rows if len(row) == 3 and row[2] == "main"]


def _mirrors_of_sources(etc: Path = Path("/etc/apt")) -> list[str]:
    """The same when apt has no index yet: read from the one-line and the deb822 files."""
    found: list[str] = []
    files = [etc / "sources.list", *sorted((etc / "sources.list.d").glob("*"))]
    for file in files:
        try:
            text = file.read_text(errors="replace")
        except OSError:
            continue
        if file.suffix == ".sources":
            for uris in re.findall(r"^URIs:(.*)$", text, re.MULTILINE):
                found += uris.split()
        else:
            found += re.findall(r"^deb\s+(?:\[[^\]]*\]\s+)?(\S+)", text, re.MULTILINE)
    return [uri for uri in found if "://" in uri or uri.startswith("file:")]


def _architecture() -> str:
    try:
        done = subprocess.run(["dpkg", "--print-architecture"], capture_output=True, text=True, check=False)
    except OSError as error:
        raise ProvisionError(
            "dpkg is missing: what the tests run against is made from Debian packages"
        ) from error
    architecture = done.stdout.strip()
    if architecture not in _ARCHITECTURES:
        raise ProvisionError(
            f"unsupported architecture {architecture!r}; supported: {', '.join(_ARCHITECTURES)}"
        )
    return architecture


def _c_locale() -> dict[str, str]:
    return {**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}


@contextlib.contextmanager
def _lock(path: Path, progress: Progress) -> Iterator[None]:
    """Hold an exclusive lock; the kernel frees it when the holder dies, so it cannot go stale."""
    with path.open("w") as file:
        deadline = time.monotonic() + _LOCK_TIMEOUT_S
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise ProvisionError(
                        f"another process has been provisioning for too long ({path})"
                    ) from None
                progress("another process is provisioning; waiting", None)
                time.sleep(0.5)
        yield


# --- command line -----------------------------------------------------------------------------------------------


def terminal_progress(text: str, fraction: float | None) -> None:
    """A progress callback for a terminal: one line that is overwritten, or plain lines when it is redirected."""
    share = "    " if fraction is None else f"{fraction:4.0%}"
    end = "\n" if not sys.stderr.isatty() or fraction == 1.0 else ""
    start = "\r\x1b[K" if sys.stderr.isatty() else ""
    print(f"{start}{share}  {text}", end=end, file=sys.stderr, flush=True)


def run_as_program(make: Callable[[Progress], DebTree]) -> int:
    """The command line of a provisioner: progress on the terminal, the version at the end; returns the exit status."""
    try:
        print(make(terminal_progress).version())
    except ProvisionError as error:
        print(f"\nerror: {error}", file=sys.stderr)
        return 1
    return 0
