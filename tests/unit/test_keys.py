"""Keys in etcd have kube-apiserver's layout."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.resources import (
    SplitKey,
    builtin_table,
    custom_resource,
    key_prefix,
    namespace_prefix,
    object_key,
    resource_prefix,
    split_key,
)

TABLE = builtin_table()


@pytest.mark.parametrize(
    ("group", "name", "key"),
    [
        ("", "pods", b"/registry/pods/ns/x"),
        ("", "nodes", b"/registry/minions/x"),
        ("", "services", b"/registry/services/specs/ns/x"),
        ("", "endpoints", b"/registry/services/endpoints/ns/x"),
        ("", "replicationcontrollers", b"/registry/controllers/ns/x"),
        ("apps", "deployments", b"/registry/deployments/ns/x"),
        ("networking.k8s.io", "ingresses", b"/registry/ingress/ns/x"),
        ("networking.k8s.io", "ipaddresses", b"/registry/ipaddresses/x"),
        ("rbac.authorization.k8s.io", "clusterroles", b"/registry/clusterroles/x"),
        (
            "apiextensions.k8s.io",
            "customresourcedefinitions",
            b"/registry/apiextensions.k8s.io/customresourcedefinitions/x",
        ),
        (
            "apiregistration.k8s.io",
            "apiservices",
            b"/registry/apiregistration.k8s.io/apiservices/x",
        ),
    ],
)
def test_a_builtin_object_has_its_key(group: str, name: str, key: bytes) -> None:
    resource = TABLE.get(group, "v1", name)
    assert resource is not None
    namespace = "ns" if resource.namespaced else ""
    assert object_key(resource, namespace, "x") == key


@pytest.mark.parametrize(
    ("namespaced", "key"),
    [
        (True, b"/registry/example.com/widgets/ns/x"),
        (False, b"/registry/example.com/widgets/x"),
    ],
)
def test_a_custom_object_lies_under_its_group(namespaced: bool, key: bytes) -> None:
    resource = custom_resource(
        group="example.com",
        version="v1",
        plural="widgets",
        kind="Widget",
        namespaced=namespaced,
        storage_version="v1",
    )
    assert object_key(resource, "ns", "x") == key


def test_the_etcd_prefix_can_be_written_in_any_way() -> None:
    assert resource_prefix("pods", "a/b/") == resource_prefix("pods", "/a/b") == b"/a/b/pods/"


def test_a_key_needs_name_and_namespace() -> None:
    pods = TABLE.get("", "v1", "pods")
    assert pods is not None
    with pytest.raises(ValueError, match="pods"):
        object_key(pods, "", "x")
    with pytest.raises(ValueError, match="pods"):
        object_key(pods, "ns", "")


def test_what_is_never_stored_has_no_key() -> None:
    reviews = TABLE.get("authentication.k8s.io", "v1", "tokenreviews")
    assert reviews is not None
    with pytest.raises(ValueError, match="tokenreviews"):
        key_prefix(reviews)


NAMES = st.from_regex(r"[a-z0-9]([-.a-z0-9:]*[a-z0-9])?", fullmatch=True)


@given(namespace=NAMES, name=NAMES, index=st.integers(0, 10_000))
def test_splitting_undoes_building(namespace: str, name: str, index: int) -> None:
    stored = [resource for resource in TABLE.resources() if resource.stored]
    resource = stored[index % len(stored)]
    key = object_key(resource, namespace, name)
    found = split_key(key_prefix(resource), key, namespaced=resource.namespaced)
    assert found == SplitKey(namespace if resource.namespaced else "", name)
    if resource.namespaced:
        assert key.startswith(namespace_prefix(resource, namespace))
