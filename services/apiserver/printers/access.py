"""Rows of rbac, certificates and admission: who may do what.

Source: kube-apiserver v1.36.2, pkg/printers/internalversion/printers.go;
pkg/apis/rbac/helpers.go (SubjectsStrings); kube-aggregator's APIService storage.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from services.apiserver.printers.duration import human_duration
from services.apiserver.printers.formatting import age, items, name, part
from services.apiserver.printers.printer import AGE, NAME, Column, KindPrinter, Object


def _binding(obj: Object, now: float) -> list[Any]:
    role = part(obj, "roleRef")
    subjects: dict[str, list[str]] = {"User": [], "Group": [], "ServiceAccount": []}
    for subject in items(obj, "subjects"):
        kind = subject.get("kind")
        if kind in subjects:
            namespace = subject.get("namespace") if kind == "ServiceAccount" else None
            subject_name = subject.get("name", "")
            subjects[kind].append(f"{namespace}/{subject_name}" if namespace else subject_name)
    return [
        name(obj),
        f"{role.get('kind', '')}/{role.get('name', '')}",
        age(obj, now),
        *(", ".join(names) for names in subjects.values()),
    ]


def _certificate_signing_request(obj: Object, now: float) -> list[Any]:
    spec, status = part(obj, "spec"), part(obj, "status")
    duration = spec.get("expirationSeconds")
    return [
        name(obj),
        age(obj, now),
        spec.get("signerName") or "<none>",
        spec.get("username", ""),
        "<none>" if duration is None else human_duration(duration),
        _certificate_condition(status),
    ]


def _certificate_condition(status: Mapping[str, Any]) -> str:
    types = {condition.get("type") for condition in items(status, "conditions")}
    told = "Denied" if "Denied" in types else "Approved" if "Approved" in types else "Pending"
    if "Failed" in types:
        told += ",Failed"
    if status.get("certificate"):
        told += ",Issued"
    return told


def _webhooks(obj: Object, now: float) -> list[Any]:
    return [name(obj), len(items(obj, "webhooks")), age(obj, now)]


def _validating_policy(obj: Object, now: float) -> list[Any]:
    validations = len(items(part(obj, "spec"), "validations"))
    return [name(obj), validations, _param_kind(obj), age(obj, now)]


def _mutating_policy(obj: Object, now: float) -> list[Any]:
    mutations = len(items(part(obj, "spec"), "mutations"))
    return [name(obj), mutations, _param_kind(obj), age(obj, now)]


def _param_kind(obj: Object) -> str:
    kind = part(obj, "spec").get("paramKind")
    return "<unset>" if kind is None else f"{kind.get('apiVersion', '')}/{kind.get('kind', '')}"


def _policy_binding(obj: Object, now: float) -> list[Any]:
    spec = part(obj, "spec")
    param = "<unset>"
    reference = part(spec, "paramRef")
    if reference.get("name"):
        param = f"{reference.get('namespace') or '*'}/{reference['name']}"
    elif reference.get("selector") is not None:
        param = _go_label_selector(reference["selector"])
    return [name(obj), spec.get("policyName", ""), param, age(obj, now)]


def _go_label_selector(selector: Mapping[str, Any]) -> str:
    """Return a LabelSelector as Go prints the message: this cell is the type's String()."""
    labels = "".join(
        f"{key}: {value}," for key, value in sorted(part(selector, "matchLabels").items())
    )
    expressions = "".join(
        f"LabelSelectorRequirement{{Key:{one.get('key', '')},Operator:{one.get('operator', '')},"
        f"Values:[{' '.join(items(one, 'values'))}],}},"
        for one in items(selector, "matchExpressions")
    )
    return (
        f"&LabelSelector{{MatchLabels:map[string]string{{{labels}}},"
        f"MatchExpressions:[]LabelSelectorRequirement{{{expressions}}},}}"
    )


def _api_service(obj: Object, now: float) -> list[Any]:
    service = part(obj, "spec").get("service")
    backend = "Local"
    if service is not None:
        backend = f"{service.get('namespace', '')}/{service.get('name', '')}"
    return [name(obj), backend, _available(obj), age(obj, now)]


def _available(obj: Object) -> str:
    for condition in items(part(obj, "status"), "conditions"):
        if condition.get("type") == "Available":
            status: str = condition.get("status", "")
            reason = condition.get("reason")
            return f"{status} ({reason})" if reason and status != "True" else status
    return "Unknown"


def _binding_columns(binding: str) -> tuple[Column, ...]:
    word = binding[0].lower() + binding[1:]
    return (
        NAME,
        Column("Role", doc=f"api.rbac.v1.{binding}.roleRef"),
        AGE,
        Column("Users", priority=1, description=f"Users in the {word}"),
        Column("Groups", priority=1, description=f"Groups in the {word}"),
        Column("ServiceAccounts", priority=1, description=f"ServiceAccounts in the {word}"),
    )


_CSR = "api.certificates.v1.CertificateSigningRequest"
_PARAM_KIND = Column(
    "ParamKind",
    description="ParamKind specifies the kind of resources used to parameterize this policy",
)

ROLE_BINDING = KindPrinter(_binding_columns("RoleBinding"), _binding)
CLUSTER_ROLE_BINDING = KindPrinter(_binding_columns("ClusterRoleBinding"), _binding)
CERTIFICATE_SIGNING_REQUEST = KindPrinter(
    (
        NAME,
        AGE,
        Column("SignerName", doc=f"{_CSR}Spec.signerName"),
        Column("Requestor", doc=f"{_CSR}Spec.request"),
        Column("RequestedDuration", doc=f"{_CSR}Spec.expirationSeconds"),
        Column("Condition", doc=f"{_CSR}Status.conditions"),
    ),
    _certificate_signing_request,
)
WEBHOOK_CONFIGURATION = KindPrinter(
    (
        NAME,
        Column(
            "Webhooks",
            "integer",
            description="Webhooks indicates the number of webhooks registered in this"
            " configuration",
        ),
        AGE,
    ),
    _webhooks,
)
VALIDATING_POLICY = KindPrinter(
    (
        NAME,
        Column(
            "Validations",
            "integer",
            description="Validations indicates the number of validation rules defined in this"
            " configuration",
        ),
        _PARAM_KIND,
        AGE,
    ),
    _validating_policy,
)
MUTATING_POLICY = KindPrinter(
    (
        NAME,
        Column(
            "Mutations",
            "integer",
            description="Mutation indicates the number of mutations rules defined in this"
            " configuration",
        ),
        _PARAM_KIND,
        AGE,
    ),
    _mutating_policy,
)
POLICY_BINDING = KindPrinter(
    (
        NAME,
        Column(
            "PolicyName",
            description="PolicyName indicates the policy definition which the policy binding"
            " binded to",
        ),
        Column(
            "ParamRef",
            description="ParamRef indicates the param resource which sets the configration param",
        ),
        AGE,
    ),
    _policy_binding,
)
API_SERVICE = KindPrinter(
    (
        NAME,
        Column("Service", description="The reference to the service that hosts this API endpoint."),
        Column("Available", description="Whether this service is available."),
        AGE,
    ),
    _api_service,
)
