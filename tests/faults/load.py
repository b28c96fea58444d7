"""People at work while the machine misbehaves: they ask, they upload, they try again as told, and write down what they
were promised and everything odd they saw.

Knows: REST. A call that was answered 202 is a promise; the same Idempotency-Key and the same bytes make trying again
safe. Does not know: faults.
"""

from __future__ import annotations

import random
import threading
import time
import uuid
from dataclasses import dataclass, field

import httpx2

from .product import Product

TRACES = ("Traceback (most recent call last)", 'File "/', "OperationalError", "ConnectionError", "celery.", "redis.")
EXPECTED = {200, 202, 404, 409, 429, 503}


@dataclass(slots=True)
class Seen:
    """What was promised, and what nobody should have seen."""

    answers: dict[str, str] = field(default_factory=dict)  # id -> question
    documents: dict[str, str] = field(default_factory=dict)  # id -> its one word
    oddities: list[str] = field(default_factory=list)
    calls: int = 0
    refused: int = 0  # 429, 503, or nobody listening
    lock: threading.Lock = field(default_factory=threading.Lock)


def text_of(number: int, word: str) -> str:
    lines = [f"Report {number} on the {word} valve.", ""]
    lines += [f"Step {step}: the {word} valve is tested at {step * number % 97 + 1} bar." for step in range(1, 30)]
    lines.append(f"The {word} valve was approved by inspector {number + 1000}.")
    return "\n\n".join(lines)


class Load:
    """`with Load(product) as load:` keeps asking and uploading until the block ends."""

    def __init__(self, product: Product, *, seed: int = 1, pause: float = 0.4) -> None:
        self.product = product
        self.seen = Seen()
        self._pause = pause
        self._dice = random.Random(seed)
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._ask, self._ask, self._upload)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(120)

    def call(self, client: httpx2.Client, method: str, path: str, *, patience: float = 90.0, **arguments):
        """The answer, tried again while the product says "later" or nobody listens; None when patience ends."""
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            self.seen.calls += 1
            try:
                answer = client.request(method, path, **arguments)
            except httpx2.HTTPError:
                self.seen.refused += 1
                time.sleep(0.3)
                continue
            if answer.status_code not in EXPECTED or any(trace in answer.text for trace in TRACES):
                with self.seen.lock:
                    self.seen.oddities.append(f"{method} {path}: {answer.status_code} {answer.text[:300]}")
            if answer.status_code in {429, 500, 502, 503, 504}:
                self.seen.refused += 1
                time.sleep(min(2.0, float(answer.headers.get("Retry-After", 1))))
                continue
            return answer
        return None

    def ask(self, client: httpx2.Client, question: str) -> str | None:
        key = {"Idempotency-Key": uuid.uuid4().hex}
        answer = self.call(client, "POST", "/api/v1/answers/", json={"question": question}, headers=key)
        if answer is None or answer.status_code != 202:
            return None
        with self.seen.lock:
            self.seen.answers[answer.json()["id"]] = question
        return str(answer.json()["id"])

    def probe(self, *, seconds: float) -> float | None:
        """Seconds until a question asked now is answered; None when it is not within `seconds`."""
        began = time.monotonic()
        with self.product.client() as client:
            asked = self.ask(client, "Who approved the valve?")
            while asked and time.monotonic() - began < seconds:
                answer = self.call(client, "GET", f"/api/v1/answers/{asked}/", patience=seconds)
                if answer is not None and answer.status_code == 200 and answer.json()["status"] == "done":
                    return time.monotonic() - began
                time.sleep(0.2)
        return None

    def _ask(self) -> None:
        with self.product.client() as client:
            while not self._stop.wait(self._pause * self._dice.random() * 2):
                words = list(self.seen.documents.values()) or ["first"]
                self.ask(client, f"At what pressure is the {self._dice.choice(words)} valve tested in step 7?")

    def _upload(self) -> None:
        number = 0
        with self.product.client() as client:
            while not self._stop.wait(self._pause * self._dice.random() * 4):
                number += 1
                word = f"{self._dice.choice(('brass', 'steel', 'copper', 'zinc'))}{number}"
                file = {"file": (f"{word}.txt", text_of(number, word).encode(), "text/plain")}
                answer = self.call(client, "POST", "/api/v1/documents/", data={"collection": "papers"}, files=file)
                if answer is not None and answer.status_code in {200, 202}:
                    with self.seen.lock:
                        self.seen.documents[answer.json()["id"]] = word
