"""How /openapi answers: index, hashes, caching, negotiation, and both encodings."""

from __future__ import annotations

import asyncio
import gzip
import json
from typing import Any

import pytest

from services.apiserver.discovery import DocumentResponse
from services.apiserver.openapi import OpenApi
from shared.resources import Resource, ResourceTable, builtin_table, custom_resource

V3_PROTOBUF = "application/com.github.proto-openapi.spec.v3.v1.0+protobuf"
V2_PROTOBUF = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
LEASES = "/openapi/v3/apis/coordination.k8s.io/v1"


@pytest.fixture
def table() -> ResourceTable:
    return builtin_table()


@pytest.fixture
def openapi(table: ResourceTable) -> OpenApi:
    return OpenApi(table)


def ask(openapi: OpenApi, path: str, query: str = "", **headers: str) -> DocumentResponse:
    named = {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}
    wanted = {"hash": [query]} if query else {}
    answer = asyncio.run(openapi.answer(path, wanted, named))
    assert answer is not None
    return answer


def header(answer: DocumentResponse, name: bytes) -> str | None:
    found = dict(answer.headers).get(name)
    return None if found is None else found.decode()


def index(openapi: OpenApi) -> dict[str, str]:
    paths = json.loads(ask(openapi, "/openapi/v3").body)["paths"]
    return {key: entry["serverRelativeURL"] for key, entry in paths.items()}


def widgets(version: str = "v1", plural: str = "widgets") -> Resource:
    return custom_resource(
        group="example.com",
        version=version,
        plural=plural,
        kind=plural.title().removesuffix("s"),
        namespaced=True,
        storage_version="v1",
    )


def test_the_index_names_every_document_with_its_hash(openapi: OpenApi) -> None:
    answer = ask(openapi, "/openapi/v3")
    assert header(answer, b"content-type") == "text/plain; charset=utf-8"
    paths = index(openapi)
    assert {"api", "api/v1", "apis", "apis/apps", "apis/apps/v1", "apis/autoscaling/v2"} <= (
        paths.keys()
    )
    assert {"version", ".well-known/openid-configuration", "openid/v1/jwks"} <= paths.keys()
    assert "logs" not in paths
    assert paths["apis/apps/v1"].startswith("/openapi/v3/apis/apps/v1?hash=")


def test_every_document_of_the_index_can_be_had(openapi: OpenApi) -> None:
    for key in index(openapi):
        document = json.loads(ask(openapi, f"/openapi/v3/{key}").body)
        assert document["openapi"] == "3.0.0"
        assert document["paths"]


def test_a_right_hash_may_be_cached_for_ever(openapi: OpenApi) -> None:
    hash_ = index(openapi)["apis/coordination.k8s.io/v1"].partition("hash=")[2]
    answer = ask(openapi, LEASES, hash_)
    assert header(answer, b"cache-control") == "public, immutable"
    assert header(answer, b"vary") == "Accept"
    assert header(answer, b"etag") == f'"{hash_}"'
    assert (header(answer, b"expires") or "").endswith("GMT")
    assert header(ask(openapi, LEASES), b"cache-control") is None


def test_a_wrong_hash_leads_to_the_right_one(openapi: OpenApi) -> None:
    answer = ask(openapi, LEASES, "ABC")
    assert answer.status == 301
    assert header(answer, b"location") == index(openapi)["apis/coordination.k8s.io/v1"]
    assert header(answer, b"content-type") == "application/json"


def test_an_unchanged_document_is_not_sent_again(openapi: OpenApi) -> None:
    etag = header(ask(openapi, LEASES), b"etag")
    assert etag is not None
    again = ask(openapi, LEASES, if_none_match=f'W/"other", {etag}')
    assert (again.status, again.body) == (304, b"")


@pytest.mark.parametrize(
    ("path", "accept", "media_type"),
    [
        (LEASES, None, "application/json"),
        (LEASES, "*/*", "application/json"),
        (LEASES, V3_PROTOBUF, V3_PROTOBUF),
        (LEASES, V3_PROTOBUF.replace("v3.", "v3@"), V3_PROTOBUF),
        (LEASES, "text/html, application/json;q=0.5", "application/json"),
        ("/openapi/v2", V2_PROTOBUF.replace("v2.", "v2@"), V2_PROTOBUF),
    ],
)
def test_the_encoding_is_negotiated(
    openapi: OpenApi, path: str, accept: str | None, media_type: str
) -> None:
    headers = {} if accept is None else {"accept": accept}
    assert header(ask(openapi, path, **headers), b"content-type") == media_type


@pytest.mark.parametrize("path", ["/openapi/v2", LEASES])
def test_another_media_type_is_not_acceptable(openapi: OpenApi, path: str) -> None:
    answer = ask(openapi, path, accept="text/html")
    assert (answer.status, answer.body) == (406, b"")
    assert header(answer, b"content-type") is None


def test_a_document_that_is_not_there_is_an_empty_404(openapi: OpenApi) -> None:
    for path in ("/openapi/v3/apis/nope/v1", "/openapi/v3/"):
        answer = ask(openapi, path)
        assert (answer.status, answer.headers, answer.body) == (404, (), b"")


def test_other_paths_are_left_to_others(openapi: OpenApi) -> None:
    for path in ("/openapi", "/openapi/v4", "/openapi/v2/x", "/apis"):
        assert asyncio.run(openapi.answer(path, {}, {})) is None


def test_who_takes_gzip_gets_the_same_bytes_packed(openapi: OpenApi) -> None:
    plain = ask(openapi, LEASES)
    packed = ask(openapi, LEASES, accept_encoding="deflate, gzip")
    assert header(packed, b"content-encoding") == "gzip"
    assert gzip.decompress(packed.body) == plain.body
    assert header(plain, b"content-encoding") is None


