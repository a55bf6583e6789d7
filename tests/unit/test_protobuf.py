"""Built-in kinds are read and written in protobuf as kube-apiserver's clients do it."""

from __future__ import annotations

import struct
from typing import Any

import pytest

from services.apiserver.codec import codec_for, protobuf
from services.apiserver.codec.builtin import UnknownKindError
from services.apiserver.codec.facts import META, definitions
from services.apiserver.codec.protobufdecode import message as reader_of
from services.apiserver.codec.protobufencode import message as writer_of
from services.apiserver.codec.protobufwire import Malformed, chunk, varint
from services.apiserver.errors import BadRequest

CORE = "io.k8s.api.core.v1"
EXTENSIONS = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1"
BILLION = b"\x80\x94\xeb\xdc\x03"
MINUS_FIVE = b"\xfb\xff\xff\xff\xff\xff\xff\xff\xff\x01"


def field(number: int, *parts: bytes) -> bytes:
    """Return a length-delimited field with a number below 16 and a length below 128."""
    data = b"".join(parts)
    return bytes([number << 3 | 2, len(data)]) + data


def envelope(api_version: str, kind: str, *message: bytes) -> bytes:
    type_meta = field(1, field(1, api_version.encode()), field(2, kind.encode()))
    return b"k8s\x00" + type_meta + field(2, *message) + b"\x1a\x00\x22\x00"


def read(definition: str, raw: bytes) -> dict[str, Any]:
    out: dict[str, Any] = {}
    reader_of(definition)(raw, 0, len(raw), out)
    return out


CONFIG_MAP = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "c"},
    "data": {"k": "v"},
}
CONFIG_MAP_BYTES = (
    b"k8s\x00"
    b"\x0a\x0f\x0a\x02v1\x12\x09ConfigMap"
    b"\x12\x0d\x0a\x03\x0a\x01c\x12\x06\x0a\x01k\x12\x01v"
    b"\x1a\x00\x22\x00"
)


def test_an_object_stands_in_an_envelope() -> None:
    assert protobuf.encode(CONFIG_MAP) == CONFIG_MAP_BYTES
    assert protobuf.decode(CONFIG_MAP_BYTES) == CONFIG_MAP


