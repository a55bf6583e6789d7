"""Selection data: what label and field selectors need of an object, taken out of it once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Selection:
    """An object's labels and its selectable fields beyond name and namespace.

    A selectable field that the object lacks is present with its empty value, as
    kube-apiserver shows it to selectors ("" or "false" or "0").
    """

    labels: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    fields: Mapping[str, str] = field(default_factory=lambda: NOTHING)


NO_SELECTION = Selection()
