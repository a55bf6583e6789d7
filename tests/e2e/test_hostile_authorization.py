"""Users who try to get at more than they were given: each attempt is refused.

Every test has a user of its own, who may do exactly what the test grants. What the attempt would
need is granted in some tests too: it has to be the missing right that it fails by.
"""

from __future__ import annotations

import base64
import itertools
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.e2e import system
from tests.e2e.tlsclient import Answer, Connection

RBAC = "/apis/rbac.authorization.k8s.io/v1"
GROUP = "rbac.authorization.k8s.io"
USERS, NODES = 100, ("n1", "n2")
ALL = {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}
CONFIG_MAPS = {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list"]}
SECRETS = {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "list"]}
WRITE_RBAC = {
    "apiGroups": [GROUP],
    "resources": ["roles", "rolebindings", "clusterroles", "clusterrolebindings"],
    "verbs": ["get", "create", "update", "patch", "delete"],
}
PATCH = ("Content-Type", "application/merge-patch+json")


def right(verbs: str, *resources: str, group: str = "", names: str = "") -> dict[str, Any]:
    rule = {"apiGroups": [group], "resources": list(resources), "verbs": verbs.split()}
    return {**rule, "resourceNames": names.split()} if names else rule


@dataclass
class User:
    """Somebody with a token."""

    name: str
    connection: Connection
    token: str

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *headers: tuple[str, str],
    ) -> Answer:
        raw = b"" if body is None else json.dumps(body).encode()
        kind = [PATCH] if method == "PATCH" else []
        own = ("Authorization", f"Bearer {self.token}")
        return self.connection.ask(method, path, [*kind, own, *headers], raw)

    def may(self, *arguments: Any) -> bool:
        """Whether a request is answered otherwise than by 403; 401 never comes in question."""
        answer = self.ask(*arguments)
        assert answer.status not in (400, 401, 415, 500), answer.body
        return answer.status != 403


@dataclass
class World:
    """One server with users and two nodes, each with a pod and its secret."""

    admin: User
    users: Iterator[User]
    nodes: dict[str, User]
    numbers: Iterator[int] = field(default_factory=itertools.count)

    def make(self, path: str, obj: dict[str, Any]) -> dict[str, Any]:
        answer = self.admin.ask("POST", path, obj)
        assert answer.status in (201, 409), answer.body
        made: dict[str, Any] = answer.body
        return made

    def user_with(self, *rules: dict[str, Any], namespace: str = "") -> User:
        """Return a new user with these rights, in one namespace or everywhere."""
        user, number = next(self.users), next(self.numbers)
        marker = right("get", f"marker{number}", group="example.com")
        path = f"{RBAC}/namespaces/{namespace}" if namespace else RBAC
        kind, plural = ("Role", "role") if namespace else ("ClusterRole", "clusterrole")
        name = f"given-{number}"
        self.make(f"{path}/{plural}s", role(name, *rules, marker, kind=kind))
        self.make(
            f"{path}/{plural}bindings",
            binding(name, (kind, name), ("User", user.name), kind=f"{kind}Binding"),
        )
        attributes = {"verb": "get", "group": "example.com", "resource": f"marker{number}"}
        self.until_may(user.name, {**attributes, "namespace": namespace})
        return user

    def until_may(self, user: str, attributes: dict[str, Any]) -> None:
        """Wait until the roles written have come to the authorizer."""
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {"user": user, "resourceAttributes": attributes},
        }
        deadline = time.monotonic() + 10
        path = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
        while not self.admin.ask("POST", path, review).body["status"]["allowed"]:
            assert time.monotonic() < deadline, attributes
            time.sleep(0.02)


def role(name: str, *rules: dict[str, Any], kind: str = "ClusterRole", **more: Any) -> Any:
    meta = {"name": name, **more.pop("metadata", {})}
    return {"apiVersion": f"{GROUP}/v1", "kind": kind, "metadata": meta, "rules": rules, **more}


def binding(
    name: str,
    referred: tuple[str, str],
    *subjects: tuple[str, str],
    kind: str = "ClusterRoleBinding",
) -> dict[str, Any]:
    return {
        "apiVersion": f"{GROUP}/v1",
        "kind": kind,
        "metadata": {"name": name},
        "roleRef": {"apiGroup": GROUP, "kind": referred[0], "name": referred[1]},
        "subjects": [{"apiGroup": GROUP, "kind": one[0], "name": one[1]} for one in subjects],
    }


