"""The lines to the outside break and come back (A3).

Promised: a trunk that stops answering, and a registration of the PBX's that is refused, are faults with begin and end; a
trunk that was broken before the daemon came is found broken.

Asserted: on a real Asterisk that asks its trunks every second, before a provider of our own that answers, is silent or
refuses as the test likes.
"""

import asyncio
from pathlib import Path
from typing import Self

from tests.chaos.traffic import faults
from tests.pbx.asterisk import Asterisk, PbxConfig
from tests.pbx.provision import provision
from tests.rig import Line, Rig

REGISTRATION = """
[provider]
type = registration
server_uri = sip:127.0.0.1:{port}
client_uri = sip:hotline@127.0.0.1:{port}
retry_interval = 1
forbidden_retry_interval = 1
fatal_retry_interval = 1
max_retries = 10000
expiration = 30
"""


class Provider(asyncio.DatagramProtocol):
    """A SIP server for OPTIONS and REGISTER; use as an async context manager."""

    def __init__(self) -> None:
        self.silent = False
        self.lets_register = True
        self.port = 0

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=("127.0.0.1", 0))
        self._transport = transport
        self.port = transport.get_extra_info("sockname")[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._transport.close()

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        lines = data.decode().split("\r\n")
        method = lines[0].partition(" ")[0]
        if self.silent or method not in {"OPTIONS", "REGISTER"}:
            return
        fine = method == "OPTIONS" or self.lets_register
        kept = [line for line in lines if line.startswith(("Via:", "From:", "Call-ID:", "CSeq:"))]
        kept += [f"{line};tag=provider" for line in lines if line.startswith("To:")]
        kept += [line for line in lines if line.startswith("Contact:") and method == "REGISTER" and fine]
        status = "200 OK" if fine else "403 Forbidden"
        answer = "\r\n".join([f"SIP/2.0 {status}", *kept, "Expires: 30", "Content-Length: 0", "", ""])
        self._transport.sendto(answer.encode(), addr)


class RegisteringAsterisk(Asterisk):
    """It registers at the provider, which is also where its trunk leads."""

    def __init__(self, directory: Path, provider: int) -> None:
        super().__init__(
            provision(), config=PbxConfig(qualify_s=1), directory=directory, peer_sip_port=provider
        )

    def _write_configuration(self) -> None:
        super()._write_configuration()
        for name, more in (
            ("pjsip.conf", REGISTRATION.format(port=self._peer_sip_port)),
            ("modules.conf", "load = res_pjsip_outbound_registration.so\n"),
        ):
            file = self.etc_dir / name
            file.write_text(file.read_text() + more)


async def test_a_trunk_and_a_registration_break_and_come_back(tmp_path: Path) -> None:
    """A3: trunk-b leads nowhere from the start, trunk-a falls silent and answers again, the provider refuses and relents."""
    async with Provider() as provider, RegisteringAsterisk(tmp_path / "pbx", provider.port) as pbx:
        async with Rig(tmp_path / "cti", pbx.ami_port) as rig:

            async def named(name: str, *, over: bool) -> Line | None:
                rows = [row for row in await faults(rig, "trunk") if row["detail"].startswith(name)]
                return next((row for row in rows if (row["ended_at"] is not None) == over), None)

            await rig.eventually(lambda: named("PJSIP/trunk-b", over=False))
            provider.silent = True
            await rig.eventually(lambda: named("PJSIP/trunk-a", over=False))
            provider.lets_register = False
            provider.silent = False
            assert await rig.eventually(lambda: named("PJSIP/trunk-a", over=True))
            await rig.eventually(lambda: named("registration of hotline@127.0.0.1", over=False))
            provider.lets_register = True
            assert await rig.eventually(lambda: named("registration of hotline@127.0.0.1", over=True))
            began = [line for line in rig.lines if line["event"] == "fault_began"]
            assert len(began) >= 3, "told as they began"
            assert await named("PJSIP/trunk-b", over=True) is None
        assert [row for row in rig.lines if row.get("level") == "critical"] == []
