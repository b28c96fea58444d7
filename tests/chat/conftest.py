"""Fixtures of the chat tests: a library of a few documents, and engines that speak as told."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from assistant.documents.models import Collection, Document

from . import library


@dataclass
class Company:
    handbook: Collection
    hr: Collection
    travel: Document
    leave: Document
    leave_zh: Document
    salaries: Document


@pytest.fixture
def company(transactional_db, people) -> Company:
    """`handbook` is everyone's; `hr` is the employee's alone."""
    handbook = library.collection("handbook", "everyone")
    hr = library.collection("hr", people.employee)
    return Company(
        handbook,
        hr,
        library.write_document(handbook, "Travel Policy", library.TRAVEL),
        library.write_document(handbook, "Leave Policy", library.LEAVE),
        library.write_document(handbook, "休假制度", library.LEAVE_ZH),
        library.write_document(hr, "Salary Bands", library.SALARIES),
    )
