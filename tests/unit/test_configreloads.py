"""What is counted of configuration files that are followed, and of token issuers."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from prometheus_client.core import Metric

from services.apiserver.authentication.oidc.metrics import JwtMetrics
from services.apiserver.configreloads import ConfigReloads, hash_label

SERVER = hash_label("apiserver-a")
FIRST, SECOND = b"first", b"second"


def samples(families: Iterable[Metric]) -> dict[tuple[str, ...], float]:
    """Every sample's value by the last words of its name and its labels' values, the server's
    hash left out."""
    out = {}
    for family in families:
        for one in family.samples:
            labels = dict(one.labels)
            assert labels.pop("apiserver_id_hash", SERVER) == SERVER
            name = one.name.rpartition("_controller_")[2].rpartition("_authenticator_")[2]
            out[name, *labels.values()] = one.value
    return out


def test_a_server_that_has_just_started_shows_what_it_goes_by() -> None:
    reloads = ConfigReloads("authorization")
    reloads.started(FIRST)
    found = list(reloads.families(SERVER))
    assert [one.name for one in found] == [
        "apiserver_authorization_config_controller_automatic_reloads",
        "apiserver_authorization_config_controller_automatic_reload_last_timestamp_seconds",
        "apiserver_authorization_config_controller_last_config_info",
    ]
    digest = hashlib.sha256(FIRST).hexdigest()
    assert samples(found) == {("last_config_info", f"sha256:{digest}"): 1}


def test_reloads_are_counted_with_the_time_of_the_last_and_a_failure_changes_nothing() -> None:
    times = iter([10.0, 20.0, 30.0])
    reloads = ConfigReloads("encryption", clock=lambda: next(times))
    reloads.started(FIRST)
    reloads.failed()
    reloads.succeeded(SECOND)
    reloads.failed()
    assert samples(reloads.families(SERVER)) == {
        ("automatic_reloads_total", "failure"): 2,
        ("automatic_reloads_total", "success"): 1,
        ("automatic_reload_last_timestamp_seconds", "failure"): 30,
        ("automatic_reload_last_timestamp_seconds", "success"): 20,
        ("last_config_info", hash_label(SECOND)): 1,
    }


def test_issuers_show_by_their_hash_when_their_keys_came_and_which() -> None:
    times = iter([10.0, 20.0, 30.0])
    metrics = JwtMetrics(clock=lambda: next(times))
    metrics.fetched("https://a", b'{"keys": []}')
    metrics.not_fetched("https://a")
    metrics.fetched("https://b", b"{}")
    metrics.verified("https://a", "failure", 0.003)
    one, other = hash_label("https://a"), hash_label("https://b")
    found = samples(metrics.families(SERVER))
    assert found["latency_seconds_count", "failure", one] == 1
    assert found["latency_seconds_bucket", "failure", one, "0.001"] == 0
    assert found["latency_seconds_bucket", "failure", one, "0.005"] == 1
    assert found["jwks_fetch_last_timestamp_seconds", "success", one] == 10
    assert found["jwks_fetch_last_timestamp_seconds", "failure", one] == 20
    metrics.keep_only(["https://b"])
    infos = [key for key in samples(metrics.families(SERVER)) if key[0].endswith("_info")]
    assert infos == [("jwks_fetch_last_key_set_info", other, hash_label(b"{}"))]
