"""The table of resources: what is served, in which order, and how it changes."""

from __future__ import annotations

import pytest

from shared.resources import (
    BUILTIN_PRIORITIES,
    BUILTIN_RESOURCES,
    GroupVersionKind,
    GroupVersionResource,
    Priority,
    RemoteVersion,
    Resource,
    ResourceTable,
    builtin_table,
    custom_resource,
    key_prefix,
    selection_rules,
)
from shared.resources.groups import version_rank


@pytest.fixture
def table() -> ResourceTable:
    return builtin_table()


def widget(version: str = "v1", group: str = "example.com") -> Resource:
    return custom_resource(
        group=group,
        version=version,
        plural="widgets",
        kind="Widget",
        namespaced=True,
        storage_version="v1",
        status=True,
        scale=True,
        selectable_fields=[".spec.color"],
    )


def test_groups_come_by_priority_and_the_core_group_is_not_among_them(
    table: ResourceTable,
) -> None:
    names = [group.name for group in table.groups()]
    assert names[:4] == ["apiregistration.k8s.io", "apps", "events.k8s.io", "authentication.k8s.io"]
    assert names[-2:] == ["resource.k8s.io", "flowcontrol.apiserver.k8s.io"]
    assert names.index("admissionregistration.k8s.io") < names.index("apiextensions.k8s.io")
    assert "" not in names


def test_the_preferred_version_comes_first(table: ResourceTable) -> None:
    group = table.group("autoscaling")
    assert group is not None
    assert group.versions == ("v2", "v1")


def test_every_builtin_group_version_has_a_priority() -> None:
    served = {(resource.group, resource.version) for resource in BUILTIN_RESOURCES}
    assert served == set(BUILTIN_PRIORITIES)


def test_a_resource_is_found_by_url_and_by_kind(table: ResourceTable) -> None:
    by_url = table.get("apps", "v1", "deployments")
    assert by_url is not None
    assert by_url is table.by_kind("apps", "v1", "Deployment")
    assert by_url.gvr == GroupVersionResource("apps", "v1", "deployments")
    assert by_url.group_resource == "deployments.apps"
    assert by_url.definition == "io.k8s.api.apps.v1.Deployment"
    assert table.get("apps", "v2", "deployments") is None
    assert table.by_kind("", "v1", "Deployment") is None


def test_both_event_apis_are_one_stored_resource(table: ResourceTable) -> None:
    core, events = table.get("", "v1", "events"), table.get("events.k8s.io", "v1", "events")
    assert core is not None
    assert events is not None
    assert key_prefix(core) == key_prefix(events) == b"/registry/events/"
    assert core.storage == events.storage == GroupVersionKind("", "v1", "Event")
    assert events.field_labels["regarding.kind"] == core.field_labels["involvedObject.kind"]
    assert "involvedObject.kind" not in events.field_labels


def test_both_autoscaler_versions_are_stored_as_v2(table: ResourceTable) -> None:
    versions = table.versions_of("autoscaling", "horizontalpodautoscalers")
    assert [one.version for one in versions] == ["v2", "v1"]
    assert {one.storage and one.storage.version for one in versions} == {"v2"}


def test_reviews_are_never_stored() -> None:
    never = {resource.name for resource in BUILTIN_RESOURCES if not resource.stored}
    assert never == {
        "bindings",
        "componentstatuses",
        "localsubjectaccessreviews",
        "selfsubjectaccessreviews",
        "selfsubjectreviews",
        "selfsubjectrulesreviews",
        "subjectaccessreviews",
        "tokenreviews",
    }


def test_prefixes_are_unique_among_storage_kinds() -> None:
    kinds: dict[bytes, GroupVersionKind | None] = {}
    for resource in BUILTIN_RESOURCES:
        if resource.stored:
            assert kinds.setdefault(key_prefix(resource), resource.storage) == resource.storage


def test_versions_are_ordered_as_kubernetes_does() -> None:
    versions = ["foo10", "v1alpha1", "v12alpha1", "v3beta1", "v1", "v11", "v11beta2", "v10", "foo1"]
    assert sorted(versions, key=version_rank) == [
        "v11",
        "v10",
        "v1",
        "v11beta2",
        "v3beta1",
        "v12alpha1",
        "v1alpha1",
        "foo1",
        "foo10",
    ]


