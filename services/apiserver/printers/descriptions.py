"""Descriptions of columns that are the documentation of API fields.

`descriptions.json` holds just the texts that columns name, taken from the published OpenAPI
definitions: the definitions themselves are megabytes that a server would keep for nothing.
`python -m services.apiserver.printers` writes it anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import orjson

_FILE = Path(__file__).with_name("descriptions.json")


@cache
def _texts() -> dict[str, str]:
    texts: dict[str, str] = orjson.loads(_FILE.read_bytes())
    return texts


def describe(field: str) -> str:
    """Return the documentation of a field, like api.core.v1.PodStatus.podIP (without io.k8s)."""
    return _texts()[field]


def extract(definitions: Mapping[str, Any], fields: Iterable[str]) -> dict[str, str]:
    """Take the texts of `fields` from OpenAPI definitions, in the form of Go's SwaggerDoc."""
    texts = {}
    for field in sorted(set(fields)):
        kind, _, name = field.rpartition(".")
        text = definitions[f"io.k8s.{kind}"]["properties"][name].get("description", "")
        texts[field] = text.partition("\n\nPossible enum values:")[0]
    return texts


def named_fields() -> set[str]:
    """Return the fields that columns of the built-in kinds name."""
    from services.apiserver.printers.kinds import PRINTERS
    from services.apiserver.printers.printer import AGE, NAME

    columns = [column for printer in PRINTERS.values() for column in printer.definitions]
    return {column.doc for column in (NAME, AGE, *columns) if column.doc}


def published_definitions() -> Mapping[str, Any]:
    """Read the OpenAPI definitions that come with kubernetes_validate."""
    import kubernetes_validate

    schemas = Path(kubernetes_validate.__file__).parent / "kubernetes-json-schema"
    document = orjson.loads((schemas / "v1.36.0-local" / "_definitions.json").read_bytes())
    definitions: Mapping[str, Any] = document["$defs"]
    return definitions


def write() -> None:
    """Take the texts that columns name out of the definitions, into `descriptions.json`."""
    texts = extract(published_definitions(), named_fields())
    _FILE.write_bytes(orjson.dumps(texts, option=orjson.OPT_INDENT_2) + b"\n")
