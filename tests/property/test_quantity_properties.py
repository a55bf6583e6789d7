"""Quantities against exact fractions."""

from __future__ import annotations

import re
from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from services.apiserver.values.quantity import QuantityError, parse

_FACTORS = {
    **{suffix: Fraction(1000) ** power for power, suffix in enumerate(("", *"kMGTPE"))},
    **{suffix: Fraction(1, 1000) ** power for power, suffix in enumerate("mun", 1)},
    **{f"{suffix}i": Fraction(1024) ** power for power, suffix in enumerate("KMGTPE", 1)},
}

numbers = st.from_regex(r"[+-]?[0-9]{1,6}(\.[0-9]{1,3})?", fullmatch=True)
suffixes = st.sampled_from(sorted(_FACTORS)) | st.integers(-6, 12).map(lambda n: f"e{n}")
texts = st.builds(str.__add__, numbers, suffixes)


def model(text: str) -> Fraction:
    """Return the exact value that a quantity stands for, up to the nano."""
    number, suffix = re.fullmatch(r"([-+0-9.]+)(.*)", text).groups()  # type: ignore[union-attr]
    if suffix.startswith("e"):
        factor = Fraction(10) ** int(suffix[1:])
    else:
        factor = _FACTORS[suffix]
    nanos = Fraction(number) * factor * 10**9
    rounded = -(-abs(nanos) // 1)
    limit = (2**63 - 1) * 10**9
    if suffix.endswith("i"):
        rounded = min(rounded, limit)
    return Fraction(rounded if nanos >= 0 else -rounded, 10**9)


@given(texts)
@settings(deadline=None)
def test_a_canonical_text_means_the_same_and_is_its_own_canonical_form(text: str) -> None:
    canonical = str(parse(text))
    assert parse(canonical) == parse(text)
    assert str(parse(canonical)) == canonical


@given(texts, texts)
@settings(deadline=None)
def test_order_and_sums_are_those_of_the_numbers(left: str, right: str) -> None:
    one, other = parse(left), parse(right)
    assert (one < other) == (model(left) < model(right))
    assert (one == other) == (model(left) == model(right))
    assert model(str(one + other)) == model(left) + model(right)
    assert one + other - other == one


@given(texts)
@settings(deadline=None)
def test_whole_values_round_away_from_zero(text: str) -> None:
    exact = model(text)
    expected = -(-abs(exact) // 1) * (1 if exact >= 0 else -1)
    assert parse(text).value() == max(min(expected, 2**63 - 1), -(2**63 - 1))


@given(st.text(alphabet="0123456789.+-eEinumkKMGTP x", max_size=30) | st.text(max_size=10))
@settings(deadline=None)
def test_any_text_is_a_quantity_or_an_error(text: str) -> None:
    try:
        quantity = parse(text)
    except QuantityError:
        return
    assert str(parse(str(quantity))) == str(quantity)
