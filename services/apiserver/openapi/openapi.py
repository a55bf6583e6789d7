"""Answers /openapi/v2 and /openapi/v3: builds documents when asked, and keeps them gzipped.

Source of the HTTP behaviour: k8s.io/kube-openapi pkg/handler/handler.go and
pkg/handler3/handler.go; kube-aggregator v0.36.2, pkg/controllers/openapiv3/aggregator.
"""

from __future__ import annotations

import asyncio
import gzip
import time
import zlib
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from email.utils import formatdate
from hashlib import sha512
from importlib.metadata import version
from typing import Any, NamedTuple

import orjson

from services.apiserver.discovery.accept import parse_accept
from services.apiserver.discovery.response import DocumentResponse, Header
from services.apiserver.discovery.version import version_info
from services.apiserver.openapi.documents import build_v2, build_v3, json_parts
from services.apiserver.openapi.gnostic2 import encode_v2
from services.apiserver.openapi.gnostic3 import encode_v3
from services.apiserver.openapi.operations import (
    Operation,
    document_operations,
    resource_operations,
)
from shared.resources import GroupVersionResource, Resource, ResourceTable

_V2 = "/openapi/v2"
_V3 = "/openapi/v3"
_JSON = "application/json"
_GZIP = 31
"""zlib's number for a gzip envelope around the largest window."""
_YEAR_S = 365 * 24 * 3600
_STANDALONE = {
    ".well-known/openid-configuration": "/.well-known/openid-configuration/",
    "api": "/api/",
    "apis": "/apis/",
    "openid/v1/jwks": "/openid/v1/jwks/",
    "version": "/version/",
}
"""The documents beside those of groups, with the one path that each describes."""


class _Format(NamedTuple):
    """A media type that may be asked for, and the one that is answered."""

    asked: str
    answered: str

    @property
    def is_json(self) -> bool:
        return self.answered == _JSON


def _formats(spec: str) -> tuple[_Format, ...]:
    answered = f"application/com.github.proto-openapi.spec.{spec}.v1.0+protobuf"
    deprecated = f"application/com.github.proto-openapi.spec.{spec}@v1.0+protobuf"
    return (
        _Format(_JSON, _JSON),
        _Format(answered, answered),
        _Format(deprecated, answered),
    )


_V2_FORMATS = _formats("v2")
_V3_FORMATS = _formats("v3")


class _CustomSchema(NamedTuple):
    packed: bytes
    digest: bytes


class _Recipe(NamedTuple):
    """What a document is made of, taken from the table in one go.

    `paths` are those of discovery documents; `custom` holds the custom ones of `resources`.
    """

    v2: bool
    paths: tuple[str, ...]
    resources: list[Resource]
    custom: Mapping[Resource, _CustomSchema | None]


class _Hashed(NamedTuple):
    """A document's hash, and the resources that it was true for."""

    resources: list[Resource]
    hash: str


