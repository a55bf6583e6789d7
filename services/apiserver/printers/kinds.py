"""Which printer renders which kind.

CSIStorageCapacity, CustomResourceDefinition, LimitRange, Role and ClusterRole have none in
kube-apiserver either and fall to the default one.
"""

from __future__ import annotations

from collections.abc import Mapping

from services.apiserver.printers import (
    access,
    autoscaling,
    core,
    networking,
    pods,
    scheduling,
    storage,
    workloads,
)
from services.apiserver.printers.printer import DefaultPrinter, KindPrinter, Printer

ResourceKey = tuple[str, str]
"""(group, kind)."""

DEFAULT = DefaultPrinter()

PRINTERS: Mapping[ResourceKey, KindPrinter] = {
    ("", "ComponentStatus"): core.COMPONENT_STATUS,
    ("", "ConfigMap"): core.CONFIG_MAP,
    ("", "Endpoints"): core.ENDPOINTS,
    ("", "Event"): core.EVENT,
    ("", "Namespace"): core.NAMESPACE,
    ("", "Node"): core.NODE,
    ("", "PersistentVolume"): storage.PERSISTENT_VOLUME,
    ("", "PersistentVolumeClaim"): storage.PERSISTENT_VOLUME_CLAIM,
    ("", "Pod"): pods.POD,
    ("", "PodTemplate"): workloads.POD_TEMPLATE,
    ("", "ReplicationController"): workloads.REPLICATION_CONTROLLER,
    ("", "ResourceQuota"): core.RESOURCE_QUOTA,
    ("", "Secret"): core.SECRET,
    ("", "Service"): core.SERVICE,
    ("", "ServiceAccount"): core.NAME_AND_AGE,
    ("admissionregistration.k8s.io", "MutatingAdmissionPolicy"): access.MUTATING_POLICY,
    ("admissionregistration.k8s.io", "MutatingAdmissionPolicyBinding"): access.POLICY_BINDING,
    ("admissionregistration.k8s.io", "MutatingWebhookConfiguration"): access.WEBHOOK_CONFIGURATION,
    ("admissionregistration.k8s.io", "ValidatingAdmissionPolicy"): access.VALIDATING_POLICY,
    ("admissionregistration.k8s.io", "ValidatingAdmissionPolicyBinding"): access.POLICY_BINDING,
    (
        "admissionregistration.k8s.io",
        "ValidatingWebhookConfiguration",
    ): access.WEBHOOK_CONFIGURATION,
    ("apiregistration.k8s.io", "APIService"): access.API_SERVICE,
    ("apps", "ControllerRevision"): workloads.CONTROLLER_REVISION,
    ("apps", "DaemonSet"): workloads.DAEMON_SET,
    ("apps", "Deployment"): workloads.DEPLOYMENT,
    ("apps", "ReplicaSet"): workloads.REPLICA_SET,
    ("apps", "StatefulSet"): workloads.STATEFUL_SET,
    ("autoscaling", "HorizontalPodAutoscaler"): autoscaling.HORIZONTAL_POD_AUTOSCALER,
    ("autoscaling", "Scale"): workloads.SCALE,
    ("batch", "CronJob"): workloads.CRON_JOB,
    ("batch", "Job"): workloads.JOB,
    ("certificates.k8s.io", "CertificateSigningRequest"): access.CERTIFICATE_SIGNING_REQUEST,
    ("coordination.k8s.io", "Lease"): scheduling.LEASE,
    ("discovery.k8s.io", "EndpointSlice"): networking.ENDPOINT_SLICE,
    ("events.k8s.io", "Event"): core.EVENT,
    ("flowcontrol.apiserver.k8s.io", "FlowSchema"): scheduling.FLOW_SCHEMA,
    ("flowcontrol.apiserver.k8s.io", "PriorityLevelConfiguration"): scheduling.PRIORITY_LEVEL,
    ("networking.k8s.io", "IPAddress"): networking.IP_ADDRESS,
    ("networking.k8s.io", "Ingress"): networking.INGRESS,
    ("networking.k8s.io", "IngressClass"): networking.INGRESS_CLASS,
    ("networking.k8s.io", "NetworkPolicy"): networking.NETWORK_POLICY,
    ("networking.k8s.io", "ServiceCIDR"): networking.SERVICE_CIDR,
    ("node.k8s.io", "RuntimeClass"): scheduling.RUNTIME_CLASS,
    ("policy", "PodDisruptionBudget"): scheduling.POD_DISRUPTION_BUDGET,
    ("rbac.authorization.k8s.io", "ClusterRoleBinding"): access.CLUSTER_ROLE_BINDING,
    ("rbac.authorization.k8s.io", "RoleBinding"): access.ROLE_BINDING,
    ("resource.k8s.io", "DeviceClass"): core.NAME_AND_AGE,
    ("resource.k8s.io", "ResourceClaim"): scheduling.RESOURCE_CLAIM,
    ("resource.k8s.io", "ResourceClaimTemplate"): core.NAME_AND_AGE,
    ("resource.k8s.io", "ResourceSlice"): scheduling.RESOURCE_SLICE,
    ("scheduling.k8s.io", "PriorityClass"): scheduling.PRIORITY_CLASS,
    ("storage.k8s.io", "CSIDriver"): storage.CSI_DRIVER,
    ("storage.k8s.io", "CSINode"): storage.CSI_NODE,
    ("storage.k8s.io", "StorageClass"): storage.STORAGE_CLASS,
    ("storage.k8s.io", "VolumeAttachment"): storage.VOLUME_ATTACHMENT,
    ("storage.k8s.io", "VolumeAttributesClass"): storage.VOLUME_ATTRIBUTES_CLASS,
}


def printer_of(key: ResourceKey) -> Printer:
    """Return the printer of a built-in kind; that of a kind without one is the default."""
    return PRINTERS.get(key, DEFAULT)
