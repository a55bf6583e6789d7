"""The parameters of operations. Source: kube-apiserver v1.36.2, the fields of ListOptions,
CreateOptions, … in apimachinery/pkg/apis/meta/v1/types.go and api/core/v1/types.go.
"""

from __future__ import annotations

from typing import NamedTuple


class Parameter(NamedTuple):
    """A path or query parameter; `location` is path or query, `type` an OpenAPI type."""

    name: str
    location: str
    type: str
    description: str

    @property
    def required(self) -> bool:
        return self.location == "path"


def _query(name: str, type_: str, description: str) -> Parameter:
    return Parameter(name, "query", type_, description)


NAMESPACE = Parameter(
    "namespace", "path", "string", "object name and auth scope, such as for teams and projects"
)
PROXY_PATH = Parameter("path", "path", "string", "path to the resource")


def name_of(kind: str) -> Parameter:
    return Parameter("name", "path", "string", f"name of the {kind}")


PRETTY = _query(
    "pretty",
    "string",
    "'true' indents the answer; so is it for browsers, curl and wget unless 'false' is given.",
)
DRY_RUN = _query(
    "dryRun",
    "string",
    "'All' runs the request through every stage without storing what it changes.",
)
FIELD_MANAGER = _query(
    "fieldManager",
    "string",
    "Who makes the change, as managedFields will name them: at most 128 printable characters. "
    "Server-side apply requires it.",
)
FIELD_VALIDATION = _query(
    "fieldValidation",
    "string",
    "What happens to unknown and duplicate fields: Ignore drops them, Warn (the default) drops "
    "them and sends a warning for each, Strict refuses the request.",
)
FORCE = _query(
    "force",
    "boolean",
    "Server-side apply takes fields over from their other managers instead of failing.",
)
RESOURCE_VERSION = _query(
    "resourceVersion",
    "string",
    "The state to read, watch from or delete at: unset is the newest, 0 any that is at hand.",
)

_LABEL_SELECTOR = _query(
    "labelSelector", "string", "Selects objects by their labels; all of them by default."
)
_FIELD_SELECTOR = _query(
    "fieldSelector", "string", "Selects objects by their fields; all of them by default."
)

LIST_OPTIONS = (
    _LABEL_SELECTOR,
    _FIELD_SELECTOR,
    _query("watch", "boolean", "Streams changes from resourceVersion on, instead of a list."),
    _query(
        "allowWatchBookmarks",
        "boolean",
        "Lets a watch send BOOKMARK events, which tell how far it has come.",
    ),
    RESOURCE_VERSION,
    _query(
        "resourceVersionMatch",
        "string",
        "How resourceVersion binds a list: NotOlderThan or Exact.",
    ),
    _query("timeoutSeconds", "integer", "The longest that a list or watch may take."),
    _query(
        "limit",
        "integer",
        "The most objects to answer with; if there are more, metadata.continue is set.",
    ),
    _query(
        "continue",
        "string",
        "The metadata.continue of the page before: continues the list, at the same state.",
    ),
    _query(
        "sendInitialEvents",
        "boolean",
        "A watch begins with an ADDED event for each object there is, and a BOOKMARK annotated "
        "k8s.io/initial-events-end. It requires resourceVersionMatch=NotOlderThan.",
    ),
    _query(
        "shardSelector",
        "string",
        "Selects objects by a range of hashes. An alpha feature, which is off by default.",
    ),
)
COLLECTION_OPTIONS = tuple(
    one for one in LIST_OPTIONS if one.name not in ("watch", "allowWatchBookmarks")
)
CREATE_OPTIONS = (DRY_RUN, FIELD_MANAGER, FIELD_VALIDATION)
UPDATE_OPTIONS = CREATE_OPTIONS
PATCH_OPTIONS = (DRY_RUN, FORCE, FIELD_MANAGER, FIELD_VALIDATION)
DELETE_OPTIONS = (
    _query(
        "gracePeriodSeconds",
        "integer",
        "The seconds the object gets to end by itself; 0 removes it at once. Unset, the kind "
        "decides.",
    ),
    _query("orphanDependents", "boolean", "Deprecated: use propagationPolicy."),
    _query(
        "propagationPolicy",
        "string",
        "What becomes of dependents: Orphan keeps them, Background deletes them afterwards, "
        "Foreground before the object.",
    ),
    DRY_RUN,
    _query(
        "ignoreStoreReadErrorWithClusterBreakingPotential",
        "boolean",
        "Deletes an object that cannot be read from the store. An alpha feature.",
    ),
)

_CONTAINER = _query("container", "string", "Which container; the only one by default.")
_STREAMS = (
    _query("stdin", "boolean", "Connects the standard input; false by default."),
    _query("stdout", "boolean", "Connects the standard output; true by default."),
    _query("stderr", "boolean", "Connects the standard error; true by default."),
    _query("tty", "boolean", "Allocates a terminal; false by default."),
    _CONTAINER,
)
_PROXY = (_query("path", "string", "The part of the URL to send the request to."),)
CONNECT_OPTIONS = {
    "PodAttachOptions": _STREAMS,
    "PodExecOptions": (*_STREAMS, _query("command", "string", "The command, not in a shell.")),
    "PodPortForwardOptions": (_query("ports", "integer", "The ports to forward."),),
    "PodProxyOptions": _PROXY,
    "ServiceProxyOptions": _PROXY,
    "NodeProxyOptions": _PROXY,
}
"""By the kind that stands for the options of a connect subresource."""

LOG_OPTIONS = (
    _CONTAINER,
    _query("follow", "boolean", "Streams the log as it grows."),
    _query("previous", "boolean", "Shows the log of the container's previous run."),
    _query("sinceSeconds", "integer", "Begins so many seconds ago."),
    _query("timestamps", "boolean", "Puts a time before each line."),
    _query("tailLines", "integer", "Shows this many lines from the end."),
    _query("limitBytes", "integer", "Ends after so many bytes."),
    _query(
        "insecureSkipTLSVerifyBackend",
        "boolean",
        "Does not verify the certificate of the node that has the log.",
    ),
    _query("stream", "string", "Which stream: All, Stdout or Stderr."),
)
