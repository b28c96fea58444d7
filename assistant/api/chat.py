"""Questions, answers and conversations over REST. Parses, makes one call to `chat.services`, renders.

An answer leaves through `present` only. Live events are server-sent events (WHATWG HTML, section 9.2); `Last-Event-ID`
resumes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import asdict
from typing import Any, ClassVar
from uuid import UUID

from django.http import StreamingHttpResponse
from django.urls import path, reverse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers, status
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from assistant import errors, observability
from assistant.accounts.models import User
from assistant.audit import denials
from assistant.chat import persons, services, streaming
from assistant.chat.models import Answer, AnswerStatus, Conversation, Outcome

from .base import CursorPage, View
from .forms import PAGING

MAX_WAIT_SECONDS = 120
MAX_ANSWERS = 200  # of a conversation in one reply: the newest


# --- what comes in ------------------------------------------------------------------------------------------------


class AskInput(serializers.Serializer[Any]):
    question = serializers.CharField(help_text="The question, in any language.")
    conversation = serializers.UUIDField(required=False, allow_null=True, help_text="Continue this conversation.")
    collections = serializers.ListField(
        child=serializers.CharField(max_length=60), required=False, max_length=100, help_text="Search only these slugs."
    )


class WaitInput(serializers.Serializer[Any]):
    wait = serializers.FloatField(required=False, default=0.0, min_value=0, max_value=MAX_WAIT_SECONDS)


class FeedbackInput(serializers.Serializer[Any]):
    good = serializers.BooleanField()
    reason = serializers.CharField(required=False, allow_blank=True, max_length=500, default="")


class RenameInput(serializers.Serializer[Any]):
    title = serializers.CharField(max_length=200)


# --- what goes out ------------------------------------------------------------------------------------------------


class CitationOutput(serializers.Serializer[Any]):
    marker = serializers.IntegerField(help_text="The n of [n] in the text.")
    document = serializers.UUIDField()
    title = serializers.CharField()
    collection = serializers.CharField()
    page = serializers.IntegerField()
    quote = serializers.CharField(help_text="The words on the page, exactly.")
    char_start = serializers.IntegerField(help_text="Of the quote in the page's text.")
    char_end = serializers.IntegerField()
    version = serializers.IntegerField()
    version_date = serializers.DateTimeField()
    verified = serializers.BooleanField(help_text="The sentence was found supported by the quote.")
    paragraph = serializers.CharField(help_text="The quote with the words around it.")
    newer = serializers.BooleanField(help_text="The document has a newer version.")
    expired = serializers.DateField(
        allow_null=True, help_text="The last day the document was valid, when that is over; it is not cited any more."
    )
    suspicious = serializers.BooleanField(
        help_text="The passage around the quote reads like an attempt to instruct the assistant."
    )


class SentenceOutput(serializers.Serializer[Any]):
    text = serializers.CharField()
    markers = serializers.ListField(child=serializers.IntegerField())
    verified = serializers.BooleanField()
    breaks = serializers.IntegerField(help_text="Line breaks before the sentence.")


class NamedCollection(serializers.Serializer[Any]):
    slug = serializers.CharField()
    name = serializers.CharField()


class EvidenceOutput(serializers.Serializer[Any]):
    collections = NamedCollection(many=True, help_text="Where was searched.")
    passages = serializers.IntegerField(help_text="How many passages were read.")


class AnswerOutput(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    conversation = serializers.UUIDField()
    question = serializers.CharField()
    status = serializers.ChoiceField(AnswerStatus.choices)
    outcome = serializers.ChoiceField([("", "not finished"), *Outcome.choices])
    text = serializers.CharField(allow_blank=True)
    thinking = serializers.CharField(allow_blank=True)
    citations = CitationOutput(many=True)
    sentences = SentenceOutput(many=True)
    engine = serializers.CharField(allow_blank=True)
    model = serializers.CharField(allow_blank=True)
    timings = serializers.DictField(child=serializers.IntegerField(), help_text="Milliseconds by stage.")
    evidence = EvidenceOutput()
    queue_position = serializers.IntegerField(allow_null=True, help_text="1 is next; null once begun.")
    withheld = serializers.BooleanField(help_text="A document it rests on was deleted or may no longer be read.")
    reason = serializers.CharField(allow_blank=True)
    feedback = serializers.BooleanField(allow_null=True)
    examples = serializers.ListField(
        child=serializers.CharField(),
        help_text="Questions to begin with, under an answer that introduces the assistant.",
    )
    also = serializers.ListField(
        child=serializers.CharField(),
        help_text="Words of the documents that were searched for in place of short or misspelt ones of the question.",
    )
    unsupported = serializers.IntegerField(
        help_text="Sentences of the model that are not shown because no passage supports them "
        "(UNSUPPORTED_SENTENCES=withhold)."
    )
    fallback = serializers.BooleanField(help_text="The language model could not answer; quotations stand in for it.")
    created_at = serializers.DateTimeField()
    finished_at = serializers.DateTimeField(allow_null=True)


class AcceptedOutput(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    conversation = serializers.UUIDField()
    status = serializers.ChoiceField(AnswerStatus.choices)
    events_url = serializers.CharField()


class ConversationOutput(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    title = serializers.CharField()
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()


class ConversationPageOutput(serializers.Serializer[Any]):
    next = serializers.CharField(allow_null=True)
    previous = serializers.CharField(allow_null=True)
    results = ConversationOutput(many=True)


class ConversationDetailOutput(ConversationOutput):
    answers = AnswerOutput(many=True)


def rendered(actor: User, answer: Answer) -> dict[str, Any]:
    return dict(AnswerOutput(services.present(actor=actor, answer=answer)).data)


# --- the calls ----------------------------------------------------------------------------------------------------


class ChatView(View):
    """Everything here is the person's own; a token needs the scope "ask"."""

    scope_read: ClassVar[str] = "ask"
    scope_write: ClassVar[str] = "ask"


