"""OIDC tokens against a real issuer: which are good, and which are refused and why."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import jwt
import orjson
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from services.apiserver.authentication.authenticator import Authenticated
from services.apiserver.authentication.configuration import (
    ClaimMappings,
    Issuer,
    JwtAuthenticator,
    PrefixedClaimOrExpression,
)
from services.apiserver.authentication.oidc import ALGORITHMS, JwtAuthenticators, provider
from services.apiserver.errors import Unauthorized
from services.apiserver.requestinfo import UserInfo
from tests.oidcissuer import AUDIENCE, IssuerKey, OidcIssuer, ec_key, oidc_issuer, rsa_key

RSA, EC = rsa_key("rsa-1"), ec_key("ec-1")

Try = Callable[[OidcIssuer, JwtAuthenticators], Awaitable[None]]


def settings(issuer: OidcIssuer, /, **changes: Any) -> JwtAuthenticator:
    mappings = ClaimMappings(
        username=PrefixedClaimOrExpression("sub", "oidc:"),
        groups=PrefixedClaimOrExpression("groups", ""),
    )
    wanted: dict[str, Any] = {
        "issuer": Issuer(issuer.url, "", issuer.ca, (AUDIENCE,)),
        "claim_mappings": mappings,
        **changes,
    }
    return JwtAuthenticator(**wanted)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - what we wait for tells nobody
            await asyncio.sleep(0.01)


@asynccontextmanager
async def running(authenticators: JwtAuthenticators, *, ready: bool = True) -> AsyncIterator[None]:
    task = asyncio.create_task(authenticators.run())
    try:
        if ready:
            await until(lambda: not authenticators.problems)
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def with_issuer(
    directory: Path,
    attempt: Try,
    *keys: IssuerKey,
    algorithms: frozenset[str] = ALGORITHMS,
    **changes: Any,
) -> None:
    async def scenario() -> None:
        async with oidc_issuer(directory, *(keys or (RSA, EC))) as issuer:
            authenticators = JwtAuthenticators([settings(issuer, **changes)], algorithms=algorithms)
            async with running(authenticators):
                await attempt(issuer, authenticators)

    asyncio.run(scenario())


async def user_of(authenticators: JwtAuthenticators, token: str) -> UserInfo:
    found = await authenticators.authenticate_token(token, ())
    assert found is not None
    return found.user


async def refusal(authenticators: JwtAuthenticators, token: str) -> str:
    with pytest.raises(Unauthorized) as caught:
        await authenticators.authenticate_token(token, ())
    return caught.value.message


def segment(value: Any) -> str:
    raw = value if isinstance(value, bytes) else orjson.dumps(value)
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def with_header(token: str, **fields: Any) -> str:
    """Return a token whose header says something else; its signature is for the former one."""
    _, payload, signature = token.split(".")
    return f"{segment(fields)}.{payload}.{signature}"


def test_a_token_of_the_issuer_names_its_user_with_groups_and_credential(tmp_path: Path) -> None:
    async def attempt(issuer: OidcIssuer, authenticators: JwtAuthenticators) -> None:
        user = await user_of(authenticators, issuer.token(groups=["a", "b"], jti="id-1"))
        extra = (("authentication.kubernetes.io/credential-id", ("JTI=id-1",)),)
        assert user == UserInfo("oidc:jane", "", ("a", "b"), extra)

    with_issuer(tmp_path, attempt)


@pytest.mark.parametrize("algorithm", sorted(ALGORITHMS))
def test_every_algorithm_with_a_public_key_verifies(tmp_path: Path, algorithm: str) -> None:
    curves = {"ES256": ec.SECP256R1(), "ES384": ec.SECP384R1(), "ES512": ec.SECP521R1()}
    key = ec_key("k", curves[algorithm]) if algorithm in curves else RSA

    async def attempt(issuer: OidcIssuer, authenticators: JwtAuthenticators) -> None:
        token = issuer.token(algorithm=algorithm)
        assert (await user_of(authenticators, token)).name == "oidc:jane"

    with_issuer(tmp_path, attempt, key)


@pytest.mark.parametrize(
    ("groups", "expected"),
    [
        ("admins", ("admins",)),
        (["a", "b"], ("a", "b")),
        ([], ()),
        # Without a prefix, whoever runs the issuer can make anybody a master: as in kube-apiserver.
        (["system:masters"], ("system:masters",)),
    ],
)
def test_groups_are_text_or_a_list(
    tmp_path: Path, groups: object, expected: tuple[str, ...]
) -> None:
    async def attempt(issuer: OidcIssuer, authenticators: JwtAuthenticators) -> None:
        assert (await user_of(authenticators, issuer.token(groups=groups))).groups == expected

    with_issuer(tmp_path, attempt)


# -- tokens that are refused -----------------------------------------------------------

Forge = Callable[[OidcIssuer], str]


def unsigned(issuer: OidcIssuer) -> str:
    payload = issuer.token().split(".")[1]
    return f"{segment({'alg': 'none', 'kid': RSA.kid})}.{payload}."


def signed_with_the_public_key(issuer: OidcIssuer) -> str:
    """HS256 with the public key as the secret: what confuses verifiers that obey the header."""
    public = RSA.private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    payload = issuer.token().split(".")[1]
    signed = f"{segment({'alg': 'HS256', 'kid': RSA.kid})}.{payload}"
    hmac = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256)
    return f"{signed}.{segment(hmac.sign(signed.encode(), public))}"


def with_an_embedded_key(issuer: OidcIssuer) -> str:
    attacker = rsa_key(RSA.kid)
    return issuer.token(attacker, headers={"jwk": attacker.public_jwk()})


def with_a_changed_payload(issuer: OidcIssuer) -> str:
    header, payload, signature = issuer.token().split(".")
    claims = orjson.loads(base64.urlsafe_b64decode(payload + "=="))
    return f"{header}.{segment({**claims, 'sub': 'root'})}.{signature}"


FORGERIES: dict[str, tuple[Forge, str]] = {
    "unsigned": (unsigned, "unsupported algorithm"),
    "HS256 by the public key": (signed_with_the_public_key, "unsupported algorithm"),
    "signed by another key of the same name": (
        lambda issuer: issuer.token(rsa_key(RSA.kid)),
        "failed to verify",
    ),
    "signed by a key in its own header": (with_an_embedded_key, "failed to verify"),
    "the key of another kind": (
        lambda issuer: issuer.token(RSA, headers={"kid": EC.kid}),
        "failed to verify",
    ),
    "a header that names another algorithm": (
        lambda issuer: with_header(issuer.token(), alg="PS256", kid=RSA.kid),
        "failed to verify",
    ),
    "a changed payload": (with_a_changed_payload, "failed to verify"),
    "no signature": (lambda issuer: issuer.token().rpartition(".")[0] + ".", "failed to verify"),
    "a critical header": (
        lambda issuer: issuer.token(headers={"crit": ["x"], "x": 1}),
        "critical header",
    ),
    "another audience": (lambda issuer: issuer.token(aud="other"), "expected audience"),
    "no audience": (lambda issuer: issuer.token(aud=None), "expected audience"),
    "an audience that is no text": (lambda issuer: issuer.token(aud=[1, {}]), "expected audience"),
    "expired": (lambda issuer: issuer.token(exp=int(time.time()) - 2), "expired"),
    "no expiry": (lambda issuer: issuer.token(exp=None), "expired"),
    "an expiry that is no number": (lambda issuer: issuer.token(exp="never"), "not a number"),
    "not valid yet": (lambda issuer: issuer.token(nbf=int(time.time()) + 600), "nbf"),
    "no username": (lambda issuer: issuer.token(sub=None), "claim not present"),
    "a username that is no text": (lambda issuer: issuer.token(sub=["a"]), "not a string"),
    "groups that are no texts": (
        lambda issuer: issuer.token(groups=["a", {"b": 1}]),
        "parse groups claim",
    ),
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_bad_token_is_refused(tmp_path: Path, forgery: str) -> None:
    forge, why = FORGERIES[forgery]

    async def attempt(issuer: OidcIssuer, authenticators: JwtAuthenticators) -> None:
        assert why in await refusal(authenticators, forge(issuer))

    with_issuer(tmp_path, attempt)


@pytest.mark.parametrize(
    "token",
    [
        "",
        "opaque",
        "a.b",
        "a.b.c",
        "....",
        '{"payload":"","signatures":[]}',
        f"{segment({})}.{segment([])}.x",
        f"{segment({})}.{segment(b'[' * 5000)}.x",
        f"{segment({})}.{segment({'iss': 'https://other'})}.x",
        f"{segment({})}.{segment({'iss': ['https://other']})}.x",
        "é.é.é",
    ],
)
def test_a_token_that_names_no_issuer_of_ours_is_left_to_others(tmp_path: Path, token: str) -> None:
    async def attempt(issuer: OidcIssuer, authenticators: JwtAuthenticators) -> None:
        assert await authenticators.authenticate_token(token, ()) is None

    with_issuer(tmp_path, attempt)


def test_a_token_of_many_claims_is_read_in_bounded_time(tmp_path: Path) -> None:
    async def attempt(issuer: OidcIssuer, authenticators: JwtAuthenticators) -> None:
        groups = [f"group-{number}" for number in range(50_000)]
        started = time.perf_counter()
        assert len((await user_of(authenticators, issuer.token(groups=groups))).groups) == 50_000
        assert time.perf_counter() - started < 2

    with_issuer(tmp_path, attempt)


def test_only_the_algorithms_of_the_flag_are_good(tmp_path: Path) -> None:
    async def attempt(issuer: OidcIssuer, authenticators: JwtAuthenticators) -> None:
        await user_of(authenticators, issuer.token(RSA))
        assert "unsupported algorithm" in await refusal(authenticators, issuer.token(EC))

    with_issuer(tmp_path, attempt, algorithms=frozenset(["RS256"]))


def test_an_algorithm_without_a_public_key_cannot_be_allowed(tmp_path: Path) -> None:
    async def attempt(issuer: OidcIssuer, authenticators: JwtAuthenticators) -> None:
        forged = signed_with_the_public_key(issuer)
        assert "unsupported algorithm" in await refusal(authenticators, forged)

    with_issuer(tmp_path, attempt, algorithms=frozenset(["RS256", "HS256", "none"]))


@pytest.mark.parametrize(
    ("claims", "good"),
    [
        ({"email": "jane@x.org"}, True),
        ({"email": "jane@x.org", "email_verified": True}, True),
        ({"email": "jane@x.org", "email_verified": False}, False),
        ({"email": "jane@x.org", "email_verified": "true"}, False),
        ({"email": ""}, False),
    ],
)
def test_an_address_names_a_user_only_if_it_is_not_known_to_be_unverified(
    tmp_path: Path, claims: dict[str, object], good: bool
) -> None:
    async def attempt(issuer: OidcIssuer, authenticators: JwtAuthenticators) -> None:
        token = issuer.token(**claims)
        if good:
            assert (await user_of(authenticators, token)).name == "jane@x.org"
        else:
            await refusal(authenticators, token)

    mappings = ClaimMappings(username=PrefixedClaimOrExpression("email", ""))
    with_issuer(tmp_path, attempt, claim_mappings=mappings)


# -- the issuer -------------------------------------------------------------------------


def test_a_new_key_of_the_issuer_is_found_when_a_token_names_it(tmp_path: Path) -> None:
    async def attempt(issuer: OidcIssuer, authenticators: JwtAuthenticators) -> None:
        token = issuer.token(issuer.keys[0])
        await user_of(authenticators, token)
        issuer.keys = [rsa_key("rsa-2")]
        (one,) = authenticators._authenticators.values()
        one._provider._fetched_at_s -= provider.LEAST_REFRESH_INTERVAL_S
        asked = issuer.requests.count("/keys")
        new = issuer.token()
        users = await asyncio.gather(*(user_of(authenticators, new) for _ in range(20)))
        assert {user.name for user in users} == {"oidc:jane"}
        assert issuer.requests.count("/keys") == asked + 1, "those who ask at once share one answer"
        assert "failed to verify" in await refusal(authenticators, token), "the former key is gone"

    with_issuer(tmp_path, attempt)


def test_tokens_with_made_up_keys_do_not_make_us_flood_the_issuer(tmp_path: Path) -> None:
    async def attempt(issuer: OidcIssuer, authenticators: JwtAuthenticators) -> None:
        forged = issuer.token(ec_key("made-up"))
        for _ in range(20):
            assert "failed to verify" in await refusal(authenticators, forged)
        assert issuer.requests.count("/keys") == 1

    with_issuer(tmp_path, attempt)


def test_the_former_keys_stay_while_the_issuer_is_down(tmp_path: Path) -> None:
    async def attempt(issuer: OidcIssuer, authenticators: JwtAuthenticators) -> None:
        issuer.failing = True
        (one,) = authenticators._authenticators.values()
        one._provider._fetched_at_s -= provider.LEAST_REFRESH_INTERVAL_S
        await refusal(authenticators, issuer.token(ec_key("made-up")))
        assert (await user_of(authenticators, issuer.token())).name == "oidc:jane"

    with_issuer(tmp_path, attempt)


def test_an_issuer_that_is_down_at_the_start_is_asked_until_it_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provider, "RETRY_S", 0.02)

    async def scenario() -> None:
        async with oidc_issuer(tmp_path, RSA, failing=True) as issuer:
            authenticators = JwtAuthenticators([settings(issuer)])
            async with running(authenticators, ready=False):
                await until(lambda: bool(issuer.requests))
                assert await refusal(authenticators, issuer.token()) == (
                    "oidc: authenticator not initialized"
                )
                issuer.failing = False
                await until(lambda: not authenticators.problems)
                assert (await user_of(authenticators, issuer.token())).name == "oidc:jane"

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("discovery", "problem"),
    [
        ({"issuer": "https://other"}, "issuer did not match"),
        ({"jwks_uri": "http://127.0.0.1/keys"}, "not an https URL"),
        ({"jwks_uri": None}, "not an https URL"),
    ],
)
def test_an_issuer_with_another_document_is_not_believed(
    tmp_path: Path, discovery: dict[str, object], problem: str
) -> None:
    async def scenario() -> None:
        async with oidc_issuer(tmp_path, RSA) as issuer:
            issuer.discovery = discovery
            authenticators = JwtAuthenticators([settings(issuer)])
            async with running(authenticators, ready=False):
                await until(lambda: problem in authenticators.problems[0])
                await refusal(authenticators, issuer.token())

    asyncio.run(scenario())


def test_an_issuer_whose_certificate_nobody_signed_is_not_believed(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with oidc_issuer(tmp_path, RSA) as issuer:
            issuer.ca = ""
            authenticators = JwtAuthenticators([settings(issuer)])
            async with running(authenticators, ready=False):
                await until(lambda: "CERTIFICATE_VERIFY_FAILED" in authenticators.problems[0])

    asyncio.run(scenario())


def test_the_discovery_url_is_asked_in_place_of_the_well_known_one(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with oidc_issuer(tmp_path, RSA) as issuer:
            url = f"{issuer.url}/inside/.well-known/openid-configuration"
            issuer.discovery = {"jwks_uri": f"{issuer.url}/keys", "issuer": "https://outside"}
            place = Issuer("https://outside", url, issuer.ca, (AUDIENCE, "b"), "MatchAny")
            authenticators = JwtAuthenticators([settings(issuer, issuer=place)])
            async with running(authenticators):
                token = issuer.token(iss="https://outside", aud=["x", "b"])
                assert (await user_of(authenticators, token)).name == "oidc:jane"
            assert issuer.requests[0] == "/inside/.well-known/openid-configuration"

    asyncio.run(scenario())


def test_two_issuers_do_not_sign_for_each_other(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with oidc_issuer(tmp_path, RSA) as one, oidc_issuer(tmp_path, EC) as other:
            authenticators = JwtAuthenticators([settings(one), settings(other)])
            async with running(authenticators):
                assert (await user_of(authenticators, one.token())).name == "oidc:jane"
                assert (await user_of(authenticators, other.token())).name == "oidc:jane"
                assert "failed to verify" in await refusal(authenticators, one.token(EC))

    asyncio.run(scenario())


# -- distributed claims ------------------------------------------------------------------


def test_groups_may_lie_elsewhere_signed_by_the_issuer(tmp_path: Path) -> None:
    async def attempt(issuer: OidcIssuer, authenticators: JwtAuthenticators) -> None:
        issuer.claims["/groups"] = issuer.token(groups=["far", "away"])
        source = {"endpoint": f"{issuer.url}/groups", "access_token": "t1"}
        token = issuer.token(_claim_names={"groups": "a"}, _claim_sources={"a": source})
        assert (await user_of(authenticators, token)).groups == ("far", "away")
        assert issuer.bearers == ["Bearer t1"]

    with_issuer(tmp_path, attempt)


@pytest.mark.parametrize(
    ("names", "sources", "why"),
    [
        ([], {}, "claim names"),
        ({"groups": "a"}, None, "no claim sources"),
        ({"groups": "a"}, {}, "missing in _claim_sources"),
        ({"groups": "a"}, {"a": {"endpoint": "http://127.0.0.1:1/"}}, "not an https URL"),
        ({"groups": "a"}, {"a": {"endpoint": "file:///etc/passwd"}}, "not an https URL"),
        ({"groups": "a"}, {"a": {"endpoint": "ISSUER/forged"}}, "failed to verify"),
        ({"groups": "a"}, {"a": {"endpoint": "ISSUER/other"}}, "did not contain claim"),
        ({"groups": "a"}, {"a": {"endpoint": "ISSUER/nothing"}}, "status 404"),
    ],
)
def test_groups_from_elsewhere_that_are_not_good_refuse_the_token(
    tmp_path: Path, names: object, sources: Any, why: str
) -> None:
    async def attempt(issuer: OidcIssuer, authenticators: JwtAuthenticators) -> None:
        issuer.claims["/forged"] = issuer.token(rsa_key(RSA.kid), groups=["system:masters"])
        issuer.claims["/other"] = issuer.token(sub="jane")
        placed = orjson.loads(orjson.dumps(sources).replace(b"ISSUER", issuer.url.encode()))
        token = issuer.token(_claim_names=names, _claim_sources=placed)
        assert why in await refusal(authenticators, token)

    with_issuer(tmp_path, attempt)


def test_an_answer_tells_nothing_of_audiences(tmp_path: Path) -> None:
    async def attempt(issuer: OidcIssuer, authenticators: JwtAuthenticators) -> None:
        found = await authenticators.authenticate_token(issuer.token(), ("api",))
        assert found == Authenticated(UserInfo("oidc:jane"))

    with_issuer(tmp_path, attempt)
