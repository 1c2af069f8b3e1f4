"""A certificate authority of a test's own, made with openssl."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2")


@dataclass(frozen=True, slots=True)
class Authority:
    """Signs certificates; `ca` is what those have to know who shall trust them."""

    directory: Path

    @property
    def ca(self) -> Path:
        return self.directory / "ca.pem"

    def issue(self, names: str = "IP:127.0.0.1") -> tuple[Path, Path]:
        """Certificate and key of a server; `names` as openssl writes subjectAltName."""
        cert, key = self.directory / "server.pem", self.directory / "server.key"
        signed = ("-CA", str(self.ca), "-CAkey", str(self.directory / "ca.key"))
        extensions = (f"subjectAltName={names}", "basicConstraints=critical,CA:FALSE")
        _openssl("server", cert, key, *signed, *(part for one in extensions for part in ("-addext", one)))
        return cert, key


def authority(directory: Path) -> Authority:
    """A new one, with its files in a directory that is made."""
    directory.mkdir(parents=True)
    made = Authority(directory)
    _openssl("the tests' own authority", made.ca, directory / "ca.key")
    return made


def _openssl(name: str, cert: Path, key: Path, *more: str) -> None:
    command = [
        "openssl",
        "req",
        "-x509",
        *_KEY,
        "-subj",
        f"/CN={name}",
        "-keyout",
        str(key),
        "-out",
        str(cert),
    ]
    subprocess.run([*command, *more], check=True, capture_output=True)
