"""What is counted of encrypting and decrypting values."""

from __future__ import annotations

import pytest

from services.apiserver.encryption.metrics import TransformationMetrics
from shared.resources import builtin_table
from shared.storage import UnreadableValue
from shared.storage.encryption import (
    IDENTITY,
    Encryption,
    Provider,
    StoredResources,
    Transformer,
    aesgcm,
)

SECRET, PODS = b"/registry/secrets/default/a", b"/registry/pods/default/a"
RESOURCES = StoredResources(builtin_table().resources(), "/registry")
NEW, OLD, LOST = (aesgcm([(name, name[:1].encode() * 16)]) for name in ("new", "old", "lost"))
GCM = "k8s:enc:aesgcm:v1:"


def world(*providers: Provider) -> tuple[Encryption, TransformationMetrics]:
    metrics = TransformationMetrics()
    rules = {("", "secrets"): Transformer(providers)}
    return Encryption(rules, RESOURCES, metrics.observe), metrics


def counts(metrics: TransformationMetrics) -> dict[tuple[str, ...], float]:
    """How many operations of each type, prefix and status."""
    family, _ = metrics.families()
    return {tuple(one.labels.values()): one.value for one in family.samples}


def test_sealing_and_opening_are_counted_by_provider_and_by_key() -> None:
    encryption, metrics = world(NEW, OLD)
    sealed = encryption.seal(SECRET, b"v")
    for stored in (sealed, sealed, OLD.seal(b"v", SECRET)):
        assert encryption.open(SECRET, stored)[0] == b"v"
    # Of the first provider, no key is meant by the name «old».
    assert counts(metrics) == {
        ("to_storage", "new:", "OK"): 1,
        ("to_storage", GCM, "OK"): 1,
        ("from_storage", "new:", "OK"): 2,
        ("from_storage", "old:", "OK"): 1,
        ("from_storage", GCM, "OK"): 3,
        ("from_storage", "unknown", "unknown-non-grpc"): 1,
        ("from_storage", GCM, "unknown-non-grpc"): 1,
    }


def test_plain_values_are_identity_on_the_way_in_and_have_no_prefix_on_the_way_out() -> None:
    encryption, metrics = world(IDENTITY, OLD)
    assert encryption.open(SECRET, encryption.seal(SECRET, b"v")) == (b"v", False)
    # That identity can't open it is no failure: a later one is there for that.
    assert encryption.open(SECRET, OLD.seal(b"v", SECRET)) == (b"v", True)
    assert counts(metrics) == {
        ("to_storage", "", "OK"): 1,
        ("from_storage", "identity", "OK"): 1,
        ("from_storage", "old:", "OK"): 1,
        ("from_storage", GCM, "OK"): 1,
    }


def test_what_can_not_be_opened_is_a_failure_and_has_no_duration() -> None:
    encryption, metrics = world(NEW)
    for stored in (LOST.seal(b"v", SECRET), NEW.seal(b"v", PODS), b"plain"):
        with pytest.raises(UnreadableValue):
            encryption.open(SECRET, stored)
    failed = "unknown-non-grpc"
    assert counts(metrics) == {
        ("from_storage", "unknown", failed): 2,
        ("from_storage", "new:", failed): 1,
        ("from_storage", GCM, failed): 2,
    }
    _, durations = metrics.families()
    assert not durations.samples


def test_resources_without_a_rule_are_not_counted() -> None:
    encryption, metrics = world(NEW)
    assert encryption.open(PODS, encryption.seal(PODS, b"v")) == (b"v", False)
    assert counts(metrics) == {}


def test_durations_begin_with_buckets_of_five_microseconds() -> None:
    metrics = TransformationMetrics()
    metrics.observe("to_storage", GCM, 0.000007, True)
    _, durations = metrics.families()
    buckets = {
        one.labels["le"]: one.value for one in durations.samples if one.name.endswith("_bucket")
    }
    assert list(buckets)[:3] == ["5e-06", "1e-05", "2e-05"]
    assert list(buckets)[-2:] == ["83.88608", "+Inf"]
    assert list(buckets.values())[:2] == [0, 1]
