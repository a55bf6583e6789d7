"""The protobuf messages of the API's Go types: which JSON field has which number.

An inlined struct is a message of its own, whose fields stand in JSON beside those of the
struct around it.
Source: kube-apiserver v1.36.2, the generated.proto of each package.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from services.apiserver.codec.facts import META, FieldFact, definitions


@dataclass(frozen=True, slots=True)
class Layout:
    """The fields of one message, and the messages in it that JSON does not show, by number.

    A field is its JSON name and its type as FieldFact writes it, with "[=]" for a slice that
    is a message of its own, and "octets" for bytes taken as they are.
    """

    fields: dict[int, tuple[str, str]] = field(default_factory=dict)
    inlined: dict[int, Layout] = field(default_factory=dict)


def layout_of(definition: str) -> Layout:
    """Return the message of a struct.

    Raises:
        KeyError: no struct has this OpenAPI name.
    """
    texts = _RENDERINGS.get(definition) or definitions()[definition]
    layout = Layout()
    for name, text in texts.items():
        fact = FieldFact.from_text(text)
        if not fact.path:
            continue
        part = layout
        for number in fact.path[:-1]:
            part = part.inlined.setdefault(number, Layout())
        type_ = fact.type.replace("[]", "[=]") if fact.wrapped else fact.type
        part.fields[fact.path[-1]] = (name, type_)
    return layout


_PARTIAL = f"{META}.PartialObjectMetadata"
_RENDERINGS: Mapping[str, Mapping[str, str]] = {
    _PARTIAL: {"metadata": f"{META}.ObjectMeta#1"},
    f"{_PARTIAL}List": {"metadata": f"{META}.ListMeta#1", "items": f"[]{_PARTIAL}#2"},
}
RENDERED_KINDS = {name.rpartition(".")[2]: name for name in _RENDERINGS}
"""Kinds that are only answered with, in any version of meta.k8s.io; no facts tell of them."""

SCHEMA = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps"

VALUES: Mapping[str, Layout] = {
    "time": Layout({1: ("seconds", "int64"), 2: ("nanos", "int32")}),
    "duration": Layout({1: ("nanos", "int64")}),
    "quantity": Layout({1: ("text", "string")}),
    "intorstring": Layout({1: ("type", "int64"), 2: ("int", "int32"), 3: ("text", "string")}),
    "raw": Layout({1: ("raw", "octets")}),
    "schemaorbool": Layout({1: ("allows", "bool"), 2: ("schema", SCHEMA)}),
    "schemaorarray": Layout({1: ("schema", SCHEMA), 2: ("several", f"[]{SCHEMA}")}),
    "schemaorstrings": Layout({1: ("schema", SCHEMA), 2: ("several", "[]string")}),
}
"""The messages of types that JSON writes as something else; the names are ours."""


def entry_layout(element_type: str) -> Layout:
    """Return the message of one entry of a map."""
    return Layout({1: ("key", "string"), 2: ("value", element_type)})


def items_layout(element_type: str) -> Layout:
    """Return the message that a named slice is."""
    return Layout({1: ("items", f"[]{element_type}")})


TYPE_META = Layout({1: ("apiVersion", "string"), 2: ("kind", "string")})
ENVELOPE = Layout({2: ("raw", "octets")}, {1: TYPE_META})
"""runtime.Unknown, which stands around every object."""
