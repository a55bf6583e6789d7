"""What the attempts are made with: rules, roles, bindings, pods, signing requests."""

from __future__ import annotations

import base64
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

RBAC = "/apis/rbac.authorization.k8s.io/v1"
GROUP = "rbac.authorization.k8s.io"
ALL = {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}
CONFIG_MAPS = {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list"]}
SECRETS = {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "list"]}
WRITE_RBAC = {
    "apiGroups": [GROUP],
    "resources": ["roles", "rolebindings", "clusterroles", "clusterrolebindings"],
    "verbs": ["get", "create", "update", "patch", "delete"],
}
REQUESTS = "/apis/certificates.k8s.io/v1/certificatesigningrequests"


def right(verbs: str, *resources: str, group: str = "", names: str = "") -> dict[str, Any]:
    rule = {"apiGroups": [group], "resources": list(resources), "verbs": verbs.split()}
    return {**rule, "resourceNames": names.split()} if names else rule


def role(name: str, *rules: dict[str, Any], kind: str = "ClusterRole", **more: Any) -> Any:
    meta = {"name": name, **more.pop("metadata", {})}
    return {"apiVersion": f"{GROUP}/v1", "kind": kind, "metadata": meta, "rules": rules, **more}


def binding(
    name: str,
    referred: tuple[str, str],
    *subjects: tuple[str, str],
    kind: str = "ClusterRoleBinding",
) -> dict[str, Any]:
    return {
        "apiVersion": f"{GROUP}/v1",
        "kind": kind,
        "metadata": {"name": name},
        "roleRef": {"apiGroup": GROUP, "kind": referred[0], "name": referred[1]},
        "subjects": [{"apiGroup": GROUP, "kind": one[0], "name": one[1]} for one in subjects],
    }


def pod(name: str, node: str = "", **spec: Any) -> dict[str, Any]:
    meta = {"name": name, **spec.pop("metadata", {})}
    containers = [{"name": "c", "image": "i"}]
    spec = {"containers": containers, **({"nodeName": node} if node else {}), **spec}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}


def signing_request(common_name: str, organization: str, signer: str) -> dict[str, Any]:
    names = [(NameOID.COMMON_NAME, common_name), (NameOID.ORGANIZATION_NAME, organization)]
    subject = x509.Name([x509.NameAttribute(oid, value) for oid, value in names])
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    request = builder.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    pem = request.public_bytes(serialization.Encoding.PEM)
    spec = {
        "request": base64.b64encode(pem).decode(),
        "signerName": signer,
        "usages": ["digital signature", "client auth"],
    }
    return {"metadata": {"generateName": "csr-"}, "spec": spec}
