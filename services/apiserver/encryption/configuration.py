"""EncryptionConfiguration of apiserver.config.k8s.io/v1.

Read strictly: a field that is not known, or given twice, is a mistake. No message tells a
secret. KMS providers are refused: there is no client for their plugins.
Source: kube-apiserver v1.36.2, apiserver/pkg/server/options/encryptionconfig/config.go and
apiserver/pkg/apis/apiserver/validation/validation_encryption.go.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from services.apiserver.codec import yamlbody
from services.apiserver.errors import Cause
from services.apiserver.validation.field import child, index, invalid, required
from shared.storage.encryption import IDENTITY, Provider, Transformer, aescbc, aesgcm, secretbox
from shared.storage.encryption.encryption import ANY, GroupResource

API_VERSION = "apiserver.config.k8s.io/v1"
KIND = "EncryptionConfiguration"
MAX_DEPTH = 20
AES_KEY_BYTES = (16, 24, 32)
SECRETBOX_KEY_BYTES = (32,)
PROVIDERS = ("aesgcm", "aescbc", "secretbox", "identity", "kms")
KEYED: Mapping[str, tuple[Callable[[Sequence[tuple[str, bytes]]], Provider], tuple[int, ...]]] = {
    "aesgcm": (aesgcm, AES_KEY_BYTES),
    "aescbc": (aescbc, AES_KEY_BYTES),
    "secretbox": (secretbox, SECRETBOX_KEY_BYTES),
}
NO_REST_API = ("apiserveripinfo", "serviceipallocations", "servicenodeportallocations")

Json = Mapping[str, Any]


class ConfigurationError(ValueError):
    """The file can't be used; the message has a line a mistake."""


