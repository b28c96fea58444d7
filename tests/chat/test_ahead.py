"""A language model reads its prompt while the evidence is read, and is heard only once there is some."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import pytest

from assistant.audit.models import AuditEvent
from assistant.chat import answering, services, tasks
from assistant.chat.ahead import Ahead
from assistant.chat.models import Outcome
from assistant.chat.streaming import stream_key
from assistant.transport import redis_client
from inference.engines.base import Assessment, Delta, Finish, GenerationRequest
from inference.errors import EngineUnavailable

from .engines import ScriptedModel
from .library import asked

GERMANY = "What is the meal allowance in Germany?"
MOONS = "How many moons has Jupiter?"
SECONDS = 60
REQUEST = GenerationRequest("?", ())


@dataclass
class HeldReader:
    """The real scorer, which reads only when `wait` has returned; `questions` are those it was asked."""

    wait: Callable[[], object]
    questions: list[str] = field(default_factory=list)

    def assess(self, question, passages) -> Assessment:
        self.questions.append(question)
        self.wait()
        return answering.tools().scorer.assess(question, passages)


@dataclass
class WatchedModel(ScriptedModel):
    """A scripted model that tells when it begins, has spoken and ends. It is silent until `speak` is set."""

    begun: threading.Event = field(default_factory=threading.Event)
    speak: threading.Event = field(default_factory=threading.Event)
    spoken: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)
    stopped: list[bool] = field(default_factory=list)  # what `cancelled` said after each piece

    def stream(self, request: GenerationRequest, *, cancelled: Callable[[], bool]) -> Iterator[Delta | Finish]:
        self.requests.append(request)
        self.begun.set()
        try:
            assert self.speak.wait(SECONDS)
            for item in self.script:
                self.spoken.set()
                yield Delta("text", str(item))
                self.stopped.append(cancelled())
            yield Finish("stop")
        finally:
            self.ended.set()


@pytest.fixture
def model() -> Iterator[WatchedModel]:
    model = WatchedModel(["The meal allowance in Germany is 28 euros per day [1]. ", "That is all."])
    model.speak.set()
    yield model
    model.speak.set()
    assert model.ended.wait(SECONDS) or not model.begun.is_set()


def with_both(model, reader) -> answering.Tools:
    return replace(answering.tools(), engine=model, scorer=reader)


def told(answer) -> set[str]:
    """The kinds of events that a reader of the live answer was sent so far."""
    return {fields["event"] for _, fields in redis_client().xrange(stream_key(answer.pk))}


def closing(answer) -> dict:
    return AuditEvent.objects.exclude(outcome="intent").get(target_id=str(answer.pk)).detail


def test_model_speaks_before_the_evidence_is_read_and_nothing_of_it_is_shown_until_then(company, people, model):
    answer, _ = services.ask(actor=people.employee, question=GERMANY)
    meanwhile = []

    def wait():
        assert model.spoken.wait(SECONDS)
        meanwhile.append(told(answer))

    tasks.work(answer.pk, tools=with_both(model, HeldReader(wait)))
    answer.refresh_from_db()
    assert meanwhile == [{"status"}]
    assert (answer.outcome, answer.engine) == (Outcome.ANSWERED, "scripted")
    assert {"status", "sources", "delta", "citation", "done"} == told(answer)
    assert model.stopped == [False, False]


def test_what_a_model_says_to_what_the_documents_do_not_answer_is_never_shown(company, people, model):
    answer, _ = services.ask(actor=people.employee, question=MOONS)
    tasks.work(answer.pk, tools=with_both(model, HeldReader(lambda: model.spoken.wait(SECONDS))))
    answer.refresh_from_db()
    assert model.ended.wait(SECONDS)
    assert model.stopped == []  # it was stopped where it stood
    assert (answer.outcome, answer.reason, answer.text) == (Outcome.NOT_FOUND, "no_evidence", "")
    assert told(answer) == {"status", "done"}
    detail = closing(answer)
    assert "shown" not in detail
    assert set(detail["given"]) <= {item["chunk"] for item in detail["retrieved"]}
    assert detail["given"]


def test_nobody_waits_for_a_silent_model_to_hear_that_the_documents_do_not_say(company, people, model):
    model.speak.clear()
    answer = asked(people.employee, MOONS, tools=with_both(model, HeldReader(lambda: model.begun.wait(SECONDS))))
    assert (answer.outcome, answer.reason) == (Outcome.NOT_FOUND, "no_evidence")
    assert not model.ended.is_set()
    model.speak.set()
    assert model.ended.wait(SECONDS)
    assert model.stopped == []  # its first piece found nobody


def test_model_that_cannot_hold_all_passages_waits_for_the_best_of_them(company, people, model):
    reader = HeldReader(lambda: seen.append(model.begun.is_set()))
    seen: list[bool] = []
    model.context_tokens = answering.ANSWER_TOKENS + 420  # the rules, and a passage or two
    answer = asked(people.employee, "What is the salary range for band E4?", tools=with_both(model, reader))
    assert seen == [False]  # read once, and before the model began
    assert closing(answer)["answerable"] > closing(answer)["threshold"]
    (request,) = model.requests
    assert len(request.passages) < len(closing(answer)["retrieved"])
    assert "band E4" in request.passages[0].text


def test_failing_model_leaves_the_evidence_to_decide(company, people):
    def failing() -> answering.Tools:
        return with_both(ScriptedModel([EngineUnavailable("gone")]), HeldReader(lambda: None))

    assert asked(people.employee, MOONS, tools=failing()).outcome == Outcome.NOT_FOUND
    answer = asked(people.employee, GERMANY, tools=failing())
    assert (answer.outcome, answer.engine) == (Outcome.ANSWERED, "extractive")


def test_stopping_while_the_evidence_is_read_shows_nothing(company, people, model):
    model.speak.clear()
    answer, _ = services.ask(actor=people.employee, question=GERMANY)

    def wait():
        assert model.begun.wait(SECONDS)
        services.cancel(actor=people.employee, answer_id=answer.pk)

    class Stopping(WatchedModel):
        def stream(self, request, *, cancelled):
            self.begun.set()
            while not cancelled():
                threading.Event().wait(0.01)
            self.ended.set()
            yield Finish("cancelled")

    model = Stopping(model.script)
    tasks.work(answer.pk, tools=with_both(model, HeldReader(wait)))
    answer.refresh_from_db()
    assert (answer.outcome, answer.text) == (Outcome.CANCELLED, "")
    assert not {"delta", "thinking"} & told(answer)


# --- the stream itself --------------------------------------------------------------------------------------------


def test_pieces_come_in_order_and_the_end_with_them():
    with Ahead(ScriptedModel(["a", "b"]), REQUEST, cancelled=lambda: False) as pieces:
        found = list(pieces)
    assert found == [Delta("text", "a"), Delta("text", "b"), Finish("stop", 10, 2)]
    assert pieces.first_ms >= 0


def test_an_error_is_raised_where_the_pieces_are_taken():
    with (
        Ahead(ScriptedModel([EngineUnavailable("gone")]), REQUEST, cancelled=lambda: False) as pieces,
        pytest.raises(EngineUnavailable, match="gone"),
    ):
        list(pieces)


def test_a_stream_left_half_way_is_closed(model):
    with Ahead(model, REQUEST, cancelled=lambda: False) as pieces:
        assert next(iter(pieces)) == Delta("text", model.script[0])
    assert model.ended.is_set()
    assert model.stopped == []


def test_a_stream_left_before_its_first_piece_is_closed_when_that_comes(model):
    model.speak.clear()
    with Ahead(model, REQUEST, cancelled=lambda: False):
        assert model.begun.wait(SECONDS)
    assert not model.ended.is_set()
    model.speak.set()
    assert model.ended.wait(SECONDS)
    assert model.stopped == []
