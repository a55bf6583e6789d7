"""Custom resources with kubectl: from the definition to its end."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.kubectl import Kubectl

GROUP = "e2e.example.com"
SCHEMA = {
    "type": "object",
    "properties": {
        "spec": {
            "type": "object",
            "required": ["size"],
            "properties": {
                "size": {
                    "type": "integer",
                    "maximum": 10,
                    "x-kubernetes-validations": [
                        {"rule": "self >= oldSelf", "message": "size only grows"}
                    ],
                },
                "mode": {"type": "string", "default": "fast", "enum": ["fast", "slow"]},
            },
        },
        "status": {"type": "object", "properties": {"phase": {"type": "string"}}},
    },
}
DEFINITION = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": f"gadgets.{GROUP}"},
    "spec": {
        "group": GROUP,
        "scope": "Namespaced",
        "names": {
            "plural": "gadgets",
            "kind": "Gadget",
            "shortNames": ["gdg"],
            "categories": ["everything"],
        },
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {"openAPIV3Schema": SCHEMA},
                "subresources": {"status": {}},
                "selectableFields": [{"jsonPath": ".spec.mode"}],
                "additionalPrinterColumns": [
                    {"name": "Size", "type": "integer", "jsonPath": ".spec.size"},
                    {"name": "Phase", "type": "string", "jsonPath": ".status.phase"},
                ],
            }
        ],
    },
}


def gadget(name: str, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": f"{GROUP}/v1",
        "kind": "Gadget",
        "metadata": {"name": name},
        "spec": spec,
    }


@pytest.fixture(scope="module")
def definition(admin: Kubectl) -> Iterator[str]:
    """The definition of gadgets, established."""
    admin.apply(DEFINITION)
    admin.wait_established(f"gadgets.{GROUP}")
    yield f"gadgets.{GROUP}"
    admin("delete", "crd", f"gadgets.{GROUP}", "--ignore-not-found", "--timeout=30s")


def test_objects_are_created_listed_by_any_name_and_explained(
    kubectl: Kubectl, definition: str
) -> None:
    assert kubectl.apply(gadget("one", size=3)) == f"gadget.{GROUP}/one created\n"
    assert kubectl.apply(gadget("one", size=3)) == f"gadget.{GROUP}/one unchanged\n"
    assert kubectl.get("gdg", "one")["spec"] == {"size": 3, "mode": "fast"}
    (row,) = kubectl.rows("gadgets")
    assert (row["NAME"], row["SIZE"], row["PHASE"]) == ("one", "3", "")
    assert kubectl("get", "everything", "-o", "name") == f"gadget.{GROUP}/one\n"
    assert "mode\t<string>" in kubectl("explain", "gadgets.spec")


def test_what_the_schema_or_a_rule_forbids_is_refused(kubectl: Kubectl, definition: str) -> None:
    assert "spec.size" in kubectl.fails("create", "-f", "-", stdin=_yaml(gadget("bad", size=11)))
    assert "spec.mode" in kubectl.fails(
        "create", "-f", "-", stdin=_yaml(gadget("bad", size=1, mode="odd"))
    )
    kubectl.apply(gadget("grows", size=5))
    refusal = kubectl.fails("patch", "gdg", "grows", "--type=merge", "-p", '{"spec":{"size":4}}')
    assert "size only grows" in refusal
    assert "unknown field" in kubectl.fails(
        "create", "-f", "-", stdin=_yaml(gadget("bad", size=1, extra=True))
    )


def test_status_is_written_apart_and_shown_in_its_column(kubectl: Kubectl, definition: str) -> None:
    kubectl.apply(gadget("two", size=1))
    patch = '{"status":{"phase":"Up"},"spec":{"size":9}}'
    kubectl("patch", "gadget", "two", "--subresource=status", "--type=merge", "-p", patch)
    found = kubectl.get("gadget", "two")
    assert found["status"] == {"phase": "Up"}
    assert found["spec"]["size"] == 1
    assert found["metadata"]["generation"] == 1
    assert kubectl.rows("gadget", "two")[0]["PHASE"] == "Up"


def test_declared_fields_can_be_selected_by(kubectl: Kubectl, definition: str) -> None:
    kubectl.apply(gadget("a", size=1), gadget("b", size=1, mode="slow"))
    selected = kubectl("get", "gadgets", "--field-selector=spec.mode=slow", "-o", "name")
    assert selected == f"gadget.{GROUP}/b\n"


def test_a_changed_schema_counts_for_what_is_there_already(
    admin: Kubectl, kubectl: Kubectl
) -> None:
    name = f"parts.{GROUP}"
    schema: dict[str, Any] = {"type": "object", "properties": {"a": {"type": "string"}}}
    versions = [
        {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    ]
    part = {
        **DEFINITION,
        "metadata": {"name": name},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {"plural": "parts", "kind": "Part"},
            "versions": versions,
        },
    }
    admin.apply(part)
    admin.wait_established(name)
    try:
        kubectl.apply({"apiVersion": f"{GROUP}/v1", "kind": "Part", "metadata": {"name": "x"}})
        schema["properties"]["b"] = {"type": "string", "default": "late"}
        admin.apply(part)
        deadline = time.monotonic() + 10
        while kubectl.get("part", "x").get("b") != "late":
            assert time.monotonic() < deadline, "the default never came"
            time.sleep(0.1)
    finally:
        admin("delete", "crd", name, "--timeout=30s")
    assert "resource" in kubectl.fails("get", "parts")


def _yaml(obj: dict[str, Any]) -> str:
    import yaml

    text: str = yaml.safe_dump(obj)
    return text
