"""Objects as bytes: stored form, wire form, and the selection data taken out of them.

No I/O in here, and no knowledge of single kinds.
"""

from shared.objects.cachedobject import CachedObject
from shared.objects.extraction import ExtractionRule, Extractor, FieldSource
from shared.objects.interning import SelectionInterner
from shared.objects.keyspace import PrefixTable, end_of_prefix, parent_of
from shared.objects.selection import NO_SELECTION, Selection
from shared.objects.wire import (
    NotAnObject,
    ProtobufValue,
    WireError,
    body_revision,
    to_body,
    with_revision,
)

__all__ = [
    "NO_SELECTION",
    "CachedObject",
    "ExtractionRule",
    "Extractor",
    "FieldSource",
    "NotAnObject",
    "PrefixTable",
    "ProtobufValue",
    "Selection",
    "SelectionInterner",
    "WireError",
    "body_revision",
    "end_of_prefix",
    "parent_of",
    "to_body",
    "with_revision",
]
