"""Prints the microseconds that decoding and printing a pod of 20 variables takes.

Run: python -m loadtest.bench_codec
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import orjson

from services.apiserver.codec import codec_for, decode_body, encode

_ROUNDS = 7
_CALLS = 1000


def pod() -> dict[str, Any]:
    """Return a pod of about 3 KB, as a Deployment's would look."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "generateName": "web-5f6c7d8b9-",
            "namespace": "default",
            "labels": {"app": "web", "pod-template-hash": "5f6c7d8b9", "tier": "frontend"},
            "annotations": {"example.com/config-hash": "0123456789abcdef" * 4},
            "ownerReferences": [
                {
                    "apiVersion": "apps/v1",
                    "kind": "ReplicaSet",
                    "name": "web-5f6c7d8b9",
                    "uid": "9f0e8d7c-6b5a-4938-2716-05f4e3d2c1b0",
                    "controller": True,
                    "blockOwnerDeletion": True,
                }
            ],
        },
        "spec": {
            "containers": [
                {
                    "name": "web",
                    "image": "registry.example.com/team/web:1.2.3",
                    "ports": [{"name": "http", "containerPort": 8080, "protocol": "TCP"}],
                    "env": [
                        {"name": f"SETTING_{number}", "value": f"a value of some length {number}"}
                        for number in range(20)
                    ],
                    "resources": {
                        "requests": {"cpu": "250m", "memory": "256Mi"},
                        "limits": {"cpu": "1", "memory": "512Mi"},
                    },
                    "livenessProbe": {
                        "httpGet": {"path": "/healthz", "port": 8080, "scheme": "HTTP"},
                        "initialDelaySeconds": 10,
                        "periodSeconds": 10,
                    },
                    "readinessProbe": {"httpGet": {"path": "/readyz", "port": "http"}},
                    "volumeMounts": [
                        {"name": "config", "mountPath": "/etc/web", "readOnly": True},
                        {"name": "tmp", "mountPath": "/tmp"},
                    ],
                    "imagePullPolicy": "IfNotPresent",
                    "terminationMessagePath": "/dev/termination-log",
                }
            ],
            "volumes": [
                {"name": "config", "configMap": {"name": "web-config"}},
                {"name": "tmp", "emptyDir": {}},
            ],
            "restartPolicy": "Always",
            "terminationGracePeriodSeconds": 30,
            "dnsPolicy": "ClusterFirst",
            "serviceAccountName": "web",
            "securityContext": {"runAsNonRoot": True, "fsGroup": 2000},
            "schedulerName": "default-scheduler",
            "tolerations": [
                {
                    "key": "node.kubernetes.io/not-ready",
                    "operator": "Exists",
                    "effect": "NoExecute",
                    "tolerationSeconds": 300,
                },
            ],
        },
    }


def microseconds(call: Callable[[], object]) -> float:
    """Return the time of one call, the best of several rounds."""
    best = float("inf")
    for _ in range(_ROUNDS):
        start = time.perf_counter()
        for _ in range(_CALLS):
            call()
        best = min(best, time.perf_counter() - start)
    return best / _CALLS * 1e6


def main() -> None:
    raw = orjson.dumps(pod())
    start = time.perf_counter()
    codec = codec_for("", "v1", "Pod")
    decoded = codec.decode(orjson.loads(raw))
    first_ms = (time.perf_counter() - start) * 1e3
    value = orjson.loads(raw)
    print(f"body                 {len(raw)} bytes")
    print(f"first decode         {first_ms:.2f} ms (reads the type facts, compiles the kind)")
    print(f"orjson.loads         {microseconds(lambda: orjson.loads(raw)):.1f} µs")
    print(f"decode_body          {microseconds(lambda: decode_body(raw)):.1f} µs")
    print(f"codec.decode         {microseconds(lambda: codec.decode(value)):.1f} µs")
    print(f"encode               {microseconds(lambda: encode(decoded)):.1f} µs")


if __name__ == "__main__":
    main()