@pytest.mark.parametrize(
    ("definition", "value", "raw"),
    [
        # scalars
        (f"{CORE}.PodSpec", {"priority": -5}, b"\xc8\x01" + MINUS_FIVE),
        (f"{CORE}.PodSpec", {"activeDeadlineSeconds": -5}, b"\x28" + MINUS_FIVE),
        (f"{CORE}.PodSpec", {"terminationGracePeriodSeconds": 300}, b"\x20\xac\x02"),
        (f"{CORE}.PodSpec", {"hostNetwork": True}, b"\x58\x01"),
        (f"{CORE}.PodSpec", {"nodeName": "ä"}, field(10, "ä".encode())),
        (f"{EXTENSIONS}.JSONSchemaProps", {"maximum": 1.5}, b"\x49" + struct.pack("<d", 1.5)),
        # lists
        (f"{CORE}.PodSecurityContext", {"supplementalGroups": [1, 300]}, b"\x20\x01\x20\xac\x02"),
        (f"{CORE}.Container", {"args": ["a", ""]}, field(4, b"a") + field(4)),
        (
            f"{CORE}.PodSpec",
            {"containers": [{"name": "a"}, {"name": "b"}]},
            field(2, field(1, b"a")) + field(2, field(1, b"b")),
        ),
        # maps
        (
            f"{META}.LabelSelector",
            {"matchLabels": {"a": "b"}},
            field(1, field(1, b"a"), field(2, b"b")),
        ),
        (f"{CORE}.Secret", {"data": {"k": "aGk="}}, field(2, field(1, b"k"), field(2, b"hi"))),
        (
            f"{CORE}.ResourceRequirements",
            {"limits": {"cpu": "500m"}},
            field(1, field(1, b"cpu"), field(2, field(1, b"500m"))),
        ),
        # a named slice is a message of its own
        (
            "io.k8s.api.authentication.v1.UserInfo",
            {"extra": {"k": ["a", "b"]}},
            field(4, field(1, b"k"), field(2, field(1, b"a"), field(1, b"b"))),
        ),
        # inlined structs
        (
            f"{CORE}.Volume",
            {"name": "v", "emptyDir": {}},
            field(1, b"v") + field(2, field(2)),
        ),
        (
            f"{CORE}.EphemeralContainer",
            {"targetContainerName": "t", "name": "e"},
            field(2, b"t") + field(1, field(1, b"e")),
        ),
        (
            "io.k8s.api.admissionregistration.v1.NamedRuleWithOperations",
            {"resourceNames": ["n"], "operations": ["*"], "apiGroups": ["g"]},
            field(1, b"n") + field(2, field(1, b"*"), field(2, field(1, b"g"))),
        ),
        # values that JSON writes as something else
        (
            f"{META}.ObjectMeta",
            {"creationTimestamp": "2001-09-09T01:46:40Z"},
            field(8, b"\x08", BILLION, b"\x10\x00"),
        ),
        (
            f"{META}.ObjectMeta",
            {"creationTimestamp": "1969-12-31T23:59:55Z"},
            field(8, b"\x08", MINUS_FIVE, b"\x10\x00"),
        ),
        (
            "io.k8s.api.coordination.v1.LeaseSpec",
            {"renewTime": "2001-09-09T01:46:40.250000Z"},
            field(4, b"\x08", BILLION, b"\x10\x80\xe5\x9a\x77"),
        ),
        (f"{CORE}.HTTPGetAction", {"port": 80}, field(2, b"\x08\x00\x10\x50\x1a\x00")),
        (f"{CORE}.HTTPGetAction", {"port": "web"}, field(2, b"\x08\x01\x10\x00", field(3, b"web"))),
        (
            f"{META}.ManagedFieldsEntry",
            {"fieldsV1": {"f:data": {}}},
            field(7, field(1, b'{"f:data":{}}')),
        ),
        (f"{EXTENSIONS}.JSONSchemaProps", {"default": 0}, field(8, field(1, b"0"))),
        (
            f"{EXTENSIONS}.JSONSchemaProps",
            {"items": {"type": "string"}},
            b"\xc2\x01\x0a" + field(1, field(5, b"string")),
        ),
        (
            f"{EXTENSIONS}.JSONSchemaProps",
            {"items": [{"type": "a"}, {"type": "b"}]},
            b"\xc2\x01\x0a" + field(2, field(5, b"a")) + field(2, field(5, b"b")),
        ),
        (f"{EXTENSIONS}.JSONSchemaProps", {"additionalProperties": True}, b"\xf2\x01\x02\x08\x01"),
        (
            f"{EXTENSIONS}.JSONSchemaProps",
            {"additionalProperties": {"type": "a"}},
            b"\xf2\x01\x07\x08\x01" + field(2, field(5, b"a")),
        ),
        (
            f"{EXTENSIONS}.JSONSchemaProps",
            {"dependencies": {"k": ["a"]}},
            b"\x82\x02\x08" + field(1, b"k") + field(2, field(2, b"a")),
        ),
    ],
)
def test_a_message(definition: str, value: dict[str, Any], raw: bytes) -> None:
    assert bytes(writer_of(definition)(value)) == raw
    assert read(definition, raw) == value


def test_every_struct_has_a_message() -> None:
    for definition in definitions():
        assert read(definition, bytes(writer_of(definition)({}))) == {}


def test_null_is_left_out_and_an_empty_struct_behind_a_pointer_is_not() -> None:
    write = writer_of(f"{CORE}.PodSpec")
    assert bytes(write({"containers": None, "nodeName": None})) == b""
    assert bytes(write({"securityContext": {}})) == field(14)


def test_what_go_writes_of_a_deployment_is_read() -> None:
    # Scalars and structs by value are written even if they hold nothing.
    raw = envelope(
        "apps/v1",
        "Deployment",
        field(
            1,
            field(1, b"d"),
            field(2),
            field(3),
            field(4),
            field(5),
            field(6),
            b"\x38\x00" + field(8),
        ),
        field(2, b"\x08\x02", field(3, field(1, field(8)), field(2)), b"\x28\x00\x38\x00"),
        field(3, b"\x08\x00\x10\x00"),
    )
    decoded = codec_for("apps", "v1", "Deployment").decode(protobuf.decode(raw))
    assert decoded == {
        "kind": "Deployment",
        "apiVersion": "apps/v1",
        "metadata": {"name": "d"},
        "spec": {
            "replicas": 2,
            "selector": None,
            "template": {"metadata": {}, "spec": {"containers": None}},
            "strategy": {},
        },
        "status": {},
    }


