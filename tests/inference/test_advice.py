"""The recipe that is advised follows the device and the memory, and is the one that `auto` would take."""

import pytest

from inference.advice import advise, guide, order, sizes, threads

GIB = 2**30
SEVEN = (7_600_000_000, 1_090_000_000)  # parameters of Qwen2 7B, those of embeddings and head among them


@pytest.mark.parametrize(
    ("device", "free", "recipe"),
    [
        ("cuda:0", 80 * GIB, "none"),
        ("cuda:0", 16 * GIB, "nf4"),
        ("cuda:0", 4 * GIB, None),
        ("cpu", 64 * GIB, "dynamic8"),
        ("cpu", 12 * GIB, "dynamic8"),
        ("cpu", 8 * GIB, "nf4"),
        ("cpu", 2 * GIB, None),
    ],
)
def test_the_recipe_follows_device_and_memory(device, free, recipe):
    found = advise(*SEVEN, device=device, free=free)
    assert found.quantization == recipe
    assert found.words.startswith(recipe or "does not fit")
    assert (found.needed <= free) == (recipe is not None)
    assert recipe is None or recipe in order(device)


@pytest.mark.parametrize(
    ("device", "llama", "one", "several"),
    [
        ("cpu", True, "gguf", "dynamic8"),
        ("cpu", False, "dynamic8", "dynamic8"),
        ("cuda:0", True, "none", "none"),
        ("cuda:0", False, "none", "none"),
    ],
)
def test_the_guide_names_what_is_fastest_here_by_load(device, llama, one, several):
    found = guide(device, llama=llama)
    assert (found.one, found.several) == (one, several)
    named = {"none": "unquantized", "gguf": "GGUF"}
    assert found.words.index(named.get(one, one)) <= found.words.index(named.get(several, several))
    assert several == order(device)[0]  # what `auto` takes serves several people


@pytest.mark.parametrize(
    ("device", "free", "words"),
    [
        ("cpu", 1, "1.0 GiB are free for a language model: too little"),
        ("cpu", 4, "enough for (of the family DeepSeek-R1-Distill) Qwen 1.5B as dynamic8; not for"),
        ("cpu", 64, "Qwen 1.5B as dynamic8, Qwen 7B as dynamic8, Llama 8B as dynamic8."),
        ("cuda:0", 8, "Qwen 1.5B unquantized, Qwen 7B as nf4, Llama 8B as nf4."),
        ("cuda:0", 80, "Qwen 1.5B unquantized, Qwen 7B unquantized, Llama 8B unquantized."),
    ],
)
def test_the_sizes_that_memory_is_enough_for_are_named(device, free, words):
    assert words in sizes(device, free * GIB)


def test_too_many_threads_and_idle_cores_are_told():
    assert threads(4, 4) == ""
    assert threads(16, 4) == "16 threads share 4 cores and wait for each other."
    assert threads(1, 4) == "3 of 4 cores are left idle by every model."
