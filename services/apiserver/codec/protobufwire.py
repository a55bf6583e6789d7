"""Protobuf's wire format: base-128 integers, tags, and the way past fields nobody knows.

Source: protobuf.dev, "Encoding"; the decoders that gogo/protobuf generates for kube-apiserver
v1.36.2.
"""

from __future__ import annotations

VARINT, FIXED64, DELIMITED, GROUP, GROUP_END, FIXED32 = range(6)
"""Wire types: the three lowest bits of a tag."""

SHORT = tuple(bytes([number]) for number in range(0x80))
"""The integers of one byte: most lengths, and most numbers."""
_UINT64 = 2**64 - 1
_MAX_NUMBER = 2**29 - 1
_WIDTHS = {FIXED64: 8, FIXED32: 4}


class Malformed(Exception):
    """The bytes are not the message that they should be."""


def read_varint(raw: bytes, pos: int) -> tuple[int, int]:
    """Return the unsigned integer of 64 bits at `pos` and the position behind it.

    Raises:
        IndexError: the bytes end within it.
        Malformed: it has more than ten bytes.
    """
    number = 0
    for shift in range(0, 70, 7):
        byte = raw[pos]
        pos += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number & _UINT64, pos
    raise Malformed("proto: integer overflow")


def varint(number: int) -> bytes:
    """Return an integer of at most 64 bits; a negative one in two's complement."""
    if 0 <= number < 0x80:
        return SHORT[number]
    if 0 <= number < 0x4000:
        return bytes((number & 0x7F | 0x80, number >> 7))
    rest = number & _UINT64
    out = bytearray()
    while rest > 0x7F:
        out.append(rest & 0x7F | 0x80)
        rest >>= 7
    out.append(rest)
    return bytes(out)


def tag_of(number: int, wire_type: int) -> int:
    return number << 3 | wire_type


def chunk(number: int, data: bytes | bytearray) -> bytes:
    """Return a length-delimited field."""
    return b"".join((varint(tag_of(number, DELIMITED)), varint(len(data)), data))


def skip(raw: bytes, tag: int, pos: int) -> int:
    """Return the position behind the field whose tag has just been read.

    Raises:
        IndexError, Malformed: as `read_varint`; also where no field has such a tag.
    """
    groups = 0
    while True:
        wire_type = tag & 7
        if not 0 < tag >> 3 <= _MAX_NUMBER:
            raise Malformed(f"proto: illegal tag {tag >> 3} (wire type {wire_type})")
        if wire_type == VARINT:
            _, pos = read_varint(raw, pos)
        elif wire_type == DELIMITED:
            size, pos = read_varint(raw, pos)
            pos += size
        elif wire_type == GROUP:
            groups += 1
        elif wire_type == GROUP_END:
            groups -= 1
        elif wire_type in _WIDTHS:
            pos += _WIDTHS[wire_type]
        else:
            raise Malformed(f"proto: illegal wireType {wire_type}")
        if groups < 0:
            raise Malformed("proto: unexpected end of group")
        if groups == 0:
            return pos
        tag, pos = read_varint(raw, pos)
