"""What reviewers do only in pairs, over REST; and for everybody, who opened a text of theirs."""

from __future__ import annotations

from typing import Any

from django.urls import path
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from assistant.accounts import review, two_people
from assistant.audit.models import AuditPermit, PermitKind

from .audit import AuditView
from .base import CursorPage, Paged, View
from .forms import PAGING, valid


class AskedSerializer(serializers.Serializer[Any]):
    kind = serializers.ChoiceField(choices=PermitKind.choices)
    seq = serializers.IntegerField(min_value=1, help_text="The event whose text is meant, or the last one to remove.")
    reason = serializers.CharField(max_length=500)


class DecisionSerializer(serializers.Serializer[Any]):
    approve = serializers.BooleanField()


class PermitSerializer(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    kind = serializers.ChoiceField(choices=PermitKind.choices)
    seq = serializers.IntegerField()
    reason = serializers.CharField()
    concerns = serializers.CharField(allow_blank=True, help_text="Whose text it is.")
    requested_by = serializers.CharField()
    requested_at = serializers.DateTimeField()
    decided_by = serializers.CharField(allow_blank=True)
    decided_at = serializers.DateTimeField(allow_null=True)
    approved = serializers.BooleanField(allow_null=True)
    expires_at = serializers.DateTimeField()
    used_at = serializers.DateTimeField(allow_null=True)


class PermitPageSerializer(Paged):
    results = PermitSerializer(many=True)


class TextSerializer(serializers.Serializer[Any]):
    text = serializers.DictField(child=serializers.CharField())


class PrunedSerializer(serializers.Serializer[Any]):
    segments = serializers.IntegerField()


class OpeningSerializer(serializers.Serializer[Any]):
    event = serializers.IntegerField(source="seq")
    opened_at = serializers.DateTimeField(source="used_at")
    opened_by = serializers.SerializerMethodField()
    agreed_by = serializers.SerializerMethodField()
    reason = serializers.CharField()

    def get_opened_by(self, row: AuditPermit) -> str:
        return self._who(row.requested_by)

    def get_agreed_by(self, row: AuditPermit) -> str:
        return self._who(row.decided_by)

    def _who(self, actor: str) -> str:
        people: dict[str, str] = self.context["people"]
        return people.get(actor, actor)


class Newest(CursorPage):
    ordering = ("-requested_at", "-pk")


class PermitsView(AuditView):
    @extend_schema(operation_id="audit_permits_list", parameters=PAGING, responses=PermitPageSerializer)
    def get(self, request: Request) -> Response:
        """What reviewers asked of each other, newest first."""
        paginator = Newest()
        rows = paginator.paginate_queryset(two_people.permits(actor=self.actor), request, view=self) or []
        return paginator.get_paginated_response(PermitSerializer(rows, many=True).data)

    @extend_schema(request=AskedSerializer, responses={201: PermitSerializer})
    def post(self, request: Request) -> Response:
        """Ask for the text of an event (`open`) or the removal of old segments (`prune`). Another reviewer decides."""
        asked = valid(AskedSerializer(data=request.data))
        if asked["kind"] == PermitKind.OPEN:
            row = two_people.ask_to_open(actor=self.actor, seq=asked["seq"], reason=asked["reason"])
        else:
            row = two_people.ask_to_prune(actor=self.actor, last=asked["seq"], reason=asked["reason"])
        return Response(PermitSerializer(row).data, status=status.HTTP_201_CREATED)


class DecisionView(AuditView):
    @extend_schema(request=DecisionSerializer, responses=PermitSerializer)
    def post(self, request: Request, permit_id: int) -> Response:
        """Agree or decline; never the one who asked."""
        asked = valid(DecisionSerializer(data=request.data))
        row = two_people.decide(actor=self.actor, permit_id=permit_id, approve=asked["approve"])
        return Response(PermitSerializer(row).data)


class TextView(AuditView):
    @extend_schema(request=None, responses=TextSerializer)
    def post(self, request: Request, permit_id: int) -> Response:
        """Open the text, for the one who asked, while the permit lasts. The person whose text it is will be told."""
        text = two_people.open_text(actor=self.actor, permit_id=permit_id)
        return Response({"text": text}, headers={"Cache-Control": "no-store"})


class PruneView(AuditView):
    @extend_schema(request=None, responses=PrunedSerializer)
    def post(self, request: Request, permit_id: int) -> Response:
        """Remove the segments that the permit names."""
        return Response({"segments": two_people.prune(actor=self.actor, permit_id=permit_id)})


class OpeningsView(View):
    @extend_schema(responses=OpeningSerializer(many=True))
    def get(self, request: Request) -> Response:
        """Whenever a text of yours was opened in a review: by whom, agreed by whom, why."""
        rows = list(two_people.openings(actor=self.actor)[:200])
        people = review.addresses(name for row in rows for name in (row.requested_by, row.decided_by))
        return Response(OpeningSerializer(rows, many=True, context={"people": people}).data)


urlpatterns = [
    path("audit/permits/", PermitsView.as_view(), name="api-audit-permits"),
    path("audit/permits/<int:permit_id>/decision/", DecisionView.as_view(), name="api-audit-permit-decision"),
    path("audit/permits/<int:permit_id>/text/", TextView.as_view(), name="api-audit-permit-text"),
    path("audit/permits/<int:permit_id>/prune/", PruneView.as_view(), name="api-audit-permit-prune"),
    path("openings/", OpeningsView.as_view(), name="api-openings"),
]
