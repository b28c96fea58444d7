"""Runs by `pytest tests/audit/test_long.py -m long`: a million events, walked in bounded memory."""

import pytest

from tests.benchmarks.audit import measure_verify


@pytest.mark.long
def test_a_million_events_are_walked_in_less_than_200_megabytes():
    found = measure_verify(1_000_000)
    print(found)
    assert found["verify"]["peak_mb"] < 200
