"""GET of one object: freshness, then the cache's bytes."""

from __future__ import annotations

from services.apiserver.http.negotiation import include_object, negotiate, wants_pretty
from services.apiserver.http.request import AnyResponse, Request
from services.apiserver.read.representation import object_bytes, response
from services.apiserver.registry.interpret import not_found, too_large_resource_version
from services.apiserver.registry.objects import StoredObjects
from services.apiserver.registry.served import Served
from services.apiserver.validation.options import parse_get_resource_version
from shared.storage import Revision


async def get(request: Request, served: Served) -> AnyResponse:
    media = negotiate(
        request.header(b"accept"), pretty=is_pretty(request), custom=served.resource.custom
    )
    info, store = request.info, served.store
    body = await read(store, store.key(info.namespace, info.name), resource_version(request))
    if body is None:
        raise not_found(served.resource, info.name)
    if served.conversion is not None:
        await store.prepare((body,))
    include = include_object(request.parameter("includeObject"))
    return response(200, object_bytes(served, media, body, include), media)


async def read(store: StoredObjects, key: bytes, version: str) -> bytes | None:
    """Return the wire body of an object as fresh as `version` asks; None: there is none.

    "" is what every acknowledged write has led to, "0" whatever is at hand, a number a state
    not older than that.

    Raises:
        Timeout: a number that this server has not reached.
    """
    if not version:
        if not await store.backend.fresh():
            live = await store.live(key)
            return None if live is None else live.body
    elif version != "0":
        await wait_for_version(store, int(version))
    found = store.cache.get(key)
    return None if found is None else found.body


async def wait_for_version(store: StoredObjects, revision: int) -> None:
    """Wait for the cache to reach `revision`.

    Raises:
        Timeout: it does not within the bound.
    """
    if not await store.backend.reached(Revision(revision)):
        raise too_large_resource_version(revision, store.backend.cache.revision)


def resource_version(request: Request) -> str:
    return parse_get_resource_version(request.query) if request.query_string else ""


def is_pretty(request: Request) -> bool:
    value = request.parameter("pretty") if request.query_string else None
    return wants_pretty(value, request.header(b"user-agent") or "")
