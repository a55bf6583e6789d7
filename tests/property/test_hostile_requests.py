"""Paths, queries, headers and tokens that no client should send."""

from __future__ import annotations

import base64
import json
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.property.hostile import CONFIGMAPS, JSON_PATCH, MERGE_PATCH, Hostile

bounded = settings(max_examples=150, deadline=None)

KEPT = f"{CONFIGMAPS}/kept"
ABSENT = f"{CONFIGMAPS}/absent"
PODS = "/api/v1/namespaces/default/pods"
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "LINK")

# -- paths -----------------------------------------------------------------------------

PATHS: dict[str, int] = {
    "*": 404,
    "//": 404,
    "//api/v1/pods": 404,
    "/api//v1": 404,
    "/api/v1//pods": 404,
    "/api/v1/namespaces//pods": 404,
    "/api/v1/pods/": 200,
    f"{PODS}/..": 400,
    f"{PODS}/.": 400,
    f"{PODS}/%2e%2e": 400,
    f"{PODS}/%2E": 400,
    f"{PODS}/%25": 400,
    f"{PODS}/%": 400,
    f"{PODS}/%zz": 400,
    f"{PODS}/a%252fb": 400,
    f"{PODS}/a%2fb": 404,
    f"{PODS}/%00": 404,
    f"{PODS}/%ff%fe": 404,
    f"{PODS}/%F0%9F%98%80": 404,
    f"{PODS}/{'x' * 60_000}": 404,
    f"{PODS}/..%2f..%2fkube-system%2fsecrets": 404,
    "/api/v1/namespaces/stays/../kube-system/secrets": 404,
    "/api/v1/namespaces/%2e%2e": 400,
    "/api/v1/" + "a/" * 20_000: 404,
    "/api/v1/watch": 404,
    "/api/v1/watch/watch": 404,
    "/api/v1/watch/pods/x/y": 404,
    f"{PODS}/x/status/y": 404,
    "/api/v2/pods": 404,
    "/apis/nothing/v1/x": 404,
    "/apis/apps/v9/deployments": 404,
    "/healthz/../metrics": 404,
    "/healthz/nothing": 404,
    "/openapi/v3/../../etc/passwd": 404,
    "/openapi/v3/apis/nothing": 404,
    "http://elsewhere/api/v1/pods": 200,
    "/debug/pprof": 404,
}


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path[:60])
def test_an_odd_path_gets_its_answer(path: str, hostile: Hostile) -> None:
    assert hostile.ask("GET", path).status == PATHS[path]
    for method in METHODS:
        body = b"{}" if method in ("POST", "PUT", "PATCH") else None
        hostile.ask(method, path, body)


path_parts = st.lists(
    st.sampled_from(
        [
            *("api", "apis", "v1", "apps", "namespaces", "default", "pods", "configmaps", "kept"),
            *("watch", "proxy", "status", "scale", "log", "deployments", "absent", "openapi", "v3"),
            *("", ".", "..", "%2e%2e", "%2f", "%00", "%", "%25", "*", "%C3%A4", ";", "a"),
        ]
    ),
    max_size=8,
)


@bounded
@given(parts=path_parts, method=st.sampled_from(METHODS))
def test_any_path_is_answered(hostile_client: Hostile, parts: list[str], method: str) -> None:
    target = "/" + "/".join(parts)
    if "watch" in parts:
        target += "?timeoutSeconds=1&resourceVersion=x"
    if method in ("POST", "PUT", "PATCH", "DELETE"):
        target += "&dryRun=All" if "?" in target else "?dryRun=All"
    hostile_client.ask(method, target, b"{}" if method == "POST" else None)


# -- queries ---------------------------------------------------------------------------

NUMBERS = ["", "-1", "0", "1", "01", "+1", "1.5", "1e3", "1_0", "0x1", "abc", "9" * 30, "²", "١"]
OPTIONS = {
    "limit": NUMBERS,
    "timeoutSeconds": NUMBERS,
    "gracePeriodSeconds": NUMBERS,
    "resourceVersion": ["", "-1", "0", "1", "01", "abc", "9" * 30, "1.5", "²", "١", " 1", "\x00"],
    "resourceVersionMatch": ["", "Exact", "exact", "NotOlderThan", "\x00"],
    "sendInitialEvents": ["", "x", "true", "false"],
    "allowWatchBookmarks": ["", "x", "true", "0"],
    "labelSelector": ["", "a", "!", "a in (", "=,=", "a=b,", "a\x00=b", "é", "a>1", "a in ()"],
    "fieldSelector": ["", "a", "metadata.name=", "metadata.name=..", "metadata.name=a/b", "=\\"],
    "continue": ["", "x", "AAAA", "é", "e30"],
    "dryRun": ["", "x", "All"],
    "fieldManager": ["", "x" * 200, "\x00", "é"],
    "fieldValidation": ["", "x", "Strict", "Warn", "Ignore"],
    "propagationPolicy": ["", "x", "Orphan", "Background", "Foreground"],
    "orphanDependents": ["", "x", "true", "0"],
    "force": ["", "x", "true"],
    "pretty": ["", "x", "1"],
    "includeObject": ["", "x", "None"],
    "nothing": ["", "x"],
}
ASKING: tuple[tuple[str, str, bytes | None, str], ...] = (
    ("GET", CONFIGMAPS, None, ""),
    ("GET", KEPT, None, ""),
    ("GET", f"{CONFIGMAPS}?watch=1", None, ""),
    ("POST", f"{CONFIGMAPS}?dryRun=All", b'{"metadata":{"generateName":"x"}}', "application/json"),
    ("PUT", f"{KEPT}?dryRun=All", b'{"metadata":{"name":"kept"}}', "application/json"),
    ("PATCH", f"{KEPT}?dryRun=All", b"{}", MERGE_PATCH),
    ("PATCH", f"{KEPT}?dryRun=All", b"[]", JSON_PATCH),
    ("DELETE", ABSENT, None, ""),
    ("DELETE", f"{PODS}/absent", None, ""),
    ("DELETE", "/api/v1/namespaces/absent/configmaps", None, ""),
)