def pod(name: str, node: str = "", **spec: Any) -> dict[str, Any]:
    meta = {"name": name, **spec.pop("metadata", {})}
    containers = [{"name": "c", "image": "i"}]
    spec = {"containers": containers, **({"nodeName": node} if node else {}), **spec}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    data_dir: Path = tmp_path_factory.mktemp("hostile")
    lines = ['admin-token,admin,uid-admin,"system:masters"']
    lines += [f"token-{number},mallory-{number},uid-{number}" for number in range(USERS)]
    lines += [f'token-{name},system:node:{name},{name},"system:nodes"' for name in NODES]
    (data_dir / "tokens.csv").write_text("\n".join(lines))
    flags = (
        f"--token-auth-file={data_dir}/tokens.csv",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--disable-admission-plugins=ServiceAccount",
    )
    with system.apiserver(data_dir, *flags) as server:
        connection = Connection(server.port)
        users = (User(f"mallory-{one}", connection, f"token-{one}") for one in range(USERS))
        nodes = {name: User(f"system:node:{name}", connection, f"token-{name}") for name in NODES}
        found = World(User("admin", connection, "admin-token"), users, nodes)
        found.make("/api/v1/namespaces", {"metadata": {"name": "ns"}})
        found.make("/api/v1/namespaces", {"metadata": {"name": "other"}})
        for namespace in ("ns", "other"):
            found.make(
                f"/api/v1/namespaces/{namespace}/serviceaccounts", {"metadata": {"name": "robot"}}
            )
        for name in NODES:
            found.make("/api/v1/nodes", {"metadata": {"name": name}})
            found.make("/api/v1/namespaces/ns/secrets", {"metadata": {"name": f"secret-of-{name}"}})
            found.make(
                "/api/v1/namespaces/ns/pods",
                pod(f"pod-of-{name}", name, imagePullSecrets=[{"name": f"secret-of-{name}"}]),
            )
        for name in ("one", "two"):
            found.make("/api/v1/namespaces/ns/configmaps", {"metadata": {"name": name}})
        yield found


# -- giving away rights ------------------------------------------------------------------


@pytest.mark.parametrize(
    "rule",
    [
        SECRETS,
        ALL,
        right("get", "*"),
        right("*", "configmaps"),
        right("get", "configmaps/status"),
        {**CONFIG_MAPS, "apiGroups": ["*"]},
        {"nonResourceURLs": ["*"], "verbs": ["get"]},
        right("impersonate", "users"),
        right("bind", "clusterroles", group=GROUP),
    ],
)
def test_roles_are_not_written_with_rights_their_author_lacks(
    world: World, rule: dict[str, Any]
) -> None:
    user = world.user_with(WRITE_RBAC, CONFIG_MAPS)
    roles, cluster_roles = f"{RBAC}/namespaces/ns/roles", f"{RBAC}/clusterroles"
    name = user.name
    assert user.may("POST", cluster_roles, role(name, CONFIG_MAPS))
    assert not user.may("POST", cluster_roles, role(f"{name}-more", rule))
    assert not user.may("PUT", f"{cluster_roles}/{name}", role(name, CONFIG_MAPS, rule))
    assert not user.may("PATCH", f"{cluster_roles}/{name}", {"rules": [rule]})
    if "nonResourceURLs" not in rule:
        assert not user.may("POST", roles, role(name, rule, kind="Role"))


def test_a_right_to_named_objects_is_none_to_all(world: World) -> None:
    user = world.user_with(WRITE_RBAC, right("get", "secrets", names="one"))
    path = f"{RBAC}/clusterroles"
    assert user.may("POST", path, role(f"{user.name}-a", right("get", "secrets", names="one")))
    assert not user.may("POST", path, role(f"{user.name}-b", right("get", "secrets")))
    assert not user.may(
        "POST", path, role(f"{user.name}-c", right("get", "secrets", names="one two"))
    )


