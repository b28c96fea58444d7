"""Loading holds one weight, or one layer, beside what stays: every tensor that lives is counted, mapped ones too.

What the kernel sees of a process at real sizes, `python -m tests.benchmarks.models` measures.
"""

import weakref

import pytest
import torch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from inference import dynamic, loading, quantizing, weights

from .conftest import build_tokenizer

RECIPES = ("dynamic8", "int8", "nf4")


class Living(TorchDispatchMode):
    """`most` is the largest sum of bytes of tensors that lived at once, layers packed by torch included."""

    def __init__(self) -> None:
        super().__init__()
        self.most = self._sum = 0
        self._known: dict[int, tuple[StorageWeakRef, int]] = {}
        self.packed: weakref.WeakSet[dynamic.DynamicLinear] = weakref.WeakSet()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for leaf in tree_leaves((args, kwargs, out)):
            if isinstance(leaf, torch.Tensor) and leaf.device.type == "cpu":
                self._meet(leaf.untyped_storage())
        packed = sum(layer.nbytes for layer in self.packed)
        if self._sum + packed > self.most:  # unless some of it is gone
            self._known = {key: item for key, item in self._known.items() if not item[0].expired()}
            self._sum = sum(size for _, size in self._known.values())
            self.most = max(self.most, self._sum + packed)
        return out

    def _meet(self, storage) -> None:
        before = self._known.get(storage._cdata)
        if before is None or before[0].expired() or before[1] != storage.nbytes():
            self._sum += storage.nbytes() - (before[1] if before else 0)
            self._known[storage._cdata] = (StorageWeakRef(storage), storage.nbytes())


@pytest.fixture(scope="module")
def deep_folder(tmp_path_factory):
    """Nearly as many layers as Qwen2 1.5B has, and an output head of its own."""
    from transformers import Qwen2Config, Qwen2ForCausalLM

    folder = tmp_path_factory.mktemp("models") / "deep"
    config = Qwen2Config(
        vocab_size=2000,
        hidden_size=128,
        intermediate_size=768,
        num_hidden_layers=20,
        num_attention_heads=4,
        num_key_value_heads=2,
        tie_word_embeddings=False,
    )
    torch.manual_seed(0)
    Qwen2ForCausalLM(config).to(torch.bfloat16).save_pretrained(folder)
    build_tokenizer().save_pretrained(folder)
    return folder


def most_while(work, monkeypatch) -> int:
    pack = dynamic.DynamicLinear._pack
    with Living() as living, monkeypatch.context() as patch:
        patch.setattr(
            dynamic.DynamicLinear, "_pack", lambda layer, *parts: (pack(layer, *parts), living.packed.add(layer))
        )
        work()
    return living.most


@pytest.mark.parametrize("recipe", RECIPES)
def test_loading_needs_at_most_1_3_times_the_final_size(recipe, deep_folder, monkeypatch, tmp_path):
    monkeypatch.setattr(dynamic, "_LONGEST", 32)  # to a layer's width in the proportion of real models
    size = loading.load(deep_folder, quantize=recipe, device="cpu").bytes
    most = most_while(lambda: loading.load(deep_folder, quantize=recipe, device="cpu"), monkeypatch)
    assert size * 0.9 <= most <= size * 1.3
    quantizing.quantize(deep_folder, tmp_path, recipe)
    most = most_while(lambda: loading.load(tmp_path, device="cpu"), monkeypatch)
    assert size * 0.9 <= most <= size * 1.3


@pytest.mark.parametrize("recipe", RECIPES)
def test_writing_a_quantized_folder_holds_a_few_weights_only(recipe, deep_folder, monkeypatch, tmp_path):
    monkeypatch.setattr(weights, "SHARD", 200_000)
    size = 2 * loading.weight_counts(deep_folder)[0]
    with Living() as living:
        quantizing.quantize(deep_folder, tmp_path, recipe)
    assert living.most <= size / 3
