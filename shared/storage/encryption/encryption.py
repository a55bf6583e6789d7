"""Encryption: which transformer is for which key."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from shared.objects.keyspace import PrefixTable, parent_of
from shared.resources import Resource
from shared.resources.keys import resource_prefix
from shared.storage.encryption.ciphers import CannotOpen
from shared.storage.encryption.transformer import IdentityTransformer, Observe, Transformer, nobody
from shared.storage.errors import UnreadableValue

GroupResource = tuple[str, str]
"""Group and plural; "*" stands for any of them."""

ANY = "*"
_REMEMBERED_PARENTS = 65_536


class StoredResources:
    """Says of which resource a key is."""

    def __init__(self, resources: Iterable[Resource], etcd_prefix: str) -> None:
        """`resources` are the built-in ones; custom ones lie under GROUP/PLURAL."""
        self._prefix = resource_prefix("", etcd_prefix)[:-1]  # of all keys of the API
        self._known: PrefixTable[GroupResource | None] = PrefixTable(None)
        for resource in resources:
            if resource.storage is not None:
                found = (resource.storage.group, resource.name)
                self._known.register(resource_prefix(resource.storage_path, etcd_prefix), found)

    def of_key(self, key: bytes) -> GroupResource | None:
        """Return group and plural; None for a key that is not of the API.

        What is kept beside the resources (/ranges/...) counts to the core group, where only
        wildcards meet it.
        """
        found = self._known.of_key(key)
        if found is not None or not key.startswith(self._prefix):
            return found
        first, _, rest = key[len(self._prefix) :].decode(errors="replace").partition("/")
        if "." in first and "/" in rest:
            return first, rest.partition("/")[0]
        return "", first


class Encryption:
    """Seals and opens values by the rule for their key. `use` takes new rules while it works."""

    def __init__(
        self,
        transformers: Mapping[GroupResource, Transformer],
        resources: StoredResources,
        observe: Observe = nobody,
    ) -> None:
        self._resources = resources
        self._observe = observe
        self._identity = IdentityTransformer()
        self._transformers = transformers
        self._by_parent: dict[bytes, Transformer] = {}
        self.generation = 0
        """How many times the rules have been replaced."""

    def __repr__(self) -> str:
        return f"<Encryption of {sorted(self._transformers)}, generation {self.generation}>"

    @property
    def is_used(self) -> bool:
        """Whether there are any rules."""
        return bool(self._transformers)

    def use(self, transformers: Mapping[GroupResource, Transformer]) -> None:
        """Go by these rules from now on."""
        self._transformers = transformers
        self._by_parent.clear()
        self.generation += 1

    def seal(self, key: bytes, value: bytes) -> bytes:
        """Return what to store under `key`."""
        return self._transformer(key).seal(value, key, self._observe)

    def open(self, key: bytes, stored: bytes) -> tuple[bytes, bool]:
        """Return the value that is stored under `key`, and whether its form is stale.

        Raises:
            UnreadableValue: there is no key for it, or it is damaged.
        """
        try:
            return self._transformer(key).open(stored, key, self._observe)
        except CannotOpen as error:
            raise UnreadableValue(key, str(error)) from error

    def _transformer(self, key: bytes) -> Transformer:
        parent = parent_of(key)
        try:
            return self._by_parent[parent]
        except KeyError:
            pass
        # The most special rule wins, as kube-apiserver's transformerFromOverrides.
        transformer: Transformer = self._identity
        found = self._resources.of_key(key)
        if found is not None:
            for rule in (found, (found[0], ANY), (ANY, ANY)):
                if rule in self._transformers:
                    transformer = self._transformers[rule]
                    break
        if parent not in self._by_parent and len(self._by_parent) >= _REMEMBERED_PARENTS:
            self._by_parent.clear()
        self._by_parent[parent] = transformer
        return transformer
