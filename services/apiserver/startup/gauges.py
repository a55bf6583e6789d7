"""Gauges: what the parts of a replica hold, read when the metrics are asked for."""

from __future__ import annotations

from contextlib import suppress
from functools import partial

from services.apiserver.flowcontrol.metrics import families
from services.apiserver.metrics import Metrics
from services.apiserver.stages.flowcontrol import FlowControl, PriorityAndFairness
from shared.watchcache import WatchCache


def add(metrics: Metrics, cache: WatchCache, flow_control: FlowControl) -> None:
    """Show the requests being served and the watch cache in `metrics`."""
    gauge = metrics.gauge
    gauge(
        "apiserver_current_inflight_requests",
        "Requests being served, by kind.",
        "request_kind",
        lambda: {"readOnly": flow_control.reading, "mutating": flow_control.mutating},
    )
    if isinstance(flow_control, PriorityAndFairness):
        metrics.source(partial(families, flow_control.levels))
    gauge(
        "apiserver_storage_objects",
        "Objects by resource.",
        "resource",
        lambda: {name_of(one.prefix): len(one) for one in cache.resources if len(one)},
    )
    gauge(
        "apiserver_registered_watchers",
        "Open watches by resource.",
        "resource",
        lambda: {
            name_of(one.prefix): one.watcher_count for one in cache.resources if one.watcher_count
        },
    )
    gauge(
        "apiserver_watch_cache_resource_version",
        "The revision of the last change in a resource's watch cache.",
        "resource",
        lambda: {name_of(one.prefix): one.revision for one in cache.resources if len(one)},
    )
    gauge(
        "kubefan_watch_cache_events",
        "Events kept by resource, from which watches can resume.",
        "resource",
        lambda: {
            name_of(one.prefix): len(one.history) for one in cache.resources if len(one.history)
        },
    )
    gauge(
        "apiserver_terminated_watchers_total",
        "Watches ended because their clients did not keep up, by resource.",
        "resource",
        lambda: {
            name_of(one.prefix): one.slow_watchers for one in cache.resources if one.slow_watchers
        },
    )
    gauge(
        "kubefan_unreadable_objects",
        "Objects that can't be decrypted, by resource.",
        "resource",
        lambda: {
            name_of(one.prefix): one.unreadable_count
            for one in cache.resources
            if one.unreadable_count
        },
    )
    gauge(
        "kubefan_cache_revision",
        "The storage revision that the watch cache has reached.",
        "",
        lambda: {"": cache.revision},
    )


def name_of(prefix: bytes) -> str:
    """Return a resource's name in metrics: its key's path without the etcd prefix."""
    with suppress(IndexError):
        return prefix.decode().strip("/").split("/", 1)[1]
    return prefix.decode()