def load(path: Path) -> dict[GroupResource, Transformer]:
    """Read a file.

    Raises:
        ConfigurationError: it can't be read, or is not what it should be.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ConfigurationError(
            f'error opening encryption provider configuration file "{path}": {error.strerror}'
        ) from error
    if not raw:
        raise ConfigurationError(f'encryption provider configuration file "{path}" is empty')
    return parse(raw)


def parse(raw: bytes) -> dict[GroupResource, Transformer]:
    """Return the transformers of a document, by the resources that its rules name.

    Raises:
        ConfigurationError: it is not valid.
    """
    document = _document(raw)
    causes = list(_mistakes(document))
    if causes:
        raise ConfigurationError("\n".join(cause.message for cause in causes))
    return _transformers(document)


# -- decoding ------------------------------------------------------------------------


def _document(raw: bytes) -> Json:
    try:
        document, duplicates = yamlbody.load(raw, max_depth=MAX_DEPTH)
    except yamlbody.YamlError as error:
        raise ConfigurationError(f"error while parsing file: {error}") from error
    if not isinstance(document, dict):
        raise ConfigurationError(f"error while parsing file: expected one {KIND}")
    kind, api_version = document.get("kind"), document.get("apiVersion")
    if kind != KIND or api_version != API_VERSION:
        raise ConfigurationError(
            f"error while parsing file: expected {KIND} of {API_VERSION}, "
            f"got {kind} of {api_version}"
        )
    decoder = _Decoder()
    decoder.fields(document, "", ("kind", "apiVersion", "resources"))
    for at, rule in decoder.items(document, "", "resources"):
        decoder.fields(rule, at, ("resources", "providers"))
        decoder.texts(rule, at, "resources")
        for place, provider in decoder.items(rule, at, "providers"):
            decoder.fields(provider, place, PROVIDERS)
            for name in KEYED:
                if (settings := decoder.struct(provider, place, name)) is not None:
                    decoder.fields(settings, child(place, name), ("keys",))
                    for spot, one in decoder.items(settings, child(place, name), "keys"):
                        decoder.fields(one, spot, ("name", "secret"))
                        decoder.text(one, spot, "name")
                        decoder.text(one, spot, "secret")
            if (identity := decoder.struct(provider, place, "identity")) is not None:
                decoder.fields(identity, child(place, "identity"), ())
            decoder.struct(provider, place, "kms")
    mistakes = [*decoder.mistakes, *duplicates]
    if mistakes:
        raise ConfigurationError(
            "\n".join(f"error while parsing file: strict decoding error: {one}" for one in mistakes)
        )
    return document


class _Decoder:
    """Collects what does not fit the types; what does not fit is taken for absent."""

    def __init__(self) -> None:
        self.mistakes: list[str] = []

    def fields(self, value: Json, path: str, known: Sequence[str]) -> None:
        self.mistakes += [
            f'unknown field "{child(path, str(name))}"' for name in value if name not in known
        ]

    def items(self, value: Json, path: str, name: str) -> Iterator[tuple[str, Json]]:
        found = self._list(value, path, name)
        for number, one in enumerate(found):
            at = index(child(path, name), number)
            if isinstance(one, dict):
                yield at, one
            else:
                self.mistakes.append(f"{at}: not an object")

    def texts(self, value: Json, path: str, name: str) -> None:
        for number, one in enumerate(self._list(value, path, name)):
            if not isinstance(one, str):
                self.mistakes.append(f"{index(child(path, name), number)}: not a string")

    def struct(self, value: Json, path: str, name: str) -> Json | None:
        found = value.get(name)
        if found is None or isinstance(found, dict):
            return found
        self.mistakes.append(f"{child(path, name)}: not an object")
        return None

    def text(self, value: Json, path: str, name: str) -> None:
        if not isinstance(value.get(name) or "", str):
            self.mistakes.append(f"{child(path, name)}: not a string")

    def _list(self, value: Json, path: str, name: str) -> Sequence[Any]:
        found = value.get(name)
        if isinstance(found, list):
            return found
        if found is not None:
            self.mistakes.append(f"{child(path, name)}: not a list")
        return ()


# -- validation ----------------------------------------------------------------------


def _mistakes(document: Json) -> Iterator[Cause]:
    rules = document.get("resources") or ()
    if not rules:
        yield required("resources", "at least one resources is required")
    for number, rule in enumerate(rules):
        path = index("resources", number)
        resources, providers = child(path, "resources"), child(path, "providers")
        names = rule.get("resources") or ()
        if not names:
            yield required(resources, f"at least one {resources} is required")
        yield from _overlaps(names, resources)
        for position, name in enumerate(names):
            if detail := _name_mistake(name):
                yield invalid(index(resources, position), name, detail)
        if not rule.get("providers"):
            yield required(providers, f"at least one {providers} is required")
        for position, provider in enumerate(rule.get("providers") or ()):
            yield from _provider_mistakes(provider, index(providers, position))


def _overlaps(names: Sequence[str], path: str) -> Iterator[Cause]:
    found = [group_resource(name) for name in names]
    if len(set(found)) < len(found):
        yield invalid(path, names, "the same resource cannot be specified multiple times")
    unique = set(found)
    if any(
        rule in unique and len(unique) > 1
        for rule in ((ANY, ANY), *((group, ANY) for group, name in unique if name != ANY))
    ):
        yield invalid(
            path,
            names,
            "using overlapping resources such as 'secrets' and '*.' in the same resource list is "
            "not allowed as they will be masked",
        )


def _name_mistake(name: str) -> str:
    group, resource = group_resource(name)
    if name != name.lower():
        return "resource name should not contain capital letters"
    if name == ANY:
        return (
            "use '*.' to encrypt all the resources from core API group or *.* to encrypt all "
            "resources"
        )
    if name in NO_REST_API:
        return "resources which do not have REST API/s cannot be encrypted"
    if group == "events.k8s.io":
        return (
            "'*.events.k8s.io' objects are stored using the 'events' API group in etcd. Use "
            "'events' instead in the config file"
        )
    if group == "extensions":
        return "'extensions' group has been removed and cannot be used for encryption"
    if group == ANY and resource != ANY:
        return "encrypting the same resource across groups is not supported"
    return ""


def _provider_mistakes(provider: Json, path: str) -> Iterator[Cause]:
    found = [name for name in PROVIDERS if provider.get(name) is not None]
    if not found:
        yield invalid(
            path,
            provider,
            "provider does not contain any of the expected providers: KMS, AESGCM, AESCBC, "
            "Secretbox, Identity",
        )
    elif len(found) > 1:
        # Their names alone: the value itself has the secrets in it.
        yield invalid(
            path,
            found,
            "more than one provider specified in a single element, should split into different "
            "list elements",
        )
    if "kms" in found:
        yield invalid(child(path, "kms"), "kms", "KMS providers are not supported")
    elif found and found[0] in KEYED:
        _, sizes = KEYED[found[0]]
        keys = child(path, found[0], "keys")
        given = provider[found[0]].get("keys") or ()
        if not given:
            yield required(keys, "at least one keys is required")
        for number, one in enumerate(given):
            yield from _key_mistakes(one, index(keys, number), sizes)


def _key_mistakes(key: Json, path: str, sizes: Sequence[int]) -> Iterator[Cause]:
    if not key.get("name"):
        yield required(child(path, "name"), "name is a mandatory field for a key")
    if not key.get("secret"):
        yield required(child(path, "secret"), "secret is a mandatory field for a key")
        return
    try:
        secret = _decoded(key["secret"])
    except (ValueError, binascii.Error):
        yield invalid(child(path, "secret"), "REDACTED", "secrets must be base64 encoded")
        return
    if len(secret) not in sizes:
        expected = " ".join(map(str, sizes))
        yield invalid(
            child(path, "secret"),
            "REDACTED",
            f"secret is not of the expected length, got {len(secret)}, expected one of "
            f"[{expected}]",
        )


# -- building ------------------------------------------------------------------------


def _transformers(document: Json) -> dict[GroupResource, Transformer]:
    by_resource: dict[GroupResource, list[Provider]] = {}
    for rule in document["resources"]:
        providers = [_provider(one) for one in rule["providers"]]
        for name in rule["resources"]:
            found = group_resource(name)
            for wider in ((found[0], ANY), (ANY, ANY)):
                if wider in by_resource:
                    raise ConfigurationError(
                        f'resource "{name}" is masked by earlier rule "{_written(wider)}"'
                    )
            by_resource.setdefault(found, []).extend(providers)
    return {found: Transformer(providers) for found, providers in by_resource.items()}


def _provider(settings: Json) -> Provider:
    for name, (build, _) in KEYED.items():
        if settings.get(name) is not None:
            return build([(one["name"], _decoded(one["secret"])) for one in settings[name]["keys"]])
    return IDENTITY


def group_resource(name: str) -> GroupResource:
    """Return group and plural of a name like secrets, *.apps or widgets.example.com."""
    resource, _, group = name.partition(".")
    return group, resource


def _written(found: GroupResource) -> str:
    group, resource = found
    return f"{resource}.{group}"


def _decoded(secret: str) -> bytes:
    # Go's decoder passes over line ends, and over nothing else.
    return base64.b64decode(secret.replace("\n", "").replace("\r", ""), validate=True)
