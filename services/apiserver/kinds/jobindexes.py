"""Index intervals of Indexed Jobs, like "1,3-5,7".

Source: kube-apiserver v1.36.2, pkg/apis/batch/validation/validation.go (validateIndexesFormat,
parseIndexInterval, validateFailedIndexesNotOverlapCompleted).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_NUMBER = re.compile(r"[+-]?[0-9]{1,18}")


class IndexesError(ValueError):
    """The text does not list indexes below the completions in ascending order."""


def count_indexes(text: str, completions: int) -> int:
    """Return how many indexes a list of intervals covers.

    Raises:
        IndexesError: the list is malformed, out of order or goes beyond the completions.
    """
    total, last = 0, None
    for first, end in _intervals(text, completions):
        if last is not None and last >= first:
            raise IndexesError(f"non-increasing order, previous: {last}, current: {first}")
        total += end - first + 1
        last = end
    return total


def overlap(completed: str, failed: str, completions: int) -> int | None:
    """Return the first index of both lists; None where there is none. Skips malformed parts."""
    ours, theirs = (list(_good_intervals(text, completions)) for text in (completed, failed))
    position = other = 0
    while position < len(ours) and other < len(theirs):
        (first, last), (start, end) = ours[position], theirs[other]
        if first <= end and start <= last:
            return max(first, start)
        if first <= start:
            position += 1
        else:
            other += 1
    return None


def _intervals(text: str, completions: int) -> Iterator[tuple[int, int]]:
    for part in text.split(",") if text else ():
        yield _interval(part, completions)


def _good_intervals(text: str, completions: int) -> Iterator[tuple[int, int]]:
    for part in text.split(",") if text else ():
        try:
            yield _interval(part, completions)
        except IndexesError:
            continue  # the check of the format tells of it


def _interval(text: str, completions: int) -> tuple[int, int]:
    limits = text.split("-")
    if len(limits) > 2:
        raise IndexesError(
            f'the fragment "{text}" violates the requirement that an index interval can have at'
            " most two parts separated by '-'"
        )
    first = _index(limits[0], completions)
    if len(limits) == 1:
        return first, first
    last = _index(limits[1], completions)
    if first >= last:
        raise IndexesError(f"non-increasing order, previous: {first}, current: {last}")
    return first, last


def _index(text: str, completions: int) -> int:
    if not _NUMBER.fullmatch(text):
        raise IndexesError(f'cannot convert string to integer for index: "{text}"')
    number = int(text)
    if number >= completions:
        raise IndexesError(f'too large index: "{text}"')
    return number