@pytest.mark.parametrize("label", ["admin", "edit", "view"])
def test_aggregated_roles_are_not_fed_and_not_made(world: World, label: str) -> None:
    user = world.user_with(WRITE_RBAC, CONFIG_MAPS)
    labels = {f"{GROUP}/aggregate-to-{label}": "true"}
    fed = role(f"{user.name}-fed", SECRETS, metadata={"labels": labels})
    assert not user.may("POST", f"{RBAC}/clusterroles", fed)
    gathers = {"clusterRoleSelectors": [{"matchLabels": {"any": "thing"}}]}
    made = role(f"{user.name}-made", aggregationRule=gathers)
    assert not user.may("POST", f"{RBAC}/clusterroles", made)
    assert user.may("POST", f"{RBAC}/clusterroles", role(f"{user.name}-plain", CONFIG_MAPS))
    change = {"aggregationRule": gathers}
    assert not user.may("PATCH", f"{RBAC}/clusterroles/{user.name}-plain", change)


@pytest.mark.parametrize("verb", ["escalate", "bind"])
def test_escalate_and_bind_on_named_roles_reach_no_others(world: World, verb: str) -> None:
    limited = right(verb, "clusterroles", group=GROUP, names="view")
    user = world.user_with(WRITE_RBAC, limited)
    if verb == "escalate":
        # A new role has no name yet when the right is looked for.
        assert not user.may("POST", f"{RBAC}/clusterroles", role(f"{user.name}-new", SECRETS))
        assert not user.may("PATCH", f"{RBAC}/clusterroles/edit", {"rules": [ALL]})
        return
    mine = ("User", user.name)
    path = f"{RBAC}/namespaces/ns/rolebindings"
    allowed = binding(f"{user.name}-view", ("ClusterRole", "view"), mine, kind="RoleBinding")
    assert user.may("POST", path, allowed)
    for name in ("system:node", "system:aggregate-to-edit", "cluster-admin"):
        wanted = binding(f"{user.name}-{name}", ("ClusterRole", name), mine, kind="RoleBinding")
        assert not user.may("POST", path, wanted)


def test_nobody_binds_itself_to_what_it_does_not_have(world: World) -> None:
    user = world.user_with(WRITE_RBAC, CONFIG_MAPS)
    mine = ("User", user.name)
    for referred in ("cluster-admin", "system:aggregate-to-admin", "system:node", "not-there"):
        wanted = binding(f"{user.name}-{referred}", ("ClusterRole", referred), mine)
        answer = user.ask("POST", f"{RBAC}/clusterrolebindings", wanted)
        assert answer.status in (403, 404), answer.body
        in_namespace = {**wanted, "kind": "RoleBinding"}
        answer = user.ask("POST", f"{RBAC}/namespaces/ns/rolebindings", in_namespace)
        assert answer.status in (403, 404), answer.body


def test_a_binding_to_a_role_that_is_made_later_is_not_written(world: World) -> None:
    user = world.user_with(WRITE_RBAC)
    wanted = binding(f"{user.name}-early", ("ClusterRole", "not-there"), ("User", user.name))
    assert user.ask("POST", f"{RBAC}/clusterrolebindings", wanted).status == 404


def test_nobody_adds_itself_to_a_binding(world: World) -> None:
    user = world.user_with(WRITE_RBAC)
    path = f"{RBAC}/clusterrolebindings/cluster-admin"
    subject = {"apiGroup": GROUP, "kind": "User", "name": user.name}
    assert not user.may("PATCH", path, {"subjects": [subject]})
    present = world.admin.ask("GET", path).body
    assert not user.may("PUT", path, {**present, "subjects": [*present["subjects"], subject]})


def test_rights_in_one_namespace_bind_nothing_in_another(world: World) -> None:
    user = world.user_with(WRITE_RBAC, ALL, namespace="ns")
    mine = ("User", user.name)
    wanted = binding("mine", ("ClusterRole", "cluster-admin"), mine, kind="RoleBinding")
    assert not user.may("POST", f"{RBAC}/namespaces/other/rolebindings", wanted)
    cluster_wide = binding("mine", ("ClusterRole", "cluster-admin"), mine)
    assert not user.may("POST", f"{RBAC}/clusterrolebindings", cluster_wide)
    # "*" in a namespace covers what it holds, not the paths of the server.
    assert not user.may("GET", "/metrics")


# -- being somebody else -----------------------------------------------------------------

WHOAMI = ("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews")
REVIEW = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
AUTHENTICATION = "authentication.k8s.io"


def impersonate(**parts: str) -> list[tuple[str, str]]:
    return [(f"Impersonate-{name.replace('_', '-')}", value) for name, value in parts.items()]


