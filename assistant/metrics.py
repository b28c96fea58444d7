"""Numbers for Prometheus, read from the database and Redis at scrape time, so that every process tells the same.

Knows: counts and ages. Never carries a person, a question or a title.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from django.apps import apps
from django.conf import settings
from django.db.models import Count, Min
from django.utils import timezone
from prometheus_client.core import CollectorRegistry, GaugeMetricFamily

from assistant import health


def allowed(address: str) -> bool:
    """Whether the client address lies in one of settings.METRICS_CLIENTS."""
    try:
        client = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(client in ipaddress.ip_network(network) for network in settings.METRICS_CLIENTS)


class _State:
    """A collector: one pass over small aggregates per scrape."""

    def collect(self) -> Iterator[GaugeMetricFamily]:
        up = GaugeMetricFamily("assistant_part_up", "1 when the part works", labels=["part"])
        for part in health.report():
            up.add_metric([part.name], float(part.ok))
        yield up
        for label, model, field in (
            ("assistant_documents", "documents.DocumentVersion", "status"),
            ("assistant_answers", "chat.Answer", "status"),
            ("assistant_answer_outcomes", "chat.Answer", "outcome"),
        ):
            family = GaugeMetricFamily(label, f"{model} rows by {field}", labels=[field])
            for row in apps.get_model(model).objects.order_by().values(field).annotate(n=Count("pk")):
                family.add_metric([row[field] or "none"], row["n"])
            yield family
        yield from _golden()
        oldest = apps.get_model("chat.Answer").objects.filter(status="queued").aggregate(at=Min("created_at"))["at"]
        age = (timezone.now() - oldest).total_seconds() if oldest else 0.0
        yield GaugeMetricFamily(
            "assistant_oldest_queued_answer_seconds", "Age of the oldest waiting question", value=age
        )


def _golden() -> Iterator[GaugeMetricFamily]:
    """The newest run of the golden set on its present questions."""
    newest = apps.get_model("quality.GoldenSet").objects.order_by("-pk").first()
    done = newest.runs.filter(status="done").exclude(why="activation").order_by("-pk").first() if newest else None
    yield GaugeMetricFamily(
        "assistant_golden_alarm",
        "1 while the newest run is worse than the reference",
        value=float(bool(done and done.alarm)),
    )
    if done is None or done.finished_at is None:
        return
    family = GaugeMetricFamily("assistant_golden_score", "Measures of the newest run, 0 to 1", labels=["measure"])
    for name in ("ndcg", "in_first_two_sentences", "silence", "grounded", "f1"):
        if done.summary.get(name) is not None:
            family.add_metric([name], done.summary[name])
    yield family
    age = (timezone.now() - done.finished_at).total_seconds()
    yield GaugeMetricFamily("assistant_golden_run_age_seconds", "Since the newest run ended", value=age)


def registry() -> CollectorRegistry:
    found = CollectorRegistry()
    found.register(_State())
    return found
