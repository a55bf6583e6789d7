"""Accept, Content-Type, pretty and gzip are decided as kube-apiserver decides them."""

from __future__ import annotations

import pytest

from services.apiserver.errors import BadRequest, NotAcceptable, UnsupportedMediaType
from services.apiserver.http.negotiation import (
    GZIP_THRESHOLD_BYTES,
    LONGEST_HEADER,
    Convert,
    MediaType,
    include_object,
    negotiate,
    negotiate_error,
    negotiate_watch,
    patch_type,
    request_format,
    should_gzip,
    wants_pretty,
)

JSON = MediaType("json")
YAML = MediaType("yaml")
TABLE = MediaType("json", Convert("Table"))
PROTOBUF = MediaType("protobuf")
PROTOBUF_TYPE = "application/vnd.kubernetes.protobuf"


@pytest.mark.parametrize(
    ("accept", "media"),
    [
        (None, JSON),
        ("", JSON),
        ("*/*", JSON),
        ("application/json", JSON),
        ("application/json;charset=utf-8", JSON),
        ("application/yaml", YAML),
        ("application/yaml, application/json", YAML),
        ("application/json;q=0.5, application/yaml", YAML),
        ("application/yaml;q=0.5, */*", JSON),
        ("*/*, application/yaml;q=0.5", YAML),
        ("text/html, application/xml;q=0.9, */*;q=0.8", JSON),
        (PROTOBUF_TYPE, PROTOBUF),
        (f"{PROTOBUF_TYPE},application/json", PROTOBUF),
        (f"{PROTOBUF_TYPE}, */*", PROTOBUF),
        (f"application/json,{PROTOBUF_TYPE}", JSON),
        (f"{PROTOBUF_TYPE};q=0.5,application/json", JSON),
        (
            f"{PROTOBUF_TYPE};as=PartialObjectMetadata;v=v1;g=meta.k8s.io",
            MediaType("protobuf", Convert("PartialObjectMetadata")),
        ),
        ("application/json;as=Table;v=v1;g=meta.k8s.io", TABLE),
        ("application/json;as=Table;v=v1;g=meta.k8s.io,application/json", TABLE),
        (
            "application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json",
            MediaType("json", Convert("Table", "v1beta1")),
        ),
        ("application/yaml;as=Table;v=v1;g=meta.k8s.io", MediaType("yaml", Convert("Table"))),
        ("*/*;as=Table;v=v1;g=meta.k8s.io", TABLE),
        ("application/json;as=Table;v=v9;g=meta.k8s.io,application/json", JSON),
        ("application/json;as=PartialObjectMetadataList;v=v1,application/json", JSON),
        ("application/json, application/json;as=Table;v=v1;g=meta.k8s.io", JSON),
        ("application/json;q=0.5, application/json;as=Table;v=v1;g=meta.k8s.io;q=0.9", TABLE),
        (
            f"{PROTOBUF_TYPE};as=Table;v=v1;g=meta.k8s.io,"
            "application/json;as=Table;v=v1;g=meta.k8s.io",
            TABLE,
        ),
        ("application/json;stream=watch", JSON),
        ("application/json;pretty=1", MediaType("json", pretty=True)),
        ("application/json;q=0", JSON),
        ("application/json;q=zero, application/yaml;q=0.1", YAML),
        ("application/json;sv=v1", JSON),
    ],
)
def test_the_best_clause_that_can_be_honoured_is_taken(
    accept: str | None, media: MediaType
) -> None:
    assert negotiate(accept) == media


@pytest.mark.parametrize(
    "accept",
    ["application/*", "text/html", "text/yaml", "application/xml;q=0.9, image/png", "garbage", "*"],
)
def test_an_unknown_media_type_is_refused_with_empty_details(accept: str) -> None:
    with pytest.raises(NotAcceptable) as caught:
        negotiate(accept)
    assert caught.value.details == {}


@pytest.mark.parametrize(
    "accept",
    [
        "application/json;as=Table;v=v9;g=meta.k8s.io",
        "application/json;as=Table;v=v1;g=other.io",
        "application/json;as=Table",
        "application/json;v=v1",
        "application/json;as=Foo;v=v1;g=meta.k8s.io",
        "application/json;stream=list",
        "application/yaml;stream=watch",
        "application/json;sv=v9",
        f"{PROTOBUF_TYPE};stream=list",
        f"{PROTOBUF_TYPE};as=Table;v=v1;g=meta.k8s.io",
    ],
)
def test_a_known_media_type_with_bad_parameters_is_refused_without_details(accept: str) -> None:
    with pytest.raises(NotAcceptable) as caught:
        negotiate(accept)
    assert caught.value.details is None