class OpenApi:
    """The OpenAPI documents of what the table serves.

    Documents are built in a thread, one at a time, from definitions read for that; only their
    gzipped bytes stay, at most `kept_bytes` of them. A document's hash comes from what it is
    made of, so that the index needs none of them and all replicas agree.
    """

    def __init__(self, table: ResourceTable, *, kept_bytes: int = 4 * 1024 * 1024) -> None:
        self._table = table
        self._kept_bytes = kept_bytes
        self._kept: OrderedDict[tuple[str, str, str], bytes] = OrderedDict()
        self._custom: dict[GroupVersionResource, _CustomSchema] = {}
        self._hashes: dict[str, _Hashed] = {}
        self._building = asyncio.Lock()
        self._release = f"{version_info()['gitVersion']} {version('kubernetes-validate')}"

    def __repr__(self) -> str:
        size = sum(map(len, self._kept.values()))
        return f"OpenApi({self._table!r}, {len(self._kept)} documents kept, {size} bytes)"

    def set_custom_schema(self, gvr: GroupVersionResource, schema: bytes | None) -> None:
        """Publish a custom resource's schema: the version's openAPIV3Schema as JSON.

        None withdraws it. The resource itself is published as long as the table has it.
        """
        if schema is None:
            self._custom.pop(gvr, None)
        else:
            self._custom[gvr] = _CustomSchema(zlib.compress(schema, 1), sha512(schema).digest())
        for key in ("v2", f"apis/{gvr.group}/{gvr.version}"):
            self._hashes.pop(key, None)

    async def answer(
        self, path: str, query: Mapping[str, Sequence[str]], headers: Mapping[bytes, bytes]
    ) -> DocumentResponse | None:
        """Return the answer for a path of /openapi, None for every other path.

        Of the query `hash` counts; of the headers, whose names are lower-case, accept,
        if-none-match and accept-encoding.
        """
        if path == _V3:
            index = orjson.dumps({"paths": self._index()})
            return DocumentResponse(200, ((b"content-type", b"text/plain; charset=utf-8"),), index)
        if path == _V2:
            return await self._negotiated("v2", _V2_FORMATS, "", headers)
        if path.startswith(f"{_V3}/"):
            key = path.removeprefix(f"{_V3}/")
            if not self._exists(key):
                return DocumentResponse(404, (), b"")
            asked_hash = query.get("hash") or ("",)
            return await self._negotiated(key, _V3_FORMATS, asked_hash[0], headers)
        return None

    def _exists(self, key: str) -> bool:
        return key in _STANDALONE or key in self._group_keys()

    def _group_keys(self) -> Iterator[str]:
        """Yield the keys of documents of groups and of group versions.

        A group without built-in resources has no document of its own, and what an aggregated
        API server serves is for that server to publish.
        """
        yield "api/v1"
        for group in self._table.groups():
            builtin = False
            for group_version in group.versions:
                resources = self._table.in_version(group.name, group_version)
                if resources:
                    yield f"apis/{group.name}/{group_version}"
                builtin = builtin or any(not one.custom for one in resources)
            if builtin:
                yield f"apis/{group.name}"

    def _index(self) -> dict[str, dict[str, str]]:
        keys = sorted((*_STANDALONE, *self._group_keys()))
        return {key: {"serverRelativeURL": self._url(key)} for key in keys}

    def _url(self, key: str) -> str:
        return f"{_V3}/{key}?hash={self._hash(key)}"

    async def _negotiated(
        self,
        key: str,
        formats: tuple[_Format, ...],
        asked_hash: str,
        headers: Mapping[bytes, bytes],
    ) -> DocumentResponse:
        chosen = _choose(headers.get(b"accept", b"").decode("latin-1"), formats)
        if chosen is None:
            return DocumentResponse(406, ((b"vary", b"Accept"),), b"")
        hash_ = self._hash(key)
        out: list[Header] = [
            (b"content-type", chosen.answered.encode()),
            (b"vary", b"Accept"),
            (b"etag", f'"{hash_}"'.encode()),
        ]
        if asked_hash and asked_hash != hash_:
            return DocumentResponse(301, (*out, (b"location", self._url(key).encode())), b"")
        if asked_hash:
            expires = formatdate(time.time() + _YEAR_S, usegmt=True)
            out.append((b"cache-control", b"public, immutable"))
            out.append((b"expires", expires.encode()))
        if _matches(headers.get(b"if-none-match", b"").decode("latin-1"), hash_):
            return DocumentResponse(304, tuple(out[1:]), b"")
        packed = await self._packed(key, hash_, chosen)
        if _takes_gzip(headers.get(b"accept-encoding", b"")):
            out += [(b"content-encoding", b"gzip"), (b"vary", b"Accept-Encoding")]
            return DocumentResponse(200, tuple(out), packed)
        body = await asyncio.to_thread(gzip.decompress, packed)
        return DocumentResponse(200, tuple(out), body)

    async def _packed(self, key: str, hash_: str, chosen: _Format) -> bytes:
        """Return the document gzipped, from the kept ones or newly built."""
        wanted = (key, chosen.answered, hash_)
        async with self._building:
            packed = self._kept.get(wanted)
            if packed is None:
                packed = await asyncio.to_thread(_build, self._recipe(key), chosen)
                self._keep(wanted, packed)
            else:
                self._kept.move_to_end(wanted)
        return packed

    def _keep(self, wanted: tuple[str, str, str], packed: bytes) -> None:
        key, answered, _ = wanted
        for old in [one for one in self._kept if one[:2] == (key, answered)]:
            del self._kept[old]  # built from an earlier state of the table
        self._kept[wanted] = packed
        while sum(map(len, self._kept.values())) > self._kept_bytes:
            self._kept.popitem(last=False)

    def _recipe(self, key: str) -> _Recipe:
        resources = self._resources(key)
        schemas = {one: self._custom.get(one.gvr) for one in resources if one.custom}
        return _Recipe(key == "v2", tuple(self._described_paths(key)), resources, schemas)

    def _described_paths(self, key: str) -> Iterator[str]:
        """Yield the paths of discovery documents that `key` describes beside resources."""
        if key == "v2":
            yield from _STANDALONE.values()
            for group_key in self._group_keys():
                yield from self._described_paths(group_key)
        elif key in _STANDALONE:
            yield _STANDALONE[key]
        elif not all(one.custom for one in self._resources(key)) or key.count("/") == 1:
            yield f"/{key}/"

    def _resources(self, key: str) -> list[Resource]:
        if key == "v2":
            return self._table.resources()
        match key.split("/"):
            case ["api", group_version]:
                return self._table.in_version("", group_version)
            case ["apis", group, group_version]:
                return self._table.in_version(group, group_version)
        return []

    def _hash(self, key: str) -> str:
        """Return the hash of a document: of the release, its resources and their schemas."""
        resources = self._resources(key)
        found = self._hashes.get(key)
        if found is not None and found.resources == resources:
            return found.hash
        digest = sha512(f"{self._release} {key}".encode())
        for path in self._described_paths(key):
            digest.update(path.encode())
        for resource in resources:
            digest.update(repr(resource).encode())
            if resource.gvr in self._custom:
                digest.update(self._custom[resource.gvr].digest)
        hash_ = digest.hexdigest().upper()
        self._hashes[key] = _Hashed(resources, hash_)
        return hash_


