"""What the whole way adds to a model's first token: browser, web process, queue, worker, search, prompt, and back.

    python -m tests.benchmarks.first_token [--questions 40] [--documents 20]

starts the product as `make up` does, with a tiny model in the real worker, and asks over REST one question after the
other, following each answer's server-sent events. `waited_ms` goes from sending the question to the first piece of the
model's text (or thinking) at the client; `model_ms`, the baseline, is the engine's own time to its first piece;
`added_ms` is what lies between (bar 60). Its parts: `queue` from the row to the worker's first step; the stages
`search` and `evidence`; `worker` all else it does until the first piece is published (rights, prompt, what is held back
to be screened); `web` what the web process takes before there is a row and after the piece is published. `reply` is the
time to the reply that accepts the question, most of which `web` holds already. Medians. The last line is one JSON
object.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import tempfile
import time
from pathlib import Path

import httpx2

from tests.benchmarks.serving import uploaded
from tests.faults.product import Product
from tests.inference.models.conftest import build_qwen2, with_room
from tests.inference.models.hub import running_hub

QUESTIONS = ("Who approves step {n}?", "Which office approves step {n}?", "By whom is step {n} approved?")
_WARM = 5


def asked(client: httpx2.Client, question: str) -> dict[str, float]:
    """Milliseconds of one answer, read to its end; empty when the model, whose weights are random, said nothing."""
    start = time.perf_counter()
    accepted = client.post("/api/v1/answers/", json={"question": question}).raise_for_status().json()
    replied = time.perf_counter()
    first = 0.0
    with client.stream("GET", accepted["events_url"], headers={"Accept": "text/event-stream"}) as events:
        for line in events.iter_lines():
            if not first and line in {"event: delta", "event: thinking"}:
                first = time.perf_counter()
            if line == "event: done":
                break
    answer = client.get(f"/api/v1/answers/{accepted['id']}/").raise_for_status().json()
    if answer["engine"] != "transformers":
        raise RuntimeError(f"no model answered: {answer['engine']}, {answer['outcome']}")
    took = answer["timings"]
    if not first or "first" not in took:
        return {}
    stages = {name: took.get(name, 0) for name in ("queue", "search", "evidence")}
    worker = took["first"] - took["search"] - took["evidence"] - took["model"]
    waited, reply = (first - start) * 1000, (replied - start) * 1000
    web = waited - took["queue"] - took["first"]
    return {"waited": waited, "model": took["model"], "reply": reply, **stages, "worker": worker, "web": web}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--questions", type=int, default=40)
    parser.add_argument("--documents", type=int, default=20)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        folder, data = with_room(build_qwen2(root / "built"), root / "tiny"), root / "data"
        data.mkdir(mode=0o700)
        with running_hub(folder) as hub:
            chosen = {"MODEL": "acme/tiny", "MODEL_HUB": hub.url, "ENGINE": "auto", "GOMP_SPINCOUNT": "2000"}
            with Product(data, settings=chosen) as product:
                uploaded(product, [], options.documents)
                texts = itertools.cycle(QUESTIONS)
                with product.client() as client:
                    rows = [asked(client, next(texts).format(n=n % 20)) for n in range(options.questions + _WARM)]
    rows = [row for row in rows[_WARM:] if row]
    medians = {name: statistics.median(row[name] for row in rows) for name in rows[0]}
    waited, model = medians.pop("waited"), medians.pop("model")
    print(
        json.dumps(
            {
                "benchmark": "first_token",
                "baseline": "the engine's own time to its first piece",
                "questions": len(rows),
                "waited_ms": round(waited, 1),
                "model_ms": round(model, 1),
                "added_ms": round(waited - model, 1),
                "parts_ms": {name: round(value, 1) for name, value in medians.items()},
                "cores": os.cpu_count(),
                "load": os.getloadavg()[0],
            }
        )
    )


if __name__ == "__main__":
    main()
