"""Transformers: several providers with several keys each; the first writes, all read.

An encrypted value begins with `k8s:enc:PROVIDER:v1:KEYNAME:`, which says who can open it.
Source: kube-apiserver v1.36.2, apiserver/pkg/storage/value/transformer.go,
apiserver/pkg/storage/value/encrypt/identity.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from shared.objects.wire import SEALED
from shared.storage.encryption.ciphers import AesCbc, AesGcm, CannotOpen, Cipher, SecretBox

READ_ENCRYPTED = "identity transformer tried to read encrypted data"
NO_PREFIX = "no matching prefix found"

PLAIN, UNKNOWN = "identity", "unknown"

Direction = Literal["from_storage", "to_storage"]
Observe = Callable[[Direction, str, float, bool], None]
"""Is told of every attempt to seal or open a value: the prefix by which it was tried, the seconds,
and whether it went well. Of a provider with keys there is one more, by the name of the key. What
is opened without a prefix is told as PLAIN, what nothing is there to open as UNKNOWN."""


def nobody(direction: Direction, prefix: str, seconds: float, went_well: bool) -> None:
    """Observe nothing."""


@dataclass(frozen=True, slots=True)
class Provider:
    """One provider: what its values begin with, and its keys by what follows there.

    `missing` is the error where none of its keys is the value's. The identity provider has no
    prefix and no keys.
    """

    prefix: bytes
    keys: Sequence[tuple[bytes, Cipher]] = field(default=(), repr=False)
    missing: str = ""

    def seal(self, value: bytes, key: bytes, observe: Observe = nobody) -> bytes:
        if not self.prefix:
            return value
        name, cipher = self.keys[0]
        began = time.perf_counter()
        sealed = cipher.seal(value, key)
        observe("to_storage", name.decode(), time.perf_counter() - began, True)
        return self.prefix + name + sealed

    def open(self, stored: bytes, key: bytes, observe: Observe = nobody) -> tuple[bytes, bool]:
        """Return the value, and whether another key than the first sealed it.

        Raises:
            CannotOpen: none of the keys can.
        """
        if not self.prefix:
            if stored.startswith(SEALED):
                raise CannotOpen(READ_ENCRYPTED)
            return stored, False
        errors: list[str] = []
        start = len(self.prefix)
        began = time.perf_counter()
        for number, (name, cipher) in enumerate(self.keys):
            if stored.startswith(name, start):
                try:
                    value = cipher.open(stored[start + len(name) :], key)
                except CannotOpen as error:  # another key may have the same name
                    errors.append(str(error))
                    observe("from_storage", name.decode(), time.perf_counter() - began, False)
                else:
                    observe("from_storage", name.decode(), time.perf_counter() - began, True)
                    return value, number > 0
        if not errors:
            observe("from_storage", UNKNOWN, time.perf_counter() - began, False)
        raise CannotOpen(_joined(errors) or self.missing)


IDENTITY = Provider(b"")
"""Leaves values as they are, and refuses to pass off encrypted ones as such."""


def aesgcm(keys: Sequence[tuple[str, bytes]]) -> Provider:
    """Return the provider of these names and secrets (16, 24 or 32 bytes)."""
    return _provider("aesgcm", "AES", [(name, AesGcm(secret)) for name, secret in keys])


def aescbc(keys: Sequence[tuple[str, bytes]]) -> Provider:
    """Return the provider of these names and secrets (16, 24 or 32 bytes)."""
    return _provider("aescbc", "AES", [(name, AesCbc(secret)) for name, secret in keys])


def secretbox(keys: Sequence[tuple[str, bytes]]) -> Provider:
    """Return the provider of these names and secrets (32 bytes)."""
    return _provider("secretbox", "Secretbox", [(name, SecretBox(secret)) for name, secret in keys])


def _provider(name: str, family: str, keys: Sequence[tuple[str, Cipher]]) -> Provider:
    return Provider(
        b"%b%b:v1:" % (SEALED, name.encode()),
        [(f"{key}:".encode(), cipher) for key, cipher in keys],
        f"no matching key was found for the provided {family} transformer",
    )


class Transformer:
    """What lies between the value of one resource and its stored form."""

    __slots__ = ("_providers",)

    def __init__(self, providers: Sequence[Provider]) -> None:
        """`providers` are in order: the first one writes."""
        self._providers = tuple(providers)

    def __repr__(self) -> str:
        return f"<Transformer {[one.prefix for one in self._providers]}>"

    @property
    def encrypts(self) -> bool:
        """Whether what it writes is encrypted."""
        return bool(self._providers[0].prefix)

    def seal(self, value: bytes, key: bytes, observe: Observe = nobody) -> bytes:
        provider, began = self._providers[0], time.perf_counter()
        sealed = provider.seal(value, key, observe)
        observe("to_storage", provider.prefix.decode(), time.perf_counter() - began, True)
        return sealed

    def open(self, stored: bytes, key: bytes, observe: Observe = nobody) -> tuple[bytes, bool]:
        """Return the value, and whether it is stale: whether writing it would store it anew.

        Raises:
            CannotOpen: no provider can.
        """
        errors: list[str] = []
        began = time.perf_counter()
        for number, provider in enumerate(self._providers):
            if not stored.startswith(provider.prefix):
                continue
            prefix = provider.prefix.decode() or PLAIN
            try:
                value, stale = provider.open(stored, key, observe)
            except CannotOpen as error:
                # Several providers may share a prefix. That identity can't is no error: a later
                # one is there for what has not been decrypted yet.
                if provider.prefix:
                    errors.append(str(error))
                    observe("from_storage", prefix, time.perf_counter() - began, False)
            else:
                observe("from_storage", prefix, time.perf_counter() - began, True)
                return value, stale or number > 0
        if not errors:
            observe("from_storage", UNKNOWN, time.perf_counter() - began, False)
        raise CannotOpen(_joined(errors) or NO_PREFIX)


class IdentityTransformer(Transformer):
    """Of resources that no rule names: plain values only, and nobody is told of them."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__((IDENTITY,))

    def seal(self, value: bytes, key: bytes, observe: Observe = nobody) -> bytes:
        return value

    def open(self, stored: bytes, key: bytes, observe: Observe = nobody) -> tuple[bytes, bool]:
        return IDENTITY.open(stored, key)


def _joined(errors: Sequence[str]) -> str:
    unique = list(dict.fromkeys(errors))
    return unique[0] if len(unique) == 1 else f"[{', '.join(unique)}]" if unique else ""
