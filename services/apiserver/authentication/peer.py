"""The certificate of a connection's other side, and whose it is.

TLS has verified that a chain leads from it to one of all certificate authorities that this
server knows; which of them may vouch for what, and whether everything is still valid, is
looked at here, for each request, as kube-apiserver does. What was found is kept with the
connection until an authority or a certificate of the chain ends.
"""

from __future__ import annotations

import datetime
import hashlib
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from services.apiserver.authentication.authorities import Authorities, Identity, identity
from services.apiserver.authentication.users import CREDENTIAL_ID
from services.apiserver.errors import Unauthorized
from services.apiserver.http.request import Request
from services.apiserver.requestinfo import UserInfo

PEER = "kubefan.peer"
"""Key in scope["extensions"]: the Peer of a connection that showed a certificate."""
UID = ObjectIdentifier("1.3.6.1.4.1.57683.2")
CLIENT_USAGES = {ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE}


class Verdict(NamedTuple):
    """What the authorities at `generation` say until then (seconds of the epoch)."""

    generation: int
    until: float


class Link(NamedTuple):
    """A certificate of the chain, with what verifying it needs."""

    identity: Identity
    not_before: float
    not_after: float
    for_clients: bool


class Peer:
    """One connection's client. `chain` is what TLS verified, in DER, its certificate first.

    It is parsed when it is first asked for: a connection may come with a token as well.
    """

    def __init__(self, chain: Sequence[bytes]) -> None:
        self._der = tuple(chain)
        self._subject: x509.Name | None = None
        self._links: tuple[Link, ...] = ()
        self._user: UserInfo | None = None
        self._verdicts: dict[Authorities, Verdict] = {}

    def verify(self, authorities: Authorities) -> None:
        """Return if one of the authorities vouches for this client now.

        Raises:
            Unauthorized: none does.
        """
        now = time.time()
        verdict = self._verdicts.get(authorities)
        if verdict is None or verdict.generation != authorities.generation or verdict.until <= now:
            self._parse()
            self._verdicts[authorities] = self._verify(authorities, now)

    @property
    def common_name(self) -> str:
        """The last CN of the subject, as in Go; "" without any.

        Raises:
            Unauthorized: it can't be read.
        """
        names = self._attributes(NameOID.COMMON_NAME)
        return names[-1] if names else ""

    @property
    def user(self) -> UserInfo | None:
        """Whom the certificate names, None where it has no common name.

        Source: kube-apiserver v1.36.2, apiserver/pkg/authentication/request/x509
        (CommonNameUserConversion).

        Raises:
            Unauthorized: it names a uid more than once, or an empty one.
        """
        if self._user is None:
            name = self.common_name
            if not name:
                return None
            uids = self._attributes(UID)
            if len(uids) > 1:
                raise Unauthorized(f"expected 1 UID, but found multiple: [{' '.join(uids)}]")
            if uids and not uids[0]:
                raise Unauthorized("UID cannot be an empty string")
            fingerprint = f"X509SHA256={hashlib.sha256(self._der[0]).hexdigest()}"
            self._user = UserInfo(
                name,
                uids[0] if uids else "",
                tuple(self._attributes(NameOID.ORGANIZATION_NAME)),
                ((CREDENTIAL_ID, (fingerprint,)),),
            )
        return self._user

    def _attributes(self, oid: ObjectIdentifier) -> list[str]:
        values = [one.value for one in self._parse().get_attributes_for_oid(oid)]
        return [value for value in values if isinstance(value, str)]

    def _parse(self) -> x509.Name:
        if self._subject is None:
            try:
                chain = [x509.load_der_x509_certificate(der) for der in self._der]
                self._links = tuple(_link(one) for one in chain)
                self._subject = chain[0].subject
            except (
                ValueError,
                x509.DuplicateExtension,
                x509.UnsupportedGeneralNameType,
            ) as error:
                raise Unauthorized(f"x509: {error}") from error
        return self._subject

    def _verify(self, authorities: Authorities, now: float) -> Verdict:
        until = float("inf")
        for place, link in enumerate(self._links):
            if not link.for_clients:
                raise Unauthorized("x509: certificate specifies an incompatible key usage")
            anchored = authorities.valid_until(link.identity, now)
            # The authority's own dates are those of its certificate in the file: there it may
            # have been renewed.
            if anchored is None or place == 0:
                if not link.not_before <= now < link.not_after:
                    raise Unauthorized("x509: certificate has expired or is not yet valid")
                until = min(until, link.not_after)
            if anchored is not None:
                return Verdict(authorities.generation, min(until, anchored))
        raise Unauthorized("x509: certificate signed by unknown authority")


def peer_of(request: Request) -> Peer | None:
    """Return the client of the request's connection, None where it showed no certificate."""
    extensions: Mapping[str, Peer] = request.scope.get("extensions") or {}
    return extensions.get(PEER)


def _link(certificate: x509.Certificate) -> Link:
    try:
        usages = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        for_clients = not CLIENT_USAGES.isdisjoint(usages)
    except x509.ExtensionNotFound:
        for_clients = True  # for anything
    return Link(
        identity(certificate),
        _seconds(certificate.not_valid_before_utc),
        _seconds(certificate.not_valid_after_utc),
        for_clients,
    )


def _seconds(moment: datetime.datetime) -> float:
    return moment.timestamp()
