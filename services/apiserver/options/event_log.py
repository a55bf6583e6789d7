"""Flags: where a replica gets the store's events from.

Without any it follows the store itself, as one process does; with a log it is one of several.
"""

from __future__ import annotations

import argparse
import os
import re
from dataclasses import dataclass

from shared.flags import AddFlag, files

URL_VARIABLE = "KUBEFAN_EVENT_LOG_URL"


@dataclass(frozen=True, slots=True, kw_only=True)
class EventLogOptions:
    url: str = ""
    """Of Redis, without a password: redis://, rediss:// or unix://."""
    password_file: str = ""
    cafile: str = ""
    watchfanout_servers: tuple[str, ...] = ()
    """URLs of the watchfanouts; any that leads can give a snapshot."""
    watchfanout_cafile: str = ""
    watchfanout_token_file: str = ""


def add_flags(add: AddFlag) -> None:
    add(
        "--event-log-url",
        default=os.environ.get(URL_VARIABLE, ""),
        metavar="URL",
        help=f"the Redis that a watchfanout fills; also from {URL_VARIABLE}",
    )
    add("--event-log-password-file", default="", metavar="FILE")
    add("--event-log-cafile", default="", metavar="FILE")
    add("--watchfanout-servers", default="", metavar="URL,...", help="for snapshots at the start")
    add("--watchfanout-cafile", default="", metavar="FILE")
    add("--watchfanout-token-file", default="", metavar="FILE")


def read(known: argparse.Namespace, mistakes: list[str]) -> EventLogOptions:
    url = known.event_log_url
    servers = tuple(server for server in known.watchfanout_servers.split(",") if server)
    if url and not re.match(r"(rediss?|unix)://", url):
        mistakes.append("--event-log-url: not a URL like redis://127.0.0.1:6379")
    if url and not known.etcd_servers:
        mistakes.append("--event-log-url needs --etcd-servers: several replicas share an etcd")
    if servers and not url:
        mistakes.append("--watchfanout-servers needs --event-log-url")
    for server in servers:
        if not re.fullmatch(r"https://[^/\s]+/?", server):
            mistakes.append(f"--watchfanout-servers: {server!r} is not a URL like https://a:8443")
    files(
        known,
        (
            "event_log_password_file",
            "event_log_cafile",
            "watchfanout_cafile",
            "watchfanout_token_file",
        ),
        mistakes,
    )
    return EventLogOptions(
        url=url,
        password_file=known.event_log_password_file,
        cafile=known.event_log_cafile,
        watchfanout_servers=tuple(server.rstrip("/") for server in servers),
        watchfanout_cafile=known.watchfanout_cafile,
        watchfanout_token_file=known.watchfanout_token_file,
    )
