"""The audit log over REST, for reviewers: events, verification, exports. Parses, makes one domain call, renders."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from itertools import islice
from typing import Any

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIRequest
from django.http import StreamingHttpResponse
from django.urls import path
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from assistant.accounts import review
from assistant.accounts.roles import Duty
from assistant.audit import catalogue, sight
from assistant.audit.digests import Digest
from assistant.audit.models import AuditEvent
from assistant.audit.reading import Filters

from .base import CursorPage, Paged, View
from .forms import NO_NULL, PAGING, valid

_LINES_AT_ONCE = 500


class QuerySerializer(serializers.Serializer[Any]):
    person = serializers.RegexField(
        NO_NULL, max_length=254, required=False, trim_whitespace=False, help_text="E-mail address, user:ID or system."
    )
    action = serializers.RegexField(
        NO_NULL, max_length=64, required=False, trim_whitespace=False, help_text="A name, or a family as “document.”."
    )
    target = serializers.RegexField(
        NO_NULL, max_length=100, required=False, trim_whitespace=False, help_text="A kind, or kind:id."
    )
    outcome = serializers.ChoiceField(choices=catalogue.OUTCOMES, required=False)
    since = serializers.DateTimeField(required=False, help_text="From this time on.")
    until = serializers.DateTimeField(required=False, help_text="Before this time.")
    request_id = serializers.RegexField(NO_NULL, max_length=64, required=False, trim_whitespace=False)
    mentions = serializers.RegexField(
        r"^[\w.:-]+$",
        max_length=100,
        required=False,
        help_text="An id that the event is about or names in its detail, such as a document's.",
    )


class ExportQuerySerializer(QuerySerializer):
    format = serializers.ChoiceField(choices=sorted(review.FORMATS), default="jsonl")


class EventSerializer(serializers.Serializer[Any]):
    seq = serializers.IntegerField()
    at = serializers.DateTimeField()
    action = serializers.CharField()
    outcome = serializers.CharField()
    actor = serializers.CharField(help_text="user:ID, system or anonymous")
    person = serializers.EmailField(allow_null=True, help_text="Who that is now; null when nobody.")
    role = serializers.CharField(allow_blank=True)
    session = serializers.CharField(allow_blank=True)
    origin = serializers.CharField(allow_blank=True)
    request_id = serializers.CharField(allow_blank=True)
    target_type = serializers.CharField(allow_blank=True)
    target_id = serializers.CharField(allow_blank=True)
    detail = serializers.DictField(help_text="Ids, counts and digests; never texts.")
    has_text = serializers.BooleanField(help_text="A text was recorded apart; it is not shown here.")
    digest = serializers.CharField()


class EventPageSerializer(Paged):
    results = EventSerializer(many=True)


class FindingSerializer(serializers.Serializer[Any]):
    seq = serializers.IntegerField()
    kind = serializers.CharField()
    words = serializers.CharField()


class ReportSerializer(serializers.Serializer[Any]):
    ok = serializers.BooleanField()
    events = serializers.IntegerField()
    first = serializers.IntegerField()
    last = serializers.IntegerField()
    digest = serializers.CharField()
    checkpoints = serializers.IntegerField()
    segments = serializers.IntegerField()
    contents = serializers.IntegerField()
    finding = FindingSerializer(allow_null=True)
    notes = serializers.ListField(child=serializers.CharField())


class Newest(CursorPage):
    ordering = "-seq"


class AuditView(View):
    scope_read = "audit"
    scope_write = "audit"
    duty = Duty.REVIEW_AUDIT


class EventsView(AuditView):
    @extend_schema(
        operation_id="audit_events_list", parameters=[QuerySerializer, *PAGING], responses=EventPageSerializer
    )
    def get(self, request: Request) -> Response:
        """Newest first. Looking is itself recorded."""
        asked = valid(QuerySerializer(data=request.query_params))
        paginator = Newest()
        rows = (
            paginator.paginate_queryset(review.events(actor=self.actor, filters=_filters(asked)), request, view=self)
            or []
        )
        people = review.names(rows)
        return paginator.get_paginated_response([_event(row, people) for row in rows])


class VerifyView(AuditView):
    @extend_schema(responses=ReportSerializer)
    def get(self, request: Request) -> Response:
        """Walk the whole chain; `finding` names the first bad record."""
        return Response(ReportSerializer(review.verify(actor=self.actor)).data)


class ExportView(AuditView):
    @extend_schema(
        operation_id="audit_export",
        parameters=[ExportQuerySerializer],
        responses={
            (200, "application/x-ndjson"): OpenApiResponse(OpenApiTypes.STR, "verifiable, without a database"),
            (200, "text/csv"): OpenApiTypes.STR,
            (200, "text/plain"): OpenApiTypes.STR,
        },
    )
    def get(self, request: Request) -> StreamingHttpResponse:
        """The log, or what the filters select with proofs. The export is recorded before it begins."""
        asked = valid(ExportQuerySerializer(data=request.query_params))
        form = asked.pop("format")
        media_type, lines = review.export(actor=self.actor, form=form, filters=_filters(asked))
        chunks = _chunks(lines)
        name = f"audit-{timezone.now():%Y%m%d-%H%M%S}.{form}"
        return StreamingHttpResponse(
            _in_thread(chunks) if isinstance(request._request, ASGIRequest) else chunks,
            content_type=media_type,
            headers={"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"},
        )


class SightsQuerySerializer(serializers.Serializer[Any]):
    document = serializers.UUIDField(required=False, help_text="Who saw this document?")
    person = serializers.RegexField(NO_NULL, max_length=254, required=False, help_text="What did this person see?")
    since = serializers.DateTimeField(required=False)
    until = serializers.DateTimeField(required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if not attrs.get("document") and not attrs.get("person"):
            raise serializers.ValidationError("Name a document, a person, or both.")
        return attrs


class SightsSerializer(serializers.Serializer[Any]):
    actor = serializers.CharField(source="who")
    person = serializers.SerializerMethodField()
    document = serializers.CharField()
    ways = serializers.DictField(child=serializers.IntegerField(), help_text="How often in which way.")
    read = serializers.BooleanField(help_text="Words of it reached the person.")
    first = serializers.DateTimeField()
    last = serializers.DateTimeField()
    last_event = serializers.IntegerField(source="last_seq")

    def get_person(self, row: sight.Sights) -> str | None:
        people: dict[str, str] = self.context["people"]
        return people.get(row.who)


class SightsView(AuditView):
    @extend_schema(parameters=[SightsQuerySerializer], responses=SightsSerializer(many=True))
    def get(self, request: Request) -> Response:
        """Who saw a document, or what a person saw: retrieved, used, cited, searched, opened, downloaded."""
        asked = valid(SightsQuerySerializer(data=request.query_params))
        rows = review.sights(actor=self.actor, **{**asked, "document": str(asked.get("document", ""))})
        people = review.addresses(row.who for row in rows)
        return Response(SightsSerializer(rows, many=True, context={"people": people}).data)


class DigestQuerySerializer(serializers.Serializer[Any]):
    day = serializers.DateField(required=False, help_text="Any day of the week; without it, this week.")


class DigestLineSerializer(serializers.Serializer[Any]):
    name = serializers.CharField()
    now = serializers.IntegerField()
    before = serializers.IntegerField(help_text="In the week before.")


class DigestSerializer(serializers.Serializer[Any]):
    first = serializers.DateField()
    last = serializers.DateField()
    events = serializers.IntegerField()
    active = serializers.IntegerField(help_text="People who did something.")
    lines = DigestLineSerializer(many=True)
    turned_away = serializers.ListField(help_text="[who, how often], most often first.")
    notable = serializers.SerializerMethodField()
    checkpoints = serializers.IntegerField()
    pruned = serializers.IntegerField(help_text="Sealed segments removed.")

    def get_notable(self, row: Digest) -> list[int]:
        return [event.seq for event in row.notable]


class DigestView(AuditView):
    @extend_schema(parameters=[DigestQuerySerializer], responses=DigestSerializer)
    def get(self, request: Request) -> Response:
        """A week in numbers, beside the week before; `notable` are numbers of events worth reading."""
        day = valid(DigestQuerySerializer(data=request.query_params)).get("day") or timezone.localdate()
        return Response(DigestSerializer(review.digest(actor=self.actor, day=day)).data)


def _filters(asked: dict[str, Any]) -> Filters:
    person = asked.pop("person", "")
    return Filters(actor=person, **asked)


def _event(event: AuditEvent, people: dict[str, str]) -> dict[str, Any]:
    fields: dict[str, Any] = {str(name): getattr(event, str(name), None) for name in EventSerializer().fields}
    fields |= {"person": people.get(event.actor), "has_text": bool(event.commitment)}
    return dict(EventSerializer(fields).data)


def _chunks(lines: Iterator[str]) -> Iterator[bytes]:
    while batch := list(islice(lines, _LINES_AT_ONCE)):
        yield "".join(batch).encode()


async def _in_thread(chunks: Iterator[bytes]) -> AsyncIterator[bytes]:
    """The same, with each batch read in a thread: the server's loop stays free."""
    read = sync_to_async(lambda: next(chunks, None))
    while (chunk := await read()) is not None:
        yield chunk


urlpatterns = [
    path("audit/events/", EventsView.as_view(), name="api-audit-events"),
    path("audit/verify/", VerifyView.as_view(), name="api-audit-verify"),
    path("audit/export/", ExportView.as_view(), name="api-audit-export"),
    path("audit/sights/", SightsView.as_view(), name="api-audit-sights"),
    path("audit/digest/", DigestView.as_view(), name="api-audit-digest"),
]
