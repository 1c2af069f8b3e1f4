"""How often the garbage collector looks at a long-lived daemon's memory.

Python's default looks after every 700 new objects, which at some thousand events a second took a fifth of our time to
find nothing: what an event makes, and a call that has ended, are freed without it. It is for what others leave behind.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

_THRESHOLDS = (
    50_000,
    20,
    20,
)  # new objects, about two thousand calls; the older generations in the same proportion


@contextmanager
def not_collected() -> Iterator[None]:
    """While modules are loaded, which makes many objects and no garbage: looking took a sixth of the time."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def collect_rarely() -> None:
    """Set aside what has been loaded, and collect only after many new objects; call it once, after the imports."""
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)
