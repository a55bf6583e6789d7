"""Client: JSON over HTTPS/1.1 to the API server, with kept connections and watch streams.

Errors of the HTTP library never leave this module: what the server said is a StatusError,
everything else that kept an answer away is Unreachable.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self

import aiohttp
import orjson

from shared.kubeconfig import ClusterAccess, KubeconfigError, read_token

REQUEST_TIMEOUT_S = 30.0
CONNECT_TIMEOUT_S = 10.0
MAX_EVENT_BYTES = 16 * 1024 * 1024
"""The longest line of a watch: five times the largest object that the server takes."""
TOKEN_FILE_MAX_AGE_S = 60.0
"""How long a token read from a file is used, as client-go's: bound tokens are rotated there."""

Query = Mapping[str, str]


class ClientError(Exception):
    """A request without the wanted answer. Waiting and asking again may help."""


class Unreachable(ClientError):
    """No (whole) answer: no connection, a timeout, or a broken stream."""


class StatusError(ClientError):
    """The server answered with a Status other than success."""

    def __init__(self, status: Mapping[str, Any]) -> None:
        super().__init__(status.get("message") or f"HTTP {status.get('code')}")
        self.code: int = status.get("code") or 500
        self.reason: str = status.get("reason") or ""
        self.details: Mapping[str, Any] = status.get("details") or {}


class NotFound(StatusError):
    pass


class Conflict(StatusError):
    """The object has changed since it was read."""


class AlreadyExists(StatusError):
    pass


class MethodNotSupported(StatusError):
    pass


class Expired(StatusError):
    """The resourceVersion or continue token is too old: list again."""


class WatchEvent(NamedTuple):
    """One event of a watch. An ERROR event does not come here: it is raised."""

    type: Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK"]
    object: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """A successful answer. `status` is 304 where If-None-Match held; `body` is then None."""

    status: int
    body: Any
    headers: Mapping[str, str]


