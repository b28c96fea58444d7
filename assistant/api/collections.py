"""Collections and their grants over REST. Parses, makes one domain call, renders; decides nothing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.urls import path, reverse
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from assistant.accounts.roles import Duty, require
from assistant.documents import policy, services
from assistant.documents.models import Access, Collection, Grant

from .base import CursorPage, Paged, View
from .forms import PAGING, VISIBLE, Matching, Text, valid

SLUG = r"^[a-z0-9]+([-_][a-z0-9]+)*$"
PRINCIPAL = r"^(user:\S+|team:\S+|everyone)$"


class CollectionSerializer(serializers.Serializer[Collection]):
    slug = Matching(SLUG, max_length=60)
    name = Matching(VISIBLE, max_length=120, required=False)
    description = Text(max_length=2000, required=False, allow_blank=True, trim_whitespace=False)


class CollectionChangeSerializer(serializers.Serializer[Any]):
    """The slug stays: addresses and grants name it."""

    name = Matching(VISIBLE, max_length=120, required=False)
    description = Text(max_length=2000, required=False, allow_blank=True, trim_whitespace=False)


class CollectionPageSerializer(Paged):
    results = CollectionSerializer(many=True)


class GrantSerializer(serializers.Serializer[Grant]):
    id = serializers.CharField(source="reference", read_only=True)
    principal = Matching(PRINCIPAL, max_length=300, help_text="user:EMAIL, team:SLUG or everyone")
    access = serializers.ChoiceField(choices=Access.values, default=Access.READER.value)
    created_at = serializers.DateTimeField(read_only=True)


class GrantListSerializer(serializers.Serializer[Any]):
    restricted = serializers.BooleanField(help_text="Only for documents: false means the collection's grants apply.")
    results = GrantSerializer(many=True)


class ReasonSerializer(serializers.Serializer[services.Reason]):
    kind = serializers.ChoiceField(choices=["user", "team", "everyone", "manages"])
    name = serializers.CharField()
    access = serializers.CharField()


class AccessLineSerializer(serializers.Serializer[services.AccessLine]):
    person = serializers.EmailField(source="person.email")
    name = serializers.CharField(source="person.name")
    reads = serializers.BooleanField()
    reasons = ReasonSerializer(many=True)


class AccessReportSerializer(serializers.Serializer[Any]):
    results = AccessLineSerializer(many=True)


class CollectionCursor(CursorPage):
    ordering = ("-created_at", "-id")


class CollectionsView(View):
    @extend_schema(operation_id="collections_list", parameters=PAGING, responses=CollectionPageSerializer)
    def get(self, request: Request) -> Response:
        """Collections in which the caller can read something, or which they manage."""
        paginator = CollectionCursor()
        rows = paginator.paginate_queryset(policy.visible_collections(self.actor), request, view=self) or []
        return paginator.get_paginated_response([CollectionSerializer(row).data for row in rows])

    @extend_schema(request=CollectionSerializer, responses={201: CollectionSerializer})
    def post(self, request: Request) -> Response:
        """A new collection. Nobody can read it before a grant says so."""
        require(self.actor, Duty.MANAGE_DOCUMENTS)
        data = valid(CollectionSerializer(data=request.data))
        collection = services.create_collection(actor=self.actor, **data)
        where = reverse("api-collection", args=[collection.slug])
        return Response(CollectionSerializer(collection).data, status=201, headers={"Location": where})


class CollectionView(View):
    @extend_schema(responses=CollectionSerializer)
    def get(self, request: Request, slug: str) -> Response:
        return Response(CollectionSerializer(policy.get_visible_collection(self.actor, slug)).data)

    @extend_schema(request=CollectionChangeSerializer, responses=CollectionSerializer)
    def patch(self, request: Request, slug: str) -> Response:
        collection = policy.get_managed_collection(self.actor, slug)
        data = valid(CollectionChangeSerializer(data=request.data))
        changed = services.update_collection(actor=self.actor, collection=collection, **data)
        return Response(CollectionSerializer(changed).data)

    @extend_schema(responses={204: None})
    def delete(self, request: Request, slug: str) -> Response:
        """Remove an empty collection with its grants; 409 while it holds documents."""
        collection = policy.get_managed_collection(self.actor, slug)
        services.delete_collection(actor=self.actor, collection=collection)
        return Response(status=204)


class CollectionGrantsView(View):
    @extend_schema(operation_id="collection_grants_list", responses=GrantListSerializer)
    def get(self, request: Request, slug: str) -> Response:
        collection = policy.get_grantable_collection(self.actor, slug)
        grants = services.collection_grants(actor=self.actor, collection=collection)
        return grant_list(grants, restricted=False)

    @extend_schema(request=GrantSerializer, responses={201: GrantSerializer, 200: GrantSerializer})
    def post(self, request: Request, slug: str) -> Response:
        """Give access to the collection's unrestricted documents; 200 when the principal already had a grant."""
        collection = policy.get_grantable_collection(self.actor, slug)
        data = valid(GrantSerializer(data=request.data))
        grant, created = services.grant_collection(actor=self.actor, collection=collection, **data)
        return Response(GrantSerializer(grant).data, status=201 if created else 200)


class CollectionGrantView(View):
    @extend_schema(responses={204: None})
    def delete(self, request: Request, slug: str, grant: str) -> Response:
        collection = policy.get_grantable_collection(self.actor, slug)
        services.revoke_collection(actor=self.actor, collection=collection, grant_id=grant)
        return Response(status=204)


class CollectionAccessView(View):
    @extend_schema(responses=AccessReportSerializer)
    def get(self, request: Request, slug: str) -> Response:
        """Who can open the collection's unrestricted documents, and why."""
        collection = policy.get_grantable_collection(self.actor, slug)
        lines = services.access_report(actor=self.actor, collection=collection)
        return Response(AccessReportSerializer({"results": lines}).data)


def grant_list(grants: Iterable[Grant], *, restricted: bool) -> Response:
    return Response(GrantListSerializer({"restricted": restricted, "results": grants}).data)


urlpatterns = [
    path("collections/", CollectionsView.as_view(), name="api-collections"),
    path("collections/<slug:slug>/", CollectionView.as_view(), name="api-collection"),
    path("collections/<slug:slug>/access/", CollectionAccessView.as_view(), name="api-collection-access"),
    path("collections/<slug:slug>/grants/", CollectionGrantsView.as_view(), name="api-collection-grants"),
    path("collections/<slug:slug>/grants/<slug:grant>/", CollectionGrantView.as_view(), name="api-collection-grant"),
]
