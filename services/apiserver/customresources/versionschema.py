"""VersionSchema: the schema of one version, compiled when something first needs it.

A definition with a large schema costs megabytes once compiled, and of many installed
definitions few are ever written to.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import orjson

from services.apiserver.customresources.rules import RuleNode, compile_rules
from services.apiserver.customresources.schemavalidation import SchemaValidator
from services.apiserver.customresources.structural import Structural, compile_schema


class VersionSchema:
    """An openAPIV3Schema, packed, and what is made of it."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self._packed = zlib.compress(orjson.dumps(schema), 1)

    @property
    def json(self) -> bytes:
        return zlib.decompress(self._packed)

    @cached_property
    def structural(self) -> Structural:
        return compile_schema(orjson.loads(self.json))

    @cached_property
    def rules(self) -> RuleNode:
        return compile_rules(self.structural)

    @cached_property
    def validator(self) -> SchemaValidator:
        return SchemaValidator(orjson.loads(self.json))
