"""The ServiceAccount plugin: mirror pods, enforced Secrets, ephemeral containers."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from services.apiserver.admission.secretreferences import secret_names
from services.apiserver.admission.serviceaccount import ServiceAccount
from services.apiserver.errors import ApiError
from services.apiserver.registry.strategy import Object
from tests.unit.test_admission_plugins import PODS, Stored, admit, attributes, pod, validate

MIRROR = {"kubernetes.io/config.mirror": "x"}
TOKEN_PATH = "/var/run/secrets/kubernetes.io/serviceaccount"


def accounts(*, enforce: str = "", **fields: Any) -> Stored:
    annotations = {"kubernetes.io/enforce-mountable-secrets": enforce} if enforce else {}
    metadata = {"name": "default", "namespace": "ns", "annotations": annotations}
    return {("", "serviceaccounts"): [{"metadata": metadata, **fields}]}


def container(**fields: Any) -> Object:
    return {"name": "c", "image": "i", **fields}


def env(secret: str) -> Object:
    return {"env": [{"name": "V", "valueFrom": {"secretKeyRef": {"name": secret, "key": "k"}}}]}


def env_from(secret: str) -> Object:
    return {"envFrom": [{"secretRef": {"name": secret}}]}


def test_all_containers_mount_one_volume_with_the_token() -> None:
    obj = pod(initContainers=[container()], containers=[container(), container()])
    admit(ServiceAccount(), attributes(PODS, obj), accounts())
    spec = obj["spec"]
    (volume,) = spec["volumes"]
    for one in (*spec["initContainers"], *spec["containers"]):
        assert one["volumeMounts"] == [
            {"name": volume["name"], "readOnly": True, "mountPath": TOKEN_PATH}
        ]
    assert volume["projected"] == {
        "sources": [
            {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
            {
                "configMap": {
                    "name": "kube-root-ca.crt",
                    "items": [{"key": "ca.crt", "path": "ca.crt"}],
                }
            },
            {
                "downwardAPI": {
                    "items": [
                        {
                            "path": "namespace",
                            "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"},
                        }
                    ]
                }
            },
        ],
        "defaultMode": 420,
    }


def test_a_volume_of_that_name_that_is_there_is_used() -> None:
    given = {"name": "kube-api-access-mine", "emptyDir": {}}
    obj = pod(volumes=[given])
    admit(ServiceAccount(), attributes(PODS, obj), accounts())
    assert obj["spec"]["volumes"] == [given]
    assert obj["spec"]["containers"][0]["volumeMounts"][0]["name"] == "kube-api-access-mine"


@pytest.mark.parametrize(
    ("of_pod", "of_account", "mounted"),
    [(None, None, True), (None, False, False), (True, False, True), (False, True, False)],
)
def test_the_pods_word_on_mounting_counts_before_the_accounts(
    of_pod: bool | None, of_account: bool | None, mounted: bool
) -> None:
    field = "automountServiceAccountToken"
    obj = pod(**({} if of_pod is None else {field: of_pod}))
    stored = accounts(**({} if of_account is None else {field: of_account}))
    admit(ServiceAccount(), attributes(PODS, obj), stored)
    assert ("volumes" in obj["spec"]) is mounted


def test_a_pods_own_pull_secrets_are_kept() -> None:
    obj = pod(imagePullSecrets=[{"name": "own"}])
    admit(ServiceAccount(), attributes(PODS, obj), accounts(imagePullSecrets=[{"name": "x"}]))
    assert obj["spec"]["imagePullSecrets"] == [{"name": "own"}]


def test_a_mirror_pod_is_left_as_it_is() -> None:
    obj = pod()
    obj["metadata"]["annotations"] = MIRROR
    before = copy.deepcopy(obj)
    admit(ServiceAccount(), attributes(PODS, obj), {})
    validate(ServiceAccount(), attributes(PODS, obj), {})
    assert obj == before


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ({"serviceAccountName": "x"}, "may not reference service accounts"),
        ({"volumes": [{"name": "v", "secret": {"secretName": "s"}}]}, "may not reference secrets"),
        ({"imagePullSecrets": [{"name": "s"}]}, "may not reference secrets"),
        ({"containers": [container(**env("s"))]}, "may not reference secrets"),
        ({"initContainers": [container(**env_from("s"))]}, "may not reference secrets"),
        (
            {"volumes": [{"name": "v", "projected": {"sources": [{"serviceAccountToken": {}}]}}]},
            "may not use ServiceAccountToken volume projections",
        ),
    ],
)
def test_a_mirror_pod_gets_nothing_of_the_clusters(spec: Object, why: str) -> None:
    obj = pod(**spec)
    obj["metadata"]["annotations"] = MIRROR
    for ask in (admit, validate):
        with pytest.raises(ApiError, match=f"a mirror pod {why}"):
            ask(ServiceAccount(), attributes(PODS, obj), {})


def test_a_pod_has_an_account_by_the_time_it_is_validated() -> None:
    with pytest.raises(ApiError, match="no service account specified for pod ns/a"):
        validate(ServiceAccount(), attributes(PODS, pod()), accounts())


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        (
            {"volumes": [{"name": "v", "secret": {"secretName": "other"}}]},
            'volume with secret.secretName="other" is not allowed',
        ),
        (
            {"containers": [container(**env("other"))]},
            'container c with envVar V referencing secret.secretName="other"',
        ),
        (
            {"containers": [container(**env_from("other"))]},
            'container c with envFrom referencing secret.secretName="other"',
        ),
        (
            {"initContainers": [container(**env("other"))]},
            'init container c with envVar V referencing secret.secretName="other"',
        ),
        ({"imagePullSecrets": [{"name": "other"}]}, r'imagePullSecrets\[0\].name="other"'),
    ],
)
def test_an_account_may_hold_its_pods_to_its_secrets(spec: Object, why: str) -> None:
    named = {"secrets": [{"name": "mine"}], "imagePullSecrets": [{"name": "pull"}]}
    with pytest.raises(ApiError, match=why):
        admit(ServiceAccount(), attributes(PODS, pod(**spec)), accounts(enforce="true", **named))
    obj = pod(**spec)
    admit(ServiceAccount(), attributes(PODS, obj), accounts(enforce="false", **named))
    with pytest.raises(ApiError, match=why):
        validate(ServiceAccount(), attributes(PODS, obj), accounts(enforce="1", **named))


def test_secrets_that_the_account_names_are_allowed() -> None:
    named = {"secrets": [{"name": "mine"}], "imagePullSecrets": [{"name": "pull"}]}
    obj = pod(
        volumes=[{"name": "v", "secret": {"secretName": "mine"}}],
        containers=[container(**env("mine"), **env_from("mine"))],
        imagePullSecrets=[{"name": "pull"}],
    )
    admit(ServiceAccount(), attributes(PODS, obj), accounts(enforce="true", **named))
    validate(ServiceAccount(), attributes(PODS, obj), accounts(enforce="true", **named))


def test_ephemeral_containers_are_held_to_them_too() -> None:
    obj = pod(serviceAccountName="default", ephemeralContainers=[container(**env("other"))])
    asked = attributes(PODS, obj, operation="UPDATE", old=pod(), subresource="ephemeralcontainers")
    validate(ServiceAccount(), asked, accounts())
    with pytest.raises(ApiError, match="ephemeral container c with envVar V"):
        validate(ServiceAccount(), asked, accounts(enforce="true"))
    before = copy.deepcopy(obj)
    admit(ServiceAccount(), asked, accounts())
    assert obj == before


def test_other_updates_are_none_of_its_business() -> None:
    for subresource in ("", "status", "resize"):
        asked = attributes(PODS, pod(), operation="UPDATE", old=pod(), subresource=subresource)
        assert not ServiceAccount().handles(asked)
    assert not ServiceAccount().handles(attributes(PODS, pod(), subresource="binding"))


@pytest.mark.parametrize(
    "volume",
    [
        {"secret": {"secretName": "s"}},
        {"azureFile": {"secretName": "s", "shareName": "x"}},
        {"cephfs": {"monitors": [], "secretRef": {"name": "s"}}},
        {"rbd": {"image": "x", "secretRef": {"name": "s"}}},
        {"flexVolume": {"driver": "x", "secretRef": {"name": "s"}}},
        {"iscsi": {"iqn": "x", "secretRef": {"name": "s"}}},
        {"scaleIO": {"system": "x", "secretRef": {"name": "s"}}},
        {"storageos": {"secretRef": {"name": "s"}}},
        {"csi": {"driver": "x", "nodePublishSecretRef": {"name": "s"}}},
        {"projected": {"sources": [{"configMap": {"name": "c"}}, {"secret": {"name": "s"}}]}},
    ],
    ids=lambda volume: next(iter(volume)),
)
def test_secrets_are_found_in_every_kind_of_volume(volume: Object) -> None:
    assert list(secret_names(pod(volumes=[{"name": "v", **volume}]))) == ["s"]


def test_volumes_without_secrets_have_none() -> None:
    volumes = [{"name": "v", "emptyDir": {}}, {"name": "w", "configMap": {"name": "c"}}]
    assert list(secret_names(pod(volumes=volumes))) == []
