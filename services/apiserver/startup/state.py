"""State: the objects a replica serves, where they come from and how they are kept.

storage ─▶ event flow ─▶ watch cache ─▶ registry: one store a resource

A server alone follows its storage itself; one of several follows the log of a watchfanout.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from services.apiserver.audit.storagetime import TimedStorage
from services.apiserver.codec import codec_for
from services.apiserver.encryption.configuration import ConfigurationError
from services.apiserver.encryption.configured import ConfiguredEncryption
from services.apiserver.events.flow import EventFlow, OwnEventFlow, SharedEventFlow
from services.apiserver.events.snapshots import Snapshots
from services.apiserver.kinds.catalog import StrategyNeeds, conversions, strategies
from services.apiserver.kinds.service_allocation import ServiceAllocators
from services.apiserver.metrics import Metrics
from services.apiserver.options import ApiServerOptions, OptionsError
from services.apiserver.options.event_log import EventLogOptions
from services.apiserver.registry.allocators import NodePorts, ServiceAddresses
from services.apiserver.registry.backend import Backend
from services.apiserver.registry.lookup import CacheLookup
from services.apiserver.registry.served import Registry, Served
from services.apiserver.registry.store import ResourceStore
from services.apiserver.registry.strategy import Strategy
from shared.eventlog import EventLog
from shared.fanout import extractor_for
from shared.fanout.client import SnapshotAccess
from shared.fanout.opening import Opener
from shared.flags import read_secret
from shared.objects import Extractor
from shared.resources import ResourceTable
from shared.storage import Storage
from shared.storage.encryption import EncryptedStorage, StoredResources
from shared.tlsfiles import TlsFiles
from shared.watchcache import HistoryLimits, WatchCache


@dataclass(frozen=True, slots=True)
class State:
    """What every request works on."""

    storage: Storage
    """Encrypts, where that is configured."""
    cache: WatchCache
    events: EventFlow
    backend: Backend
    registry: Registry
    lookup: CacheLookup
    allocators: ServiceAllocators
    encryption: ConfiguredEncryption


def state_of(
    options: ApiServerOptions,
    table: ResourceTable,
    storage: Storage,
    event_log: EventLog | None,
    metrics: Metrics,
) -> State:
    """Put the state together; nothing is loaded yet.

    Raises:
        OptionsError, OSError: a file of the flags can't be used.
    """
    prefix = options.etcd_prefix
    extractor = extractor_for(table.resources(), prefix)
    cache = WatchCache(history_limits=history_limits(options))
    encryption = configured_encryption(options, table)
    opener = Opener(encryption.encryption, extractor, etcd_prefix=prefix)
    on_lag = metrics.fanout_lag.observe
    events = event_flow(options, storage, event_log, cache, extractor, opener, on_lag=on_lag)
    if options.audit.policy_file:  # else nobody asks
        storage = TimedStorage(storage)
    if encryption.encryption.is_used:  # everything but the event flow
        storage = EncryptedStorage(storage, encryption.encryption)
    backend = Backend(
        storage,
        cache,
        extractor,
        etcd_prefix=prefix,
        on_read=metrics.read,
        on_resume=metrics.resume,
    )
    allocators = service_allocators(options, storage)
    registry = build_registry(options, table, allocators, backend)
    lookup = CacheLookup(registry)
    return State(storage, cache, events, backend, registry, lookup, allocators, encryption)


async def open_storage(
    *,
    etcd_servers: tuple[str, ...],
    etcd_cafile: str,
    etcd_certfile: str,
    etcd_keyfile: str,
    data_dir: Path,
    observe: Callable[[str, float], None],
) -> Storage:
    """Open etcd where servers are named, else the embedded store under `data_dir`.

    Raises:
        StorageError: it can't be opened.
    """
    if not etcd_servers:
        from shared.storage.sqlite import SqliteStorage

        return SqliteStorage.open(data_dir / "store.db", observe=observe)
    # Imported where it is used: gRPC costs an embedded server 20 MB.
    from shared.storage.etcd import EtcdStorage

    tls = None
    if any(url.startswith("https://") for url in etcd_servers):
        tls = TlsFiles.named(etcd_cafile, etcd_certfile, etcd_keyfile)
    return await EtcdStorage.open(etcd_servers, tls=tls, observe=observe)


def shared_event_log(options: EventLogOptions) -> EventLog | None:
    """Return the log that a watchfanout fills; None for a server that needs none.

    Raises:
        EventLogError, OSError: its URL or a file can't be used.
    """
    if not options.url:
        return None
    # Imported where it is used: an embedded server starts without.
    from shared.eventlog.redis import RedisEventLog, RedisServer

    password = None
    if options.password_file:
        password = read_secret(options.password_file)
    tls = TlsFiles.named(options.cafile) if options.cafile else None
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
