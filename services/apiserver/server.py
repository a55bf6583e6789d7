"""The server: puts the parts together, starts them in order, owns their tasks, ends them.

storage ─▶ event flow ─▶ watch cache          eventflow.py, shared/
strategies + stores ─▶ registry               kinds/, registry/
handlers + stages ─▶ pipeline ─▶ uvicorn      handlers/, stages/, pipeline.py
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import uvicorn

from services.apiserver import access, bootstrap, gauges, memory
from services.apiserver.admission.defaults import admission_chain
from services.apiserver.audit.auditor import Auditor, open_auditor
from services.apiserver.authentication.authorities import Authorities
from services.apiserver.authentication.handshake import ClientContext
from services.apiserver.authenticationtrust import ClusterAuthenticationTrust
from services.apiserver.authenticators import Authentication
from services.apiserver.authorization import decide
from services.apiserver.authorization.escalation import EscalationCheck
from services.apiserver.authorizers import Authorization
from services.apiserver.certificates import ServingFiles, admin_token, serving_files
from services.apiserver.codec import codec_for
from services.apiserver.customresources.registrar import Registrar
from services.apiserver.discovery import Discovery
from services.apiserver.encryption.configuration import ConfigurationError
from services.apiserver.encryption.configured import ConfiguredEncryption
from services.apiserver.eventflow import (
    EventFlow,
    OwnEventFlow,
    SharedEventFlow,
    open_storage,
)
from services.apiserver.flowcontrol import FlowConfiguration
from services.apiserver.handlers.componentstatus import ComponentStatuses
from services.apiserver.handlers.dispatch import Dispatch
from services.apiserver.handlers.podactions import PodActions
from services.apiserver.handlers.reviews import Reviews
from services.apiserver.handlers.watch import WatchLimits
from services.apiserver.handlers.writes import WriteFlow
from services.apiserver.health import CheckHealth, HealthChecks, always
from services.apiserver.http import ApiProtocol, ConnectionsState
from services.apiserver.identitylease import IdentityLease
from services.apiserver.kinds.catalog import StrategyNeeds, conversions, strategies
from services.apiserver.kinds.service_allocation import ServiceAllocators
from services.apiserver.kinds.service_repair import AllocationRepair
from services.apiserver.lookup import CacheLookup
from services.apiserver.metrics import Metrics
from services.apiserver.openapi import OpenApi
from services.apiserver.options import ApiServerOptions, OptionsError
from services.apiserver.options.event_log import EventLogOptions
from services.apiserver.pipeline import Pipeline
from services.apiserver.registry.allocators import NodePorts, ServiceAddresses
from services.apiserver.registry.backend import Backend
from services.apiserver.registry.served import Registry, Served
from services.apiserver.registry.store import ResourceStore
from services.apiserver.registry.strategy import Strategy
from services.apiserver.request import Request
from services.apiserver.requestinfo import RequestInfo, UserInfo
from services.apiserver.routes import PlainRoutes
from services.apiserver.serviceaccounts.accounts import ServiceAccounts, service_accounts
from services.apiserver.serviceaccounts.tokenrequest import TokenRequests
from services.apiserver.snapshots import Snapshots
from services.apiserver.stages.authorization import authorize
from services.apiserver.stages.flowcontrol import (
    FlowControl,
    PriorityAndFairness,
    flow_control_of,
)
from services.apiserver.webhooks import Address, WebhookClient
from shared import kubeconfig
from shared.eventlog import EventLog
from shared.fanout import extractor_for
from shared.fanout.client import SnapshotAccess
from shared.fanout.opening import Opener
from shared.objects import Extractor
from shared.resources import ResourceTable, builtin_table
from shared.storage import Storage, StorageError
from shared.storage.compaction import Compaction
from shared.storage.encryption import EncryptedStorage, StoredResources
from shared.watchcache import EndReason, HistoryLimits, ReadyWatchers, WatchCache

log = logging.getLogger("kubefan.apiserver")

KEEP_ALIVE_S = 90
"""Go's idle timeout in kube-apiserver."""
START_TIMEOUT_S = 60.0
CHECK_TIMEOUT_S = 2.0
OTHER_PATHS = (
    "/.well-known/openid-configuration",
    "/metrics",
    "/openapi/v2",
    "/openapi/v3",
    "/openid/v1/jwks",
    "/version",
)
"""What / lists beside the API and the health checks."""