@pytest.mark.parametrize(
    ("definition", "raw", "value"),
    [
        # packed
        (f"{CORE}.PodSecurityContext", field(4, b"\x01\xac\x02"), {"supplementalGroups": [1, 300]}),
        # only the lower bits of a number count
        (f"{CORE}.PodSpec", b"\xc8\x01\xff\xff\xff\xff\x0f", {"priority": -1}),
        (f"{CORE}.PodSpec", b"\x58\x02", {"hostNetwork": True}),
        # the last scalar wins, messages are merged
        (f"{CORE}.PodSpec", field(10, b"a") + field(10, b"b"), {"nodeName": "b"}),
        (
            f"{CORE}.PodSpec",
            field(14, b"\x10\x01") + field(14, b"\x18\x01"),
            {"securityContext": {"runAsUser": 1, "runAsNonRoot": True}},
        ),
        # a map's entry may leave out its key or value
        (f"{META}.LabelSelector", field(1), {"matchLabels": {"": ""}}),
        (f"{CORE}.Secret", field(2, field(1, b"k")), {"data": {"k": ""}}),
        (f"{CORE}.ResourceRequirements", field(1, field(1, b"k")), {"limits": {"k": "0"}}),
        # no time
        (f"{META}.ObjectMeta", field(8), {"creationTimestamp": None}),
        # nanoseconds do not count, microseconds do
        (
            f"{META}.ObjectMeta",
            field(8, b"\x08\x00\x10\x80\xe5\x9a\x77"),
            {"creationTimestamp": "1970-01-01T00:00:00Z"},
        ),
        (f"{META}.ManagedFieldsEntry", field(7), {"fieldsV1": None}),
        # not UTF-8
        (f"{CORE}.PodSpec", field(10, b"a\xff"), {"nodeName": "a�"}),
        # unknown fields of every wire type
        (
            f"{META}.LabelSelector",
            b"\x28\x01" + field(6, b"x") + b"\x39" + b"8" * 8 + b"\x45" + b"4" * 4
            + b"\x4b\x08\x01\x4c" + b"\xfa\xff\x01\x01x",
            {},
        ),
    ],
)  # fmt: skip
def test_what_other_writers_may_send(definition: str, raw: bytes, value: dict[str, Any]) -> None:
    assert read(definition, raw) == value


@pytest.mark.parametrize(
    ("definition", "raw"),
    [
        (f"{CORE}.PodSpec", b"\x50\x01"),  # a number where a text belongs
        (f"{CORE}.PodSpec", field(11, b"\x01")),  # the other way round
        (f"{CORE}.PodSpec", b"\x52\x05abc"),  # shorter than it says
        (f"{CORE}.PodSpec", b"\x52\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01abc"),  # absurd length
        (f"{CORE}.PodSpec", b"\x58" + b"\xff" * 10 + b"\x01"),  # eleven bytes of integer
        (f"{CORE}.PodSpec", b"\x00\x01"),  # field 0
        (f"{CORE}.PodSpec", b"\xfc\x01"),  # the end of no group
        (f"{CORE}.PodSpec", b"\xfe\x01"),  # wire type 6
        (f"{CORE}.PodSpec", field(14, b"\x10\x80")),  # a number that goes on behind its message
        (f"{CORE}.HTTPGetAction", field(2, b"\x08\x02")),  # neither number nor text
        (f"{META}.ObjectMeta", field(8, b"\x08" + b"\xff" * 8 + b"\x7f")),  # year 292277026596
        (f"{EXTENSIONS}.JSONSchemaProps", b"\x49" + struct.pack("<d", float("nan"))),
        (f"{EXTENSIONS}.JSONSchemaProps", b"\x49\x00"),
    ],
)
def test_malformed_messages_are_refused(definition: str, raw: bytes) -> None:
    with pytest.raises((Malformed, IndexError)):
        read(definition, raw)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{}",
        b"k8s\x00",
        b"k8s\x00\xff",
        CONFIG_MAP_BYTES[:-12],
        envelope("v1", "Nothing"),
        envelope("example.com/v1", "Thing"),
        envelope("v1/v1", "Pod"),
        envelope("apps/v1", "ControllerRevision", field(2, field(1, b"{"))),
        envelope("apps/v1", "ControllerRevision", field(2, field(1, b"[" * 60, b"]" * 60)))
        + b"\x00",
    ],
)
def test_what_is_no_object_is_a_bad_request(raw: bytes) -> None:
    with pytest.raises(BadRequest):
        protobuf.decode(raw)


