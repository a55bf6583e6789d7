"""What kube-apiserver v1.36.2 serves by default: every built-in resource.

Source: its discovery documents; pkg/registry/*/storage and pkg/apis/*/v1/conversion.go for
the keys and the selectable fields.
"""

from __future__ import annotations

from collections.abc import Mapping

from shared.resources.resource import (
    ALL_VERBS,
    METADATA_LABELS,
    UPDATE_VERBS,
    GroupVersionKind,
    Resource,
    SelectableField,
    Subresource,
)

CREATE = ("create",)
CONNECT = ("create", "get")
PROXY = ("create", "delete", "get", "patch", "update")
NO_DELETECOLLECTION = tuple(verb for verb in ALL_VERBS if verb != "deletecollection")

_DEFINITION_PACKAGES = {
    "apiextensions.k8s.io": "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions",
    "apiregistration.k8s.io": "io.k8s.kube-aggregator.pkg.apis.apiregistration",
}

Sub = tuple[str, str, tuple[str, ...]] | tuple[str, str, tuple[str, ...], str]
"""A subresource in the table: name, kind, verbs and, where it is another's, "group/version"."""

SCALE: Sub = ("scale", "Scale", UPDATE_VERBS, "autoscaling/v1")


class _GroupVersion:
    """Builds the resources of one group version."""

    def __init__(self, group: str, version: str) -> None:
        self.group = group
        self.version = version
        short = group.split(".")[0] or "core"
        package = _DEFINITION_PACKAGES.get(group, f"io.k8s.api.{short}")
        self.package = f"{package}.{version}"

    def stored(
        self,
        kind: str,
        name: str,
        *short_names: str,
        cluster: bool = False,
        status: bool = False,
        subresources: tuple[Sub, ...] = (),
        category: str = "",
        verbs: tuple[str, ...] = ALL_VERBS,
        path: str = "",
        storage: GroupVersionKind | None = None,
        selectable: tuple[SelectableField, ...] = (),
        labels: Mapping[str, str] | None = None,
    ) -> Resource:
        """A resource that etcd holds; `path` says where, if not under its plural."""
        if status:
            subresources = (*subresources, ("status", kind, UPDATE_VERBS))
        if labels is None:
            labels = METADATA_LABELS
            if selectable:
                labels = {**labels, **{one.name: one.name for one in selectable}}
        return Resource(
            group=self.group,
            version=self.version,
            name=name,
            singular=kind.lower(),
            kind=kind,
            list_kind=f"{kind}List",
            namespaced=not cluster,
            verbs=verbs,
            definition=f"{self.package}.{kind}",
            short_names=short_names,
            categories=(category,) if category else (),
            subresources={
                sub.name: sub
                for sub in sorted(
                    (_subresource(sub, not cluster) for sub in subresources),
                    key=lambda sub: sub.name,
                )
            },
            storage=storage or GroupVersionKind(self.group, self.version, kind),
            storage_path=path or name,
            selectable=selectable,
            field_labels=labels,
        )

    def virtual(
        self,
        kind: str,
        name: str,
        *short_names: str,
        cluster: bool = True,
        verbs: tuple[str, ...] = CREATE,
    ) -> Resource:
        """A resource that is answered but never stored."""
        return Resource(
            group=self.group,
            version=self.version,
            name=name,
            singular=kind.lower(),
            kind=kind,
            list_kind=f"{kind}List",
            namespaced=not cluster,
            verbs=verbs,
            definition=f"{self.package}.{kind}",
            short_names=short_names,
        )


def _subresource(sub: Sub, namespaced: bool) -> Subresource:
    name, kind, verbs, *other = sub
    group, _, version = other[0].partition("/") if other else ("", "", "")
    return Subresource(name, kind, namespaced, verbs, group, version)


def _fields(*names: str) -> tuple[SelectableField, ...]:
    return tuple(SelectableField(name, tuple(name.split("."))) for name in names)