@dataclass(frozen=True, slots=True)
class Listening:
    """Where the server can be reached."""

    url: str
    port: int
    kubeconfig: Path


class ApiServer:
    """One replica. `run` returns when it has been told to stop and has stopped."""

    def __init__(self, options: ApiServerOptions) -> None:
        self._options = options
        self._metrics = Metrics()
        self._table = builtin_table()
        self._openapi = OpenApi(self._table)
        self._stopping = False
        self._auditor: Auditor | None = None

    async def run(self) -> None:
        """Serve until SIGINT or SIGTERM.

        Raises:
            OptionsError, StorageError, OSError: it can't start.
            ExceptionGroup: one of its tasks failed; nothing is served any more.
        """
        options = self._options
        self._auditor = open_auditor(options.audit)
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
            await self._serve(storage, event_log, listener)
        finally:
            listener.close()
            if event_log is not None:
                await event_log.aclose()
            await storage.aclose()

    async def _serve(
        self, storage: Storage, event_log: EventLog | None, listener: socket.socket
    ) -> None:
        options, table = self._options, self._table
        extractor = extractor_for(table.resources(), options.etcd_prefix)
        cache = WatchCache(history_limits=history_limits(options))
        configured = configured_encryption(options, table)
        encryption = configured.encryption
        opener = Opener(encryption, extractor, etcd_prefix=options.etcd_prefix)
        events = event_flow(
            options,
            storage,
            event_log,
            cache,
            extractor,
            opener,
            on_lag=self._metrics.fanout_lag.observe,
        )
        if encryption.is_used:  # everything but the event flow
            storage = EncryptedStorage(storage, encryption)
        backend = Backend(
            storage,
            cache,
            extractor,
            etcd_prefix=options.etcd_prefix,
            on_read=self._metrics.read,
            on_resume=self._metrics.resume,
        )
        allocators = service_allocators(options, storage)
        registry = build_registry(options, table, allocators, backend)
        lookup = CacheLookup(registry)
        port: int = listener.getsockname()[1]
        files = self._certificates()
        address = f"{self._advertised()}:{options.advertise_port or port}"
        accounts = service_accounts(
            options.service_accounts, registry, options.certificates_dir, address
        )
        authentication = access.authentication(
            options, lookup, accounts.tokens, admin_token=self._admin_token(port, files)
        )
        authorization = access.authorization(options, registry)
        flow_control = flow_control_of(options.flow_control, registry, options.request_timeout_s)
        app = self._application(
            registry,
            lookup,
            storage,
            events,
            cache,
            flow_control,
            address,
            accounts,
            authentication,
            authorization,
        )
        http = HttpServer(
            app, files, options, self._before_shutdown(cache), authentication.authorities
        )
        webhooks = WebhookClient(
            lambda namespace, name: lookup.get("", "services", namespace, name),
            Address("localhost", port),
        )
        async with asyncio.TaskGroup() as tasks:
            background = [
                tasks.create_task(events.run(), name="event flow"),
                tasks.create_task(self._metrics.sample_event_loop(), name="event loop sampler"),
                tasks.create_task(authorization.run(), name="authorization"),
                tasks.create_task(configured.run(), name="encryption configuration"),
            ]
            if self._auditor is not None:
                self._auditor.metrics.show_in(self._metrics)
                tasks.create_task(self._auditor.run(), name="audit")
            interval_s = options.etcd_compaction_interval_s
            if event_log is None and interval_s:  # else it is for the watchfanout
                compaction = Compaction(storage, interval_s)
                background.append(tasks.create_task(compaction.run(), name="compaction"))
            async with asyncio.timeout(START_TIMEOUT_S):
                await events.ready.wait()
                registrar = Registrar(table, registry, backend, self._openapi, webhooks)
                background.append(
                    tasks.create_task(registrar.run(), name="custom resource definitions")
                )
                await registrar.ready.wait()
            await bootstrap.ensure(registry, lookup, self._addresses(port))
            if isinstance(flow_control, PriorityAndFairness):
                configuration = FlowConfiguration(registry, lookup, flow_control.levels)
                configuration.load()
                background.append(tasks.create_task(configuration.run(), name="flow control"))
            lease = IdentityLease(registry, lookup, f"{self._advertised()}:{port}")
            background.append(tasks.create_task(lease.run(), name="identity lease"))
            repair = AllocationRepair(
                storage, allocators, backend.objects, etcd_prefix=options.etcd_prefix
            )
            background.append(tasks.create_task(repair.run(), name="repair of allocations"))
            told = ClusterAuthenticationTrust(
                registry,
                lookup,
                options.authentication,
                clients=authentication.client_authorities,
                proxies=authentication.proxy_authorities,
            )
            background.append(tasks.create_task(told.run(), name="authentication trust"))

            def trust_anew(authorities: Authorities) -> None:
                http.trust(authorities)
                told.look_again()

            background.append(
                tasks.create_task(authentication.run(trust_anew), name="authentication")
            )
            memory.settle()
            log.info("serving", extra={"address": options.bind_address, "port": port})
            await http.serve(sockets=[listener])
            for task in background:
                task.cancel()
            if self._auditor is not None:
                self._auditor.stop()
            await webhooks.aclose()

    def _certificates(self) -> ServingFiles:
        options = self._options
        if options.tls_cert_file:
            certificate = Path(options.tls_cert_file)
            return ServingFiles(certificate, Path(options.tls_private_key_file), certificate)
        addresses = ["127.0.0.1", self._advertised()]
        if options.bind_address not in ("0.0.0.0", "::"):
            addresses.append(options.bind_address)
        addresses.append(self._addresses(0).service_ip)
        return serving_files(options.certificates_dir, list(dict.fromkeys(addresses)))

    def _advertised(self) -> str:
        options = self._options
        if options.advertise_address:
            return options.advertise_address
        bound = ipaddress.ip_address(options.bind_address)
        if bound.is_unspecified or bound.is_loopback:
            # As kube-apiserver: members of the cluster can't use either.
            return bootstrap.host_address()
        return options.bind_address

    def _addresses(self, port: int) -> bootstrap.ClusterAddresses:
        options = self._options
        return bootstrap.ClusterAddresses(
            options.service_cluster_ip_range, self._advertised(), options.advertise_port or port
        )

    def _application(
        self,
        registry: Registry,
        lookup: CacheLookup,
        storage: Storage,
        events: EventFlow,
        cache: WatchCache,
        flow_control: FlowControl,
        address: str,
        accounts: ServiceAccounts,
        authentication: Authentication,
        authorization: Authorization,
    ) -> Pipeline:
        options = self._options
        authorizers = authorization.authorizers

        async def check(request: Request, info: RequestInfo) -> None:
            await authorize(authorizers, request.user, info)

        async def permits(user: UserInfo, info: RequestInfo) -> bool:
            return (await decide(authorizers, user, info)).allowed

        chain = admission_chain(
            storage=storage,
            permits=permits,
            etcd_prefix=options.etcd_prefix,
            enabled=options.enabled_admission_plugins,
            disabled=options.disabled_admission_plugins,
        )
        flow = WriteFlow(chain, lookup, check, EscalationCheck(authorizers, authorization.rbac))
        health = self._health(storage, events)
        reviews = Reviews(
            authorizers,
            authorization.resolvers,
            authentication.tokens,
            audiences=options.service_accounts.api_audiences,
        )
        dispatch = Dispatch(
            self._table,
            registry,
            flow,
            WatchLimits(options.min_request_timeout_s, ReadyWatchers(asyncio.get_running_loop())),
            PodActions(registry, flow),
            ComponentStatuses(self._storage_check(storage)),
            reviews,
            TokenRequests(registry, flow, accounts.signing_key, accounts.policy),
        )
        other_paths = [
            path
            for name, checks in health.items()
            for path in (f"/{name}", *(f"/{name}/{check}" for check in checks.names))
        ]
        routes = PlainRoutes(
            health=health,
            metrics=self._metrics,
            discovery=Discovery(
                self._table,
                address,
                [*other_paths, *OTHER_PATHS],
            ),
            openapi=self._openapi,
            issuer=accounts.documents,
            priority_levels=(
                flow_control.levels if isinstance(flow_control, PriorityAndFairness) else None
            ),
        )
        gauges.add(self._metrics, cache, flow_control)
        self._metrics.gauge(
            "authentication_attempts",
            "Requests by whether somebody was found behind them.",
            "result",
            lambda: authentication.authenticate.attempts,
        )
        return Pipeline(
            authenticate=authentication.authenticate,
            authorizers=authorizers,
            flow_control=flow_control,
            resources=dispatch,
            plain=routes.router(),
            metrics=self._metrics,
            request_timeout_s=options.request_timeout_s,
            auditor=self._auditor,
        )

    def _admin_token(self, port: int, files: ServingFiles) -> str:
        """Return the token of the kubeconfig that is written for the administrator."""
        options = self._options
        token = admin_token(options.certificates_dir / "admin.token")
        host = options.bind_address
        if host in ("0.0.0.0", "::"):
            host = "127.0.0.1"
        kubeconfig.write(
            options.data_dir / "admin.kubeconfig",
            server=f"https://{f'[{host}]' if ':' in host else host}:{port}",
            authority=files.authority,
            token=token,
        )
        return token

    def _storage_check(self, storage: Storage) -> CheckHealth:
        async def check() -> str | None:
            try:
                async with asyncio.timeout(CHECK_TIMEOUT_S):
                    await storage.current_revision()
            except (StorageError, TimeoutError) as error:
                return str(error) or "timeout"
            return None

        return check

    def _health(self, storage: Storage, events: EventFlow) -> Mapping[str, HealthChecks]:
        etcd = self._storage_check(storage)

        async def informers() -> str | None:
            return None if events.ready.is_set() else "the cache is being loaded"

        async def shutdown() -> str | None:
            return "shutting down" if self._stopping else None

        base = {"ping": always, "log": always, "etcd": etcd}
        return {
            "healthz": HealthChecks("healthz", base),
            "livez": HealthChecks("livez", base),
            "readyz": HealthChecks(
                "readyz",
                {**base, "etcd-readiness": etcd, "informer-sync": informers, "shutdown": shutdown},
            ),
        }

    def _before_shutdown(self, cache: WatchCache) -> Callable[[], Awaitable[None]]:
        async def prepare() -> None:
            """Not ready first, so that load balancers turn away; then watches end, so that
            their clients resume elsewhere."""
            self._stopping = True
            await asyncio.sleep(self._options.shutdown_delay_s)
            cache.end_watchers(EndReason.CLOSED)

        return prepare


