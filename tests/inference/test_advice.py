"""The recipe that is advised follows the device and the memory, and is the one that `auto` would take."""

import pytest

from inference.advice import advise, order

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
