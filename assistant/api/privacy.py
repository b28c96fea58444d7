"""Personal data over REST: policies, the customer's own words, the map, and turning a pseudonym back."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import HttpResponse
from django.urls import path
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from assistant.accounts.roles import Duty, Role, require
from assistant.documents import policy, services
from assistant.documents.models import Collection, PersonalDataPolicy
from assistant.documents.personal import Treatment

from .base import View
from .forms import Text, valid

_FILTERS = [
    OpenApiParameter("collection", str, description="A collection's slug."),
    OpenApiParameter("class", str, description="One class, CARD for example."),
]


class TreatmentsSerializer(serializers.Serializer[Any]):
    """How each role is shown personal data."""

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        return {role: serializers.ChoiceField(choices=[each.value for each in Treatment]) for role in Role.values}


class PersonalDataPolicySerializer(serializers.Serializer[PersonalDataPolicy]):
    treatments = TreatmentsSerializer()
    types = serializers.ListField(child=Text(max_length=20), default=list, help_text="Classes concerned; none: all.")
    disguise = serializers.BooleanField(default=False, help_text="Language models read pseudonyms.")
    reveal = serializers.ListField(child=serializers.ChoiceField(choices=Role.values), default=list)


class DictionarySerializer(serializers.Serializer[Any]):
    terms = serializers.DictField(child=serializers.ListField(child=Text(max_length=200)))


class RevealSerializer(serializers.Serializer[Any]):
    pseudonym = Text(max_length=60)
    reason = Text(max_length=500)


class ValueSerializer(serializers.Serializer[Any]):
    value = serializers.CharField()


class CollectionCountsSerializer(serializers.Serializer[services.CollectionCounts]):
    slug = serializers.SlugField()
    name = serializers.CharField()
    counts = serializers.DictField(child=serializers.IntegerField())
    total = serializers.IntegerField()
    documents = serializers.IntegerField()
    guarded = serializers.BooleanField()


class DocumentCountsSerializer(serializers.Serializer[services.DocumentCounts]):
    document = serializers.UUIDField()
    title = serializers.CharField()
    collection = serializers.SlugField()
    counts = serializers.DictField(child=serializers.IntegerField())
    total = serializers.IntegerField()


class MapSerializer(serializers.Serializer[services.PersonalDataMap]):
    counts = serializers.DictField(child=serializers.IntegerField())
    total = serializers.IntegerField()
    uncounted = serializers.IntegerField()
    collections = CollectionCountsSerializer(many=True)
    documents = DocumentCountsSerializer(many=True)


class PersonalDataPolicyView(View):
    @extend_schema(responses=PersonalDataPolicySerializer)
    def get(self, request: Request, slug: str) -> Response:
        """How the collection shows personal data; without a policy: as it stands."""
        found = services.personal_data_policy(actor=self.actor, collection=self._collection(slug))
        return Response(PersonalDataPolicySerializer(found).data)

    @extend_schema(request=PersonalDataPolicySerializer, responses=PersonalDataPolicySerializer)
    def put(self, request: Request, slug: str) -> Response:
        """Change it; it holds from the next request on."""
        collection = self._collection(slug)
        data = valid(PersonalDataPolicySerializer(data=request.data))
        row = services.set_personal_data_policy(actor=self.actor, collection=collection, **data)
        return Response(PersonalDataPolicySerializer(row).data)

    def _collection(self, slug: str) -> Collection:
        require(self.actor, Duty.MANAGE_PRIVACY)
        return policy.get_grantable_collection(self.actor, slug)


class DictionaryView(View):
    @extend_schema(responses=DictionarySerializer)
    def get(self, request: Request) -> Response:
        """The customer's own words that count as personal data, by class."""
        return Response({"terms": services.personal_data_dictionary(actor=self.actor)})

    @extend_schema(request=DictionarySerializer, responses=DictionarySerializer)
    def put(self, request: Request) -> Response:
        """Replace them all."""
        require(self.actor, Duty.MANAGE_PRIVACY)
        terms = valid(DictionarySerializer(data=request.data))["terms"]
        return Response({"terms": services.set_personal_data_dictionary(actor=self.actor, terms=terms)})


class MapView(View):
    scope_read = "audit"

    @extend_schema(parameters=_FILTERS, responses=MapSerializer)
    def get(self, request: Request) -> Response:
        """How many values of which class lie where; documents with the most first. Titles only of what one may see."""
        return Response(MapSerializer(services.personal_data_map(actor=self.actor, **_narrowed(request))).data)


class MapExportView(View):
    scope_read = "audit"

    @extend_schema(parameters=_FILTERS, responses={(200, "text/csv"): OpenApiTypes.STR})
    def get(self, request: Request) -> HttpResponse:
        """The map's documents as CSV."""
        text = services.export_personal_data_map(actor=self.actor, **_narrowed(request))
        return HttpResponse(
            text, content_type="text/csv; charset=utf-8", headers={"Cache-Control": "private, no-store"}
        )


class RevealView(View):
    @extend_schema(request=RevealSerializer, responses=ValueSerializer)
    def post(self, request: Request, document: UUID) -> Response:
        """The value that a pseudonym stands for in this document, where the policy lets the role ask. On record."""
        row = policy.get_visible_document(self.actor, document)
        data = valid(RevealSerializer(data=request.data))
        return Response({"value": services.reveal_pseudonym(actor=self.actor, document=row, **data)})


def _narrowed(request: Request) -> dict[str, str]:
    asked = request.query_params
    return {"collection": asked.get("collection", "")[:60], "kind": asked.get("class", "")[:20]}


urlpatterns = [
    path("collections/<slug:slug>/personal-data/", PersonalDataPolicyView.as_view(), name="api-personal-data-policy"),
    path("personal-data/", MapView.as_view(), name="api-personal-data"),
    path("personal-data/export/", MapExportView.as_view(), name="api-personal-data-export"),
    path("personal-data/dictionary/", DictionaryView.as_view(), name="api-personal-data-dictionary"),
    path("documents/<uuid:document>/reveal/", RevealView.as_view(), name="api-document-reveal"),
]
