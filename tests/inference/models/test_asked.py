"""A model's answers to a file of questions, judged: its own words are right, other words wrong."""

import json

import pytest

from inference import loading
from inference.config import GenerationOptions
from inference.engines.base import GenerationRequest, Message, collect
from inference.engines.local import engine_for
from inference.evaluation import asked
from inference.evaluation.answers import tokens

SHORT = GenerationOptions(max_new_tokens=24, max_thinking_tokens=4)
QUESTIONS = [f"The allowance for region {number} is 45 euros.\n\nWhat is the allowance?" for number in range(6)]


@pytest.fixture(scope="module")
def engine(qwen2_folder):
    # dynamic8 says in a batch exactly what it says alone
    engine = engine_for(loading.load(qwen2_folder, quantize="dynamic8", device="cpu"))
    yield engine
    engine.close()


def alone(engine, question: str) -> str:
    request = GenerationRequest(question, (), (Message("user", question),), options=SHORT)
    return collect(engine.stream(request, cancelled=lambda: False))[0]


def test_marks_are_those_of_what_the_model_says(engine, tmp_path):
    said = [alone(engine, question) for question in QUESTIONS]
    assert all(tokens(text) for text in said)
    expected = [*said[:3], *["xylophonist quartermasters"] * 3]
    expected[0] = f"<think>\nwhat was thought is not judged\n</think>\n\n{expected[0]}"
    rows = [
        {"messages": [{"role": "user", "content": question}], "answer": answer}
        for question, answer in zip(QUESTIONS, expected, strict=True)
    ]
    rows.append({"prompt": "far too long " * 400, "answer": "x"})
    path = tmp_path / "test.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    found = asked.ask(engine, asked.questions(path), SHORT)
    assert (found.questions, found.too_long) == (7, 1)
    assert found.f1 == found.rouge_l == found.exact == pytest.approx(3 / 7)
    half = asked.ask(engine, [asked.Item("1", f"{said[3]} xylophonist", QUESTIONS[3])], SHORT)
    assert half.exact == 0.0
    assert 0.0 < half.rouge_l == half.f1 < 1.0
