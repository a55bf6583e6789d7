"""Pod: defaults, rules at creation, what updates and subresources may change."""

from __future__ import annotations

from typing import Any

import pytest

from services.apiserver.kinds.pod import PodStrategy
from tests.unit.workload_world import NOW, context, create, created, told, update

Object = dict[str, Any]


def pod(**spec: Any) -> Object:
    return {"spec": {"containers": [{"name": "c", "image": "nginx"}], **spec}}


def container(**fields: Any) -> Object:
    return pod(containers=[{"name": "c", "image": "nginx", **fields}])


def volume(**source: Any) -> Object:
    return pod(volumes=[{"name": "v", **source}])


def test_a_pod_gets_its_defaults() -> None:
    assert created("pods", container(ports=[{"containerPort": 80}]))["spec"] == {
        "containers": [
            {
                "name": "c",
                "image": "nginx",
                "imagePullPolicy": "Always",
                "ports": [{"containerPort": 80, "protocol": "TCP"}],
                "resources": {},
                "terminationMessagePath": "/dev/termination-log",
                "terminationMessagePolicy": "File",
            }
        ],
        "dnsPolicy": "ClusterFirst",
        "enableServiceLinks": True,
        "restartPolicy": "Always",
        "schedulerName": "default-scheduler",
        "securityContext": {},
        "terminationGracePeriodSeconds": 30,
    }


@pytest.mark.parametrize(
    ("image", "policy"),
    [
        ("nginx", "Always"),
        ("nginx:latest", "Always"),
        ("nginx:1.25", "IfNotPresent"),
        ("registry.example.com:5000/nginx", "Always"),
        ("nginx@sha256:" + "a" * 64, "IfNotPresent"),
    ],
)
def test_the_tag_decides_on_the_pull_policy(image: str, policy: str) -> None:
    made = created("pods", container(image=image))
    assert made["spec"]["containers"][0]["imagePullPolicy"] == policy


def test_requests_default_from_limits_for_every_resource() -> None:
    made = created("pods", container(resources={"limits": {"cpu": 1, "example.com/gpu": 2}}))
    assert made["spec"]["containers"][0]["resources"]["requests"] == {
        "cpu": "1",
        "example.com/gpu": "2",
    }


def test_host_ports_default_in_the_host_network() -> None:
    made = created(
        "pods",
        pod(
            hostNetwork=True,
            containers=[{"name": "c", "image": "i", "ports": [{"containerPort": 80}]}],
        ),
    )
    assert made["spec"]["containers"][0]["ports"][0]["hostPort"] == 80


def test_both_names_of_the_service_account_are_set() -> None:
    made = created("pods", pod(serviceAccount="robot"))
    assert made["spec"]["serviceAccountName"] == "robot"


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        ({}, "BestEffort"),
        ({"requests": {"cpu": "1"}}, "Burstable"),
        ({"limits": {"cpu": "1", "memory": "1Gi"}}, "Guaranteed"),
        (
            {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500m"}},
            "Burstable",
        ),
    ],
)
def test_the_resources_make_the_qos_class(resources: Object, expected: str) -> None:
    made = created("pods", container(resources=resources))
    assert made["status"] == {"phase": "Pending", "qosClass": expected}


def test_scheduling_gates_show_in_the_status() -> None:
    made = created("pods", pod(schedulingGates=[{"name": "example.com/wait"}]))
    assert made["status"]["conditions"] == [
        {
            "type": "PodScheduled",
            "status": "False",
            "lastProbeTime": None,
            "lastTransitionTime": NOW,
            "reason": "SchedulingGated",
            "message": "Scheduling is blocked due to non-empty scheduling gates",
        }
    ]