_POD_FIELDS = (
    *_fields(
        "spec.nodeName",
        "spec.restartPolicy",
        "spec.schedulerName",
        "spec.serviceAccountName",
        "status.nominatedNodeName",
        "status.phase",
        "status.podIP",
    ),
    SelectableField("spec.hostNetwork", ("spec", "hostNetwork"), "false"),
    SelectableField("status.podIPs", ()),
)
_REFERENCE = ("apiVersion", "fieldPath", "kind", "name", "namespace", "resourceVersion", "uid")
_EVENT_FIELDS = (
    *_fields(*(f"involvedObject.{name}" for name in _REFERENCE)),
    *_fields("reason", "reportingComponent", "type"),
    SelectableField("source", ("source", "component"), fallback=("reportingComponent",)),
)
_NAME_ONLY = {"metadata.name": "metadata.name"}

_core = _GroupVersion("", "v1")
_apiregistration = _GroupVersion("apiregistration.k8s.io", "v1")
_apps = _GroupVersion("apps", "v1")
_events = _GroupVersion("events.k8s.io", "v1")
_authentication = _GroupVersion("authentication.k8s.io", "v1")
_authorization = _GroupVersion("authorization.k8s.io", "v1")
_autoscaling_v2 = _GroupVersion("autoscaling", "v2")
_autoscaling_v1 = _GroupVersion("autoscaling", "v1")
_batch = _GroupVersion("batch", "v1")
_certificates = _GroupVersion("certificates.k8s.io", "v1")
_networking = _GroupVersion("networking.k8s.io", "v1")
_policy = _GroupVersion("policy", "v1")
_rbac = _GroupVersion("rbac.authorization.k8s.io", "v1")
_storage = _GroupVersion("storage.k8s.io", "v1")
_admission = _GroupVersion("admissionregistration.k8s.io", "v1")
_apiextensions = _GroupVersion("apiextensions.k8s.io", "v1")
_scheduling = _GroupVersion("scheduling.k8s.io", "v1")
_coordination = _GroupVersion("coordination.k8s.io", "v1")
_node = _GroupVersion("node.k8s.io", "v1")
_discovery = _GroupVersion("discovery.k8s.io", "v1")
_resource = _GroupVersion("resource.k8s.io", "v1")
_flowcontrol = _GroupVersion("flowcontrol.apiserver.k8s.io", "v1")

_HPA_STORAGE = GroupVersionKind("autoscaling", "v2", "HorizontalPodAutoscaler")
_EVENT_STORAGE = GroupVersionKind("", "v1", "Event")
_API_EXTENSIONS = "api-extensions"

