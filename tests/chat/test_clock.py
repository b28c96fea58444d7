"""The time of each stage of an answer."""

import pytest

from assistant.chat.clock import Clock


def test_a_stage_that_runs_again_adds_to_what_it_took_before() -> None:
    clock = Clock()
    clock.stages["search"] = 5_000_000
    with clock.stage("search"):
        pass
    assert list(clock.stages) == ["search"]
    assert clock.stages["search"] >= 5_000_000


def test_a_stage_that_fails_is_timed_and_the_error_goes_on() -> None:
    clock = Clock()
    with pytest.raises(ValueError, match="no"), clock.stage("generate"):
        raise ValueError("no")
    assert "generate" in clock.stages
