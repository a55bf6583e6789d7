"""Discovery documents in protobuf, behind the envelope that marks Kubernetes objects.

Source of the field numbers: kube-apiserver v1.36.2, apimachinery/pkg/apis/meta/v1,
apimachinery/pkg/runtime and api/apidiscovery/v2, each generated.proto.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from services.apiserver.codec.protobufwire import VARINT, chunk, tag_of

MAGIC = b"k8s\x00"

Message = Mapping[str, tuple[int, "Message | None"]]
"""JSON field → its number and, for a field that holds messages, their fields."""

_GROUP_VERSION: Message = {"groupVersion": (1, None), "version": (2, None)}
_ADDRESS: Message = {"clientCIDR": (1, None), "serverAddress": (2, None)}
_GROUP: Message = {
    "name": (1, None),
    "versions": (2, _GROUP_VERSION),
    "preferredVersion": (3, _GROUP_VERSION),
    "serverAddressByClientCIDRs": (4, _ADDRESS),
}
_RESOURCE: Message = {
    "name": (1, None),
    "namespaced": (2, None),
    "kind": (3, None),
    "verbs": (4, {"items": (1, None)}),
    "shortNames": (5, None),
    "singularName": (6, None),
    "categories": (7, None),
    "group": (8, None),
    "version": (9, None),
    "storageVersionHash": (10, None),
}
_KIND: Message = {"group": (1, None), "version": (2, None), "kind": (3, None)}
_SUBRESOURCE_DISCOVERY: Message = {
    "subresource": (1, None),
    "responseKind": (2, _KIND),
    "acceptedTypes": (3, _KIND),
    "verbs": (4, None),
}
_RESOURCE_DISCOVERY: Message = {
    "resource": (1, None),
    "responseKind": (2, _KIND),
    "scope": (3, None),
    "singularResource": (4, None),
    "verbs": (5, None),
    "shortNames": (6, None),
    "categories": (7, None),
    "subresources": (8, _SUBRESOURCE_DISCOVERY),
}
_VERSION_DISCOVERY: Message = {
    "version": (1, None),
    "resources": (2, _RESOURCE_DISCOVERY),
    "freshness": (3, None),
}
_GROUP_DISCOVERY: Message = {
    "metadata": (1, {"name": (1, None)}),
    "versions": (2, _VERSION_DISCOVERY),
}

MESSAGES: Mapping[str, Message] = {
    "APIVersions": {"versions": (1, None), "serverAddressByClientCIDRs": (2, _ADDRESS)},
    "APIGroupList": {"groups": (1, _GROUP)},
    "APIGroup": _GROUP,
    "APIResourceList": {"groupVersion": (1, None), "resources": (2, _RESOURCE)},
    "APIGroupDiscoveryList": {"metadata": (1, {}), "items": (2, _GROUP_DISCOVERY)},
}
"""By kind. In an APIResource the verbs are a message that holds the list."""


def encode_document(document: Mapping[str, Any]) -> bytes:
    """Return the protobuf form of a discovery document, envelope and all."""
    kind = document["kind"]
    type_meta = _text(1, document.get("apiVersion", "")) + _text(2, kind)
    raw = _message(document, MESSAGES[kind])
    empty_encoding_and_type = _text(3, "") + _text(4, "")
    return MAGIC + chunk(1, type_meta) + chunk(2, raw) + empty_encoding_and_type


def _message(value: Mapping[str, Any], fields: Message) -> bytes:
    out = bytearray()
    for name, (number, fields_of_it) in fields.items():
        if name not in value:
            continue
        content = value[name]
        if name == "verbs" and fields_of_it is not None:
            content = {"items": content}
        for item in content if isinstance(content, list) else [content]:
            if isinstance(item, bool):
                out += bytes((tag_of(number, VARINT), item))
            elif fields_of_it is None:
                out += _text(number, item)
            else:
                out += chunk(number, _message(item, fields_of_it))
    return bytes(out)


def _text(number: int, text: str) -> bytes:
    return chunk(number, text.encode())
