"""Writes services/apiserver/codec/listtypes.json: how lists and maps of built-in kinds merge.

The OpenAPI definitions of the kubernetes_validate package say it in x-kubernetes-* keys,
among 1.6 MB of descriptions that the server need not hold. The result maps an OpenAPI
definition name to JSON fields to "STRATEGIES|MERGE KEY|LIST TYPE|LIST MAP KEYS|MAP TYPE"
(lists separated by commas); the field "" stands for the definition itself.

Run: python tools/listtypes.py
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import kubernetes_validate

_VERSION = "v1.36.0-local"
_CODEC = Path(__file__).parents[1] / "services" / "apiserver" / "codec"


def merge_fact(schema: dict[str, Any]) -> str:
    """Return what a schema says about merging, "" if nothing."""
    parts = [
        schema.get("x-kubernetes-patch-strategy", ""),
        schema.get("x-kubernetes-patch-merge-key", ""),
        schema.get("x-kubernetes-list-type", ""),
        ",".join(schema.get("x-kubernetes-list-map-keys", [])),
        schema.get("x-kubernetes-map-type", ""),
    ]
    return "|".join(parts) if any(parts) else ""


def main() -> None:
    schemas = Path(kubernetes_validate.__file__).parent / "kubernetes-json-schema" / _VERSION
    definitions = json.loads((schemas / "_definitions.json").read_text())["$defs"]
    known = json.loads((_CODEC / "typefacts.json").read_text())
    facts = {}
    for name, schema in sorted(definitions.items()):
        if name not in known:
            continue
        fields = {"": schema} | schema.get("properties", {})
        found = {field: fact for field, one in fields.items() if (fact := merge_fact(one))}
        if found:
            facts[name] = found
    text = json.dumps(facts, separators=(",", ":"), sort_keys=True)
    (_CODEC / "listtypes.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
