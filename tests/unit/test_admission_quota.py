"""ResourceQuota: what counts, what is refused, and how charges survive other writers."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest

from services.apiserver.admission.attributes import Attributes, Operation
from services.apiserver.admission.quota import ResourceQuota
from services.apiserver.errors import ApiError
from services.apiserver.registry.strategy import Object
from services.apiserver.requestinfo import UserInfo
from services.apiserver.validation.options import WriteOptions
from shared.resources import builtin_table
from shared.storage import KeyValue, Revision
from tests.unit.kindtools import context
from tests.unit.memorystore import MemoryStore

RESOURCES = {(one.group, one.name): one for one in builtin_table().resources()}


class Quotas:
    """A namespace with quotas, and writes to it."""

    def __init__(self, **statuses: Object) -> None:
        self.store = MemoryStore()
        self.listed: list[Object] = []
        for name, status in statuses.items():
            spec = status.pop("spec", {})
            quota = {
                "metadata": {"name": name, "namespace": "ns"},
                "spec": spec,
                "status": status,
            }
            self.listed.append(quota)
            self.store.put(self.key(name), orjson.dumps(quota))

    def key(self, name: str) -> bytes:
        return f"/registry/resourcequotas/ns/{name}".encode()

    def write(
        self,
        resource: tuple[str, str],
        obj: Object,
        *,
        old: Object | None = None,
        dry_run: bool = False,
    ) -> None:
        operation: Operation = "CREATE" if old is None else "UPDATE"
        asked = Attributes(
            operation,
            RESOURCES[resource],
            "",
            "ns",
            "a",
            obj,
            old,
            UserInfo("tester"),
            dry_run,
            WriteOptions("CreateOptions"),
        )
        plugin = ResourceQuota(self.store)
        if plugin.handles(asked):
            ctx = context({("", "resourcequotas"): self.listed})
            asyncio.run(plugin.validate(ctx, asked))

    def used(self, name: str) -> Any:
        return orjson.loads(self.store.items[self.key(name)].value)["status"].get("used")


CONFIG_MAPS = ("", "configmaps")
PODS = ("", "pods")
SERVICES = ("", "services")


def named(**parts: Any) -> Object:
    return {"metadata": {"name": "a", "namespace": "ns"}, **parts}


def pod(**resources: Object) -> Object:
    containers = [{"name": name, "resources": one} for name, one in resources.items()]
    return named(spec={"containers": containers})


def test_a_write_is_charged_to_every_quota_that_counts_it() -> None:
    quotas = Quotas(
        a={"hard": {"configmaps": "2"}, "used": {"configmaps": "0"}},
        b={"hard": {"count/configmaps": "9"}, "used": {"count/configmaps": "3"}},
        c={"hard": {"secrets": "1"}, "used": {"secrets": "1"}},
    )
    quotas.write(CONFIG_MAPS, named())
    assert [quotas.used(name) for name in "abc"] == [
        {"configmaps": "1"},
        {"count/configmaps": "4"},
        {"secrets": "1"},
    ]


def test_a_full_quota_refuses_and_no_other_is_charged() -> None:
    quotas = Quotas(
        a={"hard": {"configmaps": "9"}, "used": {"configmaps": "0"}},
        b={"hard": {"configmaps": "1"}, "used": {"configmaps": "1"}},
    )
    with pytest.raises(ApiError) as caught:
        quotas.write(CONFIG_MAPS, named())
    assert caught.value.message == (
        'configmaps "a" is forbidden: exceeded quota: b, requested: configmaps=1, used:'
        " configmaps=1, limited: configmaps=1"
    )
    assert quotas.used("a") == {"configmaps": "0"}


def test_a_quota_without_status_limits_nothing() -> None:
    Quotas(a={"spec": {"hard": {"configmaps": "0"}}}).write(CONFIG_MAPS, named())


def test_a_limit_whose_use_is_unknown_refuses() -> None:
    with pytest.raises(ApiError, match="status unknown for quota: a, resources: configmaps"):
        Quotas(a={"hard": {"configmaps": "9"}}).write(CONFIG_MAPS, named())


def test_a_dry_run_is_checked_but_not_charged() -> None:
    quotas = Quotas(a={"hard": {"configmaps": "1"}, "used": {"configmaps": "0"}})
    quotas.write(CONFIG_MAPS, named(), dry_run=True)
    assert quotas.used("a") == {"configmaps": "0"}


def test_a_charge_that_lost_a_race_looks_again() -> None:
    quotas = Quotas(a={"hard": {"configmaps": "2"}, "used": {"configmaps": "0"}})
    rival = orjson.loads(quotas.store.items[quotas.key("a")].value)
    rival["status"]["used"]["configmaps"] = "1"
    quotas.store.before_update.append(KeyValue(quotas.key("a"), orjson.dumps(rival), Revision(0)))
    quotas.write(CONFIG_MAPS, named())
    assert quotas.used("a") == {"configmaps": "2"}


COMPUTE = dict.fromkeys(("requests.cpu", "limits.cpu", "requests.memory", "limits.memory"), "2")


def test_every_container_says_what_it_takes_of_a_limited_resource() -> None:
    quotas = Quotas(a={"hard": dict(COMPUTE), "used": dict.fromkeys(COMPUTE, "0")})
    with pytest.raises(ApiError) as caught:
        quotas.write(PODS, pod(d={}, c={"requests": {"cpu": "1", "memory": "1"}}))
    assert caught.value.message.partition("forbidden: ")[2] == (
        "failed quota: a: must specify limits.cpu for: c,d; limits.memory for: c,d;"
        " requests.cpu for: d; requests.memory for: d"
    )


def test_a_pods_sums_are_charged_and_compared() -> None:
    quotas = Quotas(
        a={
            "hard": {"requests.cpu": "1", "limits.cpu": "2", "pods": "5"},
            "used": {"requests.cpu": "0", "limits.cpu": "0", "pods": "0"},
        }
    )
    part = {"requests": {"cpu": "250m"}, "limits": {"cpu": "500m"}}
    quotas.write(PODS, pod(c=part, d=part))
    assert quotas.used("a") == {"requests.cpu": "500m", "limits.cpu": "1", "pods": "1"}
    with pytest.raises(ApiError, match=r"requested: limits.cpu=3,requests.cpu=600m, used"):
        quotas.write(PODS, pod(c={"requests": {"cpu": "600m"}, "limits": {"cpu": "3"}}))


@pytest.mark.parametrize(
    ("scopes", "counted"),
    [
        (["BestEffort"], True),
        (["NotBestEffort"], False),
        (["Terminating"], False),
        (["NotTerminating", "BestEffort"], True),
    ],
)
def test_scopes_choose_the_pods_that_count(scopes: list[str], counted: bool) -> None:
    quotas = Quotas(a={"hard": {"pods": "9"}, "used": {"pods": "0"}, "spec": {"scopes": scopes}})
    quotas.write(PODS, pod(c={}))
    assert quotas.used("a") == {"pods": "1" if counted else "0"}


def test_a_priority_class_can_be_limited_alone() -> None:
    expression = {"scopeName": "PriorityClass", "operator": "In", "values": ["high"]}
    quotas = Quotas(
        a={
            "hard": {"pods": "9"},
            "used": {"pods": "0"},
            "spec": {"scopeSelector": {"matchExpressions": [expression]}},
        }
    )
    quotas.write(PODS, pod(c={}))
    high = pod(c={})
    high["spec"]["priorityClassName"] = "high"
    quotas.write(PODS, high)
    assert quotas.used("a") == {"pods": "1"}


def test_a_change_of_type_charges_what_rises_and_gives_nothing_back() -> None:
    hard = {"services": "4", "services.nodeports": "2", "services.loadbalancers": "1"}
    quotas = Quotas(a={"hard": hard, "used": dict.fromkeys(hard, "0")})
    plain = named(spec={"type": "ClusterIP", "ports": [{"port": 80}]})
    balancer = named(spec={"type": "LoadBalancer", "ports": [{"port": 80}]})
    quotas.write(SERVICES, plain)
    quotas.write(SERVICES, balancer, old=plain)
    quotas.write(SERVICES, plain, old=balancer)
    assert quotas.used("a") == {
        "services": "1",
        "services.nodeports": "1",
        "services.loadbalancers": "1",
    }


def test_claims_count_by_size_and_by_class() -> None:
    name = "fast.storageclass.storage.k8s.io/requests.storage"
    quotas = Quotas(
        a={
            "hard": {name: "5Gi", "requests.storage": "9Gi"},
            "used": {name: "0", "requests.storage": "0"},
        }
    )
    spec = {"storageClassName": "fast", "resources": {"requests": {"storage": "2Gi"}}}
    quotas.write(("", "persistentvolumeclaims"), named(spec=spec))
    assert quotas.used("a") == {name: "2Gi", "requests.storage": "2Gi"}


def test_updates_of_other_kinds_and_events_do_not_count() -> None:
    quotas = Quotas(
        a={
            "hard": {"configmaps": "0", "count/events": "0"},
            "used": {"configmaps": "0", "count/events": "0"},
        }
    )
    quotas.write(CONFIG_MAPS, named(), old=named())
    quotas.write(("", "events"), named())


def test_many_writes_at_once_are_each_charged_once() -> None:
    quotas = Quotas(a={"hard": {"configmaps": "99"}, "used": {"configmaps": "0"}})
    plugin = ResourceQuota(quotas.store)
    ctx = context({("", "resourcequotas"): quotas.listed})

    async def run() -> None:
        await asyncio.gather(
            *(
                plugin.validate(
                    ctx,
                    Attributes(
                        "CREATE",
                        RESOURCES[CONFIG_MAPS],
                        "",
                        "ns",
                        f"a{number}",
                        named(),
                        None,
                        UserInfo("tester"),
                        False,
                        WriteOptions("CreateOptions"),
                    ),
                )
                for number in range(40)
            )
        )

    asyncio.run(run())
    assert quotas.used("a") == {"configmaps": "40"}
