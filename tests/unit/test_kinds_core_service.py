"""Service: defaults, rules, and what it gets from the cluster."""

from __future__ import annotations

import asyncio
import copy
from typing import Any

import pytest

from services.apiserver.errors import Invalid
from services.apiserver.kinds.service import ServiceStatus, ServiceStrategy
from services.apiserver.kinds.service_allocation import ServiceAllocators
from services.apiserver.registry.allocators import NodePorts, ServiceAddresses
from services.apiserver.registry.strategy import Object
from shared.storage import StorageUnavailable
from tests.unit.kindtools import context, create, shown, update
from tests.unit.memorystore import MemoryStore


class Cluster:
    """A cluster that Services can be written to."""

    def __init__(self, *cidrs: str) -> None:
        self.store = MemoryStore()
        self.strategy = ServiceStrategy(
            ServiceAllocators(
                ServiceAddresses(self.store, cidrs or ("10.0.0.0/24",)), NodePorts(self.store)
            )
        )

    def create(self, spec: Object, *, dry_run: bool = False) -> Object:
        obj: Object = {"spec": copy.deepcopy(spec)}
        assert create(self.strategy, obj) == []
        self._allocate(obj, None, dry_run)
        return obj

    def update(self, old: Object, spec: Object) -> Object:
        obj, causes = update(self.strategy, old, {"spec": spec})
        assert causes == []
        self._allocate(obj, old, False)
        return obj

    def delete(self, obj: Object) -> None:
        asyncio.run(self.strategy.after_delete(context(), obj))

    def _allocate(self, obj: Object, old: Object | None, dry_run: bool) -> None:
        async def run() -> None:
            ctx = context()
            ctx.dry_run = dry_run
            async with self.strategy.allocate(ctx, obj, old):
                pass

        asyncio.run(run())

    @property
    def addresses(self) -> list[str]:
        prefix = b"/registry/ipaddresses/"
        return [key.removeprefix(prefix).decode() for key in self.store.items if prefix in key]


PORT = {"port": 80}


def test_a_plain_service_gets_an_address_and_all_defaults() -> None:
    cluster = Cluster()
    obj = cluster.create({"selector": {"a": "b"}, "ports": [PORT]})
    address = obj["spec"].pop("clusterIP")
    assert cluster.addresses == [address]
    assert obj["spec"] == {
        "clusterIPs": [address],
        "internalTrafficPolicy": "Cluster",
        "ipFamilies": ["IPv4"],
        "ipFamilyPolicy": "SingleStack",
        "ports": [{"port": 80, "protocol": "TCP", "targetPort": 80}],
        "selector": {"a": "b"},
        "sessionAffinity": "None",
        "type": "ClusterIP",
    }
    assert obj["status"] == {"loadBalancer": {}}


def test_a_headless_service_without_selector_is_dual_stack() -> None:
    cluster = Cluster()
    spec = cluster.create({"clusterIP": "None", "ports": [PORT]})["spec"]
    assert (spec["ipFamilies"], spec["ipFamilyPolicy"]) == (["IPv4", "IPv6"], "RequireDualStack")
    spec = cluster.create({"clusterIP": "None", "selector": {"a": "b"}})["spec"]
    assert (spec["ipFamilies"], spec["ipFamilyPolicy"]) == (["IPv4"], "SingleStack")
    assert cluster.addresses == []


def test_a_dual_stack_cluster_gives_an_address_of_each_family_where_asked() -> None:
    cluster = Cluster("10.0.0.0/24", "fd00::/108")
    spec = cluster.create({"ipFamilyPolicy": "PreferDualStack", "ports": [PORT]})["spec"]
    assert spec["ipFamilies"] == ["IPv4", "IPv6"]
    assert sorted(cluster.addresses) == sorted(spec["clusterIPs"])


def refusal(cluster: Cluster, spec: Object) -> list[str]:
    with pytest.raises(Invalid) as caught:
        cluster.create(spec)
    return shown(list(caught.value.causes))


@pytest.mark.parametrize(
    ("spec", "causes"),
    [
        ({"clusterIP": "192.168.77.1"}, ["Invalid spec.clusterIPs"]),
        ({"clusterIP": "nonsense"}, ["Invalid spec.clusterIPs[0]"]),
        ({"clusterIPs": ["10.0.0.1", "10.0.0.2"]}, ["Invalid spec.clusterIPs"] * 2),
        (
            {"clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.2"]},
            ["Invalid spec.clusterIPs"],
        ),
        ({"ipFamilies": ["IPv6"]}, ["Invalid spec.ipFamilies[0]"]),
        ({"ipFamilyPolicy": "RequireDualStack"}, ["Invalid spec.ipFamilyPolicy"]),
        (
            {"ipFamilies": ["IPv4", "IPv4", "IPv5"], "ipFamilyPolicy": "Both"},
            [
                "Duplicate spec.ipFamilies[1]",
                "NotSupported spec.ipFamilies[2]",
                "NotSupported spec.ipFamilyPolicy",
            ],
        ),
        (
            {"type": "NodePort", "ports": [{"port": 80, "nodePort": 80}]},
            ["Invalid spec.ports[0].nodePort"],
        ),
        (
            {
                "type": "NodePort",
                "ports": [
                    {"name": "a", "port": 80, "nodePort": 32765},
                    {"name": "b", "port": 81, "nodePort": 32765},
                ],
            },
            ["Invalid spec.ports[1].nodePort"],
        ),
    ],
)
def test_what_the_cluster_can_not_give_is_refused(spec: Object, causes: list[str]) -> None:
    cluster = Cluster()
    assert refusal(cluster, {"ports": [PORT], **spec}) == causes
    assert cluster.addresses == []


