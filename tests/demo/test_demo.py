"""The demo company is complete, can be rebuilt to the same bytes, and its questions are true of its documents."""

import hashlib
import itertools
import re
from collections import Counter
from pathlib import Path

import pypdfium2
import pytest
from reportlab.pdfbase.ttfonts import TTFont

from assistant.demo import company
from assistant.demo.blocks import Heading, ListBlock, PageBreak, Paragraph, Table, parse_blocks
from assistant.demo.build import build
from assistant.demo.company import COLLECTIONS, PEOPLE, DocumentSpec, Manifest, Person, suggested_questions
from retrieval.parsing import parse_file
from retrieval.parsing.limits import Limits

from .questions import Question, load_questions

QUESTIONS = load_questions()
READER_ROLES = {"employee", "curator", "auditor", "administrator"}


@pytest.fixture(scope="session")
def directory(tmp_path_factory):
    return tmp_path_factory.mktemp("demo")


@pytest.fixture(scope="session")
def built(directory) -> Manifest:
    return build(directory)


@pytest.fixture(scope="session")
def pages(built, directory) -> dict[str, list[str]]:
    """The text of every page of every document, as the product's own parser reads it."""
    return {
        spec.filename: [
            page.text for page in parse_file(directory / spec.filename, limits=Limits(), filename=spec.filename).pages
        ]
        for spec in built.documents
    }


def may_read(person: Person, document: DocumentSpec) -> bool:
    principals = {"everyone", f"user:{person.email}", *(f"team:{team}" for team in person.teams)}
    collection = next(spec for spec in COLLECTIONS if spec.slug == document.collection)
    return any(principal in principals for principal, _ in document.restricted_to or collection.grants)


def squash(text: str) -> str:
    """Without white space: lines break between any two Chinese characters."""
    return re.sub(r"\s+", "", text)


def digests(directory: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in directory.iterdir()}


def test_company_has_all_formats_and_languages(built):
    suffixes = Counter(Path(spec.filename).suffix for spec in built.documents)
    assert set(suffixes) == {".pdf", ".docx", ".pptx", ".xlsx", ".csv", ".html", ".md", ".txt", ".eml"}
    assert len(built.documents) >= 44
    assert sum(spec.language == "zh" for spec in built.documents) >= 8
    assert {spec.language for spec in built.documents} == {"en", "zh"}


def test_every_document_lies_in_a_known_collection_and_has_text(built, pages):
    assert all(squash("".join(texts)) for texts in pages.values())
    assert {spec.collection for spec in built.documents} == {spec.slug for spec in COLLECTIONS}


def test_people_cover_every_role_and_the_named_teams():
    assert {person.role for person in PEOPLE} == READER_ROLES
    assert {"engineering", "hr", "finance", "board"} <= {team for person in PEOPLE for team in person.teams}
    assert all(person.email.endswith(".example") for person in PEOPLE)


def test_administrator_reads_nothing_private_of_the_board(built):
    administrator = next(person for person in PEOPLE if person.role == "administrator")
    board = [spec for spec in built.documents if spec.collection == "board"]
    assert board
    assert not any(may_read(administrator, spec) for spec in board)


def test_one_handbook_document_is_restricted_to_hr(built):
    restricted = [spec for spec in built.documents if spec.restricted_to]
    assert [(spec.collection, spec.restricted_to) for spec in restricted] == [("handbook", (("team:hr", "reader"),))]


def test_replaced_version_stands_before_its_successor(built):
    names = [spec.filename for spec in built.documents]
    successors = [spec for spec in built.documents if spec.replaces]
    assert successors
    for spec in successors:
        assert names.index(spec.replaces) < names.index(spec.filename)


def test_long_documents_have_thirty_real_pages(pages):
    long = {name: texts for name, texts in pages.items() if len(texts) >= 30}
    assert len(long) >= 3
    for texts in long.values():
        assert len({squash(text) for text in texts}) == len(texts)
        assert sum(len(text) for text in texts) > 24_000


def test_long_documents_repeat_no_paragraph():
    for filename in ("employee-handbook.pdf", "tfc-operating-manual.pdf", "information-security-rules.pdf"):
        paragraphs = [b.text for b in company.sources()[filename].blocks if isinstance(b, Paragraph)]
        assert len(set(paragraphs)) == len(paragraphs) > 50


def test_same_sources_give_the_same_bytes(built, directory, tmp_path):
    build(tmp_path)
    assert digests(tmp_path) == digests(directory)


