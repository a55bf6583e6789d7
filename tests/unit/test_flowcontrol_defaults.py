"""What becomes of default objects that somebody has changed."""

from __future__ import annotations

from typing import Any

import pytest

from services.apiserver.flowcontrol.defaults import with_defaults

SPEC = {"matchingPrecedence": 5}
CHANGED = {"matchingPrecedence": 6}
AUTO = "apf.kubernetes.io/autoupdate-spec"


def there(value: str | None, generation: int) -> dict[str, Any]:
    annotations = {} if value is None else {AUTO: value}
    meta = {"name": "a", "generation": generation, "annotations": {"own": "x", **annotations}}
    return {"metadata": meta, "spec": CHANGED, "status": {"kept": True}}


@pytest.mark.parametrize(
    ("mandatory", "value", "generation", "spec", "annotation"),
    [
        (False, "true", 7, SPEC, "true"),
        (False, "false", 1, CHANGED, "false"),
        (False, None, 1, SPEC, "true"),
        (False, None, 2, CHANGED, "false"),
        (False, "nonsense", 2, CHANGED, "false"),
        (True, "false", 7, SPEC, "true"),
        (True, None, 7, SPEC, "true"),
    ],
)
def test_a_default_is_set_again_unless_somebody_took_it_over(
    mandatory: bool, value: str | None, generation: int, spec: dict[str, int], annotation: str
) -> None:
    present = there(value, generation)
    became = with_defaults(present, {"spec": SPEC}, mandatory=mandatory)
    assert became["spec"] == spec
    assert became["metadata"]["annotations"] == {"own": "x", AUTO: annotation}
    assert became["status"] == {"kept": True}
    assert with_defaults(became, {"spec": SPEC}, mandatory=mandatory) == became
    assert present == there(value, generation)


def test_what_the_exempt_level_lends_is_the_operators_own() -> None:
    wanted = {"spec": {"type": "Exempt", "exempt": {"nominalConcurrencyShares": 0}}}
    meta = {"name": "exempt", "annotations": {AUTO: "true"}}
    present = {
        "metadata": meta,
        "spec": {"type": "Limited", "exempt": {"nominalConcurrencyShares": 7}},
    }
    became = with_defaults(present, wanted, mandatory=True)
    assert became["spec"] == {"type": "Exempt", "exempt": {"nominalConcurrencyShares": 7}}
