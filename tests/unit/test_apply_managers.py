"""managedFields as writes and applies leave them."""

from __future__ import annotations

from typing import Any

import pytest

from services.apiserver.apply import ApplyConflict, admitted, manager_of, reset_fields
from services.apiserver.apply.managers import read_sent, taken, written
from services.apiserver.apply.resetfields import STATUS_RESET
from services.apiserver.apply.scalefields import REPLICAS, to_object, to_scale
from services.apiserver.errors import ApiError, BadRequest
from tests.unit.applyworld import DEPLOYMENT, FIRST, POD, SECOND, THIRD, AppliedObject


def data(**values: Any) -> dict[str, Any]:
    return {"f:data": {f"f:{name}": {} for name in values}}


def test_who_creates_an_object_owns_all_of_it_but_its_identity() -> None:
    one = AppliedObject()
    one.update("creator", metadata={"labels": {"l": "m"}, "generation": 3}, data={"a": "1"})
    assert one.entries == [
        {
            "manager": "creator",
            "operation": "Update",
            "apiVersion": "v1",
            "time": FIRST,
            "fieldsType": "FieldsV1",
            "fieldsV1": {
                "f:data": {".": {}, "f:a": {}},
                "f:metadata": {"f:labels": {".": {}, "f:l": {}}},
            },
        }
    ]


def test_structs_that_are_always_there_are_nobodys() -> None:
    pod = AppliedObject(POD)
    pod.update("creator", spec={"containers": [{"name": "c"}]})
    container = {".": {}, "f:name": {}, "f:resources": {}}
    assert pod.owners() == {
        "creator Update": {"f:spec": {"f:containers": {'k:{"name":"c"}': container}}}
    }


def test_who_changes_a_field_takes_it_from_its_owner() -> None:
    one = AppliedObject()
    one.update("creator", data={"a": "1", "b": "2"})
    one.update("changer", SECOND, data={"a": "1", "b": "3"})
    assert one.owners() == {
        "creator Update": {"f:data": {".": {}, "f:a": {}}},
        "changer Update": {"f:data": {"f:b": {}}},
    }


def test_a_field_that_is_removed_has_no_owner() -> None:
    one = AppliedObject()
    one.update("creator", data={"a": "1", "b": "2"})
    one.update("changer", SECOND, data={"a": "1"})
    assert one.owners() == {"creator Update": {"f:data": {".": {}, "f:a": {}}}}
    assert one.entries[0]["time"] == FIRST


def test_a_write_that_changes_nothing_leaves_all_entries_alone() -> None:
    one = AppliedObject()
    one.update("creator", data={"a": "1"})
    before = one.entries
    one.update("other", SECOND, data={"a": "1"})
    assert one.entries is before or one.entries == before


def test_an_applier_owns_what_it_names_and_keeps_it_until_it_gives_it_up() -> None:
    one = AppliedObject()
    one.apply("alpha", data={"a": "1", "b": "2"})
    assert one.owners() == {"alpha Apply": data(a=1, b=2)}
    one.apply("alpha", SECOND, data={"a": "1"})
    assert one["data"] == {"a": "1"}
    assert one.owners() == {"alpha Apply": data(a=1)}
    one.apply("alpha", THIRD)
    assert (one["data"], one.entries) == (None, [])


def test_what_two_appliers_name_stays_when_one_gives_it_up() -> None:
    one = AppliedObject()
    one.apply("alpha", data={"a": "1", "b": "2"})
    one.apply("beta", data={"b": "2"})
    one.apply("alpha", SECOND, data={"a": "1"})
    assert one["data"] == {"a": "1", "b": "2"}
    one.apply("beta", SECOND, data={"c": "3"})
    assert one["data"] == {"a": "1", "c": "3"}


