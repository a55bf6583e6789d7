"""CertificateApproval, CertificateSigning, CertificateSubjectRestriction.

Source: kube-apiserver v1.36.2, plugin/pkg/admission/certificates.
"""

from __future__ import annotations

import base64
from typing import Protocol

from cryptography.x509 import load_pem_x509_csr
from cryptography.x509.oid import NameOID

from services.apiserver.admission.attributes import Attributes
from services.apiserver.admission.refusal import refused
from services.apiserver.registry.strategy import WriteContext
from services.apiserver.requestinfo import RequestInfo, UserInfo

GROUP = "certificates.k8s.io"
REQUESTS = "certificatesigningrequests"
CLIENT_SIGNER = "kubernetes.io/kube-apiserver-client"
MASTERS = "system:masters"


class Permits(Protocol):
    """Whether a user may do what a RequestInfo says."""

    async def __call__(self, user: UserInfo, info: RequestInfo) -> bool: ...


class CertificateApproval:
    """Who approves a request needs the right `approve` on its signer."""

    name = "CertificateApproval"

    def __init__(self, permits: Permits) -> None:
        self._permits = permits

    def handles(self, attributes: Attributes) -> bool:
        return attributes.operation == "UPDATE" and attributes.is_for(GROUP, REQUESTS, "approval")

    async def validate(self, ctx: WriteContext, attributes: Attributes) -> None:
        assert attributes.old is not None
        signer = attributes.old["spec"].get("signerName", "")
        if not await may_on_signer(self._permits, attributes.user, "approve", signer):
            raise refused(
                attributes, f'user not permitted to approve requests with signerName "{signer}"'
            )


class CertificateSigning:
    """Who sets the certificate needs the right `sign` on the request's signer."""

    name = "CertificateSigning"

    def __init__(self, permits: Permits) -> None:
        self._permits = permits

    def handles(self, attributes: Attributes) -> bool:
        return attributes.operation == "UPDATE" and attributes.is_for(GROUP, REQUESTS, "status")

    async def validate(self, ctx: WriteContext, attributes: Attributes) -> None:
        assert attributes.obj is not None
        assert attributes.old is not None
        status, before = attributes.obj.get("status", {}), attributes.old.get("status", {})
        if all(status.get(name) == before.get(name) for name in ("certificate", "conditions")):
            return
        signer = attributes.old["spec"].get("signerName", "")
        if not await may_on_signer(self._permits, attributes.user, "sign", signer):
            raise refused(
                attributes, f'user not permitted to sign requests with signerName "{signer}"'
            )


class CertificateSubjectRestriction:
    """Nobody gets a client certificate for system:masters by a request."""

    name = "CertificateSubjectRestriction"

    def handles(self, attributes: Attributes) -> bool:
        return attributes.operation == "CREATE" and attributes.is_for(GROUP, REQUESTS)

    async def validate(self, ctx: WriteContext, attributes: Attributes) -> None:
        assert attributes.obj is not None
        spec = attributes.obj["spec"]
        if spec.get("signerName") != CLIENT_SIGNER:
            return
        try:
            request = load_pem_x509_csr(base64.b64decode(spec.get("request", "")))
        except ValueError as error:
            raise refused(attributes, f"failed to parse CSR: {error}") from error
        groups = [
            attribute.value
            for attribute in request.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
        ]
        if MASTERS in groups:
            raise refused(
                attributes, f"use of {CLIENT_SIGNER} signer with {MASTERS} group is not allowed"
            )


async def may_on_signer(permits: Permits, user: UserInfo, verb: str, signer: str) -> bool:
    """Whether a user may do `verb` with the signer, or with all signers of its domain."""
    names = (signer, f"{signer.partition('/')[0]}/*")
    for name in names:
        info = RequestInfo(True, "", verb, group=GROUP, version="*", resource="signers", name=name)
        if await permits(user, info):
            return True
    return False
