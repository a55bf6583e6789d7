"""The server: puts the parts together, starts them in order, owns their tasks, ends them.

state        storage, event flow, watch cache, registry
access       who asks and what they may
application  handlers and stages, one pipeline
serving      addresses and certificates; HTTPS is http/server.py
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Coroutine
from typing import Any

from services.apiserver.audit.auditor import Auditor, open_auditor
from services.apiserver.authentication.authorities import Authorities
from services.apiserver.controlplane import bootstrap
from services.apiserver.controlplane.authenticationtrust import ClusterAuthenticationTrust
from services.apiserver.controlplane.identitylease import IdentityLease, identity_of
from services.apiserver.controlplane.kubernetesendpoints import kubernetes_endpoints
from services.apiserver.customresources.registrar import Registrar
from services.apiserver.flowcontrol import FlowConfiguration
from services.apiserver.http.server import HttpServer, bind
from services.apiserver.kinds.service_repair import AllocationRepair
from services.apiserver.metrics import Metrics
from services.apiserver.openapi import OpenApi
from services.apiserver.options import ApiServerOptions
from services.apiserver.serviceaccounts.accounts import service_accounts
from services.apiserver.stages.flowcontrol import PriorityAndFairness, flow_control_of
from services.apiserver.startup import access, memory
from services.apiserver.startup.application import Parts, application
from services.apiserver.startup.serving import Serving
from services.apiserver.startup.state import State, open_storage, shared_event_log, state_of
from services.apiserver.webhooks import Address, WebhookClient
from shared.eventlog import EventLog
from shared.resources import builtin_table
from shared.storage import Storage, StorageUnavailable
from shared.storage.compaction import Compaction

log = logging.getLogger("kubefan.apiserver")

START_TIMEOUT_S = 60.0
RETRY_S = 0.5


class ApiServer:
    """One replica. `run` returns when it has been told to stop and has stopped."""

    def __init__(self, options: ApiServerOptions) -> None:
        self._options = options
        self._metrics = Metrics()
        self._table = builtin_table()
        self._openapi = OpenApi(self._table)
        self._stopping = False
        self._background: list[asyncio.Task[None]] = []
        self._endpoints: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Serve until SIGINT or SIGTERM.

        Raises:
            OptionsError, StorageError, EventLogError, OSError: it can't start.
            ExceptionGroup: one of its tasks failed; nothing is served any more.
        """
        options = self._options
        auditor = open_auditor(options.audit)
        listener = bind(options.bind_address, options.secure_port)
        storage = await open_storage(
            etcd_servers=options.etcd_servers,
            etcd_cafile=options.etcd_cafile,
            etcd_certfile=options.etcd_certfile,
            etcd_keyfile=options.etcd_keyfile,
            data_dir=options.data_dir,
            observe=self._metrics.storage,
        )
        event_log = shared_event_log(options.event_log)
        try:
            await self._serve(storage, event_log, auditor, listener)
        finally:
            listener.close()
            if event_log is not None:
                await event_log.aclose()
            await storage.aclose()

    async def _serve(
        self,
        storage: Storage,
        event_log: EventLog | None,
        auditor: Auditor | None,
        listener: socket.socket,
    ) -> None:
        options = self._options
        state = state_of(options, self._table, storage, event_log, self._metrics)
        serving = Serving(options, listener.getsockname()[1])
        files = serving.files()
        accounts = service_accounts(
            options.service_accounts, state.registry, options.certificates_dir, serving.address
        )
        authentication = access.authentication(
            options, state.lookup, accounts.tokens, admin_token=serving.admin_token(files)
        )
        parts = Parts(
            table=self._table,
            openapi=self._openapi,
            metrics=self._metrics,
            state=state,
            accounts=accounts,
            authentication=authentication,
            authorization=access.authorization(options, state.registry),
            flow_control=flow_control_of(
                options.flow_control, state.registry, options.request_timeout_s
            ),
            auditor=auditor,
            address=serving.address,
            identity=identity_of(socket.gethostname(), serving.own_address),
            is_stopping=lambda: self._stopping,
        )
        app = application(options, parts)
        authorities = authentication.authorities
        http = HttpServer(app, files, options, lambda: self._before_shutdown(state), authorities)
        webhooks = WebhookClient(
            lambda namespace, name: state.lookup.get("", "services", namespace, name),
            Address("localhost", serving.port),
        )
        async with asyncio.TaskGroup() as tasks:
            await self._start(tasks, parts, serving, http, webhooks, alone=event_log is None)
            memory.settle()
            log.info("serving", extra={"address": options.bind_address, "port": serving.port})
            await http.serve(sockets=[listener])
            for task in self._background:
                if not task.cancelling():  # else it is at its own end already
                    task.cancel()
            if auditor is not None:
                auditor.stop()
            await webhooks.aclose()

    async def _start(
        self,
        tasks: asyncio.TaskGroup,
        parts: Parts,
        serving: Serving,
        http: HttpServer,
        webhooks: WebhookClient,
        *,
        alone: bool,
    ) -> None:
        """Start what runs beside the requests, and return when requests can be served."""
        options, state = self._options, parts.state
        registry, lookup = state.registry, state.lookup

        def begin(name: str, work: Coroutine[Any, Any, None]) -> None:
            self._background.append(tasks.create_task(work, name=name))

        begin("event flow", state.events.run())
        begin("event loop sampler", self._metrics.sample_event_loop())
        begin("authorization", parts.authorization.run())
        begin("encryption configuration", state.encryption.run())
        if parts.auditor is not None:
            parts.auditor.metrics.show_in(self._metrics)
            # Ends by itself, when everything is written.
            tasks.create_task(parts.auditor.run(), name="audit")
        interval_s = options.etcd_compaction_interval_s
        if alone and interval_s:  # else it is for the watchfanout
            begin("compaction", Compaction(state.storage, interval_s).run())
        async with asyncio.timeout(START_TIMEOUT_S):
            await state.events.ready.wait()
            registrar = Registrar(self._table, registry, state.backend, self._openapi, webhooks)
            begin("custom resource definitions", registrar.run())
            await registrar.ready.wait()
        await ensure_defaults(state, serving.cluster)
        if isinstance(parts.flow_control, PriorityAndFairness):
            configuration = FlowConfiguration(registry, lookup, parts.flow_control.levels)
            configuration.load()
            begin("flow control", configuration.run())
        endpoints = kubernetes_endpoints(options, state, serving.cluster)
        if endpoints is not None:
            begin("kubernetes endpoints", endpoints.run())
            self._endpoints = self._background[-1]
        begin("identity lease", IdentityLease(registry, lookup, serving.own_address).run())
        repair = AllocationRepair(
            state.storage,
            state.allocators,
            state.backend.objects,
            etcd_prefix=options.etcd_prefix,
        )
        begin("repair of allocations", repair.run())
        authentication = parts.authentication
        told = ClusterAuthenticationTrust(
            registry,
            lookup,
            options.authentication,
            clients=authentication.client_authorities,
            proxies=authentication.proxy_authorities,
        )
        begin("authentication trust", told.run())

        def trust_anew(authorities: Authorities) -> None:
            http.trust(authorities)
            told.look_again()

        begin("authentication", authentication.run(trust_anew))

    async def _before_shutdown(self, state: State) -> None:
        """Not ready first, so that load balancers turn away, and nobody is sent here by the
        kubernetes Service; then watches end, so that their clients resume elsewhere."""
        self._stopping = True
        if self._endpoints is not None:
            self._endpoints.cancel()
        await asyncio.sleep(self._options.shutdown_delay_s)
        state.cache.close()


async def ensure_defaults(state: State, addresses: bootstrap.ClusterAddresses) -> None:
    """Have the default objects there; a storage that is away is waited for."""
    done = False
    while not done:
        try:
            await bootstrap.ensure(state.registry, state.lookup, addresses)
            done = True
        except* StorageUnavailable as group:
            why = str(group.exceptions[0])
            log.warning("the storage is away: not serving yet", extra={"why": why})
            await asyncio.sleep(RETRY_S)