def test_what_an_updater_owns_too_stays_when_the_applier_gives_it_up() -> None:
    one = AppliedObject()
    one.update("creator", data={"a": "1", "b": "2"})
    one.apply("alpha", data={"a": "1", "b": "2"})
    one.apply("alpha", SECOND, data={"a": "1"})
    assert one["data"] == {"a": "1", "b": "2"}


def test_changing_what_others_own_is_a_conflict_with_each() -> None:
    one = AppliedObject()
    one.apply("alpha", data={"a": "1", "b": "2"})
    one.update("patcher", data={"a": "1", "b": "2", "c": "3"})
    with pytest.raises(ApplyConflict) as refused:
        one.apply("beta", data={"a": "9", "b": "2", "c": "4"})
    assert [(cause.field, cause.message) for cause in refused.value.causes] == [
        (".data.a", 'conflict with "alpha"'),
        (".data.c", 'conflict with "patcher" using v1'),
    ]
    assert refused.value.message == (
        'Apply failed with 2 conflicts: conflicts with "alpha":\n- .data.a\n'
        'conflicts with "patcher" using v1:\n- .data.c'
    )


def test_force_takes_the_fields_over() -> None:
    one = AppliedObject()
    one.apply("alpha", data={"a": "1", "b": "2"})
    one.apply("beta", SECOND, force=True, data={"a": "9"})
    assert one["data"] == {"a": "9", "b": "2"}
    assert one.owners() == {"alpha Apply": data(b=2), "beta Apply": data(a=1)}


def test_a_managers_apply_conflicts_with_its_own_update() -> None:
    one = AppliedObject()
    one.update("same", data={"a": "1"})
    with pytest.raises(ApplyConflict, match=r'conflict with "same" using v1: \.data\.a'):
        one.apply("same", data={"a": "2"})


def test_the_first_apply_to_what_nobody_owns_finds_all_owned_already() -> None:
    one = AppliedObject()
    one.update("creator", data={"a": "1"})
    one.update("creator", metadata={"managedFields": [{}]}, data={"a": "1"})
    assert one.entries == []
    one.update("changer", data={"a": "2"})
    assert one.entries == []
    with pytest.raises(ApplyConflict, match="before-first-apply"):
        one.apply("alpha", data={"a": "3"})
    one.apply("alpha", SECOND, data={"b": "4"})
    assert one.owners() == {
        "alpha Apply": data(b=1),
        "before-first-apply Update": {"f:data": {".": {}, "f:a": {}}},
    }


def test_applying_what_is_already_so_owns_it_without_a_time() -> None:
    one = AppliedObject()
    one.update("creator", data={"a": "1"})
    one.apply("alpha", SECOND, data={"a": "1"})
    assert [entry.get("time") for entry in one.entries] == [None, FIRST]


def test_applying_the_same_again_changes_nothing_at_all() -> None:
    one = AppliedObject(DEPLOYMENT)
    spec = {
        "template": {"spec": {"containers": [{"name": "c", "resources": {"limits": {"cpu": 1}}}]}}
    }
    one.apply("alpha", spec=spec)
    before = one.now
    one.apply("alpha", SECOND, spec=spec)
    assert one.now == before


@pytest.mark.parametrize(
    "sent",
    [
        [{"manager": "m", "operation": "Replace"}],
        [{"manager": "m", "operation": "Update", "apiVersion": "", "fieldsType": "FieldsV1"}],
        [{"manager": "m", "operation": "Update", "apiVersion": "v1", "fieldsType": "FieldsV9"}],
        [
            {
                "manager": "m",
                "operation": "Update",
                "apiVersion": "v1",
                "fieldsType": "FieldsV1",
                "fieldsV1": {"f:a": 1},
            }
        ],
    ],
)
def test_managed_fields_that_make_no_sense_are_ignored(sent: Any) -> None:
    one = AppliedObject()
    one.update("creator", data={"a": "1"})
    before = one.entries
    one.update("other", SECOND, metadata={"managedFields": sent}, data={"a": "1"})
    assert one.entries == before


