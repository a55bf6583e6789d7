"""What a controller is, what it is given, and how its workers treat the keys of its queue."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Protocol

from services.controllers.client import Client, ClientError
from services.controllers.discovery import Discovery
from services.controllers.informer import Informer
from services.controllers.resource import Resource
from services.controllers.workqueue import WorkQueue
from shared.signingkeys import SigningKey

log = logging.getLogger(__name__)


class Controller(Protocol):
    """Brings the world towards what objects say, looking at current state, not at events.

    Its constructor takes a ControllerContext, asks it for informers and adds its handlers;
    it must not wait.
    """

    async def run(self) -> None:
        """Work until cancelled. An exception ends the process: it is a bug, not a bad object."""


class ControllerContext:
    """What all controllers of a process share."""

    def __init__(
        self, client: Client, *, root_ca: str = "", token_key: SigningKey | None = None
    ) -> None:
        self.client = client
        self.discovery = Discovery(client)
        self.root_ca = root_ca
        """Certificates (PEM) by which clients in the cluster trust the API server."""
        self.token_key = token_key
        """Signs the tokens of service accounts that lie in Secrets."""
        self._informers: dict[tuple[Resource, str], Informer] = {}

    def informer(self, resource: Resource, *, field_selector: str = "") -> Informer:
        """Return the one informer of that selection of `resource`; the manager runs it."""
        key = (resource, field_selector)
        if key not in self._informers:
            self._informers[key] = Informer(self.client, resource, field_selector=field_selector)
        return self._informers[key]

    def informers(self) -> tuple[Informer, ...]:
        return tuple(self._informers.values())


class NotYet(Exception):
    """Raised by a reconcile function: nothing failed, but look again later."""


async def run_workers(
    queue: WorkQueue, reconcile: Callable[[str], Awaitable[None]], *, workers: int
) -> None:
    """Call `reconcile` for each key of `queue`, several at once but never one key twice.

    A key whose reconcile raises ClientError or NotYet comes again, after growing waits.
    """
    try:
        async with asyncio.TaskGroup() as tasks:
            for number in range(workers):
                tasks.create_task(_work(queue, reconcile), name=f"{queue.name} worker {number}")
    finally:
        queue.close()


async def _work(queue: WorkQueue, reconcile: Callable[[str], Awaitable[None]]) -> None:
    while True:
        key = await queue.get()
        try:
            await reconcile(key)
        except NotYet as reason:
            log.debug("%s: %s: %s", queue.name, key, reason)
            queue.add_rate_limited(key)
        except ClientError as error:
            log.warning("%s: %s: %s", queue.name, key, error)
            queue.add_rate_limited(key)
        else:
            queue.forget(key)
        finally:
            queue.done(key)
