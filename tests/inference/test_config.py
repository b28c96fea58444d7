import math

import pytest

from inference.config import GenerationOptions


def test_defaults_are_greedy_and_bounded():
    options = GenerationOptions()
    assert options.temperature == 0.0
    assert options.max_new_tokens > 0


@pytest.mark.parametrize(
    "bad",
    [
        {"max_new_tokens": 0},
        {"max_thinking_tokens": -1},
        {"temperature": -0.1},
        {"temperature": 2.1},
        {"temperature": math.nan},
        {"top_p": 0.0},
        {"top_p": 1.5},
        {"seed": -1},
        {"stop": ("",)},
        {"stop": "text"},
        {"deadline_s": 0.0},
        {"deadline_s": math.inf},
    ],
)
def test_values_no_engine_could_honour_are_refused(bad):
    with pytest.raises(ValueError):
        GenerationOptions(**bad)
