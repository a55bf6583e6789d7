"""kubectl auth and --as: reviews, impersonation, roles as people use them."""

from __future__ import annotations

import time

from tests.e2e.kubectl import Kubectl, Result
from tests.e2e.manifests import configmap


def wait_for(kubectl: Kubectl, *arguments: str, code: int = 0) -> Result:
    """Run kubectl until it ends with `code`: another process acts on what was written."""
    deadline = time.monotonic() + 10
    while (result := kubectl.run(*arguments)).code != code and time.monotonic() < deadline:
        time.sleep(0.1)
    assert result.code == code, result.out + result.err
    return result


def test_the_admin_can_do_everything(kubectl: Kubectl) -> None:
    assert kubectl("auth", "can-i", "*", "*").strip() == "yes"
    listed = kubectl("auth", "can-i", "--list")
    assert "*.*" in listed


def test_whoami(kubectl: Kubectl) -> None:
    out = kubectl("auth", "whoami", "-o", "jsonpath={.status.userInfo.groups}")
    assert out == '["system:masters","system:authenticated"]'
    assert "eve" in kubectl("auth", "whoami", "--as=eve")


def test_a_role_and_its_binding_open_what_they_say(kubectl: Kubectl) -> None:
    as_eve = ("--as=eve", "--as-group=testers")
    kubectl.create(configmap("one"))
    refused = kubectl.fails("get", "configmaps", *as_eve)
    assert 'User "eve" cannot list resource "configmaps"' in refused
    kubectl("create", "role", "reader", "--verb=get,list", "--resource=configmaps")
    kubectl("create", "rolebinding", "reads", "--role=reader", "--group=testers")
    assert "one" in wait_for(kubectl, "get", "configmaps", *as_eve).out
    assert kubectl("auth", "can-i", "list", "configmaps", *as_eve).strip() == "yes"
    assert kubectl.run("auth", "can-i", "delete", "configmaps", *as_eve).out.strip() == "no"
    kubectl("delete", "rolebinding", "reads")
    wait_for(kubectl, "get", "configmaps", *as_eve, code=1)


def test_view_shows_what_its_parts_say(kubectl: Kubectl) -> None:
    """The rules of view are filled in by a controller."""
    kubectl("create", "rolebinding", "views", "--clusterrole=view", "--user=viewer")
    wait_for(kubectl, "get", "configmaps", "--as=viewer")
    assert "forbidden" in kubectl.fails("get", "secrets", "--as=viewer")


def test_nobody_gives_away_more_than_it_has(kubectl: Kubectl) -> None:
    kubectl(
        *("create", "role", "author", "--verb=create,get,update,patch"),
        "--resource=roles.rbac.authorization.k8s.io",
    )
    kubectl("create", "rolebinding", "authors", "--role=author", "--user=ann")
    wait_for(kubectl, "auth", "can-i", "create", "roles.rbac.authorization.k8s.io", "--as=ann")
    wanted = ("create", "role", "more", "--verb=get", "--resource=secrets", "--as=ann")
    refused = kubectl.fails(*wanted)
    assert "attempting to grant RBAC permissions not currently held" in refused
    assert 'Resources:["secrets"]' in refused