def ask_with(client: Hostile, asking: Any, query: str) -> int:
    method, target, body, content_type = asking
    if "watch=1" in target:
        # A watch that is not refused ends by itself, at once.
        query += "&timeoutSeconds=1" if "timeoutSeconds" not in query else ""
    target += ("&" if "?" in target else "?") + query
    return client.ask(method, target, body, content_type or "application/json").status


options = st.lists(
    st.sampled_from(sorted(OPTIONS)).flatmap(
        lambda name: st.tuples(st.just(name), st.sampled_from(OPTIONS[name]))
    ),
    max_size=4,
)


@bounded
@given(asking=st.sampled_from([one for one in ASKING if "watch" not in one[1]]), pairs=options)
def test_any_options_are_answered(
    hostile_client: Hostile, asking: Any, pairs: list[tuple[str, str]]
) -> None:
    ask_with(hostile_client, asking, "&".join(f"{name}={quote(value)}" for name, value in pairs))


@pytest.mark.parametrize(
    "query",
    [
        "resourceVersion=abc",
        "resourceVersion=-1",
        "resourceVersion=" + "9" * 30,
        "labelSelector=a%20in%20(",
        "fieldSelector=nothing%3D1",
        "sendInitialEvents=true",
        "resourceVersionMatch=Exact&sendInitialEvents=true",
        "resourceVersionMatch=NotOlderThan",
        "continue=x&limit=x",
        "limit=x",
    ],
)
def test_a_watch_with_bad_options_is_refused(query: str, hostile: Hostile) -> None:
    assert hostile.ask("GET", f"{CONFIGMAPS}?watch=1&{query}").status >= 400


@bounded
@given(query=st.binary(max_size=40).map(lambda raw: raw.translate(None, b" \r\n#\x00")))
@example(query=b"&&&=&=&;")
@example(query=b"%&%zz&%FF=%FE&" + b"a=1&" * 900)
@example(query=b"labelSelector=%ED%A0%80&fieldSelector=metadata.name%3D%FF")
@example(query=b"labelSelector=a&" * 500 + b"limit=1&limit=x")
def test_any_query_is_answered(hostile_client: Hostile, query: bytes) -> None:
    hostile_client.ask("GET", CONFIGMAPS.encode() + b"?" + query)
    hostile_client.ask("DELETE", ABSENT.encode() + b"?" + query)


def test_more_parameters_than_any_client_sends_are_refused(hostile: Hostile) -> None:
    assert hostile.ask("GET", f"{CONFIGMAPS}?{'a=1&' * 5000}").status == 400


@pytest.mark.parametrize(
    "selector",
    [
        "a" * 100_000,
        "a," * 25_000 + "a",
        "!" * 100_000,
        "(" * 100_000,
        "a in (" + "b," * 25_000 + "c)",
        "a=" + "b" * 100_000,
        "," * 100_000,
        "\\" * 60_000,
        "a!=b," * 15_000 + "a!=b",
    ],
    ids=lambda selector: selector[:12],
)
def test_a_selector_of_a_hundred_thousand_characters_is_answered(
    selector: str, hostile: Hostile
) -> None:
    for name in ("labelSelector", "fieldSelector"):
        hostile.ask("GET", f"{CONFIGMAPS}?{name}={quote(selector)}")
    hostile.ask("GET", f"{CONFIGMAPS}?fieldSelector=metadata.name%3D{quote(selector)}")


# -- continue tokens -------------------------------------------------------------------


def token(value: Any) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


STARTS = ["", "/", "..", "/../x\x00", "/a/../../x\x00", "/a/./b", "//", "\ud800", 5, None, [], {}]


