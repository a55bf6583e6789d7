"""ConfigMap, Secret, ServiceAccount, Namespace: rules and what the server fills in."""

from __future__ import annotations

from typing import Any

import pytest

from services.apiserver.kinds.configmap import ConfigMapStrategy
from services.apiserver.kinds.namespace import (
    NamespaceFinalize,
    NamespaceStatus,
    NamespaceStrategy,
)
from services.apiserver.kinds.secret import SecretStrategy
from services.apiserver.kinds.serviceaccount import ServiceAccountStrategy
from tests.unit.kindtools import context, create, update


@pytest.mark.parametrize(
    ("obj", "causes"),
    [
        ({"data": {"a": "1", "b.c-d_E": ""}, "binaryData": {"bin": "AAEC"}}, []),
        ({"data": {"a": "1"}, "binaryData": {"a": "AA=="}}, ["Invalid data[a]"]),
        ({"data": {"bad key": "x"}}, ["Invalid data[bad key]"]),
        ({"data": {"..x": "x"}}, ["Invalid data[..x]"]),
        ({"data": {"a": "x" * (1024 * 1024 + 1)}}, ["TooLong []"]),
        ({"data": {"a": "x" * (1024 * 1024)}}, []),
    ],
)
def test_a_new_config_map_gives_these_causes(obj: dict[str, Any], causes: list[str]) -> None:
    assert create(ConfigMapStrategy(), obj) == causes


def test_an_immutable_config_map_keeps_its_data_but_not_its_labels() -> None:
    strategy = ConfigMapStrategy()
    old = {"metadata": {"name": "a", "namespace": "ns"}, "immutable": True, "data": {"a": "1"}}
    assert update(strategy, old, {"data": {"a": "2"}})[1] == ["Forbidden data"]
    assert update(strategy, old, {"immutable": None, "data": None})[1] == [
        "Forbidden immutable",
        "Forbidden data",
    ]
    assert update(strategy, old, {"metadata": {"labels": {"a": "b"}}})[1] == []


def test_a_bad_label_on_update_is_told_four_times() -> None:
    old = {"metadata": {"name": "a", "namespace": "ns"}}
    _, causes = update(ConfigMapStrategy(), old, {"metadata": {"labels": {"a": "-"}}})
    assert causes == ["Invalid metadata.labels"] * 4


def test_string_data_wins_over_data_and_is_not_kept() -> None:
    secret = {"stringData": {"a": "text", "both": "new"}, "data": {"both": "b2xk"}}
    assert create(SecretStrategy(), secret) == []
    assert secret["data"] == {"both": "bmV3", "a": "dGV4dA=="}
    assert "stringData" not in secret
    assert secret["type"] == "Opaque"


@pytest.mark.parametrize(
    ("kind", "data", "causes"),
    [
        ("kubernetes.io/tls", {"tls.crt": ""}, ["Required data[tls.key]"]),
        ("kubernetes.io/dockerconfigjson", {}, ["Required data[.dockerconfigjson]"]),
        (
            "kubernetes.io/dockerconfigjson",
            {".dockerconfigjson": "e25v"},
            ["Invalid data[.dockerconfigjson]"],
        ),
        ("kubernetes.io/dockercfg", {".dockercfg": "e30="}, []),
        (
            "kubernetes.io/basic-auth",
            {"user": "bWU="},
            ["Required data[username]", "Required data[password]"],
        ),
        ("kubernetes.io/basic-auth", {"username": ""}, []),
        ("kubernetes.io/ssh-auth", {"ssh-privatekey": ""}, ["Required data[ssh-privatekey]"]),
        (
            "kubernetes.io/service-account-token",
            {},
            ["Required metadata.annotations[kubernetes.io/service-account.name]"],
        ),
        ("example.com/mine", {}, []),
    ],
)
def test_a_secrets_type_decides_what_it_must_hold(
    kind: str, data: dict[str, str], causes: list[str]
) -> None:
    assert create(SecretStrategy(), {"type": kind, "data": data}) == causes


def test_a_secrets_type_does_not_change() -> None:
    old = {"metadata": {"name": "a", "namespace": "ns"}, "type": "example.com/mine"}
    assert update(SecretStrategy(), old, {"type": None})[1] == ["Invalid type"]


def test_a_tls_secret_whose_content_is_no_certificate_gets_a_warning() -> None:
    secret: dict[str, Any] = {"type": "kubernetes.io/tls", "stringData": {"tls.crt": "x"}}
    strategy = SecretStrategy()
    create(strategy, secret)
    assert len(strategy.warn_on_create(context(), secret)) == 1


def test_a_service_accounts_secrets_keep_only_their_names() -> None:
    account = {"secrets": [{"name": "old", "kind": "Secret", "uid": "1"}]}
    assert create(ServiceAccountStrategy(), account) == []
    assert account["secrets"] == [{"name": "old"}]


def namespace() -> dict[str, Any]:
    obj: dict[str, Any] = {"spec": {"finalizers": ["example.com/mine"]}}
    assert create(NamespaceStrategy(), obj, namespaced=False) == []
    return obj


def test_a_new_namespace_is_active_named_by_a_label_and_held_by_kubernetes() -> None:
    obj = namespace()
    assert obj["status"] == {"phase": "Active"}
    assert obj["metadata"]["labels"] == {"kubernetes.io/metadata.name": "a"}
    assert obj["spec"]["finalizers"] == ["example.com/mine", "kubernetes"]
    assert NamespaceStrategy().is_held(obj)


def test_the_main_resource_changes_neither_finalizers_nor_the_name_label() -> None:
    changes = {
        "metadata": {"labels": {"kubernetes.io/metadata.name": "other"}},
        "spec": {"finalizers": []},
        "status": {"phase": "Terminating"},
    }
    old = namespace()
    obj, causes = update(NamespaceStrategy(), old, changes)
    assert causes == []
    assert obj == old


def test_status_may_not_say_terminating_before_the_deletion() -> None:
    strategy = NamespaceStrategy()
    _, causes = update(
        strategy,
        namespace(),
        {"status": {"phase": "Terminating"}},
        through=NamespaceStatus(strategy),
    )
    assert causes == ["Invalid status.Phase"]


def test_finalize_replaces_the_finalizers_and_checks_their_names() -> None:
    strategy = NamespaceStrategy()
    through = NamespaceFinalize(strategy)
    obj, causes = update(strategy, namespace(), {"spec": {"finalizers": []}}, through=through)
    assert (obj["spec"]["finalizers"], causes) == ([], [])
    changes = {"spec": {"finalizers": ["kubernetes", "bad one"]}}
    _, causes = update(strategy, namespace(), changes, through=through)
    assert causes == ["Invalid spec.finalizers[1]"] * 2


def test_deleting_a_namespace_begins_its_termination() -> None:
    obj = namespace()
    obj["metadata"]["deletionGracePeriodSeconds"] = 0
    NamespaceStrategy().mark_deleting(obj)
    assert obj["status"]["phase"] == "Terminating"
    assert "deletionGracePeriodSeconds" not in obj["metadata"]
