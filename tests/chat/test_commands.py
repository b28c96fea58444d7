"""`manage.py ask` and `manage.py evaluate`."""

from __future__ import annotations

import io
import json

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from assistant import health
from assistant.audit.models import AuditEvent
from assistant.chat.models import Conversation

from .live import worker  # noqa: F401  (a fixture)
from .questions import question

GERMANY = "What is the meal allowance in Germany?"


def run(*arguments: str) -> tuple[str, str]:
    out, err = io.StringIO(), io.StringIO()
    call_command(*arguments, stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


def test_ask_answers_in_this_process_when_no_worker_runs_and_says_so(company):
    out, err = run("ask", GERMANY, "--as", "employee@company.example")
    assert out.startswith("The meal allowance in Germany is 28 euros per day. [1]")
    assert "[1] Travel Policy, page 1\n    “The meal allowance in Germany is 28 euros per day.”" in out
    assert "in this process" in err


def test_ask_goes_through_the_workers_when_they_answer(company, worker):  # noqa: F811
    health.beat("answers", seconds=60, facts={"replica_ready": True})
    out, err = run("ask", GERMANY, "--as", "EMPLOYEE@company.example", "--json")
    assert json.loads(out)["outcome"] == "answered"
    assert err == ""


def test_ask_says_honestly_that_the_documents_do_not_say(company):
    out, _ = run("ask", "Who won the football world cup in 1974?", "--as", "employee@company.example")
    assert out.strip() == "The documents you can read do not say."


@pytest.mark.parametrize(
    "arguments",
    [
        ("ask", GERMANY, "--as", "nobody@company.example"),
        ("ask", " ", "--as", "employee@company.example"),
        ("ask", GERMANY, "--as", "outsider@company.example", "--collection", "hr"),
        ("evaluate", "/no/such/file"),
    ],
)
def test_what_cannot_be_asked_is_one_sentence(company, arguments):
    with pytest.raises(CommandError):
        run(*arguments)


QUESTIONS = [
    question(1, GERMANY, answers=["28 euros"], document="Travel Policy.txt", page=1),
    question(2, "And in France?", answers=["40 euros"], document="Travel Policy", page=1, follows="q1"),
    question(3, "How long does reimbursement take?", answers=["ten working days"], document="Wrong", page=9,
             also=[["Travel Policy", 2]]),
    question(4, "What is the salary range for band E4?", answers=["62,000"], document="Salary Bands", page=1,
             denied=["outsider@company.example"]),
    question(5, "Who won the football world cup in 1974?", answerable=False),
    question(6, GERMANY, answers=["99 euros"], document="Leave Policy", page=1),
]  # fmt: skip


def test_evaluate_marks_answers_places_silence_and_leaks(company, tmp_path):
    path = tmp_path / "questions.jsonl"
    path.write_text("\n".join(map(json.dumps, QUESTIONS)), encoding="utf-8")
    out, _ = run("evaluate", str(path))
    last = json.loads(out.splitlines()[-1])
    assert (last["questions"], last["answerable"], last["unanswerable"]) == (6, 5, 1)
    assert last["in_first_sentence"] == last["right_document"] == last["right_page"] == 0.8
    assert (last["abstained"], last["denied_asked"], last["leaks"]) == (1.0, 1, 0)
    assert "q6" in out
    assert not Conversation.objects.exists()
    erased = AuditEvent.objects.filter(action="conversation.erased").values_list("actor", "origin")
    assert set(erased) == {("system", "command:evaluate")}


def test_evaluate_finds_a_leak(company, people, tmp_path):
    """The measure itself must work: somebody wrongly given access is reported."""
    from .library import grant

    grant(company.hr.scopes.get(key=""), people.outsider)
    path = tmp_path / "questions.jsonl"
    path.write_text(json.dumps(QUESTIONS[3]), encoding="utf-8")
    out, _ = run("evaluate", str(path))
    assert "LEAK to outsider@company.example" in out
    assert json.loads(out.splitlines()[-1])["leaks"] == 1


def test_evaluate_reads_the_names_of_all_documents_once(company, tmp_path):
    """They are sealed: each reading decrypts every title."""
    path = tmp_path / "questions.jsonl"
    path.write_text("\n".join(map(json.dumps, QUESTIONS)), encoding="utf-8")
    with CaptureQueriesContext(connection) as queries:
        run("evaluate", str(path))
    scans = [row["sql"] for row in queries if "filename" in row["sql"] and "WHERE" not in row["sql"]]
    assert len(scans) == 1


def test_evaluate_names_the_line_that_is_wrong(company, tmp_path):
    path = tmp_path / "questions.jsonl"
    path.write_text('{"id": 1}\n', encoding="utf-8")
    with pytest.raises(CommandError, match="line 1"):
        run("evaluate", str(path), "--json")
