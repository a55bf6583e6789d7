"""What TLS asks of clients, and what it found out.

TLS lets in who shows no certificate, or one from which a chain leads to any of the known
authorities. Whether that authority may say who somebody is, and whether all is still valid, is
looked at per request (peer.py), so that an expired certificate is answered with 401 and not
with a broken connection. A certificate of no known authority ends the handshake: Python's ssl
can't accept what it has not verified. kube-apiserver would answer 401 to it.
"""

from __future__ import annotations

import ssl
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Self

from services.apiserver.authentication.authorities import Authorities, AuthoritiesError
from services.apiserver.authentication.peer import Peer

NO_CHECK_TIME = 0x200000
"""X509_V_FLAG_NO_CHECK_TIME of OpenSSL; Python has no name for it."""
MAXIMUM_CHAINS = 1024
"""Chains (count) remembered for sessions of TLS 1.2; the one remembered longest goes."""

Chain = tuple[bytes, ...]
"""Certificates in DER: the client's, those between, the authority's."""


class ClientContext(ssl.SSLContext):
    """The TLS of a server that asks its clients for certificates."""

    _chains: dict[bytes, Chain]

    @classmethod
    def serving(cls, certificate: Path, key: Path, authorities: Iterable[Authorities]) -> Self:
        """Return the context of a server with this certificate.

        Raises:
            OSError: a file can't be used.
            AuthoritiesError: there is a certificate that TLS can't use.
        """
        context = cls(ssl.PROTOCOL_TLS_SERVER)
        context._chains = {}
        context.load_cert_chain(certificate, key)
        context.verify_mode = ssl.CERT_OPTIONAL
        # An authority of a file is trusted whether or not it is a root, as in Go.
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN | ssl.VerifyFlags(NO_CHECK_TIME)
        # A resumed session knows the client's certificate, but not what led from it to an
        # authority. So there are none but those of TLS 1.2, which Python can't switch off.
        context.options |= ssl.OP_NO_TICKET
        context.num_tickets = 0
        for one in authorities:
            context.trust(one)
        return context

    def trust(self, authorities: Authorities) -> None:
        """Let in who has a certificate of these, from the next handshake on.

        None is ever taken off: that is for the verification per request.

        Raises:
            AuthoritiesError: there is a certificate that TLS can't use.
        """
        try:
            self.load_verify_locations(cadata=authorities.pem)
        except ssl.SSLError as error:
            raise AuthoritiesError(f"{authorities!r}: {error}") from error

    def peer(self, connection: ssl.SSLObject) -> Peer | None:
        """Return the client of a connection after its handshake, None without a certificate."""
        certificate = connection.getpeercert(binary_form=True)
        if certificate is None:
            return None
        chain = tuple(_verified_chain(connection))
        if not chain:
            # Resumed: only this process can resume its sessions, so it has seen the whole chain;
            # a forgotten one leaves a certificate that no authority vouches for.
            return Peer(self._chains.get(certificate, (certificate,)))
        if connection.version() != "TLSv1.3":
            self._chains.pop(certificate, None)
            while len(self._chains) >= MAXIMUM_CHAINS:
                del self._chains[next(iter(self._chains))]
            self._chains[certificate] = chain
        return Peer(chain)


def _verified_chain(connection: ssl.SSLObject) -> Sequence[bytes]:
    """Return what OpenSSL built and verified, in DER; nothing for a resumed session."""
    if sys.version_info >= (3, 13):
        return connection.get_verified_chain()
    # Python 3.11 and 3.12 know the chain, but have no public name for it.
    import _ssl

    inner: Any = connection._sslobj  # type: ignore[attr-defined]
    return [one.public_bytes(_ssl.ENCODING_DER) for one in inner.get_verified_chain() or ()]


def peer_of_connection(ssl_object: ssl.SSLObject | None) -> Peer | None:
    """Return the client of a connection, None where it showed no certificate, or none is asked
    for."""
    if ssl_object is None or not isinstance(ssl_object.context, ClientContext):
        return None
    return ssl_object.context.peer(ssl_object)
