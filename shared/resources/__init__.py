"""Resources: what the API serves, under which names, and where etcd keeps it.

`resource` is the vocabulary, `builtin` the table of what kube-apiserver v1.36.2 serves by
default, `groups` their order, `table` what one server serves now, `keys` the key layout.
Knows nothing of requests, schemas or storage implementations.
"""

from shared.resources.builtin import BUILTIN_RESOURCES
from shared.resources.groups import BUILTIN_PRIORITIES, Priority
from shared.resources.keys import (
    SplitKey,
    key_prefix,
    namespace_prefix,
    object_key,
    resource_prefix,
    split_key,
)
from shared.resources.resource import (
    GroupVersionKind,
    GroupVersionResource,
    Resource,
    SelectableField,
    Subresource,
    custom_resource,
)
from shared.resources.selection import selection_rules
from shared.resources.table import Group, RemoteVersion, ResourceTable, builtin_table

__all__ = [
    "BUILTIN_PRIORITIES",
    "BUILTIN_RESOURCES",
    "Group",
    "GroupVersionKind",
    "GroupVersionResource",
    "Priority",
    "RemoteVersion",
    "Resource",
    "ResourceTable",
    "SelectableField",
    "SplitKey",
    "Subresource",
    "builtin_table",
    "custom_resource",
    "key_prefix",
    "namespace_prefix",
    "object_key",
    "resource_prefix",
    "selection_rules",
    "split_key",
]
