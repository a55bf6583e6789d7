"""/healthz, /livez and /readyz: every check by name, verbose, excluded or one at a time.

Source: kube-apiserver v1.36.2, apiserver/pkg/server/healthz/healthz.go.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence

from services.apiserver.http.request import Response
from shared.storage import Storage, StorageError

STORAGE_TIMEOUT_S = 2.0

CheckHealth = Callable[[], Awaitable[str | None]]
"""Returns None when all is well, else the reason, for the log and not for the client."""

TEXT = (
    (b"content-type", b"text/plain; charset=utf-8"),
    (b"x-content-type-options", b"nosniff"),
)


class HealthChecks:
    """The checks of one endpoint (healthz, livez or readyz), by name, in order."""

    def __init__(self, endpoint: str, checks: Mapping[str, CheckHealth]) -> None:
        self.endpoint = endpoint
        self._checks = dict(checks)

    @property
    def names(self) -> Sequence[str]:
        return tuple(self._checks)

    async def answer(self, query: Mapping[str, Sequence[str]]) -> Response:
        """Run all checks but the excluded ones."""
        excluded = set(query.get("exclude", ()))
        lines: list[str] = []
        failed = False
        for name, check in self._checks.items():
            if name in excluded:
                excluded.discard(name)
                lines.append(f"[+]{name} excluded: ok")
                continue
            if await check() is None:
                lines.append(f"[+]{name} ok")
            else:
                failed = True
                lines.append(f"[-]{name} failed: reason withheld")
        if excluded:
            names = ",".join(json.dumps(one, ensure_ascii=False) for one in sorted(excluded))
            lines.append(f"warn: some health checks cannot be excluded: no matches for {names}")
        if failed:
            lines.append(f"{self.endpoint} check failed")
            return Response(500, _text(lines), TEXT)
        if "verbose" not in query:
            return Response(200, b"ok", TEXT)
        lines.append(f"{self.endpoint} check passed")
        return Response(200, _text(lines), TEXT)

    async def answer_one(self, name: str) -> Response | None:
        """Run one check; None if there is none of that name."""
        check = self._checks.get(name)
        if check is None:
            return None
        reason = await check()
        if reason is None:
            return Response(200, b"ok", TEXT)
        return Response(500, b"internal server error: reason withheld\n", TEXT)


def _text(lines: Sequence[str]) -> bytes:
    return ("\n".join(lines) + "\n").encode()


async def always() -> str | None:
    """The check that only shows that the server answers."""
    return None


def storage_check(storage: Storage) -> CheckHealth:
    """Return the check whether the storage answers."""

    async def check() -> str | None:
        try:
            async with asyncio.timeout(STORAGE_TIMEOUT_S):
                await storage.current_revision()
        except (StorageError, TimeoutError) as error:
            return str(error) or "timeout"
        return None

    return check


def standard_checks(
    etcd: CheckHealth, *, is_loaded: Callable[[], bool], is_stopping: Callable[[], bool]
) -> Mapping[str, HealthChecks]:
    """Return the three endpoints by their names."""

    async def informers() -> str | None:
        return None if is_loaded() else "the cache is being loaded"

    async def shutdown() -> str | None:
        return "shutting down" if is_stopping() else None

    base = {"ping": always, "log": always, "etcd": etcd}
    ready = {**base, "etcd-readiness": etcd, "informer-sync": informers, "shutdown": shutdown}
    return {
        "healthz": HealthChecks("healthz", base),
        "livez": HealthChecks("livez", base),
        "readyz": HealthChecks("readyz", ready),
    }
