"""Secret.

Source: kube-apiserver v1.36.2, pkg/registry/core/secret/strategy.go,
pkg/apis/core/validation/validation.go (ValidateSecret), pkg/api/secret/warnings.go.
"""

from __future__ import annotations

import base64

import orjson
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509 import load_pem_x509_certificate

from services.apiserver.errors import Cause
from services.apiserver.kinds.configmap import (
    MAX_DATA_BYTES,
    decoded_length,
    validate_immutable_data,
)
from services.apiserver.registry.strategy import Object, Strategy, WriteContext
from services.apiserver.validation.field import invalid, key, required, too_long
from services.apiserver.validation.metadata import IMMUTABLE, validate_metadata_create
from services.apiserver.validation.names import config_map_key

ACCOUNT_NAME = "kubernetes.io/service-account.name"
JSON_DATA = {
    "kubernetes.io/dockercfg": ".dockercfg",
    "kubernetes.io/dockerconfigjson": ".dockerconfigjson",
}
REDACTED = "<secret contents redacted>"


class SecretStrategy(Strategy):
    def default(self, obj: Object) -> None:
        texts = obj.pop("stringData", None)
        if texts:
            data = obj.setdefault("data", {})
            for name, text in texts.items():
                data[name] = base64.b64encode(text.encode()).decode()
        if not obj.get("type"):
            obj["type"] = "Opaque"

    def validate_create(self, ctx: WriteContext, obj: Object) -> list[Cause]:
        return _validate_data(obj)

    def validate_update(self, ctx: WriteContext, obj: Object, old: Object) -> list[Cause]:
        found: list[Cause] = []
        if obj.get("type") != old.get("type"):
            found.append(invalid("type", obj.get("type", ""), IMMUTABLE))
        found += validate_immutable_data(obj, old, "data")
        if obj["metadata"] != old["metadata"]:
            found += validate_metadata_create(
                obj, namespaced=True, validate_name=self.validate_name
            )
        return found + _validate_data(obj)

    def warn_on_create(self, ctx: WriteContext, obj: Object) -> list[str]:
        return _warnings(obj)

    def warn_on_update(self, ctx: WriteContext, obj: Object, old: Object) -> list[str]:
        return _warnings(obj)


def _validate_data(obj: Object) -> list[Cause]:
    found: list[Cause] = []
    data = obj.get("data") or {}
    size = 0
    for name, text in data.items():
        found += [invalid(key("data", name), name, message) for message in config_map_key(name)]
        size += decoded_length(text)
    if size > MAX_DATA_BYTES:
        found.append(too_long("data", MAX_DATA_BYTES))
    return found + _validate_type(obj, data)


def _validate_type(obj: Object, data: dict[str, str]) -> list[Cause]:
    kind = obj.get("type")
    if kind in JSON_DATA:
        name = JSON_DATA[kind]
        if name not in data:
            return [required(key("data", name))]
        try:
            document = orjson.loads(base64.b64decode(data[name]))
        except ValueError as error:
            return [invalid(key("data", name), REDACTED, str(error))]
        if not isinstance(document, dict | None):
            return [invalid(key("data", name), REDACTED, "json: cannot unmarshal into an object")]
        return []
    match kind:
        case "kubernetes.io/service-account-token":
            if not obj["metadata"].get("annotations", {}).get(ACCOUNT_NAME):
                return [required(key("metadata.annotations", ACCOUNT_NAME))]
        case "kubernetes.io/basic-auth":
            if "username" not in data and "password" not in data:
                return [required(key("data", name)) for name in ("username", "password")]
        case "kubernetes.io/ssh-auth":
            if not data.get("ssh-privatekey"):
                return [required(key("data", "ssh-privatekey"))]
        case "kubernetes.io/tls":
            return [
                required(key("data", name)) for name in ("tls.crt", "tls.key") if name not in data
            ]
    return []


def _warnings(obj: Object) -> list[str]:
    """Warn of a certificate and key that don't fit each other."""
    if obj.get("type") != "kubernetes.io/tls":
        return []
    data = obj.get("data", {})
    try:
        certificate = load_pem_x509_certificate(base64.b64decode(data.get("tls.crt", "")))
        private = load_pem_private_key(base64.b64decode(data.get("tls.key", "")), password=None)
        public = [
            one.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
            for one in (certificate.public_key(), private.public_key())
        ]
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        return [f"tls: {error}"]
    return [] if public[0] == public[1] else ["tls: private key does not match public key"]
