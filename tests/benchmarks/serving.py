"""What the whole way adds to a search: web process, audit, Redis, worker, rights, rows, and back.

    python -m tests.benchmarks.serving [--texts ARCHIVE ...] [--documents 150] [--searches 100] [--postgresql]

starts the product as `make up` does, in a directory of its own (`--postgresql`: with a private server, which waits for
the disk), uploads documents, and asks REST for the same questions one after the other. The worker tells how long each
of its steps took. The replica's own time, the baseline, is its `embed` and `search`; `added_ms` is what lies between
that and what the caller waited (bar 10): `http` before and behind the domain call (connection, token, limits, JSON),
`record` the audit event of what is shown, on disk before the reply leaves, `way` Redis, sealing and waking up, the rest
the worker's other steps by name. The event of what is asked takes `intent_ms` while the question is embedded; `word` is
how long the worker waited for it after that. Medians, in milliseconds. `cpu_ms` is the processor time of a search in
the web process and in the worker (embedding and index included), which other work on the machine moves less than the
time waited. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from tests.benchmarks import corpora
from tests.faults.product import Product
from tests.postgres import private_postgres

# Runs inside the product: the domain call as the web process makes it, with the worker's own times kept.
DOMAIN = """
import json, statistics, sys, time
from assistant import observability
from assistant.accounts.models import User
from assistant.audit import services as audit
from assistant.documents.services import asking
user = User.objects.get(email="admin@company.example")
spent = {}
def timed(name, function):
    def call(*arguments, **options):
        start = time.perf_counter()
        result = function(*arguments, **options)
        spent[name] = spent.get(name, 0.0) + (time.perf_counter() - start) * 1000
        if name == "call":
            spent.update(result["timings"])
        return result
    return call
asking._call = timed("call", asking._call)
audit.intent, audit.record = timed("intent", audit.intent), timed("record", audit.record)
rows = []
with observability.context(actor=f"user:{user.pk}", role=user.role, origin="benchmark"):
    for question in json.loads(%r):
        spent.clear()
        start = time.perf_counter()
        asking.search(actor=user, query=question)
        spent["domain"] = (time.perf_counter() - start) * 1000
        rows.append(dict(spent))
rows = rows[5:]
print(json.dumps({name: statistics.median(row.get(name, 0.0) for row in rows) for name in rows[0]}))
"""
QUESTIONS = (
    "Who approves travel?",
    "How do I report an incident?",
    "What is the on-call rotation?",
    "Where is the style guide?",
    "How are secrets stored?",
    "When is the weekly meeting held?",
    "deploy to production",
    "Which browser versions are supported?",
)


def uploaded(product: Product, texts: list[Path], documents: int) -> int:
    """Documents made of the archives' files, or of sentences; how many are ready."""
    files = (item for path in texts for item in corpora.files(path))
    words = (f"# Note {n}\n\n" + f"Step {n} is approved by office {n % 9}. " * 40 for n in itertools.count())
    plain = ((f"note{n}.md", text.encode()) for n, text in enumerate(words))
    with product.client() as client:
        for name, data in itertools.islice(files if texts else plain, documents):
            client.post("/api/v1/documents/", data={"collection": "papers"}, files={"file": (name, data)})
    product.wait_for_documents(seconds=3600)
    return int(str(product.python("from assistant.documents.models import Chunk; print(Chunk.objects.count())")))


def spent(product: Product) -> dict[str, float]:
    """Processor time so far, in milliseconds, by kind of process."""
    return {
        kind: 1000 * sum(sum(process.cpu_times()[:2]) for process in product.processes(kind))
        for kind in ("web", "answers")
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--texts", type=Path, nargs="*", default=[], help="tar archives or folders of Markdown")
    parser.add_argument("--documents", type=int, default=150)
    parser.add_argument("--searches", type=int, default=100)
    parser.add_argument("--postgresql", action="store_true", help="in place of SQLite")
    options = parser.parse_args()
    questions = list(itertools.islice(itertools.cycle(QUESTIONS), options.searches + 5))
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        database = stack.enter_context(private_postgres(durable=True)) if options.postgresql else ""
        product = stack.enter_context(Product(folder, database_url=database))
        passages = uploaded(product, options.texts, options.documents)
        waited = []
        with product.client() as client:
            for number, question in enumerate(questions):
                if number == 5:
                    before = spent(product)
                start = time.perf_counter()
                client.post("/api/v1/search/", json={"query": question}).raise_for_status()
                waited.append((time.perf_counter() - start) * 1000)
        after = spent(product)
        inside = product.python(DOMAIN % json.dumps(questions))
    assert isinstance(inside, dict)
    steps = {name: float(value) for name, value in inside.items()}
    http = statistics.median(waited[5:])
    domain, call, record, intent = (steps.pop(name) for name in ("domain", "call", "record", "intent"))
    parts = {"http": http - domain, "record": record, "way": call - sum(steps.values()), **steps}
    own = parts.pop("embed") + parts.pop("search")
    summary = {
        "benchmark": "serving",
        "baseline": "the replica's own embedding and search",
        "database": "PostgreSQL" if options.postgresql else "SQLite",
        "passages": passages,
        "waited_ms": round(http, 2),
        "replica_ms": round(own, 2),
        "added_ms": round(http - own, 2),
        "added_without_record_ms": round(http - own - record, 2),
        "intent_ms": round(intent, 2),
        "ratio": round(http / own, 2),
        "cpu_ms": {kind: round((after[kind] - before[kind]) / options.searches, 2) for kind in after},
        "parts_ms": {name: round(value, 2) for name, value in parts.items()},
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
    }
    print(json.dumps(summary))


if __name__ == "__main__":
    main()