def test_custom_groups_come_after_the_builtin_ones_by_name(table: ResourceTable) -> None:
    for group in ("b.example.com", "a.example.com"):
        for version in ("v1alpha1", "v2", "v1"):
            table.add(widget(version, group))
    assert [group.name for group in table.groups()][-2:] == ["a.example.com", "b.example.com"]
    found = table.group("a.example.com")
    assert found is not None
    assert found.versions == ("v2", "v1", "v1alpha1")


def test_an_apiservice_can_reorder_groups_and_let_go_again(table: ResourceTable) -> None:
    table.add(widget())
    table.set_priority("example.com", "v1", Priority(17790, 15))
    names = [group.name for group in table.groups()]
    assert names[1:3] == ["apps", "example.com"]
    table.set_priority("example.com", "v1", None)
    assert table.groups()[-1].name == "example.com"


def test_each_change_raises_the_generation_and_no_other_call_does(table: ResourceTable) -> None:
    before = table.generation
    resource = widget()
    table.add(resource)
    added = table.generation
    assert added > before
    table.groups()
    table.resources()
    assert table.generation == added
    table.discard(resource.gvr)
    gone = table.generation
    assert gone > added
    table.discard(resource.gvr)
    assert table.generation == gone
    assert table.group("example.com") is None


def test_a_remote_version_is_listed_but_has_no_resources_here(table: ResourceTable) -> None:
    table.set_remote(RemoteVersion("metrics.k8s.io", "v1beta1"))
    group = table.group("metrics.k8s.io")
    assert group is not None
    assert group.versions == ("v1beta1",)
    assert table.in_version("metrics.k8s.io", "v1beta1") == []
    table.discard_remote("metrics.k8s.io", "v1beta1")
    assert table.group("metrics.k8s.io") is None


def test_a_custom_resource_gets_kubernetes_defaults() -> None:
    resource = custom_resource(
        group="example.com",
        version="v1",
        plural="widgets",
        kind="Widget",
        namespaced=False,
        storage_version="v2",
        scale=True,
    )
    assert (resource.singular, resource.list_kind) == ("widget", "WidgetList")
    assert resource.definition == "com.example.v1.Widget"
    assert resource.storage == GroupVersionKind("example.com", "v2", "Widget")
    assert list(resource.subresources) == ["scale"]
    assert resource.verbs[0] == "delete"


@pytest.mark.parametrize(
    ("group", "name", "accepted", "refused"),
    [
        ("", "pods", "spec.host", "status.qosClass"),
        ("", "pods", "status.podIPs", "status.hostIP"),
        ("", "nodes", "spec.unschedulable", "metadata.namespace"),
        ("", "namespaces", "status.phase", "metadata.namespace"),
        ("", "replicationcontrollers", "status.replicas", "spec.replicas"),
        ("apps", "replicasets", "metadata.namespace", "status.replicas"),
        ("batch", "jobs", "status.successful", "status.succeeded"),
        ("", "services", "spec.clusterIP", "spec.sessionAffinity"),
        ("rbac.authorization.k8s.io", "clusterroles", "metadata.namespace", "rules"),
        ("certificates.k8s.io", "certificatesigningrequests", "spec.signerName", "spec.username"),
        ("resource.k8s.io", "resourceslices", "spec.driver", "spec.pool"),
    ],
)
def test_field_selectors_know_what_the_kind_declares(
    table: ResourceTable, group: str, name: str, accepted: str, refused: str
) -> None:
    resource = table.get(group, "v1", name)
    assert resource is not None
    assert accepted in resource.field_labels
    assert refused not in resource.field_labels


def test_every_label_leads_to_an_extracted_field(table: ResourceTable) -> None:
    for resource in table.resources():
        extracted = {one.name for one in resource.selectable}
        wanted = set(resource.field_labels.values()) - {"metadata.name", "metadata.namespace"}
        assert wanted <= extracted


def test_selection_rules_are_by_prefix_and_versions_agree() -> None:
    rules = selection_rules(BUILTIN_RESOURCES, "/other")
    pod_fields = {one.name: one for one in rules[b"/other/pods/"]}
    assert pod_fields["spec.hostNetwork"].default == "false"
    assert pod_fields["status.phase"].path == ("status", "phase")
    event_source = {one.name: one for one in rules[b"/other/events/"]}["source"]
    assert event_source.fallback == ("reportingComponent",)
    assert b"/other/configmaps/" not in rules
    for resource in BUILTIN_RESOURCES:
        if resource.stored:
            prefix = key_prefix(resource, "/other")
            assert rules.get(prefix, ()) == resource.selectable
