"""LIST: freshness, selection, page; then a join of ready-made bytes, in slices."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

import orjson

from services.apiserver.errors import Expired
from services.apiserver.http.negotiation import (
    GZIP_THRESHOLD_BYTES,
    MediaType,
    accepts_gzip,
    include_object,
    negotiate,
)
from services.apiserver.http.request import (
    AnyResponse,
    Header,
    Request,
    Response,
    StreamingResponse,
)
from services.apiserver.read import continuetoken
from services.apiserver.read.get import is_pretty, wait_for_version
from services.apiserver.read.representation import ListMeta, is_plain, list_value, written
from services.apiserver.read.selection import Selected, selected
from services.apiserver.registry.interpret import too_large_resource_version
from services.apiserver.registry.objects import StoredObjects
from services.apiserver.registry.served import Served
from services.apiserver.validation.options import ListOptions, parse_list_options
from shared.objects.extraction import Extractor
from shared.objects.wire import to_body
from shared.storage import Compacted, FutureRevision, Revision

SLICE_BYTES = 512 * 1024
"""How much of a large answer is joined, encrypted and handed to the socket at a time: about
half a millisecond of the event loop."""

GZIP_LEVEL = 1
"""kube-apiserver's: the network is faster than any better compression."""


@dataclass(frozen=True, slots=True)
class PageOfBodies:
    """The objects of one answer, as wire bodies in key order."""

    bodies: Sequence[bytes]
    meta: ListMeta


async def list_objects(request: Request, served: Served) -> AnyResponse:
    media = negotiate(
        request.header(b"accept"), pretty=is_pretty(request), custom=served.resource.custom
    )
    options = parse_list_options(request.query, watch=False)
    media.check_shape(is_list=True)
    page = await read_page(request, served, options)
    return await answer(request, served, media, page)


async def read_page(request: Request, served: Served, options: ListOptions) -> PageOfBodies:
    """Return the objects that a list asks for, from the cache wherever it can tell.

    Raises:
        BadRequest, Expired, Timeout: as the API says of selectors, tokens and versions.
    """
    info, store = request.info, served.store
    choice = selected(served, options)
    scope = store.prefix
    if info.namespace and served.resource.namespaced:
        scope = b"%b%b/" % (store.prefix, info.namespace.encode())
    if options.continue_token:
        token = continuetoken.decode(options.continue_token, scope)
        if token.revision > 0:
            return await _page_at(store, scope, choice, options, token.start, token.revision)
        return await _page_now(store, scope, choice, options, token.start)
    version, match = options.resource_version, options.resource_version_match
    if version not in ("", "0") and (match == "Exact" or (options.limit > 0 and not match)):
        return await _page_at(store, scope, choice, options, None, int(version))
    return await _page_now(store, scope, choice, options, None)


async def _page_now(
    store: StoredObjects,
    scope: bytes,
    choice: Selected,
    options: ListOptions,
    start: bytes | None,
) -> PageOfBodies:
    """Return a page of the present state, as fresh as the request asks."""
    version = options.resource_version
    if not version:
        if not await store.backend.fresh():
            return await _page_from_storage(store, scope, choice, options, start, None)
    elif version != "0":
        await wait_for_version(store, int(version))
    return _page_from_cache(store, scope, choice, options, start, store.backend.cache.revision)


async def _page_at(
    store: StoredObjects,
    scope: bytes,
    choice: Selected,
    options: ListOptions,
    start: bytes | None,
    revision: int,
) -> PageOfBodies:
    """Return a page of the state at exactly `revision`.

    Raises:
        Expired, Timeout: the storage does not know it any more, or not yet.
    """
    backend = store.backend
    if revision > backend.cache.revision:
        # Where the cache does not get there, the page before was the storage's, too.
        await backend.soon(Revision(revision), backend.cache.revision)
    # What has not changed since is still in the cache as it was.
    if store.cache.shows(Revision(revision)):
        return _page_from_cache(store, scope, choice, options, start, revision)
    return await _page_from_storage(store, scope, choice, options, start, Revision(revision))