def test_custom_resources_take_a_type_wildcard_and_refuse_without_details() -> None:
    assert negotiate("application/*", custom=True) == JSON
    with pytest.raises(NotAcceptable) as caught:
        negotiate("text/html", custom=True)
    assert caught.value.details is None


def test_custom_resources_have_no_protobuf() -> None:
    assert negotiate(f"{PROTOBUF_TYPE},application/json", custom=True) == JSON
    assert negotiate_watch(f"{PROTOBUF_TYPE},application/json", custom=True) == JSON
    for decide in (negotiate, negotiate_watch):
        with pytest.raises(NotAcceptable):
            decide(PROTOBUF_TYPE, custom=True)
    with pytest.raises(UnsupportedMediaType):
        request_format(PROTOBUF_TYPE, custom=True)


def test_the_metadata_of_custom_resources_has_protobuf() -> None:
    accept = f"{PROTOBUF_TYPE};as=PartialObjectMetadata;v=v1;g=meta.k8s.io"
    media = MediaType("protobuf", Convert("PartialObjectMetadata"))
    assert negotiate(accept, custom=True) == media
    assert negotiate_watch(accept, custom=True) == media
    with pytest.raises(NotAcceptable):
        negotiate_watch(accept.replace("Metadata;", "MetadataList;"), custom=True)


def test_a_resource_without_a_table_falls_back_or_refuses() -> None:
    table = "application/json;as=Table;v=v1;g=meta.k8s.io"
    assert negotiate(f"{table},application/json", tables=False) == JSON
    with pytest.raises(NotAcceptable):
        negotiate(table, tables=False)


@pytest.mark.parametrize(
    ("accept", "media"),
    [
        (None, JSON),
        ("*/*", JSON),
        ("application/json;stream=watch", JSON),
        (f"{PROTOBUF_TYPE};stream=watch,application/json;stream=watch", PROTOBUF),
        ("application/json;as=Table;v=v1;g=meta.k8s.io", TABLE),
        ("application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io", JSON),
    ],
)
def test_a_watch_is_json_or_protobuf(accept: str | None, media: MediaType) -> None:
    assert negotiate_watch(accept) == media


def test_the_content_type_of_a_watch_says_so_except_in_json() -> None:
    assert JSON.stream_content_type == "application/json"
    assert PROTOBUF.stream_content_type == f"{PROTOBUF_TYPE};stream=watch"


@pytest.mark.parametrize("accept", ["application/yaml", "application/yaml, application/json"])
def test_a_watch_as_yaml_is_refused_in_yaml(accept: str) -> None:
    with pytest.raises(NotAcceptable) as caught:
        negotiate_watch(accept)
    assert caught.value.details is None
    assert negotiate_error(accept) == YAML


@pytest.mark.parametrize(
    ("accept", "media"),
    [
        (None, JSON),
        ("application/yaml", YAML),
        ("application/json;as=Table;v=v1;g=meta.k8s.io", JSON),
        ("application/json;as=Table;v=v1;g=meta.k8s.io, application/yaml", YAML),
        ("text/html", JSON),
        (PROTOBUF_TYPE, PROTOBUF),
    ],
)
def test_an_error_is_always_written_in_some_format(accept: str | None, media: MediaType) -> None:
    assert negotiate_error(accept) == media


def test_the_name_of_the_rendering_must_fit_the_answer() -> None:
    one = MediaType("json", Convert("PartialObjectMetadata"))
    many = MediaType("json", Convert("PartialObjectMetadataList"))
    one.check_shape(is_list=False)
    many.check_shape(is_list=True)
    for media in (TABLE, JSON):
        media.check_shape(is_list=True)
        media.check_shape(is_list=False)
    with pytest.raises(NotAcceptable):
        one.check_shape(is_list=True)
    with pytest.raises(NotAcceptable):
        many.check_shape(is_list=False)


