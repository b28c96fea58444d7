"""Tests that speak of days start at noon, whatever the time is: in the last second of a year too."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone


@pytest.mark.parametrize(
    "real",
    [
        datetime(2026, 12, 31, 23, 59, 59, 999_999, UTC),
        datetime(2028, 2, 29, 23, 59, 59, 999_999, UTC),
        datetime(2027, 1, 1, tzinfo=UTC),
    ],
)
def test_noon_is_noon_of_the_same_day_and_the_clock_goes_on(real, monkeypatch, request):
    at = [real]
    monkeypatch.setattr(timezone, "now", lambda: at[0])
    today = timezone.localdate()
    request.getfixturevalue("noon")
    assert (timezone.localtime().hour, timezone.localtime().minute) == (12, 0)
    at[0] += timedelta(hours=6)
    assert timezone.localtime().hour == 18
    assert timezone.localdate() == today