class HttpServer(uvicorn.Server):
    """uvicorn over HTTPS, with what a Kubernetes server does before it stops."""

    def __init__(
        self,
        app: Pipeline,
        files: ServingFiles,
        options: ApiServerOptions,
        before_shutdown: Callable[[], Awaitable[None]],
        authorities: Sequence[Authorities],
    ) -> None:
        config = uvicorn.Config(
            app,
            http=ApiProtocol,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            ssl_certfile=str(files.certificate),
            ssl_keyfile=str(files.key),
            ssl_version=ssl.PROTOCOL_TLS_SERVER,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=int(options.request_timeout_s),
        )
        super().__init__(config)
        self.server_state: ConnectionsState = ConnectionsState()
        self._before_shutdown = before_shutdown
        config.load()
        if authorities:
            config.ssl = ClientContext.serving(files.certificate, files.key, authorities)

    def trust(self, authorities: Authorities) -> None:
        """Let in whoever these authorities know, from the next connection on."""
        assert isinstance(self.config.ssl, ClientContext)
        self.config.ssl.trust(authorities)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self.server_state.draining = True
        await self._before_shutdown()
        await super().shutdown(sockets)


def shared_event_log(options: EventLogOptions) -> EventLog | None:
    """Return the log that a watchfanout fills; None for a server that needs none.

    Raises:
        EventLogError, OSError: its URL or a file can't be used.
    """
    if not options.url:
        return None
    # Imported where it is used: an embedded server starts without.
    from shared.eventlog.redis import RedisEventLog, RedisServer, RedisTls

    password = None
    if options.password_file:
        password = Path(options.password_file).read_text().strip()
    tls = RedisTls(ca=Path(options.cafile)) if options.cafile else None
    return RedisEventLog(RedisServer.from_url(options.url, password=password, tls=tls))


