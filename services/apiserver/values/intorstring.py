"""IntOrString: a number, or a text that is a name ("http") or a percentage ("25%").

Source: kube-apiserver v1.36.2, apimachinery/pkg/util/intstr/intstr.go.
"""

from __future__ import annotations

import re

IntOrString = int | str

_PERCENT = re.compile(r"[0-9]+%")
_INTEGER = re.compile(r"[+-]?[0-9]{1,10}")


class IntOrStringError(ValueError):
    """The value is not of the wanted form."""


def parse_percent(value: IntOrString) -> int | None:
    """Return the number before the "%" of a percentage; None for anything else."""
    if not isinstance(value, str) or not _PERCENT.fullmatch(value) or len(value) > 11:
        return None
    return int(value[:-1])


def scaled_value(value: IntOrString, total: int, *, round_up: bool) -> int:
    """Return the number itself, or the percentage of `total`.

    Raises:
        IntOrStringError: a text that is no percentage.
    """
    if isinstance(value, int):
        return value
    percent = parse_percent(value)
    if percent is None:
        raise IntOrStringError(f"invalid value for IntOrString: {value!r} is not a percentage")
    return -(-percent * total // 100) if round_up else percent * total // 100


def int_value(value: IntOrString) -> int:
    """Return the number; of a text its decimal value, 0 if it has none."""
    if isinstance(value, int):
        return value
    return int(value) if _INTEGER.fullmatch(value) else 0
