"""ConfiguredAuthorizer: the authorizers of a file that may change while the server runs.

Source: kube-apiserver v1.36.2, pkg/kubeapiserver/authorizer/reload.go.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from services.apiserver.authorization.authorizer import (
    Decision,
    NamedAuthorizer,
    UserRules,
    all_user_rules,
    decide,
)
from services.apiserver.authorization.configuration import (
    WEBHOOK,
    AuthorizerConfiguration,
    ConfigurationError,
    load,
)
from services.apiserver.authorization.webhook import WebhookAuthorizer
from services.apiserver.configreloads import ConfigReloads
from services.apiserver.requestinfo import RequestInfo, UserInfo

log = logging.getLogger("kubefan.apiserver")

POLL_INTERVAL_S = 1.0


Build = Callable[[AuthorizerConfiguration], NamedAuthorizer]
"""Returns the authorizer of an entry; raises ConfigurationError where it can't be had."""


class ConfiguredAuthorizer:
    """Asks the authorizers of the file, as it is now or, while it is not valid, as it was.

    Raises:
        ConfigurationError: there is no valid file to begin with.
    """

    def __init__(
        self, path: Path, build: Build, *, poll_interval_s: float = POLL_INTERVAL_S
    ) -> None:
        self._path = path
        self._build = build
        self._poll_interval_s = poll_interval_s
        self._replaced: Sequence[NamedAuthorizer] = ()
        self._seen = self._signature()
        self.reloads = ConfigReloads("authorization")
        found = load(path)
        self.reloads.started(_content(path))
        self._fixed_types = {one.type for one in found} - {WEBHOOK}
        self._current: Sequence[NamedAuthorizer] = [build(one) for one in found]

    def __repr__(self) -> str:
        return f"<ConfiguredAuthorizer {list(self._current)!r}>"

    async def authorize(self, user: UserInfo, info: RequestInfo) -> Decision:
        return await decide(self._current, user, info)

    async def user_rules(self, user: UserInfo, namespace: str) -> UserRules:
        return await all_user_rules(self._current, user, namespace)

    async def run(self) -> None:
        """Follow the file until cancelled."""
        while True:
            await asyncio.sleep(self._poll_interval_s)
            seen = self._signature()
            if seen == self._seen:
                continue
            self._seen = seen
            await self._reload()

    async def aclose(self) -> None:
        await _close(self._replaced)
        await _close(self._current)

    async def _reload(self) -> None:
        try:
            content = _content(self._path)
            found = load(self._path, fixed_types=self._fixed_types)
            current = [self._build(one) for one in found]
        except ConfigurationError as error:
            self.reloads.failed()
            log.error("--authorization-config stays as it was", extra={"why": str(error)})
            return
        # Those that are replaced may still be answering: they are closed at the next change.
        await _close(self._replaced)
        self._replaced, self._current = self._current, current
        self.reloads.succeeded(content)
        log.info("--authorization-config loaded", extra={"file": str(self._path)})

    def _signature(self) -> tuple[int, int, int] | None:
        try:
            status = self._path.stat()
        except OSError:
            return None
        return status.st_ino, status.st_mtime_ns, status.st_size


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"{path}: {error}") from error


async def _close(authorizers: Sequence[NamedAuthorizer]) -> None:
    for one in authorizers:
        if isinstance(one.authorizer, WebhookAuthorizer):
            await one.authorizer.aclose()
