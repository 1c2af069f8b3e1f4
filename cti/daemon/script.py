"""What the embedded PBX has to say: a recording taken apart, and the answers to actions."""

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from cti.core.wire import Framer, event_name
from cti.daemon.recorder import Recording
from cti.daemon.resync import OURS

VERSION = "22.0.0-embedded"

_RESYNC_ID = re.compile(rb"ActionID: " + OURS.encode() + rb"resync-(\d+)-(\w+)")
_EPOCH = re.compile(rb"(\r\n(?:Timestamp|LastPause|LastCall|LoginTime): )(\d{9,}(?:\.\d+)?)(?=\r\n|$)")
_UPTIME = re.compile(rb"(\r\nUptime: )(\d+)")


@dataclass(slots=True)
class Script:
    """A recording taken apart: what is answered, and what is played when."""

    answers: dict[str, list[bytes]] = field(default_factory=dict)  # by action, frames without blank line
    events: list[tuple[float, bytes]] = field(default_factory=list)  # seconds since the state was asked for
    clock: float = 0.0  # the recorded PBX's clock at that moment, epoch
    uptime: float = 0.0  # of the recorded PBX then, seconds


def script_of(recording: Recording) -> Script:
    """Take a recording apart; of several resyncs in it the first counts."""
    script, framer = Script(), Framer()
    began: float | None = None
    first = b""
    for offset, data in recording:
        for frame in framer.feed(data):
            name, ours = event_name(frame), _RESYNC_ID.search(frame)
            if ours is not None and name != "UserEvent":
                if began is None:
                    began, first = offset, ours[1]
                    script.clock = _clock(frame, recording.recorded_at + offset)
                if ours[1] == first:
                    script.answers.setdefault(ours[2].decode(), []).append(frame)
            elif name == "FullyBooted":
                uptime = _UPTIME.search(frame)
                script.uptime = float(uptime[2]) if uptime else 0.0
            elif name:
                script.events.append((offset, frame))
    script.events = [(max(0.0, offset - (began or 0.0)), frame) for offset, frame in script.events]
    return script


def _clock(pong: bytes, otherwise: float) -> float:
    stamp = _EPOCH.search(pong)
    return float(stamp[2]) if stamp else otherwise


