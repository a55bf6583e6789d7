"""Reading the values of flags: a mistake becomes a line that names its flag."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

AddFlag = Callable[..., Any]
"""argparse's add_argument."""


class OptionsError(ValueError):
    """The command line can't be used; one line a mistake, each names its flag."""


def flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def integer(known: argparse.Namespace, name: str, low: int, high: int, mistakes: list[str]) -> int:
    """Return a whole number from `low` to `high`."""
    text = getattr(known, name)
    if not re.fullmatch(r"-?[0-9]{1,12}", text) or not low <= int(text) <= high:
        mistakes.append(f"{flag(name)}: {text!r} is not a number from {low} to {high}")
        return low
    return int(text)


def boolean(known: argparse.Namespace, name: str, mistakes: list[str]) -> bool:
    text = getattr(known, name).lower()
    if text not in ("true", "false", "1", "0", "t", "f"):
        mistakes.append(f"{flag(name)}: {text!r} is not true or false")
    return text in ("true", "1", "t")


_DURATION_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def duration(known: argparse.Namespace, name: str, mistakes: list[str]) -> float:
    """Return the seconds of a Go duration like 1m30s."""
    text = getattr(known, name)
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|s|m|h)", text)
    if text != "0" and (not parts or "".join(a + b for a, b in parts) != text):
        mistakes.append(f"{flag(name)}: {text!r} is not a duration like 1m30s")
        return 0.0
    return sum(float(number) * _DURATION_UNITS[unit] for number, unit in parts)


def files(known: argparse.Namespace, names: Iterable[str], mistakes: list[str]) -> None:
    """Complain of every flag of `names` that names a file which is not there."""
    for name in names:
        value = getattr(known, name)
        for one in value if isinstance(value, list) else [value]:
            if one and not Path(one).is_file():
                mistakes.append(f"{flag(name)}: no such file: {one}")
