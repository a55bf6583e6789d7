"""RequestInfo: one request a row."""

from __future__ import annotations

from urllib.parse import parse_qs

import pytest

from services.apiserver.requestinfo import RequestInfo
from services.apiserver.stages.resolve import request_info


def info(method: str, target: str) -> RequestInfo:
    path, _, query = target.partition("?")
    return request_info(method, path, parse_qs(query, keep_blank_values=True))


def resource(found: RequestInfo) -> str:
    """Verb, group/version, namespace, resource/subresource and name in one line."""
    group_version = f"{found.group}/{found.version}".lstrip("/")
    what = "/".join(filter(None, (found.resource, found.subresource)))
    return " ".join((found.verb, group_version, found.namespace or "-", what, found.name or "-"))


SCALE = "update apps/v1 ns deployments/scale a"


@pytest.mark.parametrize(
    ("method", "target", "expected"),
    [
        # Core and named groups, with and without a namespace.
        ("GET", "/api/v1/namespaces/ns/pods", "list v1 ns pods -"),
        ("GET", "/api/v1/namespaces/ns/pods/a", "get v1 ns pods a"),
        ("GET", "/api/v1/pods", "list v1 - pods -"),
        ("GET", "/api/v1/nodes/a", "get v1 - nodes a"),
        ("GET", "/apis/apps/v1/namespaces/ns/deployments/a", "get apps/v1 ns deployments a"),
        ("GET", "/apis/apps/v1/deployments", "list apps/v1 - deployments -"),
        ("GET", "/api/v1/pods/", "list v1 - pods -"),
        # Verbs.
        ("HEAD", "/api/v1/namespaces/ns/pods/a", "get v1 ns pods a"),
        ("POST", "/api/v1/namespaces/ns/pods", "create v1 ns pods -"),
        ("PUT", "/api/v1/namespaces/ns/pods/a", "update v1 ns pods a"),
        ("PATCH", "/api/v1/namespaces/ns/pods/a", "patch v1 ns pods a"),
        ("DELETE", "/api/v1/namespaces/ns/pods/a", "delete v1 ns pods a"),
        ("DELETE", "/api/v1/namespaces/ns/pods", "deletecollection v1 ns pods -"),
        ("OPTIONS", "/api/v1/namespaces/ns/pods", " v1 ns pods -"),
        ("get", "/api/v1/namespaces/ns/pods", " v1 ns pods -"),
        # Watches: by the query, or by the older path.
        ("GET", "/api/v1/pods?watch=1", "watch v1 - pods -"),
        ("GET", "/api/v1/pods?watch=true", "watch v1 - pods -"),
        ("GET", "/api/v1/pods?watch", "watch v1 - pods -"),
        ("GET", "/api/v1/pods?watch=", "watch v1 - pods -"),
        ("GET", "/api/v1/pods?watch=0", "list v1 - pods -"),
        ("GET", "/api/v1/pods?watch=False", "list v1 - pods -"),
        ("GET", "/api/v1/pods?watch=0&watch=1", "list v1 - pods -"),
        ("GET", "/api/v1/namespaces/ns/pods/a?watch=1", "get v1 ns pods a"),
        ("POST", "/api/v1/namespaces/ns/pods?watch=1", "create v1 ns pods -"),
        ("GET", "/api/v1/watch/pods", "watch v1 - pods -"),
        ("GET", "/api/v1/watch/namespaces/ns/pods", "watch v1 ns pods -"),
        ("GET", "/api/v1/watch/namespaces/ns/pods/a", "watch v1 ns pods a"),
        ("GET", "/apis/apps/v1/watch/deployments", "watch apps/v1 - deployments -"),
        ("GET", "/api/v1/watch/namespaces/ns", "watch v1 ns namespaces ns"),
        ("GET", "/api/v1/watch/namespaces", "watch v1 - namespaces -"),
        ("POST", "/api/v1/watch/pods", "watch v1 - pods -"),
        # A field selector of one name is as good as the name, for authorization.
        ("GET", "/api/v1/pods?watch=1&fieldSelector=metadata.name=a", "watch v1 - pods a"),
        ("GET", "/api/v1/pods?fieldSelector=metadata.name%3D%3Da", "list v1 - pods a"),
        ("GET", "/api/v1/pods?fieldSelector=spec.nodeName=n,metadata.name=a", "list v1 - pods a"),
        ("GET", "/api/v1/pods?fieldSelector=metadata.name!=a", "list v1 - pods -"),
        ("GET", "/api/v1/pods?fieldSelector=spec.x=metadata.name", "list v1 - pods -"),
        ("GET", "/api/v1/pods?fieldSelector=metadata.name=..", "list v1 - pods -"),
        # A comma within a value does not begin another term: this selects everything.
        ("GET", r"/api/v1/pods?fieldSelector=spec.x!=\,metadata.name=a", "list v1 - pods -"),
        ("GET", "/api/v1/pods?fieldSelector=metadata.name=a,x", "list v1 - pods -"),
        # Nor is a name looked for in what no client sends.
        ("GET", f"/api/v1/pods?fieldSelector=metadata.name=a{',b=c' * 2000}", "list v1 - pods -"),
        # Namespaces themselves: their namespace is their name.
        ("GET", "/api/v1/namespaces", "list v1 - namespaces -"),
        ("GET", "/api/v1/namespaces/ns", "get v1 ns namespaces ns"),
        ("DELETE", "/api/v1/namespaces/ns", "delete v1 ns namespaces ns"),
        ("PUT", "/api/v1/namespaces/ns/status", "update v1 ns namespaces/status ns"),
        ("PUT", "/api/v1/namespaces/ns/finalize", "update v1 ns namespaces/finalize ns"),
        ("GET", "/api/v1/namespaces/ns/other", "list v1 ns other -"),
        # Subresources.
        ("GET", "/api/v1/namespaces/ns/pods/a/log", "get v1 ns pods/log a"),
        ("PUT", "/apis/apps/v1/namespaces/ns/deployments/a/scale", SCALE),
        ("PUT", "/apis/apps/v1/namespaces/ns/deployments/a/scale/", SCALE),
        ("GET", "/api/v1/nodes/a/proxy/b/c", "get v1 - nodes/proxy a"),
        ("DELETE", "/api/v1/namespaces/ns/pods/a/status", "delete v1 ns pods/status a"),
        # The old proxy prefix keeps its own verb.
        ("GET", "/api/v1/proxy/nodes/a", "proxy v1 - nodes a"),
        # Names are taken as they stand.
        ("GET", "/api/v1/namespaces/../pods", "list v1 .. pods -"),
        ("GET", "/api/v1/namespaces/ns/pods/%", "get v1 ns pods %"),
    ],
)
def test_a_resource_request_is_taken_apart(method: str, target: str, expected: str) -> None:
    found = info(method, target)
    assert found.is_resource_request
    assert resource(found) == expected


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "",
        "*",
        "/api",
        "/api/v1",
        "/apis/",
        "/apis/apps",
        "/apis/apps/v1",
        "/api/v1/watch",
        "/apis/apps/v1/proxy/",
        "/healthz/ping",
        "/version",
        "/openapi/v3/api/v1/pods",
        "/API/v1/pods",
        "//api/v1/pods",
        "/api//v1/pods",
        "/api/v1//pods",
        "/api/v1/namespaces//pods",
    ],
)
def test_every_other_path_is_no_resource(path: str) -> None:
    found = info("GET", path)
    assert (found.is_resource_request, found.path, found.verb) == (False, path, "get")


def test_the_verb_of_no_resource_is_the_method() -> None:
    assert info("POST", "/version").verb == "post"
    assert info("PROPFIND", "/version").verb == "propfind"


@pytest.mark.parametrize(
    ("target", "parts", "by_path"),
    [
        ("/api/v1/namespaces/ns/pods/a/log", ("pods", "a", "log"), False),
        ("/api/v1/nodes/a/proxy/b/c", ("nodes", "a", "proxy", "b", "c"), False),
        ("/api/v1/watch/namespaces/ns/pods/a", ("pods", "a"), True),
        ("/api/v1/pods?watch=1&fieldSelector=metadata.name=a", ("pods",), False),
        ("/api/v1/namespaces/ns", ("namespaces", "ns"), False),
    ],
)
def test_the_parts_behind_the_version_are_kept(
    target: str, parts: tuple[str, ...], by_path: bool
) -> None:
    found = info("GET", target)
    assert (found.parts, found.is_watch_path) == (parts, by_path)
