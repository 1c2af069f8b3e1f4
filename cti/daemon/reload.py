"""SIGHUP: read the configuration again, take over what can be, say what needs a restart, refuse a file with mistakes.

A refused file changes nothing. What was taken over holds from then on; what needs a restart stays as it was.
"""

import asyncio
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import structlog
from pydantic import BaseModel

from config.problems import ConfigError
from config.settings import Settings, load
from cti.daemon import errors, logs

if TYPE_CHECKING:
    from cti.daemon.service import Service

log = structlog.get_logger(__name__)

Apply = Callable[["Service", Settings], None]


def _log(_service: "Service", settings: Settings) -> None:
    logs.configure(settings.log)


def _rules(service: "Service", settings: Settings) -> None:
    from cti.daemon.service import rules_of  # noqa: PLC0415 - it imports us

    for room in service.rooms.values():
        room.core.use(rules_of(settings, room.name))


def _service_level(service: "Service", settings: Settings) -> None:
    """The live picture reads the settings by itself."""
    service.metrics.use_service_level(dict(settings.service_level.queues), settings.service_level.default)


def _notify(service: "Service", settings: Settings) -> None:
    from cti.daemon.service import webhook_of  # noqa: PLC0415 - it imports us

    service.notifier.use(webhook_of(settings))


def _duty(service: "Service", settings: Settings) -> None:
    for room in service.rooms.values():
        room.publisher.use(days=settings.duty.publish_days, every=settings.duty.publish_every)


_APPLIED: Mapping[str, Apply] = {
    "log": _log,
    "away": _rules,
    "wrap_up": _rules,
    "service_level": _service_level,
    "notify": _notify,
    "duty.publish_days": _duty,
    "duty.publish_every": _duty,
}
"""What can be taken over while running, by section or key; everything else needs a restart."""


def changes(before: BaseModel, after: BaseModel, prefix: str = "") -> Iterator[str]:
    """The keys whose values differ, e.g. `away.limit` and `pbx.main.host`; never the values, some are secret."""
    for name in type(before).model_fields:
        old, new = getattr(before, name), getattr(after, name)
        if old == new:
            continue
        if isinstance(old, BaseModel) and isinstance(new, BaseModel):
            yield from changes(old, new, f"{prefix}{name}.")
        elif isinstance(old, dict) and isinstance(new, dict):
            for key in sorted({*old, *new}, key=str):
                yield from _changed(old.get(key), new.get(key), f"{prefix}{name}.{key}")
        else:
            yield f"{prefix}{name}"


def _changed(old: object, new: object, key: str) -> Iterator[str]:
    if isinstance(old, BaseModel) and isinstance(new, BaseModel):
        yield from changes(old, new, f"{key}.")
    elif old != new:
        yield key


class Reloader:
    """Takes over a changed configuration file."""

    def __init__(self, path: Path, environ: Mapping[str, str] = os.environ) -> None:
        self._path, self._environ = path, environ

    async def reload(self, service: "Service") -> None:
        """Read the file; whatever is in it, the daemon runs on."""
        try:
            settings = await asyncio.to_thread(load, self._path, self._environ)
            await self._take(service, settings)
        except ConfigError as error:
            log.error("reload_refused", config=str(self._path), problems=[str(one) for one in error.problems])  # noqa: TRY400 - the file's mistake, not ours
        except errors.ConfigError as error:
            log.error("reload_refused", config=str(self._path), problems=[str(error)])  # noqa: TRY400 - likewise

    async def _take(self, service: "Service", settings: Settings) -> None:
        keys = list(changes(service.settings, settings))
        applied = [key for key in keys if _apply_for(key) is not None]
        for apply in dict.fromkeys(filter(None, map(_apply_for, keys))):
            apply(service, settings)
        service.settings = _merged(service.settings, settings)
        await service.wake_roster()
        log.info("reloaded", config=str(self._path), applied=applied)
        left = [key for key in keys if key not in applied]
        if left:
            log.warning("reload_needs_restart", keys=left, cure="restart the daemon to take these over")


def _apply_for(key: str) -> Apply | None:
    return _APPLIED.get(key) or _APPLIED.get(key.partition(".")[0])


def _merged(running: Settings, read: Settings) -> Settings:
    """The running settings with what was taken over."""
    whole = {name: getattr(read, name) for name in _APPLIED if "." not in name}
    duty = running.duty.model_copy(
        update={
            key.partition(".")[2]: getattr(read.duty, key.partition(".")[2]) for key in _APPLIED if "." in key
        }
    )
    return running.model_copy(update={**whole, "duty": duty})
