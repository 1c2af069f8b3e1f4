"""Which agent sat at which device, as far as the books let on.

queue_log names members and not their devices; what ties the two together is a login made from a phone (the callid of
ADDMEMBER is that phone's channel), a call that was connected (CONNECT names the member's channel), and a lone phone that
rang as a member did not answer.
"""

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence

from cti.core.books import QueueRow
from cti.core.cel import CelRow
from cti.core.people import device_of

_RANG = frozenset({"RINGNOANSWER", "RINGCANCELED"})
_SAME_SECOND = 1.5  # s between the end of a ringing and its line in a book of whole seconds


class Seats:
    """Answers both ways: the agent at a device, and the device of an agent, at an instant."""

    def __init__(self, known: Mapping[str, str] | None = None) -> None:
        """Begin with what is known already: agent to device."""
        self._by_device: dict[str, list[tuple[float, str]]] = {}
        self._by_agent: dict[str, list[tuple[float, str]]] = {}
        for agent, device in (known or {}).items():
            self.note(0.0, agent, device)

    def note(self, at: float, agent: str, device: str) -> None:
        """From `at` on, this agent was seen at this device."""
        if agent and device:
            _put(self._by_device, device, at, agent)
            if not device.startswith("Local/"):  # rung on the way to a phone that is known better
                _put(self._by_agent, agent, at, device)

    def agent_at(self, device: str, at: float) -> str:
        """Who sat there: the latest note before, else the first after; "" when nothing is known."""
        return _at(self._by_device.get(device, []), at)

    def device_of(self, agent: str, at: float) -> str:
        """Where this agent sat; likewise."""
        return _at(self._by_agent.get(agent, []), at)


def _put(table: dict[str, list[tuple[float, str]]], key: str, at: float, value: str) -> None:
    notes = table.setdefault(key, [])
    notes.append((at, value))
    notes.sort(key=lambda note: note[0])


def _at(notes: list[tuple[float, str]], at: float) -> str:
    if not notes:
        return ""
    place = bisect_right([when for when, _ in notes], at)
    return notes[max(0, place - 1)][1]


def read_seats(
    queue_rows: Iterable[QueueRow],
    cel: Iterable[CelRow],
    channels: Mapping[str, Sequence[CelRow]],
    known: Mapping[str, str] | None = None,
) -> Seats:
    """Learn the seats from the books.

    Args:
        queue_rows: in the book's order.
        cel: all rows that were read; a call's pickup may be among them when its begin is not.
        channels: the rows of calls whose begin is among them, by uniqueid.
        known: what was on record before them (agent to device).
    """
    seats = Seats(known)
    ringings: dict[str, list[Sequence[CelRow]]] = {}
    for rows in channels.values():
        if rows[-1].app == "AppQueue" and all(row.event != "ANSWER" for row in rows):
            ringings.setdefault(rows[0].linkedid, []).append(rows)
    # Of these CONNECT has the member who rang, and the channel of who took the call.
    picked = {str(row.extra.get("pickup_channel_uniqueid", "")) for row in cel if row.event == "PICKUP"}
    for row in queue_rows:
        uniqueid = ""
        if row.verb == "ADDMEMBER":
            uniqueid = row.callid
        elif row.verb == "CONNECT" and len(row.data) > 1:
            uniqueid = row.data[1]
        elif row.verb in _RANG:
            caller = channels.get(row.callid)
            uniqueid = _lone_ringing(row, ringings.get(caller[0].linkedid, [])) if caller else ""
        of_member = channels.get(uniqueid)
        if not of_member or of_member[0].channel.endswith(";2") or uniqueid in picked:
            continue
        device = device_of(of_member[0].channel)
        if row.verb not in _RANG or _is_news(seats, row, device):
            began = (
                row.at if row.verb == "ADDMEMBER" else min(row.at, of_member[0].at)
            )  # it was theirs as it was rung
            seats.note(began, row.member, device)
    return seats


def _is_news(seats: Seats, row: QueueRow, device: str) -> bool:
    """Whether a ringing says what is not known better already: of this device, and of this agent's own phone."""
    known = seats.device_of(row.member, row.at) and not device.startswith("Local/")
    return not known and not seats.agent_at(device, row.at)


def _lone_ringing(row: QueueRow, ringings: Iterable[Sequence[CelRow]]) -> str:
    """The channel of the only phone that stopped ringing for this caller in this second."""
    found = [rows[0].uniqueid for rows in ringings if -_SAME_SECOND < rows[-1].at - row.at < _SAME_SECOND]
    return found[0] if len(found) == 1 else ""