class Answers:
    """Answers to actions as a PBX in the state of the script gives them; AstDB is a dictionary.

    Attributes:
        db: AstDB, family to key to value.
        refused: name of an action to the error message it gets.
        began: epoch at which playing began, None before.
    """

    def __init__(self, script: Script, speed: float = 1.0) -> None:
        self.db: dict[str, dict[str, str]] = {}
        self.refused: dict[str, str] = {}
        self.began: float | None = None
        self._script = script
        self._speed = speed
        self._booted = time.time() - script.uptime
        self._builtin: dict[str, Callable[[Mapping[str, str]], list[bytes]]] = {
            "Ping": self._ping,
            "CoreSettings": self._core_settings,
            "CoreStatus": self._core_status,
            "QueueRemove": self._queue_remove,
            "QueuePause": self._queue_pause,
            "DBPut": self._db_put,
            "DBDel": self._db_del,
            "DBDelTree": self._db_del_tree,
            "DBGet": self._db_get,
            "DBGetTree": self._db_get_tree,
        }

    def shifted(self, frame: bytes) -> bytes:
        """The frame with its instants moved from the recording's time to ours."""
        began = self.began if self.began is not None else time.time()

        def move(match: re.Match[bytes]) -> bytes:
            moved = began + (float(match[2]) - self._script.clock) / self._speed
            return match[1] + (b"%.6f" % moved if b"." in match[2] else b"%d" % moved)

        return _EPOCH.sub(move, frame)

    def to(self, action: Mapping[str, str]) -> list[bytes]:
        """The frames that answer an action of a logged-in session, without ActionID."""
        name = action.get("Action", "")
        if name in self.refused:
            return [error(self.refused[name])]
        if name in self._builtin:
            return self._builtin[name](action)
        if name in self._script.answers:
            return [self.shifted(frame) for frame in self._script.answers[name]]
        if name in {"BridgeList", "CoreShowChannels", "QueueStatus"}:
            return _listing(name, [])
        return [error(f"Invalid/unknown command: {name}.")]

    def fully_booted(self) -> bytes:
        """The event that every login gets."""
        uptime = int(time.time() - self._booted)
        return (
            b"Event: FullyBooted\r\nPrivilege: system,all\r\nUptime: %d\r\nLastReload: %d\r\nStatus: Fully Booted"
            % (
                uptime,
                uptime,
            )
        )

    def _ping(self, _: Mapping[str, str]) -> list[bytes]:
        return [b"Response: Success\r\nPing: Pong\r\nTimestamp: %.6f" % time.time()]

    def _core_settings(self, _: Mapping[str, str]) -> list[bytes]:
        recorded = self._script.answers.get("CoreSettings")
        return recorded or [f"Response: Success\r\nAsteriskVersion: {VERSION}".encode()]

    def _core_status(self, _: Mapping[str, str]) -> list[bytes]:
        booted = datetime.fromtimestamp(int(self._booted), UTC)
        text = (
            f"Response: Success\r\nCoreStartupDate: {booted:%Y-%m-%d}\r\nCoreStartupTime: {booted:%H:%M:%S}\r\n"
            f"CoreReloadDate: {booted:%Y-%m-%d}\r\nCoreReloadTime: {booted:%H:%M:%S}\r\nCoreCurrentCalls: 0"
        )
        return [text.encode()]

    def _queue_remove(self, _: Mapping[str, str]) -> list[bytes]:
        return [success("Removed interface from queue")]

    def _queue_pause(self, action: Mapping[str, str]) -> list[bytes]:
        word = "paused" if action.get("Paused") in {"true", "1", "yes"} else "unpaused"
        return [success(f"Interface {word} successfully")]

    def _db_put(self, action: Mapping[str, str]) -> list[bytes]:
        self.db.setdefault(action.get("Family", ""), {})[action.get("Key", "")] = action.get("Val", "")
        return [success("Updated database successfully")]

    def _db_del(self, action: Mapping[str, str]) -> list[bytes]:
        if self.db.get(action.get("Family", ""), {}).pop(action.get("Key", ""), None) is None:
            return [error("Database entry could not be deleted")]
        return [success("Key deleted successfully")]

    def _below(self, family: str) -> list[str]:
        return [name for name in self.db if name == family or name.startswith(f"{family}/")]

    def _db_del_tree(self, action: Mapping[str, str]) -> list[bytes]:
        below = self._below(action.get("Family", ""))
        for name in below:
            del self.db[name]
        return [success("Key tree deleted successfully") if below else error("Database entry not found")]

    def _db_get(self, action: Mapping[str, str]) -> list[bytes]:
        family, key = action.get("Family", ""), action.get("Key", "")
        value = self.db.get(family, {}).get(key)
        if value is None:
            return [error("Database entry not found")]
        return _listing(
            "DBGet", [f"Event: DBGetResponse\r\nFamily: {family}\r\nKey: {key}\r\nVal: {value}".encode()]
        )

    def _db_get_tree(self, action: Mapping[str, str]) -> list[bytes]:
        rows = [
            f"Event: DBGetTreeResponse\r\nKey: /{family}/{key}\r\nVal: {value}".encode()
            for family in self._below(action.get("Family", ""))
            for key, value in self.db[family].items()
        ]
        return _listing("DBGetTree", rows)


def success(message: str) -> bytes:
    """A response that says yes."""
    return f"Response: Success\r\nMessage: {message}".encode()


def error(message: str) -> bytes:
    """A response that says no."""
    return f"Response: Error\r\nMessage: {message}".encode()


def _listing(action: str, rows: list[bytes]) -> list[bytes]:
    start = b"Response: Success\r\nEventList: start\r\nMessage: Result will follow"
    end = f"Event: {action}Complete\r\nEventList: Complete\r\nListItems: {len(rows)}".encode()
    return [start, *rows, end]
