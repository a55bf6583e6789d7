"""Syntax of names: each function returns what is wrong with a value, as messages.

An empty list means that the value is good. Lengths count bytes, as Go does.
Source: kube-apiserver v1.36.2, apimachinery/pkg/util/validation/validation.go and
apimachinery/pkg/api/validate/content.
"""

from __future__ import annotations

import re
from functools import lru_cache

_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = _LABEL + r"(\." + _LABEL + ")*"
_UNDERSCORE_LABEL = "_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?"
_UNDERSCORE_SUBDOMAIN = _UNDERSCORE_LABEL + r"(\." + _UNDERSCORE_LABEL + ")*"
_DNS1035 = "[a-z]([-a-z0-9]*[a-z0-9])?"
_QUALIFIED = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_LABEL_VALUE = "(" + _QUALIFIED + ")?"
_WILDCARD = r"\*\." + _SUBDOMAIN
_C_IDENTIFIER = "[A-Za-z_][A-Za-z0-9_]*"
_ENV_NAME = "[-._a-zA-Z][-._a-zA-Z0-9]*"
_CONFIG_KEY = "[-._a-zA-Z0-9]+"
_HTTP_HEADER = "[-A-Za-z0-9]+"
_HTTP_PATH = r"[A-Za-z0-9/\-._~%!$&'()*+,;=:]+"
_PERCENT = "[0-9]+%"
_CONDITION_REASON = "[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?"

_label = re.compile(_LABEL).fullmatch
_subdomain = re.compile(_SUBDOMAIN).fullmatch
_underscore_subdomain = re.compile(_UNDERSCORE_SUBDOMAIN).fullmatch
_dns1035 = re.compile(_DNS1035).fullmatch
_qualified = re.compile(_QUALIFIED).fullmatch
_label_value = re.compile(_LABEL_VALUE).fullmatch
_wildcard = re.compile(_WILDCARD).fullmatch
_c_identifier = re.compile(_C_IDENTIFIER).fullmatch
_env_name = re.compile(_ENV_NAME).fullmatch
_config_key = re.compile(_CONFIG_KEY).fullmatch
_http_header = re.compile(_HTTP_HEADER).fullmatch
_http_path = re.compile(_HTTP_PATH).fullmatch
_percent = re.compile(_PERCENT).fullmatch
_condition_reason = re.compile(_CONDITION_REASON).fullmatch
_port_characters = re.compile("[-a-z0-9]+").fullmatch
_port_letter = re.compile("[a-z]").search

EMPTY = "must be non-empty"


def max_length(maximum: int) -> str:
    return f"must be no more than {maximum} bytes"


def inclusive_range(low: int, high: int) -> str:
    return f"must be between {low} and {high}, inclusive"


def pattern(message: str, expression: str, *examples: str) -> str:
    """Return the message about a value that does not match `expression`."""
    if not examples:
        return f"{message} (regex used for validation is '{expression}')"
    shown = " or ".join(f"'{example}', " for example in examples)
    return f"{message} (e.g. {shown}regex used for validation is '{expression}')"


def longer_than(value: str, maximum: int) -> bool:
    """Whether `value` has more than `maximum` bytes."""
    if len(value) > maximum:
        return True
    return not value.isascii() and len(value.encode()) > maximum


def dns1123_label(value: str) -> list[str]:
    if _label(value) and len(value) <= 63:
        return []
    found = [max_length(63)] if longer_than(value, 63) else []
    if not _label(value):
        if _subdomain(value):
            found.append("must not contain dots")
        else:
            found.append(
                pattern(
                    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters"
                    " or '-', and must start and end with an alphanumeric character",
                    _LABEL,
                    "my-name",
                    "123-abc",
                )
            )
    return found


def dns1123_subdomain(value: str) -> list[str]:
    if _subdomain(value) and len(value) <= 253:
        return []
    found = [max_length(253)] if longer_than(value, 253) else []
    if not _subdomain(value):
        found.append(
            pattern(
                "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric"
                " characters, '-' or '.', and must start and end with an alphanumeric character",
                _SUBDOMAIN,
                "example.com",
            )
        )
    return found


def dns1123_subdomain_with_underscore(value: str) -> list[str]:
    found = [max_length(253)] if longer_than(value, 253) else []
    if not _underscore_subdomain(value):
        found.append(
            pattern(
                "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric"
                " characters, '_', '-' or '.', and must start and end with an alphanumeric"
                " character",
                _UNDERSCORE_SUBDOMAIN,
                "example.com",
            )
        )
    return found


def dns1035_label(value: str) -> list[str]:
    if _dns1035(value) and len(value) <= 63:
        return []
    found = [max_length(63)] if longer_than(value, 63) else []
    if not _dns1035(value):
        found.append(
            pattern(
                "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start"
                " with an alphabetic character, and end with an alphanumeric character",
                _DNS1035,
                "my-name",
                "abc-123",
            )
        )
    return found


def wildcard_dns1123_subdomain(value: str) -> list[str]:
    found = [max_length(253)] if longer_than(value, 253) else []
    if not _wildcard(value):
        found.append(
            pattern(
                "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS"
                " subdomain, which must consist of lower case alphanumeric characters, '-' or '.'"
                " and end with an alphanumeric character",
                _WILDCARD,
                "*.example.com",
            )
        )
    return found


def is_qualified_name(value: str) -> bool:
    """Whether `value` is a name with an optional DNS prefix: prefix/Name."""
    return len(value) <= 253 + 1 + 63 and _is_qualified_name(value)


@lru_cache(maxsize=8192)  # only of what is short: clients choose what it holds
def _is_qualified_name(value: str) -> bool:
    prefix, slash, name = value.rpartition("/")
    if slash and not (_subdomain(prefix) and len(prefix) <= 253):
        return False
    return len(name) <= 63 and _qualified(name) is not None