def _page_from_cache(
    store: StoredObjects,
    scope: bytes,
    choice: Selected,
    options: ListOptions,
    start: bytes | None,
    revision: int,
) -> PageOfBodies:
    cache = store.cache
    limit = max(options.limit, 0)
    matches = choice.matches
    if choice.name and start is None and (scope != store.prefix or not store.resource.namespaced):
        # One name in one namespace: no need to look at the others.
        found = cache.get(scope + choice.name.encode())
        bodies = [] if found is None else [found.body]
        if found is not None and matches and not matches(found.key, found.selection):
            bodies = []
        return PageOfBodies(bodies, ListMeta(str(revision)))
    if matches is None:
        objects = cache.scan(scope, start=start, limit=limit)
        bodies = [one.body for one in objects]
        if not limit or len(objects) < limit:
            return PageOfBodies(bodies, ListMeta(str(revision)))
        last = objects[-1].key
        remaining = cache.count(scope, start=last) - 1
        return PageOfBodies(bodies, _page_meta(scope, last, revision, remaining, remaining))
    if not limit:
        objects = cache.scan(scope, start=start)
        bodies = [one.body for one in objects if matches(one.key, one.selection)]
        return PageOfBodies(bodies, ListMeta(str(revision)))
    bodies = []
    for one in cache.scan(scope, start=start):
        if matches(one.key, one.selection):
            bodies.append(one.body)
            if len(bodies) == limit:
                remaining = cache.count(scope, start=one.key) - 1
                # Under a selector nobody knows how many of the remaining ones match.
                return PageOfBodies(bodies, _page_meta(scope, one.key, revision, remaining, None))
    return PageOfBodies(bodies, ListMeta(str(revision)))


def _page_meta(
    scope: bytes, last: bytes, revision: int, remaining: int, shown: int | None
) -> ListMeta:
    if remaining <= 0:
        return ListMeta(str(revision))
    return ListMeta(str(revision), continuetoken.encode(scope, last, revision), shown)


async def _page_from_storage(
    store: StoredObjects,
    scope: bytes,
    choice: Selected,
    options: ListOptions,
    start: bytes | None,
    revision: Revision | None,
) -> PageOfBodies:
    """Return a page read from storage: history, or what the cache has not seen in time."""
    storage, extract = store.backend.storage, store.backend.extractor
    limit = max(options.limit, 0)
    bodies: list[bytes] = []
    position = start
    while True:
        # Under a selector a page may need several reads; all show the same revision.
        try:
            page = await storage.list(scope, start=position, limit=limit, revision=revision)
        except Compacted as error:
            raise _expired(options, scope, start) from error
        except FutureRevision as error:
            raise too_large_resource_version(error.revision, error.current) from error
        revision = page.revision
        for number, item in enumerate(page.items):
            if not _matches(choice, extract, item.key, item.value):
                continue
            bodies.append(to_body(item.value, item.revision)[1])
            if limit and len(bodies) == limit:
                remaining = page.remaining + len(page.items) - number - 1
                shown = None if choice.matches else remaining
                return PageOfBodies(bodies, _page_meta(scope, item.key, revision, remaining, shown))
        if not page.remaining or not page.items:
            return PageOfBodies(bodies, ListMeta(str(revision)))
        position = page.items[-1].key + b"\x00"


def _matches(choice: Selected, extractor: Extractor, key: bytes, value: bytes) -> bool:
    return choice.matches is None or choice.matches(key, extractor.extract(key, value))