def test_match_label_keys_become_expressions() -> None:
    spread = {
        "maxSkew": 1,
        "topologyKey": "zone",
        "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": {"app": "web"}},
        "matchLabelKeys": ["hash"],
    }
    made = created(
        "pods",
        {
            "metadata": {"name": "one", "labels": {"hash": "h1"}},
            **pod(topologySpreadConstraints=[spread]),
        },
    )
    assert made["spec"]["topologySpreadConstraints"][0]["labelSelector"] == {
        "matchLabels": {"app": "web"},
        "matchExpressions": [{"key": "hash", "operator": "In", "values": ["h1"]}],
    }


BAD: list[tuple[str, Object, list[tuple[str, str]]]] = [
    ("no containers", {"spec": {}}, [("spec.containers", "Required")]),
    (
        "no name and no image",
        pod(containers=[{}]),
        [("spec.containers[0].name", "Required"), ("spec.containers[0].image", "Required")],
    ),
    (
        "one name twice",
        pod(containers=[{"name": "c", "image": "i"}, {"name": "c", "image": "i"}]),
        [("spec.containers[1].name", "Duplicate")],
    ),
    (
        "an unknown restart policy",
        pod(restartPolicy="Sometimes"),
        [("spec.restartPolicy", "NotSupported")],
    ),
    (
        "a DNS policy None without servers",
        pod(dnsPolicy="None"),
        [("spec.dnsConfig", "Required")],
    ),
    (
        "a port out of range",
        container(ports=[{"containerPort": 0}]),
        [("spec.containers[0].ports[0].containerPort", "Required")],
    ),
    (
        "an unknown protocol",
        container(ports=[{"containerPort": 80, "protocol": "ICMP"}]),
        [("spec.containers[0].ports[0].protocol", "NotSupported")],
    ),
    (
        "one port name twice",
        container(
            ports=[{"containerPort": 80, "name": "http"}, {"containerPort": 81, "name": "http"}]
        ),
        [("spec.containers[0].ports[1].name", "Duplicate")],
    ),
    (
        "a variable from two sources",
        container(env=[{"name": "A", "value": "x", "valueFrom": {"fieldRef": {}}}]),
        [
            ("spec.containers[0].env[0].valueFrom.fieldRef.fieldPath", "Required"),
            ("spec.containers[0].env[0].valueFrom", "Invalid"),
        ],
    ),
    (
        "a variable without a name",
        container(env=[{"value": "x"}]),
        [("spec.containers[0].env[0].name", "Required")],
    ),
    (
        "requests above limits",
        container(resources={"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}),
        [("spec.containers[0].resources.requests", "Invalid")],
    ),
    (
        "a mount of no volume",
        container(volumeMounts=[{"name": "gone", "mountPath": "/x"}]),
        [("spec.containers[0].volumeMounts[0].name", "NotFound")],
    ),
    (
        "one mount path twice",
        pod(
            volumes=[{"name": "v", "emptyDir": {}}],
            containers=[
                {
                    "name": "c",
                    "image": "i",
                    "volumeMounts": [{"name": "v", "mountPath": "/x"}] * 2,
                }
            ],
        ),
        [("spec.containers[0].volumeMounts[1].mountPath", "Invalid")],
    ),
    (
        "a probe with two actions",
        container(livenessProbe={"exec": {"command": ["a"]}, "tcpSocket": {"port": 1}}),
        [("spec.containers[0].livenessProbe.tcpSocket", "Forbidden")],
    ),
    (
        "a probe without an action",
        container(readinessProbe={"periodSeconds": 1}),
        [("spec.containers[0].readinessProbe", "Required")],
    ),
    (
        "a liveness probe that needs two successes",
        container(livenessProbe={"tcpSocket": {"port": 1}, "successThreshold": 2}),
        [("spec.containers[0].livenessProbe.successThreshold", "Invalid")],
    ),
    (
        "a secret without a name",
        volume(secret={}),
        [("spec.volumes[0].secret.secretName", "Required")],
    ),
    (
        "a volume of two kinds",
        volume(emptyDir={}, hostPath={"path": "/x"}),
        [("spec.volumes[0].hostPath", "Forbidden")],
    ),
    (
        "a host path that climbs up",
        volume(hostPath={"path": "/a/../b"}),
        [("spec.volumes[0].hostPath.path", "Invalid")],
    ),
    (
        "a spread over nothing",
        pod(topologySpreadConstraints=[{"maxSkew": 0, "whenUnsatisfiable": "DoNotSchedule"}]),
        [
            ("spec.topologySpreadConstraints[0].maxSkew", "Invalid"),
            ("spec.topologySpreadConstraints[0].topologyKey", "Required"),
        ],
    ),
    (
        "a toleration of a value that may be any",
        pod(tolerations=[{"key": "a", "operator": "Exists", "value": "b"}]),
        [("spec.tolerations[0].operator", "Invalid")],
    ),
    (
        "a privileged container that may not escalate",
        container(securityContext={"privileged": True, "allowPrivilegeEscalation": False}),
        [("spec.containers[0].securityContext", "Invalid")],
    ),
    (
        "an unknown operating system",
        pod(os={"name": "plan9"}),
        [("spec.os", "NotSupported")],
    ),
    (
        "ephemeral containers at creation",
        pod(ephemeralContainers=[{"name": "e", "image": "i"}]),
        [("spec.ephemeralContainers", "Forbidden")],
    ),
    (
        "a node although gates are closed",
        pod(nodeName="n", schedulingGates=[{"name": "example.com/wait"}]),
        [("spec.nodeName", "Forbidden")],
    ),
]


@pytest.mark.parametrize(("obj", "causes"), [case[1:] for case in BAD], ids=[c[0] for c in BAD])
def test_a_pod_is_refused_for(obj: Object, causes: list[tuple[str, str]]) -> None:
    _, found, _ = create("pods", obj)
    assert told(found) == causes


@pytest.mark.parametrize(
    ("obj", "warning"),
    [
        (
            {"metadata": {"name": "a.b"}, **pod()},
            "metadata.name: this is used in the Pod's hostname",
        ),
        (pod(terminationGracePeriodSeconds=-1), "spec.terminationGracePeriodSeconds: must be"),
        (
            container(env=[{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]),
            'spec.containers[0].env[1]: hides previous definition of "A"',
        ),
        (
            container(resources={"requests": {"memory": "100m"}}),
            "spec.containers[0].resources.requests[memory]: fractional byte value",
        ),
        (
            volume(
                configMap={
                    "name": "m",
                    "items": [{"key": "a", "path": "p"}, {"key": "b", "path": "p/q"}],
                }
            ),
            'volume "v" (ConfigMap "m"): overlapping paths: "p/q" with "p"',
        ),
        (pod(nodeSelector={"beta.kubernetes.io/os": "linux"}), "spec.nodeSelector["),
    ],
)
def test_odd_pods_are_warned_of(obj: Object, warning: str) -> None:
    _, causes, warnings = create("pods", obj)
    assert not causes
    assert any(one.startswith(warning) for one in warnings), warnings


def test_a_plain_pod_has_no_warnings() -> None:
    assert create("pods", pod())[2] == []


def test_the_generation_follows_the_spec_alone() -> None:
    old = created("pods", pod(activeDeadlineSeconds=10))
    labelled, causes = update("pods", old, {"metadata": {"labels": {"a": "b"}}})
    assert (labelled["metadata"]["generation"], causes) == (1, [])
    shorter, causes = update("pods", old, {"spec": {"activeDeadlineSeconds": 5}})
    assert (shorter["metadata"]["generation"], causes) == (2, [])


@pytest.mark.parametrize(
    ("changes", "causes"),
    [
        (
            {"spec": {"containers": [{"name": "c", "image": "b", "imagePullPolicy": "Always"}]}},
            [],
        ),
        ({"spec": {"nodeName": "elsewhere"}}, [("spec", "Forbidden")]),
        (
            {
                "spec": {
                    "containers": [
                        {"name": "c", "image": "nginx"},
                        {"name": "d", "image": "nginx"},
                    ]
                }
            },
            [("spec.containers", "Forbidden")],
        ),
        ({"spec": {"tolerations": [{"operator": "Exists"}]}}, []),
        ({"spec": {"activeDeadlineSeconds": 20}}, [("spec.activeDeadlineSeconds", "Invalid")]),
        ({"spec": {"terminationGracePeriodSeconds": 5}}, [("spec", "Forbidden")]),
    ],
)
def test_an_update_may_change_little_of_the_spec(
    changes: Object, causes: list[tuple[str, str]]
) -> None:
    old = created("pods", pod(activeDeadlineSeconds=10))
    _, found = update("pods", old, changes)
    assert told(found) == causes


def test_gates_can_only_be_removed() -> None:
    old = created("pods", pod(schedulingGates=[{"name": "a.b/one"}, {"name": "a.b/two"}]))
    _, causes = update("pods", old, {"spec": {"schedulingGates": [{"name": "a.b/one"}]}})
    assert causes == []
    _, causes = update("pods", old, {"spec": {"schedulingGates": [{"name": "a.b/three"}]}})
    assert [field for field, _ in told(causes)] == ["spec.schedulingGates[0].name"]


def test_an_update_keeps_the_status() -> None:
    old = created("pods", pod())
    new, _ = update("pods", old, {"status": {"phase": "Running"}})
    assert new["status"]["phase"] == "Pending"


def test_a_status_write_keeps_the_spec_and_the_qos_class() -> None:
    old = created("pods", pod())
    new, causes = update(
        "pods", old, {"spec": {"nodeName": "n"}, "status": {"phase": "Running"}}, "status"
    )
    assert causes == []
    assert "nodeName" not in new["spec"]
    assert new["status"]["qosClass"] == "BestEffort"
    _, causes = update("pods", old, {"status": {"qosClass": "Guaranteed"}}, "status")
    assert told(causes) == [("status.qosClass", "Invalid")]


def test_ephemeral_containers_can_be_added_and_not_changed() -> None:
    old = created("pods", pod())
    debug = {"name": "debug", "image": "busybox:1"}
    new, causes = update(
        "pods",
        old,
        {"spec": {"ephemeralContainers": [debug], "nodeName": "n"}},
        "ephemeralcontainers",
    )
    assert causes == []
    assert "nodeName" not in new["spec"]
    assert new["metadata"]["generation"] == 2
    changed = [{**new["spec"]["ephemeralContainers"][0], "image": "other:1"}]
    _, causes = update(
        "pods", new, {"spec": {"ephemeralContainers": changed}}, "ephemeralcontainers"
    )
    assert [field for field, _ in told(causes)] == ["spec.ephemeralContainers"]


def test_a_resize_changes_cpu_and_memory_and_nothing_else() -> None:
    old = created("pods", container(resources={"requests": {"cpu": "100m", "memory": "1Gi"}}))
    bigger = {"name": "c", "image": "other", "resources": {"requests": {"cpu": "1"}}}
    bigger["resources"]["requests"]["memory"] = "1Gi"
    new, causes = update("pods", old, {"spec": {"containers": [bigger]}}, "resize")
    assert causes == []
    (one,) = new["spec"]["containers"]
    assert one["image"] == "nginx"
    assert one["resources"]["requests"]["cpu"] == "1"
    assert new["metadata"]["generation"] == 2


@pytest.mark.parametrize(
    ("node", "phase", "requested", "expected"),
    [
        ("", "Pending", None, 0),
        ("n", "Running", None, 30),
        ("n", "Running", 5, 5),
        ("n", "Running", -1, 1),
        ("n", "Succeeded", None, 0),
    ],
)
def test_a_running_pod_gets_time_to_end(
    node: str, phase: str, requested: int | None, expected: int
) -> None:
    made = created("pods", pod(**({"nodeName": node} if node else {})))
    made["status"]["phase"] = phase
    assert PodStrategy().grace_period_s(context(), made, requested) == expected
