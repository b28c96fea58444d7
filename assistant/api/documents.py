"""Documents and their restrictions over REST. Parses, makes one domain call, renders; decides nothing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.conf import settings
from django.urls import path, reverse
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from assistant.documents import policy, services
from assistant.documents.models import Document, Status
from assistant.errors import TooLarge

from .base import CursorPage, Paged, View
from .collections import AccessReportSerializer, GrantListSerializer, GrantSerializer, grant_list
from .forms import PAGING, VISIBLE, Matching, Slug, Text, Upload, valid

_FORM_ROOM = 1024 * 1024  # bytes of a multipart body beside the file


class ErrorSerializer(serializers.Serializer[services.State]):
    code = serializers.CharField(source="error_code")
    detail = serializers.CharField(source="error")


class HiddenTextSerializer(serializers.Serializer[Any]):
    page = serializers.IntegerField()
    reason = serializers.CharField()
    text = serializers.CharField()


class DocumentSerializer(serializers.Serializer[Any]):
    """A document with its state as the caller may know it."""

    id = serializers.UUIDField()
    title = serializers.CharField()
    collection = serializers.SlugField()
    status = serializers.ChoiceField(choices=Status.values)
    stage = serializers.CharField()
    progress = serializers.FloatField(min_value=0, max_value=1)
    pages_done = serializers.IntegerField()
    pages_total = serializers.IntegerField(allow_null=True)
    error = ErrorSerializer(allow_null=True)
    version = serializers.IntegerField()
    filename = serializers.CharField()
    media_type = serializers.CharField()
    size = serializers.IntegerField()
    restricted = serializers.BooleanField()
    valid_from = serializers.DateField(allow_null=True)
    valid_until = serializers.DateField(allow_null=True)
    warnings = serializers.ListField(child=serializers.CharField())
    hidden_text = HiddenTextSerializer(many=True)
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()


class DocumentPageSerializer(Paged):
    results = DocumentSerializer(many=True)


class UploadSerializer(serializers.Serializer[Any]):
    collection = Slug()
    file = Upload()
    title = Text(max_length=300, required=False, allow_blank=True)


class ReplaceSerializer(serializers.Serializer[Any]):
    file = Upload()


class AcceptedSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    status = serializers.ChoiceField(choices=Status.values)
    version = serializers.IntegerField()


class DocumentChangeSerializer(serializers.Serializer[Any]):
    title = Matching(VISIBLE, max_length=300, required=False)
    valid_from = serializers.DateField(required=False, allow_null=True)
    valid_until = serializers.DateField(required=False, allow_null=True)
    collection = Slug(required=False, help_text="Move it there.")


class ReceiptSerializer(serializers.Serializer[Any]):
    """What was erased, by kind."""

    erased = serializers.DictField(child=serializers.IntegerField())


class DocumentCursor(CursorPage):
    ordering = ("-created_at", "id")


class DocumentsView(View):
    parser_classes = (MultiPartParser,)

    @extend_schema(
        operation_id="documents_list",
        parameters=[OpenApiParameter("collection", str, description="A collection's slug."), *PAGING],
        responses=DocumentPageSerializer,
    )
    def get(self, request: Request) -> Response:
        """Documents the caller can read, and those they manage in any state; newest first."""
        found = services.documents(actor=self.actor, collection=request.query_params.get("collection"))
        paginator = DocumentCursor()
        rows = paginator.paginate_queryset(found, request, view=self) or []
        return paginator.get_paginated_response(_documents(self, rows))

    @extend_schema(
        request={"multipart/form-data": UploadSerializer},
        responses={202: AcceptedSerializer, 200: OpenApiResponse(AcceptedSerializer, "It was there already.")},
    )
    def post(self, request: Request) -> Response:
        """Upload a file. It is read in the background: poll the document's `status`."""
        _refuse_too_large(request)
        data = valid(UploadSerializer(data=request.data))
        document, created = services.upload(
            actor=self.actor,
            collection=policy.get_managed_collection(self.actor, data["collection"]),
            file=data["file"],
            filename=data["file"].name,
            title=data.get("title"),
        )
        return _accepted(document, created)


