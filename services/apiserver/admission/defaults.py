"""Which admission plugins are built in and on by default, and how the chain is made of them."""

from __future__ import annotations

from collections.abc import Collection

from services.apiserver.admission.chain import ORDER, AdmissionChain
from services.apiserver.admission.namespacelifecycle import NamespaceLifecycle

DEFAULT_PLUGINS = frozenset({"NamespaceLifecycle"})
"""What is on unless it is disabled, as far as it is supported."""


def admission_chain(
    *, enabled: Collection[str] = (), disabled: Collection[str] = ()
) -> AdmissionChain:
    """Return the chain of the default plugins, with those `enabled` and without `disabled`."""
    on = (DEFAULT_PLUGINS | set(enabled)) - set(disabled)
    plugins = {plugin.name: plugin for plugin in (NamespaceLifecycle(),) if plugin.name in on}
    ordered = [plugins[name] for name in ORDER if name in plugins]
    return AdmissionChain(
        [plugin for plugin in ordered if hasattr(plugin, "admit")],
        [plugin for plugin in ordered if hasattr(plugin, "validate")],
    )