@pytest.mark.parametrize(
    ("rules", "headers"),
    [
        ([], impersonate(User="admin")),
        ([], impersonate(User="mallory-0")),
        ([right("impersonate", "users", names="bob")], impersonate(User="admin")),
        ([right("impersonate", "users")], impersonate(User="x", Group="system:masters")),
        (
            [right("impersonate", "users"), right("impersonate", "groups", names="dev")],
            impersonate(User="x", Group="system:masters"),
        ),
        ([right("impersonate", "users")], impersonate(User="x", Uid="uid-admin")),
        ([right("impersonate", "users")], impersonate(User="x", Extra_scopes="all")),
        (
            [
                right("impersonate", "users"),
                right("impersonate", "userextras/scopes", group=AUTHENTICATION, names="view"),
            ],
            impersonate(User="x", Extra_scopes="all"),
        ),
        (
            [
                right("impersonate", "users"),
                right("impersonate", "userextras/scopes", group=AUTHENTICATION),
            ],
            impersonate(User="x", Extra_other="all"),
        ),
        (
            [right("impersonate", "users")],
            impersonate(User="system:serviceaccount:kube-system:namespace-controller"),
        ),
        ([right("impersonate", "groups")], impersonate(User="x", Group="system:masters")),
        (
            [right("impersonate:user-info", "users", group=AUTHENTICATION)],
            impersonate(User="admin"),
        ),
        (
            [right("impersonate:serviceaccount", "serviceaccounts", group=AUTHENTICATION)],
            impersonate(User="system:node:n1"),
        ),
    ],
)
def test_nobody_becomes_whom_it_may_not(
    world: World, rules: list[dict[str, Any]], headers: list[tuple[str, str]]
) -> None:
    user = world.user_with(*rules)
    assert user.ask(*WHOAMI, REVIEW, *headers).status == 403


def test_a_namespaced_right_to_accounts_reaches_no_other_namespace(world: World) -> None:
    user = world.user_with(right("impersonate", "serviceaccounts"), namespace="ns")
    own, other = (f"system:serviceaccount:{one}:robot" for one in ("ns", "other"))
    assert user.ask(*WHOAMI, REVIEW, *impersonate(User=own)).status == 201
    assert user.ask(*WHOAMI, REVIEW, *impersonate(User=other)).status == 403


def test_constrained_impersonation_never_gives_masters(world: World) -> None:
    constrained = right("impersonate:user-info", "users", "groups", group=AUTHENTICATION)
    target = right("impersonate-on:user-info:create", "selfsubjectreviews", group=AUTHENTICATION)
    user = world.user_with(constrained, target)
    assert user.ask(*WHOAMI, REVIEW, *impersonate(User="x", Group="dev")).status == 201
    answer = user.ask(*WHOAMI, REVIEW, *impersonate(User="x", Group="system:masters"))
    assert answer.status == 403
    # What it may do as another is limited to what it was given for that.
    assert not user.may("GET", "/api/v1/nodes", None, *impersonate(User="admin"))


def test_parts_of_a_user_without_a_name_become_nobody(world: World) -> None:
    user = world.user_with(right("impersonate", "users", "groups"))
    answer = user.ask(*WHOAMI, REVIEW, *impersonate(Group="system:masters"))
    assert answer.status in (400, 500)
    for name in ("X-Remote-User", "X-Remote-Group"):
        answer = user.ask(*WHOAMI, REVIEW, (name, "system:masters"))
        assert answer.body["status"]["userInfo"]["username"] == user.name


def test_the_rights_of_the_impersonator_do_not_follow_it(world: World) -> None:
    user = world.user_with(right("impersonate", "users", names="nobody"), CONFIG_MAPS)
    path = "/api/v1/namespaces/ns/configmaps"
    assert user.may("GET", path)
    assert not user.may("GET", path, None, *impersonate(User="nobody"))


# -- subresources, names, namespaces, paths ------------------------------------------------

