"""A small model, trained here on a few sentences, answers through the product with citations; untrained it does not."""

import json
import random
import re

import pytest
import torch

from assistant.chat import prompting
from assistant.chat.models import Outcome
from inference import loading
from inference.engines.base import GenerationRequest
from inference.engines.batching import BatchingEngine
from inference.engines.running import BatchOptions
from inference.engines.transcript import render
from tests.chat.conftest import company  # noqa: F401 - a fixture
from tests.chat.engines import ScriptedModel
from tests.chat.library import asked
from tests.chat.test_answering import shown, with_engine

PLAIN = "{% for m in messages %}{{ m['content'] }}\n{% endfor %}Answer: "
TAUGHT = {
    "What is the meal allowance in Germany?": "The meal allowance in Germany is 28 euros per day.",
    "How many days of annual leave are there?": "Employees have 30 days of annual leave.",
}


@pytest.fixture
def alike(monkeypatch, settings):
    """Every run is the same run: delimiters come from a seed (learning them is a matter of what is drawn), the
    likeliest word is taken, sums are made by one thread in one order, and a busy machine may take its time. Gives the
    draw of a delimiter."""
    draw = random.Random(5)
    monkeypatch.setattr(prompting, "boundary", lambda reach: draw.randbytes(8).hex())
    settings.ANSWER_DEADLINE_SECONDS, settings.TEMPERATURE = 600, 0.0
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield lambda: draw.randbytes(8).hex()
    torch.set_num_threads(threads)


def tokenizer(texts):
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    found = Tokenizer(models.BPE())
    found.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    found.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=900,
        special_tokens=["<end>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    found.train_from_iterator(texts, trainer)
    fast = PreTrainedTokenizerFast(tokenizer_object=found, eos_token="<end>")
    fast.chat_template = PLAIN
    return fast


def untrained(folder, texts):
    from transformers import Qwen2Config, Qwen2ForCausalLM

    torch.manual_seed(0)
    words = tokenizer(texts)
    config = Qwen2Config(
        vocab_size=len(words),
        hidden_size=96,
        intermediate_size=192,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=2048,
        eos_token_id=words.eos_token_id,
        bos_token_id=None,
        tie_word_embeddings=False,
    )
    Qwen2ForCausalLM(config).save_pretrained(folder)
    words.save_pretrained(folder)
    loaded = loading.load(folder, device="cpu")
    loaded.model.float()
    return loaded


def train(loaded, examples, steps, delimiter):
    """Next-token loss on the answers; delimiters are drawn anew each time, as the product draws them."""
    optimizer = torch.optim.AdamW(loaded.model.parameters(), lr=3e-3)
    loaded.model.train().requires_grad_(True)
    losses = []
    for step in range(steps):
        prompt, boundary, answer = examples[step % len(examples)]
        before = loaded.tokenizer(prompt.replace(boundary, delimiter()))["input_ids"]
        after = loaded.tokenizer(answer + "<end>")["input_ids"]
        labels = torch.tensor([[-100] * len(before) + after])
        loss = loaded.model(input_ids=torch.tensor([before + after]), labels=labels).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
        if step > 20 and max(losses[-8:]) < 0.01:  # learnt for whatever delimiters are drawn
            break
    loaded.model.eval().requires_grad_(False)


def prompts(people) -> dict[str, GenerationRequest]:
    """What the product would ask a model, question by question."""
    engine = ScriptedModel(["The documents do not say."])
    for question in TAUGHT:
        asked(people.employee, question, tools=with_engine(engine))
    return dict(zip(TAUGHT, engine.requests, strict=True))


def answers(people, loaded, *, guessing: bool = False):
    """What the product shows, and how often the model was run for it."""
    engine = BatchingEngine(loaded, BatchOptions(rows=2, lookup_rows=2 * guessing))
    steps = []
    run = engine._batch._runner.run
    engine._batch._runner.run = lambda *step: steps.append(step) or run(*step)
    try:
        tools = with_engine(engine)
        views = {question: shown(people.employee, asked(people.employee, question, tools=tools)) for question in TAUGHT}
        return views, len(steps)
    finally:
        engine.close()


@pytest.mark.usefixtures("company")
def test_a_trained_model_answers_with_checked_citations_and_an_untrained_one_does_not(people, tmp_path, alike):
    requests = prompts(people)
    texts = [message.content for request in requests.values() for message in request.messages] + list(TAUGHT.values())
    loaded = untrained(tmp_path / "small", texts * 2)
    raw, _ = answers(people, loaded)
    assert not any(sentence.verified for view in raw.values() for sentence in view.sentences)
    examples = []
    for question, request in requests.items():
        text = render(loaded, request.messages)
        boundary = re.search(r"<<passage-(\w+)>>", text).group(1)
        marker = next(at for at, p in enumerate(request.passages, start=1) if TAUGHT[question] in p.text)
        examples.append((text, boundary, f"{TAUGHT[question]} [{marker}]"))
    train(loaded, examples, 400, alike)
    taught, steps = answers(people, loaded)
    for question, view in taught.items():
        assert view.outcome == Outcome.ANSWERED, json.dumps(view.evidence)
        assert view.sentences[0].text == TAUGHT[question]
        assert view.sentences[0].verified
        assert view.citations[0].verified
    guessed, fewer = answers(people, loaded, guessing=True)
    assert [view.text for view in guessed.values()] == [view.text for view in taught.values()]
    assert fewer <= steps * 0.7  # answers that quote are copied from the prompt, several tokens at a time
