"""`kubefan up`."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence

from services.local.options import LocalOptions
from services.local.system import up
from shared.flags import OptionsError


def main(argv: Sequence[str]) -> int:
    """Run a system until Ctrl-C or SIGTERM; return the exit code (2 for mistakes in flags)."""
    try:
        return asyncio.run(up(LocalOptions.from_argv(argv)))
    except OptionsError as error:
        print(f"kubefan up: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