def event_flow(
    options: ApiServerOptions,
    storage: Storage,
    event_log: EventLog | None,
    cache: WatchCache,
    extractor: Extractor,
    opener: Opener,
    *,
    on_lag: Callable[[float], None],
) -> EventFlow:
    """Return what keeps the cache up to date: by the storage itself, or by the shared log."""
    prefix = options.etcd_prefix
    if event_log is None:
        return OwnEventFlow(storage, cache, extractor, opener, etcd_prefix=prefix)
    given = options.event_log
    access = SnapshotAccess.from_files(given.watchfanout_cafile, given.watchfanout_token_file)
    servers = given.watchfanout_servers
    snapshots = Snapshots(servers, access, storage, extractor, etcd_prefix=prefix)
    return SharedEventFlow(snapshots, event_log, cache, opener, on_lag=on_lag)


def configured_encryption(options: ApiServerOptions, table: ResourceTable) -> ConfiguredEncryption:
    """Return what encrypts the stored values.

    Raises:
        OptionsError: its file can't be used any more.
    """
    resources = StoredResources(table.resources(), options.etcd_prefix)
    try:
        return ConfiguredEncryption(options.encryption, resources)
    except ConfigurationError as error:
        raise OptionsError(f"--encryption-provider-config: {error}") from error


