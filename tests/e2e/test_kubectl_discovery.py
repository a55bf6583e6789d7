"""kubectl explain, api-resources, api-versions, cluster-info, version."""

from __future__ import annotations

import json

from tests.e2e.kubectl import Kubectl


def test_api_resources_lists_kinds_with_their_short_names(admin: Kubectl) -> None:
    shown = {(row["NAME"], row["APIVERSION"]): row for row in admin.rows_of("api-resources")}
    assert shown["pods", "v1"]["SHORTNAMES"] == "po"
    assert shown["deployments", "apps/v1"] == {
        "NAME": "deployments",
        "SHORTNAMES": "deploy",
        "APIVERSION": "apps/v1",
        "NAMESPACED": "true",
        "KIND": "Deployment",
    }
    assert shown["namespaces", "v1"]["NAMESPACED"] == "false"
    assert {
        ("leases", "coordination.k8s.io/v1"),
        ("roles", "rbac.authorization.k8s.io/v1"),
        ("jobs", "batch/v1"),
        ("ingresses", "networking.k8s.io/v1"),
    } <= shown.keys()


def test_api_resources_can_be_filtered(admin: Kubectl) -> None:
    out = admin("api-resources", "--api-group=apps", "--namespaced", "-o", "name")
    assert "deployments.apps" in out.split()
    assert "pods" not in out.split()
    out = admin("api-resources", "--verbs=list,watch", "--namespaced=false", "-o", "name").split()
    assert {"nodes", "namespaces"} <= set(out)
    assert "tokenreviews.authentication.k8s.io" not in out


def test_api_versions_lists_group_versions(admin: Kubectl) -> None:
    versions = admin("api-versions").split()
    assert {"v1", "apps/v1", "batch/v1", "autoscaling/v2"} <= set(versions)


def test_explain_describes_fields(admin: Kubectl) -> None:
    shown = admin("explain", "pod.spec.containers.image")
    assert "KIND:       Pod" in shown
    assert "FIELD: image <string>" in shown
    assert "Container image name" in shown
    shown = admin("explain", "deployment")
    assert "GROUP:      apps" in shown
    assert "spec\t<DeploymentSpec>" in shown


def test_explain_recursively_shows_the_whole_tree(admin: Kubectl) -> None:
    shown = admin("explain", "deployment", "--recursive")
    assert "terminationGracePeriodSeconds" in shown
    assert "readinessProbe" in shown
    refused = admin.fails("explain", "deployment.spec.nonsense")
    assert 'field "nonsense" does not exist' in refused


def test_cluster_info_and_version_name_the_server(admin: Kubectl, server_url: str) -> None:
    assert server_url in admin("cluster-info")
    version = json.loads(admin("version", "-o", "json"))["serverVersion"]
    assert (version["major"], version["minor"]) == ("1", "36")
    assert version["gitVersion"].startswith("v1.36.2")
