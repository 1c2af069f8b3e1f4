"""Runs in the peer's own virtual environment: gives cacofonisk events, and writes down what it reports.

Standard input: one JSON object, scenario to a list of events, each a mapping of headers as cacofonisk's FileRunner
reads them. Standard output: scenario to the different answers it gave in several runs (it iterates over sets of
objects, whose order changes from run to run): `reports` in order, and `raised`, the events at which it raised. A
channel in a report is name, uniqueid, linkedid, caller number, extension.
"""

import json
import logging
import sys
from collections.abc import Iterable
from typing import Any

from cacofonisk import (  # type: ignore[import-not-found]  # not in our environment: its wheel owns a `tests`
    BaseReporter,
    EventHandler,
)


def _channel(channel: Any) -> list[str]:
    return [channel.name, channel.uniqueid, channel.linkedid, channel.caller_id.num or "", channel.exten]


def _channels(channels: Iterable[Any]) -> list[list[str]]:
    return sorted(_channel(channel) for channel in channels)


class Secretary(BaseReporter):  # type: ignore[misc]  # untyped
    """Every hook of cacofonisk's BaseReporter that tells of a call, written down."""

    def __init__(self) -> None:
        super().__init__()
        self.reports: list[dict[str, Any]] = []

    def _note(self, what: str, caller: Any, **more: Any) -> None:
        self.reports.append({"what": what, "caller": _channel(caller), **more})

    def on_b_dial(self, caller: Any, targets: Any) -> None:
        self._note("ringing", caller, targets=_channels(targets))

    def on_up(self, caller: Any, target: Any) -> None:
        self._note("up", caller, targets=[_channel(target)])

    def on_attended_transfer(self, caller: Any, transferer: Any, target: Any) -> None:
        self._note("attended", caller, by=_channel(transferer), targets=[_channel(target)])

    def on_blonde_transfer(self, caller: Any, transferer: Any, targets: Any) -> None:
        self._note("half_finished", caller, by=_channel(transferer), targets=_channels(targets))

    def on_blind_transfer(self, caller: Any, transferer: Any, targets: Any) -> None:
        self._note("blind", caller, by=_channel(transferer), targets=_channels(targets))

    def on_queue_caller_abandon(self, caller: Any) -> None:
        self._note("abandon", caller)

    def on_hangup(self, caller: Any, reason: str) -> None:
        self._note("hangup", caller, reason=reason)


RUNS = 40


def answers(events: list[dict[str, str]]) -> list[Any]:
    """The different answers of several runs, in an order of their own."""
    kept: list[Any] = []  # so that no handler's objects lie where those of the last one lay
    return [json.loads(text) for text in sorted({json.dumps(listen(events, kept)) for _ in range(RUNS)})]


def listen(events: Iterable[dict[str, str]], kept: list[Any]) -> dict[str, Any]:
    """What one handler reports of these events, fed as cacofonisk's FileRunner does.

    An event at which it raises is noted and the next one given all the same; its FileRunner would end there.
    """
    reporter, raised = Secretary(), []
    handler = EventHandler(reporter=reporter)
    kept += [handler, [object() for _ in range(len(kept))]]
    wanted = handler.event_handlers().keys()
    for event in events:
        if event["Event"] in wanted:
            try:
                handler.on_event(event)
            except Exception as error:  # noqa: BLE001 - whatever it raises is part of what is compared
                raised.append(f"{event['Event']}: {type(error).__name__}")
    return {"reports": reporter.reports, "raised": raised}


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    json.dump({name: answers(events) for name, events in json.load(sys.stdin).items()}, sys.stdout)