class Export(ChatView):
    scope_read: ClassVar[str] = "manage"  # a token that may only ask may not carry everything away

    @extend_schema(operation_id="export_own_data", responses=OpenApiTypes.OBJECT)
    def get(self, request: Request) -> Response:
        """What is kept about the caller: account, tokens, conversations, uploads, events. On record."""
        data = persons.export_person(actor=self.actor, user=self.actor)
        return Response(data, headers={"Cache-Control": "no-store"})


class Answers(ChatView):
    @extend_schema(
        operation_id="ask",
        request=AskInput,
        parameters=[
            OpenApiParameter("wait", float, description="Seconds to wait for the finished answer, at most 120."),
            OpenApiParameter("Idempotency-Key", str, OpenApiParameter.HEADER, description="Same key, same answer."),
        ],
        responses={200: AnswerOutput, 202: AcceptedOutput},
    )
    def post(self, request: Request) -> Response:
        given = AskInput(data=request.data)
        given.is_valid(raise_exception=True)
        limits = WaitInput(data=request.query_params)
        limits.is_valid(raise_exception=True)
        answer, _ = services.ask(
            actor=self.actor,
            question=given.validated_data["question"],
            conversation_id=given.validated_data.get("conversation"),
            collections=given.validated_data.get("collections", ()),
            idempotency_key=request.headers.get("Idempotency-Key", ""),
        )
        seconds = limits.validated_data["wait"]
        if seconds:
            answer = services.wait(actor=self.actor, answer_id=answer.pk, seconds=seconds)
            if answer.status == AnswerStatus.DONE:
                return Response(rendered(self.actor, answer))
        accepted = {
            "id": answer.pk,
            "conversation": answer.conversation_id,
            "status": answer.status,
            "events_url": reverse("api-answer-events", args=[answer.pk]),
        }
        headers = {"Location": reverse("api-answer", args=[answer.pk])}
        return Response(AcceptedOutput(accepted).data, status=status.HTTP_202_ACCEPTED, headers=headers)


class AnswerDetail(ChatView):
    @extend_schema(operation_id="answer", responses=AnswerOutput)
    def get(self, request: Request, answer_id: UUID) -> Response:
        return Response(rendered(self.actor, services.get_answer(actor=self.actor, answer_id=answer_id)))


class Cancel(ChatView):
    @extend_schema(operation_id="cancel_answer", request=None, responses=AnswerOutput)
    def post(self, request: Request, answer_id: UUID) -> Response:
        return Response(rendered(self.actor, services.cancel(actor=self.actor, answer_id=answer_id)))


class FeedbackView(ChatView):
    @extend_schema(operation_id="judge_answer", request=FeedbackInput, responses={204: None})
    def post(self, request: Request, answer_id: UUID) -> Response:
        given = FeedbackInput(data=request.data)
        given.is_valid(raise_exception=True)
        services.give_feedback(actor=self.actor, answer_id=answer_id, **given.validated_data)
        return Response(status=status.HTTP_204_NO_CONTENT)


class EventStreamRenderer(BaseRenderer):
    """Lets a client ask for text/event-stream; only problems are rendered by it, as JSON."""

    media_type = "text/event-stream"
    format = "events"
    charset = "utf-8"

    def render(self, data: Any, accepted_media_type: str | None = None, renderer_context: Any = None) -> bytes:
        return JSONRenderer().render(data)


def event_stream(chunks: AsyncIterator[str]) -> StreamingHttpResponse:
    """A response that no proxy buffers and no browser keeps."""
    response = StreamingHttpResponse(chunks, content_type="text/event-stream; charset=utf-8")
    response["Cache-Control"] = "no-store"
    response["X-Accel-Buffering"] = "no"
    return response