@pytest.mark.parametrize(
    ("spec", "causes"),
    [
        ({"selector": {"a": "b"}}, ["Required spec.ports"]),
        (
            {"ports": [{"port": 80}, {"port": 81}]},
            ["Required spec.ports[0].name", "Required spec.ports[1].name"],
        ),
        (
            {
                "ports": [
                    {"name": "a", "port": 80},
                    {"name": "a", "port": 81},
                    {"name": "Bad_Name", "port": 82},
                    {"name": "c", "port": 80},
                ]
            },
            [
                "Duplicate spec.ports[1].name",
                "Invalid spec.ports[2].name",
                "Duplicate spec.ports[3]",
            ],
        ),
        (
            {
                "ports": [
                    {"name": "a", "port": 0},
                    {"name": "c", "port": 3, "targetPort": "Bad Port"},
                    {"name": "d", "port": 4, "protocol": "ICMP"},
                    {"name": "e", "port": 5, "appProtocol": "bad proto!"},
                ]
            },
            [
                "Invalid spec.ports[0].port",
                "Invalid spec.ports[0].targetPort",
                "Invalid spec.ports[1].targetPort",
                "NotSupported spec.ports[2].protocol",
                "Invalid spec.ports[3].appProtocol",
            ],
        ),
        (
            {"ports": [{"port": 80, "nodePort": 32765}]},
            ["Forbidden spec.ports[0].nodePort"],
        ),
        (
            {"ports": [PORT], "externalIPs": ["127.0.0.1", "nope", "0.0.0.0"]},
            [f"Invalid spec.externalIPs[{number}]" for number in range(3)],
        ),
        (
            {"type": "ExternalName", "externalName": "bad name", "clusterIP": "10.0.0.1"},
            ["Forbidden spec.clusterIPs", "Invalid spec.externalName"],
        ),
        ({"type": "Something", "ports": [PORT]}, ["NotSupported spec.type"]),
        (
            {"type": "ClusterIP", "ports": [PORT], "externalTrafficPolicy": "Local"},
            ["Invalid spec.externalTrafficPolicy"],
        ),
        (
            {"ports": [PORT], "loadBalancerSourceRanges": ["10.0.0.0/8", "nonsense"]},
            [
                "Forbidden spec.LoadBalancerSourceRanges",
                "Invalid spec.LoadBalancerSourceRanges[1]",
            ],
        ),
        (
            {"ports": [PORT], "sessionAffinity": "Cookie", "internalTrafficPolicy": "Some"},
            ["NotSupported spec.sessionAffinity", "NotSupported spec.internalTrafficPolicy"],
        ),
    ],
)
def test_a_services_spec_gives_these_causes(spec: Object, causes: list[str]) -> None:
    assert create(Cluster().strategy, {"spec": spec}) == causes


def test_tcp_and_udp_of_one_port_share_a_node_port() -> None:
    spec = Cluster().create(
        {
            "type": "NodePort",
            "ports": [{"name": "a", "port": 80}, {"name": "b", "port": 80, "protocol": "UDP"}],
        }
    )["spec"]
    first, second = (port["nodePort"] for port in spec["ports"])
    assert first == second
    assert 30000 <= first <= 32767


def test_a_local_load_balancer_gets_a_health_check_port_but_no_node_ports_if_unwanted() -> None:
    spec = Cluster().create(
        {
            "type": "LoadBalancer",
            "externalTrafficPolicy": "Local",
            "allocateLoadBalancerNodePorts": False,
            "ports": [PORT],
        }
    )["spec"]
    assert 30000 <= spec["healthCheckNodePort"] <= 32767
    assert "nodePort" not in spec["ports"][0]


def test_an_update_keeps_what_was_allocated() -> None:
    cluster = Cluster()
    old = cluster.create({"type": "NodePort", "ports": [{"name": "a", "port": 80}]})
    new = cluster.update(
        old, {"clusterIP": None, "clusterIPs": None, "ports": [{"name": "a", "port": 8080}]}
    )
    assert new["spec"]["clusterIP"] == old["spec"]["clusterIP"]
    assert new["spec"]["ports"][0]["nodePort"] == old["spec"]["ports"][0]["nodePort"]


