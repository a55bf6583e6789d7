"""Objects of built-in kinds come out as Go's structs would print them."""

import json
from typing import Any

import orjson
import pytest

from services.apiserver.codec import (
    DecodeError,
    FieldReport,
    TypedCodec,
    UnknownKindError,
    codec_for,
    definition_of,
    encode,
)
from services.apiserver.codec.schema import field_type, merge_fact

POD = codec_for("", "v1", "Pod")
CONFIG_MAP = codec_for("", "v1", "ConfigMap")


def spec_of(**spec: Any) -> dict[str, Any]:
    """Return the decoded spec of a pod."""
    decoded: dict[str, Any] = POD.decode({"spec": {"containers": [{}], **spec}})["spec"]
    return decoded


def test_zero_values_are_left_out_where_go_omits_them() -> None:
    decoded = CONFIG_MAP.decode(
        {"metadata": {"name": "", "labels": {}, "finalizers": [], "generation": 0}, "data": {}}
    )
    assert decoded == {"metadata": {}}


def test_null_leaves_a_field_as_if_absent() -> None:
    decoded = CONFIG_MAP.decode({"metadata": {"labels": None}, "data": None, "immutable": None})
    assert decoded == {"metadata": {}}
    assert POD.decode(None) == POD.empty()


def test_null_in_a_string_map_is_an_empty_text() -> None:
    assert CONFIG_MAP.decode({"data": {"k": None}})["data"] == {"k": ""}


def test_pointers_keep_their_zero_values() -> None:
    spec = spec_of(activeDeadlineSeconds=0, automountServiceAccountToken=False, hostNetwork=False)
    assert spec["activeDeadlineSeconds"] == 0
    assert spec["automountServiceAccountToken"] is False
    assert "hostNetwork" not in spec


def test_structs_and_fields_without_omitempty_are_always_printed() -> None:
    assert POD.empty() == {"metadata": {}, "spec": {"containers": None}, "status": {}}
    assert spec_of()["containers"] == [{"name": "", "resources": {}}]


def test_an_empty_struct_behind_a_pointer_is_kept() -> None:
    assert spec_of(securityContext={}, affinity={})["securityContext"] == {}


@pytest.mark.parametrize("rules", [None, []])
def test_an_empty_list_without_omitempty_prints_null(rules: Any) -> None:
    role = codec_for("rbac.authorization.k8s.io", "v1", "Role").decode({"rules": rules})
    assert role == {"metadata": {}, "rules": None}


def test_times_and_quantities_by_value_are_printed_when_empty() -> None:
    status = POD.decode({"status": {"conditions": [{"type": "Ready"}]}})["status"]
    assert status["conditions"][0] == {
        "type": "Ready",
        "status": "",
        "lastProbeTime": None,
        "lastTransitionTime": None,
    }
    env = [{"name": "A", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}}]
    containers = spec_of(containers=[{"env": env}])["containers"]
    assert containers[0]["env"][0]["valueFrom"]["resourceFieldRef"]["divisor"] == "0"


def test_a_zero_creation_timestamp_is_left_out() -> None:
    assert CONFIG_MAP.decode({"metadata": {"creationTimestamp": None}}) == {"metadata": {}}
    assert CONFIG_MAP.decode({"metadata": {"creationTimestamp": "0001-01-01T00:00:00Z"}}) == {
        "metadata": {}
    }


def test_values_become_canonical() -> None:
    container = {
        "resources": {"limits": {"cpu": 0.5, "memory": "1024Mi", "gpu": 1}},
        "ports": [{"containerPort": 80}],
    }
    spec = spec_of(containers=[container])
    assert spec["containers"][0]["resources"]["limits"] == {
        "cpu": "500m",
        "memory": "1Gi",
        "gpu": "1",
    }
    event = codec_for("", "v1", "Event").decode({"firstTimestamp": "2024-01-01T00:00:00+01:00"})
    assert event["firstTimestamp"] == "2023-12-31T23:00:00Z"


@pytest.mark.parametrize(
    ("text", "stored"), [("aGk=", "aGk="), ("aGl=", "aGk="), ("aG\nk=\r\n", "aGk="), ("", "")]
)
def test_base64_is_checked_and_made_canonical(text: str, stored: str) -> None:
    assert CONFIG_MAP.decode({"binaryData": {"k": text}})["binaryData"]["k"] == stored


def test_raw_values_are_kept_as_they_are() -> None:
    revision = codec_for("apps", "v1", "ControllerRevision")
    data = {"a": None, "b": [], "c": {"d": 0}}
    assert revision.decode({"data": data})["data"] == data
    assert revision.decode({})["data"] is None
    assert revision.decode({"data": 0})["data"] == 0


def test_int_or_string_keeps_its_type() -> None:
    service = codec_for("", "v1", "Service")
    ports = service.decode(
        {"spec": {"ports": [{"port": 1, "targetPort": "http"}, {"port": 2, "targetPort": 8080}]}}
    )["spec"]["ports"]
    assert [port["targetPort"] for port in ports] == ["http", 8080]


