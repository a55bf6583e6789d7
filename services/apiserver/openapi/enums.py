"""The closed sets of texts that fields may hold, as OpenAPI publishes them.

Source: the types marked +enum in k8s.io/api v0.36.2 and apiextensions-apiserver v0.36.2.
"""

from __future__ import annotations

from collections.abc import Mapping

from services.apiserver.validation.enumerations import HOST_PATH_TYPES, KEY_USAGES, PULL_POLICIES

Values = tuple[str, ...]

_FAILURE_POLICY_TYPE: Values = ("Fail", "Ignore")
_MATCH_POLICY_TYPE: Values = ("Equivalent", "Exact")
_OPERATION_TYPE: Values = ("*", "CONNECT", "CREATE", "DELETE", "UPDATE")
_REINVOCATION_POLICY_TYPE: Values = ("IfNeeded", "Never")
_SIDE_EFFECT_CLASS: Values = ("None", "NoneOnDryRun", "Some", "Unknown")
_NODE_INCLUSION_POLICY: Values = ("Honor", "Ignore")
_PERSISTENT_VOLUME_ACCESS_MODE: Values = (
    "ReadOnlyMany",
    "ReadWriteMany",
    "ReadWriteOnce",
    "ReadWriteOncePod",
)
_PERSISTENT_VOLUME_MODE: Values = ("Block", "Filesystem")
_PERSISTENT_VOLUME_RECLAIM_POLICY: Values = ("Delete", "Recycle", "Retain")
_PROTOCOL: Values = ("SCTP", "TCP", "UDP")
_RESOURCE_QUOTA_SCOPE: Values = (
    "BestEffort",
    "CrossNamespacePodAffinity",
    "NotBestEffort",
    "NotTerminating",
    "PriorityClass",
    "Terminating",
    "VolumeAttributesClass",
)
_TAINT_EFFECT: Values = ("NoExecute", "NoSchedule", "PreferNoSchedule")
_TERMINATION_MESSAGE_POLICY: Values = ("FallbackToLogsOnError", "File")
_DEVICE_ALLOCATION_MODE: Values = ("All", "ExactCount")
_DEVICE_TAINT_EFFECT: Values = ("NoExecute", "NoSchedule", "None")
_PLAIN_SIGNALS = (
    "SIGABRT SIGALRM SIGBUS SIGCHLD SIGCLD SIGCONT SIGFPE SIGHUP SIGILL SIGINT SIGIO SIGIOT "
    "SIGKILL SIGPIPE SIGPOLL SIGPROF SIGPWR SIGQUIT SIGSEGV SIGSTKFLT SIGSTOP SIGSYS SIGTERM "
    "SIGTRAP SIGTSTP SIGTTIN SIGTTOU SIGURG SIGUSR1 SIGUSR2 SIGVTALRM SIGWINCH SIGXCPU "
    "SIGXFSZ"
)
_SIGNAL: Values = tuple(
    sorted(
        [
            *_PLAIN_SIGNALS.split(),
            "SIGRTMIN",
            *(f"SIGRTMIN+{n}" for n in range(1, 16)),
            *(f"SIGRTMAX-{n}" for n in range(1, 15)),
            "SIGRTMAX",
        ]
    )
)

