"""The order of a merged list.

The patch's order comes first, then the live order: items the patch names keep the patch's
order, all others the live one, and the two interleave as they did in the live list.
Source: kube-apiserver v1.36.2, apimachinery/pkg/util/strategicpatch/patch.go
(normalizeElementOrder, mergeSortedSlice).
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any


def in_element_order(
    items: Sequence[Any],
    identities: Sequence[Hashable],
    patch_order: Sequence[Hashable],
    live_order: Sequence[Hashable],
) -> list[Any]:
    """Return `items` in order; `identities` are theirs, in step, and compare with the orders."""
    in_patch, in_live = _positions(patch_order), _positions(live_order)
    pairs = list(zip(identities, items, strict=True))
    patched = sorted(
        (pair for pair in pairs if pair[0] in in_patch), key=lambda pair: in_patch[pair[0]]
    )
    others = sorted(
        (pair for pair in pairs if pair[0] not in in_patch),
        key=lambda pair: in_live.get(pair[0], len(in_live)),
    )
    out = []
    next_patched = 0
    for identity, item in others:
        place = in_live.get(identity)
        # A patched item that the live list did not have goes before whatever follows.
        while next_patched < len(patched):
            other = in_live.get(patched[next_patched][0])
            if place is not None and other is not None and place < other:
                break
            out.append(patched[next_patched][1])
            next_patched += 1
        out.append(item)
    out.extend(item for _, item in patched[next_patched:])
    return out


def _positions(order: Sequence[Hashable]) -> dict[Hashable, int]:
    positions: dict[Hashable, int] = {}
    for position, identity in enumerate(order):
        positions.setdefault(identity, position)
    return positions
