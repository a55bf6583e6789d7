"""Content negotiation of resource requests: Accept, Content-Type, pretty, gzip.

kube-apiserver decides an Accept header twice, and so do we: its router knows media types
without parameters and without type wildcards (406 with empty details), then the handler
picks the best clause whose parameters it can honour (406 without details). Requests for
custom resources do not pass the router.

Source: kube-apiserver v1.36.2, apiserver/pkg/endpoints/handlers/negotiation/negotiate.go,
handlers/response.go, handlers/responsewriters/writers.go; go-restful's route.go; goautoneg.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Literal, cast

from services.apiserver.errors import BadRequest, NotAcceptable, UnsupportedMediaType

Format = Literal["json", "yaml", "protobuf"]
ConvertKind = Literal["Table", "PartialObjectMetadata", "PartialObjectMetadataList"]
IncludeObject = Literal["None", "Metadata", "Object"]

LONGEST_HEADER = 4096
"""Characters of a header that is looked at. Clients send hundreds; each comma costs time, and
what is remembered costs memory."""

GZIP_THRESHOLD_BYTES = 128 * 1024
"""Answers longer than this are compressed for clients that accept gzip."""

CONTENT_TYPES: dict[Format, str] = {
    "json": "application/json",
    "yaml": "application/yaml",
    "protobuf": "application/vnd.kubernetes.protobuf",
}

_SERVED = ", ".join(CONTENT_TYPES.values())
_SERVED_STREAMS = ", ".join(
    f"{media_type};stream=watch" for form, media_type in CONTENT_TYPES.items() if form != "yaml"
)
_CUSTOM_BODIES: tuple[Format, ...] = ("json", "yaml")
"""Custom resources have no protobuf messages, only their PartialObjectMetadata has."""
_ROUTED = frozenset(CONTENT_TYPES.values())
_META_VERSIONS = ("v1", "v1beta1")
_CONVERT_KINDS_WITHOUT_TABLE = ("PartialObjectMetadata", "PartialObjectMetadataList")
_CONVERT_KINDS = ("Table", *_CONVERT_KINDS_WITHOUT_TABLE)


@dataclass(frozen=True, slots=True)
class Convert:
    """Another rendering of the answer: a kind of meta.k8s.io in a version."""

    kind: ConvertKind
    version: str = "v1"

    @property
    def api_version(self) -> str:
        return f"meta.k8s.io/{self.version}"


@dataclass(frozen=True, slots=True)
class MediaType:
    """How an answer is written. `convert` None means the object as it is."""

    format: Format = "json"
    convert: Convert | None = None
    pretty: bool = False

    @property
    def content_type(self) -> str:
        return CONTENT_TYPES[self.format]

    @property
    def stream_content_type(self) -> str:
        """Of a watch; that of JSON does not say that it is one."""
        plain = CONTENT_TYPES[self.format]
        return plain if self.format == "json" else f"{plain};stream=watch"

    def check_shape(self, *, is_list: bool) -> None:
        """Refuse a PartialObjectMetadata of a list and a PartialObjectMetadataList of an object.

        kube-apiserver finds out when it renders, so a write has happened by then.

        Raises:
            NotAcceptable: the name of the rendering does not fit.
        """
        if self.convert is None:
            return
        if self.convert.kind == "PartialObjectMetadata" and is_list:
            raise NotAcceptable(
                "you requested PartialObjectMetadata, but the requested object is a list"
            )
        if self.convert.kind == "PartialObjectMetadataList" and not is_list:
            raise NotAcceptable(
                "you requested PartialObjectMetadataList, but the requested object is not a list"
            )


def negotiate(
    accept: str | None, *, pretty: bool = False, custom: bool = False, tables: bool = True
) -> MediaType:
    """Return the media type of the answer to a resource request other than a watch.

    Args:
        accept: the Accept header, None or "" if there is none.
        pretty: what `wants_pretty` says.
        custom: the resource is a custom one.
        tables: the resource has a Table; reviews, bindings and evictions have none.

    Raises:
        NotAcceptable: with empty details for an unknown type, without for bad parameters.
    """
    return _pretty(_negotiate(_readable(accept), custom, tables), pretty)


def negotiate_watch(accept: str | None, *, custom: bool = False) -> MediaType:
    """Return the media type of a watch: JSON, one event a line, never pretty, or protobuf.

    A PartialObjectMetadataList of single events cannot be made; kube-apiserver then sends
    the objects as they are.

    Raises:
        NotAcceptable: as `negotiate`; also for YAML, which is not a streaming format.
    """
    media = _negotiate(_readable(accept), custom, True)
    if media.convert is not None and media.convert.kind == "PartialObjectMetadataList":
        media = replace(media, convert=None)
    if media.format == "yaml" or (custom and _is_plain_protobuf(media)):
        raise NotAcceptable(_only(_SERVED_STREAMS))
    return _pretty(media, False)


def negotiate_error(accept: str | None, *, pretty: bool = False) -> MediaType:
    """Return the media type of a Status: never converted, JSON if nothing fits."""
    if accept is not None and len(accept) > LONGEST_HEADER:
        return _pretty(MediaType(), pretty)
    return _pretty(_negotiate_error(accept or ""), pretty)


def wants_pretty(value: str | None, user_agent: str = "") -> bool:
    """Tell whether an answer is indented: the query's `pretty`, else whether people read it.

    `value` is the first value of the query parameter, None or "" if there is none.
    """
    if value:
        return value in ("1", "t", "T", "true", "TRUE", "True")
    return user_agent.startswith(("curl", "Wget", "Mozilla/5.0"))


def request_format(content_type: str | None, *, custom: bool = False) -> Format:
    """Return the format of a request's body; no Content-Type means JSON.

    Raises:
        UnsupportedMediaType: without details.
    """
    if not content_type:
        return "json"
    if len(content_type) > LONGEST_HEADER:
        return _request_format("", custom)  # no format at all
    return _request_format(content_type, custom)


def patch_type(content_type: str | None, accepted: Collection[str], *, custom: bool = False) -> str:
    """Return the one of the patch media types `accepted` that a Content-Type names.

    Raises:
        UnsupportedMediaType: with empty details, except for custom resources.
    """
    for part in (content_type or "").split(","):
        media_type = part.partition(";")[0].strip()
        if media_type in accepted:
            return media_type
    if custom:
        raise UnsupportedMediaType(_unknown_format(", ".join(sorted(accepted))))
    raise UnsupportedMediaType("415: Unsupported Media Type", details={})


@lru_cache(maxsize=256)
def accepts_gzip(accept_encoding: str) -> bool:
    """Tell whether `gzip` stands alone in the list: one with parameters does not count."""
    return any(token.strip() == "gzip" for token in accept_encoding.split(","))


def should_gzip(accept_encoding: str | None, size_bytes: int) -> bool:
    """Tell whether an answer of this size is compressed; a watch never is."""
    return (
        size_bytes > GZIP_THRESHOLD_BYTES
        and 0 < len(accept_encoding or "") <= LONGEST_HEADER
        and accepts_gzip(accept_encoding or "")
    )


def include_object(value: str | None) -> IncludeObject:
    """Return what a Table's rows carry; the query's includeObject, Metadata by default.

    Raises:
        BadRequest: another value.
    """
    if not value:
        return "Metadata"
    if value not in ("None", "Metadata", "Object"):
        raise BadRequest(
            f'Unable to convert to Table as requested: includeObject: Invalid value: "{value}":'
            " must be 'Metadata', 'Object', 'None', or empty"
        )
    return cast(IncludeObject, value)


@dataclass(frozen=True, slots=True)
class _Clause:
    """One entry of an Accept header. `q` may be 0, which still counts as acceptable."""

    type: str
    subtype: str
    q: float = 1.0
    parameters: Mapping[str, str] = field(default_factory=dict)


@lru_cache(maxsize=512)
def _negotiate(accept: str, custom: bool, tables: bool) -> MediaType:
    if not accept:
        return MediaType()
    if not custom and not _routed(accept):
        raise NotAcceptable(
            f"406: Not Acceptable\n\nAvailable representations: {_SERVED}", details={}
        )
    kinds = _CONVERT_KINDS if tables else _CONVERT_KINDS_WITHOUT_TABLE
    for clause in _parse_accept(accept):
        media = _honour(clause, kinds)
        if media is not None and not (custom and _is_plain_protobuf(media)):
            return media
    raise NotAcceptable(_only(_SERVED))


@lru_cache(maxsize=512)
def _negotiate_error(accept: str) -> MediaType:
    for clause in _parse_accept(accept):
        media = _honour(clause, ())
        if media is not None:
            return media
    return MediaType()


def _readable(accept: str | None) -> str:
    if accept is None:
        return ""
    if len(accept) > LONGEST_HEADER:
        raise NotAcceptable(_only(_SERVED))
    return accept


def _pretty(media: MediaType, pretty: bool) -> MediaType:
    """Apply the request's wish; the parameter `pretty=1` of the media type is one as well."""
    return replace(media, pretty=True) if pretty and not media.pretty else media


