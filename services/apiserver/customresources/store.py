"""CustomResourceStore: the objects of a custom resource as one of its versions shows them.

Stored objects are of the storage version. What is read is first made to fit the storage
version's schema as it is now, then converted; what is written is converted back and fitted.
Source: kube-apiserver v1.36.2, apiextensions-apiserver/pkg/apiserver/conversion/
{converter,nop_converter}.go and customresource_handler.go (schemaCoercingConverter).
"""

from __future__ import annotations

import orjson

from services.apiserver.codec.protocol import Object
from services.apiserver.customresources.codec import StructuralCodec
from services.apiserver.registry.backend import Backend
from services.apiserver.registry.store import ResourceStore
from services.apiserver.registry.strategy import Strategy
from shared.resources import Resource


class CustomResourceStore(ResourceStore):
    """A store whose objects are those of `codec`'s version, whatever is stored."""

    def __init__(
        self,
        resource: Resource,
        strategy: Strategy,
        backend: Backend,
        codec: StructuralCodec,
        storage_codec: StructuralCodec,
    ) -> None:
        super().__init__(resource, strategy, backend)
        self._codec = codec
        self._storage_codec = storage_codec

    def decode(self, body: bytes) -> Object:
        obj: Object = orjson.loads(self.wire_prefix + body)
        self._storage_codec.read(obj)
        if self._codec is not self._storage_codec:
            obj["apiVersion"] = self.resource.group_version
            self._codec.fit(obj)
        return obj

    def is_as_stored(self, body: bytes) -> bool:
        """Whether the stored bytes are what clients are to see."""
        obj: Object = orjson.loads(self.wire_prefix + body)
        before = orjson.dumps(obj)
        self._storage_codec.read(obj)
        return orjson.dumps(obj) == before

    def encode(self, obj: Object) -> bytes:
        if self._codec is not self._storage_codec:
            obj["metadata"].pop("resourceVersion", None)
            obj = orjson.loads(orjson.dumps(obj))
            self._storage_codec.fit(obj)
        return super().encode(obj)
