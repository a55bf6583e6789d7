"""Logging: a constant text and fields a line; nothing of an object is ever among them."""

from __future__ import annotations

import logging


class FieldFormatter(logging.Formatter):
    """One line a record: time, level, logger, constant text, and the fields behind it."""

    _KNOWN = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime"}

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        fields = [
            f"{name}={value!r}"
            for name, value in record.__dict__.items()
            if name not in self._KNOWN
        ]
        if not fields:
            return text
        head, separator, rest = text.partition("\n")
        return f"{head} {' '.join(fields)}{separator}{rest}"


def start_logging(verbosity: int) -> None:
    """Log to standard error; -v=6 and more shows what only a developer wants to see."""
    handler = logging.StreamHandler()
    handler.setFormatter(
        FieldFormatter("%(asctime)s.%(msecs)03d %(levelname).1s %(name)s: %(message)s", "%H:%M:%S")
    )
    level = logging.DEBUG if verbosity >= 6 else logging.INFO
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
