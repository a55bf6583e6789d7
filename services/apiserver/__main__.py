"""Starts one apiserver: `kubefan apiserver FLAGS` or `python -m services.apiserver FLAGS`."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Sequence

import uvloop

from services.apiserver import memory
from services.apiserver.options import ApiServerOptions, OptionsError
from services.apiserver.server import ApiServer
from services.apiserver.stages.authentication import TokenFileError
from shared.storage import StorageError


def main(argv: Sequence[str] | None = None) -> int:
    """Run the apiserver; returns the process's exit code: 2 for a configuration error."""
    try:
        options = ApiServerOptions.from_argv(sys.argv[1:] if argv is None else argv)
    except OptionsError as error:
        for line in str(error).splitlines():
            print(f"kubefan apiserver: {line}", file=sys.stderr)
        return 2
    memory.bound_allocator()
    start_logging(options.verbosity)
    for warning in options.warnings:
        logging.getLogger("kubefan.apiserver").warning(warning)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(ApiServer(options).run())
    except (OptionsError, TokenFileError) as error:
        print(f"kubefan apiserver: {error}", file=sys.stderr)
        return 2
    except (StorageError, OSError) as error:
        print(f"kubefan apiserver: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0
    return 0


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


if __name__ == "__main__":
    sys.exit(main())