class Client:
    """Asks one API server as one user. Use as an async context manager."""

    def __init__(
        self, access: ClusterAccess, *, user_agent: str, max_connections: int = 64
    ) -> None:
        self._access = access
        self._user_agent = user_agent
        self._max_connections = max_connections
        self._token = access.token
        self._token_read_at = float("-inf")
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        context = self._access.ssl_context()
        connector = aiohttp.TCPConnector(
            limit=self._max_connections,
            ssl=context if context is not None else True,
            keepalive_timeout=60,
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            headers={"User-Agent": self._user_agent, "Accept-Encoding": "identity"},
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def get(self, path: str, *, query: Query | None = None) -> dict[str, Any]:
        return await self._json("GET", path, query=query)

    async def create(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        return await self._json("POST", path, body=body)

    async def update(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        return await self._json("PUT", path, body=body)

    async def merge_patch(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        return await self._json(
            "PATCH", path, body=body, content_type="application/merge-patch+json"
        )

    async def delete(
        self, path: str, *, options: Mapping[str, Any] | None = None, query: Query | None = None
    ) -> dict[str, Any]:
        return await self._json("DELETE", path, body=options, query=query)

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        body: Mapping[str, Any] | None = None,
        content_type: str = "application/json",
        accept: str = "application/json",
        headers: Mapping[str, str] | None = None,
        timeout_s: float = REQUEST_TIMEOUT_S,
    ) -> Answer:
        """Send one request and return its answer (2xx or 304).

        Raises:
            StatusError: the server refused, or a subclass that names the usual reasons.
            Unreachable: there was no whole answer in time.
        """
        sent = self._headers(accept, headers)
        data = None
        if body is not None:
            data = orjson.dumps(body)
            sent["Content-Type"] = content_type
        timeout = aiohttp.ClientTimeout(total=timeout_s, sock_connect=CONNECT_TIMEOUT_S)
        try:
            async with self._open().request(
                method,
                self._access.server + path,
                params=query,
                data=data,
                headers=sent,
                timeout=timeout,
                server_hostname=self._access.tls_server_name,
                allow_redirects=False,
            ) as response:
                raw = await response.read()
                if response.status >= 300 and response.status != 304:
                    raise _status_error(response.status, raw)
                parsed = orjson.loads(raw) if raw else None
                return Answer(response.status, parsed, response.headers)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise Unreachable(_describe(method, path, error)) from error
        except orjson.JSONDecodeError as error:
            raise Unreachable(f"{method} {path}: the answer is not JSON") from error

    async def watch(
        self, path: str, *, query: Query, timeout_s: float
    ) -> AsyncGenerator[WatchEvent, None]:
        """Yield the events of one watch until the server ends it.

        `timeout_s` bounds the whole stream; ask the server for less by timeoutSeconds.
        Close the generator (contextlib.aclosing) to end it sooner.

        Raises:
            StatusError: the watch was refused, or it ended with an ERROR event.
            Unreachable: the stream broke.
        """
        timeout = aiohttp.ClientTimeout(total=timeout_s, sock_connect=CONNECT_TIMEOUT_S)
        try:
            async with self._open().get(
                self._access.server + path,
                params={**query, "watch": "1"},
                headers=self._headers("application/json", None),
                timeout=timeout,
                server_hostname=self._access.tls_server_name,
                allow_redirects=False,
            ) as response:
                if response.status != 200:
                    raise _status_error(response.status, await response.read())
                async for line in _lines(response.content):
                    event = orjson.loads(line)
                    if event["type"] == "ERROR":
                        raise status_error(event["object"])
                    yield WatchEvent(event["type"], event["object"])
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise Unreachable(_describe("WATCH", path, error)) from error
        except orjson.JSONDecodeError as error:
            raise Unreachable(f"WATCH {path}: an event is not JSON") from error

    async def _json(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        body: Mapping[str, Any] | None = None,
        content_type: str = "application/json",
    ) -> dict[str, Any]:
        answer = await self.request(method, path, query=query, body=body, content_type=content_type)
        if not isinstance(answer.body, dict):
            raise Unreachable(f"{method} {path}: the answer is not an object")
        return answer.body

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise RuntimeError("Client is used outside of its async with block")
        return self._session

    def _headers(self, accept: str, extra: Mapping[str, str] | None) -> dict[str, str]:
        headers = {"Accept": accept}
        if token := self._bearer_token():
            headers["Authorization"] = f"Bearer {token}"
        headers.update(extra or {})
        return headers

    def _bearer_token(self) -> str | None:
        token_file = self._access.token_file
        if token_file is None:
            return self._token
        now = asyncio.get_running_loop().time()
        if now - self._token_read_at > TOKEN_FILE_MAX_AGE_S:
            self._token = _read_token(token_file)
            self._token_read_at = now
        return self._token


def status_error(status: Mapping[str, Any]) -> StatusError:
    """Return the StatusError (or its subclass) that stands for a Status object."""
    code, reason = status.get("code"), status.get("reason")
    by_reason = {
        "NotFound": NotFound,
        "Conflict": Conflict,
        "AlreadyExists": AlreadyExists,
        "MethodNotAllowed": MethodNotSupported,
        "Expired": Expired,
        "Gone": Expired,
    }
    by_code = {404: NotFound, 405: MethodNotSupported, 410: Expired}
    kind = by_reason.get(reason or "") or by_code.get(code or 0) or StatusError
    return kind(status)


def _status_error(code: int, raw: bytes) -> StatusError:
    try:
        status = orjson.loads(raw)
    except orjson.JSONDecodeError:
        status = None
    if not isinstance(status, dict) or status.get("kind") != "Status":
        # Paths that no handler serves are answered in plain text.
        text = raw[:200].decode(errors="replace").strip()
        status = {"code": code, "message": text or f"HTTP {code}"}
    return status_error({"code": code, **status})


async def _lines(content: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    """Yield whole lines. StreamReader's own readline refuses lines over its buffer's size."""
    rest = bytearray()
    async for chunk in content.iter_any():
        if b"\n" not in chunk:
            rest += chunk
        else:
            first, *others = chunk.split(b"\n")
            rest += first
            *whole, last = [bytes(rest), *others]
            rest = bytearray(last)
            for line in whole:
                if line.strip():
                    yield line
        if len(rest) > MAX_EVENT_BYTES:
            raise Unreachable(f"a watch event is longer than {MAX_EVENT_BYTES} bytes")


def _describe(method: str, path: str, error: Exception) -> str:
    return f"{method} {path}: {error or type(error).__name__}"


def _read_token(path: Path) -> str:
    try:
        return read_token(path)
    except KubeconfigError as error:
        raise Unreachable(str(error)) from error
