"""Training finds the weight of a feature that tells right from wrong, and measures it on sets it was not trained on."""

import json

import numpy as np
import pytest

from retrieval import rank_training
from retrieval.rank_training import CHOICES, Example, ablation, fit
from retrieval.reranking import FEATURES

PAIRS = FEATURES.index("pairs")


def made(seed, *, helps):
    """Forty questions of eight candidates: the first scores tell a little, `pairs` points to the right one or away."""
    draw = np.random.default_rng(seed)
    found = []
    for _ in range(40):
        right = int(draw.integers(8))
        gains = np.eye(8)[right]
        columns = draw.standard_normal((8, len(FEATURES)))
        columns[:, PAIRS] += (3.0 if helps else -3.0) * gains
        found.append(Example(draw.standard_normal(8) + gains, columns, gains, np.array([1.0])))
    return found


def test_a_feature_that_helps_gets_weight_and_one_that_misleads_none_of_it():
    sets = [made(seed, helps=True) for seed in range(3)]
    weights = fit(sets, FEATURES)
    assert weights[PAIRS] == max(weights)
    assert weights[PAIRS] > 0.3
    zero = np.zeros(len(FEATURES))
    unseen = made(9, helps=True)
    assert np.mean([item.ndcg(weights) for item in unseen]) > np.mean([item.ndcg(zero) for item in unseen]) + 0.1


def test_features_not_chosen_stay_zero():
    weights = fit([made(1, helps=True)], ("run",))
    assert weights[PAIRS] == 0.0
    assert np.flatnonzero(weights).tolist() in ([], [FEATURES.index("run")])


def test_the_ablation_judges_each_set_by_what_the_others_teach():
    table = ablation({"one": made(1, helps=True), "two": made(2, helps=True), "odd": made(3, helps=False)})
    assert set(table) == set(CHOICES)
    change = table["pairs"]["change"]
    assert change["one"] >= 0
    assert change["odd"] < 0
    low, high = table["pairs"]["interval"]
    assert low <= table["pairs"]["mean"] <= high


def test_the_measure_agrees_with_a_value_worked_out_by_hand():
    columns = np.zeros((3, len(FEATURES)))
    columns[2, PAIRS] = 1.0
    item = Example(np.array([0.3, 0.2, 0.1]), columns, np.array([0.0, 0.0, 2.0]), np.array([2.0]))
    weights = np.zeros(len(FEATURES))
    assert item.ndcg(weights) == pytest.approx(0.5)
    weights[PAIRS] = 1.0
    assert item.ndcg(weights) == 1.0


def test_the_command_reads_folders_writes_weights_and_ends_with_json(tmp_path, capsys, monkeypatch, embedder):
    monkeypatch.setattr(rank_training.MiniLMEmbedder, "load", lambda: embedder)
    monkeypatch.setattr(rank_training, "WEIGHTS", tmp_path / "ranking.json")
    for name in ("a", "b", "c"):
        folder = tmp_path / name
        folder.mkdir()
        texts = [
            f"The {kind} of {name} is kept in room {place}." for place, kind in enumerate(("pump", "valve", "gasket"))
        ]
        rows = [{"_id": str(place), "text": text} for place, text in enumerate(texts)]
        (folder / "corpus.jsonl").write_text("\n".join(map(json.dumps, rows)))
        asked = [{"_id": "q", "text": f"Where is the valve of {name} kept?"}]
        (folder / "queries.jsonl").write_text("\n".join(map(json.dumps, asked)))
        (folder / "qrels.tsv").write_text("q\t1\t1")
    folders = [str(tmp_path / name) for name in ("a", "b", "c")]
    assert rank_training.main([*folders, "--save"]) == 0
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert last["weights"] == json.loads((tmp_path / "ranking.json").read_text())["weights"]
    assert set(last["ablation"]) == set(CHOICES)
    assert rank_training.main([*folders[:2], str(tmp_path / "nothing")]) == 2
    with pytest.raises(SystemExit):
        rank_training.main(folders[:2])