_BY_PACKAGE: Mapping[str, Mapping[str, Mapping[str, Values]]] = {
    "io.k8s.api.admissionregistration.v1": {
        "MatchResources": {
            "matchPolicy": _MATCH_POLICY_TYPE,
        },
        "MutatingAdmissionPolicySpec": {
            "failurePolicy": _FAILURE_POLICY_TYPE,
            "reinvocationPolicy": _REINVOCATION_POLICY_TYPE,
        },
        "MutatingWebhook": {
            "failurePolicy": _FAILURE_POLICY_TYPE,
            "matchPolicy": _MATCH_POLICY_TYPE,
            "reinvocationPolicy": _REINVOCATION_POLICY_TYPE,
            "sideEffects": _SIDE_EFFECT_CLASS,
        },
        "Mutation": {
            "patchType": ("ApplyConfiguration", "JSONPatch"),
        },
        "NamedRuleWithOperations": {
            "operations": _OPERATION_TYPE,
        },
        "RuleWithOperations": {
            "operations": _OPERATION_TYPE,
        },
        "ValidatingAdmissionPolicyBindingSpec": {
            "validationActions": ("Audit", "Deny", "Warn"),
        },
        "ValidatingAdmissionPolicySpec": {
            "failurePolicy": _FAILURE_POLICY_TYPE,
        },
        "ValidatingWebhook": {
            "failurePolicy": _FAILURE_POLICY_TYPE,
            "matchPolicy": _MATCH_POLICY_TYPE,
            "sideEffects": _SIDE_EFFECT_CLASS,
        },
    },
    "io.k8s.api.apps.v1": {
        "DaemonSetUpdateStrategy": {
            "type": ("OnDelete", "RollingUpdate"),
        },
        "DeploymentStrategy": {
            "type": ("Recreate", "RollingUpdate"),
        },
        "StatefulSetSpec": {
            "podManagementPolicy": ("OrderedReady", "Parallel"),
        },
        "StatefulSetUpdateStrategy": {
            "type": ("OnDelete", "RollingUpdate"),
        },
    },
    "io.k8s.api.batch.v1": {
        "CronJobSpec": {
            "concurrencyPolicy": ("Allow", "Forbid", "Replace"),
        },
        "JobSpec": {
            "completionMode": ("Indexed", "NonIndexed"),
            "podReplacementPolicy": ("Failed", "TerminatingOrFailed"),
        },
        "PodFailurePolicyOnExitCodesRequirement": {
            "operator": ("In", "NotIn"),
        },
        "PodFailurePolicyRule": {
            "action": ("Count", "FailIndex", "FailJob", "Ignore"),
        },
    },
    "io.k8s.api.certificates.v1": {
        "CertificateSigningRequestSpec": {
            "usages": KEY_USAGES,
        },
    },
    "io.k8s.api.core.v1": {
        "AppArmorProfile": {
            "type": ("Localhost", "RuntimeDefault", "Unconfined"),
        },
        "AzureDiskVolumeSource": {
            "cachingMode": ("None", "ReadOnly", "ReadWrite"),
            "kind": ("Dedicated", "Managed", "Shared"),
        },
        "Container": {
            "imagePullPolicy": PULL_POLICIES,
            "terminationMessagePolicy": _TERMINATION_MESSAGE_POLICY,
        },
        "ContainerPort": {
            "protocol": _PROTOCOL,
        },
        "ContainerStatus": {
            "stopSignal": _SIGNAL,
        },
        "EndpointPort": {
            "protocol": _PROTOCOL,
        },
        "EphemeralContainer": {
            "imagePullPolicy": PULL_POLICIES,
            "terminationMessagePolicy": _TERMINATION_MESSAGE_POLICY,
        },
        "HTTPGetAction": {
            "scheme": ("HTTP", "HTTPS"),
        },
        "HostPathVolumeSource": {
            "type": HOST_PATH_TYPES,
        },
        "ImageVolumeSource": {
            "pullPolicy": PULL_POLICIES,
        },
        "Lifecycle": {
            "stopSignal": _SIGNAL,
        },
        "ModifyVolumeStatus": {
            "status": ("InProgress", "Infeasible", "Pending"),
        },
        "NamespaceStatus": {
            "phase": ("Active", "Terminating"),
        },
        "NodeSelectorRequirement": {
            "operator": ("DoesNotExist", "Exists", "Gt", "In", "Lt", "NotIn"),
        },
        "NodeStatus": {
            "phase": ("Pending", "Running", "Terminated"),
        },
        "PersistentVolumeClaimSpec": {
            "accessModes": _PERSISTENT_VOLUME_ACCESS_MODE,
            "volumeMode": _PERSISTENT_VOLUME_MODE,
        },
        "PersistentVolumeClaimStatus": {
            "accessModes": _PERSISTENT_VOLUME_ACCESS_MODE,
            "phase": ("Bound", "Lost", "Pending"),
        },
        "PersistentVolumeSpec": {
            "accessModes": _PERSISTENT_VOLUME_ACCESS_MODE,
            "persistentVolumeReclaimPolicy": _PERSISTENT_VOLUME_RECLAIM_POLICY,
            "volumeMode": _PERSISTENT_VOLUME_MODE,
        },
        "PersistentVolumeStatus": {
            "phase": ("Available", "Bound", "Failed", "Pending", "Released"),
        },
        "PodSecurityContext": {
            "fsGroupChangePolicy": ("Always", "OnRootMismatch"),
            "supplementalGroupsPolicy": ("Merge", "Strict"),
        },
        "PodSpec": {
            "dnsPolicy": ("ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"),
            "preemptionPolicy": ("Never", "PreemptLowerPriority"),
            "restartPolicy": ("Always", "Never", "OnFailure"),
        },
        "PodStatus": {
            "phase": ("Failed", "Pending", "Running", "Succeeded", "Unknown"),
            "qosClass": ("BestEffort", "Burstable", "Guaranteed"),
        },
        "PortStatus": {
            "protocol": _PROTOCOL,
        },
        "ResourceQuotaSpec": {
            "scopes": _RESOURCE_QUOTA_SCOPE,
        },
        "ScopedResourceSelectorRequirement": {
            "operator": ("DoesNotExist", "Exists", "In", "NotIn"),
            "scopeName": _RESOURCE_QUOTA_SCOPE,
        },
        "SeccompProfile": {
            "type": ("Localhost", "RuntimeDefault", "Unconfined"),
        },
        "SecurityContext": {
            "procMount": ("Default", "Unmasked"),
        },
        "ServicePort": {
            "protocol": _PROTOCOL,
        },
        "ServiceSpec": {
            "externalTrafficPolicy": ("Cluster", "Local"),
            "internalTrafficPolicy": ("Cluster", "Local"),
            "ipFamilies": ("", "IPv4", "IPv6"),
            "ipFamilyPolicy": ("PreferDualStack", "RequireDualStack", "SingleStack"),
            "sessionAffinity": ("ClientIP", "None"),
            "type": ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort"),
        },
        "Taint": {
            "effect": _TAINT_EFFECT,
        },
        "Toleration": {
            "effect": _TAINT_EFFECT,
            "operator": ("Equal", "Exists", "Gt", "Lt"),
        },
        "TopologySpreadConstraint": {
            "nodeAffinityPolicy": _NODE_INCLUSION_POLICY,
            "nodeTaintsPolicy": _NODE_INCLUSION_POLICY,
            "whenUnsatisfiable": ("DoNotSchedule", "ScheduleAnyway"),
        },
        "VolumeMount": {
            "mountPropagation": ("Bidirectional", "HostToContainer", "None"),
        },
    },
    "io.k8s.api.discovery.v1": {
        "EndpointPort": {
            "protocol": _PROTOCOL,
        },
        "EndpointSlice": {
            "addressType": ("FQDN", "IPv4", "IPv6"),
        },
    },
    "io.k8s.api.networking.v1": {
        "HTTPIngressPath": {
            "pathType": ("Exact", "ImplementationSpecific", "Prefix"),
        },
        "IngressPortStatus": {
            "protocol": _PROTOCOL,
        },
        "NetworkPolicyPort": {
            "protocol": _PROTOCOL,
        },
        "NetworkPolicySpec": {
            "policyTypes": ("Egress", "Ingress"),
        },
    },
    "io.k8s.api.policy.v1": {
        "PodDisruptionBudgetSpec": {
            "unhealthyPodEvictionPolicy": ("AlwaysAllow", "IfHealthyBudget"),
        },
    },
    "io.k8s.api.resource.v1": {
        "DeviceAllocationConfiguration": {
            "source": ("FromClaim", "FromClass"),
        },
        "DeviceSubRequest": {
            "allocationMode": _DEVICE_ALLOCATION_MODE,
        },
        "DeviceTaint": {
            "effect": _DEVICE_TAINT_EFFECT,
        },
        "DeviceToleration": {
            "effect": _DEVICE_TAINT_EFFECT,
            "operator": ("Equal", "Exists"),
        },
        "ExactDeviceRequest": {
            "allocationMode": _DEVICE_ALLOCATION_MODE,
        },
    },
    "io.k8s.api.storage.v1": {
        "StorageClass": {
            "reclaimPolicy": _PERSISTENT_VOLUME_RECLAIM_POLICY,
            "volumeBindingMode": ("Immediate", "WaitForFirstConsumer"),
        },
    },
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1": {
        "ValidationRule": {
            "reason": (
                "FieldValueDuplicate",
                "FieldValueForbidden",
                "FieldValueInvalid",
                "FieldValueRequired",
            ),
        },
    },
}

ENUMS: Mapping[str, Mapping[str, Values]] = {
    f"{package}.{kind}": fields
    for package, kinds in _BY_PACKAGE.items()
    for kind, fields in kinds.items()
}
"""By definition and field; of a list field they are the items' values."""
