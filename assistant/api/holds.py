"""Legal holds over REST: placed by either duty, lifted by both."""

from __future__ import annotations

from typing import Any

from django.urls import path
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from assistant.accounts.roles import Duty
from assistant.chat import held
from assistant.documents import holds
from assistant.documents.models import HoldKind

from .base import NewestFirst, Paged, View
from .forms import PAGING, valid


class PlacedSerializer(serializers.Serializer[Any]):
    kind = serializers.ChoiceField(choices=HoldKind.choices)
    target = serializers.CharField(max_length=254, help_text="A collection's slug, a document's id, an e-mail address.")
    reason = serializers.CharField(max_length=500)


class ReasonSerializer(serializers.Serializer[Any]):
    reason = serializers.CharField(max_length=500)


class HoldSerializer(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    kind = serializers.ChoiceField(choices=HoldKind.choices)
    target = serializers.CharField(help_text="As it was named; its number when it is gone.")
    reason = serializers.CharField()
    placed_by = serializers.CharField()
    placed_at = serializers.DateTimeField()
    lift_asked_by = serializers.CharField(allow_blank=True)
    lift_asked_at = serializers.DateTimeField(allow_null=True)
    lift_reason = serializers.CharField(allow_blank=True)
    lifted_by = serializers.CharField(allow_blank=True)
    lifted_at = serializers.DateTimeField(allow_null=True, help_text="Null: in force.")
    conversations = serializers.IntegerField(help_text="How many it keeps: a held person's, or those that quote it.")
    asked = serializers.IntegerField(help_text="How often one of them was to be deleted or erased, and was kept.")
    last_asked = serializers.DateTimeField(allow_null=True)


class HoldPageSerializer(Paged):
    results = HoldSerializer(many=True)


class HoldsView(View):
    @extend_schema(operation_id="holds_list", parameters=PAGING, responses=HoldPageSerializer)
    def get(self, request: Request) -> Response:
        """Every hold, lifted ones too, newest first."""
        paginator = NewestFirst()
        rows = paginator.paginate_queryset(holds.holds(actor=self.actor), request, view=self) or []
        return paginator.get_paginated_response(HoldSerializer(held.described(rows, actor=self.actor), many=True).data)

    @extend_schema(request=PlacedSerializer, responses={201: HoldSerializer})
    def post(self, request: Request) -> Response:
        """Keep a collection, a document or a person's account and conversations from now on."""
        holds.check_duty(self.actor)
        asked = valid(PlacedSerializer(data=request.data))
        row = holds.place(actor=self.actor, kind=asked["kind"], target=asked["target"], reason=asked["reason"])
        return Response(_one(row, self), status=status.HTTP_201_CREATED)


class AskView(View):
    duty = Duty.MANAGE_PEOPLE

    @extend_schema(request=ReasonSerializer, responses=HoldSerializer)
    def post(self, request: Request, hold_id: int) -> Response:
        """Ask for the lifting, with the reason; by who manages people. A reviewer, another person, agrees."""
        asked = valid(ReasonSerializer(data=request.data))
        return Response(_one(holds.ask_to_lift(actor=self.actor, hold_id=hold_id, reason=asked["reason"]), self))


class LiftView(View):
    @extend_schema(request=None, responses=HoldSerializer)
    def post(self, request: Request, hold_id: int) -> Response:
        """Agree to the lifting, as a reviewer who did not ask for it."""
        return Response(_one(holds.lift(actor=self.actor, hold_id=hold_id), self))


def _one(row: Any, view: View) -> Any:
    return HoldSerializer(held.described([row], actor=view.actor)[0]).data


urlpatterns = [
    path("holds/", HoldsView.as_view(), name="api-holds"),
    path("holds/<int:hold_id>/ask/", AskView.as_view(), name="api-hold-ask"),
    path("holds/<int:hold_id>/lift/", LiftView.as_view(), name="api-hold-lift"),
]
