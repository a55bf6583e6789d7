"""The CEL expressions of webhooks, admission policies and device classes, checked when written.

What is known without running them is told: that they do not parse, name what there is not, or
can't have the type that is wanted.
Source: kube-apiserver v1.36.2, apiserver/pkg/admission/plugin/cel/compile.go,
pkg/apis/admissionregistration/validation/validation.go;
k8s.io/dynamic-resource-allocation/cel/compile.go.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from services.apiserver.cel import ParseError
from services.apiserver.cel.inference import DYN, Type, type_of
from services.apiserver.cel.syntax import Index, Select, parse
from services.apiserver.errors import Cause
from services.apiserver.validation.field import invalid

Variables = Mapping[str, Type]

BOOL = ("bool",)
STRING = ("string",)
ANY: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Fields:
    """An object with these fields and no others."""

    types: Mapping[str, Type]

    def field(self, name: str) -> Type | None:
        return self.types.get(name)

    def item(self) -> Type:
        return DYN

    def most_items(self) -> float:
        return 1.0


def object_of(**types: Type) -> Type:
    return Type("object", Fields(types))


_STRING = Type("string")
_KIND = object_of(group=_STRING, version=_STRING, kind=_STRING)
_RESOURCE = object_of(group=_STRING, version=_STRING, resource=_STRING)
_USER = object_of(username=_STRING, uid=_STRING, groups=Type("list"), extra=Type("map"))
_REQUEST = object_of(
    kind=_KIND,
    resource=_RESOURCE,
    subResource=_STRING,
    requestKind=_KIND,
    requestResource=_RESOURCE,
    requestSubResource=_STRING,
    name=_STRING,
    namespace=_STRING,
    operation=_STRING,
    userInfo=_USER,
    dryRun=Type("bool"),
    options=DYN,
)
DEVICE: Variables = {
    "device": object_of(
        driver=_STRING,
        attributes=Type("map"),
        capacity=Type("map"),
        allowMultipleAllocations=Type("bool"),
    )
}
"""What the selectors of devices see."""


def admission_variables(*, params: bool = False, authorizer: bool = True) -> dict[str, Type]:
    """Return what an expression about a request sees."""
    known = {"object": DYN, "oldObject": DYN, "request": _REQUEST, "namespaceObject": DYN}
    if params:
        known["params"] = DYN
    if authorizer:
        known["authorizer"] = DYN
    return known


def check(text: str, path: str, variables: Variables, kinds: tuple[str, ...]) -> list[Cause]:
    """Return what is wrong with an expression whose value must be of one of `kinds`; a value of
    which nothing is known may be anything, except where a STRING is wanted."""
    found = inferred(text, variables)
    if isinstance(found, str):
        return [invalid(path, text, f"compilation failed: {found}")]
    is_open = found.kind == "dyn" and not (kinds == STRING and is_field(text))
    if kinds and found.kind not in kinds and not is_open:
        return [invalid(path, text, f"must evaluate to {' or '.join(kinds)}")]
    return []


def is_field(text: str) -> bool:
    """Whether an expression is but the name of a field, whose type nobody declared."""
    return isinstance(parse(text), Select | Index)


def inferred(text: str, variables: Variables) -> Type | str:
    """Return the type of an expression's value, or why it has none."""
    try:
        return type_of(text, variables)
    except ParseError as error:
        return str(error)
