"""Metrics: kube-apiserver's names in Prometheus' text format."""

from __future__ import annotations

import asyncio
import time

from prometheus_client.parser import text_string_to_metric_families

from services.apiserver.metrics import Distribution, Metrics

PODS = ("LIST", "", "v1", "pods", "", "namespace")


def samples(metrics: Metrics) -> dict[str, dict[str, float]]:
    """Every sample's value by its name and by its labels' values."""
    out: dict[str, dict[str, float]] = {}
    for family in text_string_to_metric_families(metrics.exposition().decode()):
        for sample in family.samples:
            out.setdefault(sample.name, {})[" ".join(sample.labels.values())] = sample.value
    return out


def test_requests_are_counted_by_what_they_asked_and_how_they_ended() -> None:
    metrics = Metrics()
    for code in (200, 200, 404):
        metrics.request(PODS, code, 0.01)
    totals = samples(metrics)["apiserver_request_total"]
    assert sorted(totals.values()) == [1, 2]
    labels = next(iter(totals))
    for value in ("LIST", "v1", "pods", "namespace", "200", "apiserver"):
        assert value in labels.split()


def test_durations_fall_into_buckets_that_add_up() -> None:
    metrics = Metrics()
    for seconds in (0.001, 0.03, 0.03, 1000.0):
        metrics.request(PODS, 200, seconds)
    found = samples(metrics)
    buckets = found["apiserver_request_duration_seconds_bucket"]
    for bound, total in (("0.005", 1), ("0.05", 3), ("60", 3), ("+Inf", 4)):
        (value,) = (value for labels, value in buckets.items() if bound in labels.split())
        assert value == total
    (count,) = found["apiserver_request_duration_seconds_count"].values()
    assert count == 4


def test_open_watches_come_and_go() -> None:
    metrics = Metrics()
    for change, open_now in ((1, 1), (1, 2), (-1, 1), (-1, 0)):
        metrics.long_running(PODS, change)
        (value,) = samples(metrics)["apiserver_longrunning_requests"].values()
        assert value == open_now


def test_storage_operations_and_reads_are_counted() -> None:
    metrics = Metrics()
    metrics.storage("create", 0.002)
    metrics.read("cache")
    metrics.read("cache")
    found = samples(metrics)
    assert found["etcd_request_duration_seconds_count"] == {"create": 1}
    assert found["kubefan_consistent_reads_total"] == {"cache": 2}


def test_gauges_are_read_when_they_are_scraped() -> None:
    metrics = Metrics()
    values = {"pods": 1.0}
    metrics.gauge("apiserver_registered_watchers", "Open watches.", "resource", lambda: values)
    metrics.gauge("kubefan_cache_revision", "The revision.", "", lambda: {"": 7})
    values["nodes"] = 2.0
    found = samples(metrics)
    assert found["apiserver_registered_watchers"] == {"pods": 1, "nodes": 2}
    assert found["kubefan_cache_revision"] == {"": 7}


def test_the_process_is_told_of_too() -> None:
    assert "process_resident_memory_bytes" in samples(Metrics())


def test_a_value_on_a_bound_belongs_to_that_bucket() -> None:
    distribution = Distribution((1.0, 2.0))
    for value in (1.0, 1.5, 2.0, 3.0):
        distribution.observe(value)
    assert distribution.buckets() == [("1", 1), ("2", 3), ("+Inf", 4)]
    assert distribution.sum == 7.5


def test_a_stalled_event_loop_is_noticed() -> None:
    async def stall(metrics: Metrics) -> None:
        metrics.serving = 1
        loop = asyncio.get_running_loop()
        sampler = asyncio.create_task(metrics.sample_event_loop())
        # Holds the loop while the sampler's timer is due; then the sampler gets its turn.
        loop.call_later(0.001, time.sleep, 0.05)
        await asyncio.sleep(0.02)
        await asyncio.sleep(0.02)
        sampler.cancel()

    metrics = Metrics()
    asyncio.run(stall(metrics))
    assert metrics.longest_lag_s > 0.03
