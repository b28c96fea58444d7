"""/healthz, /readyz and /metrics. Liveness needs nothing; readiness names what is down; neither names people."""

from __future__ import annotations

from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from assistant import health, metrics
from assistant.quality import services


@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"status": "alive"})


@require_safe
def readyz(request: HttpRequest) -> HttpResponse:
    parts = health.report()
    down = [part.name for part in parts if not part.ok]
    body = {
        "status": "ready" if not down else "not ready",
        "down": down,
        "parts": {part.name: part.words for part in parts},
        "warnings": [] if "database" in down else warnings(),
    }
    return JsonResponse(body, status=200 if not down else 503)


def warnings() -> list[str]:
    """What an operator should look at though everything works, by code. The page “Quality” says more."""
    try:
        return ["golden_set_alarm"] if services.alarm() else []
    except DatabaseError:  # before the first migration
        return []


@require_safe
def metrics_view(request: HttpRequest) -> HttpResponse:
    """Prometheus text. Only from the addresses of METRICS_CLIENTS (default: this machine)."""
    if not metrics.allowed(request.META.get("REMOTE_ADDR", "")):
        return HttpResponse(status=404)
    return HttpResponse(generate_latest(metrics.registry()), content_type=CONTENT_TYPE_LATEST)


urlpatterns = [
    path("healthz", healthz, name="healthz"),
    path("readyz", readyz, name="readyz"),
    path("metrics", metrics_view, name="metrics"),
]
