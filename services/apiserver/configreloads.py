"""ConfigReloads: how often a configuration file was loaded anew, by kube-apiserver's names.

Source: kube-apiserver v1.36.2, apiserver/pkg/server/options/{authenticationconfig,
authorizationconfig,encryptionconfig}/metrics/metrics.go.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from typing import Literal

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

Status = Literal["success", "failure"]


def hash_label(text: str | bytes) -> str:
    """Return what stands in labels for something that is too long for one, or nobody's business."""
    raw = text.encode() if isinstance(text, str) else text
    return f"sha256:{hashlib.sha256(raw).hexdigest()}"


class ConfigReloads:
    """What is counted of one file. `kind` is authentication, authorization or encryption."""

    def __init__(self, kind: str, *, clock: Callable[[], float] = time.time) -> None:
        self._kind = kind
        self._clock = clock
        self._counts: dict[Status, int] = {}
        self._times: dict[Status, float] = {}
        self._hash = ""

    def __repr__(self) -> str:
        return f"<ConfigReloads {self._kind} {self._counts}>"

    def started(self, content: bytes) -> None:
        """The server goes by this content from its start on."""
        self._hash = hash_label(content)

    def succeeded(self, content: bytes) -> None:
        """The server goes by this content from now on."""
        self._hash = hash_label(content)
        self._count("success")

    def failed(self) -> None:
        """There is another content, and it can't be used."""
        self._count("failure")

    def families(self, server_hash: str) -> Iterator[Metric]:
        """Yield the metrics. `server_hash` is the hash_label of the server's identity."""
        prefix = f"apiserver_{self._kind}_config_controller"
        of_status = ("status", "apiserver_id_hash")
        counts = CounterMetricFamily(
            f"{prefix}_automatic_reloads",
            f"Total number of automatic reloads of {self._kind} configuration split by status and"
            " apiserver identity.",
            labels=of_status,
        )
        times = GaugeMetricFamily(
            f"{prefix}_automatic_reload_last_timestamp_seconds",
            f"Timestamp of the last automatic reload of {self._kind} configuration split by status"
            " and apiserver identity.",
            labels=of_status,
        )
        for status, count in self._counts.items():
            counts.add_metric((status, server_hash), count)
            times.add_metric((status, server_hash), self._times[status])
        info = GaugeMetricFamily(
            f"{prefix}_last_config_info",
            f"Information about the last applied {self._kind} configuration with hash as label,"
            " split by apiserver identity.",
            labels=("apiserver_id_hash", "hash"),
        )
        if self._hash:
            info.add_metric((server_hash, self._hash), 1)
        return iter((counts, times, info))

    def _count(self, status: Status) -> None:
        self._counts[status] = self._counts.get(status, 0) + 1
        self._times[status] = self._clock()