def test_an_address_does_not_change() -> None:
    cluster = Cluster()
    old = cluster.create({"ports": [PORT]})
    for address in ("10.0.0.250", "None"):
        changes = {"spec": {"clusterIP": address, "clusterIPs": [address]}}
        assert update(cluster.strategy, old, changes)[1][:1] == ["Invalid spec.clusterIPs[0]"]


def test_a_change_to_cluster_ip_wipes_what_load_balancers_have() -> None:
    cluster = Cluster()
    old = cluster.create({"type": "LoadBalancer", "loadBalancerClass": "a/b", "ports": [PORT]})
    old["status"] = {"loadBalancer": {"ingress": [{"ip": "1.2.3.4"}]}}
    spec = cluster.update(old, {"type": "ClusterIP"})["spec"]
    for name in (
        "allocateLoadBalancerNodePorts",
        "loadBalancerClass",
        "externalTrafficPolicy",
    ):
        assert name not in spec
    assert "nodePort" not in spec["ports"][0]


def test_a_change_to_external_name_gives_the_address_back() -> None:
    cluster = Cluster()
    old = cluster.create({"ports": [PORT]})
    new = cluster.update(old, {"type": "ExternalName", "externalName": "a.b"})
    assert cluster.addresses == []
    assert new["spec"].keys().isdisjoint(("clusterIP", "clusterIPs", "ipFamilies"))
    again = cluster.update(new, {"type": "ClusterIP", "externalName": None})
    assert cluster.addresses == again["spec"]["clusterIPs"]


def test_a_deleted_service_gives_everything_back() -> None:
    cluster = Cluster()
    spec = {"type": "NodePort", "ports": [{"port": 80, "nodePort": 30123}]}
    cluster.delete(cluster.create(spec))
    assert cluster.addresses == []
    cluster.create(spec)


def test_a_write_that_fails_gives_everything_back() -> None:
    cluster = Cluster()
    obj: Object = {"spec": {"type": "NodePort", "ports": [{"port": 80, "nodePort": 30123}]}}
    create(cluster.strategy, obj)

    async def run() -> None:
        async with cluster.strategy.allocate(context(), copy.deepcopy(obj), None):
            raise RuntimeError("the write failed")

    with pytest.raises(RuntimeError):
        asyncio.run(run())
    assert cluster.addresses == []
    cluster.create({"type": "NodePort", "ports": [{"port": 80, "nodePort": 30123}]})


@pytest.mark.parametrize("error", [StorageUnavailable("no answer"), asyncio.CancelledError()])
def test_a_write_that_may_have_happened_keeps_what_it_took(error: BaseException) -> None:
    cluster = Cluster()
    obj: Object = {"spec": {"type": "ClusterIP", "ports": [{"port": 80}]}}
    create(cluster.strategy, obj)

    async def run() -> None:
        with pytest.raises(type(error)):
            async with cluster.strategy.allocate(context(), obj, None):
                raise error

    asyncio.run(run())
    assert cluster.addresses == [obj["spec"]["clusterIP"]]


def test_a_dry_run_shows_a_service_and_takes_nothing() -> None:
    cluster = Cluster()
    obj = cluster.create({"type": "NodePort", "ports": [PORT]}, dry_run=True)
    assert obj["spec"]["clusterIP"] == "10.0.0.0"
    assert obj["spec"]["ports"][0]["nodePort"] > 32767
    assert cluster.store.items == {}


def test_the_load_balancers_status_is_for_load_balancers() -> None:
    cluster = Cluster()
    through = ServiceStatus(cluster.strategy)
    balancer = cluster.create({"type": "LoadBalancer", "ports": [PORT]})
    ingress: list[Any] = [
        {"ip": "nope"},
        {"hostname": "bad host!"},
        {"ip": "1.2.3.4", "ipMode": "Weird"},
    ]
    status = {"status": {"loadBalancer": {"ingress": ingress}}}
    assert update(cluster.strategy, balancer, status, through=through)[1] == [
        "Invalid status.loadBalancer.ingress[0].ip",
        "Invalid status.loadBalancer.ingress[1].hostname",
        "NotSupported status.loadBalancer.ingress[2].ipMode",
    ]
    plain = cluster.create({"ports": [PORT]})
    assert update(cluster.strategy, plain, status, through=through)[1] == [
        "Forbidden status.loadBalancer.ingress"
    ]


def test_session_affinity_gets_a_timeout_and_loses_it() -> None:
    cluster = Cluster()
    old = cluster.create({"sessionAffinity": "ClientIP", "ports": [PORT]})
    assert old["spec"]["sessionAffinityConfig"] == {"clientIP": {"timeoutSeconds": 10800}}
    new = cluster.update(old, {"sessionAffinity": "None"})
    assert "sessionAffinityConfig" not in new["spec"]
