"""The file of --encryption-provider-config: what is accepted, and how the rest is refused."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path
from typing import Any

import orjson
import pytest

from services.apiserver.configreloads import hash_label
from services.apiserver.encryption.configuration import ConfigurationError, parse
from services.apiserver.encryption.configured import ConfiguredEncryption
from services.apiserver.options import ApiServerOptions, OptionsError
from services.apiserver.options.encryption import EncryptionOptions
from shared.resources import builtin_table
from shared.storage import UnreadableValue
from shared.storage.encryption import Encryption, StoredResources

SECRET = base64.b64encode(bytes(range(32))).decode()
SHORT = base64.b64encode(bytes(range(16))).decode()
SECRETS = b"/registry/secrets/default/a"
RESOURCES = StoredResources(builtin_table().resources(), "/registry")

Json = dict[str, Any]


def document(*rules: Json) -> bytes:
    return orjson.dumps(
        {
            "apiVersion": "apiserver.config.k8s.io/v1",
            "kind": "EncryptionConfiguration",
            "resources": rules,
        }
    )


def keyed(provider: str, *names: str, secret: str = SECRET) -> Json:
    return {provider: {"keys": [{"name": name, "secret": secret} for name in names]}}


def rule(*resources: str, providers: list[Json] | None = None) -> Json:
    given = [keyed("aesgcm", "k")] if providers is None else providers
    return {"resources": list(resources), "providers": given}


def test_a_file_as_people_write_it_is_read() -> None:
    rules = parse(
        f"""
apiVersion: apiserver.config.k8s.io/v1
kind: EncryptionConfiguration
resources:
  - resources:
      - secrets
      - configmaps
      - widgets.example.com
    providers:
      - secretbox:
          keys:
            - name: key1
              secret: {SECRET}
      - aescbc:
          keys:
            - {{name: key1, secret: {SECRET}}}
            - {{name: key2, secret: {SHORT}}}
      - identity: {{}}
