"""Programs that are not ours and have to be installed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass

from shared.flags import OptionsError

_SYSTEM_DIRECTORIES = ("/usr/local/sbin", "/usr/sbin", "/sbin")
"""Where Debian puts servers; not in everybody's PATH."""


@dataclass(frozen=True, slots=True)
class Needed:
    name: str
    package: str
    """Debian's."""


ETCD = Needed("etcd", "etcd-server")
REDIS = Needed("redis-server", "redis-server")
HAPROXY = Needed("haproxy", "haproxy")


def find(needed: Iterable[Needed]) -> dict[Needed, str]:
    """Return the path of each program.

    Raises:
        OptionsError: some are missing; the line says which, and how to get them.
    """
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), *_SYSTEM_DIRECTORIES])
    found = {one: shutil.which(one.name, path=path) for one in needed}
    missing = [one for one, where in found.items() if where is None]
    if missing:
        names = ", ".join(one.name for one in missing)
        packages = " ".join(one.package for one in missing)
        raise OptionsError(
            f"--replicas: not installed: {names}. `make run REPLICAS=3` installs what is "
            f"needed; on Debian: apt-get install {packages}"
        )
    return {one: where for one, where in found.items() if where is not None}
