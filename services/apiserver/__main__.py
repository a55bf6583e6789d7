"""Starts one apiserver: `kubefan apiserver FLAGS` or `python -m services.apiserver FLAGS`."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Sequence

import uvloop

from services.apiserver.options import ApiServerOptions, OptionsError
from services.apiserver.server import ApiServer
from services.apiserver.startup import memory
from shared.eventlog import EventLogError
from shared.logs import start_logging
from shared.objects.wire import ProtobufValue
from shared.storage import StorageError, UnreadableValue, WentBack


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
    except OptionsError as error:
        print(f"kubefan apiserver: {error}", file=sys.stderr)
        return 2
    except (StorageError, EventLogError, OSError) as error:
        print(f"kubefan apiserver: {error}", file=sys.stderr)
        return 1
    except ExceptionGroup as group:
        told, others = group.split((UnreadableValue, ProtobufValue, WentBack))
        if told is None or others is not None:
            raise
        # Another's store, the wrong keys for what every start reads, or a store that was restored.
        print(f"kubefan apiserver: {first_of(told)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0
    return 0


def first_of(group: BaseExceptionGroup[BaseException]) -> BaseException:
    first = group.exceptions[0]
    return first_of(first) if isinstance(first, BaseExceptionGroup) else first


if __name__ == "__main__":
    sys.exit(main())
