"""`kubefan controllers`."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence

from services.controllers.manager import CONTROLLERS, run_until_signal
from services.controllers.options import ControllersOptions
from shared import kubeconfig
from shared.flags import OptionsError


def main(argv: Sequence[str]) -> int:
    """Run the controllers; return the exit code (2 for mistakes in the flags)."""
    try:
        options = ControllersOptions.from_argv(argv, known=CONTROLLERS)
        access = kubeconfig.load(options.kubeconfig)
    except (OptionsError, kubeconfig.KubeconfigError) as error:
        print(f"kubefan controllers: {error}", file=sys.stderr)
        return 2
    logging.basicConfig(
        level=logging.DEBUG if options.verbosity >= 4 else logging.INFO,
        format="%(levelname).1s %(asctime)s %(name)s: %(message)s",
    )
    return run_until_signal(options, access)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
