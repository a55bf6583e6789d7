"""Accept headers, as kube-apiserver reads them.

Source: github.com/munnerz/goautoneg autoneg.go; kube-apiserver v1.36.2,
apiserver/pkg/endpoints/handlers/negotiation/negotiate.go.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

JSON = "application/json"
YAML = "application/yaml"
PROTOBUF = "application/vnd.kubernetes.protobuf"
MEDIA_TYPES = (JSON, YAML, PROTOBUF)
AGGREGATED = {"g": "apidiscovery.k8s.io", "v": "v2", "as": "APIGroupDiscoveryList"}


class Clause(NamedTuple):
    """One media range: "application", "json", its parameters without q."""

    type: str
    subtype: str
    parameters: Mapping[str, str]

    def matches(self, media_type: str) -> bool:
        """Whether the range covers `media_type`; "*/json" covers nothing."""
        kind, _, subtype = media_type.partition("/")
        if self.type == "*":
            return self.subtype == "*"
        return self.type == kind and self.subtype in (subtype, "*")


class Negotiated(NamedTuple):
    """The media type to answer with, and whether aggregated discovery was asked for."""

    media_type: str
    aggregated: bool = False


def parse_accept(header: str) -> list[Clause]:
    """Return the media ranges, the preferred one first; malformed ones are left out."""
    ranked: list[tuple[tuple[float, bool, bool], Clause]] = []
    for part in header.split(","):
        media_range, *parameters = part.split(";")
        kind, slash, subtype = media_range.partition("/")
        kind, subtype = kind.strip(" "), subtype.strip(" ")
        if not slash and kind == "*":
            subtype = "*"
        if not subtype or "/" in subtype:
            continue
        found: dict[str, str] = {}
        for parameter in parameters:
            name, _, value = parameter.partition("=")
            if value and "=" not in value:
                found[name.strip(" ")] = value.strip(" ")
        quality = _quality(found.pop("q", "1"))
        clause = Clause(kind, subtype, found)
        ranked.append(((-quality, kind == "*", subtype == "*"), clause))
    ranked.sort(key=lambda entry: entry[0])
    return [clause for _, clause in ranked]


def _quality(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


def negotiate(header: str | None, *, may_aggregate: bool) -> Negotiated | None:
    """Choose what to answer a discovery request with; None if nothing fits."""
    if not header:
        return Negotiated(JSON)
    for clause in parse_accept(header):
        for media_type in MEDIA_TYPES:
            if not clause.matches(media_type):
                continue
            if clause.parameters.get("stream", "watch") != "watch" or clause.parameters.get("sv"):
                continue
            asked = {
                name: clause.parameters[name] for name in AGGREGATED if name in clause.parameters
            }
            if not asked:
                return Negotiated(media_type)
            if may_aggregate and asked == AGGREGATED:
                return Negotiated(media_type, aggregated=True)
    return None


def names_a_type(header: str | None, media_types: tuple[str, ...]) -> bool:
    """Whether the header names one of `media_types` literally, or "*/*", or is absent.

    The routes of go-restful check this before anything else, without regard to parameters.
    """
    if not header:
        return True
    ranges = (part.partition(";")[0].strip() for part in header.split(","))
    return any(one == "*/*" or one in media_types for one in ranges)