@pytest.mark.parametrize("revision", [1, -1, "now"])
@pytest.mark.parametrize("start", STARTS, ids=repr)
def test_a_forged_continue_token_shows_nothing_of_other_namespaces(
    revision: Any, start: Any, hostile: Hostile
) -> None:
    """The objects kept in the namespace `stays` come after those of `default`."""
    if revision == "now":
        revision = int(hostile.ask("GET", CONFIGMAPS).object["metadata"]["resourceVersion"])
    forged = token({"v": "meta.k8s.io/v1", "rv": revision, "start": start})
    answer = hostile.ask("GET", f"{CONFIGMAPS}?continue={forged}")
    if answer.status == 200:
        for item in answer.object["items"]:
            assert item["metadata"]["namespace"] == "default"


@bounded
@given(
    value=st.binary(max_size=30)
    | st.fixed_dictionaries(
        {},
        optional={
            "v": st.sampled_from(["meta.k8s.io/v1", "", 1]),
            "rv": st.sampled_from([0, -1, 1, -(2**63), -(2**64), 1.5, True, "1", None]),
            "start": st.text(max_size=10) | st.sampled_from(STARTS),
        },
    ),
    limit=st.sampled_from(["", "&limit=1", "&limit=0"]),
)
@example(value=b"[" * 50_000, limit="")
def test_any_continue_token_is_answered(hostile_client: Hostile, value: Any, limit: str) -> None:
    hostile_client.ask("GET", f"{CONFIGMAPS}?continue={token(value)}{limit}")


@pytest.mark.parametrize("version", [2**63 - 1, 2**63, 2**64 - 1])
def test_a_version_far_in_the_future_is_waited_for_a_moment(version: int, hostile: Hostile) -> None:
    assert hostile.ask("GET", f"{KEPT}?resourceVersion={version}").status == 504


@pytest.mark.parametrize("version", [2**63 - 1, 2**63, 2**64 - 1])
def test_a_watch_from_far_in_the_future_is_silent(version: int, hostile: Hostile) -> None:
    query = f"watch=1&timeoutSeconds=1&resourceVersion={version}"
    answer = hostile.ask("GET", f"{CONFIGMAPS}?{query}")
    assert (answer.status, answer.body) == (200, b"")


# -- headers ---------------------------------------------------------------------------

HEADER_NAMES = (
    *(b"Accept", b"Accept-Encoding", b"Authorization", b"Connection", b"If-None-Match"),
    *(b"User-Agent", b"X-Remote-User", b"Impersonate-User", b"Upgrade", b"Cookie", b"Range"),
    *(b"X-Forwarded-For", b"Content-Encoding", b"Expect"),
)
HEADER_VALUES = (
    *(b"", b"*", b"*/*", b"text/html", b"a/b/c", b"application/json;as=Table", b",,,", b";;;"),
    *(b"application/json;as=Table;g=meta.k8s.io;v=v1", b"application/json;q=abc", b"=" * 1000),
    *(
        b"application/json;q=1e99999",
        b"application/json;q=" + b"9" * 500,
        b"application/json," * 999,
    ),
    *(
        b"application/vnd.kubernetes.protobuf",
        b"application/yaml",
        b"application/json;stream=watch",
    ),
    *(b"application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1", b"Bearer", b"Bearer  "),
    *(b"Bearer x", b"Basic eDp5", b"bearer \xff\xfe", b"gzip", b"gzip;q=0", b"upgrade", b"h2c"),
    *(b"websocket", b'"', b"\\", b"\xff\xfe", b"a\tb", b"x" * 60_000, b"keep-alive, upgrade"),
)
READING = (CONFIGMAPS, KEPT, "/apis", "/version", "/openapi/v3", f"{PODS}/absent")


@bounded
@given(
    path=st.sampled_from(READING),
    headers=st.lists(
        st.tuples(
            st.sampled_from(HEADER_NAMES),
            st.sampled_from(HEADER_VALUES)
            | st.binary(max_size=20).map(lambda raw: bytes(byte for byte in raw if byte > 31)),
        ),
        max_size=3,
    ),
)
def test_any_headers_are_answered(
    hostile_client: Hostile, path: str, headers: list[tuple[bytes, bytes]]
) -> None:
    kept = tuple(header for header in headers if b"\x7f" not in header[1])
    hostile_client.ask("GET", path, headers=kept)


@pytest.mark.parametrize(
    "credentials", [b"Bearer x", b"Bearer " + b"x" * 60_000, b"Bearer \xff", b"bearer x y"]
)
def test_wrong_credentials_are_never_taken_for_none(credentials: bytes, hostile: Hostile) -> None:
    answer = hostile.ask("GET", KEPT, headers=((b"Authorization", credentials),))
    assert answer.status == 401


@pytest.mark.parametrize("name", [b"X-Remote-User", b"X-Remote-Group", b"Impersonate-User"])
def test_who_is_not_trusted_cannot_name_the_user(name: bytes, hostile: Hostile) -> None:
    anonymous = (b"Authorization", b"Basic eDp5")
    headers = (anonymous, (name, b"admin"), (b"X-Remote-Group", b"system:masters"))
    assert hostile.ask("GET", KEPT, headers=headers).status in (401, 403)


@pytest.fixture(scope="module", autouse=True)
def server_is_well_in_the_end(hostile_client: Hostile) -> Any:
    yield
    hostile_client.check_the_server_is_well()
