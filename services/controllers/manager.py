"""The process of the controllers: who leads works, one task group owns everything."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from collections.abc import Callable, Mapping

from services.controllers.client import Client
from services.controllers.clusterroleaggregation import ClusterRoleAggregationController
from services.controllers.controller import Controller, ControllerContext
from services.controllers.leaderelection import LeaderElector, LeadershipLost
from services.controllers.namespace import NamespaceController
from services.controllers.options import ControllersOptions, is_enabled
from services.controllers.rootcapublisher import RootCaPublisher
from services.controllers.serviceaccounts import ServiceAccountController
from services.controllers.serviceaccounttokens import ServiceAccountTokenController
from shared import kubeconfig

log = logging.getLogger(__name__)

RELEASE_TIMEOUT_S = 2.0

CONTROLLERS: Mapping[str, Callable[[ControllerContext], Controller]] = {
    # kube-controller-manager's names
    "clusterrole-aggregation-controller": ClusterRoleAggregationController,
    "namespace-controller": NamespaceController,
    "root-ca-certificate-publisher-controller": RootCaPublisher,
    "serviceaccount-controller": ServiceAccountController,
    "serviceaccount-token-controller": ServiceAccountTokenController,
}


async def run(options: ControllersOptions, access: kubeconfig.ClusterAccess) -> None:
    """Run the chosen controllers until cancelled.

    Raises:
        LeadershipLost: another process may be working now; this one has stopped.
    """
    root_ca = options.root_ca or (access.ca or b"").decode()
    async with Client(access, user_agent="kubefan-controllers") as client:
        context = ControllerContext(client, root_ca=root_ca, token_key=options.token_key)
        if options.leader_election is None:
            await _work(context, options.controllers)
            return
        elector = LeaderElector(client, options.leader_election)
        await elector.acquire()
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(elector.hold(), name="hold the lease")
                tasks.create_task(_work(context, options.controllers), name="controllers")
        except* LeadershipLost as lost:
            raise lost.exceptions[0] from None
        finally:
            with contextlib.suppress(TimeoutError):  # it then expires by itself
                async with asyncio.timeout(RELEASE_TIMEOUT_S):
                    await elector.release()


async def _work(context: ControllerContext, chosen: tuple[str, ...]) -> None:
    controllers = {
        name: build(context) for name, build in CONTROLLERS.items() if is_enabled(name, chosen)
    }
    log.info("running %s", ", ".join(controllers) or "no controller")
    async with asyncio.TaskGroup() as tasks:
        for informer in context.informers():
            tasks.create_task(informer.run(), name=f"informer {informer.resource}")
        for name, controller in controllers.items():
            tasks.create_task(controller.run(), name=name)


def run_until_signal(options: ControllersOptions, access: kubeconfig.ClusterAccess) -> int:
    """Run until SIGINT or SIGTERM; return the process's exit code."""

    async def supervised() -> None:
        loop = asyncio.get_running_loop()
        work = asyncio.current_task()
        assert work is not None
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, work.cancel)
        await run(options, access)

    try:
        asyncio.run(supervised())
    except asyncio.CancelledError:
        return 0
    except LeadershipLost as lost:
        log.error("leadership lost: %s", lost)
        return 1
    return 0