POD = "/api/v1/namespaces/ns/pods/pod-of-n1"
APPS = "/apis/apps/v1/namespaces/ns/deployments"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", f"{POD}/exec?command=sh"),
        ("GET", f"{POD}/exec?command=sh"),
        ("POST", f"{POD}/attach"),
        ("POST", f"{POD}/portforward"),
        ("GET", f"{POD}/log"),
        ("GET", f"{POD}/proxy/"),
        ("POST", f"{POD}/eviction"),
        ("POST", f"{POD}/binding"),
        ("PATCH", f"{POD}/status"),
        ("PATCH", f"{POD}/ephemeralcontainers"),
        ("PATCH", f"{POD}/resize"),
        ("PATCH", f"{APPS}/any/scale"),
        ("PATCH", f"{APPS}/any/status"),
        ("POST", "/api/v1/namespaces/ns/serviceaccounts/robot/token"),
        ("PUT", "/api/v1/namespaces/ns/finalize"),
        ("PATCH", "/api/v1/namespaces/ns/status"),
        ("PATCH", "/api/v1/nodes/n1/status"),
        ("GET", "/api/v1/nodes/n1/proxy/"),
        ("PATCH", "/apis/certificates.k8s.io/v1/certificatesigningrequests/any/approval"),
    ],
)
def test_a_right_to_a_resource_is_none_to_its_subresources(
    world: World, method: str, path: str
) -> None:
    whole = "pods", "serviceaccounts", "namespaces", "nodes"
    user = world.user_with(
        right("*", *whole),
        right("*", "deployments", group="apps"),
        right("*", "certificatesigningrequests", group="certificates.k8s.io"),
    )
    assert user.may("GET", POD)
    assert not user.may(method, path, {} if method != "GET" else None)


def test_to_read_exec_is_not_to_run_it(world: World) -> None:
    """The GET of a WebSocket changes the pod's world."""
    user = world.user_with(right("get", "pods", "pods/exec", "pods/attach", "pods/portforward"))
    for subresource in ("exec?command=sh&container=c", "attach", "portforward"):
        assert not user.may("GET", f"{POD}/{subresource}")


def test_named_objects_only(world: World) -> None:
    verbs = "get list watch create update patch delete deletecollection"
    user = world.user_with(right(verbs, "configmaps", names="one"), namespace="ns")
    path = "/api/v1/namespaces/ns/configmaps"
    assert user.may("GET", f"{path}/one")
    assert user.may("GET", f"{path}?fieldSelector=metadata.name%3Done")
    for method, target in (
        ("GET", f"{path}/two"),
        ("GET", path),
        ("GET", f"{path}?watch=1"),
        ("GET", "/api/v1/watch/namespaces/ns/configmaps/two"),
        ("GET", f"{path}?fieldSelector=metadata.name%3Dtwo"),
        ("GET", f"{path}?fieldSelector=metadata.name!%3Done"),
        ("GET", f"{path}?labelSelector=metadata.name%3Done"),
        ("GET", f"{path}?fieldSelector=metadata.name%3Dtwo&fieldSelector=metadata.name%3Done"),
        ("DELETE", path),
        ("DELETE", f"{path}?fieldSelector=metadata.name%3Done"),
        ("POST", path),
    ):
        body = {"metadata": {"name": "one"}} if method == "POST" else None
        assert not user.may(method, target, body), (method, target)


def test_an_update_creates_nothing(world: World) -> None:
    user = world.user_with(right("get update patch", "leases", group="coordination.k8s.io"))
    path = "/apis/coordination.k8s.io/v1/namespaces/ns/leases/new"
    lease = {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": "new", "namespace": "ns"},
    }
    assert not user.may("PUT", path, lease)


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/namespaces/other/configmaps",
        "/api/v1/configmaps",
        "/api/v1/namespaces/ns/../other/configmaps",
        "/api/v1/namespaces/ns/%2e%2e/other/configmaps",
        "/api/v1/namespaces/ns%2f..%2fother/configmaps",
        "/api/v1/namespaces//configmaps",
        "/api/v1/namespaces/NS/configmaps",
        "/api/v1/namespaces/ns/configmaps/../secrets",
        "/api/v1/namespaces/ns/secrets",
        "/api/v1/watch/namespaces/other/configmaps",
        "/api/v1/watch/configmaps",
        "//api/v1/namespaces/other/configmaps",
        "/api/v1//namespaces/other/configmaps",
        "/apis/v1/namespaces/other/configmaps",
        "/api/v1/namespaces/other/configmaps?namespace=ns",
    ],
)
def test_one_namespace_is_not_another(world: World, path: str) -> None:
    user = world.user_with(CONFIG_MAPS, namespace="ns")
    assert user.ask("GET", "/api/v1/namespaces/ns/configmaps").status == 200
    assert user.ask("GET", path).status in (301, 400, 403, 404)


