"""Measures agree with values worked out by hand; the runner reads a folder and prints a table."""

import json
import math

import pytest

from retrieval import evaluation
from retrieval.evaluation import JudgedSet, mrr_at_k, ndcg_at_k, recall_at_k

JUDGED = {"q1": {"a": 2.0, "b": 1.0}, "q2": {"c": 1.0}}


def test_a_perfect_run_scores_one():
    run = {"q1": ["a", "b"], "q2": ["c"]}
    assert ndcg_at_k(run, JUDGED) == recall_at_k(run, JUDGED) == mrr_at_k(run, JUDGED) == 1.0


def test_measures_worked_out_by_hand():
    run = {"q1": ["x", "b", "a"]}  # q2 was not run
    ideal = 2.0 + 1.0 / math.log2(3)
    assert ndcg_at_k(run, JUDGED) == pytest.approx((1.0 / math.log2(3) + 2.0 / 2.0) / ideal / 2)
    assert mrr_at_k(run, JUDGED) == pytest.approx(0.5 / 2)
    assert recall_at_k(run, JUDGED) == pytest.approx(1.0 / 2)
    assert recall_at_k(run, JUDGED, 2) == pytest.approx(0.5 / 2)
    assert mrr_at_k(run, JUDGED, 1) == 0.0


def test_nothing_judged_is_an_error():
    with pytest.raises(ValueError, match="no query"):
        ndcg_at_k({}, {"q": {}})


@pytest.fixture
def folder(tmp_path):
    documents = [
        {"_id": "leave", "title": "Leave", "text": "Employees take 30 days of leave. Ask your manager first."},
        {"_id": "pump", "title": "Pump AB-1234", "text": "Close the valve. Then open the pump."},
        {"_id": "zh", "title": "报销", "text": "差旅费用须在十日内报销。"},
    ]
    queries = [{"_id": "1", "text": "how many vacation days"}, {"_id": "2", "text": "AB-1234"}]
    queries.append({"_id": "3", "text": "多久之内报销差旅费用"})
    (tmp_path / "corpus.jsonl").write_text("\n".join(map(json.dumps, documents)))
    (tmp_path / "queries.jsonl").write_text("\n".join(map(json.dumps, queries)))
    (tmp_path / "qrels").mkdir()
    rows = ["query-id\tcorpus-id\tscore", "1\tleave\t1", "2\tpump\t1", "3\tzh\t1", "3\tgone\t1", "1\tpump\t0"]
    (tmp_path / "qrels" / "test.tsv").write_text("\n".join(rows))
    return tmp_path


def test_a_folder_is_read_and_foreign_judgements_are_left_out(folder):
    judged = JudgedSet.read(folder)
    assert judged.judgements == {"1": {"leave": 1.0}, "2": {"pump": 1.0}, "3": {"zh": 1.0}}
    assert judged.documents["pump"] == ("Pump AB-1234", "Close the valve. Then open the pump.")


def test_the_command_prints_every_leg_and_ends_with_json(folder, capsys, monkeypatch, embedder):
    monkeypatch.setattr(evaluation.MiniLMEmbedder, "load", lambda: embedder)
    assert evaluation.main([str(folder), "--json"]) == 0
    lines = capsys.readouterr().out.splitlines()
    (result,) = json.loads(lines[-1])["results"]
    assert result["hybrid"]["ndcg@10"] == 1.0
    assert result["hybrid+rerank"]["ndcg@10"] == 1.0
    assert {line.split()[0] for line in lines[1:-1]} == set(evaluation.LEGS)


def test_a_folder_that_is_none_is_named(tmp_path, capsys, monkeypatch, embedder):
    monkeypatch.setattr(evaluation.MiniLMEmbedder, "load", lambda: embedder)
    assert evaluation.main([str(tmp_path / "nothing")]) == 2
    assert "nothing" in capsys.readouterr().err
