"""Byte ranges of keys, as etcd counts them."""

from __future__ import annotations


def prefix_end(prefix: bytes) -> bytes | None:
    """Return the first key behind all keys of `prefix`; None if there is no such key."""
    stem = prefix.rstrip(b"\xff")
    if not stem:
        return None
    return stem[:-1] + bytes((stem[-1] + 1,))