def service_allocators(options: ApiServerOptions, storage: Storage) -> ServiceAllocators:
    """Return what gives Services their addresses and node ports."""
    cidrs = options.service_cluster_ip_range.split(",")
    low, high = options.service_node_port_range
    return ServiceAllocators(
        ServiceAddresses(storage, cidrs, etcd_prefix=options.etcd_prefix),
        NodePorts(storage, base=low, size=high - low + 1, etcd_prefix=options.etcd_prefix),
    )


def build_registry(
    options: ApiServerOptions,
    table: ResourceTable,
    allocators: ServiceAllocators,
    backend: Backend,
) -> Registry:
    """Return the registry of all stored built-in resources."""
    factories = strategies(StrategyNeeds(allocators, options.event_ttl_s))
    converted = conversions()
    registry = Registry()
    stores: dict[tuple[str, str], ResourceStore] = {}
    for resource in table.resources():
        if not resource.stored:
            continue
        key = (resource.group, resource.name)
        store = stores.get(key)
        if store is None:
            factory = factories.get(key)
            strategy = Strategy() if factory is None else factory()
            if factory is None:
                strategy.has_status = "status" in resource.subresources
            store = stores[key] = ResourceStore(resource, strategy, backend)
        codec = codec_for(resource.group, resource.version, resource.kind)
        registry.add(Served(resource, store, codec, converted.get(resource.gvr)))
    return registry


def history_limits(options: ApiServerOptions) -> HistoryLimits:
    """Return the bounds of the watch windows; kube-apiserver's sizes are lower bounds there."""
    default = HistoryLimits()
    sizes = [options.default_watch_cache_size, *(size for _, size in options.watch_cache_sizes)]
    return HistoryLimits(limit_events=max(default.limit_events, *sizes))


def bind(address: str, port: int) -> socket.socket:
    """Return a listening socket, bound before anything else starts: a taken port is told at once.

    Raises:
        OptionsError: the address can't be had.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.set_inheritable(True)
    except OSError as error:
        listener.close()
        raise OptionsError(f"--secure-port: {address}:{port}: {error.strerror}") from error
    return listener
