import json

import pytest

from inference.evaluation.evidence import Judged, auc, main, risk_coverage, summary

CONTEXT = (
    "The archive was founded in 1931 by Ada Berg. It keeps about 40,000 maps. Visitors need a card, which costs "
    "six euros. The reading room is in Bergen."
)
OTHER = "The canteen opens at noon. Soup is served every day except Friday. Guests pay at the counter."


@pytest.fixture
def data(tmp_path):
    contexts = [
        {"ctx_id": "a", "title": "Archive", "text": CONTEXT},
        {"ctx_id": "b", "title": "Canteen", "text": OTHER},
    ]
    questions = [
        ("Who founded the archive?", ["Ada Berg"], "a"),
        ("When was the archive founded?", ["1931"], "a"),
        ("How many maps does it keep?", ["40,000"], "a"),
        ("When does the canteen open?", ["noon"], "b"),
        ("Who painted the ceiling of the opera?", [], "b"),
        ("How deep is the lake?", [], "a"),
    ]
    (tmp_path / "small.contexts.jsonl").write_text("\n".join(map(json.dumps, contexts)), "utf-8")
    rows = [
        {"id": str(n), "question": q, "answers": a, "answerable": bool(a), "ctx_id": c}
        for n, (q, a, c) in enumerate(questions)
    ]
    (tmp_path / "small.questions.jsonl").write_text("\n".join(map(json.dumps, rows)), "utf-8")
    return tmp_path


def test_the_last_line_is_one_json_object_with_both_modes(data, encoder_path, capsys):
    main(["--data", str(data), "--encoder", str(encoder_path), "--search", "2"])
    report = json.loads(capsys.readouterr().out.splitlines()[-1])["small"]
    assert report["passage"]["questions"] == 6
    assert report["passage"]["answerable"] == 4
    assert report["passage"]["first_two"] == 1.0
    assert report["passage"]["auc"] == 1.0
    assert report["search"]["first_two"] == 1.0


def test_auc_counts_ties_half():
    assert auc([0.9, 0.5], [0.5, 0.1]) == pytest.approx(0.875)
    assert auc([0.1], [0.9]) == 0.0
    assert auc([], [0.9]) is None


def test_risk_falls_as_less_is_answered():
    sure, unsure = Judged(True, 0.9, (True, True, True), 1.0), Judged(True, 0.2, (False, False, False), 1.0)
    curve = risk_coverage([sure] * 8 + [unsure] * 2)
    assert curve["0.8"] == 0.0
    assert curve["1.0"] == 0.2
    assert summary([sure, unsure])["first"] == 0.5