def _routed(accept: str) -> bool:
    for part in accept.split(","):
        media_type = part.partition(";")[0].strip()
        if media_type == "*/*" or media_type in _ROUTED:
            return True
    return False


def _is_plain_protobuf(media: MediaType) -> bool:
    return media.format == "protobuf" and media.convert is None


def _honour(clause: _Clause, kinds: Collection[str]) -> MediaType | None:
    """Return the first format that the clause names, None if its parameters forbid it.

    `kinds` are the renderings there are; none for a Status.
    """
    for form, media_type in CONTENT_TYPES.items():
        main, _, sub = media_type.partition("/")
        if clause.type not in (main, "*") or clause.subtype not in (sub, "*"):
            continue
        if clause.type == "*" and clause.subtype != "*":
            continue
        given = clause.parameters
        # YAML has no streaming variant, and `watch` is the only stream there is.
        if given.get("stream") and (form == "yaml" or given["stream"] != "watch"):
            continue
        if given.get("sv") and not (kinds and given["sv"] == "v1"):
            continue
        pretty = given.get("pretty") == "1"
        if not {"as", "g", "v"} & given.keys():
            return MediaType(form, pretty=pretty)
        if (
            given.get("as") in kinds
            # The cells of a Table may hold anything: protobuf has no message for that.
            and not (form == "protobuf" and given["as"] == "Table")
            and given.get("g") == "meta.k8s.io"
            and given.get("v") in _META_VERSIONS
        ):
            return MediaType(form, Convert(cast(ConvertKind, given["as"]), given["v"]), pretty)
    return None


