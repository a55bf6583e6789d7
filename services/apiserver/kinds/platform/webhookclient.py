"""Where a webhook is: a URL or a Service. For admission webhooks and CRD conversion.

Source: kube-apiserver v1.36.2, apiserver/pkg/util/webhook/validation.go.
"""

from __future__ import annotations

import re
from urllib.parse import SplitResult, urlsplit

from services.apiserver.errors import Cause
from services.apiserver.registry.strategy import Object
from services.apiserver.validation.field import child, invalid, required
from services.apiserver.validation.names import dns1123_subdomain, port_number

DEFAULT_PORT = 443
_BAD_ESCAPE = re.compile("%(?![0-9A-Fa-f]{2})")
_CONTROL = re.compile("[\x00-\x1f\x7f]")
_FORM = "; desired format: https://host[/path]"


def default_webhook_service(client: Object) -> None:
    """Fill in the port of a client config's service."""
    service = client.get("service")
    if service is not None:
        service.setdefault("port", DEFAULT_PORT)


def validate_webhook_url(text: str, path: str) -> list[Cause]:
    url = _parse(text)
    if url is None:
        return [required(path, f"url must be a valid URL{_FORM}")]
    found: list[Cause] = []
    if url.scheme != "https":
        detail = f"'https' is the only allowed URL scheme{_FORM}"
        found.append(invalid(path, url.scheme, detail))
    host = url.netloc.rpartition("@")[2]
    if not host:
        found.append(invalid(path, host, f"host must be specified{_FORM}"))
    for part, what in (
        (url.netloc.rpartition("@")[1], "user information is"),
        (url.fragment, "fragments are"),
        (url.query, "query parameters are"),
    ):
        if part:
            found.append(invalid(path, part, f"{what} not permitted in the URL"))
    return found


def _parse(text: str) -> SplitResult | None:
    """Parse what Go's url.Parse takes for a URL; None for the rest."""
    if _CONTROL.search(text) or text.startswith(":"):
        return None
    try:
        url = urlsplit(text)
        url.port  # noqa: B018  raises for a bad one
    except ValueError:
        return None
    if _BAD_ESCAPE.search(url.path) or " " in url.netloc:
        return None
    return url


def validate_webhook_service(service: Object, path: str) -> list[Cause]:
    found = [required(child(path, name)) for name in ("name", "namespace") if not service.get(name)]
    port = service.get("port", 0)
    messages = port_number(port)
    if messages:
        found.append(invalid(child(path, "port"), port, f"port is not valid: {messages[0]}"))
    return found + _validate_path(service.get("path") or "/", child(path, "path"))


def swapped(service: Object) -> Object:
    """Return a service reference with name and namespace exchanged.

    kube-apiserver checks those of admission webhooks in the wrong order, so that a missing
    name is told as a missing namespace.
    """
    return {
        **service,
        "name": service.get("namespace", ""),
        "namespace": service.get("name", ""),
    }


def _validate_path(text: str, path: str) -> list[Cause]:
    if text == "/":
        return []
    if text == "//":
        return [invalid(path, text, "segment[0] may not be empty")]
    found: list[Cause] = []
    if not text.startswith("/"):
        found.append(invalid(path, text, "must start with a '/'"))
    for number, segment in enumerate(text[1:].removesuffix("/").split("/")):
        if not segment:
            found.append(invalid(path, text, f"segment[{number}] may not be empty"))
            continue
        found += [
            invalid(path, text, f"segment[{number}]: {message}")
            for message in dns1123_subdomain(segment)
        ]
    return found
