"""The authorizers of the flags, put together over the registry's objects."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from services.apiserver.authorization import (
    AlwaysAllow,
    AlwaysDeny,
    Authorizer,
    MastersMay,
    NamedAuthorizer,
    NodeAuthorizer,
    NodeGraph,
    RbacAuthorizer,
    RoleIndex,
    RuleResolver,
)
from services.apiserver.authorization.abac import AbacAuthorizer, PolicyFileError, read_policy_file
from services.apiserver.authorization.authorizer import ModeAuthorizer
from services.apiserver.authorization.bootstrappolicy import node_rules
from services.apiserver.authorization.configuration import (
    IN_CLUSTER,
    AuthorizerConfiguration,
    ConfigurationError,
    WebhookConfiguration,
)
from services.apiserver.authorization.configured import ConfiguredAuthorizer
from services.apiserver.authorization.followed import Source
from services.apiserver.authorization.metrics import WEBHOOK_TYPE, AuthorizationMetrics
from services.apiserver.authorization.roleindex import GROUP as RBAC_GROUP
from services.apiserver.authorization.webhook import WebhookAuthorizer, WebhookSettings
from services.apiserver.configreloads import ConfigReloads
from services.apiserver.options import ApiServerOptions, OptionsError
from services.apiserver.options.authorization import AuthorizationOptions
from services.apiserver.registry.served import Registry
from services.apiserver.webhooks.reviewclient import ReviewClient
from shared import kubeconfig
from shared.kubeconfig import ClusterAccess, KubeconfigError

WEBHOOK_TIMEOUT_S = 30.0
WEBHOOK_NAME = "default"
"""What the webhook of the flags is called in the metrics."""
ACCOUNT_DIR = Path("/var/run/secrets/kubernetes.io/serviceaccount")


@dataclass(frozen=True, slots=True)
class Authorization:
    """What users may: `authorizers` in the order they are asked, `resolvers` list what they
    can, `rbac` is for what asks it alone, `metrics` counts."""

    authorizers: Sequence[Authorizer]
    resolvers: Sequence[RuleResolver]
    rbac: RbacAuthorizer
    metrics: AuthorizationMetrics

    @property
    def reloads(self) -> ConfigReloads | None:
        """What is counted of the file of --authorization-config, None without one."""
        found = [one.reloads for one in self.authorizers if isinstance(one, ConfiguredAuthorizer)]
        return found[0] if found else None

    async def run(self) -> None:
        """Follow the file of --authorization-config; when cancelled, close connections."""
        try:
            configured = [one for one in self.authorizers if isinstance(one, ConfiguredAuthorizer)]
            if configured:
                await configured[0].run()
            await asyncio.Event().wait()
        finally:
            for one in self.authorizers:
                found = one.authorizer if isinstance(one, NamedAuthorizer) else one
                if isinstance(found, (ConfiguredAuthorizer, WebhookAuthorizer)):
                    await found.aclose()


def authorization(options: ApiServerOptions, registry: Registry) -> Authorization:
    """Return what decides.

    Raises:
        OptionsError: a file of the flags can't be used.
    """
    flags = options.authorization
    parts = _Parts(registry, flags)
    try:
        modes: list[ConfiguredAuthorizer] | list[NamedAuthorizer]
        if flags.config:
            modes = [ConfiguredAuthorizer(Path(flags.config), parts.build)]
        else:
            modes = [parts.of_flag(mode) for mode in flags.modes]
    except ConfigurationError as error:
        lines = [f"--authorization-config: {line}" for line in str(error).splitlines()]
        raise OptionsError("\n".join(lines)) from error
    except PolicyFileError as error:
        raise OptionsError(f"--authorization-policy-file: {error}") from error
    except KubeconfigError as error:
        raise OptionsError(f"--authorization-webhook-config-file: {error}") from error
    return Authorization([MastersMay(), *modes], modes, parts.rbac, parts.metrics)


class _Parts:
    """Makes authorizers; there is one of RBAC, which the review and the escalation check share."""

    def __init__(self, registry: Registry, flags: AuthorizationOptions) -> None:
        self._registry = registry
        self._flags = flags
        self.rbac = RbacAuthorizer(role_index(registry))
        self._node: NodeAuthorizer | None = None
        self.metrics = AuthorizationMetrics()

    def of_flag(self, mode: str) -> NamedAuthorizer:
        """Return the authorizer of a mode of --authorization-mode.

        Raises:
            PolicyFileError, KubeconfigError: its file can't be used.
        """
        name = WEBHOOK_NAME if mode == WEBHOOK_TYPE else mode.lower()
        return self._named(mode, name, self._of_mode(mode))

    def _named(self, type: str, name: str, authorizer: ModeAuthorizer) -> NamedAuthorizer:
        return NamedAuthorizer(authorizer, self.metrics.decided(type, name))

    def _of_mode(self, mode: str) -> ModeAuthorizer:
        """Return the authorizer of a mode, as the flags want it.

        Raises:
            PolicyFileError, KubeconfigError: its file can't be used.
        """
        flags = self._flags
        match mode:
            case "RBAC":
                return self.rbac
            case "Node":
                if self._node is None:
                    self._node = NodeAuthorizer(node_graph(self._registry), node_rules())
                return self._node
            case "AlwaysAllow":
                return AlwaysAllow()
            case "AlwaysDeny":
                return AlwaysDeny()
            case "ABAC":
                return AbacAuthorizer(read_policy_file(Path(flags.policy_file)))
            case "Webhook":
                metrics = self.metrics.webhook(WEBHOOK_NAME)
                client = ReviewClient(
                    kubeconfig.load(Path(flags.webhook_config_file)),
                    timeout_s=WEBHOOK_TIMEOUT_S,
                    observe=metrics.called,
                )
                settings = WebhookSettings(
                    version=flags.webhook_version,
                    authorized_ttl_s=flags.webhook_authorized_ttl_s,
                    unauthorized_ttl_s=flags.webhook_unauthorized_ttl_s,
                )
                return WebhookAuthorizer(client, settings, metrics)
        raise ValueError(mode)

    def build(self, entry: AuthorizerConfiguration) -> NamedAuthorizer:
        """Return the authorizer of an entry of --authorization-config.

        Raises:
            ConfigurationError: its file can't be used.
        """
        try:
            if entry.webhook is None:
                if entry.type == "ABAC" and not self._flags.policy_file:
                    raise ConfigurationError("the type ABAC needs --authorization-policy-file")
                return self._named(entry.type, entry.name, self._of_mode(entry.type))
            metrics = self.metrics.webhook(entry.name)
            client = ReviewClient(
                _access(entry.webhook), timeout_s=entry.webhook.timeout_s, observe=metrics.called
            )
        except (PolicyFileError, KubeconfigError) as error:
            raise ConfigurationError(f"{entry.name}: {error}") from error
        authorizer = WebhookAuthorizer(client, entry.webhook.settings, metrics)
        return self._named(entry.type, entry.name, authorizer)


def _access(webhook: WebhookConfiguration) -> ClusterAccess:
    """Return how a webhook is reached.

    Raises:
        KubeconfigError: its kubeconfig can't be used, or this is no pod of a cluster.
    """
    if webhook.kubeconfig != IN_CLUSTER:
        return kubeconfig.load(Path(webhook.kubeconfig))
    host, port = (os.environ.get(f"KUBERNETES_SERVICE_{name}", "") for name in ("HOST", "PORT"))
    token_file, authority = ACCOUNT_DIR / "token", ACCOUNT_DIR / "ca.crt"
    if not host or not port or not token_file.is_file() or not authority.is_file():
        raise KubeconfigError("InClusterConfig: this does not run in a cluster's pod")
    shown = f"[{host}]" if ":" in host else host
    return ClusterAccess(
        f"https://{shown}:{port}", ca=authority.read_bytes(), token_file=token_file
    )


def role_index(registry: Registry) -> RoleIndex:
    """Return the index over the registry's roles and bindings."""
    return RoleIndex(
        roles=source(registry, RBAC_GROUP, "roles"),
        cluster_roles=source(registry, RBAC_GROUP, "clusterroles"),
        role_bindings=source(registry, RBAC_GROUP, "rolebindings"),
        cluster_role_bindings=source(registry, RBAC_GROUP, "clusterrolebindings"),
    )


def node_graph(registry: Registry) -> NodeGraph:
    """Return the graph over the registry's pods and volumes."""
    return NodeGraph(
        pods=source(registry, "", "pods"),
        volumes=source(registry, "", "persistentvolumes"),
        attachments=source(registry, "storage.k8s.io", "volumeattachments"),
        slices=source(registry, "resource.k8s.io", "resourceslices"),
    )


def source(registry: Registry, group: str, resource: str) -> Source:
    """Return the cached objects of a built-in resource."""
    store = registry.stored(group, resource)
    assert store is not None, resource
    return Source(store.cache, store.decode)
