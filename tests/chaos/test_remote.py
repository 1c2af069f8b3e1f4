"""A PBX on another machine: TLS with a CA of its own, and an account that is refused (A1).

Promised: the certificate is verified against `ca_file`, a wrong one is refused with an error that says so, and a refused
login is told once, loudly, and not tried again for a minute.

Asserted: on a real Asterisk whose manager speaks TLS with a certificate made here.
"""

import asyncio
import subprocess
from pathlib import Path

import pytest

from tests.chaos.proxy import Proxy
from tests.pbx.asterisk import Asterisk, Lab, Ports
from tests.pbx.provision import provision
from tests.rig import Rig


def _certificate(directory: Path, name: str) -> tuple[Path, Path]:
    """A self-signed certificate for 127.0.0.1, and certificate and key in one file."""
    cert, key, both = (directory / f"{name}.{ending}" for ending in ("crt", "key", "pem"))
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}",
         "-keyout", str(key), "-out", str(cert), "-addext", "subjectAltName=IP:127.0.0.1"],
        check=True, capture_output=True,
    )  # fmt: skip
    both.write_text(cert.read_text() + key.read_text())
    return cert, both


class TlsAsterisk(Asterisk):
    """Its manager listens with TLS too, on `tls_port`."""

    def __init__(self, directory: Path, both: Path) -> None:
        super().__init__(provision(), directory=directory)
        self.tls_port = Ports.free().ami
        self._both = both

    def _write_configuration(self) -> None:
        super()._write_configuration()
        file = self.etc_dir / "manager.conf"
        tls = f"tlsenable = yes\ntlsbindaddr = 127.0.0.1:{self.tls_port}\ntlscertfile = {self._both}\n"
        file.write_text(file.read_text().replace("enabled = yes\n", f"enabled = yes\n{tls}", 1))


async def test_a_remote_pbx_is_verified_by_its_ca(tmp_path: Path) -> None:
    """A1: with the right CA the daemon is in step; with a wrong one it says that the certificate is not trusted."""
    cert, both = await asyncio.to_thread(_certificate, tmp_path, "pbx")
    wrong, _ = await asyncio.to_thread(_certificate, tmp_path, "somebody-else")
    async with TlsAsterisk(tmp_path / "pbx", both) as pbx:
        async with Rig(
            tmp_path / "right", pbx.tls_port, pbx_settings=f'tls = true\nca_file = "{cert}"'
        ) as rig:
            await rig.logged("link_up", role="reader")
        rig = Rig(tmp_path / "wrong", pbx.tls_port, pbx_settings=f'tls = true\nca_file = "{wrong}"')
        await rig.start(ready=False)
        try:
            line = await rig.logged("link_down", role="reader")
            assert "certificate verify failed" in line["reason"]
            assert "127.0.0.1" in line["reason"]
            assert "ca_file" in line["reason"], "the cure is not named"
        finally:
            await rig.stop()
        rig = Rig(tmp_path / "clear", pbx.ami_port, pbx_settings=f'tls = true\nca_file = "{cert}"')
        await rig.start(ready=False)
        try:
            line = await rig.logged("link_down", role="reader")
            assert "TLS" in line["reason"] or "tls" in line["reason"]
        finally:
            await rig.stop()


async def test_a_refused_login_is_not_hammered(lab: Lab, tmp_path: Path) -> None:
    """A1: a wrong secret is told once with the account and the cure; for seconds nothing more is tried."""
    async with Proxy(lab.pbx.ami_port) as link:
        rig = Rig(tmp_path / "cti", link.port)
        (tmp_path / "cti" / "secrets" / "reader").write_text("wrong")
        await rig.start(ready=False)
        try:
            line = await rig.logged("login_refused", role="reader")
            assert "cti-reader" in line["reason"]
            assert "manager.conf" in line["reason"]
            before = link.accepted
            await asyncio.sleep(5)
            assert link.accepted == before
            assert sum(line["event"] == "login_refused" for line in rig.lines) == 1

            async def red() -> bool:
                async with rig.session.get("/readyz") as answer:
                    return bool(answer.status == 503)

            assert await rig.eventually(red)
        finally:
            await rig.stop()


@pytest.mark.parametrize("secret", ["wrong"])
async def test_other_accounts_work_while_one_is_refused(lab: Lab, tmp_path: Path, secret: str) -> None:
    """A1: a refused publisher keeps no call from being recorded; readiness says which account it is."""
    rig = Rig(tmp_path / "cti", lab.pbx.ami_port)
    (tmp_path / "cti" / "secrets" / "publisher").write_text(secret)
    await rig.start(ready=False)
    try:
        await rig.logged("login_refused", role="publisher")
        await rig.logged("link_up", role="reader")
        async with rig.session.get("/readyz") as answer:
            body = await answer.json()
        checks = {check["name"]: check["ok"] for check in body["checks"]}
        assert (checks["main.reader"], checks["main.publisher"]) == (True, False)
    finally:
        await rig.stop()