def _parse_accept(header: str) -> list[_Clause]:
    """Return the clauses of an Accept header, best first.

    The order that goautoneg sorts by is not transitive (a higher q, or a type, or a subtype
    that is not a wildcard comes first), so the outcome depends on its insertion sort.
    """
    clauses: list[_Clause] = []
    for part in header.split(","):
        clause = _clause(part)
        if clause is None:
            continue
        position = len(clauses)
        while position and _before(clause, clauses[position - 1]):
            position -= 1
        clauses.insert(position, clause)
    return clauses


def _before(one: _Clause, other: _Clause) -> bool:
    return (
        one.q > other.q
        or (one.type != "*" and other.type == "*")
        or (one.subtype != "*" and other.subtype == "*")
    )


def _clause(part: str) -> _Clause | None:
    media_type, *rest = part.strip().split(";")
    main, *sub = media_type.split("/")
    main = main.strip()
    if not sub or sub == [""]:
        if main != "*":
            return None
        sub = ["*"]
    if len(sub) != 1:
        return None
    q = 1.0
    parameters = {}
    for item in rest:
        name, *values = item.split("=")
        if len(values) != 1 or not values[0]:
            continue
        if name.strip() == "q":
            q = _quality(values[0])
        else:
            parameters[name.strip()] = values[0].strip()
    return _Clause(main, sub[0].strip(), q, parameters)


_is_number = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?", re.ASCII).fullmatch


def _quality(text: str) -> float:
    return float(text) if _is_number(text) else 0.0


_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
# What is matched is not given back ("+"): a client chooses how many blanks there are to try.
_content_type = re.compile(
    rf"\s*+({_TOKEN}/{_TOKEN})\s*+"
    rf"(;\s*+{_TOKEN}\s*+=\s*+({_TOKEN}|\"([^\"\\]|\\.)*+\")\s*+)*+;?\s*+"
).fullmatch


@lru_cache(maxsize=256)
def _request_format(content_type: str, custom: bool) -> Format:
    formats = _CUSTOM_BODIES if custom else tuple(CONTENT_TYPES)
    parsed = _content_type(content_type)
    if parsed is not None:
        for form in formats:
            if parsed[1].lower() == CONTENT_TYPES[form]:
                return form
    served = ", ".join(CONTENT_TYPES[form] for form in formats)
    raise UnsupportedMediaType(_unknown_format(served))


def _only(media_types: str) -> str:
    return f"only the following media types are accepted: {media_types}"


def _unknown_format(media_types: str) -> str:
    return (
        "the body of the request was in an unknown format - accepted media types include:"
        f" {media_types}"
    )
