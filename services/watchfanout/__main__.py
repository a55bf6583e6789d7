"""`kubefan watchfanout`."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence

import uvloop

from services.watchfanout.options import WatchfanoutOptions
from services.watchfanout.service import Watchfanout
from shared.eventlog import EventLogError
from shared.flags import OptionsError
from shared.logs import start_logging
from shared.objects.wire import ProtobufValue
from shared.storage import StorageError, WentBack


def main(argv: Sequence[str]) -> int:
    """Run a watchfanout; return the exit code (2 for mistakes in the flags)."""
    try:
        options = WatchfanoutOptions.from_argv(argv)
    except OptionsError as error:
        for line in str(error).splitlines():
            print(f"kubefan watchfanout: {line}", file=sys.stderr)
        return 2
    start_logging(options.verbosity)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(Watchfanout(options).run())
    except (StorageError, EventLogError, OSError) as error:
        print(f"kubefan watchfanout: {error}", file=sys.stderr)
        return 1
    except ExceptionGroup as group:
        told, others = group.split((ProtobufValue, WentBack))
        if told is None or others is not None:
            raise
        print(f"kubefan watchfanout: {first_of(told)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0
    return 0


def first_of(group: BaseExceptionGroup[BaseException]) -> BaseException:
    first = group.exceptions[0]
    return first_of(first) if isinstance(first, BaseExceptionGroup) else first


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
