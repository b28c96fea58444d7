"""Words that stand for each other are searched for besides a question's own, and read where no passage holds those."""

from __future__ import annotations

import numpy as np
import pytest

from retrieval.retriever import Replica
from retrieval.schema import IndexRecord
from retrieval.synonyms import Synonyms, packaged
from retrieval.text import tokenize

LIST = Synonyms(
    [
        ("annual leave", "holiday", "PTO", "年假"),
        ("public holiday", "法定节假日"),
        ("printer", "打印机"),
        ("social insurance", "社会保险", "社保"),
    ]
)


def others(question: str) -> dict[str, tuple[str, ...]]:
    return {question[match.start : match.end]: match.others for match in LIST.matches(question)}


def test_entries_are_found_whatever_their_case_and_ending():
    assert others("PRINTERS and Holidays?") == {
        "PRINTERS": ("打印机",),
        "Holidays": ("annual leave", "PTO", "年假"),
    }
    assert others("公司的打印机和社保") == {"打印机": ("printer",), "社保": ("social insurance", "社会保险")}


def test_the_longest_entry_wins():
    assert others("is it a public holiday or a holiday?") == {
        "public holiday": ("法定节假日",),
        "holiday": ("annual leave", "PTO", "年假"),
    }


@pytest.mark.parametrize(
    "question", ['what is "holiday"', "what is “holiday”", "什么是「打印机」", "printing", "打印", ""]
)
def test_quoted_words_and_other_words_stay_alone(question):
    assert others(question) == {}
    assert LIST.terms(question) == {}


def test_terms_of_other_words_weigh_less_than_the_questions_own():
    terms = LIST.terms("holiday rules of annual reports")
    assert set(terms) == {"leav", "pto", "年假"}  # "annual" is the question's own
    assert terms["pto"] == terms["年假"] == 2 * terms["leav"]
    assert max(terms.values()) < 1


def test_question_takes_the_words_that_the_passages_hold_most_often():
    texts = ["Annual leave is asked for.", "Annual leave ends. 年假"]
    assert LIST.instead("how much PTO?", texts) == ("how much annual leave?", ["annual leave"])
    assert LIST.instead("打印机 and PTO", ["Printers.", *texts]) == (
        "printer and annual leave",
        ["printer", "annual leave"],
    )


@pytest.mark.parametrize(
    "texts", [["PTO is annual leave."], ["Nothing of it."], ["An annual fair; leave at noon."], []], ids=str
)
def test_question_stays_where_its_own_word_or_no_other_stands(texts):
    assert LIST.instead("how much PTO?", texts) == ("how much PTO?", [])


def test_words_put_in_are_not_replaced_again():
    chain = Synonyms([("first", "second"), ("second", "third")])
    assert chain.instead("first thing", ["second third"]) == ("second thing", ["second"])


def test_replica_finds_the_other_words_and_ranks_the_own_ones_first():
    texts = ["The annual leave is thirty days.", "The holiday is thirty days.", "The lamp is thirty metres high."]
    replica = Replica(4, "test")
    for number, text in enumerate(texts):
        replica.apply(str(number), [IndexRecord(number, str(number), 0, 0, text, np.eye(4, dtype=np.float16)[number])])

    def found(**how):
        hits = replica.search("holiday", np.eye(4)[3], partitions=[0], limit=3, per_document=1, dense_weight=0.0, **how)
        return [hit.chunk_id for hit in hits if hit.lexical > 0]

    assert found() == [1]
    assert found(also=LIST.terms("holiday")) == [1, 0]


def test_packaged_list_joins_both_languages_without_ambiguity():
    listed = packaged()
    assert len(listed.entries) > 400
    assert all(tokenize(entry) for entry in listed.entries)
    for question, other in [
        ("打印机", "printer"),
        ("vacation", "annual leave"),
        ("社保", "社会保险"),
        ("overtime pay", "加班费"),
        ("helpdesk", "服务台"),
    ]:
        (match,) = listed.matches(question)
        assert other in match.others
    assert listed.matches("the leave of the tree in time") == []
