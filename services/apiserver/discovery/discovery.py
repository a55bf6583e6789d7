"""Answers discovery requests: /api, /apis and below, /version, and the path list of /."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from hashlib import sha512
from typing import Any, NamedTuple

import orjson
import yaml

from services.apiserver.discovery import documents
from services.apiserver.discovery.accept import (
    AGGREGATED,
    JSON,
    MEDIA_TYPES,
    YAML,
    Negotiated,
    names_a_type,
    negotiate,
)
from services.apiserver.discovery.protobuf import encode_document
from services.apiserver.discovery.response import TEXT_NOT_FOUND, DocumentResponse, Header
from services.apiserver.discovery.version import version_info
from services.apiserver.errors import MethodNotSupported, NotAcceptable, NotFound
from shared.resources import ResourceTable

_KEPT_DOCUMENTS = 512

Build = Callable[[], Any]


class _Route(NamedTuple):
    """What a path is answered with.

    `restful`: served by kube-apiserver's go-restful container, which checks method and
    media type before the handler does, and answers failures with empty details.
    """

    build: Build
    restful: bool
    aggregated: Build | None = None


class Discovery:
    """Makes the documents from the table when asked, and keeps them until it changes.

    `server_address` (host:port) is what /api tells clients; `other_paths` are those that /
    lists beside the API's own, like /healthz and /metrics.
    """

    def __init__(
        self, table: ResourceTable, server_address: str, other_paths: Iterable[str] = ()
    ) -> None:
        self._table = table
        self._server_address = server_address
        self._other_paths = tuple(other_paths)
        self._kept: dict[tuple[str, Negotiated, bool], tuple[bytes, str]] = {}
        self._generation = table.generation

    def __repr__(self) -> str:
        return f"Discovery({self._table!r}, {len(self._kept)} documents kept)"

    def answer(
        self,
        path: str,
        accept: str | None = None,
        if_none_match: str | None = None,
        *,
        method: str = "GET",
        pretty: bool = False,
    ) -> DocumentResponse | None:
        """Return the answer for a path of discovery, None for every other path.

        A group version that an aggregated API server serves is also None: its own document
        is the backend's. `pretty` is what the query, or a browser's User-Agent, asks for.

        Raises:
            NotFound: a version that its built-in group does not have.
            MethodNotSupported: the path is there, for GET alone.
            NotAcceptable: none of the media types asked for can be had.
        """
        if path in ("/", "/index.html"):
            return _raw_json(documents.root_paths(self._table, self._other_paths))
        path = path.removesuffix("/")
        if path == "/version":
            _check_restful(method, accept, (JSON,))
            return _raw_json(version_info())
        parts = path.split("/")[1:] or [path]
        if parts[0] not in ("api", "apis") or len(parts) > (2 if parts[0] == "api" else 3):
            return None
        if len(parts) == 3 and self._table.remote(parts[1], parts[2]) is not None:
            return None
        route = self._route(parts)
        if route is None:
            return self.not_found(path)
        if route.restful:
            _check_restful(method, accept, MEDIA_TYPES)
        chosen = negotiate(accept, may_aggregate=route.aggregated is not None)
        if chosen is None:
            raise NotAcceptable(
                f"only the following media types are accepted: {', '.join(MEDIA_TYPES)}"
            )
        return self._document(path, route, chosen, pretty, if_none_match)

    def not_found(self, path: str) -> DocumentResponse:
        """Answer a path below /api or /apis that no resource is found under.

        Raises:
            NotFound: its group is built in, so that the API itself says it (a Status);
                other groups and paths get plain text.
        """
        prefix, _, rest = path.removeprefix("/").partition("/")
        if prefix == "api" or (prefix == "apis" and self._is_builtin(rest.split("/")[0])):
            raise NotFound("the server could not find the requested resource", details={})
        return TEXT_NOT_FOUND

    def _is_builtin(self, group: str) -> bool:
        found = self._table.group(group)
        return found is not None and any(
            not resource.custom
            for version in found.versions
            for resource in self._table.in_version(group, version)
        )

    def _route(self, parts: list[str]) -> _Route | None:
        table = self._table
        match parts:
            case ["api"]:
                return _Route(
                    lambda: documents.api_versions(self._server_address),
                    restful=True,
                    aggregated=lambda: documents.group_discovery_list(table, core=True),
                )
            case ["apis"]:
                return _Route(
                    lambda: documents.api_group_list(table),
                    restful=False,
                    aggregated=lambda: documents.group_discovery_list(table, core=False),
                )
            case ["api", version] if table.in_version("", version):
                return _Route(lambda: documents.api_resource_list(table, "", version), restful=True)
            case ["apis", name] if (group := table.group(name)) is not None:
                return _Route(lambda: documents.api_group(group), restful=False)
            case ["apis", name, version] if resources := table.in_version(name, version):
                return _Route(
                    lambda: documents.api_resource_list(table, name, version),
                    restful=not resources[0].custom,
                )
        return None

    def _document(
        self, path: str, route: _Route, chosen: Negotiated, pretty: bool, if_none_match: str | None
    ) -> DocumentResponse:
        body, etag = self._encoded(path, route, chosen, pretty)
        if not chosen.aggregated:
            return DocumentResponse(200, (_content_type(chosen.media_type),), body)
        caching: tuple[Header, ...] = (
            (b"etag", etag.encode()),
            (b"vary", b"Accept"),
            (b"cache-control", b"public"),
        )
        if if_none_match == etag:
            return DocumentResponse(304, caching, b"")
        parameters = ";".join(f"{name}={value}" for name, value in AGGREGATED.items())
        content_type = _content_type(f"{chosen.media_type};{parameters}")
        return DocumentResponse(200, (content_type, *caching), body)

    def _encoded(
        self, path: str, route: _Route, chosen: Negotiated, pretty: bool
    ) -> tuple[bytes, str]:
        """Return the body and, for aggregated discovery, the ETag (that of its JSON)."""
        if self._generation != self._table.generation or len(self._kept) > _KEPT_DOCUMENTS:
            self._kept.clear()
            self._generation = self._table.generation
        key = (path, chosen, pretty)
        kept = self._kept.get(key)
        if kept is None:
            build = route.aggregated if chosen.aggregated else route.build
            assert build is not None
            document = build()
            etag = f'"{sha512(orjson.dumps(document)).hexdigest().upper()}"'
            kept = self._kept[key] = (_encode(document, chosen.media_type, pretty), etag)
        return kept


def _check_restful(method: str, accept: str | None, media_types: tuple[str, ...]) -> None:
    if method != "GET":
        raise MethodNotSupported(
            "the server does not allow this method on the requested resource", details={}
        )
    if not names_a_type(accept, media_types):
        raise NotAcceptable(
            "the server was unable to respond with a content type that the client supports",
            details={},
        )


def _encode(document: documents.Document, media_type: str, pretty: bool) -> bytes:
    if media_type == JSON:
        if pretty:
            return orjson.dumps(document, option=orjson.OPT_INDENT_2)
        return orjson.dumps(document, option=orjson.OPT_APPEND_NEWLINE)
    if media_type == YAML:
        text: str = yaml.safe_dump(document, default_flow_style=False, allow_unicode=True)
        return text.encode()
    return encode_document(document)


def _raw_json(document: Any) -> DocumentResponse:
    body = orjson.dumps(document, option=orjson.OPT_INDENT_2)
    return DocumentResponse(200, (_content_type(JSON),), body)


def _content_type(value: str) -> Header:
    return (b"content-type", value.encode())
