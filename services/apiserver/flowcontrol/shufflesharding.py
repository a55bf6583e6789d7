"""Shuffle sharding: which few queues of a level a flow may use.

Two flows share all of their queues very rarely, so that a flood fills its own hand and leaves
most others a queue that is free of it.
Source: kube-apiserver v1.36.2, apiserver/pkg/util/shufflesharding/shufflesharding.go.
"""

from __future__ import annotations

import hashlib


def flow_hash(schema: str, distinguisher: str) -> int:
    """Return the 64 bits that a flow's hand is dealt by."""
    digest = hashlib.sha256(b"%b\0%b" % (schema.encode(), distinguisher.encode())).digest()
    return int.from_bytes(digest[:8], "little")


def deal(hash_value: int, deck_size: int, hand_size: int) -> tuple[int, ...]:
    """Return `hand_size` different queues out of `deck_size`."""
    remainders: list[int] = []
    for dealt in range(hand_size):
        hash_value, remainder = divmod(hash_value, deck_size - dealt)
        remainders.append(remainder)
    hand: list[int] = []
    for dealt, card in enumerate(remainders):
        # Each remainder counts the cards that are left: step over those dealt before it.
        for earlier in reversed(remainders[:dealt]):
            if card >= earlier:
                card += 1
        hand.append(card)
    return tuple(hand)
