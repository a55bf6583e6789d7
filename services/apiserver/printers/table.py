"""The renderings of meta.k8s.io: Table, PartialObjectMetadata, PartialObjectMetadataList.

Source: kube-apiserver v1.36.2, apiserver/pkg/endpoints/handlers/response.go and
pkg/printers/tablegenerator.go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal

from services.apiserver.printers.kinds import ResourceKey, printer_of
from services.apiserver.printers.printer import Object, Printer

IncludeObject = Literal["None", "Metadata", "Object"]
Convert = Callable[[Object], Object]
META_V1 = "meta.k8s.io/v1"


def columns(group: str, kind: str) -> list[dict[str, Any]]:
    """Return the columnDefinitions of a built-in kind; shared, not to be changed."""
    return printer_of((group, kind)).columns


def table(
    resource_key: ResourceKey,
    objects: Iterable[Object],
    list_meta: Mapping[str, Any],
    *,
    include_object: IncludeObject,
    now: float,
    with_columns: bool = True,
    api_version: str = META_V1,
    convert: Convert | None = None,
) -> dict[str, Any]:
    """Return the Table of a built-in kind's objects; see `render`."""
    return render(
        printer_of(resource_key),
        objects,
        list_meta,
        include_object=include_object,
        now=now,
        with_columns=with_columns,
        api_version=api_version,
        convert=convert,
    )


def render(
    printer: Printer,
    objects: Iterable[Object],
    list_meta: Mapping[str, Any],
    *,
    include_object: IncludeObject,
    now: float,
    with_columns: bool = True,
    api_version: str = META_V1,
    convert: Convert | None = None,
) -> dict[str, Any]:
    """Return a Table.

    Args:
        printer: the kind's printer.
        objects: decoded objects in the storage version, with apiVersion, kind and
            metadata.resourceVersion. A bookmark of a watch is one too: what it lacks prints
            as empty.
        list_meta: the Table's metadata: a list's own, or the resourceVersion of an object.
        include_object: what each row carries of its object.
        now: seconds since the epoch, for ages.
        with_columns: False for every event of a watch but the first.
        api_version: meta.k8s.io/v1 or v1beta1.
        convert: makes the version asked for, of objects that rows carry whole.
    """
    arranged: Sequence[Object] = printer.arrange(list(objects))
    rows = [
        row(
            printer,
            obj,
            include_object=include_object,
            now=now,
            api_version=api_version,
            convert=convert,
        )
        for obj in arranged
    ]
    return {
        "kind": "Table",
        "apiVersion": api_version,
        "metadata": _list_meta(list_meta),
        "columnDefinitions": printer.columns if with_columns else None,
        "rows": rows or printer.empty_rows,
    }


def row(
    printer: Printer,
    obj: Object,
    *,
    include_object: IncludeObject,
    now: float,
    api_version: str = META_V1,
    convert: Convert | None = None,
) -> dict[str, Any]:
    """Return one row of a Table, for callers that make long Tables in slices; see `render`."""
    made: dict[str, Any] = {"cells": printer.cells(obj, now)}
    if conditions := printer.conditions(obj):
        made["conditions"] = conditions
    match include_object:
        case "None":
            made["object"] = None
        case "Metadata":
            made["object"] = partial(obj, api_version)
        case "Object":
            made["object"] = obj if convert is None else convert(obj)
    return made


def partial(obj: Object, api_version: str = META_V1) -> dict[str, Any]:
    """Return the PartialObjectMetadata of an object."""
    return {
        "kind": "PartialObjectMetadata",
        "apiVersion": api_version,
        "metadata": obj.get("metadata") or {},
    }


def partial_list(
    objects: Iterable[Object], list_meta: Mapping[str, Any], api_version: str = META_V1
) -> dict[str, Any]:
    """Return a PartialObjectMetadataList; its items are null if there are none."""
    return {
        "kind": "PartialObjectMetadataList",
        "apiVersion": api_version,
        "metadata": _list_meta(list_meta),
        "items": [partial(obj, api_version) for obj in objects] or None,
    }


def _list_meta(meta: Mapping[str, Any]) -> dict[str, Any]:
    """Return `meta` without empty fields: a custom resource's list prints them, these do not."""
    return {name: value for name, value in meta.items() if value not in ("", None)}
