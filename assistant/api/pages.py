"""Originals, pages and their pictures over REST. Every opening is on record before a byte leaves."""

from __future__ import annotations

from uuid import UUID

from django.http import FileResponse, HttpResponse
from django.urls import path, reverse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from assistant.documents import policy, services

from .base import View
from .forms import VERSION, number_in

_QUOTE = OpenApiParameter("quote", str, many=True, description="Words to find on the page.")
_LOOK = OpenApiParameter("look", str, description="From the page's `picture` address: one look is recorded once.")
_WIDTH = OpenApiParameter("width", int, enum=list(services.WIDTHS))


class PageSerializer(serializers.Serializer[object]):
    document = serializers.UUIDField()
    title = serializers.CharField()
    version = serializers.IntegerField()
    current = serializers.BooleanField(help_text="Whether this is the version that answers now.")
    page = serializers.IntegerField()
    pages = serializers.IntegerField()
    label = serializers.CharField()  # type: ignore[assignment]
    text = serializers.CharField()
    picture = serializers.CharField(allow_null=True)
    suspicious = serializers.BooleanField(help_text="Something on it reads like an attempt to instruct the assistant.")
    withheld = serializers.CharField(
        allow_blank=True, help_text="For personal data: “picture” (the original too), “text” as well, or nothing."
    )


class RectanglesSerializer(serializers.Serializer[object]):
    width = serializers.IntegerField()
    height = serializers.IntegerField()
    quotes = serializers.ListField(
        child=serializers.ListField(child=serializers.ListField(child=serializers.FloatField()))
    )


class DocumentFileView(View):
    @extend_schema(parameters=[VERSION], responses={(200, "application/octet-stream"): OpenApiTypes.BINARY})
    def get(self, request: Request, document: UUID) -> FileResponse:
        """The original, as a download."""
        row = policy.get_visible_document(self.actor, document)
        original = services.open_original(actor=self.actor, document=row, version=number_in(request, "version"))
        return FileResponse(
            original.file, as_attachment=True, filename=original.filename, content_type="application/octet-stream"
        )


class PageView(View):
    @extend_schema(parameters=[VERSION], responses=PageSerializer)
    def get(self, request: Request, document: UUID, number: int) -> Response:
        """The text of a page, and the address of its picture where there is one."""
        row = policy.get_visible_document(self.actor, document)
        view = services.page(actor=self.actor, document=row, number=number, version=number_in(request, "version"))
        picture = reverse("api-page-picture", args=[row.pk, number]) + f"?version={view.version}&look={view.look}"
        body = {
            "document": row.pk,
            "title": row.title,
            "version": view.version,
            "current": view.current,
            "page": view.number,
            "pages": view.pages,
            "label": view.label,
            "text": view.text,
            "suspicious": view.suspicious,
            "picture": picture if view.has_picture else None,
            "withheld": view.withheld,
        }
        return Response(PageSerializer(body).data)


class PagePictureView(View):
    @extend_schema(parameters=[VERSION, _WIDTH, _LOOK], responses={(200, "image/png"): OpenApiTypes.BINARY})
    def get(self, request: Request, document: UUID, number: int) -> HttpResponse:
        """The page drawn, as PNG."""
        picture = _picture(self, request, document, number, quotes=[])
        return HttpResponse(picture.png, content_type="image/png", headers={"Cache-Control": "private, no-store"})


class PageRectanglesView(View):
    @extend_schema(parameters=[VERSION, _WIDTH, _QUOTE, _LOOK], responses=RectanglesSerializer)
    def get(self, request: Request, document: UUID, number: int) -> Response:
        """Where each quote stands on the page's picture: rectangles [x0, y0, x1, y1] in fractions of the page."""
        quotes = request.query_params.getlist("quote")
        picture = _picture(self, request, document, number, quotes=quotes)
        facts = {"width": picture.width, "height": picture.height, "quotes": picture.boxes}
        return Response(RectanglesSerializer(facts).data)


def _picture(view: View, request: Request, document: UUID, number: int, *, quotes: list[str]) -> services.Picture:
    row = policy.get_visible_document(view.actor, document)
    return services.page_picture(
        actor=view.actor,
        document=row,
        number=number,
        version=number_in(request, "version"),
        width=number_in(request, "width") or 1200,
        look=request.query_params.get("look", ""),
        quotes=quotes,
    )


_DOCUMENT = "documents/<uuid:document>/"
urlpatterns = [
    path(f"{_DOCUMENT}file/", DocumentFileView.as_view(), name="api-document-file"),
    path(f"{_DOCUMENT}pages/<int:number>/", PageView.as_view(), name="api-page"),
    path(f"{_DOCUMENT}pages/<int:number>/picture/", PagePictureView.as_view(), name="api-page-picture"),
    path(f"{_DOCUMENT}pages/<int:number>/rectangles/", PageRectanglesView.as_view(), name="api-page-rectangles"),
]
