"""NodeRestriction: a kubelet writes its own node, and what belongs to the pods on it.

Who may ask at all is the Node authorizer's affair; what an object says is looked at here.
Source: kube-apiserver v1.36.2, plugin/pkg/admission/noderestriction/admission.go.
"""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from cryptography.x509 import load_pem_x509_csr
from cryptography.x509.oid import NameOID

from services.apiserver.admission.attributes import Attributes
from services.apiserver.admission.certificates import GROUP as CERTIFICATES
from services.apiserver.admission.certificates import REQUESTS, Permits
from services.apiserver.admission.nodelabels import forbidden_labels
from services.apiserver.admission.refusal import refused
from services.apiserver.admission.tokenaudiences import names_audience
from services.apiserver.authorization.node import LEASE_NAMESPACE, NODE_PREFIX, node_identity
from services.apiserver.authorization.nodegraph import MIRROR_ANNOTATION
from services.apiserver.authorization.podreferences import api_reference
from services.apiserver.errors import Forbidden, NotFound
from services.apiserver.registry.strategy import Object, WriteContext
from services.apiserver.requestinfo import RequestInfo

NODE_SIGNERS = (
    "kubernetes.io/kubelet-serving",
    "kubernetes.io/kube-apiserver-client-kubelet",
)
CLAIM_STATUS = ("capacity", "conditions", "allocatedResourceStatuses", "allocatedResources")
AUDIENCE_VERB = "request-serviceaccounts-token-audience"

Check = Callable[["NodeRestriction", WriteContext, Attributes, str], Awaitable[None]]