def test_text_file_of_suzhou_is_gb18030(built, directory):
    raw = (directory / "苏州工厂安全须知.txt").read_bytes()
    assert "安全主任孙磊" in raw.decode("gb18030")
    with pytest.raises(UnicodeDecodeError):
        raw.decode("utf-8")


def test_embedded_font_has_every_chinese_character_that_pdfs_use():
    known = TTFont("probe", Path(company.__file__).parent / "fonts" / "DemoSansCJK.ttf").face.charToGlyph
    for filename, source in company.sources().items():
        if filename.endswith(".pdf"):
            text = source.text + "".join(map(str, source.meta.values())) + "目录第页"
            wanted = {c for c in text if "\u3000" <= c <= "\u9fff" or "\uff00" <= c <= "\uffef"}
            assert {c for c in wanted if ord(c) not in known} == set(), filename


def test_latin_text_of_pdfs_stays_in_the_encoding_of_the_standard_fonts():
    for filename, source in company.sources().items():
        if filename.endswith(".pdf"):
            outside = re.sub(r"[\u3000-\u9fff\uff00-\uffef]", "", source.text)
            outside.encode("cp1252")


def test_chinese_pdf_draws_ink_on_its_pages(built, directory):
    with pypdfium2.PdfDocument(directory / "苏州公司员工手册.pdf") as document:
        picture = document[3].render(scale=0.5).to_pil().convert("L")
    dark = sum(picture.histogram()[:128])
    assert dark > 500


def test_questions_have_the_promised_mixture():
    people = {person.email for person in PEOPLE}
    assert len(QUESTIONS) >= 64
    assert len({question.id for question in QUESTIONS}) == len(QUESTIONS)
    assert sum(not question.answerable for question in QUESTIONS) >= 10
    assert sum(question.language == "zh" for question in QUESTIONS) >= 12
    assert sum(bool(question.denied) for question in QUESTIONS) >= 12
    assert sum(question.follows is not None for question in QUESTIONS) >= 4
    assert all({question.asker, *question.denied} <= people for question in QUESTIONS)


@pytest.mark.parametrize("question", [q for q in QUESTIONS if q.answerable], ids=lambda q: q.id)
def test_answer_stands_on_the_named_page(question: Question, pages):
    assert question.document is not None
    assert question.page is not None
    text = squash(pages[question.document][question.page - 1])
    assert question.answers
    for answer in question.answers:
        assert squash(answer) in text
    for document, page in question.also:
        assert any(squash(answer) in squash(pages[document][page - 1]) for answer in question.answers)


def test_askers_may_read_the_answer_and_everyone_else_is_denied(built):
    documents = {spec.filename: spec for spec in built.documents}
    for question in QUESTIONS:
        if question.document:
            readers = {person.email for person in PEOPLE if may_read(person, documents[question.document])}
            assert question.asker in readers, question.id
            assert set(question.denied) == {person.email for person in PEOPLE} - readers, question.id


@pytest.mark.parametrize("question", [q for q in QUESTIONS if not q.answerable], ids=lambda q: q.id)
def test_topic_of_an_unanswerable_question_is_nowhere_the_asker_may_look(question: Question, built, pages):
    person = next(person for person in PEOPLE if person.email == question.asker)
    assert question.absent
    assert not question.answers
    readable = "\n".join(
        text.lower() for spec in built.documents if may_read(person, spec) for text in pages[spec.filename]
    )
    for topic in question.absent:
        assert topic.lower() not in readable


def test_follow_up_comes_after_its_question_from_the_same_person():
    for earlier, question in itertools.pairwise(QUESTIONS):
        if question.follows:
            assert (earlier.id, earlier.asker) == (question.follows, question.asker)


def test_every_collection_suggests_questions_and_an_unknown_one_none():
    for spec in COLLECTIONS:
        assert suggested_questions(spec.slug)
    assert any(re.search(r"[\u4e00-\u9fff]", q) for q in suggested_questions("handbook"))
    assert suggested_questions("nowhere") == []


def test_markup_becomes_blocks():
    text = (
        "# One\n\nA line\ngoes on\n\n- a\n  b\n- c\n\n1. x\n\n| h | i |\n|---|---|\n| 1 | 2 |\n\n---\n\n第一行\n第二行"
    )
    assert parse_blocks(text) == (
        Heading(1, "One"),
        Paragraph("A line goes on"),
        ListBlock(("a b", "c"), False),
        ListBlock(("x",), True),
        Table((("h", "i"), ("1", "2"))),
        PageBreak(),
        Paragraph("第一行第二行"),
    )
