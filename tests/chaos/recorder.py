"""Requests about the objects of the test, each recorded in the history with what came of it."""

from __future__ import annotations

import asyncio
import hashlib
import time
from array import array
from collections.abc import Awaitable, Sequence
from typing import Any
from urllib.parse import quote

from tests.chaos.client import Answer, Connection, Disconnected
from tests.chaos.history import (
    UNCONDITIONAL,
    Freshness,
    Get,
    Gone,
    History,
    Listing,
    Outcome,
    Seen,
    Selection,
    Write,
)

NAMESPACE = "chaos"
CONFIGMAPS = f"/api/v1/namespaces/{NAMESPACE}/configmaps"
PREFIX = "o-"
"""Of the names of the test's objects; others (kube-root-ca.crt) live beside them."""
REFUSED = frozenset({400, 403, 404, 409, 413, 422, 429})
"""Answers to a write after which it certainly was not done."""
PAGE_ATTEMPTS = 8

now = time.monotonic


class Recorder:
    """Speaks for one client over one connection at a time."""

    def __init__(self, history: History, client: str, *, filling: int = 200) -> None:
        self._history = history
        self._client = client
        self._filling = "x" * filling
        self._marks = 0

    async def write(
        self, connection: Connection, verb: str, name: str, guard: int, group: str = ""
    ) -> Write:
        """create, update, patch (of whatever is there) or delete."""
        self._marks += 1
        mark = "" if verb == "delete" else f"{self._client}.{self._marks}"
        began = now()
        thing = {
            "metadata": {"name": name, "labels": {"group": group}},
            "data": {"mark": mark, "filling": self._filling},
        }
        answer = await self._answer(_send(connection, verb, name, guard, thing))
        ended = now()
        outcome = outcome_of(answer)
        revision = 0
        if outcome is Outcome.OK and answer is not None and verb != "delete":
            revision = self.see(answer.json())
        write = Write(verb, name, guard, mark, began, ended, outcome, group, revision)
        self._history.writes.append(write)
        return write

    async def get(
        self, connection: Connection, where: str, name: str, freshness: Freshness, wanted: int = 0
    ) -> Get | None:
        """Return None where there was no useful answer."""
        query = {
            Freshness.CONSISTENT: "",
            Freshness.ANY: "?resourceVersion=0",
            Freshness.NOT_OLDER: f"?resourceVersion={wanted}",
        }[freshness]
        began = now()
        answer = await self._answer(connection.request("GET", f"{CONFIGMAPS}/{name}{query}"))
        if answer is None or answer.status not in (200, 404):
            return None
        revision = self.see(answer.json()) if answer.status == 200 else 0
        digest = _digest(answer.body) if revision else b""
        get = Get(name, freshness, wanted, revision, began, now(), where, digest)
        self._history.gets.append(get)
        return get

    async def list(
        self,
        connection: Connection,
        where: str,
        selection: Selection,
        freshness: Freshness,
        wanted: int = 0,
        *,
        limit: int = 0,
    ) -> Listing | None:
        """Return None where there was no useful answer, or not to every page."""
        first = {
            Freshness.CONSISTENT: [],
            Freshness.ANY: ["resourceVersion=0"],
            Freshness.NOT_OLDER: [f"resourceVersion={wanted}"],
            Freshness.EXACT: [f"resourceVersion={wanted}", "resourceVersionMatch=Exact"],
        }[freshness]
        common = [selection.query] if selection.query else []
        if limit:
            common.append(f"limit={limit}")
        began = now()
        answer = await self._list(connection, [*first, *common], wanted)
        if answer is None:
            return None
        listed = answer.json()
        revision = int(listed["metadata"]["resourceVersion"])
        items = self._items(listed)
        pages = 1
        while token := listed["metadata"].get("continue"):
            pages += 1
            page = await self._page(connection, [*common, f"continue={quote(token)}"], revision)
            if page is None:
                return None
            listed = page
            items.extend(self._items(listed))
            if int(listed["metadata"]["resourceVersion"]) != revision:
                self._history.contradictions.append(f"page {pages} of {revision}: {listed}")
        self._history.newest = max(self._history.newest, revision)
        digest = _digest(answer.body) if pages == 1 and not limit else b""
        listing = Listing(
            selection, freshness, wanted, revision, items, began, now(), where, pages, digest
        )
        self._history.listings.append(listing)
        return listing

    async def _page(
        self, connection: Connection, query: Sequence[str], revision: int
    ) -> dict[str, Any] | None:
        """Ask for a page until there is an answer: any replica can give it."""
        for _ in range(PAGE_ATTEMPTS):
            answer = await self._list(connection, query, revision)
            if answer is not None:
                listed: dict[str, Any] = answer.json()
                return listed
            await asyncio.sleep(0.3)
        return None

    async def _list(
        self, connection: Connection, query: Sequence[str], revision: int
    ) -> Answer | None:
        path = f"{CONFIGMAPS}?{'&'.join(query)}"
        answer = await self._answer(connection.request("GET", path))
        if answer is not None and answer.status == 410:
            self.gone(f"list {path}", revision)
        return answer if answer is not None and answer.status == 200 else None

    def gone(self, what: str, asked: int) -> None:
        self._history.gone.append(Gone(what, asked, self._history.newest, now()))

    def fail(self, what: str) -> None:
        self._history.failures[what] += 1

    def see(self, thing: dict[str, Any], *, deleted: bool = False) -> int:
        """Note an object of the test; return its revision. Others are not noted."""
        metadata = thing["metadata"]
        revision = int(metadata["resourceVersion"])
        if metadata["name"].startswith(PREFIX):
            seen = Seen(
                metadata["name"], thing["data"]["mark"], metadata["labels"]["group"], deleted
            )
            self._history.see(revision, seen, self._client)
        return revision

    def _items(self, listed: dict[str, Any]) -> array[int]:
        return array(
            "q",
            (
                self.see(item)
                for item in listed["items"]
                if item["metadata"]["name"].startswith(PREFIX)
            ),
        )

    async def _answer(self, request: Awaitable[Answer]) -> Answer | None:
        """Return the answer, None where there was none; count what is no success."""
        try:
            answer = await request
        except TimeoutError:
            self.fail("timeout")
            return None
        except Disconnected as error:
            self.fail(f"disconnected: {type(error.__cause__).__name__}")
            return None
        if answer.status >= 500 or answer.status == 429:
            self.fail(f"{answer.status} {_message(answer)}")
        return answer


