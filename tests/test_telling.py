"""What is drawn at random goes, what is said stays: otherwise no test could say that a text is absent."""

from __future__ import annotations

import pytest

from tests.telling import told


@pytest.mark.parametrize(
    "drawn",
    [
        "/documents/8f1111aa-1111-4111-9111-111111111111/pages/1/",
        '<input type="hidden" name="csrfmiddlewaretoken" value="aB1111cD1111">',
        '<script type="module" nonce="x1111+/==">',
        "paid to ⟨CARD-a11111111b⟩ <<passage-1111a1111b1111cc>> <<end-1111a1111b1111cc>>",
        '{"created_at": "2026-11-11T11:11:11.111111+00:00", "timings": {"search": 0.1111, "total": 1e-05}}',
        "1111" * 16,
        "1111" * 6,
    ],
)
def test_what_is_drawn_at_random_goes(drawn):
    assert "1111" not in told(drawn)


@pytest.mark.parametrize(
    "said",
    [
        "the card 4111 1111 1111 1111 within five days",
        "4111111111111111",
        "4111-1111-1111-1111.",
        '<mark data-card="1111">⟨CARD⟩</mark>',
        "card 1111.",
        "⟨CARD-1111⟩",
    ],
)
def test_what_is_said_stays(said):
    assert told(said) == said
