"""Key files, the server's own key, and the documents about the keys."""

from __future__ import annotations

import base64
import hashlib
import json
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from services.apiserver.errors import MethodNotSupported, NotAcceptable
from services.apiserver.http.request import Request
from services.apiserver.serviceaccounts.discovery import (
    CONFIGURATION_PATH,
    KEYS_PATH,
    IssuerDocuments,
    can_be_discovered,
    web_key,
)
from services.apiserver.serviceaccounts.keys import TokenKeys, own_signing_key, token_keys
from shared.signingkeys import (
    KeyFileError,
    SigningKey,
    VerificationKey,
    read_signing_key,
    read_verification_keys,
)
from tests.unit.accountsworld import EC_KEY, FOREIGN_KEY, KEY


def private_pem(
    key: SigningKey,
    form: PrivateFormat = PrivateFormat.PKCS8,
    encryption: KeySerializationEncryption | None = None,
) -> bytes:
    return key.private.private_bytes(Encoding.PEM, form, encryption or NoEncryption())


def public_pem(key: SigningKey, form: PublicFormat = PublicFormat.SubjectPublicKeyInfo) -> bytes:
    return key.verification.public.public_bytes(Encoding.PEM, form)


def test_a_key_id_is_the_hash_of_the_public_key() -> None:
    der = KEY.verification.public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    padded = KEY.verification.key_id + "="
    assert base64.urlsafe_b64decode(padded) == hashlib.sha256(der).digest()


@pytest.mark.parametrize(
    ("curve", "algorithm"),
    [(ec.SECP256R1(), "ES256"), (ec.SECP384R1(), "ES384"), (ec.SECP521R1(), "ES512")],
)
def test_the_curve_says_the_algorithm(curve: ec.EllipticCurve, algorithm: str) -> None:
    key = SigningKey.of(ec.generate_private_key(curve))
    token = key.sign({"a": "b"})
    assert jwt.get_unverified_header(token) == {"alg": algorithm, "kid": key.verification.key_id}
    public = jwt.PyJWK(web_key(key.verification)).key
    assert jwt.decode(token, public, algorithms=[algorithm]) == {"a": "b"}


def test_other_curves_are_refused() -> None:
    with pytest.raises(ValueError, match="secp256k1"):
        VerificationKey.of(ec.generate_private_key(ec.SECP256K1()).public_key())


@pytest.mark.parametrize("key", [KEY, EC_KEY])
@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
def test_private_keys_are_read_in_all_their_forms(
    tmp_path: Path, key: SigningKey, form: PrivateFormat
) -> None:
    file = tmp_path / "key"
    parameters = b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
    file.write_bytes(parameters + private_pem(key, form))
    assert read_signing_key(file).verification.key_id == key.verification.key_id
    assert [one.key_id for one in read_verification_keys(file)] == [key.verification.key_id]


def test_a_file_may_hold_several_keys(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_bytes(
        b"rotated in May\n"
        + public_pem(KEY)
        + public_pem(FOREIGN_KEY, PublicFormat.PKCS1)
        + private_pem(EC_KEY)
    )
    ids = [one.key_id for one in read_verification_keys(file)]
    assert ids == [one.verification.key_id for one in (KEY, FOREIGN_KEY, EC_KEY)]


def ed25519_pem() -> bytes:
    return ed25519.Ed25519PrivateKey.generate().private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no key",
        b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        private_pem(KEY, encryption=BestAvailableEncryption(b"secret")),
        ed25519_pem(),
    ],
    ids=["empty", "text", "broken", "encrypted", "another kind"],
)
def test_a_file_without_a_usable_key_says_so(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "key"
    file.write_bytes(content)
    for read in (read_signing_key, read_verification_keys):
        with pytest.raises(KeyFileError, match=str(file)):
            read(file)


def test_a_file_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="No such file"):
        read_signing_key(tmp_path / "absent")