BUILTIN_RESOURCES: tuple[Resource, ...] = (
    # core/v1
    _core.virtual("Binding", "bindings", cluster=False),
    _core.virtual("ComponentStatus", "componentstatuses", "cs", verbs=("get", "list")),
    _core.stored("ConfigMap", "configmaps", "cm"),
    _core.stored("Endpoints", "endpoints", "ep", path="services/endpoints"),
    _core.stored(
        "Event",
        "events",
        "ev",
        selectable=_EVENT_FIELDS,
    ),
    _core.stored("LimitRange", "limitranges", "limits"),
    _core.stored(
        "Namespace",
        "namespaces",
        "ns",
        cluster=True,
        status=True,
        subresources=(("finalize", "Namespace", ("update",)),),
        verbs=NO_DELETECOLLECTION,
        selectable=_fields("status.phase"),
        labels={**_NAME_ONLY, "status.phase": "status.phase"},
    ),
    _core.stored(
        "Node",
        "nodes",
        "no",
        cluster=True,
        status=True,
        subresources=(("proxy", "NodeProxyOptions", PROXY),),
        path="minions",
        selectable=(SelectableField("spec.unschedulable", ("spec", "unschedulable"), "false"),),
        labels={**_NAME_ONLY, "spec.unschedulable": "spec.unschedulable"},
    ),
    _core.stored("PersistentVolumeClaim", "persistentvolumeclaims", "pvc", status=True),
    _core.stored("PersistentVolume", "persistentvolumes", "pv", cluster=True, status=True),
    _core.stored(
        "Pod",
        "pods",
        "po",
        status=True,
        category="all",
        subresources=(
            ("attach", "PodAttachOptions", CONNECT),
            ("binding", "Binding", CREATE),
            ("ephemeralcontainers", "Pod", UPDATE_VERBS),
            ("eviction", "Eviction", CREATE, "policy/v1"),
            ("exec", "PodExecOptions", CONNECT),
            ("log", "Pod", ("get",)),
            ("portforward", "PodPortForwardOptions", CONNECT),
            ("proxy", "PodProxyOptions", PROXY),
            ("resize", "Pod", UPDATE_VERBS),
        ),
        selectable=_POD_FIELDS,
        labels={
            **METADATA_LABELS,
            **{one.name: one.name for one in _POD_FIELDS},
            "spec.host": "spec.nodeName",
        },
    ),
    _core.stored("PodTemplate", "podtemplates"),
    _core.stored(
        "ReplicationController",
        "replicationcontrollers",
        "rc",
        status=True,
        category="all",
        subresources=(SCALE,),
        path="controllers",
        selectable=(SelectableField("status.replicas", ("status", "replicas"), "0"),),
    ),
    _core.stored("ResourceQuota", "resourcequotas", "quota", status=True),
    _core.stored("Secret", "secrets", selectable=_fields("type")),
    _core.stored(
        "ServiceAccount",
        "serviceaccounts",
        "sa",
        subresources=(("token", "TokenRequest", CREATE, "authentication.k8s.io/v1"),),
    ),
    _core.stored(
        "Service",
        "services",
        "svc",
        status=True,
        category="all",
        subresources=(("proxy", "ServiceProxyOptions", PROXY),),
        path="services/specs",
        selectable=_fields("spec.clusterIP", "spec.type"),
    ),
    # apiregistration.k8s.io/v1
    _apiregistration.stored(
        "APIService",
        "apiservices",
        cluster=True,
        status=True,
        category=_API_EXTENSIONS,
        path="apiregistration.k8s.io/apiservices",
    ),
    # apps/v1
    _apps.stored("ControllerRevision", "controllerrevisions"),
    _apps.stored("DaemonSet", "daemonsets", "ds", status=True, category="all"),
    _apps.stored(
        "Deployment", "deployments", "deploy", status=True, category="all", subresources=(SCALE,)
    ),
    _apps.stored(
        "ReplicaSet", "replicasets", "rs", status=True, category="all", subresources=(SCALE,)
    ),
    _apps.stored(
        "StatefulSet", "statefulsets", "sts", status=True, category="all", subresources=(SCALE,)
    ),
    # events.k8s.io/v1: the same objects as core/v1, under other names
    _events.stored(
        "Event",
        "events",
        "ev",
        storage=_EVENT_STORAGE,
        selectable=_EVENT_FIELDS,
        labels={
            **METADATA_LABELS,
            **{f"regarding.{name}": f"involvedObject.{name}" for name in _REFERENCE},
            "reason": "reason",
            "reportingController": "reportingComponent",
            "type": "type",
        },
    ),
    # authentication.k8s.io/v1, authorization.k8s.io/v1
    _authentication.virtual("SelfSubjectReview", "selfsubjectreviews"),
    _authentication.virtual("TokenReview", "tokenreviews"),
    _authorization.virtual("LocalSubjectAccessReview", "localsubjectaccessreviews", cluster=False),
    _authorization.virtual("SelfSubjectAccessReview", "selfsubjectaccessreviews"),
    _authorization.virtual("SelfSubjectRulesReview", "selfsubjectrulesreviews"),
    _authorization.virtual("SubjectAccessReview", "subjectaccessreviews"),
    # autoscaling/v2, autoscaling/v1
    *(
        version.stored(
            "HorizontalPodAutoscaler",
            "horizontalpodautoscalers",
            "hpa",
            status=True,
            category="all",
            storage=_HPA_STORAGE,
        )
        for version in (_autoscaling_v2, _autoscaling_v1)
    ),
    # batch/v1
    _batch.stored("CronJob", "cronjobs", "cj", status=True, category="all"),
    _batch.stored(
        "Job",
        "jobs",
        status=True,
        category="all",
        selectable=(SelectableField("status.successful", ("status", "succeeded"), "0"),),
    ),
    # certificates.k8s.io/v1
    _certificates.stored(
        "CertificateSigningRequest",
        "certificatesigningrequests",
        "csr",
        cluster=True,
        status=True,
        subresources=(("approval", "CertificateSigningRequest", UPDATE_VERBS),),
        selectable=_fields("spec.signerName"),
        labels={**_NAME_ONLY, "spec.signerName": "spec.signerName"},
    ),
    # networking.k8s.io/v1
    _networking.stored("IngressClass", "ingressclasses", cluster=True),
    _networking.stored("Ingress", "ingresses", "ing", status=True, path="ingress"),
    _networking.stored("IPAddress", "ipaddresses", "ip", cluster=True),
    _networking.stored("NetworkPolicy", "networkpolicies", "netpol"),
    _networking.stored("ServiceCIDR", "servicecidrs", cluster=True, status=True),
    # policy/v1
    _policy.stored("PodDisruptionBudget", "poddisruptionbudgets", "pdb", status=True),
    # rbac.authorization.k8s.io/v1
    _rbac.stored("ClusterRoleBinding", "clusterrolebindings", cluster=True),
    _rbac.stored("ClusterRole", "clusterroles", cluster=True),
    _rbac.stored("RoleBinding", "rolebindings"),
    _rbac.stored("Role", "roles"),
    # storage.k8s.io/v1
    _storage.stored("CSIDriver", "csidrivers", cluster=True),
    _storage.stored("CSINode", "csinodes", cluster=True),
    _storage.stored("CSIStorageCapacity", "csistoragecapacities"),
    _storage.stored("StorageClass", "storageclasses", "sc", cluster=True),
    _storage.stored("VolumeAttachment", "volumeattachments", cluster=True, status=True),
    _storage.stored("VolumeAttributesClass", "volumeattributesclasses", "vac", cluster=True),
    # admissionregistration.k8s.io/v1
    *(
        _admission.stored(
            kind,
            name,
            cluster=True,
            status=kind == "ValidatingAdmissionPolicy",
            category=_API_EXTENSIONS,
        )
        for kind, name in (
            ("MutatingAdmissionPolicy", "mutatingadmissionpolicies"),
            ("MutatingAdmissionPolicyBinding", "mutatingadmissionpolicybindings"),
            ("MutatingWebhookConfiguration", "mutatingwebhookconfigurations"),
            ("ValidatingAdmissionPolicy", "validatingadmissionpolicies"),
            ("ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybindings"),
            ("ValidatingWebhookConfiguration", "validatingwebhookconfigurations"),
        )
    ),
    # apiextensions.k8s.io/v1
    _apiextensions.stored(
        "CustomResourceDefinition",
        "customresourcedefinitions",
        "crd",
        "crds",
        cluster=True,
        status=True,
        category=_API_EXTENSIONS,
        path="apiextensions.k8s.io/customresourcedefinitions",
    ),
    # scheduling.k8s.io/v1, coordination.k8s.io/v1, node.k8s.io/v1, discovery.k8s.io/v1
    _scheduling.stored("PriorityClass", "priorityclasses", "pc", cluster=True),
    _coordination.stored("Lease", "leases"),
    _node.stored("RuntimeClass", "runtimeclasses", cluster=True),
    _discovery.stored("EndpointSlice", "endpointslices"),
    # resource.k8s.io/v1
    _resource.stored("DeviceClass", "deviceclasses", cluster=True),
    _resource.stored("ResourceClaim", "resourceclaims", status=True),
    _resource.stored("ResourceClaimTemplate", "resourceclaimtemplates"),
    _resource.stored(
        "ResourceSlice",
        "resourceslices",
        cluster=True,
        selectable=_fields("spec.driver", "spec.nodeName"),
        labels={
            **_NAME_ONLY,
            "spec.driver": "spec.driver",
            "spec.nodeName": "spec.nodeName",
        },
    ),
    # flowcontrol.apiserver.k8s.io/v1
    _flowcontrol.stored("FlowSchema", "flowschemas", cluster=True, status=True),
    _flowcontrol.stored(
        "PriorityLevelConfiguration", "prioritylevelconfigurations", cluster=True, status=True
    ),
)
"""In the order of groups.py, each group version by name."""