class DocumentView(View):
    @extend_schema(responses=DocumentSerializer)
    def get(self, request: Request, document: UUID) -> Response:
        row = policy.get_visible_document(self.actor, document)
        return Response(_documents(self, [row])[0])

    @extend_schema(request=DocumentChangeSerializer, responses=DocumentSerializer)
    def patch(self, request: Request, document: UUID) -> Response:
        """Change title or validity, or move the document into another collection."""
        row = policy.get_managed_document(self.actor, document)
        data = valid(DocumentChangeSerializer(data=request.data))
        if slug := data.pop("collection", None):
            target = policy.get_managed_collection(self.actor, slug)
            row = services.move(actor=self.actor, document=row, collection=target)
        if data:
            row = services.update_document(actor=self.actor, document=row, **data)
        return Response(_documents(self, [row])[0])

    @extend_schema(responses={200: ReceiptSerializer})
    def delete(self, request: Request, document: UUID) -> Response:
        """Erase the document; the receipt says what went."""
        row = policy.get_managed_document(self.actor, document)
        receipt = services.delete(actor=self.actor, document=row)
        return Response(ReceiptSerializer({"erased": receipt}).data)


class DocumentVersionsView(View):
    parser_classes = (MultiPartParser,)

    @extend_schema(
        request={"multipart/form-data": ReplaceSerializer},
        responses={202: AcceptedSerializer, 200: OpenApiResponse(AcceptedSerializer, "It was there already.")},
    )
    def post(self, request: Request, document: UUID) -> Response:
        """Replace the content; the present version answers until the new one has been read."""
        _refuse_too_large(request)
        row = policy.get_managed_document(self.actor, document)
        file = valid(ReplaceSerializer(data=request.data))["file"]
        _, created = services.replace(actor=self.actor, document=row, file=file, filename=file.name)
        return _accepted(policy.get_managed_document(self.actor, document), created)


class DocumentRetryView(View):
    @extend_schema(request=None, responses={202: AcceptedSerializer})
    def post(self, request: Request, document: UUID) -> Response:
        """Read a document again that could not be read."""
        row = policy.get_managed_document(self.actor, document)
        services.retry(actor=self.actor, document=row)
        return _accepted(policy.get_managed_document(self.actor, document), created=True)


class DocumentCancelView(View):
    @extend_schema(request=None, responses={200: AcceptedSerializer})
    def post(self, request: Request, document: UUID) -> Response:
        """Stop reading a document."""
        row = policy.get_managed_document(self.actor, document)
        services.cancel(actor=self.actor, document=row)
        return _accepted(policy.get_managed_document(self.actor, document), created=False)


class DocumentReleaseView(View):
    @extend_schema(request=None, responses={202: AcceptedSerializer})
    def post(self, request: Request, document: UUID) -> Response:
        """Let a quarantined document answer after review."""
        row = policy.get_managed_document(self.actor, document)
        services.release(actor=self.actor, document=row)
        return _accepted(policy.get_managed_document(self.actor, document), created=True)


class DocumentGrantsView(View):
    @extend_schema(operation_id="document_grants_list", responses=GrantListSerializer)
    def get(self, request: Request, document: UUID) -> Response:
        row = policy.get_managed_document(self.actor, document)
        grants = services.document_grants(actor=self.actor, document=row)
        return grant_list(grants, restricted=row.restricted)

    @extend_schema(request=GrantSerializer, responses={201: GrantSerializer, 200: GrantSerializer})
    def post(self, request: Request, document: UUID) -> Response:
        """Restrict the document to the principal, or add one to those it is restricted to."""
        row = policy.get_managed_document(self.actor, document)
        data = valid(GrantSerializer(data=request.data))
        grant, created = services.grant_document(actor=self.actor, document=row, **data)
        return Response(GrantSerializer(grant).data, status=201 if created else 200)

    @extend_schema(operation_id="document_unrestrict", responses={204: None})
    def delete(self, request: Request, document: UUID) -> Response:
        """Lift the restriction: the collection's grants apply again."""
        row = policy.get_managed_document(self.actor, document)
        services.unrestrict_document(actor=self.actor, document=row)
        return Response(status=204)


