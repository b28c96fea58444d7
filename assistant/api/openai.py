"""The OpenAI-compatible endpoint: `POST /v1/chat/completions`, streaming too, and `GET /v1/models`.

For editors and chat clients that speak this protocol: with the person's own token and rights, and nothing more than the
person could ask for elsewhere. The last user message is the question, the messages before it are the conversation;
sampling options are the administrator's and ignored. Citations ride along as the extra field `citations` and as lines
under the text. A client that hangs up stops its answer. Source: OpenAI API reference, "Chat completions" (streaming
chunks, `stream_options.include_usage`, error object); `reasoning_content` as DeepSeek's API has it.
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict
from typing import Any
from uuid import UUID

from django.conf import settings
from django.http import StreamingHttpResponse
from django.urls import path
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from assistant import errors, observability
from assistant.accounts.models import User
from assistant.chat import services, streaming
from assistant.chat.models import AnswerStatus, Outcome
from assistant.chat.presentation import AnswerView, CitationView, fallback_sentence, sentence_for

from . import problems
from .chat import ChatView, EventStreamRenderer, event_stream, turned_away

MODEL = "assistant"
MARGIN_SECONDS = 10  # a person waits a little longer than an answer may take


class Message(serializers.Serializer[Any]):
    role = serializers.ChoiceField(["system", "developer", "user", "assistant", "tool", "function"])
    content = serializers.JSONField(required=False, allow_null=True, help_text="A text, or a list of text parts.")


class StreamOptions(serializers.Serializer[Any]):
    include_usage = serializers.BooleanField(required=False, default=False)


class CompletionInput(serializers.Serializer[Any]):
    model = serializers.CharField(max_length=100)
    messages = Message(many=True, allow_empty=False)
    stream = serializers.BooleanField(required=False, allow_null=True, default=False)
    stream_options = StreamOptions(required=False, allow_null=True)
    n = serializers.IntegerField(required=False, allow_null=True, min_value=1, max_value=1)
    collections = serializers.ListField(
        child=serializers.CharField(max_length=60), required=False, max_length=100, help_text="Search only these slugs."
    )


class OpenAIView(ChatView):
    """Errors leave in OpenAI's shape, with the status that the official client understands."""

    renderer_classes = (*ChatView.renderer_classes, EventStreamRenderer)

    def handle_exception(self, exc: Exception) -> Response:
        response = super().handle_exception(exc)
        error = problems.translate(exc)
        if error is not None:
            response.data = error_body(error)
            response.content_type = "application/json"
        return response


class Models(OpenAIView):
    @extend_schema(operation_id="openai_models", responses=OpenApiTypes.OBJECT)
    def get(self, request: Request) -> Response:
        return Response({"object": "list", "data": [_model()]})


class Model(OpenAIView):
    @extend_schema(operation_id="openai_model", responses=OpenApiTypes.OBJECT)
    def get(self, request: Request, model: str) -> Response:
        _check_model(model)
        return Response(_model())


