"""ConfigMap.

Source: kube-apiserver v1.36.2, pkg/registry/core/configmap/strategy.go,
pkg/apis/core/validation/validation.go (ValidateConfigMap).
"""

from __future__ import annotations

from services.apiserver.errors import Cause
from services.apiserver.registry.strategy import Object, Strategy, WriteContext
from services.apiserver.validation.field import forbidden, invalid, key, too_long
from services.apiserver.validation.metadata import validate_metadata_create
from services.apiserver.validation.names import config_map_key

MAX_DATA_BYTES = 1024 * 1024
WHEN_IMMUTABLE = "field is immutable when `immutable` is set"


class ConfigMapStrategy(Strategy):
    def validate_create(self, ctx: WriteContext, obj: Object) -> list[Cause]:
        return _validate_data(obj)

    def validate_update(self, ctx: WriteContext, obj: Object, old: Object) -> list[Cause]:
        found = validate_immutable_data(obj, old, "data", "binaryData")
        if obj["metadata"] != old["metadata"]:
            found += validate_metadata_create(
                obj, namespaced=True, validate_name=self.validate_name
            )
        return found + _validate_data(obj)


def validate_immutable_data(obj: Object, old: Object, *names: str) -> list[Cause]:
    """Check what an immutable ConfigMap or Secret may not change; `names` hold its data."""
    if not old.get("immutable"):
        return []
    found = [] if obj.get("immutable") else [forbidden("immutable", WHEN_IMMUTABLE)]
    return found + [
        forbidden(name, WHEN_IMMUTABLE) for name in names if obj.get(name) != old.get(name)
    ]


def decoded_length(base64_text: str) -> int:
    """Return how many bytes a base64 text stands for."""
    return len(base64_text) * 3 // 4 - base64_text[-2:].count("=")


def _validate_data(obj: Object) -> list[Cause]:
    found: list[Cause] = []
    data, binary = obj.get("data") or {}, obj.get("binaryData") or {}
    size = 0
    for name, text in data.items():
        found += [invalid(key("data", name), name, message) for message in config_map_key(name)]
        if name in binary:
            found.append(invalid(key("data", name), name, "duplicate of key present in binaryData"))
        size += len(text) if text.isascii() else len(text.encode())
    for name, text in binary.items():
        found += [
            invalid(key("binaryData", name), name, message) for message in config_map_key(name)
        ]
        size += decoded_length(text)
    if size > MAX_DATA_BYTES:
        # kube-apiserver prints the empty path, which stands for the whole object, like this.
        found.append(too_long("[]", MAX_DATA_BYTES))
    return found
