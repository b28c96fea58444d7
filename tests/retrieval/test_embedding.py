"""The embedder gives the reference's vectors, from the pinned weights, without a connection."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from retrieval import embedding
from retrieval.embedding import MiniLMEmbedder, check_weights, model_folder
from retrieval.errors import EmbedderCorrupt, EmbedderMissing

TEXTS = [
    "In what country is Normandy located?",
    "",
    "员工请假须提前三天",
    "pump " * 400,
    "The Normans gave their name to Normandy, a region in France.",
]


def test_vectors_are_those_of_sentence_transformers(embedder):
    reference = MiniLMEmbedder.load(runtime="torch", threads=1)
    assert (embedder.runtime, reference.runtime) == ("openvino", "torch")
    assert embedder.model_id == reference.model_id
    cosines = (embedder.embed(TEXTS) * reference.embed(TEXTS)).sum(axis=1)
    assert cosines[[0, 2, 3, 4]].min() > 0.999
    assert cosines[1] > 0.995  # the vector of no words at all is nothing but two special tokens


def test_rows_are_unit_vectors_in_the_order_asked(embedder):
    vectors = embedder.embed(TEXTS)
    assert vectors.shape == (5, 384)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, rtol=1e-5)
    alone = np.concatenate([embedder.embed([text]) for text in TEXTS])
    assert (vectors * alone).sum(axis=1).min() > 0.9999
    assert embedder.embed([]).shape == (0, 384)


MANY = [f"{word} " * times for times in (240, 30, 3) for word in ("pump", "invoice", "leave", "board", "price")]


def test_batches_run_side_by_side_give_each_text_its_own_vector(embedder):
    wide = MiniLMEmbedder.load(runtime="openvino", threads=3)
    alone = np.concatenate([embedder.embed([text]) for text in MANY])  # one batch each; together two at the least
    assert (wide.embed(MANY) * alone).sum(axis=1).min() > 0.9999


def test_callers_at_the_same_time_get_their_own_vectors():
    shared = MiniLMEmbedder.load(runtime="openvino", threads=2)
    asked = [MANY[at:] if at % 2 else MANY[at : at + 1] for at in range(8)]
    expected = [shared.embed(texts) for texts in asked]
    with ThreadPoolExecutor(4) as callers:
        for texts, made, known in zip(asked, callers.map(shared.embed, asked), expected, strict=True):
            assert made.shape == (len(texts), 384)
            assert (made * known).sum(axis=1).min() > 0.9999


def test_a_failing_batch_fails_the_call_and_not_the_next(monkeypatch):
    shared = MiniLMEmbedder.load(runtime="openvino", threads=2)
    with monkeypatch.context() as patched:
        pad = embedding._pad
        patched.setattr(embedding, "_pad", lambda encodings, width: (pad(encodings, width)[0], np.zeros((1, 1, 1))))
        with pytest.raises(RuntimeError):
            shared.embed(MANY)
    assert shared.embed(MANY).shape == (len(MANY), 384)


def _cheapest(lengths, most):
    """The least cost of any way to part these lengths, by trying all of them."""
    best = None
    for cuts in range(2 ** (len(lengths) - 1)):
        ends = [at + 1 for at in range(len(lengths) - 1) if cuts >> at & 1] + [len(lengths)]
        parts = list(zip([0, *ends[:-1]], ends, strict=True))
        if all(end - start == 1 or _size(lengths, start, end) <= most for start, end in parts):
            cost = sum(_size(lengths, *part) + embedding.CALL_TOKENS for part in parts)
            best = cost if best is None else min(best, cost)
    return best


def _size(lengths, start, end):
    return (end - start) * max(lengths[start:end])


@pytest.mark.parametrize("most", [embedding.BATCH_TOKENS, embedding.LEAST_TOKENS])
@pytest.mark.parametrize("seed", range(8))
def test_batches_are_the_cheapest_there_are(seed, most):
    draw = np.random.default_rng(seed)
    lengths = np.sort(draw.integers(2, (40, 256, 700, 1500)[seed % 4], size=10))
    found = embedding.batches(lengths, most)
    assert [row for start, end in found for row in range(start, end)] == list(range(10))  # every text once, in order
    assert all(end - start == 1 or _size(lengths, start, end) <= most for start, end in found)
    assert sum(_size(lengths, *part) + embedding.CALL_TOKENS for part in found) == _cheapest(lengths, most)


@pytest.mark.parametrize("streams", [2, 3, 8])
@pytest.mark.parametrize("texts", [5, 16, 32, 128])
def test_streams_end_together(texts, streams):
    def last(most):
        sizes = sorted((_size(lengths, *part) for part in embedding.batches(lengths, most)), reverse=True)
        ends = [0] * streams
        for size in sizes:  # each to the stream that is free first
            ends[ends.index(min(ends))] += size + embedding.CALL_TOKENS
        return max(ends)

    lengths = np.sort(np.random.default_rng(texts).integers(20, 256, size=texts))
    most = embedding.even(int(lengths.sum()), streams)
    assert embedding.LEAST_TOKENS <= most <= embedding.BATCH_TOKENS
    assert last(most) <= last(embedding.BATCH_TOKENS)
    assert last(most) <= 1.35 * lengths.sum() / streams + embedding.LEAST_TOKENS


def test_one_stream_gets_the_largest_batches():
    assert embedding.even(1100, 1) == embedding.BATCH_TOKENS


def test_no_batch_of_nothing():
    assert embedding.batches(np.zeros(0, dtype=np.int64)) == []


def test_a_question_is_nearest_to_its_answer(embedder):
    question, *others = embedder.embed(TEXTS)
    assert int(np.argmax(others @ question)) == 3


def test_tokens_are_counted_uncut_and_without_special_ones(embedder):
    assert embedder.count_tokens(["", "pump", "pump " * 400]) == [0, 1, 400]


def test_other_weights_are_refused(tmp_path):
    weights = tmp_path / "model.safetensors"
    with pytest.raises(EmbedderMissing):
        check_weights(weights)
    content = bytearray((model_folder() / "model.safetensors").read_bytes())
    content[len(content) // 2] ^= 1
    weights.write_bytes(content)
    with pytest.raises(EmbedderCorrupt):
        check_weights(weights)


def test_a_missing_package_is_a_typed_error(monkeypatch):
    monkeypatch.setattr(embedding, "PACKAGE", "no_such_package")
    with pytest.raises(EmbedderMissing):
        MiniLMEmbedder.load()


def test_torch_takes_over_where_openvino_does_not_load(monkeypatch):
    def broken(folder, threads, streams):
        raise ImportError("no openvino here")

    monkeypatch.setattr(embedding, "_openvino_run", broken)
    assert MiniLMEmbedder.load(threads=1).runtime == "torch"


SILENT = """
import sys
def refuse(event, arguments):
    if event.startswith("socket."):
        raise SystemExit(f"opened a socket: {event} {arguments}")
sys.addaudithook(refuse)
from retrieval.embedding import MiniLMEmbedder
MiniLMEmbedder.load(threads=1).embed(["a question"])
loaded = {name for name in sys.modules if sys.modules[name] is not None}
assert not any(name.startswith("openvino_telemetry") for name in loaded), "telemetry was imported"
assert not loaded & {"torch", "transformers"}, "the quick path needs neither"
print("silent")
"""


def test_embedding_opens_no_socket_and_loads_no_telemetry():
    done = subprocess.run([sys.executable, "-c", SILENT], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "silent", done.stderr + done.stdout
