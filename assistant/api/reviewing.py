"""What a reviewer keeps, lets be replayed, and may ask to have removed, over REST. Parses, makes one call, renders."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.urls import path
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from assistant.accounts import review, two_people
from assistant.chat import replay_requests

from .audit import AuditView
from .forms import valid


class SavedSerializer(serializers.Serializer[Any]):
    id = serializers.IntegerField(read_only=True)
    name = serializers.CharField(max_length=80)
    query = serializers.CharField(
        max_length=2000, help_text=f"A query string of {', '.join(review.SAVED_FILTERS)}, as for the list of events."
    )


class SegmentSerializer(serializers.Serializer[Any]):
    first = serializers.IntegerField(source="first_seq")
    last = serializers.IntegerField(source="last_seq", help_text="What to name in a request to remove it.")
    sealed_at = serializers.DateTimeField()
    root = serializers.CharField()  # type: ignore[assignment]


class ReplaySerializer(serializers.Serializer[Any]):
    answer = serializers.UUIDField()
    state = serializers.ChoiceField(choices=["none", "waiting", "done"])
    answered = serializers.IntegerField(source="answered.seq", help_text="The event that closed the answer.")
    event = serializers.IntegerField(source="event.seq", default=None, help_text="The newest event about a replay.")
    at = serializers.DateTimeField(source="event.at", default=None)
    verdict = serializers.CharField(
        source="event.detail.verdict", default="", help_text="same, differs, altered, erased"
    )
    reason = serializers.CharField(source="event.detail.reason", default="")
    sentences = serializers.IntegerField(source="event.detail.sentences", default=0)
    differing = serializers.ListField(
        child=serializers.IntegerField(), source="event.detail.differing", default=list, help_text="Counted from 1."
    )
    missing = serializers.IntegerField(source="event.detail.missing", default=0, help_text="Passages that are gone.")
    recorded = serializers.ListField(
        child=serializers.CharField(), source="event.detail.recorded", default=list, help_text="Engine, model, code."
    )
    now = serializers.ListField(child=serializers.CharField(), source="event.detail.now", default=list)


class SavedView(AuditView):
    @extend_schema(operation_id="audit_queries_list", responses=SavedSerializer(many=True))
    def get(self, request: Request) -> Response:
        """The caller's own saved searches, by name."""
        return Response(SavedSerializer(review.saved(actor=self.actor), many=True).data)

    @extend_schema(request=SavedSerializer, responses={201: SavedSerializer})
    def post(self, request: Request) -> Response:
        """Keep a search under a name; the same name again replaces it."""
        asked = valid(SavedSerializer(data=request.data))
        row = review.save(actor=self.actor, **asked)
        return Response(SavedSerializer(row).data, status=status.HTTP_201_CREATED)


class SavedOneView(AuditView):
    @extend_schema(responses={204: None})
    def delete(self, request: Request, query_id: int) -> Response:
        """Forget one of the caller's own saved searches."""
        review.forget(actor=self.actor, query_id=query_id)
        return Response(status=status.HTTP_204_NO_CONTENT)


class SegmentsView(AuditView):
    @extend_schema(operation_id="audit_segments_list", responses=SegmentSerializer(many=True))
    def get(self, request: Request) -> Response:
        """Sealed segments whose time is over, oldest first. Two reviewers may remove them (`audit/permits/`)."""
        return Response(SegmentSerializer(two_people.prunable(actor=self.actor), many=True).data)


class ReplayView(AuditView):
    @extend_schema(responses=ReplaySerializer)
    def get(self, request: Request, answer_id: UUID) -> Response:
        """How the replay of an answer stands. Numbers, never words of the answer."""
        return Response(ReplaySerializer(replay_requests.standing(actor=self.actor, answer_id=answer_id)).data)

    @extend_schema(request=None, responses={202: ReplaySerializer})
    def post(self, request: Request, answer_id: UUID) -> Response:
        """Let a worker answer once more from the record: same passages, same engine. The verdict is an event."""
        replay_requests.ask(actor=self.actor, answer_id=answer_id)
        found = replay_requests.standing(actor=self.actor, answer_id=answer_id)
        return Response(ReplaySerializer(found).data, status=status.HTTP_202_ACCEPTED)


urlpatterns = [
    path("audit/queries/", SavedView.as_view(), name="api-audit-queries"),
    path("audit/queries/<int:query_id>/", SavedOneView.as_view(), name="api-audit-query"),
    path("audit/segments/", SegmentsView.as_view(), name="api-audit-segments"),
    path("audit/answers/<uuid:answer_id>/replay/", ReplayView.as_view(), name="api-audit-replay"),
]
