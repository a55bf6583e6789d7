"""Quantities: "500m", "1Gi", "1e3". Parsing, canonical form, order and arithmetic.

Source: kube-apiserver v1.36.2, apimachinery/pkg/api/resource (quantity.go, suffix.go).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache, total_ordering

MAX_INT64 = 2**63 - 1

_NANO = -9
_MILLI = -3
_CACHED_CHARACTERS = 64
"""Longer texts are not remembered, so that the cache stays small whatever clients send."""
_MAX_DIGITS = 4000
"""Python refuses to convert more than 4300 digits between text and int."""
_MAX_SCALE_SPREAD = 10_000

_TEXT = re.compile(
    r"(?P<sign>[+-]?)0*(?P<whole>[0-9]*)(?:\.(?P<fraction>[0-9]*))?"
    r"(?P<suffix>[eEinumkKMGTP]*[-+]?[0-9]*)"
)
_BINARY_EXPONENTS = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
_DECIMAL_EXPONENTS = {
    "n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18,
}  # fmt: skip
_BINARY_SUFFIXES = {0: ""} | {exponent: text for text, exponent in _BINARY_EXPONENTS.items()}
_DECIMAL_SUFFIXES = {exponent: text for text, exponent in _DECIMAL_EXPONENTS.items()}


class QuantityError(ValueError):
    """The text is not a quantity."""


class Format(Enum):
    """The family of suffixes that a quantity was written with and is printed with."""

    DECIMAL_SI = "DecimalSI"
    DECIMAL_EXPONENT = "DecimalExponent"
    BINARY_SI = "BinarySI"


@total_ordering
@dataclass(frozen=True, slots=True, eq=False)
class Quantity:
    """`unscaled` * 10**`scale`. Equality and order look at the value, not at the format."""

    unscaled: int
    scale: int = 0
    format: Format = Format.DECIMAL_SI
    written: str = field(default="")
    """The text it was parsed from, where kube-apiserver prints that again as it is."""

    @property
    def is_zero(self) -> bool:
        return self.unscaled == 0

    @property
    def sign(self) -> int:
        """-1, 0 or 1."""
        return (self.unscaled > 0) - (self.unscaled < 0)

    def value(self) -> int:
        """Return the whole number, rounded away from zero and capped at 64 bits."""
        return self._scaled_value(0)

    def milli_value(self) -> int:
        """Return the thousandths, rounded away from zero and capped at 64 bits."""
        return self._scaled_value(_MILLI)

    def round_up(self, scale: int = _MILLI) -> Quantity:
        """Round away from zero to multiples of 10**scale; the API keeps resources in milli."""
        if self.scale >= scale:
            return self
        return Quantity(_divide_up(self.unscaled, scale - self.scale), scale, self.format)

    def __str__(self) -> str:
        return self.written or self._canonical()

    def __hash__(self) -> int:
        return hash(_strip_tens(self.unscaled, self.scale))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Quantity) and _compare(self, other) == 0

    def __lt__(self, other: Quantity) -> bool:
        return _compare(self, other) < 0

    def __neg__(self) -> Quantity:
        return Quantity(-self.unscaled, self.scale, self.format)

    def __add__(self, other: Quantity) -> Quantity:
        left, right, scale = _align(self, other)
        return Quantity(left + right, scale, other.format if self.is_zero else self.format)

    def __sub__(self, other: Quantity) -> Quantity:
        return self + -other

    def _scaled_value(self, scale: int) -> int:
        if self.unscaled == 0:
            return 0
        shift = self.scale - scale
        if shift < 0:
            number = _divide_up(self.unscaled, -shift)
        elif shift > 19:
            number = MAX_INT64 * self.sign
        else:
            number = self.unscaled * 10**shift
        return max(-MAX_INT64, min(MAX_INT64, number))

    def _canonical(self) -> str:
        if self.unscaled == 0:
            return "0"
        if self.format is Format.BINARY_SI:
            binary = self._canonical_binary()
            if binary is not None:
                return binary
        number, exponent = _strip_tens(self.unscaled, self.scale)
        shift = exponent % 3
        number, exponent = number * 10**shift, exponent - shift
        if self.format is not Format.DECIMAL_EXPONENT and exponent in _DECIMAL_SUFFIXES:
            return f"{number}{_DECIMAL_SUFFIXES[exponent]}"
        return f"{number}e{exponent}" if exponent else str(number)

    def _canonical_binary(self) -> str | None:
        """Return the form with a binary suffix, None where that would lose precision."""
        number, scale = _strip_tens(self.unscaled, self.scale)
        if scale < 0 or scale > 19:
            return None
        number *= 10**scale
        if -1024 < number < 1024:
            return None
        exponent = 0
        while number % 1024 == 0 and exponent < 60:
            number //= 1024
            exponent += 10
        return f"{number}{_BINARY_SUFFIXES[exponent]}"


def parse(text: str) -> Quantity:
    """Parse a quantity; finer than nano is rounded away from zero.

    Raises:
        QuantityError: `text` is not a quantity.
    """
    return _parse_cached(text) if len(text) <= _CACHED_CHARACTERS else _parse(text)


def canonical(value: str | int | float) -> str:
    """Return the text that kube-apiserver stores for a quantity given as JSON string or number.

    A text that is canonical in kube-apiserver's eyes stays as it is ("1e3", "+2").

    Raises:
        QuantityError: `value` is not a quantity.
    """
    if isinstance(value, str):
        text = value.strip()
        return _canonical_cached(text) if len(text) <= _CACHED_CHARACTERS else str(_parse(text))
    if isinstance(value, bool):
        raise QuantityError(_WRONG_FORMAT)
    return str(parse(repr(value)))


_WRONG_FORMAT = (
    "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
)


def _parse(text: str) -> Quantity:
    found = _TEXT.fullmatch(text)
    if not text or found is None:
        raise QuantityError(_WRONG_FORMAT)
    if text == "0":
        return Quantity(0, written=text)
    sign, whole, fraction, suffix = found.groups(default="")
    digits = (whole or "0") + fraction
    if len(digits) > _MAX_DIGITS:
        raise QuantityError("unable to parse numeric part of quantity")
    number = int(digits)
    exponent, form = _interpret(suffix)
    if form is Format.BINARY_SI:
        scale = -len(fraction)
        unscaled = number << exponent
        if not fraction and exponent and _is_short(whole, exponent):
            canonical_already = bool(number & 7)
        else:
            canonical_already = False
            unscaled, scale = _bound(unscaled, scale)
            if 0 < unscaled < 10**-scale:
                form = Format.DECIMAL_SI
    else:
        scale = exponent - len(fraction)
        unscaled = number
        if len(digits) <= 18 and scale >= _NANO:
            canonical_already = (
                scale % 3 == 0 and not digits.endswith("000") and not digits.startswith("0")
            )
        else:
            canonical_already = False
            if scale < _NANO:
                unscaled, scale = _divide_up(unscaled, _NANO - scale), _NANO
    if sign == "-":
        unscaled = -unscaled
    return Quantity(unscaled, scale, form, text if canonical_already else "")


_parse_cached = lru_cache(maxsize=4096)(_parse)


@lru_cache(maxsize=4096)
def _canonical_cached(text: str) -> str:
    # Printing takes 2 us, and every pod says "64Mi".
    return str(_parse(text))


def _interpret(suffix: str) -> tuple[int, Format]:
    """Return the power of two or ten that a suffix stands for."""
    exponent = _DECIMAL_EXPONENTS.get(suffix)
    if exponent is not None:
        return exponent, Format.DECIMAL_SI
    exponent = _BINARY_EXPONENTS.get(suffix)
    if exponent is not None:
        return exponent, Format.BINARY_SI
    if suffix[:1] in ("e", "E") and len(suffix) < 14:
        try:
            exponent = int(suffix[1:])
        except ValueError:
            raise QuantityError("unable to parse quantity's suffix") from None
        if -(2**31) <= exponent < 2**31:
            return exponent, Format.DECIMAL_EXPONENT
    raise QuantityError("unable to parse quantity's suffix")


def _is_short(whole: str, exponent: int) -> bool:
    """Whether kube-apiserver takes its 64-bit path, which keeps canonical texts."""
    return 15 - len(whole or "0") - int(exponent * 3 / 10) - 1 >= 0


def _bound(unscaled: int, scale: int) -> tuple[int, int]:
    """Round a binary quantity to nano, then cap it at 64 bits."""
    if scale < _NANO:
        unscaled, scale = _divide_up(unscaled, _NANO - scale), _NANO
    if unscaled > MAX_INT64 * 10**-scale:
        return MAX_INT64, 0
    return unscaled, scale


def _divide_up(number: int, tens: int) -> int:
    """Divide by 10**tens, rounding away from zero."""
    if tens > _MAX_SCALE_SPREAD:  # more digits than any parsed number has
        return (number > 0) - (number < 0)
    quotient = -(-abs(number) // int(10**tens))
    return quotient if number >= 0 else -quotient


def _strip_tens(number: int, exponent: int) -> tuple[int, int]:
    if number == 0:
        return 0, 0
    while number % 1000 == 0:
        number //= 1000
        exponent += 3
    while number % 10 == 0:
        number //= 10
        exponent += 1
    return number, exponent


def _align(left: Quantity, right: Quantity) -> tuple[int, int, int]:
    """Return both numbers at their common scale."""
    if not left.unscaled:
        return 0, right.unscaled, right.scale
    if not right.unscaled:
        return left.unscaled, 0, left.scale
    scale = min(left.scale, right.scale)
    if max(left.scale, right.scale) - scale > _MAX_SCALE_SPREAD:
        raise QuantityError("quantities are too far apart to be added")
    return (
        left.unscaled * 10 ** (left.scale - scale),
        right.unscaled * 10 ** (right.scale - scale),
        scale,
    )


def _compare(left: Quantity, right: Quantity) -> int:
    if left.scale == right.scale:
        return (left.unscaled > right.unscaled) - (left.unscaled < right.unscaled)
    if left.sign != right.sign or not left.sign:
        return (left.sign > right.sign) - (left.sign < right.sign)
    # Exponents are a client's choice, so magnitudes go first: no 10**2000000000 here.
    left_magnitude = len(str(abs(left.unscaled))) + left.scale
    right_magnitude = len(str(abs(right.unscaled))) + right.scale
    if left_magnitude != right_magnitude:
        return left.sign if left_magnitude > right_magnitude else -left.sign
    first, second, _ = _align(left, right)
    return (first > second) - (first < second)
