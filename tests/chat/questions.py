"""Rows of question files about the small library."""

from __future__ import annotations

from typing import Any


def question(number: int, text: str, **fields: Any) -> dict[str, Any]:
    return {
        "id": f"q{number}",
        "question": text,
        "answers": [],
        "answerable": True,
        "document": None,
        "page": None,
        "as": "employee@company.example",
        "denied": [],
        **fields,
    }