class Events(ChatView):
    renderer_classes = (EventStreamRenderer, JSONRenderer)

    @extend_schema(
        operation_id="answer_events",
        parameters=[OpenApiParameter("Last-Event-ID", str, OpenApiParameter.HEADER, description="Resume after it.")],
        responses={(200, "text/event-stream"): OpenApiTypes.STR},
    )
    def get(self, request: Request, answer_id: UUID) -> StreamingHttpResponse:
        answer = services.get_answer(actor=self.actor, answer_id=answer_id)
        facts = observability.current()  # the request's context is over when the chunks are made
        return event_stream(_events(self.actor, answer.pk, request.headers.get("Last-Event-ID", ""), facts))


async def _events(actor: User, answer_id: UUID, last_event_id: str, facts: observability.Context) -> AsyncIterator[str]:
    yield "retry: 2000\n\n"
    last = ""
    async for event in streaming.follow(actor=actor, answer_id=answer_id, last_event_id=last_event_id):
        last = event.event
        if event.event == "heartbeat":
            yield ": still here\n\n"
        else:
            number = f"id: {event.id}\n" if event.id else ""
            yield f"{number}event: {event.event}\ndata: {streaming.dumps(event.data)}\n\n"
    if last != "done":  # deleted, or the person was disabled, while following
        await streaming.in_thread(turned_away)(facts, answer_id, "api-answer-events")
        yield f'event: error\ndata: {{"code": "{errors.NotFound.code}"}}\n\n'


def turned_away(facts: observability.Context, answer_id: UUID, address: str) -> None:
    """A stream that had begun was ended: on record as any other denial."""
    with observability.context(**asdict(facts)):
        denials.note(denials.Denial(errors.NotFound.code, errors.NotFound.status, "answer", str(answer_id), address))


class Conversations(ChatView):
    @extend_schema(
        operation_id="conversations",
        parameters=PAGING,
        responses=ConversationPageOutput,
    )
    def get(self, request: Request) -> Response:
        pages = CursorPage()
        pages.ordering = ("-updated_at", "id")
        rows = pages.paginate_queryset(services.conversations(self.actor), request, view=self)
        return pages.get_paginated_response(ConversationOutput(rows, many=True).data)


class ConversationDetail(ChatView):
    @extend_schema(operation_id="conversation", responses=ConversationDetailOutput)
    def get(self, request: Request, conversation_id: UUID) -> Response:
        row = services.get_conversation(actor=self.actor, conversation_id=conversation_id)
        newest = list(row.answers.select_related("feedback").order_by("-created_at", "-pk")[:MAX_ANSWERS])
        views = services.present_all(actor=self.actor, answers=newest[::-1])
        return Response({**_conversation(row), "answers": AnswerOutput(views, many=True).data})

    @extend_schema(operation_id="rename_conversation", request=RenameInput, responses=ConversationOutput)
    def patch(self, request: Request, conversation_id: UUID) -> Response:
        given = RenameInput(data=request.data)
        given.is_valid(raise_exception=True)
        row = services.rename(actor=self.actor, conversation_id=conversation_id, title=given.validated_data["title"])
        return Response(_conversation(row))

    @extend_schema(operation_id="delete_conversation", responses={204: None})
    def delete(self, request: Request, conversation_id: UUID) -> Response:
        services.delete_conversation(actor=self.actor, conversation_id=conversation_id)
        return Response(status=status.HTTP_204_NO_CONTENT)


class Restore(ChatView):
    @extend_schema(operation_id="restore_conversation", request=None, responses=ConversationOutput)
    def post(self, request: Request, conversation_id: UUID) -> Response:
        return Response(_conversation(services.restore_conversation(actor=self.actor, conversation_id=conversation_id)))


def _conversation(row: Conversation) -> dict[str, Any]:
    return dict(ConversationOutput(row).data)


urlpatterns = [
    path("export/", Export.as_view(), name="api-export"),
    path("answers/", Answers.as_view(), name="api-answers"),
    path("answers/<uuid:answer_id>/", AnswerDetail.as_view(), name="api-answer"),
    path("answers/<uuid:answer_id>/events/", Events.as_view(), name="api-answer-events"),
    path("answers/<uuid:answer_id>/cancel/", Cancel.as_view(), name="api-answer-cancel"),
    path("answers/<uuid:answer_id>/feedback/", FeedbackView.as_view(), name="api-answer-feedback"),
    path("conversations/", Conversations.as_view(), name="api-conversations"),
    path("conversations/<uuid:conversation_id>/", ConversationDetail.as_view(), name="api-conversation"),
    path("conversations/<uuid:conversation_id>/restore/", Restore.as_view(), name="api-conversation-restore"),
]