def test_managed_fields_of_a_client_replace_the_present_ones() -> None:
    one = AppliedObject()
    one.update("creator", data={"a": "1"})
    forged = [
        {
            "manager": "forged",
            "operation": "Apply",
            "apiVersion": "v1",
            "fieldsType": "FieldsV1",
            "fieldsV1": data(x=1),
        }
    ]
    one.update("other", SECOND, metadata={"managedFields": forged}, data={"a": "1", "b": "2"})
    assert one.owners() == {"forged Apply": data(x=1), "other Update": data(b=1)}


def test_what_an_endpoint_resets_is_owned_by_nobody_through_it() -> None:
    pod = AppliedObject(POD, STATUS_RESET)
    pod.update("creator", spec={"containers": [{"name": "c"}]}, status={"phase": "Running"})
    assert "f:status" not in pod.owners()["creator Update"]
    resize = reset_fields("", "pods", "resize", has_status=True, custom=False)
    containers = {'k:{"name":"c"}': {"f:image": {}, "f:resources": {"f:limits": {}}}}
    assert resize.kept({"f:spec": {"f:containers": containers, "f:x": {}}}) == {
        "f:spec": {"f:containers": {'k:{"name":"c"}': {"f:resources": {"f:limits": {}}}}}
    }


def test_more_than_ten_updaters_are_put_together_the_oldest_first() -> None:
    one = AppliedObject()
    values: dict[str, str] = {}
    for number in range(12):
        values[f"k{number:02}"] = "x"
        one.update(f"m{number:02}", f"2026-01-01T00:00:{number:02}Z", data=values)
    names = [entry["manager"] for entry in one.entries]
    assert names == ["ancient-changes", *(f"m{number:02}" for number in range(3, 12))]
    assert one.entries[0]["fieldsV1"] == {
        "f:data": {".": {}, "f:k00": {}, "f:k01": {}, "f:k02": {}}
    }
    assert one.entries[0]["time"] == "2026-01-01T00:00:02Z"


def test_an_applied_object_must_be_of_the_version_and_own_nothing_yet() -> None:
    one = AppliedObject()
    one.head["apiVersion"] = "v2"
    with pytest.raises(BadRequest, match="Incorrect version specified in apply patch"):
        one.apply("alpha")
    one.head["apiVersion"] = "v1"
    with pytest.raises(BadRequest, match="managedFields must be nil"):
        one.apply("alpha", metadata={"managedFields": []})


def test_an_applied_object_that_does_not_fit_is_refused_with_all_that_is_wrong() -> None:
    with pytest.raises(ApiError) as refused:
        AppliedObject().apply("alpha", metadata={"namespace": "n"}, data={"a": 1}, extra=2)
    assert (refused.value.code, refused.value.reason) == (500, "")
    assert refused.value.message == (
        "failed to create typed patch object (n/a; /v1, Kind=ConfigMap): errors:\n"
        "  .data.a: expected string, got int\n  .extra: field not declared in schema"
    )


NOTE = "kubectl.kubernetes.io/last-applied-configuration"


def client_side_applied() -> AppliedObject:
    one = AppliedObject()
    last = '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},"data":{"a":"1","b":"2"}}'
    one.update("csa", metadata={"annotations": {NOTE: last}}, data={"a": "1", "b": "9"})
    return one


def test_kubectl_takes_over_what_it_applied_as_a_client_and_is_still_so() -> None:
    one = client_side_applied()
    one.apply("kubectl", SECOND, data={"a": "5"})
    assert one["data"] == {"a": "5", "b": "9"}
    assert one.now is not None
    applied = '{"apiVersion":"v1","data":{"a":"5"},"kind":"ConfigMap","metadata":{"name":"a"}}\n'
    assert one.now["metadata"]["annotations"][NOTE] == applied


