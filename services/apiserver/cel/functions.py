"""All functions that an expression may call, and all methods of values that are not opaque."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from services.apiserver.cel import kubernetes, lists, standard, texts

FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    **standard.FUNCTIONS,
    **texts.FUNCTIONS,
    **lists.FUNCTIONS,
    **kubernetes.FUNCTIONS,
}
METHODS: Mapping[str, Callable[..., Any]] = {
    **standard.METHODS,
    **texts.METHODS,
    **lists.METHODS,
}
