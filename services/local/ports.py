"""Free ports on this machine, for processes that keep theirs when they start again."""

from __future__ import annotations

import random
import socket
import time

from shared.flags import OptionsError

LOOPBACK = "127.0.0.1"
# Below what the kernel gives to outgoing connections (32768 and up) and below node ports
# (30000 and up): while a process is restarted nothing else happens to take its port.
_FIRST, _LAST = 20000, 29999


def free_ports(count: int) -> list[int]:
    """Return ports of the loopback address on which nothing listens."""
    found: list[int] = []
    for port in random.sample(range(_FIRST, _LAST + 1), k=_LAST - _FIRST + 1):
        if len(found) == count:
            break
        if _is_free(LOOPBACK, port):
            found.append(port)
    return found


def check_free(address: str, port: int, *, timeout_s: float = 3.0) -> None:
    """Make sure that `port` can be listened on.

    Waits a little: after a system that was killed, its last processes end by themselves.

    Raises:
        OptionsError: it can't.
    """
    deadline = time.monotonic() + timeout_s
    while not _is_free(address, port):
        if time.monotonic() > deadline:
            raise OptionsError(f"--secure-port: {address}:{port} is in use, or not to be had")
        time.sleep(0.05)


def _is_free(address: str, port: int) -> bool:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((address, port))
            listener.listen(1)  # two may be bound, only one may listen
        except OSError:
            return False
        return True