def test_kubectl_does_not_take_over_what_others_have_changed_since() -> None:
    one = client_side_applied()
    with pytest.raises(ApplyConflict) as refused:
        one.apply("kubectl", SECOND, data={"a": "5", "b": "5"})
    assert [cause.field for cause in refused.value.causes] == [".data.b"]


def test_no_other_manager_takes_over_from_client_side_apply() -> None:
    with pytest.raises(ApplyConflict):
        client_side_applied().apply("other", SECOND, data={"a": "5"})


@pytest.mark.parametrize(
    ("named", "agent", "manager"),
    [
        ("given", "kubectl/v1", "given"),
        ("", "kubectl-create/v1.36 (linux/amd64) kubernetes/abc", "kubectl-create"),
        ("", "odd agent/with/slashes", "odd agent"),
        ("", None, ""),
        ("", "a\tb\u00e9/1", "ab\u00e9"),
        ("", "x" * 200, "x" * 128),
    ],
)
def test_the_manager_is_named_or_the_start_of_the_user_agent(
    named: str, agent: str | None, manager: str
) -> None:
    assert manager_of(named, agent) == manager


def entry(manager: str, operation: str, version: str, fields: Any, **more: str) -> dict[str, Any]:
    return {
        "manager": manager,
        "operation": operation,
        "apiVersion": version,
        "fieldsType": "FieldsV1",
        "fieldsV1": fields,
        **more,
    }


def test_the_owners_of_replicas_are_those_of_a_scale_and_back() -> None:
    paths = {"apps/v1": REPLICAS}
    replicas = {"f:spec": {"f:replicas": {}}}
    alpha = entry(
        "alpha", "Apply", "apps/v1", {"f:spec": {"f:replicas": {}, "f:x": {}}}, time=FIRST
    )
    other = entry("other", "Update", "apps/v1", {"f:spec": {"f:y": {}}}, time=FIRST)
    assert to_scale([alpha, other], paths) == [
        entry("alpha", "Apply", "autoscaling/v1", replicas, time=FIRST)
    ]
    scaler = entry("scaler", "Update", "autoscaling/v1", replicas, time=SECOND, subresource="scale")
    assert to_object([alpha, other], [scaler], paths, "apps/v1") == [
        {**alpha, "fieldsV1": {"f:spec": {"f:x": {}}}},
        entry("scaler", "Update", "apps/v1", replicas, subresource="scale"),
        other,
    ]


def test_plain_managed_fields_of_a_body_need_no_decoding() -> None:
    plain = entry("m", "Update", "v1", {"f:a": {}}, time=FIRST)
    body = {"metadata": {"name": "a", "managedFields": [plain]}}
    assert taken(body) == ({"metadata": {"name": "a"}}, [plain])
    assert "managedFields" in body["metadata"]
    for odd in ([{**plain, "time": "yesterday"}], [{**plain, "x": "y"}], [5], 5, None):
        body = {"metadata": {"managedFields": odd}}
        assert taken(body) == (body, None)


def test_admission_may_change_managed_fields_to_others_that_can_be_read() -> None:
    before = [entry("m", "Update", "v1", {"f:a": {}}, time=FIRST)]
    assert admitted([{**before[0], "operation": "Replace"}], before) == before
    assert admitted([], before) == []
    assert admitted(None, before) == []
    other = [entry("n", "Update", "v1", {"f:b": {}}, time=FIRST)]
    assert admitted(other, before) == other
    assert admitted(before, None) == before


def test_entries_come_by_operation_time_and_name() -> None:
    sent = [
        entry("b", "Update", "v1", {"f:a": {}}, time=FIRST),
        entry("c", "Apply", "v1", {"f:b": {}}, time=SECOND),
        entry("d", "Apply", "v1", {"f:c": {}}),
        entry("a", "Update", "v1", {"f:d": {}}, time=FIRST),
    ]
    assert [one["manager"] for one in written(read_sent(sent, {}))] == ["d", "c", "a", "b"]
