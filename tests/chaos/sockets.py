"""Which process is behind a TCP connection: what Linux tells in /proc (proc(5))."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable


def owner(port: int, remote_port: int, pids: Iterable[int]) -> int | None:
    """Return which of `pids` has the connection from the local `port` to `remote_port`."""
    inode = _inode(port, remote_port)
    if inode is None:
        return None
    target = f"socket:[{inode}]"
    for pid in pids:
        with contextlib.suppress(OSError):  # it is gone already, or closed the descriptor
            if any(_points_to(entry, target) for entry in os.scandir(f"/proc/{pid}/fd")):
                return pid
    return None


def _inode(port: int, remote_port: int) -> str | None:
    """Return the inode of the socket; addresses are written HEX:HEX in /proc/net/tcp."""
    with open("/proc/net/tcp") as table:
        next(table)
        for line in table:
            fields = line.split()
            local, remote = (int(field.partition(":")[2], 16) for field in fields[1:3])
            if (local, remote) == (port, remote_port):
                return fields[9]
    return None


def _points_to(entry: os.DirEntry[str], target: str) -> bool:
    try:
        return os.readlink(entry.path) == target
    except OSError:
        return False