class DocumentGrantView(View):
    @extend_schema(responses={204: None})
    def delete(self, request: Request, document: UUID, grant: str) -> Response:
        """Take one principal away. Without any left the document stays restricted, to nobody."""
        row = policy.get_managed_document(self.actor, document)
        services.revoke_document(actor=self.actor, document=row, grant_id=grant)
        return Response(status=204)


class DocumentAccessView(View):
    @extend_schema(responses=AccessReportSerializer)
    def get(self, request: Request, document: UUID) -> Response:
        """Who can open the document, and why."""
        row = policy.get_managed_document(self.actor, document)
        lines = services.access_report(actor=self.actor, document=row)
        return Response(AccessReportSerializer({"results": lines}).data)


def _refuse_too_large(request: Request) -> None:
    """Before the body is parsed: its announced length already tells."""
    length = str(request.META.get("CONTENT_LENGTH") or "")
    if length.isdigit() and int(length) > settings.MAX_UPLOAD_BYTES + _FORM_ROOM:
        raise TooLarge(f"A file may have {settings.MAX_UPLOAD_BYTES // 2**20} MB.")


def _accepted(document: Document, created: bool) -> Response:
    version = document.latest
    body = {"id": document.pk, "status": version.status, "version": version.number}
    where = reverse("api-document", args=[document.pk])
    return Response(AcceptedSerializer(body).data, status=202 if created else 200, headers={"Location": where})


def _documents(view: View, rows: Iterable[Document]) -> list[dict[str, Any]]:
    return [
        dict(DocumentSerializer(_described(row, state)).data)
        for row, state in services.states(actor=view.actor, documents=rows, hidden=True)
    ]


def _described(row: Document, state: services.State) -> dict[str, Any]:
    return {
        "id": row.pk,
        "title": row.title,
        "collection": row.collection.slug,
        "status": state.status,
        "stage": state.stage,
        "progress": state.progress,
        "pages_done": state.pages_done,
        "pages_total": state.pages_total,
        "error": state if state.error_code else None,
        "version": state.version,
        "filename": state.filename,
        "media_type": state.media_type,
        "size": state.size,
        "restricted": row.restricted,
        "warnings": state.warnings,
        "hidden_text": state.hidden_text,
        "created_at": row.created_at,
        "updated_at": row.updated_at,
        "valid_from": row.valid_from,
        "valid_until": row.valid_until,
    }


_DOCUMENT = "documents/<uuid:document>/"
urlpatterns = [
    path("documents/", DocumentsView.as_view(), name="api-documents"),
    path(_DOCUMENT, DocumentView.as_view(), name="api-document"),
    path(f"{_DOCUMENT}versions/", DocumentVersionsView.as_view(), name="api-document-versions"),
    path(f"{_DOCUMENT}retry/", DocumentRetryView.as_view(), name="api-document-retry"),
    path(f"{_DOCUMENT}cancel/", DocumentCancelView.as_view(), name="api-document-cancel"),
    path(f"{_DOCUMENT}release/", DocumentReleaseView.as_view(), name="api-document-release"),
    path(f"{_DOCUMENT}access/", DocumentAccessView.as_view(), name="api-document-access"),
    path(f"{_DOCUMENT}grants/", DocumentGrantsView.as_view(), name="api-document-grants"),
    path(f"{_DOCUMENT}grants/<slug:grant>/", DocumentGrantView.as_view(), name="api-document-grant"),
]
