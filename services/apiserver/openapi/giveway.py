"""Building a document takes some hundred milliseconds of a thread that shares the
interpreter with the event loop: between its steps it lets the loop run."""

from __future__ import annotations

import time


def give_way() -> None:
    """Let another thread have the interpreter at once, instead of after its switch interval."""
    time.sleep(0)
