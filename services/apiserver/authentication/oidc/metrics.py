"""What is counted of token issuers, by kube-apiserver's names.

Source: kube-apiserver v1.36.2, apiserver/plugin/pkg/authenticator/token/oidc/metrics.go.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator
from typing import Final, Literal

from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily, Metric

from services.apiserver.configreloads import hash_label
from services.apiserver.metrics import Distribution

PREFIX: Final = "apiserver_authentication_jwt_authenticator"
BUCKETS_S: Final = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

Result = Literal["success", "failure"]
Key = tuple[Result, str]
"""What became of it, and the hash of the issuer."""


class JwtMetrics:
    """Plain numbers by issuer, shown when somebody scrapes."""

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._verified_s: dict[Key, Distribution] = {}
        self._fetched_at: dict[Key, float] = {}
        self._key_sets: dict[str, str] = {}

    def verified(self, issuer: str, result: Result, seconds: float) -> None:
        """Count a token that names the issuer; one that a cache knows is not verified anew."""
        key = (result, hash_label(issuer))
        durations = self._verified_s.get(key)
        if durations is None:
            durations = self._verified_s[key] = Distribution(BUCKETS_S)
        durations.observe(seconds)

    def fetched(self, issuer: str, key_set: bytes) -> None:
        """The issuer has told its keys: `key_set` as it came."""
        hashed = hash_label(issuer)
        self._key_sets[hashed] = hash_label(key_set)
        self._fetched_at["success", hashed] = self._clock()

    def not_fetched(self, issuer: str) -> None:
        self._fetched_at["failure", hash_label(issuer)] = self._clock()

    def keep_only(self, issuers: Collection[str]) -> None:
        """Forget the keys of all issuers that are not configured any more."""
        for hashed in self._key_sets.keys() - {hash_label(one) for one in issuers}:
            del self._key_sets[hashed]

    def families(self, server_hash: str) -> Iterator[Metric]:
        """Yield the metrics. `server_hash` is the hash_label of the server's identity."""
        durations = HistogramMetricFamily(
            f"{PREFIX}_latency_seconds",
            "Latency of jwt authentication operations in seconds. This is the time spent"
            " authenticating a token for cache miss only (i.e. when the token is not found in the"
            " cache).",
            labels=("result", "jwt_issuer_hash"),
        )
        for key, seconds in self._verified_s.items():
            durations.add_metric(key, seconds.buckets(), sum_value=seconds.sum)
        times = GaugeMetricFamily(
            f"{PREFIX}_jwks_fetch_last_timestamp_seconds",
            "Timestamp of the last successful or failed JWKS fetch split by result, api server"
            " identity and jwt issuer for the JWT authenticator.",
            labels=("result", "jwt_issuer_hash", "apiserver_id_hash"),
        )
        for key, at in self._fetched_at.items():
            times.add_metric((*key, server_hash), at)
        key_sets = GaugeMetricFamily(
            f"{PREFIX}_jwks_fetch_last_key_set_info",
            "Information about the last JWKS fetched by the JWT authenticator with hash as label,"
            " split by api server identity and jwt issuer.",
            labels=("jwt_issuer_hash", "apiserver_id_hash", "hash"),
        )
        for issuer, key_set in self._key_sets.items():
            key_sets.add_metric((issuer, server_hash, key_set), 1)
        return iter((durations, times, key_sets))