def _build(recipe: _Recipe, chosen: _Format) -> bytes:
    operations = _operations(recipe)
    schemas: dict[Resource, Any] = {
        resource: None if schema is None else orjson.loads(zlib.decompress(schema.packed))
        for resource, schema in recipe.custom.items()
    }
    v2 = recipe.v2
    document = build_v2(operations, schemas) if v2 else build_v3(operations, schemas)
    if chosen.is_json:
        parts = json_parts(document)
    else:
        parts = iter([encode_v2(document) if v2 else encode_v3(document)])
    packer = zlib.compressobj(6, wbits=_GZIP)
    packed = [packer.compress(part) for part in parts]
    return b"".join((*packed, packer.flush()))


def _operations(recipe: _Recipe) -> Iterator[Operation]:
    for path in recipe.paths:
        yield from document_operations(path)
    for resource in recipe.resources:
        yield from resource_operations(resource)


def _choose(accept: str, formats: tuple[_Format, ...]) -> _Format | None:
    for clause in parse_accept(accept or "*/*"):
        for one in formats:
            kind, _, subtype = one.asked.partition("/")
            if clause.type in (kind, "*") and clause.subtype in (subtype, "*"):
                return one
    return None


def _matches(if_none_match: str, hash_: str) -> bool:
    tags = [tag.strip().removeprefix("W/") for tag in if_none_match.split(",")]
    return "*" in tags or f'"{hash_}"' in tags


def _takes_gzip(accept_encoding: bytes) -> bool:
    return any(token.strip() == b"gzip" for token in accept_encoding.split(b","))
