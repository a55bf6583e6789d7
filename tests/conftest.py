"""What all tests share: how hypothesis searches, and readable failures of the contract suites."""

from __future__ import annotations

import os

import hypothesis
import pytest

# In CI the same examples every time: what lands must not depend on luck. On a developer's
# machine other ones in each run, so that the search goes on.
hypothesis.settings.register_profile("ci", derandomize=True, print_blob=True)
if os.environ.get("CI"):
    hypothesis.settings.load_profile("ci")

pytest.register_assert_rewrite(
    "tests.contract.storage", "tests.contract.eventlog", "tests.contract.redis_log"
)