@pytest.mark.parametrize(
    ("value", "user_agent", "pretty"),
    [
        (None, "", False),
        ("true", "", True),
        ("1", "", True),
        ("false", "curl/8.0", False),
        ("perhaps", "curl/8.0", False),
        ("", "curl/8.0", True),
        (None, "Wget/1.2", True),
        (None, "Mozilla/5.0 (X11)", True),
        (None, "kubectl/v1.36", False),
    ],
)
def test_pretty_follows_the_query_then_the_user_agent(
    value: str | None, user_agent: str, pretty: bool
) -> None:
    assert wants_pretty(value, user_agent) is pretty


def test_pretty_is_part_of_the_media_type() -> None:
    assert negotiate("application/json", pretty=True) == MediaType("json", pretty=True)
    assert negotiate_error("text/html", pretty=True) == MediaType("json", pretty=True)


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [
        (None, "json"),
        ("", "json"),
        ("application/json", "json"),
        ("Application/JSON", "json"),
        ("application/json; charset=utf-8", "json"),
        ('application/json; charset="utf-8";', "json"),
        ("application/yaml", "yaml"),
        (PROTOBUF_TYPE, "protobuf"),
    ],
)
def test_the_format_of_a_body(content_type: str | None, expected: str) -> None:
    assert request_format(content_type) == expected


@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain",
        "text/yaml",
        "application/xml",
        "not a media type",
        "application/json; charset",
        "application/json, application/yaml",
        "application/apply-patch+yaml",
    ],
)
def test_a_body_of_another_type_is_refused_without_details(content_type: str) -> None:
    with pytest.raises(UnsupportedMediaType) as caught:
        request_format(content_type)
    assert caught.value.details is None


PATCH_TYPES = ("application/json-patch+json", "application/merge-patch+json")


def test_a_patch_names_its_type() -> None:
    media_type = patch_type("application/merge-patch+json; charset=utf-8", PATCH_TYPES)
    assert media_type == "application/merge-patch+json"


@pytest.mark.parametrize("content_type", [None, "application/json", "application/yaml"])
def test_another_patch_type_is_refused(content_type: str | None) -> None:
    with pytest.raises(UnsupportedMediaType) as caught:
        patch_type(content_type, PATCH_TYPES)
    assert caught.value.details == {}
    with pytest.raises(UnsupportedMediaType) as caught:
        patch_type(content_type, PATCH_TYPES, custom=True)
    assert caught.value.details is None


@pytest.mark.parametrize(
    ("accept_encoding", "over", "gzip"),
    [
        ("gzip", 1, True),
        ("gzip", 0, False),
        ("deflate, gzip", 1, True),
        ("gzip;q=1.0, identity;q=0.5", 1, False),
        ("deflate, br", 1, False),
        ("*", 1, False),
        ("", 1, False),
        (None, 1, False),
    ],
)
def test_large_answers_are_compressed_for_a_bare_gzip_token(
    accept_encoding: str | None, over: int, gzip: bool
) -> None:
    assert should_gzip(accept_encoding, GZIP_THRESHOLD_BYTES + over) is gzip


@pytest.mark.parametrize(
    ("value", "included"),
    [
        (None, "Metadata"),
        ("", "Metadata"),
        ("Metadata", "Metadata"),
        ("None", "None"),
        ("Object", "Object"),
    ],
)
def test_include_object_is_metadata_by_default(value: str | None, included: str) -> None:
    assert include_object(value) == included


@pytest.mark.parametrize("value", ["Foo", "none", "object"])
def test_another_include_object_is_a_bad_request(value: str) -> None:
    with pytest.raises(BadRequest):
        include_object(value)


def test_a_content_type_of_blanks_is_refused_at_once() -> None:
    """It was once tried in as many ways as there are pairs of blanks."""
    for parameters in (";a=b", ""):
        with pytest.raises(UnsupportedMediaType):
            request_format(f"application/json{parameters}{' ' * (LONGEST_HEADER - 32)}!")


def test_a_header_longer_than_any_client_sends_is_not_looked_at() -> None:
    header = "application/yaml" + "," * LONGEST_HEADER
    assert negotiate_error(header) == JSON
    with pytest.raises(NotAcceptable):
        negotiate(header)
    with pytest.raises(UnsupportedMediaType):
        request_format(f"application/yaml{' ' * LONGEST_HEADER}")
    assert not should_gzip("gzip" + "," * LONGEST_HEADER, GZIP_THRESHOLD_BYTES + 1)
