"""Question files: made by shapes, split by document, sealed with their documents, seen by who manages them."""

from __future__ import annotations

import io
import json
import stat

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from assistant.accounts.roles import Role
from assistant.audit.models import AuditEvent
from assistant.chat.models import Feedback
from assistant.documents import services as documents
from assistant.documents.models import Access
from assistant.errors import Conflict, NotFound, PermissionRefused
from assistant.quality import asking, files, services, workbench
from assistant.quality.models import QuestionFile, QuestionItem, Split
from inference.runs.data import read
from tests.chat import library
from tests.chat.conftest import company  # noqa: F401  (a fixture)
from tests.inference.models.conftest import qwen2_folder  # noqa: F401  (a fixture)
from tests.models.conftest import store  # noqa: F401  (a fixture)


@pytest.mark.parametrize(
    ("text", "question", "answer"),
    [
        ("The meal allowance in Germany is 28 euros per day.", "What is the meal allowance in Germany?",
         "28 euros per day"),
        ("All external visitors must sign the register.", "What must all external visitors do?", "sign the register"),
        ("Siemens Energy contracts are kept for ten years.", "What are Siemens Energy contracts?",
         "kept for ten years"),
        ("年假天数为三十天。", "年假天数为什么？", "三十天"),
        ("实习生可以申请五天年假。", "实习生可以什么？", "申请五天年假"),
    ],
)  # fmt: skip
def test_a_sentence_asks_for_what_it_says(text, question, answer):
    (made,) = asking.questions(text)
    assert (made.question, made.answer, made.sentence) == (question, answer, text)
    assert made.answer in text


@pytest.mark.parametrize(
    "text", ["It is 28 euros.", "This rule is old.", "They must go.", "其标准为三十天。", "Fees", ""]
)
def test_what_points_back_or_says_too_little_asks_nothing(text):
    assert list(asking.questions(text)) == []


def test_a_heading_asks_what_stands_under_it():
    made = list(asking.questions("Send form T-12 to the portal. It takes ten days.", ["Travel", "Claims"]))
    assert [(item.question, item.answer, item.kind) for item in made] == [
        ("What is said about “Claims”?", "Send form T-12 to the portal.", "heading")
    ]


@pytest.fixture
def shelf(transactional_db, people):
    """A collection of documents that the administrator and the curator manage, two of them the same text."""
    handbook = library.collection("handbook", "everyone")
    grant = library.grant(handbook.scopes.get(key=""), people.curator)
    grant.access = Access.CURATOR
    grant.save()
    kept = []
    for number in range(12):
        text = f"The storage period of record {number // 2} is {number // 2 + 2} years. Ask the archive."
        kept.append(library.write_document(handbook, f"Rule {number}", [text]))
    for number, document in enumerate(kept):
        type(document.current).objects.filter(pk=document.current_id).update(sha256=f"{number // 2:064x}")
    return handbook, kept


def test_a_file_holds_each_documents_questions_on_one_side_with_its_copies(shelf, people):
    file = files.make(actor=people.administrator, collection="handbook")
    rows = list(files.items(actor=people.administrator, file=file))
    sides = {}
    for row in rows:
        sides.setdefault(row.document.current.sha256, set()).add(row.split)
        assert row.content["answer"] in row.content["passage"]
    assert len(sides) == 6  # twelve documents, each twice
    assert all(len(side) == 1 for side in sides.values())
    train, test = ({row.content["question"] for row in rows if row.split == side} for side in Split.values)
    assert train
    assert test
    assert not train & test
    event = AuditEvent.objects.get(action="questions.made")
    assert event.detail["train"] + event.detail["test"] == len(rows)
    assert [row.content for row in rows] == [
        row.content
        for row in files.items(
            actor=people.administrator, file=files.make(actor=people.administrator, collection="handbook")
        )
    ]


def test_items_are_sealed_and_go_with_their_document(shelf, people):
    file = files.make(actor=people.administrator, collection="handbook")
    with connection.cursor() as cursor:
        cursor.execute("SELECT content FROM quality_questionitem")
        stored = b"".join(bytes(row[0]) for row in cursor.fetchall())
    assert b"storage period" not in stored
    before = file.items.count()
    asked = file.items.select_related("document").first().document
    mine = file.items.filter(document=asked).count()
    documents.delete(actor=people.administrator, document=asked)
    assert mine
    assert file.items.count() == before - mine


def test_only_who_manages_the_collection_makes_sees_and_takes_out(shelf, people, settings, tmp_path):
    file = files.make(actor=people.administrator, collection="handbook")
    for actor in (people.employee, people.curator, people.auditor):
        with pytest.raises(PermissionRefused):
            files.make(actor=actor, collection="handbook")
        with pytest.raises(PermissionRefused):
            files.files(actor)
    settings.SEPARATION_OF_DUTIES = True  # an administrator manages no documents then
    assert files.files(people.administrator) == []
    for act in (
        lambda: files.get(actor=people.administrator, file_id=file.pk),
        lambda: files.export(actor=people.administrator, file_id=file.pk, folder=tmp_path / "out"),
        lambda: files.remove(actor=people.administrator, file_id=file.pk),
        lambda: files.make(actor=people.administrator, collection="handbook"),
    ):
        with pytest.raises(NotFound):
            act()
    assert not (tmp_path / "out").exists()


