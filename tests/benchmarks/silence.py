"""Whether time tells what may not be read: calls for foreign objects against calls for objects that do not exist.

    python -m tests.benchmarks.silence [--calls 400] [--seed 1]

The product runs as `manage.py up` runs it. A person without grants asks, in random order over one kept connection, for
objects of somebody else and for ids that name nothing: documents, pages, pictures, downloads, conversations, answers,
their events, over REST and as pages of the browser. For each kind the area under the ROC curve of the response times:
0.5 is a coin; what tells nothing stays between 0.45 and 0.55. `noise` is the same for absent against absent: what
this machine's unrest alone makes of it. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
import uuid
from collections import defaultdict
from pathlib import Path

import httpx2
import numpy as np

from tests.faults.product import Product

OUTSIDER = "outsider@company.example"
REST = {
    "document": "/api/v1/documents/{document}/",
    "page": "/api/v1/documents/{document}/pages/1/",
    "picture": "/api/v1/documents/{document}/pages/1/picture/",
    "rectangles": "/api/v1/documents/{document}/pages/1/rectangles/?quote=valve",
    "download": "/api/v1/documents/{document}/file/",
    "conversation": "/api/v1/conversations/{conversation}/",
    "answer and its citations": "/api/v1/answers/{answer}/",
    "events": "/api/v1/answers/{answer}/events/",
}
PAGES = {
    "document, browser": "/documents/{document}/",
    "page, browser": "/documents/{document}/pages/1/",
    "picture, browser": "/documents/{document}/pages/1/picture/",
    "download, browser": "/documents/{document}/file/",
    "conversation, browser": "/conversations/{conversation}/",
}
SIGN_IN = """
import json
from django.test import Client
from assistant.accounts.models import User
client = Client()
client.force_login(User.objects.get(email="EMAIL"))
print(json.dumps(client.cookies["sessionid"].value))
"""


def make_foreign(product: Product) -> dict[str, str]:
    """A document of a collection without grants, and a conversation about it, all the administrator's."""
    from reportlab.pdfgen.canvas import Canvas

    path = product.data / "secret.pdf"
    canvas = Canvas(str(path), invariant=True)
    canvas.drawString(72, 720, "The brass valve was approved by inspector 1001.")
    canvas.save()
    with product.client() as client:
        client.post("/api/v1/collections/", json={"slug": "board", "name": "Board"}).raise_for_status()
        grant = {"principal": "user:admin@company.example", "access": "reader"}
        client.post("/api/v1/collections/board/grants/", json=grant).raise_for_status()
        file = {"file": ("secret.pdf", path.read_bytes(), "application/pdf")}
        document = client.post("/api/v1/documents/", data={"collection": "board"}, files=file).json()["id"]
        while client.get(f"/api/v1/documents/{document}/").json()["status"] != "ready":
            time.sleep(0.3)
        asked = client.post("/api/v1/answers/?wait=60", json={"question": "Who approved the brass valve?"}).json()
        assert asked["citations"], asked
        client.get(f"/api/v1/documents/{document}/pages/1/picture/").raise_for_status()  # drawn and kept
    return {"document": document, "conversation": asked["conversation"], "answer": asked["id"]}


def auc(longer: np.ndarray, shorter: np.ndarray) -> float:
    """The chance that one of the first takes longer than one of the second; ties count half (Mann and Whitney)."""
    order = np.sort(shorter)
    below = np.searchsorted(order, longer, side="left")
    upto = np.searchsorted(order, longer, side="right")
    return float(((below + upto) / 2).mean() / len(shorter))


def measure(clients: dict[str, httpx2.Client], foreign: dict[str, str], calls: int, dice: random.Random) -> dict:
    """{kind: {"auc", "noise", "foreign_ms", "absent_ms"}}; every answer must be a 404 of one size."""
    plan = [
        (kind, address, which)
        for kind, address in {**REST, **PAGES}.items()
        for which in ("foreign", "absent", "other")
        for _ in range(calls)
    ]
    dice.shuffle(plan)
    taken: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    sizes: dict[str, set[int]] = defaultdict(set)
    for kind, address, which in plan:
        absent = {name: str(uuid.UUID(int=dice.getrandbits(128), version=4)) for name in foreign}
        path = address.format(**(foreign if which == "foreign" else absent))
        client = clients["browser" if kind in PAGES else "rest"]
        began = time.perf_counter()
        answer = client.get(path)
        taken[kind][which].append(time.perf_counter() - began)
        assert answer.status_code == 404, (path, answer.status_code)
        sizes[kind].add(len(answer.content))
    assert all(len(found) == 1 for found in sizes.values()), sizes
    report = {}
    for kind, some in taken.items():
        one, two, three = (np.array(some[which]) * 1000 for which in ("foreign", "absent", "other"))
        report[kind] = {
            "auc": round(auc(one, np.concatenate([two, three])), 3),
            "noise": round(auc(two, three), 3),
            "foreign_ms": round(float(np.median(one)), 2),
            "absent_ms": round(float(np.median(np.concatenate([two, three]))), 2),
        }
        print(f"{kind:26} {report[kind]}", flush=True)
    return report


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure whether time tells foreign from absent.")
    parser.add_argument("--calls", type=int, default=400, help="of each kind for foreign, absent and absent again")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="assistant-bench-") as folder, Product(Path(folder)) as product:
        foreign = make_foreign(product)
        product.manage("create_user", OUTSIDER, "--role", "employee")
        token = product.manage("create_token", OUTSIDER).strip()
        session = product.python(SIGN_IN.replace("EMAIL", OUTSIDER))
        headers = {"Authorization": f"Bearer {token}"}
        with (
            httpx2.Client(base_url=product.address, headers=headers, timeout=60) as rest,
            httpx2.Client(base_url=product.address, cookies={"sessionid": str(session)}, timeout=60) as browser,
        ):
            clients = {"rest": rest, "browser": browser}
            dice = random.Random(options.seed)
            warm = measure(clients, foreign, 3, dice)
            print(f"warmed up on {len(warm)} kinds", flush=True)
            report = measure(clients, foreign, options.calls, dice)
    worst = max(abs(found["auc"] - 0.5) for found in report.values())
    print(json.dumps({"calls": options.calls, "worst_auc": round(0.5 + worst, 3), "kinds": report}))


if __name__ == "__main__":
    main()
