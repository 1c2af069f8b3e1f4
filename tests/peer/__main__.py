"""`make comparison`: ask cacofonisk again about every recording, and write docs/comparison.md.

`python -m tests.peer PYTHON` with the interpreter of the peer's virtual environment; without it the committed answers
are used, and only the document is written again.
"""

import sys
from pathlib import Path

from tests.peer.streams import ask, heard, recorded, save, version
from tests.peer.table import DOCUMENT, document, row


def main() -> None:
    """Ask, judge, write."""
    if len(sys.argv) > 1:
        save(ask(Path(sys.argv[1]), recorded()))
    rows = [row(name, answer) for name, answer in heard().items()]
    DOCUMENT.write_text(document(rows, version()))
    print(f"{DOCUMENT.name}: {len(rows)} scenarios")


if __name__ == "__main__":
    main()
