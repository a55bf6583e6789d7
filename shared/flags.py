"""Reading the values of flags: a mistake becomes a line that names its flag."""

from __future__ import annotations

import argparse
import errno
import ipaddress
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NoReturn

AddFlag = Callable[..., Any]
"""argparse's add_argument."""


class OptionsError(ValueError):
    """The command line can't be used; one line a mistake, each names its flag."""


class FlagParser(argparse.ArgumentParser):
    """Takes flags by their whole names, and raises OptionsError where argparse would exit."""

    def __init__(self, prog: str, description: str, epilog: str | None = None) -> None:
        super().__init__(prog=prog, description=description, epilog=epilog, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        raise OptionsError(message)


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


def read_secret(path: str | Path) -> str:
    """Return the password or token in a file, without the blanks around it.

    Raises:
        OSError: it can't be read, or is no text.
    """
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except UnicodeDecodeError:
        raise OSError(errno.EILSEQ, "not UTF-8 text", str(path)) from None


def addresses(known: argparse.Namespace, names: Iterable[str], mistakes: list[str]) -> None:
    """Complain of every flag of `names` that is given and is no IP address."""
    for name in names:
        value = getattr(known, name)
        try:
            if value:
                ipaddress.ip_address(value)
        except ValueError:
            mistakes.append(f"{flag(name)}: {value!r} is not an IP address")


def pair(known: argparse.Namespace, first: str, second: str, mistakes: list[str]) -> None:
    """Complain if one of two flags is given without the other."""
    if bool(getattr(known, first)) != bool(getattr(known, second)):
        mistakes.append(f"{flag(first)} and {flag(second)} go together")


def add_etcd_flags(add: AddFlag) -> None:
    add("--etcd-servers", default="", metavar="URL,...")
    add("--etcd-cafile", default="", metavar="FILE")
    add("--etcd-certfile", default="", metavar="FILE")
    add("--etcd-keyfile", default="", metavar="FILE")
    add("--etcd-prefix", default="/registry", metavar="PREFIX")
    add("--etcd-compaction-interval", default="5m", metavar="DURATION", help="0: never")


def etcd_servers(known: argparse.Namespace, mistakes: list[str]) -> tuple[str, ...]:
    """Return the URLs of etcd's members."""
    servers = tuple(url for url in known.etcd_servers.split(",") if url)
    for url in servers:
        if not re.fullmatch(r"https?://[^/\s]+/?", url):
            mistakes.append(f"--etcd-servers: {url!r} is not a URL like http://127.0.0.1:2379")
    pair(known, "etcd_certfile", "etcd_keyfile", mistakes)
    files(known, ("etcd_cafile", "etcd_certfile", "etcd_keyfile"), mistakes)
    return servers
