"""What the whole way adds to a model's first token: browser, web process, queue, worker, search, prompt, and back.

    python -m tests.benchmarks.first_token [--questions 40] [--documents 20]

starts the product as `make up` does, with a tiny model in the real worker, and asks over REST one question after the
other, following each answer's server-sent events. `waited_ms` goes from sending the question to the first piece of the
model's text (or thinking) at the client; `alone_ms`, the baseline, is the engine's own time to its first piece for such
questions afterwards, in a process that does nothing else, with no evidence read beside it; `added_ms` is what lies
between (bar 60). The evidence is read while the model reads its prompt: what it costs is `slower`, by which the model
came later than alone, and `held`, for which its first piece waited for the verdict; `evidence_ms` is the reading's own
time. The other parts: `queue` from the row to the worker's first step; the stage `search`; `worker` all else it does
until the first piece is published (rights, prompt, what is held back to be screened); `web` what the web process takes
before there is a row and after the piece is published. `reply_ms` is the time to the reply that accepts the question,
most of which `web` and `queue` hold already. Medians. The last line is one JSON object.
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
# Runs inside the product: the worker's stages once more, up to the engine's first piece, with a verdict that is there.
ALONE = """
import json, statistics, time
from dataclasses import replace
from assistant.chat import answering
from assistant.chat.models import Answer
from assistant.chat.replay import Unheard
from inference.engines.base import Assessment, Evidence, Finish
tools = answering.tools()
took = []
class Known:
    def assess(self, question, passages):
        return Assessment(1.0, (Evidence(0, 0, len(passages[0].text), 1.0),))
class First:
    def __getattr__(self, name):
        return getattr(tools.engine, name)
    def stream(self, request, *, cancelled):
        start = time.perf_counter()
        next(tools.engine.stream(request, cancelled=cancelled))
        took.append((time.perf_counter() - start) * 1000)
        yield Finish("stop")
for row in Answer.objects.order_by("created_at"):
    answering.again(row, tools=replace(tools, scorer=Known(), engine=First()), live=Unheard(row.pk), boundary="")
print(json.dumps(statistics.median(took[%d:])))
"""


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
    stages = {name: took[name] for name in ("queue", "search", "evidence", "held")}
    worker = took["first"] - took["search"] - took["model"] - took["held"]
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
                alone = float(str(product.python(ALONE % _WARM)))
    rows = [row for row in rows[_WARM:] if row]
    medians = {name: statistics.median(row[name] for row in rows) for name in rows[0]}
    waited, reply, evidence = (medians.pop(name) for name in ("waited", "reply", "evidence"))
    parts = {"slower": medians.pop("model") - alone, **medians}
    print(
        json.dumps(
            {
                "benchmark": "first_token",
                "baseline": "the engine's own time to its first piece, alone",
                "questions": len(rows),
                "waited_ms": round(waited, 1),
                "alone_ms": round(alone, 1),
                "added_ms": round(waited - alone, 1),
                "ratio": round(waited / alone, 2),
                "parts_ms": {name: round(value, 1) for name, value in parts.items()},
                "evidence_ms": round(evidence, 1),
                "reply_ms": round(reply, 1),
                "cores": os.cpu_count(),
                "load": os.getloadavg()[0],
            }
        )
    )


if __name__ == "__main__":
    main()
