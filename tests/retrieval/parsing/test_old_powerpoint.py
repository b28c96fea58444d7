"""PowerPoint 97 to 2003: only what the latest save shows is read, each slide with its notes."""

from __future__ import annotations

import pytest

from retrieval.errors import CorruptDocument, EncryptedDocument
from tests.retrieval.parsing.helpers import parse, texts
from tests.retrieval.parsing.old_slides import (
    Item,
    OldSlides,
    comment,
    document,
    notes,
    refers,
    said,
    shape,
    slide,
)


def read(slides: OldSlides, **how: object):
    return parse(slides.file(**how), "deck.ppt")


def whole() -> OldSlides:
    """Two slides with notes, saved once."""
    listed = [Item(2, 256, said(0, "Prices") + said(1, "Ten euros\rEleven euros")), Item(3, 257, said(0, "Staff"))]
    return OldSlides().save(
        {
            1: document(listed, [Item(4, 1), Item(5, 2)]),
            2: slide(shape(said(4, "As of May"))),
            3: slide(shape(said(4, "Nine people"))),
            4: notes(257, shape(said(2, "Ask about holidays"))),
            5: notes(256, shape(said(2, "Say why"))),
        }
    )


def test_each_slide_is_a_page_with_outline_drawing_and_its_own_notes():
    found = read(whole())
    assert [page.text.split("\n") for page in found.pages] == [
        ["Prices", "Ten euros", "Eleven euros", "As of May", "Say why"],
        ["Staff", "Nine people", "Ask about holidays"],
    ]
    assert [page.label for page in found.pages] == ["Prices", "Staff"]
    assert found.title == "Prices"


def test_slides_and_notes_that_a_fast_save_replaced_or_removed_are_not_read():
    saved = whole().save({2: slide(shape(said(4, "As of June"))), 5: notes(256, shape(said(2, "Keep quiet")))})
    saved.save({1: document([Item(2, 256, said(0, "Prices") + said(1, "Twelve euros"))], [Item(5, 2)])})
    found = read(saved)
    assert [page.text.split("\n") for page in found.pages] == [["Prices", "Twelve euros", "As of June", "Keep quiet"]]
    assert not found.hidden_text


def test_the_latest_edit_is_found_when_the_stream_that_names_it_is_damaged():
    saved = whole().save({3: slide(shape(said(4, "Seven people")))})
    assert "Seven people" in read(saved, current=False).pages[1].text
    assert "Nine people" not in read(saved, current=False).pages[1].text


def test_slides_moved_in_the_list_take_their_new_places():
    saved = whole().save({1: document([Item(3, 257, said(0, "Staff")), Item(2, 256, said(0, "Prices"))])})
    assert [page.text.split("\n")[0] for page in read(saved).pages] == ["Staff", "Prices"]


def test_hidden_slides_keep_their_number_and_are_reported():
    found = read(
        OldSlides().save(
            {
                1: document([Item(2, 256, said(0, "Secret plan")), Item(3, 257, said(0, "Public plan"))]),
                2: slide(shape(said(4, "Sell it all")), hidden=True),
                3: slide(),
            }
        )
    )
    assert [page.text for page in found.pages] == ["", "Public plan"]
    assert [(entry.page, entry.text, entry.reason) for entry in found.hidden_text] == [
        (1, "Secret plan Sell it all", "hidden slide")
    ]
    assert found.title == "Public plan"


def test_deleted_shapes_say_nothing_and_hidden_ones_and_comments_are_reported():
    body = slide(
        shape(refers(0)),
        shape(refers(1), hidden=True),
        shape(said(4, "Gone long ago"), deleted=True),
        shape(said(4, "Behind the scenes"), hidden=True),
        comment("Is this true?"),
    )
    listed = [Item(2, 256, said(0, "Plan") + said(1, "Not for you"))]
    found = read(OldSlides().save({1: document(listed), 2: body}))
    assert texts(found) == [("heading", "Plan")]
    assert [(entry.text, entry.reason) for entry in found.hidden_text] == [
        ("Is this true?", "comment"),
        ("Behind the scenes", "hidden shape"),
        ("Not for you", "hidden shape"),
    ]


def test_encrypted_presentations_are_refused_as_such():
    with pytest.raises(EncryptedDocument):
        read(whole(), token=0xF3D1C4DF)


def test_without_a_list_of_live_slides_nothing_is_guessed():
    broken = whole()
    broken.stream = broken.stream.replace(b"\xf5\x0f", b"\xf6\x0f")
    with pytest.raises(CorruptDocument):
        read(broken)


def test_edits_that_point_in_a_circle_end():
    turned = whole()
    last = turned.latest
    turned.stream = turned.stream[: last + 16] + last.to_bytes(4, "little") + turned.stream[last + 20 :]
    assert "Ten euros" in read(turned).pages[0].text
