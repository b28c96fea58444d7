"""Search over REST: passages the caller may read, best first."""

from __future__ import annotations

from django.urls import path
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from assistant.documents import services

from .base import View
from .forms import VISIBLE, Matching, Slug, checked


class SearchSerializer(serializers.Serializer[object]):
    query = Matching(VISIBLE, max_length=2000)
    collections = serializers.ListField(
        child=Slug(), required=False, max_length=100, help_text="Slugs; none means all."
    )
    limit = serializers.IntegerField(min_value=1, max_value=50, default=10)


class ResultSerializer(serializers.Serializer[services.SearchResult]):
    document = serializers.UUIDField()
    title = serializers.CharField()
    collection = serializers.SlugField()
    page = serializers.IntegerField()
    text = serializers.CharField()
    score = serializers.FloatField()
    headings = serializers.ListField(child=serializers.CharField())
    version = serializers.IntegerField()
    char_start = serializers.IntegerField()
    char_end = serializers.IntegerField()
    suspicious = serializers.BooleanField(help_text="It reads like an attempt to instruct the assistant.")


class ResultsSerializer(serializers.Serializer[object]):
    results = ResultSerializer(many=True)


_FIELDS = tuple(ResultSerializer().fields)


def _row(result: services.SearchResult) -> dict[str, object]:
    """What `ResultSerializer` makes of it. The values are plain already, and to take each through a field of the
    serializer cost more than to read the request."""
    return {name: getattr(result, name) for name in _FIELDS}


_ASKED = SearchSerializer()


class SearchView(View):
    scope_write = "ask"

    @extend_schema(request=SearchSerializer, responses=ResultsSerializer)
    def post(self, request: Request) -> Response:
        """The passages that fit the query best, at most a few of each document."""
        results = services.search(actor=self.actor, **checked(_ASKED, request.data))
        return Response({"results": [_row(result) for result in results]})


urlpatterns = [path("search/", SearchView.as_view(), name="api-search")]
