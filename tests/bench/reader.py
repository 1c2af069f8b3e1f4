r"""The least a reader of AMI can do: log in as the daemon's reader, read the socket, split at `\r\n\r\n`. Runs until killed."""

import socket
import sys

from cti.daemon.connection import MASK
from tests.pbx.asterisk import READER


def main(port: int) -> None:
    """Read for ever."""
    user, secret = READER
    with socket.create_connection(("127.0.0.1", port)) as link:
        link.sendall(
            f"Action: Login\r\nUsername: {user}\r\nSecret: {secret}\r\nEvents: {MASK}\r\n\r\n".encode()
        )
        rest, frames = b"", 0
        while data := link.recv(262_144):
            *whole, rest = (rest + data).split(b"\r\n\r\n")
            frames += len(whole)


if __name__ == "__main__":
    main(int(sys.argv[1]))
