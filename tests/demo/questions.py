"""The demo company's test questions: what is asked, which strings answer it, where they stand, and who may know.

`questions.jsonl` of the demo company is the data, which `manage.py evaluate` asks too.
"""

import json
from dataclasses import dataclass

from assistant.demo.company import CONTENT


@dataclass(frozen=True, slots=True)
class Question:
    """`answers` are acceptable strings that stand verbatim on `page` (1-based) of `document`; an unanswerable
    question has none, and `absent` are strings that stand in no document the asker may read. `also` are other places
    (document, page) that say the same. `asker` may read the document, the people in `denied` must not be shown it.
    `follows` is the id of the question asked just before in the same conversation.
    """

    id: str
    question: str
    language: str
    answers: tuple[str, ...]
    answerable: bool
    document: str | None
    page: int | None
    asker: str
    denied: tuple[str, ...]
    follows: str | None
    absent: tuple[str, ...]
    also: tuple[tuple[str, int], ...]


def load_questions() -> list[Question]:
    """All questions in the order of the file."""
    path = CONTENT.with_name("questions.jsonl")
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]
    return [
        Question(
            id=row["id"],
            question=row["question"],
            language=row["language"],
            answers=tuple(row["answers"]),
            answerable=row["answerable"],
            document=row["document"],
            page=row["page"],
            asker=row["as"],
            denied=tuple(row["denied"]),
            follows=row.get("follows"),
            absent=tuple(row.get("absent", ())),
            also=tuple((document, page) for document, page in row.get("also", ())),
        )
        for row in rows
    ]
