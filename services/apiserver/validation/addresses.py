"""IP addresses and CIDRs as API fields accept them.

Source: kube-apiserver v1.36.2, apimachinery/pkg/util/validation/ip.go (the rules for legacy
fields, with StrictIPCIDRValidation on) and pkg/apis/core/validation/validation.go.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Sequence

from services.apiserver.errors import Cause
from services.apiserver.validation.field import invalid

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

NOT_AN_ADDRESS = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
NOT_A_CIDR = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"


def parse_address(text: str) -> Address | None:
    """Parse an address as Go's older parser did: an octet may have leading zeros."""
    if ":" not in text:
        octets = text.split(".")
        if not all(octet.isascii() and octet.isdigit() and len(octet) <= 3 for octet in octets):
            return None
        text = ".".join(str(int(octet)) for octet in octets)
    elif "%" in text:
        return None
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def parse_cidr(text: str) -> tuple[Address, int] | None:
    """Parse "address/bits"; the address may have bits beyond the mask, and leading zeros."""
    address_text, slash, bits = text.partition("/")
    address = parse_address(address_text)
    if not slash or address is None or not (bits.isascii() and bits.isdigit() and len(bits) <= 3):
        return None
    return (address, int(bits)) if int(bits) <= address.max_prefixlen else None


def is_ipv6(text: str) -> bool:
    """Whether `text` is an IPv6 address (an IPv4-mapped one counts as IPv4)."""
    address = parse_address(text)
    return isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is None


def is_ipv4(text: str) -> bool:
    address = parse_address(text)
    if isinstance(address, ipaddress.IPv6Address):
        return address.ipv4_mapped is not None
    return address is not None


def family_of(text: str) -> str:
    """Return "IPv4", "IPv6" or "unknown"."""
    if is_ipv6(text):
        return "IPv6"
    return "IPv4" if is_ipv4(text) else "unknown"


def validate_address(text: str, path: str, old: Collection[str] = ()) -> list[Cause]:
    """Check an address; one of the `old` values may stay as it is."""
    if text in old:
        return []
    address = parse_address(text)
    if address is None:
        return [invalid(path, text, NOT_AN_ADDRESS)]
    if isinstance(address, ipaddress.IPv4Address):
        return [] if str(address) == text else [invalid(path, text, "must not have leading 0s")]
    if address.ipv4_mapped is not None:
        return [invalid(path, text, "must not be an IPv4-mapped IPv6 address")]
    return []


def validate_cidr(text: str, path: str, old: Collection[str] = ()) -> list[Cause]:
    """Check a CIDR; one of the `old` values may stay as it is."""
    if text in old:
        return []
    parsed = parse_cidr(text)
    if parsed is None:
        return [invalid(path, text, NOT_A_CIDR)]
    address, bits = parsed
    written, _, written_bits = text.partition("/")
    found: list[Cause] = []
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            found.append(invalid(path, text, "must not have an IPv4-mapped IPv6 address"))
    elif str(address) != written:
        found.append(invalid(path, text, "must not have leading 0s in IP"))
    if written_bits != str(bits):
        found.append(invalid(path, text, "must not have leading 0s in prefix length"))
    network = ipaddress.ip_network((address, bits), strict=False)
    if network.network_address != address:
        found.append(invalid(path, text, "must not have bits set beyond the prefix length"))
    return found


def validate_canonical_address(text: str, path: str) -> list[Cause]:
    """Check an address that must be written in its shortest, lower-case form."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return [invalid(path, text, NOT_AN_ADDRESS)]
    if "%" in text:
        return [invalid(path, text, NOT_AN_ADDRESS)]
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return [invalid(path, text, "must not be an IPv4-mapped IPv6 address")]
    if str(address) != text:
        return [invalid(path, text, f'must be in canonical form ("{address}")')]
    return []


def validate_canonical_cidr(text: str, path: str) -> list[Cause]:
    """Check a CIDR that must be written in its one canonical form."""
    parsed = parse_cidr(text)
    if parsed is None:
        return [invalid(path, text, NOT_A_CIDR)]
    address, bits = parsed
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return [invalid(path, text, "must not have an IPv4-mapped IPv6 address")]
    canonical = str(ipaddress.ip_network((address, bits), strict=False))
    if canonical != text:
        return [invalid(path, text, f'must be in canonical form ("{canonical}")')]
    return []


def validate_non_special(text: str, path: str) -> list[Cause]:
    """Check that an address may be an endpoint: not unspecified, loopback or link-local."""
    address = parse_address(text)
    if address is None:
        return [invalid(path, text, "must be a valid IP address")]
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    found: list[Cause] = []
    if address.is_unspecified:
        found.append(invalid(path, text, f"may not be unspecified ({text})"))
    if address.is_loopback:
        found.append(invalid(path, text, "may not be in the loopback range (127.0.0.0/8, ::1/128)"))
    if address.is_link_local:
        found.append(
            invalid(path, text, "may not be in the link-local range (169.254.0.0/16, fe80::/10)")
        )
    if address in _LINK_LOCAL_MULTICAST[address.version]:
        found.append(
            invalid(
                path,
                text,
                "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)",
            )
        )
    return found


_LINK_LOCAL_MULTICAST: dict[int, Network] = {
    4: ipaddress.ip_network("224.0.0.0/24"),
    6: ipaddress.ip_network("ff02::/16"),
}


def are_dual_stack(addresses: Sequence[str]) -> bool:
    """Whether both families are among the addresses."""
    return {family_of(address) for address in addresses} >= {"IPv4", "IPv6"}
