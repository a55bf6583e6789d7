"""Printers: objects rendered as Tables and as PartialObjectMetadata.

One module a family of kinds says which columns a kind has and what its cells hold; `kinds`
maps (group, kind) to them, `table` makes the answers. All take and return plain dicts.
"""

from services.apiserver.printers.duration import human_duration
from services.apiserver.printers.kinds import ResourceKey, printer_of
from services.apiserver.printers.printer import Column, KindPrinter, Printer
from services.apiserver.printers.table import columns, partial, partial_list, render, row, table

__all__ = [
    "Column",
    "KindPrinter",
    "Printer",
    "ResourceKey",
    "columns",
    "human_duration",
    "partial",
    "partial_list",
    "printer_of",
    "render",
    "row",
    "table",
]
