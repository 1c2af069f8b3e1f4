"""Recordings of calls. Sources: the MixMonitor… events of AMI."""

from typing import TYPE_CHECKING

from cti.core import events as ev
from cti.core.parts import LegPart, RecordingPart

if TYPE_CHECKING:
    from cti.core.calls import Calls


def began(calls: "Calls", e: ev.RecordingBegan) -> None:
    """MixMonitorStart."""
    leg = calls.legs.get(e.uniqueid) or calls.unknown(e.uniqueid, e)
    if leg is None or any(r.started_at == e.at and r.file == e.file for r in leg.call.recordings):
        return  # told twice
    leg.recordings_made += 1
    recording = RecordingPart(leg, e.file, e.at)
    leg.recordings.append(recording)
    leg.call.recordings.append(recording)
    calls.touch(recording)


def ended(calls: "Calls", e: ev.RecordingEnded) -> None:
    """MixMonitorStop."""
    leg = calls.legs.get(e.uniqueid)
    if leg is not None:
        stop(calls, leg, e.at)


def muted(calls: "Calls", e: ev.RecordingMuted) -> None:
    """MixMonitorMute: it is paused, or goes on."""
    leg = calls.legs.get(e.uniqueid)
    for recording in leg.recordings if leg is not None else ():
        recording.mute(e.direction, e.at, muted=e.muted)
        calls.touch(recording)


def stop(calls: "Calls", leg: LegPart, at: float) -> None:
    """Nothing of this channel is recorded any more."""
    for recording in leg.recordings:
        recording.stop(at)
        calls.touch(recording)
    leg.recordings.clear()
