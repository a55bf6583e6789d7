"""Encryption at rest: a Storage whose values lie encrypted in another.

The stored forms are kube-apiserver's, byte for byte, so that either reads what the other wrote.
Nothing in here reads files or flags, or knows what an object is.
"""

from shared.storage.encryption.encryption import Encryption, StoredResources
from shared.storage.encryption.storage import EncryptedStorage
from shared.storage.encryption.transformer import (
    IDENTITY,
    Direction,
    Observe,
    Provider,
    Transformer,
    aescbc,
    aesgcm,
    secretbox,
)

__all__ = [
    "IDENTITY",
    "Direction",
    "EncryptedStorage",
    "Encryption",
    "Observe",
    "Provider",
    "StoredResources",
    "Transformer",
    "aescbc",
    "aesgcm",
    "secretbox",
]
