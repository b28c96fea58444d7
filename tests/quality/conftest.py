"""A small library with golden questions about it."""

from __future__ import annotations

import json

import pytest

from tests.chat.conftest import Company, company  # noqa: F401  (a fixture)
from tests.chat.questions import question

GERMANY = "What is the meal allowance in Germany?"


QUESTIONS = [
    question(1, GERMANY, answers=["28 euros"], document="Travel Policy.txt", page=1),
    question(2, "And in France?", answers=["40 euros"], document="Travel Policy", page=1, follows="q1"),
    question(3, "How long does reimbursement take?", answers=["ten working days"], document="Travel Policy", page=2),
    question(4, "What is the salary range for band E4?", answers=["62,000 to 78,000 euros"], document="Salary Bands",
             page=1, denied=["outsider@company.example"]),
    question(5, "Who won the football world cup in 1974?", answerable=False),
]  # fmt: skip
TEXT = "\n".join(map(json.dumps, QUESTIONS))


@pytest.fixture
def golden(company, people):  # noqa: F811
    from assistant.quality import services

    return services.write(actor=people.administrator, text=TEXT)