def test_a_body_of_another_namespace_or_name_is_no_way_in(world: World) -> None:
    user = world.user_with(right("create update get", "configmaps"), namespace="ns")
    path = "/api/v1/namespaces/ns/configmaps"
    elsewhere = {"metadata": {"name": "x", "namespace": "other"}}
    assert user.ask("POST", path, elsewhere).status == 400
    assert user.ask("PUT", f"{path}/one", {"metadata": {"name": "two"}}).status == 400
    assert world.admin.ask("GET", "/api/v1/namespaces/other/configmaps/x").status == 404


def test_to_list_is_not_to_watch_and_to_delete_one_is_not_to_delete_all(world: World) -> None:
    user = world.user_with(right("list get delete", "configmaps"), namespace="other")
    path = "/api/v1/namespaces/other/configmaps"
    assert user.may("GET", path)
    assert not user.may("GET", f"{path}?watch=true")
    assert not user.may("DELETE", path)


def test_asking_what_others_may_is_a_right_too(world: World) -> None:
    user = world.user_with(CONFIG_MAPS)
    spec = {"user": "admin", "resourceAttributes": {"verb": "get", "resource": "pods"}}
    head = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview"}
    path = "/apis/authorization.k8s.io/v1"
    assert not user.may("POST", f"{path}/subjectaccessreviews", {**head, "spec": spec})
    local = {**head, "kind": "LocalSubjectAccessReview", "spec": spec}
    assert not user.may("POST", f"{path}/namespaces/ns/localsubjectaccessreviews", local)


def test_without_a_token_there_is_little_to_see(world: World) -> None:
    def status(path: str) -> int:
        return world.admin.connection.ask("GET", path).status

    assert status("/version") == 200
    for path in ("/api/v1/namespaces", "/metrics", "/apis", "/openapi/v2", "/api/v1/nodes/n1"):
        assert status(path) == 403


# -- nodes ---------------------------------------------------------------------------------


def test_a_node_reads_its_pods_secret_and_no_other(world: World) -> None:
    node, path = world.nodes["n1"], "/api/v1/namespaces/ns/secrets"
    assert node.ask("GET", f"{path}/secret-of-n1").status == 200
    assert not node.may("GET", f"{path}/secret-of-n2")
    assert not node.may("GET", path)
    assert not node.may("GET", "/api/v1/secrets")
    assert not node.may("GET", f"{path}?fieldSelector=metadata.name%3Dsecret-of-n2")
    assert not node.may("GET", "/api/v1/watch/namespaces/ns/secrets/secret-of-n2")


MIRROR = {"kubernetes.io/config.mirror": "x"}


def test_a_node_makes_no_pod_that_opens_a_secret(world: World) -> None:
    node, path = world.nodes["n1"], "/api/v1/namespaces/ns/pods"
    uid = world.admin.ask("GET", "/api/v1/nodes/n1").body["metadata"]["uid"]
    owner = {"apiVersion": "v1", "kind": "Node", "name": "n1", "uid": uid, "controller": True}
    meta = {"annotations": MIRROR, "ownerReferences": [owner]}
    wanted = [{"name": "secret-of-n2"}]
    assert not node.may("POST", path, pod("a", "n1", imagePullSecrets=wanted))
    assert not node.may("POST", path, pod("b", "n1", imagePullSecrets=wanted, metadata=meta))
    assert not node.may("POST", path, pod("c", "n2", metadata=meta))
    assert node.ask("POST", path, pod("d", "n1", metadata=meta)).status == 201
    assert not node.may("GET", "/api/v1/namespaces/ns/secrets/secret-of-n2")


def test_a_node_leaves_other_nodes_and_their_pods_alone(world: World) -> None:
    node, pods = world.nodes["n1"], "/api/v1/namespaces/ns/pods"
    status = {"status": {"phase": "Failed"}}
    assert not node.may("PATCH", f"{pods}/pod-of-n2/status", status)
    assert not node.may("DELETE", f"{pods}/pod-of-n2")
    assert not node.may("GET", f"{pods}/pod-of-n2")
    assert not node.may("GET", f"{pods}?fieldSelector=spec.nodeName%3Dn2")
    assert not node.may("GET", f"{pods}?fieldSelector=spec.nodeName!%3Dn1")
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "pod-of-n2"}}
    assert not node.may("POST", f"{pods}/pod-of-n2/eviction", eviction)
    assert not node.may("PATCH", "/api/v1/nodes/n2/status", {"status": {"phase": "x"}})
    assert not node.may("PATCH", "/api/v1/nodes/n2", {"metadata": {"labels": {"a": "b"}}})
    assert not node.may("DELETE", "/api/v1/nodes/n1")
    assert not node.may("GET", "/api/v1/nodes/n2")


