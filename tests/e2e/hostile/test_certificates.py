"""A signing request gives nobody a name, a group or a signer's right."""

from __future__ import annotations

from tests.e2e.hostile.objects import REQUESTS, right, signing_request
from tests.e2e.hostile.world import World


def test_no_certificate_of_masters_and_no_approval_without_the_signer(world: World) -> None:
    group = "certificates.k8s.io"
    user = world.user_with(
        right("*", "certificatesigningrequests", group=group),
        right("*", "certificatesigningrequests/approval", group=group),
        right("*", "certificatesigningrequests/status", group=group),
        right("approve sign", "signers", group=group, names="example.com/own"),
    )
    client = "kubernetes.io/kube-apiserver-client"
    assert not user.may("POST", REQUESTS, signing_request("admin", "system:masters", client))
    made = user.ask("POST", REQUESTS, signing_request("x", "dev", client))
    assert made.status == 201, made.body
    path = f"{REQUESTS}/{made.body['metadata']['name']}"
    approved = {"type": "Approved", "status": "True", "reason": "x"}
    change = {"status": {"conditions": [approved]}}
    assert not user.may("PATCH", f"{path}/approval", change)
    failed = {"status": {"conditions": [{"type": "Failed", "status": "True"}]}}
    assert not user.may("PATCH", f"{path}/status", failed)
    own = user.ask("POST", REQUESTS, signing_request("x", "dev", "example.com/own"))
    assert user.may("PATCH", f"{REQUESTS}/{own.body['metadata']['name']}/approval", change)


def test_a_request_tells_who_made_it_whatever_it_says(world: World) -> None:
    user = world.user_with(
        right("create", "certificatesigningrequests", group="certificates.k8s.io")
    )
    claimed = signing_request("x", "dev", "example.com/own")
    claimed["spec"] |= {"username": "admin", "uid": "0", "groups": ["system:masters"]}
    made = user.ask("POST", REQUESTS, claimed).body["spec"]
    assert made["username"] == user.name
    assert made["groups"] == ["system:authenticated"]
