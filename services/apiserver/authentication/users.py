"""The users and groups that authentication itself gives."""

from __future__ import annotations

from dataclasses import replace

from services.apiserver.requestinfo import UserInfo

ALL_AUTHENTICATED = "system:authenticated"
ALL_UNAUTHENTICATED = "system:unauthenticated"
ANONYMOUS = UserInfo("system:anonymous", groups=(ALL_UNAUTHENTICATED,))
CREDENTIAL_ID = "authentication.kubernetes.io/credential-id"
"""Key of a user's extra: which credential it was, for the audit log."""


def grouped(user: UserInfo) -> UserInfo:
    """Return the user as a member of all who are authenticated.

    Source: kube-apiserver v1.36.2, apiserver/pkg/authentication/group.
    """
    groups = user.groups
    if ALL_AUTHENTICATED in groups or ALL_UNAUTHENTICATED in groups or user.name == ANONYMOUS.name:
        return user
    return replace(user, groups=(*groups, ALL_AUTHENTICATED))