def test_a_node_does_not_choose_what_runs_on_it(world: World) -> None:
    node, path = world.nodes["n1"], "/api/v1/nodes/n1"
    restricted = {"node-restriction.kubernetes.io/tier": "a"}
    assert not node.may("PATCH", path, {"metadata": {"labels": restricted}})
    assert not node.may("PATCH", path, {"spec": {"taints": []}})
    assert not node.may("PATCH", f"{path}/status", {"metadata": {"labels": restricted}})
    owner = {"apiVersion": "v1", "kind": "Node", "name": "x", "uid": "u"}
    assert not node.may("PATCH", path, {"metadata": {"ownerReferences": [owner]}})
    assert node.may("PATCH", path, {"metadata": {"labels": {"example.com/a": "b"}}})


def test_a_node_has_no_tokens_leases_or_certificates_of_others(world: World) -> None:
    node = world.nodes["n1"]
    token = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    assert not node.may("POST", "/api/v1/namespaces/ns/serviceaccounts/robot/token", token)
    leases = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
    assert not node.may("POST", leases, {"metadata": {"name": "n2"}})
    assert not node.may("GET", f"{leases}/n2")
    csr = signing_request("system:node:n2", "system:nodes", "kubernetes.io/kubelet-serving")
    assert not node.may("POST", REQUESTS, csr)


def test_a_nodes_tokens_are_bound_to_its_pods(world: World) -> None:
    node, path = world.nodes["n1"], "/api/v1/namespaces/ns/serviceaccounts/walker/token"
    world.make("/api/v1/namespaces/ns/serviceaccounts", {"metadata": {"name": "walker"}})
    audience = {"serviceAccountToken": {"path": "t", "audience": "vault"}}
    volumes = [{"name": "v", "projected": {"sources": [audience]}}]
    walks = pod("walks", "n1", serviceAccountName="walker", volumes=volumes)
    uid = world.make("/api/v1/namespaces/ns/pods", walks)["metadata"]["uid"]

    def asks(bound: dict[str, str] | None, audience: str) -> int:
        spec = {"audiences": [audience], "boundObjectRef": bound}
        request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
        return node.ask("POST", path, request).status

    bound = {"apiVersion": "v1", "kind": "Pod", "name": "walks", "uid": uid}
    assert asks(bound, "vault") == 201
    assert asks(None, "vault") == 403
    assert asks(bound, "kubernetes") == 403
    assert asks({**bound, "name": "pod-of-n2"}, "vault") == 403
    assert asks({**bound, "uid": ""}, "vault") == 403
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    assert not world.nodes["n2"].may("POST", path, request)


def test_the_group_alone_makes_no_node_and_the_name_alone_neither(world: World) -> None:
    secret = "/api/v1/namespaces/ns/secrets/secret-of-n1"
    for headers in (
        impersonate(User="system:node:n1", Group="dev"),
        impersonate(User="zed", Group="system:nodes"),
        impersonate(User="system:node:", Group="system:nodes"),
    ):
        assert not world.admin.may("GET", secret, None, *headers)


# -- certificates --------------------------------------------------------------------------

REQUESTS = "/apis/certificates.k8s.io/v1/certificatesigningrequests"


def signing_request(common_name: str, organization: str, signer: str) -> dict[str, Any]:
    names = [(NameOID.COMMON_NAME, common_name), (NameOID.ORGANIZATION_NAME, organization)]
    subject = x509.Name([x509.NameAttribute(oid, value) for oid, value in names])
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    request = builder.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    pem = request.public_bytes(serialization.Encoding.PEM)
    spec = {
        "request": base64.b64encode(pem).decode(),
        "signerName": signer,
        "usages": ["digital signature", "client auth"],
    }
    return {"metadata": {"generateName": "csr-"}, "spec": spec}


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