@pytest.mark.parametrize("levels", [300, 3000])
def test_objects_that_are_nested_too_deeply_are_refused(levels: int) -> None:
    raw = b""
    for number in [28] * levels + [1, 4, 7, 2, 2]:  # not, … schema, versions, spec, the envelope
        raw = chunk(number, raw)
    type_meta = field(1, b"apiextensions.k8s.io/v1"), field(2, b"CustomResourceDefinition")
    with pytest.raises(BadRequest, match="max depth"):
        protobuf.decode(b"k8s\x00" + field(1, *type_meta) + raw)


def test_what_the_envelope_does_not_say_is_taken_as_expected() -> None:
    raw = b"k8s\x00" + field(2, b"\x08\x05")
    expected = {"apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": 5}
    assert protobuf.decode(raw, ("v1", "DeleteOptions")) == expected


def test_delete_options_belong_to_every_group() -> None:
    raw = envelope("apps/v1", "DeleteOptions", b"\x08\x00")
    assert protobuf.decode(raw)["gracePeriodSeconds"] == 0


STATUS = {
    "kind": "Status",
    "apiVersion": "v1",
    "metadata": {},
    "status": "Failure",
    "message": "m",
    "reason": "NotFound",
    "details": {"name": "n", "causes": [{"reason": "r", "message": "m", "field": "f"}]},
    "code": 404,
}


@pytest.mark.parametrize(
    ("api_version", "kind", "parts", "raw"),
    [
        (
            "v1",
            "PodList",
            {"metadata": {"resourceVersion": "7"}, "items": [{"metadata": {"name": "p"}}]},
            (field(1, field(2, b"7")), field(2, field(1, field(1, b"p")))),
        ),
        (
            "meta.k8s.io/v1",
            "PartialObjectMetadata",
            {"metadata": {"name": "p"}},
            (field(1, field(1, b"p")),),
        ),
        (
            "meta.k8s.io/v1beta1",
            "PartialObjectMetadataList",
            {
                "metadata": {},
                "items": [
                    {
                        "kind": "PartialObjectMetadata",
                        "apiVersion": "meta.k8s.io/v1beta1",
                        "metadata": {"name": "p"},
                    }
                ],
            },
            (field(1), field(2, field(1, field(1, b"p")))),
        ),
        ("autoscaling/v1", "Scale", {"spec": {"replicas": 3}}, (field(2, b"\x08\x03"),)),
        (
            "v1",
            "Status",
            {"metadata": {}, "status": "Success", "details": {"uid": "u"}},
            (field(1), field(2, b"Success"), field(5, field(6, b"u"))),
        ),
    ],
)
def test_answers_that_are_no_stored_objects(
    api_version: str, kind: str, parts: dict[str, Any], raw: tuple[bytes, ...]
) -> None:
    value = {"kind": kind, "apiVersion": api_version, **parts}
    assert protobuf.encode(value) == envelope(api_version, kind, *raw)


def test_a_status_survives() -> None:
    assert protobuf.decode(protobuf.encode(STATUS)) == STATUS


def test_kinds_that_are_not_built_in_cannot_be_written() -> None:
    with pytest.raises(UnknownKindError):
        protobuf.encode({"apiVersion": "example.com/v1", "kind": "Thing"})


def test_an_event_of_a_watch_is_a_frame_around_an_object_in_its_envelope() -> None:
    event = field(1, b"ADDED") + field(2, field(1, CONFIG_MAP_BYTES))
    assert (
        protobuf.watch_frame("ADDED", CONFIG_MAP_BYTES) == b"\0\0\0" + bytes([len(event)]) + event
    )


def test_numbers_take_seven_bits_a_byte() -> None:
    assert [varint(n) for n in (0, 127, 128, 300)] == [b"\x00", b"\x7f", b"\x80\x01", b"\xac\x02"]
