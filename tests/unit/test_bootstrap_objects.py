"""What a server makes sure is there."""

from __future__ import annotations

import datetime

import pytest

from services.apiserver.controlplane.bootstrap import ClusterAddresses, default_objects
from services.apiserver.registry.strategy import Object


def objects(address: str = "10.1.2.3") -> dict[tuple[str, str], Object]:
    made = default_objects(ClusterAddresses("10.0.0.0/24", address, 6443))
    return {(resource, obj["metadata"]["name"]): obj for _, resource, obj in made}


def test_controllers_learn_since_when_the_use_of_old_tokens_is_noted() -> None:
    before = datetime.datetime.now(datetime.UTC).date()
    tracking = objects()["configmaps", "kube-apiserver-legacy-service-account-token-tracking"]
    since = datetime.date.fromisoformat(tracking["data"]["since"])
    assert tracking["metadata"]["namespace"] == "kube-system"
    assert before <= since <= before + datetime.timedelta(days=1)


@pytest.mark.parametrize(("address", "told"), [("10.1.2.3", True), ("127.0.0.1", False)])
def test_an_endpoint_on_the_loopback_is_not_told(address: str, told: bool) -> None:
    assert (("endpoints", "kubernetes") in objects(address)) == told


def test_the_kubernetes_service_has_the_first_address_of_the_range() -> None:
    assert objects()["services", "kubernetes"]["spec"]["clusterIP"] == "10.0.0.1"
