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
from collections.abc import Iterable
from typing import Any

from services.apiserver.authentication.authorities import Authorities, AuthoritiesError
from services.apiserver.authentication.peer import Peer

NO_CHECK_TIME = 0x200000
"""X509_V_FLAG_NO_CHECK_TIME of OpenSSL; Python has no name for it."""


def ask_for_certificates(context: ssl.SSLContext, authorities: Iterable[Authorities]) -> None:
    """Make a server ask its clients for certificates."""
    context.verify_mode = ssl.CERT_OPTIONAL
    # An authority of a file is trusted whether or not it is a root, as in Go.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN | ssl.VerifyFlags(NO_CHECK_TIME)
    # A resumed session has forgotten its chain.
    context.options |= ssl.OP_NO_TICKET
    context.num_tickets = 0
    for one in authorities:
        trust(context, one)


def trust(context: ssl.SSLContext, authorities: Authorities) -> None:
    """Let in who has a certificate of these, from the next handshake on.

    None is ever taken off: that is for the verification per request.

    Raises:
        AuthoritiesError: there is a certificate that TLS can't use.
    """
    try:
        context.load_verify_locations(cadata=authorities.pem)
    except ssl.SSLError as error:
        raise AuthoritiesError(f"{authorities!r}: {error}") from error


def peer_of_connection(ssl_object: Any) -> Peer | None:
    """Return the client of an `ssl.SSLObject` after its handshake, None without a certificate."""
    if sys.version_info >= (3, 13):
        chain = ssl_object.get_verified_chain()
        return Peer(chain) if chain else None
    # Python 3.11 and 3.12 know the chain, but have no public name for it.
    import _ssl

    certificates = ssl_object._sslobj.get_verified_chain()
    if not certificates:
        return None
    return Peer([one.public_bytes(_ssl.ENCODING_DER) for one in certificates])
