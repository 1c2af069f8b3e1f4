"""The recorded streams as the peer reads them, the peer at work on them, and its answers, which are committed."""

import hashlib
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cti.core.wire import Framer
from cti.daemon.recorder import read_recording
from tests.scenarios.run import FIXTURES
from tests.scenarios.scenes import loaded

HEARD = Path(__file__).parent / "heard.json"


def events(recording: Path) -> list[dict[str, str]]:
    """All events of a recording as mappings of headers, of a repeated header the last value.

    Left out: UserEvents without a channel. They are the marks by which our scenarios keep step; a dialplan's own
    always name the channel, and cacofonisk relies on that.
    """
    framer, out = Framer(), []
    for _offset, data in read_recording(recording):
        for frame in framer.feed(data):
            lines = (line.partition(": ") for line in frame.decode("utf-8", "replace").split("\r\n"))
            headers = {name: value for name, _, value in lines}
            if "Event" in headers and (headers["Event"] != "UserEvent" or "Uniqueid" in headers):
                out.append(headers)
    return out


def recorded() -> list[str]:
    """The names of the scenarios that have a recording."""
    return [name for name in loaded() if path_of(name).exists()]


def path_of(name: str) -> Path:
    """The recording of a scenario."""
    return FIXTURES / f"{name}.ami.gz"


def version() -> str:
    """Of the Asterisk that was recorded (of the newest, should there be several)."""
    return max(str(read_recording(path_of(name)).header["pbx"]) for name in recorded())


def digest(name: str) -> str:
    """Tells whether the answers are to the recording that is committed now."""
    return hashlib.sha256(path_of(name).read_bytes()).hexdigest()[:16]


def ask(python: Path, names: Sequence[str]) -> dict[str, Any]:
    """What the peer, run by this interpreter, reports of these scenarios."""
    streams = {name: events(path_of(name)) for name in names}
    command = [str(python), "-W", "ignore", str(Path(__file__).parent / "listen.py")]
    done = subprocess.run(command, input=json.dumps(streams), stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        sys.exit(f"{python} could not run cacofonisk; 'make comparison' sets it up")
    answers: dict[str, Any] = json.loads(done.stdout)
    return {name: {"recording": digest(name), "answers": answers[name]} for name in names}


def save(answers: Mapping[str, Any]) -> None:
    """Write the answers down, a scenario a line."""
    lines = (f"{json.dumps(name)}: {json.dumps(answer)}" for name, answer in answers.items())
    HEARD.write_text("{\n" + ",\n".join(lines) + "\n}\n")


def heard() -> dict[str, Any]:
    """The committed answers."""
    answers: dict[str, Any] = json.loads(HEARD.read_text())
    return answers