def _expired(options: ListOptions, scope: bytes, start: bytes | None) -> Expired:
    if start is None:
        return Expired("The provided resource version is too old")
    token = continuetoken.encode(scope, start.rstrip(b"\x00"), -1)
    error = Expired(
        "The provided continue parameter is too old to display a consistent list result. You can "
        "start a new list without the continue parameter, or use the continue token in this "
        "response to retrieve the remainder of the results. Continuing with the provided token "
        "results in an inconsistent list - objects that were created, modified, or deleted "
        "between the time the first chunk was returned and now may show up in the list."
    )
    error.list_meta = {"continue": token}
    return error


async def answer(
    request: Request, served: Served, media: MediaType, page: PageOfBodies
) -> AnyResponse:
    headers: list[Header] = [(b"content-type", media.content_type.encode())]
    if is_plain(served, media):
        head, separator, tail = _frame(served, page.meta)
        total = (
            len(head)
            + sum(map(len, page.bodies))
            + (len(separator) * len(page.bodies) - 1 if page.bodies else 0)
            + len(tail)
        )
        slices = _slices(head, separator, tail, page.bodies)
        if total <= GZIP_THRESHOLD_BYTES:
            return Response(200, b"".join([piece async for piece in slices]), headers)
        if _gzip_wanted(request):
            headers += [(b"content-encoding", b"gzip"), (b"vary", b"Accept-Encoding")]
            return StreamingResponse(200, _compressed(slices), headers)
        return StreamingResponse(200, slices, headers, total)
    include = include_object(request.parameter("includeObject"))
    if served.conversion is not None:
        await served.store.prepare(page.bodies)
    body = await asyncio.to_thread(_rendered, served, media, page, include)
    if len(body) > GZIP_THRESHOLD_BYTES and _gzip_wanted(request):
        headers += [(b"content-encoding", b"gzip"), (b"vary", b"Accept-Encoding")]
        return StreamingResponse(200, _compressed(_cut(body)), headers)
    return StreamingResponse(200, _cut(body), headers, len(body))


def _rendered(served: Served, media: MediaType, page: PageOfBodies, include: str) -> bytes:
    value = list_value(served, media, page.bodies, page.meta, include)  # type: ignore[arg-type]
    return written(value, media) + (b"\n" if media.format == "json" else b"")


def _frame(served: Served, meta: ListMeta) -> tuple[bytes, bytes, bytes]:
    """Return what stands before, between and after the bodies of a plain list."""
    resource = served.resource
    head = b'{"kind":%b,"apiVersion":%b,"metadata":%b,"items":[' % (
        orjson.dumps(resource.list_kind),
        orjson.dumps(resource.group_version),
        orjson.dumps(meta.as_dict(custom=resource.custom)),
    )
    # Items of built-in kinds leave out their kind and apiVersion.
    opening = served.store.wire_prefix if resource.custom else b"{"
    return head, b"," + opening, b"]}\n"


async def _slices(
    head: bytes, separator: bytes, tail: bytes, bodies: Sequence[bytes]
) -> AsyncIterator[bytes]:
    if not bodies:
        yield head + tail
        return
    opening = head + separator[1:]
    first = 0
    while first < len(bodies):
        size, last = 0, first
        while last < len(bodies) and size < SLICE_BYTES:
            size += len(bodies[last])
            last += 1
        yield opening + separator.join(bodies[first:last])
        opening = separator
        first = last
        # Others get their turn even where the socket takes everything at once.
        await asyncio.sleep(0)
    yield tail


async def _cut(body: bytes) -> AsyncIterator[bytes]:
    for first in range(0, len(body), SLICE_BYTES):
        yield body[first : first + SLICE_BYTES]
        await asyncio.sleep(0)


def _gzip_wanted(request: Request) -> bool:
    accept = request.header(b"accept-encoding")
    return bool(accept) and accepts_gzip(accept or "")


async def _compressed(slices: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    compressor = zlib.compressobj(GZIP_LEVEL, wbits=31)
    async for piece in slices:
        # In a thread: zlib lets the event loop run meanwhile.
        packed = await asyncio.to_thread(compressor.compress, piece)
        if packed:
            yield packed
    yield compressor.flush()