def qualified_name(value: str) -> list[str]:
    """Check a label or annotation key: [subdomain/]name."""
    if is_qualified_name(value):
        return []
    parts = value.split("/")
    regex = pattern(
        "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an"
        " alphanumeric character",
        _QUALIFIED,
        "MyName",
        "my.name",
        "123-abc",
    )
    if len(parts) > 2:
        return [
            f"a valid label key {regex} with an optional DNS subdomain prefix and '/'"
            " (e.g. 'example.com/MyName')"
        ]
    found = []
    if len(parts) == 2:
        if not parts[0]:
            found.append(f"prefix part {EMPTY}")
        else:
            found += [f"prefix part {message}" for message in dns1123_subdomain(parts[0])]
    name = parts[-1]
    if not name:
        found.append(f"name part {EMPTY}")
    elif longer_than(name, 63):
        found.append(f"name part {max_length(63)}")
    if not _qualified(name):
        found.append(f"name part {regex}")
    return found


def is_label_value(value: str) -> bool:
    return len(value) <= 63 and _is_label_value(value)


@lru_cache(maxsize=8192)
def _is_label_value(value: str) -> bool:
    return _label_value(value) is not None


def label_value(value: str) -> list[str]:
    if is_label_value(value):
        return []
    found = [max_length(63)] if longer_than(value, 63) else []
    if not _label_value(value):
        found.append(
            pattern(
                "a valid label must be an empty string or consist of alphanumeric characters, '-',"
                " '_' or '.', and must start and end with an alphanumeric character",
                _LABEL_VALUE,
                "MyValue",
                "my_value",
                "12345",
            )
        )
    return found


def path_segment(value: str) -> list[str]:
    """Check a name that only has to fit into a URL path, like those of RBAC objects."""
    if value in (".", ".."):
        return [f"may not be '{value}'"]
    return path_segment_prefix(value)


def path_segment_prefix(value: str) -> list[str]:
    return [f"may not contain '{character}'" for character in "/%" if character in value]


def with_trailing_dash_masked(prefix: str) -> str:
    """Return a generateName as a name to validate: a trailing dash is allowed in it."""
    if len(prefix) > 1 and prefix.endswith("-"):
        return prefix[:-2] + "a"
    return prefix


def c_identifier(value: str) -> list[str]:
    if _c_identifier(value):
        return []
    return [
        pattern(
            "a valid C identifier must start with alphabetic character or '_', followed by a string"
            " of alphanumeric characters or '_'",
            _C_IDENTIFIER,
            "my_name",
            "MY_NAME",
            "MyName",
        )
    ]


def env_var_name(value: str) -> list[str]:
    """Check an environment variable's name by the strict rule; see relaxed_env_var_name."""
    found = []
    if not _env_name(value):
        found.append(
            pattern(
                "a valid environment variable name must consist of alphabetic characters, digits,"
                " '_', '-', or '.', and must not start with a digit",
                _ENV_NAME,
                "my.env-name",
                "MY_ENV.NAME",
                "MyEnvName1",
            )
        )
    return found + _parent_directory(value)


def relaxed_env_var_name(value: str) -> list[str]:
    """Check an environment variable's name: printable ASCII without "="."""
    if not value:
        return [f"environment variable name {EMPTY}"]
    if not value.isascii() or not value.isprintable() or "=" in value:
        return [
            "a valid environment variable name must consist only of printable ASCII characters"
            " other than '='"
        ]
    return []


def config_map_key(value: str) -> list[str]:
    found = [max_length(253)] if longer_than(value, 253) else []
    if not _config_key(value):
        found.append(
            pattern(
                "a valid config key must consist of alphanumeric characters, '-', '_' or '.'",
                _CONFIG_KEY,
                "key.name",
                "KEY_NAME",
                "key-name",
            )
        )
    return found + _parent_directory(value)


def _parent_directory(value: str) -> list[str]:
    if value in (".", ".."):
        return [f"must not be '{value}'"]
    return ["must not start with '..'"] if value.startswith("..") else []


def port_number(value: int) -> list[str]:
    return [] if 1 <= value <= 65535 else [inclusive_range(1, 65535)]


def port_name(value: str) -> list[str]:
    found = [max_length(15)] if longer_than(value, 15) else []
    if not _port_characters(value):
        found.append("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)")
    if not _port_letter(value):
        found.append("must contain at least one letter (a-z)")
    if "--" in value:
        found.append("must not contain consecutive hyphens")
    if value and "-" in (value[0], value[-1]):
        found.append("must not begin or end with a hyphen")
    return found


def http_header_name(value: str) -> list[str]:
    if _http_header(value):
        return []
    return [
        pattern(
            "a valid HTTP header must consist of alphanumeric characters or '-'",
            _HTTP_HEADER,
            "X-Header-Name",
        )
    ]


def http_path(value: str) -> list[str]:
    return [] if _http_path(value) else [pattern("Invalid path", _HTTP_PATH)]


def percent(value: str) -> list[str]:
    if _percent(value):
        return []
    return [
        pattern(
            "a valid percent string must be a numeric string followed by an ending '%'",
            _PERCENT,
            "1%",
            "93%",
        )
    ]


def condition_reason(value: str) -> list[str]:
    if _condition_reason(value):
        return []
    return [
        pattern(
            "a condition reason must start with alphabetic character, optionally followed by a"
            " string of alphanumeric characters or '_,:', and must end with an alphanumeric"
            " character or '_'",
            _CONDITION_REASON,
            "my_name",
            "MY_NAME",
            "MyName",
            "ReasonA,ReasonB",
            "ReasonA:ReasonB",
        )
    ]
