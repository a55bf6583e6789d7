"""PersistentVolume and PersistentVolumeClaim."""

from __future__ import annotations

from typing import Any

import pytest

from services.apiserver.kinds.persistentvolume import (
    PersistentVolumeStatus,
    PersistentVolumeStrategy,
)
from services.apiserver.kinds.persistentvolumeclaim import (
    PersistentVolumeClaimStatus,
    PersistentVolumeClaimStrategy,
)
from tests.unit.kindtools import NOW, create, merge, update

VOLUME = {
    "capacity": {"storage": "1Gi"},
    "accessModes": ["ReadWriteOnce"],
    "hostPath": {"path": "/tmp/x"},
}
CLAIM = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}


def volume(**spec: Any) -> dict[str, Any]:
    obj: dict[str, Any] = {"spec": merge(VOLUME, spec)}
    assert create(PersistentVolumeStrategy(), obj, namespaced=False) == []
    return obj


def claim(**spec: Any) -> dict[str, Any]:
    obj: dict[str, Any] = {"spec": merge(CLAIM, spec)}
    assert create(PersistentVolumeClaimStrategy(), obj) == []
    return obj


def test_a_new_volume_is_pending_retained_and_a_file_system() -> None:
    obj = volume()
    assert obj["status"] == {"phase": "Pending", "lastPhaseTransitionTime": NOW}
    assert obj["spec"]["persistentVolumeReclaimPolicy"] == "Retain"
    assert obj["spec"]["volumeMode"] == "Filesystem"
    assert obj["spec"]["hostPath"] == {"path": "/tmp/x", "type": ""}


@pytest.mark.parametrize(
    ("spec", "causes"),
    [
        (
            {"capacity": None, "accessModes": None, "hostPath": None},
            [
                "Required spec.accessModes",
                "Required spec.capacity",
                "NotSupported spec.capacity",
                "Required spec",
            ],
        ),
        (
            {
                "accessModes": ["Once", "ReadWriteOncePod", "ReadWriteOnce"],
                "capacity": {"storage": None, "cpu": "1"},
                "persistentVolumeReclaimPolicy": "Keep",
                "storageClassName": "Bad Class",
                "volumeMode": "Net",
                "hostPath": {"path": "../x"},
                "nfs": {"server": "a", "path": "/b"},
            },
            [
                "NotSupported spec.accessModes",
                "Forbidden spec.accessModes",
                "NotSupported spec.capacity",
                "NotSupported spec.persistentVolumeReclaimPolicy",
                "Invalid spec.hostPath.path",
                "Forbidden spec.nfs",
                "Invalid spec.storageClassName",
                "NotSupported spec.volumeMode",
            ],
        ),
        (
            {"hostPath": None, "local": {"path": "/x"}},
            ["Required spec.nodeAffinity"],
        ),
        (
            {"persistentVolumeReclaimPolicy": "Recycle", "hostPath": {"path": "/"}},
            ["Forbidden spec.persistentVolumeReclaimPolicy"],
        ),
        (
            {"hostPath": None, "csi": {"driver": "", "nodeStageSecretRef": {"name": "a"}}},
            [
                "Required spec.csi.driver",
                "Required spec.csi.volumeHandle",
                "Required spec.csi.nodeStageSecretRef.namespace",
            ],
        ),
    ],
)
def test_a_volume_gives_these_causes(spec: dict[str, Any], causes: list[str]) -> None:
    obj = {"spec": merge(VOLUME, spec)}
    assert create(PersistentVolumeStrategy(), obj, namespaced=False) == causes


def test_a_volumes_source_mode_and_affinity_stay() -> None:
    strategy = PersistentVolumeStrategy()
    terms = [{"matchExpressions": [{"key": "zone", "operator": "In", "values": ["a"]}]}]
    old = volume(nodeAffinity={"required": {"nodeSelectorTerms": terms}})
    changes = {
        "spec": {"hostPath": {"path": "/tmp/y"}, "volumeMode": "Block", "nodeAffinity": None}
    }
    assert update(strategy, old, changes)[1] == [
        "Forbidden spec.persistentvolumesource",
        "Invalid volumeMode",
        "Invalid nodeAffinity",
    ]


