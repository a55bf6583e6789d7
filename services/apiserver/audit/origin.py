"""Where a request comes from: the addresses it went through, and the client's own name."""

from __future__ import annotations

import ipaddress

import orjson

LIMIT_USER_AGENT = 1024
TRUNCATED = "...TRUNCATED"


def origin_fields(
    peer: str, forwarded_for: bytes | None, real_ip: bytes | None, user_agent: bytes | None
) -> bytes:
    """Return `,"sourceIPs":[…],"userAgent":"…"`, without what is empty."""
    out = b""
    addresses = source_addresses(
        peer, (forwarded_for or b"").decode("latin-1"), (real_ip or b"").decode("latin-1")
    )
    if addresses:
        out = b',"sourceIPs":' + orjson.dumps(addresses)
    if user_agent:
        out += b',"userAgent":' + orjson.dumps(shortened(user_agent.decode("latin-1")))
    return out


def shortened(user_agent: str) -> str:
    if len(user_agent) <= LIMIT_USER_AGENT:
        return user_agent
    return user_agent[:LIMIT_USER_AGENT] + TRUNCATED


def source_addresses(peer: str, forwarded_for: str, real_ip: str) -> list[str]:
    """Return the addresses on the way, the client's first; only the last can be trusted.

    X-Forwarded-For names the chain, X-Real-Ip adds its address unless it is in there, and the
    connection's own stands last. Source: apimachinery/pkg/util/net/http.go (SourceIPs).
    """
    chain = [address for part in forwarded_for.split(",") if (address := parsed(part))]
    real = parsed(real_ip)
    if real and real not in chain:
        chain.append(real)
    own = parsed(peer)
    if own and (not chain or chain[-1] != own):
        chain.append(own)
    return chain


def parsed(text: str) -> str:
    """Return an address as Go prints it, "" for what is none. Leading zeros do no harm."""
    text = text.strip()
    if "%" in text:
        return ""
    if ":" not in text:
        parts = text.split(".")
        if not all(part.isascii() and part.isdigit() for part in parts):
            return ""
        text = ".".join(str(int(part)) if len(part) < 9 else part for part in parts)
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return ""
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(address)
