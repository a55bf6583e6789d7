"""The ciphers: what stands behind a value's prefix.

aesgcm     nonce (12 bytes) │ AES-GCM of the value │ tag (16), authenticated with the storage key
aescbc     IV (16) │ AES-CBC of the value, padded by PKCS#7; nothing authenticates it
secretbox  nonce (24) │ Poly1305 tag (16) │ XSalsa20 of the value

Source: kube-apiserver v1.36.2, apiserver/pkg/storage/value/encrypt/{aes,secretbox}.
"""

from __future__ import annotations

import os
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher as BlockCipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC

TOO_SHORT = "the stored data was shorter than the required size"
_BLOCK_BYTES = 16
_GCM_NONCE_BYTES = 12
_BOX_NONCE_BYTES = 24
_BOX_TAG_BYTES = 16


class CannotOpen(ValueError):
    """The stored bytes are not what this key has sealed; the message says what is wrong."""


class Cipher(Protocol):
    """Seals values with one secret. `key` is the storage key under which the value lies."""

    def seal(self, value: bytes, key: bytes) -> bytes: ...

    def open(self, sealed: bytes, key: bytes) -> bytes:
        """Return the value.

        Raises:
            CannotOpen: it is damaged, or was sealed with another secret or (aesgcm) for
                another key.
        """
        ...


class AesGcm:
    def __init__(self, secret: bytes) -> None:
        self._aead = AESGCM(secret)

    def seal(self, value: bytes, key: bytes) -> bytes:
        nonce = os.urandom(_GCM_NONCE_BYTES)
        return nonce + self._aead.encrypt(nonce, value, key)

    def open(self, sealed: bytes, key: bytes) -> bytes:
        if len(sealed) < _GCM_NONCE_BYTES:
            raise CannotOpen(TOO_SHORT)
        try:
            return self._aead.decrypt(sealed[:_GCM_NONCE_BYTES], sealed[_GCM_NONCE_BYTES:], key)
        except InvalidTag as error:
            raise CannotOpen("cipher: message authentication failed") from error


class AesCbc:
    def __init__(self, secret: bytes) -> None:
        self._algorithm = AES(secret)

    def seal(self, value: bytes, key: bytes) -> bytes:
        padding = _BLOCK_BYTES - len(value) % _BLOCK_BYTES
        iv = os.urandom(_BLOCK_BYTES)
        encryptor = BlockCipher(self._algorithm, CBC(iv)).encryptor()
        return iv + encryptor.update(value + bytes([padding]) * padding) + encryptor.finalize()

    def open(self, sealed: bytes, key: bytes) -> bytes:
        if len(sealed) < _BLOCK_BYTES:
            raise CannotOpen(TOO_SHORT)
        if len(sealed) % _BLOCK_BYTES:
            raise CannotOpen("the stored data is not a multiple of the block size")
        decryptor = BlockCipher(self._algorithm, CBC(sealed[:_BLOCK_BYTES])).decryptor()
        padded = decryptor.update(sealed[_BLOCK_BYTES:]) + decryptor.finalize()
        padding = padded[-1] if padded else 0
        # As kube-apiserver checks it: a padding longer than a block would pass there, too.
        if not padding or padding > len(padded):
            raise CannotOpen("invalid PKCS7 data (empty or not padded)")
        if not padded.endswith(bytes([padding]) * padding):
            raise CannotOpen("invalid padding on input")
        return padded[:-padding]


class SecretBox:
    def __init__(self, secret: bytes) -> None:
        from nacl.secret import SecretBox as Box  # 20 ms to import, and few use it

        self._box = Box(secret)

    def seal(self, value: bytes, key: bytes) -> bytes:
        return bytes(self._box.encrypt(value))

    def open(self, sealed: bytes, key: bytes) -> bytes:
        from nacl.exceptions import CryptoError

        if len(sealed) < _BOX_NONCE_BYTES + _BOX_TAG_BYTES:
            raise CannotOpen(TOO_SHORT)
        try:
            return self._box.decrypt(sealed)
        except CryptoError as error:
            # kube-apiserver says that the output array was not large enough, whatever is wrong.
            raise CannotOpen("the value was not sealed with this key, or is damaged") from error
