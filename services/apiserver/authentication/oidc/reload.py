"""JwtAuthenticators: all issuers, as the file says that is being watched.

Source: kube-apiserver v1.36.2, pkg/kubeapiserver/authenticator/config.go
(updateAuthenticationConfig); pkg/kubeapiserver/options/authentication.go (ApplyTo).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from services.apiserver.authentication.authenticator import Authenticated
from services.apiserver.authentication.configuration import (
    AnonymousConfig,
    AuthenticationConfiguration,
    ConfigurationError,
    JwtAuthenticator,
)
from services.apiserver.authentication.oidc.authenticator import OidcAuthenticator
from services.apiserver.authentication.oidc.metrics import JwtMetrics
from services.apiserver.authentication.oidc.settings import ALGORITHMS, load
from services.apiserver.authentication.oidc.verification import untrusted_issuer
from services.apiserver.configreloads import ConfigReloads

if TYPE_CHECKING:
    from aiohttp import ClientSession

logger = logging.getLogger(__name__)

POLL_INTERVAL_S = 5.0
LIMIT_READY_S = 60.0
"""How long new issuers may take to answer before a new file is given up."""


@dataclass(frozen=True, slots=True)
class WatchedFile:
    """The file of --authentication-config, and what it said of anonymous requests at the start:
    that must stay."""

    path: Path
    disallowed_issuers: Collection[str] = ()
    anonymous: AnonymousConfig | None = None

    def load(self) -> AuthenticationConfiguration:
        """Raises ConfigurationError."""
        configuration = load(self.path, disallowed_issuers=self.disallowed_issuers)
        if configuration.anonymous != self.anonymous:
            raise ConfigurationError(
                "anonymous: Forbidden: changed from initial configuration file"
            )
        return configuration


@dataclass(frozen=True, slots=True)
class _Running:
    authenticators: dict[str, OidcAuthenticator]
    task: asyncio.Task[None]


class JwtAuthenticators:
    """A TokenAuthenticator for the tokens of several issuers, each known by its URL.

    A changed file takes effect when all issuers in it answer; until then, and if it is wrong,
    the former one stays.
    """

    def __init__(
        self,
        settings: Sequence[JwtAuthenticator],
        *,
        algorithms: frozenset[str] = ALGORITHMS,
        file: WatchedFile | None = None,
    ) -> None:
        self._algorithms = algorithms
        self._file = file
        self.metrics = JwtMetrics()
        self.reloads = None if file is None else ConfigReloads("authentication")
        """What is counted of the file; None without one."""
        self._authenticators = self._made(settings)

    def __repr__(self) -> str:
        return f"<JwtAuthenticators {list(self._authenticators.values())}>"

    @property
    def problems(self) -> list[str]:
        """Which issuers have not answered yet, and why."""
        return [
            f"{one.issuer}: {one.problem}" for one in self._authenticators.values() if one.problem
        ]

    async def authenticate_token(
        self, token: str, audiences: tuple[str, ...]
    ) -> Authenticated | None:
        """See TokenAuthenticator; the tokens know nothing of this server's audiences."""
        issuer = untrusted_issuer(token)
        authenticator = None if issuer is None else self._authenticators.get(issuer)
        return None if authenticator is None else await authenticator.authenticate_token(token)

    async def run(self) -> None:
        """Keep the issuers' keys, and follow the file."""
        import aiohttp  # only who has issuers needs its 10 MB

        async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as tasks:
            running = self._start(self._authenticators, tasks, session)
            if self._file is not None:
                await self._follow(self._file, running, tasks, session)

    async def _follow(
        self,
        file: WatchedFile,
        running: _Running,
        tasks: asyncio.TaskGroup,
        session: ClientSession,
    ) -> None:
        reloads = self.reloads
        assert reloads is not None
        seen = await asyncio.to_thread(_content, file.path)
        if seen is not None:
            reloads.started(seen)
        while True:
            await asyncio.sleep(POLL_INTERVAL_S)
            content = await asyncio.to_thread(_content, file.path)
            if content is None or content == seen:
                continue
            try:
                configuration = file.load()
                made = self._made(configuration.jwt)
            except ConfigurationError as error:
                seen = content
                reloads.failed()
                logger.error("authentication config is wrong, the former stays: %s", error)
                continue
            new = self._start(made, tasks, session)
            if not await _ready(new):
                # Looked at again: the issuers may answer later.
                new.task.cancel()
                reloads.failed()
                logger.error("authentication config: not all issuers answer, the former stays")
                continue
            # Requests that are under way may still need the keys of the former issuers.
            asyncio.get_running_loop().call_later(LIMIT_READY_S, running.task.cancel)
            seen, running, self._authenticators = content, new, new.authenticators
            self.metrics.keep_only(new.authenticators)
            reloads.succeeded(content)
            logger.info("authentication config: %d issuers", len(new.authenticators))

    def _made(self, settings: Sequence[JwtAuthenticator]) -> dict[str, OidcAuthenticator]:
        return {
            one.issuer.url: OidcAuthenticator(one, self.metrics, algorithms=self._algorithms)
            for one in settings
        }

    def _start(
        self,
        authenticators: dict[str, OidcAuthenticator],
        tasks: asyncio.TaskGroup,
        session: ClientSession,
    ) -> _Running:
        task = tasks.create_task(_run_all(authenticators, session), name="oidc issuers")
        return _Running(authenticators, task)


async def _run_all(authenticators: dict[str, OidcAuthenticator], session: ClientSession) -> None:
    async with asyncio.TaskGroup() as tasks:
        for one in authenticators.values():
            tasks.create_task(one.run(session), name=f"oidc issuer {one.issuer}")


async def _ready(running: _Running) -> bool:
    """Wait until every issuer answers; False if one does not in time."""
    try:
        async with asyncio.timeout(LIMIT_READY_S):
            for one in running.authenticators.values():
                await one.wait_ready()
    except TimeoutError:
        return False
    return True


def _content(path: Path) -> bytes | None:
    """Return what is in a file, None while it can't be read: it may be being replaced."""
    try:
        return path.read_bytes()
    except OSError:
        return None
