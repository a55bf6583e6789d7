"""What the controllers put into Secrets, and when they leave one alone."""

from __future__ import annotations

import base64
from typing import Any

import jwt

from services.controllers.client import StatusError
from services.controllers.serviceaccounts import is_active, is_terminating
from services.controllers.serviceaccounttokens import filled
from tests.unit.accountsworld import KEY

ACCOUNT = {"metadata": {"namespace": "ns", "name": "robot", "uid": "u"}}


def secret(**data: str) -> dict[str, Any]:
    encoded = {name: base64.b64encode(text.encode()).decode() for name, text in data.items()}
    annotations = {"kubernetes.io/service-account.name": "robot", "mine": "x"}
    metadata = {"namespace": "ns", "name": "s", "annotations": annotations}
    return {"metadata": metadata, "data": encoded} if data else {"metadata": metadata}


def decoded(found: dict[str, Any] | None) -> dict[str, str]:
    assert found is not None
    return {name: base64.b64decode(text).decode() for name, text in found["data"].items()}


def test_an_empty_secret_gets_all() -> None:
    found = filled(secret(), ACCOUNT, "CA", KEY)
    data = decoded(found)
    assert (data["namespace"], data["ca.crt"]) == ("ns", "CA")
    public = KEY.verification.public
    assert jwt.decode(data["token"], public, algorithms=["RS256"]) == {
        "iss": "kubernetes/serviceaccount",
        "kubernetes.io/serviceaccount/namespace": "ns",
        "kubernetes.io/serviceaccount/secret.name": "s",
        "kubernetes.io/serviceaccount/service-account.name": "robot",
        "kubernetes.io/serviceaccount/service-account.uid": "u",
        "sub": "system:serviceaccount:ns:robot",
    }
    assert found is not None
    assert found["metadata"]["annotations"] == {
        "kubernetes.io/service-account.name": "robot",
        "kubernetes.io/service-account.uid": "u",
        "mine": "x",
    }


def test_a_whole_secret_is_left_alone() -> None:
    assert filled(secret(token="t", namespace="ns", **{"ca.crt": "CA"}), ACCOUNT, "CA", KEY) is None
    assert filled(secret(token="t", namespace="ns"), ACCOUNT, "", KEY) is None


def test_only_certificates_that_changed_are_replaced() -> None:
    found = filled(
        secret(token="t", namespace="mine", more="x", **{"ca.crt": "old"}), ACCOUNT, "CA", KEY
    )
    assert decoded(found) == {"token": "t", "namespace": "mine", "more": "x", "ca.crt": "CA"}


def test_a_namespace_that_goes_gets_nothing() -> None:
    assert is_active({"status": {"phase": "Active"}})
    assert not is_active({"status": {"phase": "Terminating"}})
    assert not is_active({})
    causes = {"details": {"causes": [{"reason": "NamespaceTerminating"}]}}
    assert is_terminating(StatusError({"code": 403, **causes}))
    assert not is_terminating(StatusError({"code": 403}))
