"""WATCH: choose the start, replay, mark the end of the initial events, follow, end with a reason.

Source: kube-apiserver v1.36.2, apiserver/pkg/endpoints/handlers/watch.go and
apiserver/pkg/storage/cacher/cache_watcher.go (bookmarks).
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from functools import partial

from services.apiserver.errors import ApiError, BadRequest, Expired, to_status
from services.apiserver.http.negotiation import (
    MediaType,
    include_object,
    negotiate_watch,
)
from services.apiserver.http.protocol import WRITER, StreamWriter
from services.apiserver.http.request import AnyResponse, Receive, Request, Send, StreamResponse
from services.apiserver.read.frames import MakeFrame, bookmark_maker, frames_of, framing_of
from services.apiserver.read.get import wait_for_version
from services.apiserver.read.representation import written
from services.apiserver.read.selection import Selected, selected
from services.apiserver.registry.interpret import interpret, unreadable
from services.apiserver.registry.served import Served
from services.apiserver.validation.options import ListOptions, parse_list_options
from shared.storage import Revision, UnreadableValue
from shared.watchcache import EndReason, ReadyWatchers, Watcher, WatchEvent
from shared.watchcache import Expired as HistoryExpired

BOOKMARK_BEFORE_END_S = 2.0
"""A bookmark shortly before the end lets the client resume from there."""
BOOKMARK_INTERVAL_S = 60.0
INITIAL_BATCH = 100
"""Initial events (count) made and sent at a time: 0.4 MB of pods, below 2 ms."""

BATCH = 16
"""Events (count) written at a time to a watcher that lags: 70 KB of pods, about what a socket
takes. More would wait there encrypted, once for each watcher, and not here shared by all."""

Subscribe = Callable[[Callable[[], None]], Watcher]
"""Starts the watcher; gets what is to be called when it has something."""


class WatchLimits:
    """What all watches share: how long one without timeoutSeconds lasts (at least so many
    seconds, at most twice), and the loop's one callback for those that have something to send.
    """

    def __init__(self, min_request_timeout_s: int, ready: ReadyWatchers) -> None:
        self._minimum_s = min_request_timeout_s
        self.ready = ready

    def lifetime_s(self, asked_s: int | None) -> float:
        if asked_s is not None and asked_s > 0:
            return float(asked_s)
        return self._minimum_s * (1.0 + random.random())


async def watch(request: Request, served: Served, limits: WatchLimits) -> AnyResponse:
    media = negotiate_watch(request.header(b"accept"), custom=served.resource.custom)
    options = parse_list_options(request.query, watch=True)
    include = include_object(request.parameter("includeObject"))
    choice = selected(served, options)
    scope = _scope(request, served, choice)
    headers = ((b"content-type", media.stream_content_type.encode()),)
    after, wants_mark = await _start(served, options)
    if after is None and served.conversion is not None:
        await served.store.prepare_scope(scope)
    cache = served.store.backend.cache

    def subscribe(on_ready: Callable[[], None]) -> Watcher:
        watcher = served.store.watch(
            after=after, scope=scope, matches=choice.matches, on_ready=on_ready
        )
        if cache.is_closed:
            # The request was under way when the server stopped: it would hold that up.
            watcher.end(EndReason.CLOSED)
        return watcher

    stream = WatchStream(
        subscribe,
        frames_of(served, media, include, cache.renderings),
        bookmark_maker(served, media) if options.allow_watch_bookmarks else None,
        media,
        lifetime_s=limits.lifetime_s(options.timeout_s),
        marks_initial_end=wants_mark,
        ready=limits.ready,
        writer=request.scope["extensions"][WRITER],
        on_initialized=request.on_initialized,
    )
    return StreamResponse(200, stream.run, request.receive, headers)


async def _start(served: Served, options: ListOptions) -> tuple[Revision | None, bool]:
    """Return where the watch starts (None: with the present state) and whether the end of the
    initial events is to be marked."""
    store, version = served.store, options.resource_version
    initial = options.send_initial_events
    if version in ("", "0") or initial:
        if version == "" and not await store.backend.fresh():
            # The storage is ahead and the cache does not follow: wait for it once more rather
            # than start from an old state.
            await wait_for_version(store, await store.backend.storage.current_revision())
        elif version not in ("", "0"):
            await wait_for_version(store, int(version))
        if initial is False:
            return store.backend.cache.revision, False
        return None, bool(initial)
    after = Revision(int(version))
    await store.backend.past_of(store.cache, after)
    return after, False


def _scope(request: Request, served: Served, choice: Selected) -> bytes:
    """Return the prefix or key that is watched; one name is watched by its key."""
    info, store = request.info, served.store
    name = choice.name
    if info.name and info.parts and len(info.parts) > 1:
        # /watch/.../NAME: a field selector may only repeat the name.
        if name and name != info.name:
            raise BadRequest(
                "field selector metadata.name conflicts with the name of the requested object"
            )
        name = info.name
    if served.resource.namespaced:
        if info.namespace:
            return store.key(info.namespace, name)
        return store.prefix
    return store.key("", name) if name else store.prefix


class WatchStream:
    """One watch on its way out: from the watcher into the socket until one of them ends.

    While the socket takes what it is given, frames go out from within the loop's one callback
    for all ready watchers (`_drain_now`), without a switch to this watch's task: that is half
    of what an event costs. When the socket is full, the task waits for it.

    Ways out: the time is over, the client is gone, the watcher was ended (too slow, the cache
    was loaded anew, the server stops).
    """

    __slots__ = (
        "_bookmark",
        "_busy",
        "_due",
        "_frames",
        "_lifetime_s",
        "_marks_initial_end",
        "_media",
        "_on_initialized",
        "_over",
        "_ready",
        "_subscribe",
        "_waiter",
        "_watcher",
        "_writer",
    )

    def __init__(
        self,
        subscribe: Subscribe,
        frames: MakeFrame,
        bookmark: Callable[[int, bool], bytes] | None,
        media: MediaType,
        *,
        lifetime_s: float,
        marks_initial_end: bool,
        ready: ReadyWatchers,
        writer: StreamWriter,
        on_initialized: Callable[[], None] | None = None,
    ) -> None:
        self._subscribe = subscribe
        self._frames = frames
        self._bookmark = bookmark
        self._media = media
        self._lifetime_s = lifetime_s
        self._marks_initial_end = marks_initial_end
        self._ready = ready
        self._writer = writer
        self._on_initialized = on_initialized
        self._waiter: asyncio.Future[None] | None = None
        self._busy = True
        self._due = False
        self._over = False

    async def run(self, receive: Receive, send: Send) -> None:
        try:
            self._watcher = self._subscribe(partial(self._ready.add, self._drain_now))
        except HistoryExpired as error:
            refusal = Expired(f"The resourceVersion for the provided watch is too old: {error}")
            await send({"type": "http.response.body", "body": self._error(refusal)})
            return
        except UnreadableValue as error:
            await send({"type": "http.response.body", "body": self._error(interpret(error))})
            return
        loop = asyncio.get_running_loop()
        timers = [loop.call_later(self._lifetime_s, self._end)]
        if self._bookmark is not None:
            before_end = max(self._lifetime_s - BOOKMARK_BEFORE_END_S, 0.0)
            at = [before_end]
            if before_end > BOOKMARK_INTERVAL_S:
                at.append(BOOKMARK_INTERVAL_S)
            timers += [loop.call_later(delay, self._want_bookmark) for delay in at]
        gone = asyncio.create_task(_disconnected(receive), name=f"client of {self._watcher!r}")
        gone.add_done_callback(lambda _: self._end())
        try:
            with self._watcher:
                # Tells the client that the watch is open, before there is anything to say.
                await send({"type": "http.response.body", "body": b"", "more_body": True})
                await self._send_initial(send)
                if self._on_initialized is not None:
                    self._on_initialized()
                await self._follow(send, loop)
            if not gone.done():
                await send({"type": "http.response.body", "body": self._last_words()})
        finally:
            gone.cancel()
            for timer in timers:
                timer.cancel()

    async def _send_initial(self, send: Send) -> None:
        watcher = self._watcher
        while watcher.initial_pending and not self._over:
            await self._send(send, watcher.drain(INITIAL_BATCH), initial=True)
            await asyncio.sleep(0)
        if self._marks_initial_end and self._bookmark is not None and watcher.ended is None:
            line = self._bookmark(watcher.start_revision, True)
            await send({"type": "http.response.body", "body": line, "more_body": True})

    async def _follow(self, send: Send, loop: asyncio.AbstractEventLoop) -> None:
        watcher = self._watcher
        marked = watcher.start_revision
        while True:
            while watcher.pending and not self._over:
                await self._send(send, watcher.drain(BATCH), initial=False)
            if self._over or watcher.ended is not None:
                return
            if self._due and self._bookmark is not None:
                self._due = False
                loop.call_later(BOOKMARK_INTERVAL_S, self._want_bookmark)
                if watcher.bookmark_revision > marked:
                    marked = watcher.bookmark_revision
                    line = self._bookmark(marked, False)
                    await send({"type": "http.response.body", "body": line, "more_body": True})
                continue
            # From here on frames go out by `_drain_now`, until there is something else to do.
            self._waiter = loop.create_future()
            self._busy = False
            await self._waiter
            self._busy = True

    def _drain_now(self) -> None:
        """Write what is queued, if that can be done at once; else leave it to the task."""
        if self._busy:
            return  # the task looks at the watcher again before it waits
        watcher, writer = self._watcher, self._writer
        while watcher.pending:
            if writer.blocked:
                self._wake()
                return
            events = watcher.drain(BATCH)
            if events:
                frames = self._frames
                if len(events) == 1:
                    writer.write(frames(events[0], False))
                else:
                    writer.write(b"".join([frames(event, False) for event in events]))
        if watcher.ended is not None:
            self._wake()

    async def _send(self, send: Send, events: Sequence[WatchEvent], *, initial: bool) -> None:
        if not events:
            return
        frames = self._frames
        body = b"".join([frames(event, initial) for event in events])
        await send({"type": "http.response.body", "body": body, "more_body": True})

    def _last_words(self) -> bytes:
        if self._watcher.ended is EndReason.UNREADABLE:
            # Lists name the object.
            return self._error(unreadable("an object that is watched can't be read"))
        return b""

    def _error(self, error: ApiError) -> bytes:
        return framing_of(self._media)("ERROR", written(to_status(error), self._media))

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _want_bookmark(self) -> None:
        self._due = True
        self._wake()

    def _end(self) -> None:
        self._over = True
        self._wake()


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
