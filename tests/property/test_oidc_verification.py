"""Whatever a token, a key set or a distributed claim holds: it is refused, never a crash."""

from __future__ import annotations

import base64
import time
from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from services.apiserver.authentication.oidc.settings import ALGORITHMS
from services.apiserver.authentication.oidc.verification import (
    BadToken,
    SigningKey,
    read_keys,
    untrusted_issuer,
    verify,
)
from tests.oidcissuer import ec_key, rsa_key

KEYS = [
    SigningKey(one.kid, kty, one.private.public_key())
    for one, kty in ((rsa_key("r"), "RSA"), (ec_key("e"), "EC"))
]
ISSUER = "https://issuer"

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=6,
)
HEADERS = st.fixed_dictionaries(
    {},
    optional={
        "alg": st.sampled_from(["none", "HS256", *sorted(ALGORITHMS)]) | JSON,
        "kid": st.sampled_from(["r", "e", ""]) | JSON,
        "crit": JSON,
        "b64": JSON,
        "jwk": JSON,
    },
)
CLAIMS = st.fixed_dictionaries(
    {},
    optional={
        "iss": st.just(ISSUER) | JSON,
        "aud": st.just("a") | JSON,
        "exp": st.just(int(time.time()) + 10_000) | JSON,
        "nbf": JSON,
    },
)
JWK = st.fixed_dictionaries(
    {"kty": st.sampled_from(["RSA", "EC", "oct", "OKP"])},
    optional={
        "kid": JSON,
        "use": st.just("sig") | JSON,
        "alg": JSON,
        "n": st.text("AQab_-", max_size=40) | JSON,
        "e": st.just("AQAB") | JSON,
        "crv": st.sampled_from(["P-256", "P-384", "secp256k1"]) | JSON,
        "x": st.text("AQab_-", min_size=43, max_size=43) | JSON,
        "y": st.text("AQab_-", min_size=43, max_size=43) | JSON,
        "k": st.just("AAAA"),
        "d": JSON,
    },
)


def segment(value: Any) -> str:
    return base64.urlsafe_b64encode(orjson.dumps(value)).rstrip(b"=").decode()


@settings(max_examples=400, deadline=None)
@given(HEADERS | JSON, CLAIMS | JSON, st.text("ab-_=+/", max_size=90))
def test_an_unsigned_token_is_never_good(header: Any, claims: Any, signature: str) -> None:
    token = f"{segment(header)}.{segment(claims)}.{signature}"
    untrusted_issuer(token)
    try:
        verify(
            token,
            KEYS,
            issuer=ISSUER,
            audiences=frozenset(["a"]),
            algorithms=ALGORITHMS,
            now_s=time.time(),
        )
    except BadToken:
        return
    raise AssertionError(token)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=60))
def test_any_text_is_a_token_of_nobody(text: str) -> None:
    assert untrusted_issuer(text) is None


@settings(max_examples=300, deadline=None)
@given(st.lists(JWK | JSON, max_size=4))
def test_keys_that_are_none_are_left_out(entries: list[Any]) -> None:
    for one in read_keys({"keys": entries}):
        assert one.kty in ("RSA", "EC")