def test_what_is_taken_out_is_read_by_the_workbench_and_only_by_its_owner(shelf, people, tmp_path):
    file = files.make(actor=people.administrator, collection="handbook")
    counts = files.export(actor=people.administrator, file_id=file.pk, folder=tmp_path / "out")
    train, test = (read([tmp_path / "out" / f"{side}.jsonl"]) for side in Split.values)
    assert (len(train), len(test)) == (counts["train"], counts["test"])
    assert not {item.group for item in train} & {item.group for item in test}
    assert stat.S_IMODE((tmp_path / "out" / "train.jsonl").stat().st_mode) == 0o600
    assert AuditEvent.objects.get(action="questions.exported").detail == counts
    files.forget_export(tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_conversations_are_used_only_while_an_administrator_allows_it(company, people):  # noqa: F811
    answer = library.asked(people.employee, "What is the meal allowance in Germany?")
    Feedback.objects.create(answer=answer, good=True)
    bad = library.asked(people.employee, "How long does reimbursement take?")
    Feedback.objects.create(answer=bad, good=False)
    assert not services.policy().conversations
    with pytest.raises(Conflict, match="allow it first"):
        files.make_from_conversations(actor=people.administrator)
    services.choose(actor=people.administrator, conversations=True)
    assert AuditEvent.objects.get(action="setting.changed").detail["conversations"] is True
    file = files.make_from_conversations(actor=people.administrator)
    (item,) = file.items.all()
    assert "28 euros" in item.content["answer"]
    documents.delete(actor=people.administrator, document=company.travel)
    assert not QuestionItem.objects.exists()
    services.choose(actor=people.administrator, conversations=False)


def test_switched_off_what_was_made_of_conversations_is_gone(company, people):  # noqa: F811
    Feedback.objects.create(answer=library.asked(people.employee, "What is the meal allowance in Germany?"), good=True)
    services.choose(actor=people.administrator, conversations=True)
    files.make_from_conversations(actor=people.administrator)
    services.choose(actor=people.administrator, conversations=False)
    assert not QuestionItem.objects.exists()
    assert AuditEvent.objects.filter(action="setting.changed").last().detail["dropped"] == 1


def models(*arguments: str) -> str:
    out = io.StringIO()
    call_command("models", *arguments, stdout=out, stderr=io.StringIO())
    return out.getvalue()


TRAINING = (
    *("--context", "128", "--steps", "4", "--batch", "4", "--precision", "fp32", "--evaluate-every", "2"),
    *("--device", "cpu", "--rank", "4"),
)


@pytest.mark.filterwarnings("ignore:.*gradient_checkpointing.*:FutureWarning")  # peft, by a former name
def test_a_model_is_finetuned_on_own_documents_installed_with_its_card_and_run_again(
    shelf,
    people,
    store,  # noqa: F811
    settings,
    tmp_path,
    capsys,
):
    settings.DATA_DIR = tmp_path / "data"
    email = people.administrator.email
    made = json.loads(models("questions", "--as", email, "--collection", "handbook"))
    assert made["for_everyone"]
    assert json.loads(models("questions", "--as", email)) == made
    told = models(
        "finetune", "ours", "--model", "tiny", "--questions", made["file"], "--as", email, *TRAINING
    ).splitlines()
    assert json.loads(told[-1])["after"]["loss"] > 0
    manifest = store.verify("ours")
    assert (manifest.licence, manifest.source) == ("MIT", "made here: finetune")
    card = json.loads((store.folder("ours") / "card.json").read_text())
    assert card["settings"]["steps"] == 4
    assert not list((tmp_path / "data").rglob("train.jsonl"))  # what was taken out is deleted with the run's end
    changes = [event.detail["change"] for event in AuditEvent.objects.filter(action="model.changed")]
    assert changes == ["finetune"]
    with pytest.raises(CommandError, match="installed already"):
        models("finetune", "ours", "--model", "tiny", *TRAINING)
    with pytest.raises(CommandError, match="could not be repeated"):  # the questions were deleted after the run
        models("reproduce", "ours", "--device", "cpu")
    models("reproduce", "ours", "--device", "cpu", "--questions", made["file"], "--as", email)
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["same"]
    models("questions", "--as", email, "--remove", made["file"])
    assert not QuestionFile.objects.exists()


def test_what_not_everybody_may_read_is_learned_with_a_reason_only(company, people, store):  # noqa: F811
    file = QuestionFile.objects.create(collection=company.hr, by="system")
    content = {"question": "q", "answer": "a", "passage": "", "page": 1, "kind": "sentence"}
    QuestionItem.objects.create(file=file, document=company.salaries, split="train", content=content)
    with pytest.raises(Conflict, match="Not everybody may read"):
        workbench.run("finetune", name="ours", options=["--model", "tiny"],
                      questions=workbench.Questions(people.administrator, str(file.pk)))  # fmt: skip
    with pytest.raises(Conflict, match="one side"):  # past the gate: the file has nothing to judge by
        workbench.run("finetune", name="ours", options=["--model", "tiny"], questions=workbench.Questions(
            people.administrator, str(file.pk), "agreed with the works council"))  # fmt: skip
    event = AuditEvent.objects.get(action="questions.exported")
    assert (event.outcome, event.detail["for_everyone"]) == ("intent", False)


def test_where_a_collection_hides_personal_data_nothing_is_learned_from_it(shelf, people):
    boss, (handbook, _) = people.administrator, shelf
    card = "4111 1111 1111 1111"
    for number in range(4):
        library.write_document(
            handbook, f"Desk {number}", [f"The refund card of office {number} is {card} for the year {number}."]
        )
    file = files.make(actor=boss, collection="handbook")
    assert any(card in str(item.content) for item in files.items(actor=boss, file=file))
    documents.set_personal_data_policy(
        actor=boss, collection=handbook, treatments=dict.fromkeys(Role.values, "show") | {"employee": "mask"}
    )
    assert not any(card in str(item.content) for item in files.items(actor=boss, file=file))
