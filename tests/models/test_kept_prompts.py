"""What a conversation's prompts have in common is read once through the whole product, and never for another person."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from types import SimpleNamespace

import pytest

from assistant import engines
from assistant.chat import answering
from assistant.documents import replica
from assistant.documents import services as documents
from inference import loading
from inference.engines.batching import BatchingEngine
from inference.engines.running import BatchOptions
from tests.chat.conftest import company  # noqa: F401 - a fixture
from tests.chat.engines import ScriptedModel
from tests.chat.library import asked
from tests.chat.test_answering import with_engine
from tests.inference.models.conftest import qwen2_folder, with_room  # noqa: F401 - a fixture

QUESTIONS = (
    "What is the meal allowance in Germany?",
    "How many days of annual leave are there?",
    "What is the meal allowance in France?",
)


@pytest.fixture
def engine(qwen2_folder, tmp_path):  # noqa: F811
    loaded = loading.load(with_room(qwen2_folder, tmp_path / "roomy"), device="cpu")
    engine = BatchingEngine(loaded, BatchOptions(rows=2, cache_bytes=2**28, prefix_bytes=2**27))
    yield engine
    engine.close()


def common(before: list[int], now: list[int]) -> int:
    pairs = zip(before, now[:-1], strict=False)
    return next((at for at, (a, b) in enumerate(pairs) if a != b), min(len(before), len(now) - 1))


@pytest.mark.usefixtures("company")
def test_rules_and_earlier_turns_are_read_once_for_each_person(people, engine, monkeypatch, settings):
    monkeypatch.setattr(answering, "ANSWER_TOKENS", 12)
    settings.ANSWER_DEADLINE_SECONDS = 600
    found, prompts = [], []
    find = engine._batch._prefixes.find

    def counting(key, ids):
        found.append(0 if (kept := find(key, ids)) is None else kept[1])
        prompts.append(list(ids))
        return find(key, ids)

    monkeypatch.setattr(engine._batch._prefixes, "find", counting)
    conversation = None
    for question in QUESTIONS:
        answer = asked(
            people.employee, question, tools=with_engine(engine), conversation_id=conversation, collections=["handbook"]
        )
        assert not answer.evidence.get("fallback")
        conversation = answer.conversation_id
    assert found[0] == 0
    # the rules, whose delimiters stay, and whatever more the prompt has in common with the one before
    for number in (1, 2):
        assert found[number] >= max(100, common(prompts[number - 1], prompts[number]))
    engines.forget_prompts()  # as after every erasure: the engine here is not the process's own
    monkeypatch.setattr(engines._switch, "_engine", engine)
    engines.forget_prompts()
    again = asked(people.employee, QUESTIONS[0], tools=with_engine(engine), collections=["handbook"])
    assert not again.evidence.get("fallback")
    assert found.pop() == 0
    asked(people.curator, QUESTIONS[0], tools=with_engine(engine), collections=["handbook"])
    assert found[3] == 0  # the same words, read anew


def test_erasing_a_document_lets_kept_prompts_go(company, people, monkeypatch):  # noqa: F811
    told = []
    monkeypatch.setattr(engines._switch, "_engine", SimpleNamespace(forget=lambda: told.append(1), close=lambda: None))
    copy = replica.replica()
    copy.catch_up()
    copy.purge()
    assert not told
    documents.delete(actor=people.administrator, document=company.travel)
    copy.catch_up()
    copy.purge()
    assert told


def test_an_engine_that_another_took_the_place_of_forgets_too(monkeypatch):
    told, retired = [], threading.Event()
    monkeypatch.setattr(engines, "time", SimpleNamespace(monotonic=time.monotonic, sleep=lambda _: retired.wait(60)))
    old, new = (
        SimpleNamespace(name=name, model=name, forget=lambda name=name: told.append(name), close=lambda: None)
        for name in ("old", "new")
    )
    switch = engines._Switch()
    switch._engine = old
    monkeypatch.setattr(engines, "_open", lambda choice: new)
    monkeypatch.setattr(engines, "_switch", switch)
    thread = threading.Thread(target=switch._exchange, args=(engines._Choice(1, "transformers", "new", "", ""),))
    thread.start()
    for _ in range(600):
        if switch._engine is new:
            break
        retired.wait(0.1)
    engines.forget_prompts()
    assert sorted(told) == ["new", "old"]
    retired.set()
    thread.join(60)
    engines.forget_prompts()
    assert sorted(told) == ["new", "new", "old"]


@pytest.mark.parametrize("erased", [False, True])
def test_what_was_searched_before_an_erasure_is_kept_by_no_engine_after_it(company, people, erased):  # noqa: F811
    model = ScriptedModel(["28 euros [1]."])
    tools = with_engine(model)

    class Searching:
        """Something is erased, and engines forget, after the passages were read and before the model is asked."""

        def search(self, **options):
            report = tools.searcher.search(**options)
            if erased:
                engines.forget_prompts()
            return report

    asked(people.employee, QUESTIONS[0], tools=replace(tools, searcher=Searching()), collections=["handbook"])
    (request,) = model.requests
    assert bool(request.cache_key) is not erased
