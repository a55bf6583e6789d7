"""Go's regular expressions (RE2 syntax), as far as Python's differ in writing."""

from __future__ import annotations

import re
from functools import lru_cache

_CLASSES = {
    "alnum": "0-9A-Za-z",
    "alpha": "A-Za-z",
    "ascii": r"\x00-\x7F",
    "blank": r"\t ",
    "cntrl": r"\x00-\x1F\x7F",
    "digit": "0-9",
    "graph": "!-~",
    "lower": "a-z",
    "print": " -~",
    "punct": r"!-/:-@\[-`{-~",
    "space": r"\t\n\v\f\r ",
    "upper": "A-Z",
    "word": "0-9A-Za-z_",
    "xdigit": "0-9A-Fa-f",
}
_TOKEN = re.compile(r"\\.|\[:\^?[a-z]+:\]|\$|.", re.DOTALL)
_ENDS = {r"\z": r"\Z", r"\Q": "", r"\E": ""}


@lru_cache(maxsize=1024)
def compile_pattern(pattern: str) -> re.Pattern[str] | None:
    r"""Return the pattern compiled for `search`, None if it is no regular expression.

    `\z` and POSIX classes are rewritten, `$` means the very end, and \d, \w, \s are ASCII.
    """
    out: list[str] = []
    in_class = False
    for token in _TOKEN.findall(pattern):
        if token.startswith("[:") and in_class:
            name = token.strip("[:^]")
            out.append(_CLASSES.get(name, token))
        elif token in _ENDS:
            out.append(_ENDS[token])
        elif token == "$" and not in_class:
            out.append(r"\Z")
        else:
            if token == "[" and in_class:
                token = r"\["
            elif token == "[":
                in_class = True
            elif token == "]" and in_class and out[-1:] not in (["["], ["^"]):
                in_class = False
            out.append(token)
    flags = re.ASCII
    text = "".join(out)
    if "(?m" in pattern:
        text = text.replace(r"\Z", "$")
    try:
        return re.compile(text, flags)
    except (re.error, OverflowError):
        return None
