"""Conversion between versions by a webhook.

Source: kube-apiserver v1.36.2,
apiextensions-apiserver/pkg/apiserver/conversion/webhook_converter.go.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from services.apiserver.codec.protocol import Object
from services.apiserver.errors import ApiError
from services.apiserver.http.request import new_uuid
from services.apiserver.webhooks import ClientConfig, WebhookClient, WebhookError

REVIEW_VERSIONS = ("v1", "v1beta1")
TIMEOUT_S = 30
_QUERY = f"timeout={TIMEOUT_S}s"


class WebhookConverter:
    """Asks a definition's webhook to convert its objects."""

    def __init__(self, kind: str, conversion: Mapping[str, Any], client: WebhookClient) -> None:
        webhook = conversion["webhook"]
        self._kind = kind
        self._config = ClientConfig.from_json(webhook["clientConfig"])
        self._client = client
        self._version = next(
            (one for one in webhook["conversionReviewVersions"] if one in REVIEW_VERSIONS), ""
        )

    async def convert(self, objects: Sequence[Object], api_version: str) -> list[Object]:
        """Return the objects in another version, in the same order.

        Of the metadata the webhook may change labels and annotations only.

        Raises:
            ApiError: it failed, or answered with something else.
        """
        asked = [one for one in objects if one.get("apiVersion") != api_version]
        if not asked:
            return list(objects)
        converted = iter(await self._ask(asked, api_version))
        return [
            one
            if one.get("apiVersion") == api_version
            else self._checked(one, next(converted), api_version)
            for one in objects
        ]

    async def _ask(self, objects: list[Object], api_version: str) -> list[Any]:
        uid = new_uuid()
        review = {
            "kind": "ConversionReview",
            "apiVersion": f"apiextensions.k8s.io/{self._version}",
            "request": {"uid": uid, "desiredAPIVersion": api_version, "objects": objects},
            "response": {"uid": "", "convertedObjects": None, "result": {"metadata": {}}},
        }
        try:
            raw = await self._client.post(
                self._config, orjson.dumps(review), timeout_s=TIMEOUT_S, query=_QUERY
            )
            answer = orjson.loads(raw)
        except (WebhookError, orjson.JSONDecodeError) as error:
            raise self._failed(str(error)) from error
        response = answer.get("response") if isinstance(answer, dict) else None
        if not isinstance(response, dict):
            raise self._failed("the response is empty")
        if answer.get("apiVersion") != review["apiVersion"] or answer.get("kind") != review["kind"]:
            raise self._failed(
                f"invalid response: {answer.get('apiVersion')}, {answer.get('kind')}"
            )
        if response.get("uid") != uid:
            raise self._failed(f"expected response.uid={uid!r}, got {response.get('uid')!r}")
        result = response.get("result")
        if not isinstance(result, dict) or result.get("status") != "Success":
            message = result.get("message", "") if isinstance(result, dict) else ""
            raise self._failed(message or "the response has no successful result")
        converted = response.get("convertedObjects")
        count = len(converted) if isinstance(converted, list) else 0
        if not isinstance(converted, list) or count != len(objects):
            raise self._failed(f"expected {len(objects)} converted objects, got {count}")
        return converted

    def _checked(self, original: Object, converted: Any, api_version: str) -> Object:
        if not isinstance(converted, dict):
            raise self._failed("a converted object is no object")
        if converted.get("apiVersion") != api_version:
            raise self._failed(
                f"invalid converted object: the version is {converted.get('apiVersion')!r}, not "
                f"{api_version!r}"
            )
        if converted.get("kind") != original["kind"]:
            raise self._failed(
                f"invalid converted object: the kind is {converted.get('kind')!r}, not "
                f"{original['kind']!r}"
            )
        meta, before = converted.get("metadata"), original["metadata"]
        if not isinstance(meta, dict):
            raise self._failed("invalid converted object: it has no metadata")
        for field in ("name", "namespace", "uid"):
            if meta.get(field, "") != before.get(field, ""):
                raise self._failed(
                    f"invalid converted object: must have the same {field}: "
                    f"{meta.get(field, '')!r} is not {before.get(field, '')!r}"
                )
        kept = {**before}
        for field in ("labels", "annotations"):
            kept.pop(field, None)
            value = meta.get(field)
            if value:
                if not isinstance(value, dict) or not all(
                    isinstance(text, str) for text in value.values()
                ):
                    raise self._failed(f"invalid metadata of a converted object: {field}")
                kept[field] = value
        return {**converted, "metadata": kept}

    def _failed(self, why: str) -> ApiError:
        return ApiError(f"conversion webhook for {self._kind} failed: {why}")