class ChatCompletions(OpenAIView):
    @extend_schema(operation_id="openai_chat", request=CompletionInput, responses=OpenApiTypes.OBJECT)
    def post(self, request: Request) -> Response | StreamingHttpResponse:
        given = CompletionInput(data=request.data)
        given.is_valid(raise_exception=True)
        wanted = given.validated_data
        _check_model(wanted["model"])
        question, context = _conversation(wanted["messages"])
        answer, _ = services.ask(
            actor=self.actor,
            question=question,
            context=context,
            collections=wanted.get("collections", ()),
            idempotency_key=request.headers.get("Idempotency-Key", ""),
        )
        if wanted["stream"]:
            usage = bool((wanted.get("stream_options") or {}).get("include_usage"))
            return event_stream(_Stream(self.actor, answer.pk, usage=usage).chunks())
        seconds = settings.ANSWER_DEADLINE_SECONDS + MARGIN_SECONDS
        answer = services.wait(actor=self.actor, answer_id=answer.pk, seconds=seconds)
        if answer.status != AnswerStatus.DONE:
            services.cancel(actor=self.actor, answer_id=answer.pk)
            raise errors.Unavailable("No answer in time. Try again.", code="timeout", retry_after=10)
        view = services.present(actor=self.actor, answer=answer)
        _raise_if_failed(view)
        message: dict[str, Any] = {"role": "assistant", "content": _content(view)}
        if view.thinking:
            message["reasoning_content"] = view.thinking
        return Response(
            {
                **_head(view.id, "chat.completion"),
                "choices": [{"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}],
                "usage": _usage(answer.evidence),
                "citations": [_citation(item) for item in view.citations],
            }
        )


def error_body(error: errors.AssistantError) -> dict[str, Any]:
    """OpenAI's error object."""
    kinds = {401: "authentication_error", 403: "permission_error", 404: "not_found_error", 429: "rate_limit_error"}
    kind = kinds.get(error.status, "invalid_request_error" if error.status < 500 else "server_error")
    field, messages = next(iter(error.fields.items()), (None, []))
    where = field.removesuffix(".non_field_errors") if field else None
    words = f"{error.detail} {where}: {' '.join(messages)}" if where else error.detail
    return {"error": {"message": words, "type": kind, "param": where, "code": error.code}}


class _Stream:
    """The chunks of one streamed completion. When the client goes away before the end, the answer is stopped."""

    def __init__(self, actor: User, answer_id: UUID, *, usage: bool) -> None:
        self._actor = actor
        self._answer_id = answer_id
        self._usage = usage
        self._facts = observability.current()  # the request's context is over when the chunks are made
        self._said = ""

    async def chunks(self) -> AsyncIterator[str]:
        finished = False
        try:
            yield self._chunk({"role": "assistant", "content": ""})
            async for event in streaming.follow(actor=self._actor, answer_id=self._answer_id):
                if event.event == "delta":
                    self._said += event.data["text"]
                    yield self._chunk({"content": event.data["text"]})
                elif event.event == "thinking":
                    yield self._chunk({"reasoning_content": event.data["text"]})
                elif event.event == "heartbeat":
                    yield ": still here\n\n"
                elif event.event == "done":
                    finished = True
            for chunk in await streaming.in_thread(self._end)():
                yield chunk
            yield "data: [DONE]\n\n"
            finished = True
        finally:
            if not finished:
                await streaming.in_thread(self._cancel)()

    def _end(self) -> list[str]:
        """What is still to be said when the row is finished: the rest, the sources, the usage; or the error."""
        try:
            answer = services.get_answer(actor=self._actor, answer_id=self._answer_id)
            view = services.present(actor=self._actor, answer=answer)
            _raise_if_failed(view)
        except errors.AssistantError as error:
            if isinstance(error, errors.NotFound):  # deleted, or the person was disabled, while following
                turned_away(self._facts, self._answer_id, "openai-chat")
            return [f"data: {json.dumps(error_body(error), ensure_ascii=False)}\n\n"]
        content = _content(view)
        said = self._said.rstrip()
        rest = content[len(said) :] if content.startswith(said) else f"\n\n{content}"
        chunks = [self._chunk({"content": rest})] if rest else []
        citations = [_citation(item) for item in view.citations]
        chunks.append(self._chunk({}, finish="stop", citations=citations))
        if self._usage:
            head = _head(self._answer_id, "chat.completion.chunk")
            chunks.append(f"data: {streaming.dumps({**head, 'choices': [], 'usage': _usage(answer.evidence)})}\n\n")
        return chunks

    def _cancel(self) -> None:
        with observability.context(**asdict(self._facts)):
            try:
                services.cancel(actor=self._actor, answer_id=self._answer_id)
            except errors.NotFound:
                return  # deleted meanwhile

    def _chunk(self, delta: dict[str, Any], *, finish: str | None = None, **extra: Any) -> str:
        choice = {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}
        body = {**_head(self._answer_id, "chat.completion.chunk"), "choices": [choice], **extra}
        return f"data: {streaming.dumps(body)}\n\n"


def _head(answer_id: UUID, kind: str) -> dict[str, Any]:
    return {"id": f"chatcmpl-{answer_id}", "object": kind, "created": int(time.time()), "model": MODEL}


def _model() -> dict[str, Any]:
    return {"id": MODEL, "object": "model", "created": 0, "owned_by": "this company"}


def _check_model(model: str) -> None:
    if model != MODEL:
        words = f"There is no model “{model}”; the one that answers is “{MODEL}”."
        raise errors.NotFound(words, code="model_not_found")


def _conversation(messages: Sequence[dict[str, Any]]) -> tuple[str, list[tuple[str, str]]]:
    """(the last user message, the user's and assistant's messages before it). System messages change nothing here."""
    last = max((place for place, message in enumerate(messages) if message["role"] == "user"), default=None)
    if last is None:
        raise errors.Invalid("There is no user message.", fields={"messages": ["Add a message with role “user”."]})
    before = [
        (message["role"], _text(message.get("content")))
        for message in messages[:last]
        if message["role"] in ("user", "assistant")
    ]
    return _text(messages[last].get("content")), [(role, text) for role, text in before if text]


def _text(content: Any) -> str:
    """The text of a message: a string, or its text parts. Raises Invalid for pictures, sound and files."""
    if content is None or isinstance(content, str):
        return content or ""
    if isinstance(content, list):
        texts = [
            part.get("text") if isinstance(part, dict) and part.get("type") in ("text", "input_text") else None
            for part in content
        ]
        if all(isinstance(text, str) for text in texts):
            return "\n".join(str(text) for text in texts)
    raise errors.Invalid("Only text can be asked.", fields={"messages": ["Use a string or text parts."]})


def _raise_if_failed(view: AnswerView) -> None:
    if view.withheld:
        raise errors.Conflict("The documents changed while the answer was written. Ask again.", code="withheld")
    if view.outcome == Outcome.REFUSED:
        refused = errors.PermissionRefused("This question was refused.", code=view.reason or "refused")
        refused.denial = False  # it is on record as what it is: answer.refused
        raise refused
    if view.outcome == Outcome.FAILED:
        raise errors.Unavailable("The question could not be answered. Try again.", code=view.reason, retry_after=5)


def _content(view: AnswerView) -> str:
    """The text with its sources under it, for clients that show nothing but text."""
    if view.outcome == Outcome.NOT_FOUND:
        return sentence_for(view)
    sources = dict.fromkeys(f"[{item.marker}] {item.title}, p. {item.page}" for item in view.citations)
    return "\n\n".join(part for part in (view.text, "\n".join(sources), fallback_sentence(view)) if part)


def _citation(item: CitationView) -> dict[str, Any]:
    return {
        "marker": item.marker,
        "document": str(item.document),
        "title": item.title,
        "collection": item.collection,
        "page": item.page,
        "quote": item.quote,
        "verified": item.verified,
        "suspicious": item.suspicious,
    }


def _usage(evidence: dict[str, Any]) -> dict[str, int]:
    """Tokens as the engine counted them; an engine that quotes counts none for the prompt."""
    prompt, completion = evidence.get("tokens", (0, 0))
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


urlpatterns = [
    path("chat/completions", ChatCompletions.as_view(), name="openai-chat"),
    path("models", Models.as_view(), name="openai-models"),
    path("models/<str:model>", Model.as_view(), name="openai-model"),
]
