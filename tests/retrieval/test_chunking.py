"""Passages fit the model, keep their place, and are literally in the page."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.chunking import ChunkingOptions, chunk_document, passage_text
from retrieval.schema import Block, ParsedDocument, ParsedPage


def count(texts):
    """One token per Latin word or Chinese character."""
    return [sum(len(word) if word[0] > "\u2e80" else 1 for word in text.split()) for text in texts]


SMALL = ChunkingOptions(max_tokens=40, target_tokens=24, overlap_tokens=8)


def document(*pages, title="Handbook"):
    return ParsedDocument("text/plain", title, tuple(pages))


def page(number, *parts):
    """A page from (kind, level, text) parts, one a line."""
    text, blocks = "", []
    for kind, level, part in parts:
        start = len(text)
        text += part
        blocks.append(Block(kind, level, start, len(text)))
        text += "\n"
    return ParsedPage(number, text, tuple(blocks))


def chunks_of(doc, options=SMALL):
    chunks = chunk_document(doc, count_tokens=count, options=options)
    pages = {item.number: item.text for item in doc.pages}
    for place, chunk in enumerate(chunks):
        assert chunk.ordinal == place
        assert chunk.text == pages[chunk.page][chunk.char_start : chunk.char_end]
        assert chunk.text.strip() == chunk.text != ""
    return chunks


def test_a_passage_never_crosses_a_page():
    chunks = chunks_of(document(ParsedPage(1, "One two."), ParsedPage(2, "Three four.")))
    assert [(chunk.page, chunk.text) for chunk in chunks] == [(1, "One two."), (2, "Three four.")]


def test_headings_are_kept_across_pages_and_closed_by_their_equals():
    chunks = chunks_of(
        document(
            page(1, ("heading", 1, "Travel"), ("heading", 2, "Hotels"), ("paragraph", 0, "Book early.")),
            page(2, ("paragraph", 0, "Pay later."), ("heading", 2, "Trains"), ("paragraph", 0, "Sit down.")),
        )
    )
    assert [(chunk.headings, chunk.text) for chunk in chunks] == [
        ((), "Travel\nHotels\nBook early."),
        (("Travel", "Hotels"), "Pay later."),
        (("Travel",), "Trains\nSit down."),
    ]


def test_a_long_section_is_cut_evenly_at_sentences_with_one_repeated():
    sentences = [f"Sentence number {i} has exactly seven words." for i in range(7)]
    chunks = chunks_of(document(ParsedPage(1, " ".join(sentences))))
    assert len(chunks) > 1
    for first, second in pairwise(chunks):
        assert second.char_start < first.char_end, "the last sentence is repeated"
    assert all(count([chunk.text])[0] <= 24 for chunk in chunks)
    assert all(any(sentence in chunk.text for chunk in chunks) for sentence in sentences)


def test_table_rows_stay_whole_and_later_passages_know_the_header():
    rows = [f"P-{i} | {i}.50 EUR | shelf {i} | in stock" for i in range(9)]
    parts = [("table_row", 0, row) for row in ["Part | Price | Place | State", *rows]]
    chunks = chunks_of(document(page(1, ("heading", 1, "Prices"), *parts, ("paragraph", 0, "End."))))
    for row in rows:
        assert sum(row in chunk.text for chunk in chunks) == 1
    tables = [chunk for chunk in chunks if "P-" in chunk.text]
    assert len(tables) > 1
    assert "Part | Price" in tables[0].text
    assert all(chunk.headings == ("Prices", "Part | Price | Place | State") for chunk in tables[1:])
    assert chunks[-1].headings == ("Prices",)


def test_a_sentence_longer_than_the_budget_is_cut_at_clauses():
    text = ", ".join(f"clause {i} with words" for i in range(20)) + "."
    chunks = chunks_of(document(ParsedPage(1, text)))
    assert all(count([chunk.text])[0] <= 24 for chunk in chunks)
    assert all(chunk.text.endswith((",", ".")) for chunk in chunks)


def test_chinese_without_spaces_is_cut_too():
    text = "员工请假须提前三天向主管提出书面申请，并注明原因和起止日期。" * 6
    chunks = chunks_of(document(ParsedPage(1, text), title=None))
    assert len(chunks) > 5
    assert all(count([chunk.text])[0] <= 40 for chunk in chunks)


def test_text_outside_every_block_is_not_lost():
    text = "Loose words. A block here. More loose words."
    chunks = chunks_of(document(ParsedPage(1, text, (Block("paragraph", 0, 13, 26),))))
    assert " ".join(chunk.text for chunk in chunks) == text


def test_a_page_of_headings_only_is_still_found():
    assert [c.text for c in chunks_of(document(page(1, ("heading", 1, "Thanks"))))] == ["Thanks"]


@given(st.text(alphabet="ab ,.。员工\n|", max_size=300))
def test_every_character_is_in_some_passage(text):
    covered = set()
    for chunk in chunks_of(document(ParsedPage(1, text))):
        covered.update(range(chunk.char_start, chunk.char_end))
    assert {i for i, character in enumerate(text) if not character.isspace()} <= covered


def test_passage_text_joins_what_is_there():
    assert passage_text("T", ("A", "B"), "x") == "T\nA\nB\nx"
    assert passage_text(None, (), "x") == "x"
    assert passage_text("T", ("T",), "x") == "T\nx"


def test_impossible_sizes_are_refused():
    with pytest.raises(ValueError, match="target_tokens"):
        ChunkingOptions(max_tokens=100, target_tokens=200)


def test_passages_fit_the_real_model(embedder):
    text = "The quarterly inspection of pump AB-1234 found a leak; see annex. 设备检查报告如下。" * 30
    doc = document(ParsedPage(1, text), title="Inspection report")
    for chunk in chunk_document(doc, count_tokens=embedder.count_tokens):
        whole = passage_text(doc.title, chunk.headings, chunk.text)
        assert embedder.count_tokens([whole])[0] <= embedder.max_tokens
