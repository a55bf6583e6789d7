"""A right ends at the resource, name, namespace and verb it was given for."""

from __future__ import annotations

import pytest

from tests.e2e.hostile.objects import CONFIG_MAPS, right
from tests.e2e.hostile.world import World

POD = "/api/v1/namespaces/ns/pods/pod-of-n1"
APPS = "/apis/apps/v1/namespaces/ns/deployments"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", f"{POD}/exec?command=sh"),
        ("GET", f"{POD}/exec?command=sh"),
        ("POST", f"{POD}/attach"),
        ("POST", f"{POD}/portforward"),
        ("GET", f"{POD}/log"),
        ("GET", f"{POD}/proxy/"),
        ("POST", f"{POD}/eviction"),
        ("POST", f"{POD}/binding"),
        ("PATCH", f"{POD}/status"),
        ("PATCH", f"{POD}/ephemeralcontainers"),
        ("PATCH", f"{POD}/resize"),
        ("PATCH", f"{APPS}/any/scale"),
        ("PATCH", f"{APPS}/any/status"),
        ("POST", "/api/v1/namespaces/ns/serviceaccounts/robot/token"),
        ("PUT", "/api/v1/namespaces/ns/finalize"),
        ("PATCH", "/api/v1/namespaces/ns/status"),
        ("PATCH", "/api/v1/nodes/n1/status"),
        ("GET", "/api/v1/nodes/n1/proxy/"),
        ("PATCH", "/apis/certificates.k8s.io/v1/certificatesigningrequests/any/approval"),
    ],
)
def test_a_right_to_a_resource_is_none_to_its_subresources(
    world: World, method: str, path: str
) -> None:
    whole = "pods", "serviceaccounts", "namespaces", "nodes"
    user = world.user_with(
        right("*", *whole),
        right("*", "deployments", group="apps"),
        right("*", "certificatesigningrequests", group="certificates.k8s.io"),
    )
    assert user.may("GET", POD)
    assert not user.may(method, path, {} if method != "GET" else None)


def test_to_read_exec_is_not_to_run_it(world: World) -> None:
    """The GET of a WebSocket changes the pod's world."""
    user = world.user_with(right("get", "pods", "pods/exec", "pods/attach", "pods/portforward"))
    for subresource in ("exec?command=sh&container=c", "attach", "portforward"):
        assert not user.may("GET", f"{POD}/{subresource}")


def test_named_objects_only(world: World) -> None:
    verbs = "get list watch create update patch delete deletecollection"
    user = world.user_with(right(verbs, "configmaps", names="one"), namespace="ns")
    path = "/api/v1/namespaces/ns/configmaps"
    assert user.may("GET", f"{path}/one")
    assert user.may("GET", f"{path}?fieldSelector=metadata.name%3Done")
    for method, target in (
        ("GET", f"{path}/two"),
        ("GET", path),
        ("GET", f"{path}?watch=1"),
        ("GET", "/api/v1/watch/namespaces/ns/configmaps/two"),
        ("GET", f"{path}?fieldSelector=metadata.name%3Dtwo"),
        ("GET", f"{path}?fieldSelector=metadata.name!%3Done"),
        ("GET", f"{path}?labelSelector=metadata.name%3Done"),
        ("GET", f"{path}?fieldSelector=metadata.name%3Dtwo&fieldSelector=metadata.name%3Done"),
        ("DELETE", path),
        ("DELETE", f"{path}?fieldSelector=metadata.name%3Done"),
        ("POST", path),
    ):
        body = {"metadata": {"name": "one"}} if method == "POST" else None
        assert not user.may(method, target, body), (method, target)


def test_an_update_creates_nothing(world: World) -> None:
    user = world.user_with(right("get update patch", "leases", group="coordination.k8s.io"))
    path = "/apis/coordination.k8s.io/v1/namespaces/ns/leases/new"
    lease = {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": "new", "namespace": "ns"},
    }
    assert not user.may("PUT", path, lease)


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/namespaces/other/configmaps",
        "/api/v1/configmaps",
        "/api/v1/namespaces/ns/../other/configmaps",
        "/api/v1/namespaces/ns/%2e%2e/other/configmaps",
        "/api/v1/namespaces/ns%2f..%2fother/configmaps",
        "/api/v1/namespaces//configmaps",
        "/api/v1/namespaces/NS/configmaps",
        "/api/v1/namespaces/ns/configmaps/../secrets",
        "/api/v1/namespaces/ns/secrets",
        "/api/v1/watch/namespaces/other/configmaps",
        "/api/v1/watch/configmaps",
        "//api/v1/namespaces/other/configmaps",
        "/api/v1//namespaces/other/configmaps",
        "/apis/v1/namespaces/other/configmaps",
        "/api/v1/namespaces/other/configmaps?namespace=ns",
    ],
)
def test_one_namespace_is_not_another(world: World, path: str) -> None:
    user = world.user_with(CONFIG_MAPS, namespace="ns")
    assert user.ask("GET", "/api/v1/namespaces/ns/configmaps").status == 200
    assert user.ask("GET", path).status in (301, 400, 403, 404)


def test_a_body_of_another_namespace_or_name_is_no_way_in(world: World) -> None:
    user = world.user_with(right("create update get", "configmaps"), namespace="ns")
    path = "/api/v1/namespaces/ns/configmaps"
    elsewhere = {"metadata": {"name": "x", "namespace": "other"}}
    assert user.ask("POST", path, elsewhere).status == 400
    assert user.ask("PUT", f"{path}/one", {"metadata": {"name": "two"}}).status == 400
    assert world.admin.ask("GET", "/api/v1/namespaces/other/configmaps/x").status == 404


def test_to_list_is_not_to_watch_and_to_delete_one_is_not_to_delete_all(world: World) -> None:
    user = world.user_with(right("list get delete", "configmaps"), namespace="other")
    path = "/api/v1/namespaces/other/configmaps"
    assert user.may("GET", path)
    assert not user.may("GET", f"{path}?watch=true")
    assert not user.may("DELETE", path)


def test_asking_what_others_may_is_a_right_too(world: World) -> None:
    user = world.user_with(CONFIG_MAPS)
    spec = {"user": "admin", "resourceAttributes": {"verb": "get", "resource": "pods"}}
    head = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview"}
    path = "/apis/authorization.k8s.io/v1"
    assert not user.may("POST", f"{path}/subjectaccessreviews", {**head, "spec": spec})
    local = {**head, "kind": "LocalSubjectAccessReview", "spec": spec}
    assert not user.may("POST", f"{path}/namespaces/ns/localsubjectaccessreviews", local)


def test_without_a_token_there_is_little_to_see(world: World) -> None:
    def status(path: str) -> int:
        return world.admin.connection.ask("GET", path).status

    assert status("/version") == 200
    for path in ("/api/v1/namespaces", "/metrics", "/apis", "/openapi/v2", "/api/v1/nodes/n1"):
        assert status(path) == 403
