"""The product at work for an hour: does its memory grow, do its calls fail?

    python -m tests.soak --minutes 60 [--load 0.7] [--database postgres]

Starts everything as `manage.py up` does, finds out how many questions a second it answers when asked as fast as it can,
then keeps asking at `--load` of that rate: people ask, look at the answer, open the cited page, search; a curator
uploads new versions of a fixed set of documents, so that the library itself does not grow. Memory (unique set size) of
each kind of process is sampled all the while; growth is the median of the last tenth against that of the first tenth
after a warm-up of a tenth. The last line is one JSON object; the exit status is 1 when memory grew by 5 % or more
or 0.1 % of the calls or more went wrong.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import psutil

from tests.faults.load import text_of
from tests.faults.product import KINDS, Product
from tests.postgres import private_postgres

WORDS = [f"{metal}{number}" for metal in ("brass", "steel", "copper", "zinc") for number in range(5)]
GROWTH, ERRORS = 0.05, 0.001
SLACK_MB = 2  # a Redis of three megabytes holds a few live streams more or fewer
FINE = {200, 202}


@dataclass(slots=True)
class Tally:
    """What came back, by many threads."""

    outcomes: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)  # seconds from question to answer
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, name: str, answer: httpx2.Response | Exception) -> None:
        with self.lock:
            good = not isinstance(answer, Exception) and answer.status_code in FINE
            later = not isinstance(answer, Exception) and answer.status_code == 429
            self.outcomes["fine" if good else "later" if later else "wrong"] += 1
            if not good and not later and len(self.wrong) < 20:
                self.wrong.append(f"{name}: {answer if isinstance(answer, Exception) else answer.status_code}"[:200])


class People:
    """Threads that work through a clock of tasks: one each time the shared clock says so, or as fast as they can."""

    def __init__(self, product: Product, tally: Tally, *, threads: int, rate: float | None) -> None:
        self._product, self._tally, self._rate = product, tally, rate
        self._stop = threading.Event()
        self._tickets = threading.Semaphore(0)
        self._threads = [threading.Thread(target=self._work, args=(at,), daemon=True) for at in range(threads)]
        self._clock = threading.Thread(target=self._tick, daemon=True)

    def __enter__(self) -> People:
        for thread in [*self._threads, *([self._clock] if self._rate else [])]:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(120)

    def _tick(self) -> None:
        assert self._rate
        following = time.monotonic()
        while not self._stop.wait(max(0.0, following - time.monotonic())):
            self._tickets.release()
            following += 1 / self._rate

    def _work(self, number: int) -> None:
        dice = random.Random(number)
        with self._product.client() as client:
            while not self._stop.is_set():
                if self._rate is None or self._tickets.acquire(timeout=0.5):
                    self._one(client, dice)

    def _call(self, client: httpx2.Client, name: str, method: str, path: str, **given) -> dict:
        try:
            answer = client.request(method, path, **given)
        except httpx2.HTTPError as error:
            self._tally.add(name, error)
            return {}
        self._tally.add(name, answer)
        return answer.json() if answer.status_code in FINE and "json" in answer.headers["content-type"] else {}

    def _one(self, client: httpx2.Client, dice: random.Random) -> None:
        """A question, its answer, and at times what people do besides."""
        question = f"At what pressure is the {dice.choice(WORDS)} valve tested in step {dice.randrange(1, 30)}?"
        began = time.monotonic()
        asked = self._call(client, "ask", "POST", "/api/v1/answers/?wait=60", json={"question": question})
        if asked:
            self._tally.waits.append(time.monotonic() - began)
            if asked.get("status") != "done" or asked.get("outcome") not in {"answered", "not_found"}:
                self._tally.add("answer", RuntimeError(f"{asked.get('status')} {asked.get('outcome')}"))
        for citation in asked.get("citations", [])[:1]:
            self._call(client, "page", "GET", f"/api/v1/documents/{citation['document']}/pages/{citation['page']}/")
        if dice.random() < 0.3:
            self._call(client, "search", "POST", "/api/v1/search/", json={"query": f"{dice.choice(WORDS)} inspector"})
        if dice.random() < 0.1:
            self._call(client, "list", "GET", "/api/v1/conversations/")


class Curator(threading.Thread):
    """Uploads a new version of one of the documents every few seconds."""

    def __init__(self, product: Product, tally: Tally, documents: list[str], every: float) -> None:
        super().__init__(daemon=True)
        self._product, self._tally, self._documents, self._every = product, tally, documents, every
        self.ended = threading.Event()

    def run(self) -> None:
        number = 1000
        with self._product.client() as client:
            while not self.ended.wait(self._every):
                number += 1
                at = number % len(self._documents)
                file = {"file": ("valve.txt", text_of(number, WORDS[at]).encode(), "text/plain")}
                try:
                    path = f"/api/v1/documents/{self._documents[at]}/versions/"
                    self._tally.add("upload", client.post(path, files=file))
                except httpx2.HTTPError as error:
                    self._tally.add("upload", error)


def library(product: Product) -> list[str]:
    """Twenty documents, read; their ids."""
    with product.client() as client:
        made = []
        for number, word in enumerate(WORDS):
            file = {"file": (f"{word}.txt", text_of(number, word).encode(), "text/plain")}
            answer = client.post("/api/v1/documents/", data={"collection": "papers"}, files=file)
            made.append(answer.raise_for_status().json()["id"])
        while any(client.get(f"/api/v1/documents/{one}/").json()["status"] != "ready" for one in made):
            time.sleep(0.5)
    return made


def memory(product: Product) -> dict[str, int]:
    """Bytes of the processes of each kind that no other process shares."""
    found: dict[str, int] = {}
    for kind in KINDS:
        total = 0
        for process in product.processes(kind):
            try:
                total += process.memory_full_info().uss
            except psutil.Error:
                continue
        found[kind] = total
    return found


def grown(samples: list[int]) -> dict[str, float]:
    """The last tenth against the first after a warm-up of a tenth; medians, in MB, and the ratio less one."""
    tenth = max(1, len(samples) // 10)
    settled = samples[tenth:] or samples
    first, last = (statistics.median(part) for part in (settled[:tenth], settled[-tenth:]))
    return {"first_mb": round(first / 1e6, 1), "last_mb": round(last / 1e6, 1), "growth": round(last / first - 1, 4)}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Keep the product at work and watch its memory and its errors.")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--load", type=float, default=0.7, help="share of the rate it can take")
    parser.add_argument("--threads", type=int, default=6)
    parser.add_argument("--calibrate", type=float, default=30, help="seconds in which that rate is found")
    parser.add_argument("--database", choices=["sqlite", "postgres"], default="sqlite")
    options = parser.parse_args(arguments)
    with ExitStack() as stack:
        url = stack.enter_context(private_postgres()) if options.database == "postgres" else ""
        data = Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="assistant-soak-", ignore_cleanup_errors=True))
        )
        product = stack.enter_context(Product(data, database_url=url))
        documents = library(product)
        first = Tally()
        with People(product, first, threads=options.threads, rate=None):
            time.sleep(options.calibrate)
        capacity = len(first.waits) / options.calibrate
        if not capacity:
            raise SystemExit(f"No question was answered within {options.calibrate:.0f} s: give --calibrate more time.")
        rate = capacity * options.load
        print(f"{capacity:.1f} questions a second when asked at will; now {rate:.1f} a second", flush=True)
        tally = Tally()
        curator = Curator(product, tally, documents, every=10.0)
        curator.start()
        series: dict[str, list[int]] = {kind: [] for kind in KINDS}
        ends = time.monotonic() + options.minutes * 60
        told = time.monotonic()
        with People(product, tally, threads=2 * options.threads, rate=rate):
            while time.monotonic() < ends:
                for kind, value in memory(product).items():
                    series[kind].append(value)
                if time.monotonic() - told > 60:
                    told = time.monotonic()
                    print(
                        {kind: round(values[-1] / 1e6) for kind, values in series.items()},
                        dict(tally.outcomes),
                        flush=True,
                    )
                time.sleep(min(5.0, options.minutes * 60 / 40))
        curator.ended.set()
        curator.join(60)
        verified = product.manage("audit_verify", check=False).strip().splitlines()[:1]
    return told_of(options, capacity, tally, series, verified)


def told_of(
    options: argparse.Namespace, capacity: float, tally: Tally, series: dict[str, list[int]], verified: list[str]
) -> int:
    calls = sum(tally.outcomes.values())
    errors = tally.outcomes["wrong"] / max(1, calls)
    kinds = {kind: grown(values) for kind, values in series.items()}
    for line in tally.wrong:
        print(f"WRONG: {line}")
    waits = sorted(tally.waits) or [0.0]
    report = {
        "minutes": options.minutes,
        "capacity_per_s": round(capacity, 2),
        "load": options.load,
        "questions": len(tally.waits),
        "calls": calls,
        "outcomes": dict(tally.outcomes),
        "error_rate": round(errors, 5),
        "answer_s": {f"p{part}": round(waits[int(len(waits) * part / 100)], 2) for part in (50, 95, 99)},
        "memory": kinds,
        "audit": verified,
    }
    print(json.dumps(report))
    grew = any(
        found["growth"] >= GROWTH and found["last_mb"] - found["first_mb"] >= SLACK_MB for found in kinds.values()
    )
    return 1 if grew or errors >= ERRORS else 0


if __name__ == "__main__":
    sys.exit(main())
