"""What is counted of authorization, by kube-apiserver's names.

Source: kube-apiserver v1.36.2, apiserver/pkg/authorization/{metrics,cel}/metrics.go,
apiserver/plugin/pkg/authorizer/webhook/metrics/metrics.go.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Final

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric

from services.apiserver.metrics import Distribution
from services.apiserver.webhooks.reviewclient import Outcome

PREFIX: Final = "apiserver_authorization"
WEBHOOK_BUCKETS_S: Final = (
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
)  # fmt: skip
CONDITION_BUCKETS_S: Final = (0.001, 0.005, 0.01, 0.025, 0.1, 0.2, 0.25)
WEBHOOK_TYPE: Final = "Webhook"

Decided = list[int]
"""How many requests an authorizer denied (first) and allowed (second): by the bool."""


class WebhookMetrics:
    """What is counted of one webhook."""

    __slots__ = ("calls", "condition_errors", "conditions_s", "exclusions", "failed_open")

    def __init__(self) -> None:
        self.calls: dict[Outcome, Distribution] = {}
        """Calls and their seconds; an answer that is asked for again is a call of its own."""
        self.failed_open: Counter[Outcome] = Counter()
        """Questions that have no answer, so that the next authorizer is asked."""
        self.conditions_s = Distribution(CONDITION_BUCKETS_S)
        """Evaluations of its match conditions, all together for a request."""
        self.condition_errors = 0
        self.exclusions = 0
        """Requests that it is not asked about, by its match conditions."""

    def called(self, outcome: Outcome, seconds: float) -> None:
        calls = self.calls.get(outcome)
        if calls is None:
            calls = self.calls[outcome] = Distribution(WEBHOOK_BUCKETS_S)
        calls.observe(seconds)


class AuthorizationMetrics:
    """Plain numbers, shown when somebody scrapes. What is replaced by a reload stays in them."""

    def __init__(self) -> None:
        self._decided: dict[tuple[str, str], Decided] = {}
        self._webhooks: dict[str, WebhookMetrics] = {}

    def decided(self, type: str, name: str) -> Decided:
        """Return the numbers of the authorizer of a type and name, to be counted in."""
        return self._decided.setdefault((type, name), [0, 0])

    def webhook(self, name: str) -> WebhookMetrics:
        """Return the numbers of the webhook of a name."""
        return self._webhooks.setdefault(name, WebhookMetrics())

    def families(self) -> Iterator[Metric]:
        decisions = CounterMetricFamily(
            f"{PREFIX}_decisions",
            "Total number of terminal decisions made by an authorizer split by authorizer type,"
            " name, and decision.",
            labels=("type", "name", "decision"),
        )
        for (type_, name), counts in self._decided.items():
            for decision, count in zip(("denied", "allowed"), counts, strict=True):
                if count:
                    decisions.add_metric((type_, name, decision), count)
        yield decisions
        if self._webhooks:
            yield from _of_calls(self._webhooks)
            yield from _of_conditions(self._webhooks)


def _of_calls(webhooks: Mapping[str, WebhookMetrics]) -> Iterator[Metric]:
    labels = ("name", "result")
    calls = CounterMetricFamily(
        f"{PREFIX}_webhook_evaluations", "Round-trips to authorization webhooks.", labels=labels
    )
    durations = HistogramMetricFamily(
        f"{PREFIX}_webhook_duration_seconds", "Request latency in seconds.", labels=labels
    )
    failed_open = CounterMetricFamily(
        f"{PREFIX}_webhook_evaluations_fail_open",
        "NoOpinion results due to webhook timeout or error.",
        labels=labels,
    )
    for name, webhook in webhooks.items():
        for outcome, seconds in webhook.calls.items():
            calls.add_metric((name, outcome), seconds.count)
            durations.add_metric((name, outcome), seconds.buckets(), sum_value=seconds.sum)
        for outcome, count in webhook.failed_open.items():
            failed_open.add_metric((name, outcome), count)
    return iter((calls, durations, failed_open))


def _of_conditions(webhooks: Mapping[str, WebhookMetrics]) -> Iterator[Metric]:
    labels = ("type", "name")
    errors = CounterMetricFamily(
        f"{PREFIX}_match_condition_evaluation_errors",
        "Total number of errors when an authorization webhook encounters a match condition error"
        " split by authorizer type and name.",
        labels=labels,
    )
    exclusions = CounterMetricFamily(
        f"{PREFIX}_match_condition_exclusions",
        "Total number of exclusions when an authorization webhook is skipped because match"
        " conditions exclude it.",
        labels=labels,
    )
    durations = HistogramMetricFamily(
        f"{PREFIX}_match_condition_evaluation_seconds",
        "Authorization match condition evaluation time in seconds, split by authorizer type and"
        " name.",
        labels=labels,
    )
    for name, webhook in webhooks.items():
        seconds = webhook.conditions_s
        if not seconds.count:
            continue
        key = (WEBHOOK_TYPE, name)
        if webhook.condition_errors:
            errors.add_metric(key, webhook.condition_errors)
        if webhook.exclusions:
            exclusions.add_metric(key, webhook.exclusions)
        durations.add_metric(key, seconds.buckets(), sum_value=seconds.sum)
    return iter((errors, exclusions, durations))
