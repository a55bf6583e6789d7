"""uvicorn's server in a process that has more to end than its server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn


class GracefulServer(uvicorn.Server):
    """Ends at SIGINT or SIGTERM, and then `serve` returns."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        with super().capture_signals():
            yield
            # uvicorn would raise them once more when it is done, and SIGTERM would end the
            # process there: leases would not be given back, audit events not be written.
            self._captured_signals.clear()