def test_a_public_key_does_not_sign(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_bytes(public_pem(KEY))
    with pytest.raises(KeyFileError, match="no RSA or ECDSA private key"):
        read_signing_key(file)


def test_the_server_makes_a_key_once_and_for_itself_alone(tmp_path: Path) -> None:
    path = tmp_path / "certs" / "sa.key"
    first = own_signing_key(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert own_signing_key(path).verification.key_id == first.verification.key_id
    assert list(path.parent.iterdir()) == [path]


def test_of_several_servers_that_start_at_once_one_makes_the_key(tmp_path: Path) -> None:
    path = tmp_path / "sa.key"
    with ThreadPoolExecutor(4) as threads:
        keys = list(threads.map(lambda _: own_signing_key(path), range(4)))
    assert len({key.verification.key_id for key in keys}) == 1
    assert list(tmp_path.iterdir()) == [path]


def test_the_signing_keys_public_half_comes_first_and_no_key_twice(tmp_path: Path) -> None:
    signing, others = tmp_path / "signing", tmp_path / "others"
    signing.write_bytes(private_pem(EC_KEY))
    others.write_bytes(public_pem(KEY) + public_pem(EC_KEY))
    keys = token_keys(str(signing), [str(others)], tmp_path)
    assert [key.key_id for key in keys.verification] == [
        EC_KEY.verification.key_id,
        KEY.verification.key_id,
    ]
    assert not (tmp_path / "sa.key").exists()


# -- discovery ------------------------------------------------------------------------

KEYS = TokenKeys.of(KEY, (EC_KEY.verification,)).verification
DOCUMENTS = IssuerDocuments("https://i.test", KEYS, jwks_uri="", address="10.0.0.9:6443")


def asked(path: str, *, method: str = "GET", accept: str = "") -> Request:
    headers = [(b"accept", accept.encode())] if accept else []
    scope = {"type": "http", "method": method, "path": path, "headers": headers}
    return Request({**scope, "raw_path": path.encode(), "query_string": b""}, no_body)


async def no_body() -> dict[str, object]:
    return {"type": "http.request", "body": b"", "more_body": False}


def test_the_configuration_names_issuer_keys_and_algorithms() -> None:
    answer = DOCUMENTS.answer(asked(CONFIGURATION_PATH))
    assert dict(answer.headers) == {
        b"content-type": b"application/json",
        b"cache-control": b"public, max-age=3600",
    }
    assert json.loads(answer.body) == {
        "issuer": "https://i.test",
        "jwks_uri": "https://10.0.0.9:6443/openid/v1/jwks",
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256", "RS256"],
    }


def test_the_keys_check_what_was_signed() -> None:
    answer = DOCUMENTS.answer(asked(KEYS_PATH, accept="*/*"))
    assert dict(answer.headers)[b"content-type"] == b"application/jwk-set+json"
    found = jwt.PyJWKSet.from_dict(json.loads(answer.body))
    for key in (KEY, EC_KEY):
        public = found[key.verification.key_id].key
        token = key.sign({"a": "b"})
        assert jwt.decode(token, public, algorithms=[key.verification.algorithm])


def test_the_private_halves_stay_here() -> None:
    for key in json.loads(DOCUMENTS.answer(asked(KEYS_PATH)).body)["keys"]:
        assert not {"d", "p", "q", "dp", "dq", "qi", "k"} & set(key)


def test_numbers_are_as_long_as_their_curve() -> None:
    for _ in range(40):  # one in 128 has a zero in front
        key = web_key(VerificationKey.of(ec.generate_private_key(ec.SECP521R1()).public_key()))
        assert {len(base64.urlsafe_b64decode(key[axis] + "==")) for axis in "xy"} == {66}


@pytest.mark.parametrize("accept", ["application/json", "application/*", "text/html"])
def test_the_keys_come_in_their_own_type_alone(accept: str) -> None:
    with pytest.raises(NotAcceptable):
        DOCUMENTS.answer(asked(KEYS_PATH, accept=accept))


@pytest.mark.parametrize(
    "accept", ["", "*/*", "application/jwk-set+json", "text/html, application/jwk-set+json;q=0.1"]
)
def test_who_accepts_the_keys_type_gets_them(accept: str) -> None:
    assert DOCUMENTS.answer(asked(KEYS_PATH, accept=accept)).status == 200


def test_the_documents_are_read_only() -> None:
    with pytest.raises(MethodNotSupported):
        DOCUMENTS.answer(asked(KEYS_PATH, method="POST"))


@pytest.mark.parametrize(
    ("issuer", "discovered"),
    [
        ("https://i.test", True),
        ("https://i.test/path", True),
        ("http://i.test", False),
        ("https://i.test?q", False),
        ("https://i.test#f", False),
        ("kubernetes/serviceaccount", False),
    ],
)
def test_only_https_issuers_are_discovered(issuer: str, discovered: bool) -> None:
    assert can_be_discovered(issuer) is discovered
