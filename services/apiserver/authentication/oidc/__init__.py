"""Tokens of OpenID Connect issuers: by --oidc-* flags or by jwt of AuthenticationConfiguration.

`settings` is what is configured, `verification` checks a token, `provider` fetches the issuer's
keys, `claims` makes a user of what is in the token, `authenticator` puts these together for one
issuer and `reload` for all.
"""

from services.apiserver.authentication.oidc.authenticator import OidcAuthenticator
from services.apiserver.authentication.oidc.reload import JwtAuthenticators, WatchedFile
from services.apiserver.authentication.oidc.settings import (
    ALGORITHMS,
    from_flags,
    load,
    validate_expressions,
)

__all__ = [
    "ALGORITHMS",
    "JwtAuthenticators",
    "OidcAuthenticator",
    "WatchedFile",
    "from_flags",
    "load",
    "validate_expressions",
]