def outcome_of(answer: Answer | None) -> Outcome:
    """What an answer to a write says about whether it was done."""
    if answer is None:
        return Outcome.UNKNOWN
    if answer.status in (200, 201):
        return Outcome.OK
    return Outcome.FAILED if answer.status in REFUSED else Outcome.UNKNOWN


def _send(
    connection: Connection, verb: str, name: str, guard: int, thing: dict[str, Any]
) -> Awaitable[Answer]:
    path = f"{CONFIGMAPS}/{name}"
    match verb:
        case "create":
            return connection.request("POST", CONFIGMAPS, thing)
        case "update":
            thing["metadata"]["resourceVersion"] = str(guard)
            return connection.request("PUT", path, thing)
        case "patch":
            assert guard == UNCONDITIONAL
            return connection.request(
                "PATCH", path, thing, content_type="application/merge-patch+json"
            )
        case "delete":
            return connection.request(
                "DELETE", path, {"preconditions": {"resourceVersion": str(guard)}}
            )
    raise ValueError(verb)


def _message(answer: Answer) -> str:
    try:
        message: str = answer.json()["message"]
    except (ValueError, KeyError, TypeError):
        return ""
    return "".join("#" if letter.isdigit() else letter for letter in message)[:60]


def _digest(body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=8).digest()