def test_hashes_agree_between_replicas_and_outlive_other_changes(table: ResourceTable) -> None:
    first, second = index(OpenApi(table)), index(OpenApi(builtin_table()))
    assert first == second
    openapi = OpenApi(table)
    before = index(openapi)
    table.add(widgets())
    after = index(openapi)
    added = after.keys() - before.keys()
    assert added == {"apis/example.com/v1"}
    assert all(after[key] == before[key] for key in before)


def test_documents_follow_the_table_and_the_schemas(openapi: OpenApi, table: ResourceTable) -> None:
    resource = widgets()
    path = "/openapi/v3/apis/example.com/v1"
    assert ask(openapi, path).status == 404
    table.add(resource)
    bare = ask(openapi, path)
    schema = json.loads(bare.body)["components"]["schemas"]["com.example.v1.Widget"]
    assert "properties" not in schema
    openapi.set_custom_schema(resource.gvr, b'{"type": "object", "description": "a widget"}')
    described = ask(openapi, path)
    assert header(described, b"etag") != header(bare, b"etag")
    schema = json.loads(described.body)["components"]["schemas"]["com.example.v1.Widget"]
    assert schema["description"] == "a widget"
    table.add(widgets(plural="gadgets"))
    both = json.loads(ask(openapi, path).body)
    assert {"com.example.v1.Gadget", "com.example.v1.Widget"} <= both["components"][
        "schemas"
    ].keys()
    table.discard(resource.gvr)
    table.discard(widgets(plural="gadgets").gvr)
    openapi.set_custom_schema(resource.gvr, None)
    assert ask(openapi, path).status == 404


def test_swagger_holds_builtin_and_custom_kinds(openapi: OpenApi, table: ResourceTable) -> None:
    table.add(widgets())
    openapi.set_custom_schema(widgets().gvr, b'{"type": "object"}')
    document = json.loads(ask(openapi, "/openapi/v2").body)
    assert document["swagger"] == "2.0"
    assert {"com.example.v1.Widget", "io.k8s.api.core.v1.Pod"} <= document["definitions"].keys()
    assert {"/version/", "/apis/", "/apis/apps/", "/api/v1/pods"} <= document["paths"].keys()


def test_what_is_kept_stays_below_its_bound(table: ResourceTable) -> None:
    openapi = OpenApi(table, kept_bytes=40_000)
    for key in index(openapi):
        ask(openapi, f"/openapi/v3/{key}")
        kept = int(repr(openapi).rpartition(", ")[2].split()[0])
        assert kept <= 40_000


def test_concurrent_requests_build_a_document_once(openapi: OpenApi) -> None:
    async def both() -> list[Any]:
        asked = [openapi.answer(LEASES, {}, {b"accept-encoding": b"gzip"}) for _ in range(5)]
        return await asyncio.gather(*asked)

    answers = asyncio.run(both())
    assert all(answer.body is answers[0].body for answer in answers)


def fields(data: bytes) -> dict[int, list[Any]]:
    """Parse one protobuf message: field numbers with their values, bytes unparsed."""
    found: dict[int, list[Any]] = {}
    position = 0

    def varint() -> int:
        nonlocal position
        number = shift = 0
        while True:
            byte = data[position]
            position += 1
            number |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return number

    while position < len(data):
        number, kind = divmod(varint(), 8)
        if kind == 0:
            value: Any = varint()
        elif kind == 1:
            value, position = data[position : position + 8], position + 8
        else:
            size = varint()
            value, position = data[position : position + size], position + size
        found.setdefault(number, []).append(value)
    return found


def by_name(entries: list[bytes]) -> dict[str, bytes]:
    parsed = [fields(entry) for entry in entries]
    return {entry[1][0].decode(): entry[2][0] for entry in parsed}


def test_v3_protobuf_holds_the_same_schemas_and_paths(openapi: OpenApi) -> None:
    document = json.loads(ask(openapi, LEASES).body)
    encoded = fields(ask(openapi, LEASES, accept=V3_PROTOBUF).body)
    assert encoded[1] == [b"3.0.0"]
    paths = by_name(fields(encoded[4][0])[1])
    assert paths.keys() == document["paths"].keys()
    schemas = by_name(fields(fields(encoded[5][0])[1][0])[1])
    assert schemas.keys() == document["components"]["schemas"].keys()
    lease = fields(fields(schemas["io.k8s.api.coordination.v1.Lease"])[1][0])
    assert lease[25] == [b"object"]
    properties = by_name(fields(lease[31][0])[1])
    assert list(properties) == list(
        document["components"]["schemas"]["io.k8s.api.coordination.v1.Lease"]["properties"]
    )
    [extension] = by_name(lease[36]).items()
    assert extension[0] == "x-kubernetes-group-version-kind"
    assert json.loads(fields(extension[1])[2][0])[0]["kind"] == "Lease"


def test_v2_protobuf_holds_the_same_definitions_and_paths(openapi: OpenApi) -> None:
    document = json.loads(ask(openapi, "/openapi/v2").body)
    encoded = fields(ask(openapi, "/openapi/v2", accept=V2_PROTOBUF).body)
    assert encoded[1] == [b"2.0"]
    assert by_name(fields(encoded[8][0])[2]).keys() == document["paths"].keys()
    definitions = by_name(fields(encoded[9][0])[1])
    assert definitions.keys() == document["definitions"].keys()
    pod = fields(definitions["io.k8s.api.core.v1.Pod"])
    spec = fields(by_name(fields(pod[25][0])[1])["spec"])
    assert spec[1] == [b"#/definitions/io.k8s.api.core.v1.PodSpec"]
    assert by_name(fields(encoded[10][0])[1]).keys() == document["parameters"].keys()
