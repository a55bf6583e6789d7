"""HAProxy's configuration: connections to API servers that are alive and not about to stop.

It passes TCP on. TLS ends at the API servers, so that they see client certificates, and a
stream of watch events passes through nobody's buffer of HTTP.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

CHECK_INTERVAL_S = 0.5
CHECK_PATH = "/readyz?exclude=etcd&exclude=etcd-readiness"
"""A server without etcd still answers from its cache and keeps its watches: to turn everybody
away would help nobody. As in kube-apiserver, `exclude` leaves checks out."""
CHECK_HOST = "localhost"
"""A name that is in the serving certificate."""
SOCKET_NAME = "admin.sock"
"""In HAProxy's directory; for `show stat`, `show servers state` and their like."""


def configuration(
    *, bind: str, servers: Sequence[tuple[str, str]], ca: Path | None, token: str
) -> str:
    """Return the text of haproxy.cfg. It holds a secret: the token.

    Args:
        bind: ADDRESS:PORT to listen on.
        servers: (name, ADDRESS:PORT) of each API server.
        ca: what signed their certificates; None trusts whoever listens there, and then does
            not tell them the token.
        token: for the checks, where anonymous requests are not let in.
    """
    authorization = f' hdr Authorization "Bearer {token}"' if ca else ""
    verify = (
        f"verify required ca-file {_quoted(ca)} verifyhost {CHECK_HOST}" if ca else "verify none"
    )
    lines = [
        "global",
        f"    stats socket unix@{SOCKET_NAME} mode 600 level admin",
        # Else a second HAProxy could share the port unnoticed, and half of the connections.
        "    noreuseport",
        # What a container allows may be a thousand million, and is allocated at the start.
        "    fd-hard-limit 100000",
        "defaults",
        "    mode tcp",
        "    timeout connect 2s",
        "    timeout check 2s",
        # A watch may be silent for long, and its two ends know best when it is over.
        "    timeout client 24h",
        "    timeout server 24h",
        "    timeout client-fin 30s",
        "    timeout server-fin 30s",
        # ... unless an end has vanished, which only these notice.
        "    option clitcpka",
        "    option srvtcpka",
        # A connection to a server that has just died goes to another at once.
        "    retries 3",
        "    option redispatch 1",
        "frontend kubernetes",
        f"    bind {bind}",
        "    default_backend apiservers",
        "backend apiservers",
        "    balance leastconn",
        "    option httpchk",
        f"    http-check send meth GET uri {CHECK_PATH} ver HTTP/1.1 hdr Host {CHECK_HOST}"
        f"{authorization}",
        # Not ready, but it answers: it is about to stop. No new connections, and those it has
        # are left alone, for it ends them itself.
        "    http-check expect status 200 error-status L7OKC",
        # No answer: it is dead, or hangs. Whoever is connected must go elsewhere.
        f"    default-server check check-ssl check-sni {CHECK_HOST} {verify}"
        f" inter {CHECK_INTERVAL_S * 1000:.0f}ms fastinter 200ms downinter 200ms fall 2 rise 1"
        " on-marked-down shutdown-sessions",
        *(f"    server {name} {address}" for name, address in servers),
    ]
    return "\n".join(lines) + "\n"


def _quoted(path: Path) -> str:
    text = str(path)
    for special in ("\\", '"', "$"):
        text = text.replace(special, "\\" + special)
    return f'"{text}"'
