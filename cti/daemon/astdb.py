"""AstDB over AMI: read a family, put and delete an entry; by the publisher's account (write=system)."""

from collections.abc import Iterable, Mapping
from typing import Any, Literal, Protocol

from cti.daemon.errors import ActionFailed

Entry = tuple[str, str]  # (family, key)
_ROLE: Literal["publisher"] = "publisher"
_ITEM = "DBGetTreeResponse"


class Ami(Protocol):
    """What is needed of `cti.daemon.ami.Pbx`; it raises `AmiError`s."""

    name: str

    async def action(self, role: Literal["publisher"], action: Mapping[str, str]) -> Mapping[str, str]:
        """Send one action and return its response."""

    async def listing(
        self,
        role: Literal["publisher"],
        action: Mapping[str, str],
        item_events: set[str],
    ) -> Iterable[Mapping[str, str]]:
        """Send an action that answers with a list and return its items."""


async def read(pbx: Ami, family: str) -> dict[Entry, str]:
    """Every entry of a family and of those below it. Raises AmiError."""
    items = await pbx.listing(_ROLE, {"Action": "DBGetTree", "Family": family}, {_ITEM})
    found: dict[Entry, str] = {}
    for item in items:
        below, _, key = item.get("Key", "").removeprefix("/").rpartition("/")
        if below:
            found[below, key] = item.get("Val", "")
    return found


async def put(pbx: Ami, entry: Entry, value: str) -> None:
    """Write one entry. Raises AmiError."""
    await pbx.action(_ROLE, {"Action": "DBPut", "Family": entry[0], "Key": entry[1], "Val": value})


async def delete(pbx: Ami, entry: Entry) -> None:
    """Delete one entry; one that is gone already is as good as deleted. Raises AmiError."""
    try:
        await pbx.action(_ROLE, {"Action": "DBDel", "Family": entry[0], "Key": entry[1]})
    except ActionFailed as error:
        if not _is_gone(error):
            raise


def _is_gone(error: Any) -> bool:
    return "not found" in str(error)