def test_null_items_become_zero_values() -> None:
    assert spec_of(containers=[None])["containers"] == [{"name": "", "resources": {}}]
    assert POD.decode({"metadata": {"finalizers": [None]}})["metadata"]["finalizers"] == [""]


def test_json_schemas_decode_at_any_depth() -> None:
    crd = codec_for("apiextensions.k8s.io", "v1", "CustomResourceDefinition")
    schema = {
        "type": "object",
        "additionalProperties": False,
        "default": {"a": None},
        "properties": {
            "list": {"type": "array", "items": {"type": "string", "maximum": 1.0}},
            "map": {"additionalProperties": {"type": "integer", "enum": [1, None]}},
        },
    }
    versions = [
        {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    ]
    decoded = crd.decode({"spec": {"versions": versions}})
    assert decoded["spec"]["versions"][0]["schema"]["openAPIV3Schema"] == schema
    assert decoded["status"] == {
        "acceptedNames": {"kind": "", "plural": ""},
        "conditions": None,
        "storedVersions": None,
    }


@pytest.mark.parametrize(
    ("number", "printed"),
    [(1.0, "1"), (1, "1"), (0.5, "0.5"), (-2.0, "-2"), (2**53 + 1, str(2**53))],
)
def test_whole_floats_are_printed_without_a_fraction(number: float, printed: str) -> None:
    crd = codec_for("apiextensions.k8s.io", "v1", "CustomResourceDefinition")
    versions = [{"schema": {"openAPIV3Schema": {"maximum": number}}}]
    decoded = crd.decode({"spec": {"versions": versions}})
    schema = decoded["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    assert orjson.dumps(schema["maximum"]).decode() == printed


@pytest.mark.parametrize(
    ("codec", "value", "detail"),
    [
        (CONFIG_MAP, [], "json: cannot unmarshal array into Go value of type v1.ConfigMap"),
        (CONFIG_MAP, "x", "json: cannot unmarshal string into Go value of type v1.ConfigMap"),
        (
            CONFIG_MAP,
            {"data": "x"},
            "json: cannot unmarshal string into Go struct field ConfigMap.data "
            "of type map[string]string",
        ),
        (
            CONFIG_MAP,
            {"data": {"k": 1}},
            "json: cannot unmarshal number into Go struct field ConfigMap.data of type string",
        ),
        (
            CONFIG_MAP,
            {"metadata": {"name": True}},
            "json: cannot unmarshal bool into Go struct field ObjectMeta.metadata.name "
            "of type string",
        ),
        (
            POD,
            {"spec": {"containers": {}}},
            "json: cannot unmarshal object into Go struct field PodSpec.spec.containers "
            "of type []v1.Container",
        ),
        (
            POD,
            {"spec": {"priority": 2**31}},
            "json: cannot unmarshal number 2147483648 into Go struct field PodSpec.spec.priority "
            "of type int32",
        ),
        (
            POD,
            {"spec": {"priority": 1.0}},
            "json: cannot unmarshal number 1.0 into Go struct field PodSpec.spec.priority "
            "of type int32",
        ),
        (CONFIG_MAP, {"binaryData": {"k": "a!b="}}, "illegal base64 data at input byte 1"),
        (CONFIG_MAP, {"binaryData": {"k": "é"}}, "illegal base64 data at input byte 0"),
    ],
)
def test_a_wrong_type_is_refused_with_the_words_of_go(
    codec: TypedCodec, value: Any, detail: str
) -> None:
    with pytest.raises(DecodeError) as caught:
        codec.decode(value)
    assert caught.value.detail == detail
    kind = codec.kind
    assert caught.value.message == (
        f'{kind} in version "v1" cannot be handled as a {kind}: {detail}'
    )
    assert caught.value.code == 400


@pytest.mark.parametrize(
    "spec",
    [
        {"containers": [{"resources": {"limits": {"cpu": "lots"}}}]},
        {"containers": [{"resources": {"limits": {"cpu": []}}}]},
        {"containers": [{"livenessProbe": {"httpGet": {"port": 1.5}}}]},
        {"containers": [{"livenessProbe": {"httpGet": {"port": True}}}]},
        {"hostNetwork": "true"},
        {"terminationGracePeriodSeconds": 2**63},
        {"nodeSelector": {"a": {}}},
        {"tolerations": "x"},
    ],
)
def test_other_wrong_values_are_refused(spec: dict[str, Any]) -> None:
    with pytest.raises(DecodeError):
        POD.decode({"spec": spec})


def test_unknown_fields_are_dropped_and_told_by_path() -> None:
    report = FieldReport()
    decoded = POD.decode(
        {
            "metadata": {"name": "p", "labels": {"any": "key"}},
            "extra": 1,
            "spec": {"containers": [{"name": "c"}, {"Name": "x", "env": [{"nam": "y"}]}]},
        },
        report=report,
    )
    assert report.messages == [
        'unknown field "extra"',
        'unknown field "spec.containers[1].Name"',
        'unknown field "spec.containers[1].env[0].nam"',
    ]
    assert "extra" not in decoded
    assert decoded["spec"]["containers"][1] == {
        "name": "",
        "env": [{"name": ""}],
        "resources": {},
    }


def test_a_report_is_bounded_and_reads_as_one_error() -> None:
    report = FieldReport()
    CONFIG_MAP.decode({f"field{number}": 1 for number in range(1000)}, report=report)
    assert len(report.messages) == 100
    assert report.strict_error().startswith('strict decoding error: unknown field "field0", ')


def test_the_result_shares_nothing_with_its_input() -> None:
    revision = codec_for("apps", "v1", "ControllerRevision")
    value = {"metadata": {"labels": {"a": "b"}, "finalizers": ["f"]}, "data": {"x": [{"y": 1}]}}
    before = json.dumps(value)
    decoded = revision.decode(value)
    decoded["metadata"]["labels"]["c"] = "d"
    decoded["metadata"]["finalizers"].append("g")
    decoded["data"]["x"][0]["y"] = 2
    assert json.dumps(value) == before


def test_zero_values_are_not_shared_between_objects() -> None:
    first, second = POD.empty(), POD.empty()
    first["metadata"]["name"] = "x"
    first["spec"]["nodeName"] = "n"
    assert second == {"metadata": {}, "spec": {"containers": None}, "status": {}}


def test_kind_api_version_and_metadata_come_first() -> None:
    decoded = POD.decode({"status": {}, "spec": {}, "apiVersion": "v1", "kind": "Pod"})
    assert list(decoded)[:3] == ["kind", "apiVersion", "metadata"]


def test_too_deep_a_schema_is_refused() -> None:
    schema: dict[str, Any] = {}
    for _ in range(50_000):
        schema = {"not": schema}
    versions = [{"schema": {"openAPIV3Schema": schema}}]
    crd = codec_for("apiextensions.k8s.io", "v1", "CustomResourceDefinition")
    with pytest.raises(DecodeError):
        crd.decode({"spec": {"versions": versions}})


def test_equal_objects_are_stored_as_equal_bytes() -> None:
    one = {
        "kind": "ConfigMap",
        "apiVersion": "v1",
        "metadata": {"name": "a"},
        "data": {"x": "1", "b": ""},
    }
    other = {
        "data": {"b": "", "x": "1"},
        "metadata": {"name": "a"},
        "apiVersion": "v1",
        "kind": "ConfigMap",
    }
    assert encode(one) == encode(other)
    assert encode(one) == (
        b'{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"a"},"data":{"b":"","x":"1"}}'
    )
    assert orjson.loads(encode({"rules": None, "a": {}})) == {"a": {}, "rules": None}
    assert encode({}) == b"{}"


@pytest.mark.parametrize(
    ("group", "version", "kind"),
    [
        ("", "v1", "Binding"),
        ("", "v1", "Status"),
        ("", "v1", "PodLogOptions"),
        ("apps", "v1", "DeleteOptions"),
        ("policy", "v1", "Eviction"),
        ("autoscaling", "v1", "Scale"),
        ("autoscaling", "v2", "HorizontalPodAutoscaler"),
        ("authentication.k8s.io", "v1", "TokenRequest"),
        ("authorization.k8s.io", "v1", "SubjectAccessReview"),
        ("rbac.authorization.k8s.io", "v1", "ClusterRole"),
        ("flowcontrol.apiserver.k8s.io", "v1", "FlowSchema"),
        ("apiregistration.k8s.io", "v1", "APIService"),
        ("admission.k8s.io", "v1", "AdmissionReview"),
        ("meta.k8s.io", "v1", "ListOptions"),
    ],
)
def test_kinds_are_found(group: str, version: str, kind: str) -> None:
    codec = codec_for(group, version, kind)
    assert codec is codec_for(group, version, kind)
    assert codec.decode({}) == codec.empty()


@pytest.mark.parametrize(
    "gvk", [("example.com", "v1", "Pod"), ("apps", "v1", "Nothing"), ("apps", "v9", "Deployment")]
)
def test_other_kinds_are_unknown(gvk: tuple[str, str, str]) -> None:
    with pytest.raises(UnknownKindError):
        codec_for(*gvk)


def test_merge_facts_tell_lists_apart() -> None:
    spec = definition_of("", "v1", "Pod").replace("Pod", "PodSpec")
    containers = merge_fact(spec, "containers")
    assert (containers.patch_merge_key, containers.list_map_keys) == ("name", ("name",))
    assert merge_fact(spec, "volumes").patch_strategies == ("merge", "retainKeys")
    assert merge_fact(spec, "tolerations").list_type == "atomic"
    assert merge_fact(spec, "nosuch").list_type == ""
    assert field_type(spec, "containers") == "[]io.k8s.api.core.v1.Container"
    assert field_type(spec, "nosuch") is None
