"""Field selectors: `metadata.name=a,status.phase!=Running`.

Source: kube-apiserver v1.36.2, apimachinery/pkg/fields/selector.go; the texts for unknown
fields are those of apimachinery/pkg/runtime/scheme.go and the kinds' conversions.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from shared.selectors.syntax import SelectorError, UnsupportedField

NAME = "metadata.name"
NAMESPACE = "metadata.namespace"
METADATA_FIELDS = frozenset([NAME, NAMESPACE])
"""The fields that every namespaced kind can be selected by."""

_NO_ALIASES: Mapping[str, str] = MappingProxyType({})
FieldPredicate = Callable[[str, str, Mapping[str, str]], bool]


@dataclass(frozen=True, slots=True)
class FieldRequirement:
    """`field` is `value`, or with `negated` anything else."""

    field: str
    value: str
    negated: bool = False

    def __str__(self) -> str:
        value = self.value.replace("\\", "\\\\").replace(",", "\\,").replace("=", "\\=")
        return f"{self.field}{'!=' if self.negated else '='}{value}"


@dataclass(frozen=True, slots=True)
class FieldSelector:
    """All of `requirements`.

    `matches(name, namespace, fields)` takes an object's name and namespace and its other
    selectable fields; a field that is not there counts as "".
    """

    requirements: tuple[FieldRequirement, ...] = ()
    matches: FieldPredicate = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "matches", _compile(self.requirements))

    @property
    def everything(self) -> bool:
        return not self.requirements

    def requires_exact_match(self, name: str) -> str | None:
        """Return the value that the field `name` must have, None if there is none."""
        for one in self.requirements:
            if one.field == name and not one.negated:
                return one.value
        return None

    def compile(
        self,
        supported: Collection[str] = METADATA_FIELDS,
        aliases: Mapping[str, str] = _NO_ALIASES,
    ) -> FieldSelector:
        """Return the selector for a kind that knows the fields `supported`.

        `aliases` maps an older name of a field to the one its objects carry (a pod's
        spec.host is spec.nodeName).

        Raises:
            UnsupportedField: with kube-apiserver's text.
        """
        requirements = []
        for one in self.requirements:
            name = aliases.get(one.field, one.field)
            if name not in supported:
                raise UnsupportedField(_unsupported(one.field, supported), one.field)
            requirements.append(FieldRequirement(name, one.value, one.negated))
        return FieldSelector(tuple(requirements))

    def __str__(self) -> str:
        return ",".join(map(str, self.requirements))


def parse_field_selector(text: str) -> FieldSelector:
    """Parse a fieldSelector; in values `,` `=` and a backslash are escaped by a backslash.

    Raises:
        SelectorError: with kube-apiserver's text.
    """
    return FieldSelector(tuple(_requirement(text, term) for term in sorted(_terms(text)) if term))


_operator = re.compile("!=|==|=")


def _requirement(text: str, term: str) -> FieldRequirement:
    found = _operator.search(term)
    if found is None:
        raise SelectorError(f"invalid selector: '{text}'; can't understand '{term}'")
    value = _unescape(term[found.end() :])
    return FieldRequirement(term[: found.start()], value, negated=found[0] == "!=")


def _terms(text: str) -> Iterator[str]:
    """Split at the commas that are not escaped."""
    start = 0
    escaped = False
    for position, character in enumerate(text):
        if escaped:
            escaped = False
        elif character == "\\":
            escaped = True
        elif character == ",":
            yield text[start:position]
            start = position + 1
    yield text[start:]


def _unescape(value: str) -> str:
    out = []
    characters = iter(value)
    for character in characters:
        if character == "\\":
            following = next(characters, "")
            if following not in ("\\", ",", "="):
                sequence = f"\\{following}"
                raise SelectorError(f"invalid field selector: invalid escape sequence: {sequence}")
            out.append(following)
        elif character in ",=":
            raise SelectorError(
                f"invalid field selector: unescaped character in value: {ord(character)}"
            )
        else:
            out.append(character)
    return "".join(out)


def _unsupported(name: str, supported: Collection[str]) -> str:
    if set(supported) == METADATA_FIELDS:
        only = f'only "{NAME}", "{NAMESPACE}"'
        return f"{json.dumps(name, ensure_ascii=False)} is not a known field selector: {only}"
    return f"field label not supported: {name}"


def _compile(requirements: tuple[FieldRequirement, ...]) -> FieldPredicate:
    if not requirements:
        return lambda name, namespace, fields: True
    if len(requirements) == 1:
        return _predicate(requirements[0])
    predicates = [_predicate(one) for one in requirements]

    def conjunction(name: str, namespace: str, fields: Mapping[str, str]) -> bool:
        for predicate in predicates:  # noqa: SIM110 - a generator here costs twice the time
            if not predicate(name, namespace, fields):
                return False
        return True

    return conjunction


def _predicate(requirement: FieldRequirement) -> FieldPredicate:
    wanted, key = requirement.value, requirement.field
    if requirement.negated:
        if key == NAME:
            return lambda name, namespace, fields: name != wanted
        if key == NAMESPACE:
            return lambda name, namespace, fields: namespace != wanted
        return lambda name, namespace, fields: fields.get(key, "") != wanted
    if key == NAME:
        return lambda name, namespace, fields: name == wanted
    if key == NAMESPACE:
        return lambda name, namespace, fields: namespace == wanted
    return lambda name, namespace, fields: fields.get(key, "") == wanted
