"""Authentication: who asks? One module a kind of credentials, `union.py` asks them in order.

What a user may do is not known here: that is authorization.
"""

from services.apiserver.authentication.authenticator import (
    Authenticated,
    NotedAuthenticated,
    RequestAuthenticator,
    TokenAuthenticator,
    tell,
)

__all__ = [
    "Authenticated",
    "NotedAuthenticated",
    "RequestAuthenticator",
    "TokenAuthenticator",
    "tell",
]
