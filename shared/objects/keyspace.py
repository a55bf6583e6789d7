"""From a key to what is registered for its prefix, in constant time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar

T = TypeVar("T")

_REMEMBERED_PARENTS = 65_536  # namespaces x resources in use; then it is learnt anew


def parent_of(key: bytes) -> bytes:
    """Return the key up to and including its last slash: the prefix of its namespace.

    For a cluster-scoped key that is the prefix of the resource.
    """
    return key[: key.rfind(b"/") + 1]


def end_of_prefix(prefix: bytes) -> bytes:
    """Return the first key behind all that begin with `prefix`, which ends with a slash."""
    return prefix[:-1] + b"0"  # "0" follows "/"


class PrefixTable(Generic[T]):
    """Values by key prefix (`/registry/pods/`); the longest prefix of a key wins.

    Nearly all keys of a directory belong to one value, so that a lookup is one cut and one dict
    access, however many prefixes there are and however deep.
    """

    __slots__ = ("_by_parent", "_by_prefix", "_default")

    def __init__(self, default: T) -> None:
        self._default = default
        self._by_prefix: dict[bytes, T] = {}
        self._by_parent: dict[bytes, T] = {}

    def __contains__(self, prefix: bytes) -> bool:
        return prefix in self._by_prefix

    def __len__(self) -> int:
        return len(self._by_prefix)

    def values(self) -> Iterator[T]:
        return iter(self._by_prefix.values())

    def get(self, prefix: bytes) -> T | None:
        """Return what was registered under exactly this prefix."""
        return self._by_prefix.get(prefix)

    def register(self, prefix: bytes, value: T) -> None:
        if not prefix.endswith(b"/"):
            raise ValueError(f"a prefix ends with a slash: {prefix!r}")
        self._by_prefix[prefix] = value
        self._by_parent.clear()

    def of_parent(self, parent: bytes) -> T:
        """Return the value for all keys directly under `parent` (see `parent_of`)."""
        try:
            return self._by_parent[parent]
        except KeyError:
            pass
        prefix = parent
        while prefix and prefix not in self._by_prefix:
            prefix = parent_of(prefix[:-1])
        value = self._by_prefix[prefix] if prefix else self._default
        if len(self._by_parent) >= _REMEMBERED_PARENTS:
            self._by_parent.clear()
        self._by_parent[parent] = value
        return value

    def of_key(self, key: bytes) -> T:
        return self.of_parent(key[: key.rfind(b"/") + 1])