""".encode()
    )
    assert set(rules) == {("", "secrets"), ("", "configmaps"), ("example.com", "widgets")}
    sealed = Encryption(rules, RESOURCES).seal(SECRETS, b"v")
    assert sealed.startswith(b"k8s:enc:secretbox:v1:key1:")


AT_LEAST_ONE = "Required value: at least one"
KEYS = "resources[0].providers[0].aesgcm.keys"
MASKED = (
    "using overlapping resources such as 'secrets' and '*.' in the same resource list is not "
    "allowed as they will be masked"
)


@pytest.mark.parametrize(
    ("rules", "mistakes"),
    [
        ([], [f"resources: {AT_LEAST_ONE} resources is required"]),
        (
            [{}],
            [
                f"resources[0].resources: {AT_LEAST_ONE} resources[0].resources is required",
                f"resources[0].providers: {AT_LEAST_ONE} resources[0].providers is required",
            ],
        ),
        (
            [rule("secrets", providers=[{"aesgcm": {"keys": []}}])],
            [f"{KEYS}: {AT_LEAST_ONE} keys is required"],
        ),
        (
            [rule("secrets", providers=[{"aesgcm": {"keys": [{}]}}])],
            [
                f"{KEYS}[0].name: Required value: name is a mandatory field for a key",
                f"{KEYS}[0].secret: Required value: secret is a mandatory field for a key",
            ],
        ),
        (
            [rule("secrets", providers=[keyed("aesgcm", "a", secret="not base64!")])],
            [f'{KEYS}[0].secret: Invalid value: "REDACTED": secrets must be base64 encoded'],
        ),
        (
            [rule("secrets", providers=[keyed("aesgcm", "a", secret="c2hvcnQ=")])],
            [
                f'{KEYS}[0].secret: Invalid value: "REDACTED": secret is not of the expected '
                "length, got 5, expected one of [16 24 32]"
            ],
        ),
        (
            [rule("secrets", providers=[keyed("secretbox", "a", secret=SHORT)])],
            [
                'resources[0].providers[0].secretbox.keys[0].secret: Invalid value: "REDACTED": '
                "secret is not of the expected length, got 16, expected one of [32]"
            ],
        ),
        (
            [rule("secrets", providers=[{}])],
            [
                "resources[0].providers[0]: Invalid value: {}: provider does not contain any of "
                "the expected providers: KMS, AESGCM, AESCBC, Secretbox, Identity"
            ],
        ),
        (
            [rule("secrets", providers=[{**keyed("aesgcm", "a"), "identity": {}}])],
            [
                'resources[0].providers[0]: Invalid value: ["aesgcm","identity"]: more than one '
                "provider specified in a single element, should split into different list elements"
            ],
        ),
        (
            [rule("secrets", providers=[{"kms": {"name": "vault", "endpoint": "unix:///x"}}])],
            [
                'resources[0].providers[0].kms: Invalid value: "kms": KMS providers are not '
                "supported"
            ],
        ),
        (
            [rule("secrets", "secrets")],
            [
                'resources[0].resources: Invalid value: ["secrets","secrets"]: the same resource '
                "cannot be specified multiple times"
            ],
        ),
        (
            [rule("secrets", "*.")],
            [f'resources[0].resources: Invalid value: ["secrets","*."]: {MASKED}'],
        ),
        (
            [rule("pods", "*.*")],
            [f'resources[0].resources: Invalid value: ["pods","*.*"]: {MASKED}'],
        ),
        (
            [rule("*")],
            [
                "resources[0].resources[0]: Invalid value: \"*\": use '*.' to encrypt all the "
                "resources from core API group or *.* to encrypt all resources"
            ],
        ),
        (
            [rule("Secrets")],
            [
                'resources[0].resources[0]: Invalid value: "Secrets": resource name should not '
                "contain capital letters"
            ],
        ),
        (
            [rule("serviceipallocations")],
            [
                'resources[0].resources[0]: Invalid value: "serviceipallocations": resources '
                "which do not have REST API/s cannot be encrypted"
            ],
        ),
        (
            [rule("events.events.k8s.io")],
            [
                'resources[0].resources[0]: Invalid value: "events.events.k8s.io": '
                "'*.events.k8s.io' objects are stored using the 'events' API group in etcd. Use "
                "'events' instead in the config file"
            ],
        ),
        (
            [rule("ingresses.extensions")],
            [
                "resources[0].resources[0]: Invalid value: \"ingresses.extensions\": 'extensions' "
                "group has been removed and cannot be used for encryption"
            ],
        ),
        (
            [rule("secrets.*")],
            [
                'resources[0].resources[0]: Invalid value: "secrets.*": encrypting the same '
                "resource across groups is not supported"
            ],
        ),
        (
            [rule("*."), rule("secrets")],
            ['resource "secrets" is masked by earlier rule "*."'],
        ),
        (
            [rule("*.*"), rule("deployments.apps")],
            ['resource "deployments.apps" is masked by earlier rule "*.*"'],
        ),
        (
            [{**rule("secrets"), "provider": []}],
            [
                "error while parsing file: strict decoding error: unknown field "
                '"resources[0].provider"'
            ],
        ),
    ],
)
def test_mistakes_are_told_a_line_each(rules: list[Json], mistakes: list[str]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse(document(*rules))
    assert str(caught.value).splitlines() == mistakes


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[]",
        b"a: b: c",
        b"kind: EncryptionConfig\napiVersion: v1\nresources: []",
        document(rule("secrets")) + b"\x00",
        b'{"apiVersion":"apiserver.config.k8s.io/v1","kind":"EncryptionConfiguration",'
        b'"resources":"secrets"}',
        document(rule("secrets", providers=["identity"])),  # type: ignore[list-item]
        document(rule("secrets", providers=[{"aescbc": {"keys": [{"name": 1, "secret": 2}]}}])),
    ],
)
def test_what_is_no_such_document_is_refused(raw: bytes) -> None:
    with pytest.raises(ConfigurationError, match="error while parsing file: "):
        parse(raw)


@pytest.mark.parametrize(
    ("rules", "key", "encrypted"),
    [
        (["secrets"], "secrets/default/a", True),
        (["secrets"], "configmaps/default/a", False),
        (["services"], "services/specs/default/a", True),
        (["nodes"], "minions/a", True),
        (["*."], "secrets/default/a", True),
        (["*."], "ranges/servicenodeports", True),
        (["*."], "deployments/default/a", False),
        (["*.apps"], "deployments/default/a", True),
        (["*.apps"], "secrets/default/a", False),
        (["*.*"], "deployments/default/a", True),
        (["*.*"], "example.com/widgets/default/a", True),
        (["widgets.example.com"], "example.com/widgets/default/a", True),
        (["widgets.example.com"], "example.com/gadgets/a", False),
        (["*.example.com"], "example.com/gadgets/a", True),
    ],
)
def test_the_rule_for_a_key_is_that_of_its_resource(
    rules: list[str], key: str, encrypted: bool
) -> None:
    encryption = Encryption(parse(document(rule(*rules))), RESOURCES)
    sealed = encryption.seal(f"/registry/{key}".encode(), b"v")
    assert sealed.startswith(b"k8s:enc:") == encrypted


def test_the_most_special_rule_wins() -> None:
    rules = parse(
        document(
            rule("secrets", providers=[{"identity": {}}]),
            rule("*.", providers=[keyed("aescbc", "core")]),
            rule("*.*", providers=[keyed("secretbox", "rest")]),
        )
    )
    encryption = Encryption(rules, RESOURCES)
    assert encryption.seal(SECRETS, b"v") == b"v"
    assert encryption.seal(b"/registry/pods/a/b", b"v").startswith(b"k8s:enc:aescbc:v1:core:")
    assert encryption.seal(b"/registry/deployments/a/b", b"v").startswith(b"k8s:enc:secretbox:v1:")
    assert encryption.seal(b"/elsewhere/a", b"v") == b"v"


def test_one_resource_in_two_rules_has_the_providers_of_both() -> None:
    both = Encryption(
        parse(document(rule("secrets"), rule("secrets", providers=[{"identity": {}}]))), RESOURCES
    )
    assert both.open(SECRETS, b"plain") == (b"plain", True)


def test_keys_of_one_name_are_all_tried() -> None:
    old = Encryption(parse(document(rule("secrets", providers=[keyed("aesgcm", "k")]))), RESOURCES)
    sealed = old.seal(SECRETS, b"v")
    providers = [keyed("aesgcm", "k", secret=SHORT), keyed("aesgcm", "k")]
    both = Encryption(parse(document(rule("secrets", providers=providers))), RESOURCES)
    assert both.open(SECRETS, sealed) == (b"v", True)
    with pytest.raises(UnreadableValue, match=r": cipher: message authentication failed$"):
        both.open(SECRETS, sealed[:-1])


# -- the flags, and the file while the server runs -------------------------------------


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "encryption.yaml"
    path.write_bytes(document(rule("secrets")))
    return path


@pytest.mark.parametrize("reloads", [True, False])
def test_the_file_is_followed_only_where_that_is_wanted(reloads: bool, file: Path) -> None:
    options = EncryptionOptions(config_file=str(file), automatic_reload=reloads)
    configured = ConfiguredEncryption(options, RESOURCES, poll_interval_s=0.001)
    file.write_bytes(document(rule("configmaps")))

    async def story() -> int:
        running = asyncio.create_task(configured.run())
        for _ in range(2000):
            await asyncio.sleep(0.001)
            if configured.encryption.generation or running.done():
                break
        running.cancel()
        return configured.encryption.generation

    assert asyncio.run(story()) == int(reloads)


def test_the_flags_are_read(file: Path) -> None:
    given = [
        f"--encryption-provider-config={file}",
        "--encryption-provider-config-automatic-reload",
    ]
    options = ApiServerOptions.from_argv(given).encryption
    assert options == EncryptionOptions(config_file=str(file), automatic_reload=True)


def test_mistakes_in_the_file_end_the_start_a_line_each(file: Path) -> None:
    file.write_bytes(document(rule("Secrets", "*")))
    with pytest.raises(OptionsError) as caught:
        ApiServerOptions.from_argv([f"--encryption-provider-config={file}"])
    lines = str(caught.value).splitlines()
    assert len(lines) == 3
    assert all(line.startswith("--encryption-provider-config: resources[0].") for line in lines)


def test_a_missing_file_and_a_reload_of_none_end_the_start(tmp_path: Path) -> None:
    with pytest.raises(OptionsError, match="error opening encryption provider configuration file"):
        ApiServerOptions.from_argv([f"--encryption-provider-config={tmp_path / 'none'}"])
    with pytest.raises(OptionsError, match="must be set with --encryption-provider-config"):
        ApiServerOptions.from_argv(["--encryption-provider-config-automatic-reload"])


def test_a_changed_file_is_taken_over_and_a_broken_one_is_not(
    file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    options = EncryptionOptions(config_file=str(file), automatic_reload=True)
    configured = ConfiguredEncryption(options, RESOURCES)
    encryption = configured.encryption
    old = encryption.seal(SECRETS, b"v")

    file.write_text("broken")
    configured._look(file)
    assert "stays as it was" in caplog.text
    assert encryption.open(SECRETS, old) == (b"v", False)
    assert encryption.generation == 0

    keys = {"aesgcm": {"keys": [{"name": "n", "secret": SHORT}, {"name": "k", "secret": SECRET}]}}
    file.write_bytes(document(rule("secrets", providers=[keys])))
    configured._look(file)
    assert encryption.seal(SECRETS, b"v").startswith(b"k8s:enc:aesgcm:v1:n:")
    assert encryption.open(SECRETS, old) == (b"v", True)
    assert encryption.generation == 1
    configured._look(file)
    assert encryption.generation == 1, "the same file is nothing new"
    assert configured.reloads is not None
    counts, _, info = configured.reloads.families("")
    found = {one.labels["status"]: one.value for one in counts.samples}
    assert found == {"failure": 1, "success": 1}
    assert info.samples[0].labels["hash"] == hash_label(file.read_bytes())