class NodeRestriction:
    """See the module. Asks the authorizers for token audiences that no volume names."""

    name = "NodeRestriction"

    def __init__(self, permits: Permits) -> None:
        self._permits = permits

    def handles(self, attributes: Attributes) -> bool:
        return (
            attributes.user.name.startswith(NODE_PREFIX)
            and (attributes.resource.group, attributes.resource.name) in CHECKS
            and attributes.operation != "CONNECT"
        )

    async def admit(self, ctx: WriteContext, attributes: Attributes) -> None:
        node = node_identity(attributes.user)
        if node is None:
            return
        if not node:
            raise refused(
                attributes, f'could not determine node from user "{attributes.user.name}"'
            )
        check = CHECKS[attributes.resource.group, attributes.resource.name]
        await check(self, ctx, attributes, node)

    # -- pods ------------------------------------------------------------------------

    async def _pod(self, ctx: WriteContext, attributes: Attributes, node: str) -> None:
        match attributes.subresource:
            case "":
                self._whole_pod(ctx, attributes, node)
            case "status":
                _pod_status(attributes, node)
            case "eviction":
                if attributes.operation != "CREATE":
                    raise refused(attributes, f"unexpected operation {attributes.operation}")
                pod = _found(ctx, attributes, "", "pods", attributes.namespace, attributes.name)
                if _node_of(pod) != node:
                    raise refused(
                        attributes,
                        f"node {node} can only evict pods with spec.nodeName set to itself",
                    )
            case other:
                raise refused(
                    attributes,
                    f"unexpected pod subresource \"{other}\", only 'status' and 'eviction' are "
                    "allowed",
                )

    def _whole_pod(self, ctx: WriteContext, attributes: Attributes, node: str) -> None:
        match attributes.operation:
            case "CREATE":
                _mirror_pod(ctx, attributes, node)
            case "DELETE":
                assert attributes.old is not None
                if _node_of(attributes.old) != node:
                    raise refused(
                        attributes,
                        f'node "{node}" can only delete pods with spec.nodeName set to itself',
                    )
            case other:
                raise refused(
                    attributes,
                    f'unexpected operation "{other}", node "{node}" can only create and delete '
                    "mirror pods",
                )

    # -- nodes -----------------------------------------------------------------------

    async def _node(self, ctx: WriteContext, attributes: Attributes, node: str) -> None:
        if attributes.name != node:
            raise refused(
                attributes, f'node "{node}" is not allowed to modify node "{attributes.name}"'
            )
        if attributes.operation == "DELETE":
            return
        assert attributes.obj is not None
        new, old = attributes.obj, attributes.old
        source = new.get("spec", {}).get("configSource")
        if old is None:
            if source is not None:
                raise refused(
                    attributes,
                    f'node "{node}" is not allowed to create pods with a non-nil configSource',
                )
            labels = forbidden_labels(_labels(new), {})
            if labels:
                raise refused(
                    attributes,
                    f'node "{node}" is not allowed to set the following labels: '
                    f"{', '.join(labels)}",
                )
            return
        if source is not None and source != old.get("spec", {}).get("configSource"):
            raise refused(
                attributes,
                f'node "{node}" is not allowed to update configSource to a new non-nil '
                "configSource",
            )
        if (new.get("spec", {}).get("taints") or []) != (old.get("spec", {}).get("taints") or []):
            raise refused(attributes, f'node "{node}" is not allowed to modify taints')
        if _owners(new) != _owners(old):
            # The garbage collector deletes a node whose owner is gone, and its taints with it.
            raise refused(attributes, f'node "{node}" is not allowed to modify ownerReferences')
        labels = forbidden_labels(_labels(new), _labels(old))
        if labels:
            raise refused(attributes, f"is not allowed to modify labels: {', '.join(labels)}")

    # -- tokens ----------------------------------------------------------------------

    async def _token(self, ctx: WriteContext, attributes: Attributes, node: str) -> None:
        if attributes.operation != "CREATE" or attributes.subresource != "token":
            return
        assert attributes.obj is not None
        spec = attributes.obj.get("spec") or {}
        bound = spec.get("boundObjectRef") or {}
        if bound.get("apiVersion") != "v1" or bound.get("kind") != "Pod" or not bound.get("name"):
            raise refused(attributes, "node requested token not bound to a pod")
        if not bound.get("uid"):
            raise refused(attributes, "node requested token with a pod binding without a uid")
        pod = _found(ctx, attributes, "", "pods", attributes.namespace, bound["name"])
        if bound["uid"] != pod["metadata"].get("uid"):
            raise refused(
                attributes,
                f"the UID in the bound object reference ({bound['uid']}) does not match the UID in "
                "record. The object might have been deleted and then recreated",
            )
        if _node_of(pod) != node:
            raise refused(
                attributes, "node requested token bound to a pod scheduled on a different node"
            )
        audiences = spec.get("audiences") or [""]
        if len(audiences) > 1:
            raise refused(attributes, "node may only request 0 or 1 audiences")
        audience = audiences[0]
        if names_audience(ctx, pod, audience):
            return
        wanted = RequestInfo(
            True,
            "",
            AUDIENCE_VERB,
            resource=audience,
            namespace=attributes.namespace,
            name=attributes.name,
        )
        if not await self._permits(attributes.user, wanted):
            raise refused(attributes, f'audience "{audience}" not found in pod spec volume')

    # -- other objects ---------------------------------------------------------------

    async def _claim(self, ctx: WriteContext, attributes: Attributes, node: str) -> None:
        if attributes.subresource != "status":
            raise refused(attributes, "may only update PVC status")
        if attributes.operation != "UPDATE":
            raise refused(attributes, f'unexpected operation "{attributes.operation}"')
        if _but_claim_status(attributes.obj) != _but_claim_status(attributes.old):
            raise refused(
                attributes,
                f'node "{node}" is not allowed to update fields other than status.quantity and '
                "status.conditions",
            )

    async def _lease(self, ctx: WriteContext, attributes: Attributes, node: str) -> None:
        if attributes.namespace != LEASE_NAMESPACE:
            raise refused(
                attributes, f'can only access leases in the "{LEASE_NAMESPACE}" system namespace'
            )
        if attributes.name != node:
            raise refused(
                attributes, "can only access node lease with the same name as the requesting node"
            )

    async def _csi_node(self, ctx: WriteContext, attributes: Attributes, node: str) -> None:
        if attributes.name != node:
            raise refused(
                attributes, "can only access CSINode with the same name as the requesting node"
            )

    async def _slice(self, ctx: WriteContext, attributes: Attributes, node: str) -> None:
        if attributes.operation == "UPDATE":
            return  # the authorizer has looked at the present one
        verb = attributes.operation.lower()
        if _node_of(attributes.obj or attributes.old or {}) != node:
            raise refused(
                attributes,
                f"can only {verb} ResourceSlice with the same NodeName as the requesting node",
            )

    async def _certificate(self, ctx: WriteContext, attributes: Attributes, node: str) -> None:
        if attributes.operation != "CREATE":
            return
        assert attributes.obj is not None
        spec = attributes.obj.get("spec", {})
        if spec.get("signerName") not in NODE_SIGNERS:
            return
        try:
            request = load_pem_x509_csr(base64.b64decode(spec.get("request", "")))
        except ValueError as error:
            raise refused(attributes, f"unable to parse csr: {error}") from error
        names = [one.value for one in request.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
        if names[-1:] != [f"{NODE_PREFIX}{node}"]:
            raise refused(attributes, f"can only create a node CSR with CN={NODE_PREFIX}{node}")


CHECKS: Mapping[tuple[str, str], Check] = {
    ("", "pods"): NodeRestriction._pod,
    ("", "nodes"): NodeRestriction._node,
    ("", "persistentvolumeclaims"): NodeRestriction._claim,
    ("", "serviceaccounts"): NodeRestriction._token,
    ("coordination.k8s.io", "leases"): NodeRestriction._lease,
    ("storage.k8s.io", "csinodes"): NodeRestriction._csi_node,
    ("resource.k8s.io", "resourceslices"): NodeRestriction._slice,
    (CERTIFICATES, REQUESTS): NodeRestriction._certificate,
}


def _mirror_pod(ctx: WriteContext, attributes: Attributes, node: str) -> None:
    """Pass a mirror pod of this node, which uses no objects of the API.

    Raises:
        Forbidden: it is another pod.
        NotFound: the node that owns it is not there.
    """
    pod = attributes.obj
    assert pod is not None
    if MIRROR_ANNOTATION not in (pod["metadata"].get("annotations") or {}):
        raise refused(
            attributes,
            f'pod does not have "{MIRROR_ANNOTATION}" annotation, node "{node}" can only create '
            "mirror pods",
        )
    if _node_of(pod) != node:
        raise refused(
            attributes, f'node "{node}" can only create pods with spec.nodeName set to itself'
        )
    problem = _owner_problem(ctx, attributes, _owners(pod), node)
    if problem:
        raise problem
    resource = api_reference(pod)
    if resource:
        raise refused(attributes, f'node "{node}" can not create pods that reference {resource}')


def _owner_problem(
    ctx: WriteContext, attributes: Attributes, owners: list[dict[str, Any]], node: str
) -> Forbidden | None:
    alone = f'node "{node}" can only create pods with'
    if len(owners) > 1:
        return refused(attributes, f"{alone} a single owner reference set to itself")
    owner = owners[0] if owners else {}
    if (owner.get("apiVersion"), owner.get("kind"), owner.get("name")) != ("v1", "Node", node):
        return refused(attributes, f"{alone} an owner reference set to itself")
    if not owner.get("controller"):
        return refused(attributes, f"{alone} a controller owner reference set to itself")
    if owner.get("blockOwnerDeletion"):
        return refused(
            attributes, f'node "{node}" must not set blockOwnerDeletion on an owner reference'
        )
    uid = _found(ctx, attributes, "", "nodes", "", node)["metadata"].get("uid")
    if owner.get("uid") != uid:
        return refused(
            attributes, f"node {node} UID mismatch: expected {owner.get('uid')} got {uid}"
        )
    return None


def _pod_status(attributes: Attributes, node: str) -> None:
    if attributes.operation != "UPDATE":
        raise refused(attributes, f'unexpected operation "{attributes.operation}"')
    assert attributes.obj is not None
    assert attributes.old is not None
    new, old = attributes.obj, attributes.old
    if _node_of(old) != node:
        raise refused(
            attributes,
            f'node "{node}" can only update pod status for pods with spec.nodeName set to itself',
        )
    if _labels(new) != _labels(old):
        raise refused(attributes, f'node "{node}" cannot update labels through pod status')
    # By these a node gets at claims.
    for field in ("resourceClaimStatuses", "extendedResourceClaimStatus"):
        if (new.get("status", {}).get(field) or None) != (old.get("status", {}).get(field) or None):
            raise refused(attributes, f'node "{node}" cannot update resource claim statuses')


def _found(
    ctx: WriteContext,
    attributes: Attributes,
    group: str,
    resource: str,
    namespace: str,
    name: str,
) -> Object:
    """Return an object.

    Raises:
        NotFound: it is not there.
    """
    obj = ctx.lookup.get(group, resource, namespace, name)
    if obj is None:
        details = {"name": name, "kind": resource}
        raise NotFound(f'{resource} "{name}" not found', details=details)
    return obj


def _node_of(obj: Object) -> str:
    node: str = obj.get("spec", {}).get("nodeName", "")
    return node


def _labels(obj: Object) -> dict[str, str]:
    return obj["metadata"].get("labels") or {}


def _owners(obj: Object) -> list[dict[str, Any]]:
    return obj["metadata"].get("ownerReferences") or []


def _but_claim_status(claim: Object | None) -> Object:
    """Return a claim without what a node may change of it."""
    assert claim is not None
    meta = {
        name: value
        for name, value in claim["metadata"].items()
        if name not in ("resourceVersion", "managedFields")
    }
    status = {
        name: value
        for name, value in (claim.get("status") or {}).items()
        if name not in CLAIM_STATUS
    }
    return {**claim, "metadata": meta, "status": status}
