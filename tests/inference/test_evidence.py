"""What the packaged weights must get right; random weights would fail most of this table."""

import pytest

from inference.evidence import EvidenceScorer, SelectionOptions, names_unknown_code

TRAVEL = (
    "Travel policy\nThis policy was approved by the finance director, Marta Quinn, on 12 March 2024. It applies to "
    "all employees and contractors. Hotel stays are reimbursed up to 140 euros per night in Germany and 180 euros "
    "per night in Switzerland. Receipts must be handed in within 30 days of the journey. Travel requests are sent "
    "to the office in Rotterdam. First class tickets are not reimbursed, because the budget does not allow it. "
    "About 12% of all requests were refused last year."
)
LEAVE = (
    "请假制度\n员工每年享有十五天带薪年假。病假超过三天需要提交医院证明。年假申请应提前两周向部门经理提出。"
    "未使用的年假最多可以结转五天到下一年度。人力资源部位于上海办公室三楼。"
)
PRICES = (
    "Product: Pump A2; Price: 310 EUR; Weight: 12 kg\nProduct: Pump B7; Price: 455 EUR; Weight: 19 kg\n"
    "Product: Valve C1; Price: 38 EUR; Weight: 0.7 kg"
)


@pytest.fixture(scope="module")
def scorer(embed, encoder_path):
    return EvidenceScorer(embed, encoder=encoder_path)


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("Who approved the travel policy?", "Marta Quinn"),
        ("When was the travel policy approved?", "12 March 2024"),
        ("How much is reimbursed for a hotel night in Switzerland?", "180 euros"),
        ("Within how many days do I have to hand in receipts?", "30 days"),
        ("Where do I send a travel request?", "Rotterdam"),
        ("Why are first class tickets not reimbursed?", "budget"),
        ("What percentage of requests was refused?", "12%"),
        ("receipts deadline", "30 days"),
        ("员工每年有几天带薪年假？", "十五天"),
        ("年假申请要提前多久提出？", "两周"),
        ("人力资源部在哪里？", "上海"),
        ("What does pump B7 cost?", "455 EUR"),
        ("How heavy is valve C1?", "0.7 kg"),
    ],
)
def test_the_first_quotation_holds_the_answer(scorer, passage, question, expected):
    passages = [passage(TRAVEL), passage(LEAVE), passage(PRICES)]
    first = scorer.assess(question, passages).evidence[0]
    assert expected in passages[first.passage].text[first.char_start : first.char_end]


@pytest.mark.parametrize(
    "question",
    [
        "What is the boiling point of mercury?",
        "Who won the football cup in 1998?",
        "How many satellites orbit Jupiter?",
        "公司股票代码是多少？",
    ],
)
def test_a_question_the_passages_do_not_touch_is_less_answerable_than_one_they_answer(scorer, passage, question):
    passages = [passage(TRAVEL), passage(LEAVE)]
    answered = scorer.assess("Within how many days do receipts have to be handed in?", passages)
    assert scorer.assess(question, passages).answerable < 0.35 < answered.answerable


@pytest.mark.parametrize(
    ("answered", "unanswered"),
    [
        ("Who approved the travel policy?", "Who rejected the parking policy?"),
        (
            "How much is reimbursed for a hotel night in Switzerland?",
            "How much is reimbursed for a hotel night in Portugal?",
        ),
        ("What does pump B7 cost?", "What does pump D9 cost?"),
        ("Why are first class tickets not reimbursed?", "Why are train tickets not sold in Warsaw?"),
        ("病假超过几天需要医院证明？", "婚假有几天？"),
    ],
)
def test_a_changed_question_is_less_answerable(scorer, passage, answered, unanswered):
    passages = [passage(TRAVEL), passage(LEAVE), passage(PRICES)]
    assert scorer.assess(unanswered, passages).answerable < scorer.assess(answered, passages).answerable


@pytest.mark.parametrize(
    ("question", "unknown"),
    [
        ("What does pump B7 cost?", False),
        ("What does pump D9 cost?", True),
        ("What does valve C-1 cost?", False),
        ("What happened in the 19th century?", False),
        ("Is ISO-9001 required?", True),
        ("What was said in 1998?", False),
    ],
)
def test_a_code_that_no_passage_holds_is_noticed(passage, question, unknown):
    assert names_unknown_code(question, [passage(PRICES)]) is unknown


def test_a_long_search_result_is_read_within_the_budget(scorer, passage):
    filler = [
        passage(f"Report {n}. " + "The committee met and discussed the agenda at length. " * 12) for n in range(7)
    ]
    passages = [*filler, passage(TRAVEL)]
    first = scorer.assess("Where are travel requests sent?", passages).evidence[0]
    assert "Rotterdam" in passages[first.passage].text[first.char_start : first.char_end]


def test_without_the_encoder_words_and_cosine_decide(embed, passage):
    passages = [passage(TRAVEL), passage(LEAVE)]
    first = EvidenceScorer(embed).assess("Where are travel requests sent?", passages).evidence[0]
    assert "Rotterdam" in passages[first.passage].text[first.char_start : first.char_end]


def test_evidence_is_sorted_within_its_limit_and_without_duplicates(scorer, passage):
    passages = [passage(TRAVEL, name="a"), passage(TRAVEL, name="b")]
    evidence = scorer.assess("Who approved the travel policy?", passages).evidence
    assert 1 <= len(evidence) <= 3
    assert [item.score for item in evidence] == sorted((item.score for item in evidence), reverse=True)
    texts = [passages[item.passage].text[item.char_start : item.char_end] for item in evidence]
    assert len(set(texts)) == len(texts)


def test_nothing_in_nothing_out(scorer, passage):
    assert scorer.assess("Who?", []) == scorer.assess("  ", [passage(TRAVEL)])
    assert scorer.assess("Who?", [passage("— …")]).evidence == ()


def test_the_same_question_gives_the_same_assessment(scorer, passage):
    passages = [passage(TRAVEL), passage(PRICES)]
    assert scorer.assess("hotel in Germany", passages) == scorer.assess("hotel in Germany", passages)


@pytest.mark.parametrize("bad", [{"limit": 0}, {"least": 1.5}, {"share": -0.1}, {"embed_limit": 0}, {"budget": 10}])
def test_selection_refuses_bad_values(bad):
    with pytest.raises(ValueError):
        SelectionOptions(**bad)
