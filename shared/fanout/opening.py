"""Opens what is sealed, between an event log or a snapshot and a cache.

Whoever has the keys reads the log through it: what comes out is as if the store had been plain,
made by the same Translator.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace

import orjson

from shared.eventlog.errors import Trimmed
from shared.eventlog.protocol import Bounds, Entry, Event, EventLog, UnreadableEvent
from shared.fanout.rules import DefinitionRules
from shared.fanout.sealed import change_of
from shared.fanout.snapshot import Snapshot, cached_object
from shared.fanout.translate import Translator
from shared.objects.cachedobject import CachedObject, UnreadableObject
from shared.objects.extraction import Extractor
from shared.objects.selection import NO_SELECTION
from shared.objects.wire import PROTOBUF_MAGIC, SEALED, NotAnObject
from shared.storage.encryption import Encryption
from shared.storage.errors import UnreadableValue
from shared.storage.protocol import Change, KeyValue, Revision
from shared.timeslice import TimeSlice

log = logging.getLogger("kubefan.fanout")

_UNAUTHENTICATED = SEALED + b"aescbc:"
_LOGGED_AT_MOST = 20
"""Lines about values that can't be read, until the next snapshot: a wrong key concerns all."""


class Opener:
    """Decrypts, and makes wire form and selection of what it has decrypted.

    What can't be decrypted becomes an UnreadableObject or an UnreadableEvent: nothing that is
    there is passed over.
    """

    def __init__(self, encryption: Encryption, extractor: Extractor, *, etcd_prefix: str) -> None:
        self._encryption = encryption
        self._extractor = extractor
        self._definitions = DefinitionRules(extractor, etcd_prefix)
        self._translator = Translator(extractor, self._definitions)
        self._generation = encryption.generation
        self.unreadable = 0
        """How many values could not be decrypted since the last snapshot began."""

    def __repr__(self) -> str:
        return f"<Opener {self._encryption!r}, {self.unreadable} unreadable>"

    @property
    def is_outdated(self) -> bool:
        """Whether what could not be decrypted perhaps can be by now: there are other keys."""
        return self.unreadable > 0 and self._generation != self._encryption.generation

    async def snapshot(self, snapshot: Snapshot) -> Snapshot:
        """Return the snapshot with everything in it opened."""
        self._generation = self._encryption.generation
        self.unreadable = 0
        time_slice = TimeSlice()
        # The definitions first: they say what is to be extracted of the others.
        for item in snapshot.objects:
            if item.key.startswith(self._definitions.prefix):
                self._learn(item)
            if time_slice.is_over():
                await time_slice.give_way()
        self._extractor.unknown.clear()  # who could know has been asked
        objects: list[CachedObject] = []
        skipped = snapshot.skipped
        for item in snapshot.objects:
            try:
                objects.append(item if item.prefix else self._opened_object(item))
            except NotAnObject:
                skipped += 1
            except UnreadableValue as error:
                self._report(error)
                objects.append(UnreadableObject(item.key, item.revision, error.why))
            if time_slice.is_over():
                await time_slice.give_way()
        if self.unreadable > _LOGGED_AT_MOST:
            log.error("values that can't be read", extra={"count": self.unreadable})
        return Snapshot(snapshot.revision, objects, skipped)

    def passes(self, entry: Entry) -> bool:
        """Whether there is nothing to do for the entry."""
        if self._encryption.is_used:
            definitions = self._definitions.prefix
            for event in entry.events:
                if not event.prefix or event.key.startswith(definitions):
                    return False
            return True
        for event in entry.events:  # noqa: SIM110 - a generator expression takes thrice the time
            if not event.prefix:
                return False
        return True

    def log(self, event_log: EventLog) -> OpenedLog:
        """Return the log as it reads with everything in it opened."""
        return OpenedLog(event_log, self)

    async def entry(self, entry: Entry) -> Entry:
        """Return the entry with everything in it opened, and learn its definitions."""
        events: list[Event] = []
        time_slice = TimeSlice()
        for event in entry.events:
            if event.prefix:
                if event.key.startswith(self._definitions.prefix) and event.type != "DELETED":
                    self._definitions.learn(event.key, event.prefix + event.body)
                events.append(event)
                continue
            opened = self._event(event)
            if opened is not None:
                events.append(opened)
            if time_slice.is_over():
                await time_slice.give_way()
        return replace(entry, events=tuple(events))

    def _event(self, event: Event) -> Event | None:
        change = change_of(event)
        key, revision = event.key, event.revision
        try:
            if change.value is not None:
                change = replace(change, value=self._plain(key, change.value))
            elif change.previous is not None:
                change = replace(change, previous=self._opened(change.previous))
        except UnreadableValue as error:
            self._report(error)
            return UnreadableEvent(event.type, key, revision, b"", b"", NO_SELECTION, why=error.why)
        if change.value is None or change.previous is None:
            return self._translated(change)
        try:
            change = replace(change, previous=self._opened(change.previous))
        except UnreadableValue:
            # Who watched when that was written has been told that it can't be read.
            opened = self._translated(replace(change, previous=None))
            return None if opened is None else replace(opened, type="MODIFIED")
        return self._translated(change)

    def _translated(self, change: Change) -> Event | None:
        event = self._translator.event(change)
        if event is not None and not event.prefix:
            # Its definition can't be decrypted: the rule known before has to do.
            self._extractor.unknown.clear()
            event = self._translator.event(change)
        return event

    def _opened(self, item: KeyValue) -> KeyValue:
        return replace(item, value=self._plain(item.key, item.value))

    def _plain(self, key: bytes, stored: bytes) -> bytes:
        value, _ = self._encryption.open(key, stored)
        if stored.startswith(_UNAUTHENTICATED) and not value.startswith(PROTOBUF_MAGIC):
            # The wrong key gives a value as well, now and then; it is not one of ours.
            try:
                orjson.loads(value)
            except orjson.JSONDecodeError as error:
                raise UnreadableValue(key, "what was decrypted is no JSON") from error
        return value

    def _opened_object(self, item: CachedObject) -> CachedObject:
        plain = KeyValue(item.key, self._plain(item.key, item.body), item.revision)
        return cached_object(plain, self._extractor)

    def _learn(self, item: CachedObject) -> None:
        if item.prefix:
            self._definitions.learn(item.key, item.prefix + item.body)
            return
        try:
            self._definitions.learn(item.key, self._plain(item.key, item.body))
        except UnreadableValue:
            return  # reported with the other objects

    def _report(self, error: UnreadableValue) -> None:
        self.unreadable += 1
        if self.unreadable <= _LOGGED_AT_MOST:
            log.error("a value that can't be read", extra={"why": str(error)})


class OpenedLog:
    """An event log as it reads with everything in it opened."""

    def __init__(self, event_log: EventLog, opener: Opener) -> None:
        self._log = event_log
        self._opener = opener

    async def append(self, entry: Entry) -> bool:
        return await self._log.append(entry)

    async def read(self, *, after: Revision) -> AsyncGenerator[Entry, None]:
        """As EventLog.read; also Trimmed where what could not be opened may be read again."""
        async with aclosing(self._log.read(after=after)) as entries:
            async for entry in entries:
                if self._opener.is_outdated:
                    raise Trimmed(entry.revision, entry.revision)
                if self._opener.passes(entry):
                    yield entry
                else:
                    yield await self._opener.entry(entry)

    async def bounds(self) -> Bounds | None:
        return await self._log.bounds()

    async def aclose(self) -> None:
        await self._log.aclose()
