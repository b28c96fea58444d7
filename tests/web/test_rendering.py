"""Answer text becomes paragraphs, lists and markers, and nothing else in it means anything."""

from __future__ import annotations

from dataclasses import dataclass

from assistant.web import rendering


@dataclass(frozen=True)
class Part:
    text: str
    markers: tuple[int, ...] = ()
    verified: bool = True
    breaks: int = 0


def shape(parts: list[Part]) -> list[tuple[str, list[list[str]]]]:
    return [
        (block.kind, [[s.text for s in line.sentences] for line in block.items]) for block in rendering.blocks(parts)
    ]


def test_sentences_on_one_line_share_a_paragraph():
    assert shape([Part("One."), Part("Two.")]) == [("p", [["One.", "Two."]])]


def test_two_line_breaks_begin_a_new_paragraph_and_one_begins_a_line():
    parts = [Part("One."), Part("Two.", breaks=1), Part("Three.", breaks=2)]
    assert shape(parts) == [("p", [["One."], ["Two."]]), ("p", [["Three."]])]


def test_lines_that_begin_with_a_sign_become_one_list():
    parts = [Part("See:"), Part("- first", breaks=1), Part("More of it."), Part("- second", breaks=1)]
    assert shape(parts) == [("p", [["See:"]]), ("ul", [["first", "More of it."], ["second"]])]


def test_a_number_that_was_split_off_still_opens_its_entry():
    assert shape([Part("1."), Part("Open it."), Part("2.", breaks=1), Part("Close it.")]) == [
        ("ol", [["Open it."], ["Close it."]])
    ]


def test_numbered_entries_keep_the_number_of_the_document():
    block = rendering.blocks([Part("2. Open it."), Part("4. Close it.", breaks=1)])[0]
    assert [line.number for line in block.items] == [2, 4]


def test_markup_in_model_text_stays_text():
    text = "<b>bold</b> **bold** [link](http://example.test) # heading"
    assert shape([Part(text)]) == [("p", [[text]])]


def test_chinese_sentences_follow_without_a_space_and_english_ones_with():
    chinese = rendering.blocks([Part("第一句。"), Part("第二句。")])[0].items[0].sentences
    english = rendering.blocks([Part("One."), Part("Two.")])[0].items[0].sentences
    assert (chinese[1].gap, english[1].gap) == (False, True)


def test_quote_is_found_in_its_paragraph():
    assert rendering.around("before THE QUOTE after", "THE QUOTE") == ("before ", "THE QUOTE", " after")


def test_quote_that_is_not_in_the_paragraph_stands_alone():
    assert rendering.around("something else", "the quote") == ("", "the quote", "")


def test_long_paragraph_is_cut_at_words_around_the_quote():
    before, quote, after = rendering.around("one two three QUOTE four five six", "QUOTE", room=9)
    assert (before, quote, after) == ("… three ", "QUOTE", " four …")


@dataclass(frozen=True)
class Quote:
    """A quotation of a page's TEXT by its place, with `around` characters on each side."""

    text: str
    char_start: int
    char_end: int
    marker: int = 1
    page: int = 1
    verified: bool = True
    margin: int = 700

    @property
    def quote(self):
        return self.text[self.char_start : self.char_end]

    @property
    def paragraph(self):
        return self.text[max(0, self.char_start - self.margin) : self.char_end + self.margin]


NEAR = "Before it. The first. Between them. The second. After it."


def cited(text, quote, **facts):
    start = text.index(quote)
    return Quote(text, start, start + len(quote), **facts)


def excerpts(*quotes):
    return [excerpt.parts for excerpt in rendering.excerpts(rendering.Source(1, list(quotes)))]


def test_what_stands_around_two_quotations_is_shown_once_in_the_order_of_the_text():
    first, second = cited(NEAR, "The first."), cited(NEAR, "The second.")
    (excerpt,) = rendering.excerpts(rendering.Source(1, [second, first]))
    assert excerpt.quotes == [first, second]
    assert excerpt.parts == [
        ("Before it. ", False),
        ("The first.", True),
        (" Between them. ", False),
        ("The second.", True),
        (" After it.", False),
    ]


def test_neighbouring_quotations_join_and_nothing_of_them_is_lost():
    text = "One. Two. Three."
    parts = excerpts(*(cited(text, word) for word in ("One.", "Two.", "Three.")))[0]
    assert "".join(words for words, _ in parts) == text
    assert [words for words, quoted in parts if quoted] == ["One.", "Two.", "Three."]


def test_quotations_far_apart_or_not_alike_stand_alone():
    far = "The first." + " word" * 100 + " The second."
    assert len(excerpts(cited(far, "The first."), cited(far, "The second."))) == 2
    assert len(excerpts(cited(NEAR, "The first."), cited(NEAR, "The second.", page=2))) == 2
    assert len(excerpts(cited(NEAR, "The first."), cited(NEAR, "The second.", verified=False))) == 2
    assert len(excerpts(cited(NEAR, "The first.", margin=3), cited(NEAR, "The second."))) == 2  # not in what is known
    assert len(excerpts(cited(NEAR, "The first. Between"), cited(NEAR, "Between them."))) == 2  # one over the other


def test_words_that_are_hidden_between_quotations_leave_them_apart():
    """Places count in the page's own text: where a mask changed its length, nothing is guessed."""
    masked = NEAR.replace("Between them.", "[hidden].")
    first, second = cited(masked, "The first."), cited(NEAR, "The second.")
    assert [parts[1] for parts in excerpts(first, second)] == [("The first.", True), ("The second.", True)]


def test_quotations_of_one_marker_share_a_source_in_the_order_of_markers():
    found = rendering.sources([Quote("b", 0, 1, 2), Quote("a", 0, 1, 1), Quote("c", 0, 1, 2)])
    assert [(source.marker, [quote.quote for quote in source.quotes]) for source in found] == [
        (1, ["a"]),
        (2, ["b", "c"]),
    ]
