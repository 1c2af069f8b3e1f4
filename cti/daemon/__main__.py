"""`python -m cti.daemon` is the `cti` command."""

from cti.daemon.cli import main

__all__ = ["main"]

if __name__ == "__main__":
    main()