def test_an_affinitys_beta_label_may_become_the_stable_one() -> None:
    def affinity(key: str) -> dict[str, Any]:
        expression = {"key": key, "operator": "In", "values": ["a"]}
        return {"required": {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}}

    old = volume(nodeAffinity=affinity("failure-domain.beta.kubernetes.io/zone"))
    changes = {"spec": {"nodeAffinity": affinity("topology.kubernetes.io/zone")}}
    assert update(PersistentVolumeStrategy(), old, changes)[1] == []


def test_a_new_phase_gets_the_time_of_its_change() -> None:
    strategy = PersistentVolumeStrategy()
    old = volume()
    old["status"]["lastPhaseTransitionTime"] = "2020-01-01T00:00:00Z"
    obj, _ = update(
        strategy, old, {"status": {"phase": "Bound"}}, through=PersistentVolumeStatus(strategy)
    )
    assert obj["status"] == {"phase": "Bound", "lastPhaseTransitionTime": NOW}


def test_a_claims_data_source_is_copied_to_its_reference() -> None:
    obj = claim(dataSource={"kind": "PersistentVolumeClaim", "name": "a"})
    assert obj["spec"]["dataSourceRef"] == {
        "apiGroup": None,
        "kind": "PersistentVolumeClaim",
        "name": "a",
    }
    assert obj["status"] == {"phase": "Pending"}


@pytest.mark.parametrize(
    ("spec", "causes"),
    [
        (
            {"accessModes": None, "resources": None},
            ["Required spec.accessModes", "Required spec.resources[storage]"],
        ),
        (
            {
                "accessModes": ["Twice", "ReadWriteOncePod", "ReadWriteOnce"],
                "resources": {"requests": {"storage": "0"}},
                "storageClassName": "Bad Class",
                "volumeMode": "Net",
            },
            [
                "NotSupported spec.accessModes",
                "Forbidden spec.accessModes",
                "Invalid spec.resources[storage]",
                "Invalid spec.storageClassName",
                "NotSupported spec.volumeMode",
            ],
        ),
        (
            {
                "dataSource": {"kind": "Pod", "name": "x"},
                "dataSourceRef": {"kind": "PersistentVolumeClaim", "name": ""},
            },
            [
                "Invalid spec.dataSource",
                "Required spec.dataSourceRef.name",
                "Invalid spec",
            ],
        ),
    ],
)
def test_a_claim_gives_these_causes(spec: dict[str, Any], causes: list[str]) -> None:
    assert create(PersistentVolumeClaimStrategy(), {"spec": merge(CLAIM, spec)}) == causes


def test_an_unbound_claim_changes_only_its_volume_name_once() -> None:
    strategy = PersistentVolumeClaimStrategy()
    old = claim()
    bigger = {"spec": {"resources": {"requests": {"storage": "2Gi"}}}}
    assert update(strategy, old, bigger)[1] == ["Forbidden spec"]
    named, causes = update(strategy, old, {"spec": {"volumeName": "pv"}})
    assert causes == []
    assert update(strategy, named, {"spec": {"volumeName": "other"}})[1] == ["Forbidden spec"]


def test_a_bound_claim_may_grow_but_not_below_its_capacity() -> None:
    strategy = PersistentVolumeClaimStrategy()
    old = claim()
    old["status"] = {"phase": "Bound", "capacity": {"storage": "1Gi"}}
    grown, causes = update(strategy, old, {"spec": {"resources": {"requests": {"storage": "3Gi"}}}})
    assert causes == []
    for size, wanted in (
        ("2Gi", []),
        ("1Gi", ["Forbidden spec.resources.requests.storage"]),
    ):
        changes = {"spec": {"resources": {"requests": {"storage": size}}}}
        assert update(strategy, grown, changes)[1] == wanted


def test_a_claims_status_has_no_negative_capacity() -> None:
    strategy = PersistentVolumeClaimStrategy()
    _, causes = update(
        strategy,
        claim(),
        {"status": {"capacity": {"storage": "-1"}}},
        through=PersistentVolumeClaimStatus(strategy),
    )
    assert causes == ["Invalid status.capacity[storage]"]
