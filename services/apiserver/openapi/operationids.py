"""Operation ids and tags. Source: kube-apiserver v1.36.2,
apiserver/pkg/endpoints/openapi/openapi.go (GetOperationIDAndTags).
"""

from __future__ import annotations

_VERBS = ("connect", "create", "delete", "get", "list", "patch", "read", "replace", "watch")


def operation_id(operation: str, path: str) -> str:
    """Return a unique id: the group and version, as `path` names them, come after the verb."""
    verb = next(verb for verb in _VERBS if operation.startswith(verb))
    scope = "".join(_identifier(part, capital=True) for part in _scope(path))
    return verb + scope + _identifier(operation[len(verb) :], capital=True)


def tag_of(path: str) -> str:
    """Return what clients sort operations by: core_v1, apps_v1, rbacAuthorization_v1, version."""
    scope = _scope(path) or [path.strip("/").split("/")[0]]
    return "_".join(_identifier(part, capital=False) for part in scope)


def _scope(path: str) -> list[str]:
    parts = path.strip("/").split("/")
    if parts[0] == "api":
        parts = ["apis", "core", *parts[1:]]
    if parts[0] != "apis":
        return []
    return [part.removesuffix(".k8s.io") for part in parts[1:3]]


def _identifier(text: str, *, capital: bool) -> str:
    """Drop everything but letters, digits and "_"; capitalise what follows a gap."""
    out = []
    for index, char in enumerate(text):
        if char.isalpha() or char == "_" or (index and char.isdigit()):
            out.append(char.upper() if capital else char)
            capital = False
        else:
            capital = True
    return "".join(out)
