"""Objects survive protobuf, and no bytes do any harm."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.apiserver.codec import codec_for, protobuf
from services.apiserver.errors import BadRequest
from tests.property.test_codec_properties import struct_values

KINDS = [
    ("", "v1", "Pod"),
    ("", "v1", "Secret"),
    ("", "v1", "Event"),
    ("", "v1", "PersistentVolume"),
    ("apps", "v1", "ControllerRevision"),
    ("apps", "v1", "Deployment"),
    ("admissionregistration.k8s.io", "v1", "ValidatingWebhookConfiguration"),
    ("apiextensions.k8s.io", "v1", "CustomResourceDefinition"),
    ("coordination.k8s.io", "v1", "Lease"),
    ("networking.k8s.io", "v1", "Ingress"),
    ("resource.k8s.io", "v1", "ResourceClaim"),
]


@pytest.mark.parametrize("gvk", KINDS, ids=lambda gvk: gvk[2])
@given(data=st.data())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_an_object_is_the_same_behind_protobuf(
    gvk: tuple[str, str, str], data: st.DataObject
) -> None:
    group, version, kind = gvk
    codec = codec_for(*gvk)
    obj = codec.decode(data.draw(struct_values(codec.definition, 7)))
    obj |= {"apiVersion": f"{group}/{version}".lstrip("/"), "kind": kind}
    assert codec.decode(protobuf.decode(protobuf.encode(obj))) == obj


def sent(message: bytes, kind: tuple[str, str, str]) -> bytes:
    empty = {"apiVersion": f"{kind[0]}/{kind[1]}".lstrip("/"), "kind": kind[2]}
    head, tail = protobuf.encode(empty).split(b"\x12\x00\x1a\x00")
    size = len(message)
    return head + b"\x12" + bytes([size & 0x7F | 0x80, size >> 7]) + message + b"\x1a\x00" + tail


def harmless(raw: bytes) -> None:
    try:
        value: Any = protobuf.decode(raw)
        codec_for("", "v1", "Pod").decode(value)
    except BadRequest:
        return
    orjson.dumps(value)


@given(raw=st.binary(max_size=80))
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_an_object_or_a_bad_request(raw: bytes) -> None:
    harmless(raw)
    harmless(protobuf.MAGIC + raw)


@pytest.mark.parametrize("gvk", KINDS, ids=lambda gvk: gvk[2])
@given(raw=st.binary(max_size=200))
@settings(max_examples=60, deadline=None)
def test_any_message_is_an_object_or_a_bad_request(gvk: tuple[str, str, str], raw: bytes) -> None:
    harmless(sent(raw, gvk))


@given(data=st.data())
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_an_object_with_some_bytes_wrong_is_an_object_or_a_bad_request(data: st.DataObject) -> None:
    definition = codec_for("apiextensions.k8s.io", "v1", "CustomResourceDefinition").definition
    codec = codec_for("apiextensions.k8s.io", "v1", "CustomResourceDefinition")
    obj = codec.decode(data.draw(struct_values(definition, 7)))
    kind = {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition"}
    raw = bytearray(protobuf.encode(obj | kind))
    for position in data.draw(st.lists(st.integers(0, len(raw) - 1), max_size=4)):
        raw[position] = data.draw(st.integers(0, 255))
    harmless(bytes(raw[: data.draw(st.integers(0, len(raw)))]))
