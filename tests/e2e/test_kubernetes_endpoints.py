"""The kubernetes Service leads to the API servers that are alive, and to no others."""

from __future__ import annotations

import http.client
import json
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from shared import kubeconfig
from tests.e2e import system

ONE, TWO = "10.9.8.1", "10.9.8.2"


def get(server: system.Server, path: str) -> dict[str, Any]:
    access = kubeconfig.load(server.kubeconfig)
    context = access.ssl_context()
    assert isinstance(context, ssl.SSLContext)
    connection = http.client.HTTPSConnection("127.0.0.1", server.port, timeout=10, context=context)
    try:
        connection.request("GET", path, headers={"Authorization": f"Bearer {access.token}"})
        document: dict[str, Any] = json.loads(connection.getresponse().read())
        return document
    finally:
        connection.close()


def addresses(server: system.Server) -> list[str]:
    found = get(server, "/api/v1/namespaces/default/endpoints/kubernetes")
    return [one["ip"] for subset in found["subsets"] for one in subset["addresses"]]


def slice_addresses(server: system.Server) -> list[str]:
    path = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/kubernetes"
    return [address for one in get(server, path)["endpoints"] for address in one["addresses"]]


def wait_for(holds: Callable[[], bool], timeout_s: float = 30.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline, "it did not come to hold"
        time.sleep(0.1)


def test_servers_come_and_go_with_their_addresses(tmp_path: Path) -> None:
    flags = ("--disable-admission-plugins=ServiceAccount",)
    with system.etcd(tmp_path) as etcd:
        store = f"--etcd-servers={etcd}"
        with system.apiserver(
            tmp_path / "one", store, f"--advertise-address={ONE}", *flags
        ) as first:
            assert addresses(first) == slice_addresses(first) == [ONE]
            with system.apiserver(
                tmp_path / "two", store, f"--advertise-address={TWO}", *flags
            ) as second:
                wait_for(lambda: addresses(second) == [ONE, TWO])
                wait_for(lambda: slice_addresses(first) == [ONE, TWO])
            # It took its address along when it was told to stop.
            assert addresses(first) == slice_addresses(first) == [ONE]


def test_an_address_that_somebody_else_changed_is_put_right_at_the_next_start(
    tmp_path: Path,
) -> None:
    for address in (ONE, TWO):
        with system.apiserver(tmp_path, f"--advertise-address={address}") as server:
            wait_for(lambda: addresses(server) == [address])  # noqa: B023
            wait_for(lambda: slice_addresses(server) == [address])  # noqa: B023
