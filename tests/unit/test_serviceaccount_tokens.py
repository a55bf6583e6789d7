"""Service account tokens: whose they are, and that the bad ones are bad."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from services.apiserver.authentication import Authenticated, NotedAuthenticated
from services.apiserver.serviceaccounts.claims import Reference
from services.apiserver.serviceaccounts.discovery import web_key
from services.apiserver.serviceaccounts.signature import SignedTokens
from tests.unit.accountsworld import (
    AUDIENCE,
    EC_KEY,
    FOREIGN_KEY,
    ISSUER,
    KEY,
    NOW,
    OTHER_ISSUER,
    ROBOT,
    AccountsWorld,
    claims,
    run,
    token,
)

INVALIDATED = "service account token has been invalidated"
EXTRA = "authentication.kubernetes.io/"


def encoded(value: Any) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def payload(**changed: Any) -> dict[str, Any]:
    return {**claims().payload(ISSUER), **changed}


def test_a_token_is_its_accounts(tmp_path: Path) -> None:
    async def story(world: AccountsWorld) -> None:
        found = await world.whose(token())
        assert found is not None
        assert found.audiences == (AUDIENCE,)
        assert found.user.name == "system:serviceaccount:ns:robot"
        assert found.user.uid == ROBOT.uid
        assert found.user.groups == (
            "system:serviceaccounts",
            "system:serviceaccounts:ns",
            "system:authenticated",
        )
        assert found.user.extra_as_dict() == {f"{EXTRA}credential-id": ["JTI=id"]}

    run(tmp_path, story)


def test_a_token_tells_of_its_pod_and_node(tmp_path: Path) -> None:
    async def story(world: AccountsWorld) -> None:
        await world.put("pods", "p", "uid-p")
        bound = token(pod=Reference("p", "uid-p"), node=Reference("n", "uid-n"))
        found = await world.whose(bound)
        assert found is not None
        assert found.user.extra_as_dict() == {
            f"{EXTRA}credential-id": ["JTI=id"],
            f"{EXTRA}node-name": ["n"],
            f"{EXTRA}node-uid": ["uid-n"],
            f"{EXTRA}pod-name": ["p"],
            f"{EXTRA}pod-uid": ["uid-p"],
        }

    run(tmp_path, story)


def test_keys_of_both_kinds_and_all_issuers_are_good(tmp_path: Path) -> None:
    async def story(world: AccountsWorld) -> None:
        for key in (KEY, EC_KEY):
            for issuer in (ISSUER, OTHER_ISSUER):
                assert await world.whose(token(key, issuer=issuer))

    run(tmp_path, story)


def test_a_token_without_key_id_is_tried_with_every_key(tmp_path: Path) -> None:
    async def story(world: AccountsWorld) -> None:
        assert await world.whose(jwt.encode(payload(), EC_KEY.private, algorithm="ES256"))

    run(tmp_path, story)


@pytest.mark.parametrize(
    "foreign",
    [
        "",
        "opaque",
        "a.b",
        "a.b.c.d",
        "..",
        "e30.e30.e30",
        "!!!.???.###",
        f"{encoded({'alg': 'RS256'})}.{encoded(b'not json')}.AAAA",
        f"{encoded({'alg': 'RS256'})}.{encoded([1])}.AAAA",
        f"{encoded({'alg': 'RS256'})}.{encoded({'iss': ['x']})}.AAAA",
        f"{encoded({'alg': 'RS256'})}.{encoded({'iss': 'https://elsewhere.test'})}.AAAA",
        f"{encoded({'alg': 'RS256'})}.A.AAAA",
        "a" * 2_000_000,
        ".".join(("a" * 700_000,) * 3),
        "ä.ö.ü",
        "\ud800.a.b",
    ],
    ids=lambda text: text[:24].encode("ascii", "replace").decode() or "empty",
)
def test_what_is_no_token_of_ours_is_left_to_others(tmp_path: Path, foreign: str) -> None:
    async def story(world: AccountsWorld) -> None:
        assert await world.whose(foreign) is None

    run(tmp_path, story)


def forged_signature() -> str:
    head, body, signature = token().split(".")
    return f"{head}.{body}.{signature[::-1]}"


def changed_payload() -> str:
    head, _, signature = token().split(".")
    return f"{head}.{encoded(payload(sub='system:serviceaccount:kube-system:admin'))}.{signature}"


def no_algorithm(name: str) -> str:
    return f"{encoded({'alg': name})}.{encoded(payload())}.AAAA"


def public_key_as_secret(form: PublicFormat, encoding: Encoding) -> str:
    """HS256, «signed» with what everybody may know."""
    secret = KEY.verification.public.public_bytes(encoding, form)
    head = encoded({"alg": "HS256", "kid": KEY.verification.key_id})
    signed = f"{head}.{encoded(payload())}"
    return f"{signed}.{encoded(hmac.new(secret, signed.encode(), hashlib.sha256).digest())}"


def own_key_in_header() -> str:
    """A signature that is good by the key that the token itself brings."""
    brought = web_key(FOREIGN_KEY.verification)
    headers = {"jwk": brought, "kid": KEY.verification.key_id}
    return jwt.encode(payload(), FOREIGN_KEY.private, algorithm="RS256", headers=headers)


def with_header(**header: Any) -> str:
    _, body, signature = token().split(".")
    return (
        f"{encoded({'alg': 'RS256', 'kid': KEY.verification.key_id, **header})}.{body}.{signature}"
    )


FORGED = {
    "another signature": forged_signature(),
    "another payload": changed_payload(),
    "a key that is not ours": token(FOREIGN_KEY),
    "no algorithm": no_algorithm("none"),
    "no algorithm, spelt otherwise": no_algorithm("nOnE"),
    "an empty algorithm": no_algorithm(""),
    "an unknown algorithm": no_algorithm("XX999"),
    "HS256 by the PEM of the public key": public_key_as_secret(
        PublicFormat.SubjectPublicKeyInfo, Encoding.PEM
    ),
    "HS256 by the DER of the public key": public_key_as_secret(
        PublicFormat.SubjectPublicKeyInfo, Encoding.DER
    ),
    "HS256 by the PKCS1 of the public key": public_key_as_secret(PublicFormat.PKCS1, Encoding.PEM),
    "the algorithm of the other key": with_header(alg="ES256"),
    "another hash": with_header(alg="RS512"),
    "the id of the other key": with_header(kid=EC_KEY.verification.key_id),
    "an unknown key id": with_header(kid="x"),
    "a key id that is no text": with_header(kid=7),
    "a key id that is a path": with_header(kid="../../etc/passwd"),
    "its own key": own_key_in_header(),
    "a critical extension": with_header(crit=["exp"]),
    "a header that is no object": f"{encoded([1])}.{encoded(payload())}.AAAA",
    "a header that is no JSON": f"{encoded(b'{')}.{encoded(payload())}.AAAA",
}


@pytest.mark.parametrize("forged", FORGED.values(), ids=FORGED)
def test_a_forged_token_is_refused(tmp_path: Path, forged: str) -> None:
    async def story(world: AccountsWorld) -> None:
        assert await world.whose(token())  # a good one before does not help
        assert await world.refused(forged)

    run(tmp_path, story)


def test_junk_behind_a_signature_is_not_passed_over(tmp_path: Path) -> None:
    async def story(world: AccountsWorld) -> None:
        assert await world.whose(token() + "!") is None
        assert await world.whose(token() + "\n") is None
        assert await world.refused(token() + "AAAA")

    run(tmp_path, story)


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"expires_at": int(NOW) - 61}, "service account token has expired"),
        ({"not_before": int(NOW) + 61}, "service account token is not valid yet"),
        ({"issued_at": int(NOW) + 61}, "service account token is issued in the future"),
        (
            {"audiences": ("vault", "x")},
            'token audiences ["vault" "x"] is invalid for the target audiences ["api"]',
        ),
        ({"namespace": "other"}, 'serviceaccounts "robot" not found'),
        (
            {"account": Reference("robot", "uid-older")},
            "service account UID (uid-robot) does not match claim (uid-older)",
        ),
        ({"account": Reference("ghost", "uid-robot")}, 'serviceaccounts "ghost" not found'),
        ({"account": Reference("", "")}, 'serviceaccounts "" not found'),
        ({"pod": Reference("ghost", "u")}, INVALIDATED),
        ({"secret": Reference("ghost", "u")}, INVALIDATED),
        ({"node": Reference("ghost", "u")}, INVALIDATED),
    ],
)
def test_a_token_of_ours_that_says_too_much_is_refused(
    tmp_path: Path, changed: dict[str, Any], why: str
) -> None:
    async def story(world: AccountsWorld) -> None:
        assert await world.refused(token(**changed)) == why

    run(tmp_path, story)


@pytest.mark.parametrize(
    "changed",
    [
        {"expires_at": int(NOW) - 59},
        {"not_before": int(NOW) + 59},
        {"issued_at": int(NOW) + 59},
        {"audiences": ("vault", AUDIENCE)},
        {"audiences": ()},
    ],
)
def test_clocks_may_differ_and_one_audience_is_enough(
    tmp_path: Path, changed: dict[str, Any]
) -> None:
    async def story(world: AccountsWorld) -> None:
        assert await world.whose(token(**changed))

    run(tmp_path, story)


@pytest.mark.parametrize(
    "malformed",
    [
        {"exp": "soon"},
        {"nbf": True},
        {"iat": []},
        {"aud": {"a": 1}},
        {"aud": ["api", 1]},
        {"jti": 5},
        {"kubernetes.io": "x"},
        {"kubernetes.io": {"namespace": 1}},
        {"kubernetes.io": {"namespace": "ns", "serviceaccount": "robot"}},
        {"kubernetes.io": {"namespace": "ns", "serviceaccount": {"name": ["robot"]}}},
        {"kubernetes.io": None},
        {"kubernetes.io": {}},
    ],
    ids=str,
)
def test_malformed_claims_are_refused_even_if_signed(
    tmp_path: Path, malformed: dict[str, Any]
) -> None:
    async def story(world: AccountsWorld) -> None:
        assert await world.refused(KEY.sign(payload(**malformed)))

    run(tmp_path, story)


def test_a_used_token_expires(tmp_path: Path) -> None:
    async def story(world: AccountsWorld) -> None:
        used = token()
        assert await world.whose(used)
        world.now += 3600 + 61
        assert await world.refused(used) == "service account token has expired"

    run(tmp_path, story)


def test_a_token_dies_with_its_account_and_does_not_rise_with_a_namesake(tmp_path: Path) -> None:
    async def story(world: AccountsWorld) -> None:
        used, unused = token(), token(token_id="other")
        assert await world.whose(used)
        await world.delete("serviceaccounts", "robot")
        await world.catch_up()
        for one in (used, unused):
            assert await world.refused(one) == 'serviceaccounts "robot" not found'
        await world.put("serviceaccounts", "robot", "uid-new")
        await world.catch_up()
        for one in (used, unused):
            assert "does not match claim" in await world.refused(one)
        assert await world.whose(token(account=Reference("robot", "uid-new")))

    run(tmp_path, story)


@pytest.mark.parametrize(
    ("resource", "kind"), [("pods", "pod"), ("secrets", "secret"), ("nodes", "node")]
)
def test_a_token_dies_with_what_it_is_bound_to(tmp_path: Path, resource: str, kind: str) -> None:
    async def story(world: AccountsWorld) -> None:
        await world.put(resource, "x", "uid-x")
        await world.catch_up()
        bound = token(**{kind: Reference("x", "uid-x")})
        assert await world.whose(bound)
        await world.put(resource, "x", "uid-namesake")
        await world.catch_up()
        assert "UID (uid-namesake) does not match" in await world.refused(bound)
        await world.delete(resource, "x")
        await world.catch_up()
        assert await world.refused(bound) == INVALIDATED

    run(tmp_path, story)


@pytest.mark.parametrize("resource", ["pods", "serviceaccounts", "secrets", "nodes"])
def test_what_is_being_deleted_counts_as_gone_a_minute_after_its_time(
    tmp_path: Path, resource: str
) -> None:
    async def story(world: AccountsWorld) -> None:
        name, uid = ("robot", ROBOT.uid) if resource == "serviceaccounts" else ("x", "uid-x")
        going = {"deletionTimestamp": "2027-01-15T08:00:00Z"}
        await world.put(resource, name, uid, meta=going)
        await world.catch_up()
        bound = {} if resource == "serviceaccounts" else {resource[:-1]: Reference(name, uid)}
        used = token(**bound)
        assert await world.whose(used)
        world.now = NOW + 59
        assert await world.whose(used)
        world.now = NOW + 61
        assert await world.refused(used)

    run(tmp_path, story)


def test_a_pods_node_may_go_before_the_pod(tmp_path: Path) -> None:
    async def story(world: AccountsWorld) -> None:
        await world.put("pods", "x", "uid-x")
        assert await world.whose(token(pod=Reference("x", "uid-x"), node=Reference("n", "u")))

    run(tmp_path, story)


def test_a_token_may_be_newer_than_the_cache(tmp_path: Path) -> None:
    async def story(world: AccountsWorld) -> None:
        await world.put("serviceaccounts", "robot", "uid-new")
        await world.put("pods", "p", "uid-p")
        bound = token(account=Reference("robot", "uid-new"), pod=Reference("p", "uid-p"))
        assert await world.whose(bound)

    run(tmp_path, story)


def test_the_storage_is_not_asked_about_what_the_cache_shows(tmp_path: Path) -> None:
    async def story(world: AccountsWorld) -> None:
        used = token()
        for _ in range(3):
            await world.whose(used)
        await world.put("serviceaccounts", "robot", ROBOT.uid, secrets=[{"name": "x"}])
        await world.catch_up()
        await world.whose(used)
        assert world.live_reads == 0

    run(tmp_path, story)


def test_only_so_many_tokens_are_kept() -> None:
    signed = SignedTokens((ISSUER,), (EC_KEY.verification,), maximum=3)
    used = [token(EC_KEY, token_id=str(number)) for number in range(5)]
    first = signed.read(used[0])
    assert signed.read(used[0]) is first
    for one in used:
        signed.read(one)
    assert "3 tokens kept" in repr(signed)
    assert signed.read(used[0]) is not first


def test_a_token_review_asks_for_its_own_audiences(tmp_path: Path) -> None:
    async def story(world: AccountsWorld) -> None:
        for_vault = token(audiences=("vault", "x"))
        found = await world.whose(for_vault, audiences=("y", "vault"))
        assert found is not None
        assert found.audiences == ("vault",)
        assert await world.refused(for_vault)

    run(tmp_path, story)


# -- tokens out of Secrets ------------------------------------------------------------


def legacy(key: Any = KEY, **changed: Any) -> str:
    prefix = "kubernetes.io/serviceaccount/"
    said = {
        "iss": "kubernetes/serviceaccount",
        f"{prefix}namespace": "ns",
        f"{prefix}secret.name": "robot-token",
        f"{prefix}service-account.name": "robot",
        f"{prefix}service-account.uid": ROBOT.uid,
        "sub": "system:serviceaccount:ns:robot",
    }
    signed: str = key.sign({**said, **changed})
    return signed


async def keep(world: AccountsWorld, stored: str, **meta: Any) -> None:
    data = {"token": base64.b64encode(stored.encode()).decode()}
    await world.put("secrets", "robot-token", "uid-s", data=data, meta=meta)
    await world.catch_up()


def test_a_token_out_of_a_secret_is_its_accounts(tmp_path: Path) -> None:
    async def story(world: AccountsWorld) -> None:
        await keep(world, legacy())
        found = await world.whose(legacy())
        assert found is not None
        assert found.user.name == "system:serviceaccount:ns:robot"
        assert found.user.extra == ()
        assert found.audiences == (AUDIENCE,)

    run(tmp_path, story)


def test_the_day_of_its_last_use_is_noted_on_a_secret(tmp_path: Path) -> None:
    async def story(world: AccountsWorld) -> None:
        await keep(world, legacy())
        revisions = []
        for later_s, day in ((0, "2027-01-15"), (60, "2027-01-15"), (86400, "2027-01-16")):
            world.now = NOW + later_s
            assert await world.whose(legacy())
            labels = (await world.stored("secrets", "robot-token"))["metadata"]["labels"]
            assert labels == {"kubernetes.io/legacy-token-last-used": day}
            revisions.append(await world.storage.current_revision())
        assert revisions[0] == revisions[1] < revisions[2]

    run(tmp_path, story)


def test_a_secret_that_holds_another_token_makes_the_older_one_bad(tmp_path: Path) -> None:
    async def story(world: AccountsWorld) -> None:
        older, newer = legacy(EC_KEY), legacy(EC_KEY)
        assert older != newer
        await keep(world, older)
        assert await world.whose(older)
        await keep(world, newer)
        assert await world.whose(newer)
        assert await world.refused(older) == "Token does not match server's copy"

    run(tmp_path, story)


def test_a_token_dies_with_its_secret_unless_nobody_looks(tmp_path: Path) -> None:
    async def story(world: AccountsWorld) -> None:
        assert await world.refused(legacy()) == "Token has been invalidated"
        await keep(world, legacy(), deletionTimestamp="2027-01-15T08:00:00Z")
        assert await world.refused(legacy()) == "Token has been invalidated"
        world.tokens = world.authenticator(lookup=False)
        assert await world.whose(legacy())

    run(tmp_path, story)


def test_a_secret_marked_invalid_makes_its_token_bad(tmp_path: Path) -> None:
    async def story(world: AccountsWorld) -> None:
        label = "kubernetes.io/legacy-token-invalid-since"
        await keep(world, legacy(), labels={label: "2026-01-01"})
        assert "has been marked invalid" in await world.refused(legacy())

    run(tmp_path, story)


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"sub": ""}, "sub claim is missing"),
        ({"sub": "system:serviceaccount:ns:admin"}, "sub claim is invalid"),
        ({"kubernetes.io/serviceaccount/namespace": ""}, "namespace claim is missing"),
        ({"kubernetes.io/serviceaccount/secret.name": ""}, "secretName claim is missing"),
        ({"exp": int(NOW) - 100}, "service account token has expired"),
        ({"aud": ["vault"]}, 'token audiences ["vault"] is invalid'),
        (
            {"kubernetes.io/serviceaccount/service-account.uid": "older"},
            "ServiceAccount UID (uid-robot) does not match claim (older)",
        ),
    ],
)
def test_a_token_for_a_secret_that_says_too_much_is_refused(
    tmp_path: Path, changed: dict[str, Any], why: str
) -> None:
    async def story(world: AccountsWorld) -> None:
        bad = legacy(**changed)
        await keep(world, bad)
        assert why in await world.refused(bad)

    run(tmp_path, story)


def used(world: AccountsWorld) -> dict[str, float]:
    """How many tokens of each kind were used."""
    prefix, suffix = "serviceaccount_", "_tokens_total"
    return {
        one.name.removeprefix(prefix).removesuffix(suffix): one.value
        for family in world.tokens.uses.families()
        for one in family.samples
    }


def test_a_token_after_its_warning_is_noted_as_stale(tmp_path: Path) -> None:
    async def story(world: AccountsWorld) -> None:
        long = token(expires_at=int(NOW) + 86400, warn_after=int(NOW) + 3607)
        for later_s in (0, 3607):
            world.now = NOW + later_s
            assert type(await world.whose(long)) is Authenticated
        world.now = NOW + 3667.9
        found = await world.whose(long)
        assert isinstance(found, NotedAuthenticated)
        told = "subject: system:serviceaccount:ns:robot, seconds after warning threshold: 60"
        assert found.notes == (("authentication.k8s.io/stale-token", told),)
        assert used(world) == {"legacy": 0, "stale": 1, "valid": 2}

    run(tmp_path, story)


def test_a_token_out_of_a_secret_is_noted_as_legacy(tmp_path: Path) -> None:
    async def story(world: AccountsWorld) -> None:
        await keep(world, legacy())
        found = await world.whose(legacy())
        assert isinstance(found, NotedAuthenticated)
        told = ("authentication.k8s.io/legacy-token", "system:serviceaccount:ns:robot")
        assert found.notes == (told,)
        assert used(world) == {"legacy": 1, "stale": 0, "valid": 0}

    run(tmp_path, story)
