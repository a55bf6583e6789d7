"""Frames: what the events of a watch look like, in the form that its client asked for.

A frame that several watchers ask for in the same form is made once (shared/watchcache/renderings).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson

from services.apiserver.codec import protobuf
from services.apiserver.http.negotiation import Convert, IncludeObject, MediaType
from services.apiserver.printers import partial as partial_metadata
from services.apiserver.read.representation import as_table, is_plain, written
from services.apiserver.registry.served import Served
from shared.objects.cachedobject import CachedObject
from shared.watchcache import Renderings, WatchEvent, event_frame

InitialEventsEnd = {"k8s.io/initial-events-end": "true"}
MakeFrame = Callable[[WatchEvent, bool], bytes]
"""Makes the frame of an event; the second argument says whether it is an initial event."""


def framing_of(media: MediaType) -> Callable[[str, bytes], bytes]:
    """Return what makes an event's frame of its type and its object, as `media` writes both."""
    return protobuf.watch_frame if media.format == "protobuf" else _line


def _line(event_type: str, obj: bytes) -> bytes:
    return b'{"type":"%b","object":%b}\n' % (event_type.encode(), obj)


def frames_of(
    served: Served, media: MediaType, include: IncludeObject, renderings: Renderings
) -> MakeFrame:
    """Return what makes the frames of a watch's events."""
    if is_plain(served, media):
        shared = renderings.frame

        def plain(event: WatchEvent, initial: bool) -> bytes:
            return event_frame(event) if initial else shared(event)

        return plain
    if media.convert is not None and media.convert.kind == "Table":
        return _table_frames(served, media.convert, include, renderings)

    def make(item: CachedObject) -> bytes:
        stored = served.store.decode(item.body)
        if media.convert is not None:
            return written(partial_metadata(stored, api_version=media.convert.api_version), media)
        return written(served.from_storage(stored), media)

    api_version = media.convert and media.convert.api_version
    key = (media.format, served.resource.group_version, api_version, served.form)
    framing = framing_of(media)

    def framed(event: WatchEvent, initial: bool) -> bytes:
        return framing(event.type, renderings.get(event.object, key, make))

    return framed


def _table_frames(
    served: Served, convert: Convert, include: IncludeObject, renderings: Renderings
) -> MakeFrame:
    """Tables carry their column definitions in the first event alone."""
    first = True

    def make(item: CachedObject, *, with_columns: bool) -> bytes:
        stored = served.store.decode(item.body)
        meta = {"resourceVersion": stored["metadata"].get("resourceVersion", "")}
        value = as_table(
            served, [stored], meta, include, convert.api_version, with_columns=with_columns
        )
        return orjson.dumps(value)

    key = ("table", served.resource.group_version, convert.api_version, include, served.form)

    def framed(event: WatchEvent, initial: bool) -> bytes:
        nonlocal first
        if first:
            first = False
            body = make(event.object, with_columns=True)
        else:
            body = renderings.get(event.object, key, lambda item: make(item, with_columns=False))
        return _line(event.type, body)

    return framed


def bookmark_maker(served: Served, media: MediaType) -> Callable[[int, bool], bytes]:
    """Return the function that makes the frame of a bookmark at a revision."""
    resource = served.resource
    framing = framing_of(media)
    empty = served.codec.empty()

    def make(revision: int, ends_initial: bool) -> bytes:
        meta: dict[str, Any] = {"resourceVersion": str(revision)}
        if ends_initial:
            meta["annotations"] = InitialEventsEnd
        value: dict[str, Any] = {
            **empty,
            "kind": resource.kind,
            "apiVersion": resource.group_version,
            "metadata": meta,
        }
        if media.convert is not None:
            if media.convert.kind == "Table":
                value = as_table(
                    served,
                    [value],
                    {"resourceVersion": str(revision)},
                    "Metadata",
                    media.convert.api_version,
                    with_columns=False,
                )
            else:
                value = partial_metadata(value, api_version=media.convert.api_version)
        return framing("BOOKMARK", written(value, media))

    return make
