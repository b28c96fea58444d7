"""The proof at toy size: every arm, pruning, quantizing and the card. `pytest tests/inference/workbench -m long`."""

import json
import os
import random
import subprocess
import sys

import pytest


@pytest.mark.long
def test_every_arm_is_trained_measured_and_put_on_the_card(tmp_path):
    chance = random.Random(1)
    words = [a + b for a in ("pump", "val", "rot", "shi", "bol", "mar") for b in ("er", "ing", "ok", "an", "ul", "ed")]
    rows = [{"id": str(n), "text": " ".join(chance.choice(words) for _ in range(400))} for n in range(90)]
    (tmp_path / "texts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    settings = {
        "vocabulary": 400, "context": 64, "teacher": [8, 128, 256, 2, 2], "student": [2, 128, 256, 2, 2],
        "teacher_steps": 6, "student_steps": 6, "recovery_steps": 4, "batch": 8, "teacher_batch": 8, "seeds": 2,
        "seeds_of_others": 1, "written_tokens": 2000, "precision": "fp32", "evaluate_every": 3,
    }  # fmt: skip
    command = [
        sys.executable, "-m", "inference.distillation.proof", "--data", str(tmp_path / "texts.jsonl"), "--out",
        str(tmp_path / "run"), "--device", "cpu", "--settings", json.dumps(settings),
    ]  # fmt: skip
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    first, second = (
        subprocess.run(command, capture_output=True, text=True, env=environment, timeout=500, check=True) for _ in "12"
    )
    found, again = (json.loads(done.stdout.splitlines()[-1]) for done in (first, second))
    for arm in ("hard", "start", "babyllama", "sequence", "ours"):
        assert found[arm]["kept_of_teacher"]["low"] <= found[arm]["kept_of_teacher"]["high"]
        assert again[arm] == found[arm]  # nothing was made again
    assert found["ours"]["seeds"] == 2
    recipes = [f"{name}, {recipe}" for name in ("pruned", "teacher") for recipe in ("nf4", "dynamic8", "int8")]
    assert [row["step"] for row in found["steps"]] == ["teacher", "ours-1", "pruned", *recipes]
    assert found["steps"][0]["kept_of_teacher"]["value"] == 1.0
    assert found["steps"][1]["bytes"] > found["steps"][2]["bytes"] > found["steps"][3]["bytes"]
    assert found["times_smaller"] > 3
