"""The official `openai` client against a real server."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import httpx2 as httpx
import openai
import pytest

from assistant.accounts import services as accounts
from assistant.chat import answering, tasks
from assistant.chat.models import Answer, Outcome
from assistant.documents.models import Grant
from inference.engines.base import Delta
from inference.errors import OutOfMemory
from tests.chat.conftest import company  # noqa: F401  (fixtures)
from tests.chat.engines import ScriptedModel, SlowModel
from tests.chat.live import server, worker  # noqa: F401

GERMANY = [{"role": "user", "content": "What is the meal allowance in Germany?"}]


@pytest.fixture
def client(server, people) -> Iterator[openai.OpenAI]:  # noqa: F811
    with _client(server, people.employee) as client:
        yield client


def _client(server: str, person: Any) -> openai.OpenAI:  # noqa: F811
    _, token = accounts.issue_token(actor=person, user=person, name="editor", scopes=["ask"])
    return openai.OpenAI(base_url=f"{server}/v1", api_key=token, max_retries=0, timeout=60)


def test_completion_carries_the_answer_its_sources_and_citations(company, client, worker):  # noqa: F811
    reply = client.chat.completions.create(model="assistant", messages=GERMANY)
    (choice,) = reply.choices
    assert choice.finish_reason == "stop"
    assert choice.message.content.startswith("The meal allowance in Germany is 28 euros per day. [1]")
    assert "[1] Travel Policy, p. 1" in choice.message.content
    citation = reply.model_extra["citations"][0]
    assert (citation["document"], citation["page"]) == (str(company.travel.pk), 1)
    assert reply.usage.total_tokens == reply.usage.prompt_tokens + reply.usage.completion_tokens


def test_streamed_completion_is_the_same_text_in_pieces(company, client, worker):  # noqa: F811
    whole = client.chat.completions.create(model="assistant", messages=GERMANY).choices[0].message.content
    stream = client.chat.completions.create(
        model="assistant", messages=GERMANY, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    assert chunks[0].choices[0].delta.role == "assistant"
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == whole
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
    assert chunks[-2].model_extra["citations"][0]["title"] == "Travel Policy"
    assert chunks[-1].usage is not None
    assert len({chunk.id for chunk in chunks}) == 1


def test_earlier_messages_make_a_follow_up_stand_alone(company, client, worker):  # noqa: F811
    messages = [
        {"role": "system", "content": "Answer like a pirate."},
        *GERMANY,
        {"role": "assistant", "content": "28 euros [1]"},
        {"role": "user", "content": [{"type": "text", "text": "And in France?"}]},
    ]
    reply = client.chat.completions.create(model="assistant", messages=messages)
    assert reply.choices[0].message.content.startswith("The meal allowance in France is 40 euros per day.")
    assert Answer.objects.get().standalone_question == "What is the meal allowance in France?"


def test_not_found_is_a_sentence_in_the_language_of_the_question(company, client, worker):  # noqa: F811
    messages = [{"role": "user", "content": "Who won the football world cup in 1974?"}]
    reply = client.chat.completions.create(model="assistant", messages=messages)
    assert reply.choices[0].message.content == "The documents you can read do not say."
    streamed = client.chat.completions.create(model="assistant", messages=messages, stream=True)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in streamed)
    assert text == "The documents you can read do not say."


def test_token_reaches_no_further_than_its_person(company, server, people, worker):  # noqa: F811
    messages = [{"role": "user", "content": "What is the salary range for band E4?"}]
    with _client(server, people.employee) as mine, _client(server, people.outsider) as theirs:
        reply = mine.chat.completions.create(model="assistant", messages=messages)
        assert "62,000" in reply.choices[0].message.content
        reply = theirs.chat.completions.create(model="assistant", messages=messages)
        assert "62,000" not in reply.model_dump_json()
        assert str(company.salaries.pk) not in reply.model_dump_json()
        with pytest.raises(openai.NotFoundError):
            theirs.chat.completions.create(model="assistant", messages=messages, extra_body={"collections": ["hr"]})


def test_models_lists_the_one_that_answers(client):
    assert [model.id for model in client.models.list()] == ["assistant"]
    assert client.models.retrieve("assistant").id == "assistant"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("gpt-4o")


def test_errors_have_openai_s_shape(company, server, client, settings):  # noqa: F811
    with pytest.raises(openai.NotFoundError) as unknown:
        client.chat.completions.create(model="gpt-4o", messages=GERMANY)
    assert unknown.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError) as empty:
        client.chat.completions.create(model="assistant", messages=[])
    assert empty.value.type == "invalid_request_error"
    assert empty.value.param == "messages"
    with pytest.raises(openai.BadRequestError):
        client.chat.completions.create(
            model="assistant",
            messages=[{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:,"}}]}],
        )
    stranger = openai.OpenAI(base_url=f"{server}/v1", api_key="pa_wrong", max_retries=0)
    with stranger, pytest.raises(openai.AuthenticationError):
        stranger.models.list()
    settings.ANSWER_QUEUE_LIMIT = 0
    with pytest.raises(openai.RateLimitError) as full:
        client.chat.completions.create(model="assistant", messages=GERMANY)
    assert full.value.code == "queue_full"
    assert int(full.value.response.headers["Retry-After"]) > 0


def _working(tools: answering.Tools) -> threading.Thread:
    """Answers the next question that comes, in another thread."""

    def work() -> None:
        from django.db import connection

        for _ in range(3000):
            if pk := Answer.objects.filter(status="queued").values_list("pk", flat=True).first():
                tasks.work(pk, tools=tools)
                break
            time.sleep(0.02)
        connection.close()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def test_client_that_hangs_up_stops_its_answer(company, client):  # noqa: F811
    model = SlowModel(["The meal allowance in Germany is 28 euros per day [1]. And"])
    thread = _working(replace(answering.tools(), engine=model))
    stream = client.chat.completions.create(model="assistant", messages=GERMANY, stream=True)
    for chunk in stream:
        if chunk.choices[0].delta.content:
            break
    stream.close()
    thread.join(60)
    assert not thread.is_alive()
    assert Answer.objects.get().outcome == Outcome.CANCELLED


def test_reasoning_is_told_apart_from_the_content(company, client):  # noqa: F811
    model = ScriptedModel([Delta("thinking", "Hm, page 1."), "28 euros per day [1]."])
    thread = _working(replace(answering.tools(), engine=model))
    stream = client.chat.completions.create(model="assistant", messages=GERMANY, stream=True)
    deltas = [chunk.choices[0].delta for chunk in stream]
    thread.join(60)
    assert "".join(getattr(delta, "reasoning_content", None) or "" for delta in deltas) == "Hm, page 1."
    assert "".join(delta.content or "" for delta in deltas).startswith("28 euros per day [1].")


@pytest.mark.parametrize("stream", [False, True])
def test_quotations_in_place_of_a_language_model_say_so(company, client, stream):  # noqa: F811
    model = ScriptedModel([OutOfMemory("The answer does not fit into memory.", hint="Ask again.")])
    thread = _working(replace(answering.tools(), engine=model))
    reply = client.chat.completions.create(model="assistant", messages=GERMANY, stream=stream)
    text = (
        "".join(chunk.choices[0].delta.content or "" for chunk in reply) if stream else reply.choices[0].message.content
    )
    thread.join(60)
    assert text.startswith("The meal allowance in Germany is 28 euros per day. [1]")
    assert text.endswith("The language model could not answer. These are quotations from the documents.")


def test_access_lost_in_mid_stream_ends_in_an_error_and_no_text(company, client):  # noqa: F811
    model = SlowModel(["The meal allowance in Germany is 28 euros per day [1]. And"])
    thread = _working(replace(answering.tools(), engine=model))
    stream = client.chat.completions.create(model="assistant", messages=GERMANY, stream=True)
    assert model.speaking.wait(60)
    Grant.objects.filter(scope__collection=company.handbook).delete()
    model.release.set()
    with pytest.raises(openai.APIError) as failed:
        list(stream)
    thread.join(60)
    assert failed.value.code == "sources_changed"


def test_without_a_token_there_is_an_openai_error(server, people):  # noqa: F811
    with httpx.Client(base_url=server, timeout=60) as browser:
        response = browser.post("/v1/chat/completions", json={"model": "assistant", "messages": GERMANY})
        assert response.status_code == 401
        assert response.json()["error"]["type"] == "authentication_error"
