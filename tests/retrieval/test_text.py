"""Sentences, comparable forms and index terms of real-looking text in English and Chinese."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.text import _terms, cjk_share, normalize, sentences, tokenize, words


def split(text):
    return [text[start:end] for start, end in sentences(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It rains. It pours!  Why? ", ["It rains.", "It pours!", "Why?"]),
        ("Dr. Li met Mr. J. Smith at 3.14 p.m. today.", ["Dr. Li met Mr. J. Smith at 3.14 p.m. today."]),
        ("See Fig. 3, e.g. the U.S. office. Then go.", ["See Fig. 3, e.g. the U.S. office.", "Then go."]),
        ("Version v2.3.1 costs $1,200.50 now. Buy it.", ["Version v2.3.1 costs $1,200.50 now.", "Buy it."]),
        ('He said "Stop." Then he left.', ['He said "Stop."', "Then he left."]),
        ("a wing was tested . results agree .", ["a wing was tested .", "results agree ."]),
        ("It was shown.[3] It held.", ["It was shown.[3]", "It held."]),
        ("员工应当遵守。请假须提前！“好吧。”他说", ["员工应当遵守。", "请假须提前！", "“好吧。”", "他说"]),
        ("费用为3.5万元，含税。", ["费用为3.5万元，含税。"]),
        ("Rules:\n- first item\n- second item", ["Rules:", "- first item", "- second item"]),
        ("1. Switch it off. Wait.\n2. Open it.", ["1. Switch it off.", "Wait.", "2. Open it."]),
        ("Part | Price\nM8 bolt | 3.20\nM9 bolt | 4.10", ["Part | Price", "M8 bolt | 3.20", "M9 bolt | 4.10"]),
        ("Travel Policy\nEmployees may travel.", ["Travel Policy", "Employees may travel."]),
        (
            "This line was wrapped by the writer of the document, and it\ngoes on here.",
            ["This line was wrapped by the writer of the document, and it\ngoes on here."],
        ),
        ("One paragraph without an end\n\nAnother one", ["One paragraph without an end", "Another one"]),
        ("", []),
        (" \n\t ", []),
    ],
)
def test_sentences(text, expected):
    assert split(text) == expected


@given(st.text(alphabet="ab .!?。！\n-|1、\t\u201d)", max_size=80))
def test_sentences_cover_everything_once_and_in_order(text):
    spans = sentences(text)
    assert all(start < end for start, end in spans)
    assert all(first[1] <= second[0] for first, second in pairwise(spans))
    covered = "".join(text[start:end] for start, end in spans)
    assert "".join(covered.split()) == "".join(text.split())
    assert all(text[start:end] == text[start:end].strip() for start, end in spans)


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("AB-1234/X", "the pump AB-1234/X leaks"),
        ("ab 1234", "the pump AB-1234 leaks"),
        ("2024-05-12", "signed on 2024-05-12 in Bonn"),
        ("2024\u201105\u201112", "signed on 2024-05-12 in Bonn"),
        ("1200", "a fine of $1,200 applies"),
        ("12 kg", "a load of 12kg"),
        ("e-mail", "send an email"),
        ("policies", "the policy"),
        ("cafe", "the Café"),
        ("\uff21\uff22\uff23", "abc"),
        ("请假", "员工请假制度"),
        ("税", "增值税率"),
        ("invis\u200bible", "invisible"),
    ],
)
def test_query_and_text_share_every_term(query, text):
    assert set(tokenize(query)) <= set(tokenize(text)) or set(tokenize(text)) >= set(tokenize(query)[-1:])


def test_function_words_are_not_indexed_but_names_are():
    assert tokenize("What is the IT policy of WHO?") == ["it", "polici"]


def test_normalize_is_idempotent_and_folds_what_looks_alike():
    text = "\u201cR\u00adesum\u00e9\u201d \u2013 \uff21\n  \u4f60\u597d"
    assert normalize(text) == '"resumé" - a 你好'
    assert normalize(normalize(text)) == normalize(text)


def test_cjk_share_counts_letters_only():
    assert cjk_share("请假制度?!") == 1.0
    assert cjk_share("leave policy") == 0.0
    assert cjk_share("VPN 密码") == pytest.approx(2 / 5)
    assert cjk_share("...") == 0.0


@given(st.text(alphabet="aZ09.,-_/:@&+'`% \n", max_size=60) | st.text(alphabet=st.characters(max_codepoint=127)))
def test_the_short_way_through_ascii_finds_the_same_terms(text):
    plain = normalize(text)
    assert plain.isascii()
    assert words(text) == _terms(plain)


@given(st.text(alphabet="aZ09.,-_/:@&+'`% \n\u3000\u00a0é你好カ한—’", max_size=60) | st.text())
def test_words_are_found_piece_by_piece_as_in_the_whole(text):
    assert words(text) == _terms(normalize(text))


@given(st.sampled_from(("11 May 2024", "2024-05-11", "5/11/2024", "May 2024", "11 May", "2024年5月11日", "5月")))
def test_the_terms_of_dates_follow_the_words_and_hold_a_hyphen(date):
    text = f"Agreed on {date}."
    plain, terms = words(text), tokenize(text)
    assert terms[: len(plain)] == plain
    assert all("-" in term for term in terms[len(plain) :])
    assert len(terms) > len(plain) or date == "5月"
