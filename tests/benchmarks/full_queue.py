"""How soon a full queue says so: POST /api/v1/answers/ against the running product, whose queue other people filled.

    python -m tests.benchmarks.full_queue [--calls 300] [--threads 4]

Baseline, interleaved in the same run: GET /healthz, a call that needs nothing. The last line is one JSON object with
the percentiles of the 429 in milliseconds and their ratio to those of the baseline.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import numpy as np

from tests.faults.product import Product


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure how soon a full queue is refused.")
    parser.add_argument("--calls", type=int, default=300)
    parser.add_argument("--threads", type=int, default=4)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="assistant-bench-") as folder:
        product = Product(Path(folder))
        product.environment["ANSWER_QUEUE_LIMIT"] = "4"
        with product:
            for process in product.processes("answers") + product.processes("beat"):
                process.suspend()  # nobody answers: what waits keeps waiting
            try:
                report = measure(product, options.calls, options.threads)
            finally:
                for process in product.processes("answers") + product.processes("beat"):
                    process.resume()
    print(json.dumps(report))


def measure(product: Product, calls: int, threads: int) -> dict[str, object]:
    for number in range(4):  # nobody may take more than half of it
        product.manage("create_user", f"person{number}@company.example", "--role", "employee")
        headers = {
            "Authorization": f"Bearer {product.manage('create_token', f'person{number}@company.example').strip()}"
        }
        with httpx2.Client(base_url=product.address, headers=headers, timeout=60) as other:
            while other.post("/api/v1/answers/", json={"question": "Who waits?"}).status_code == 202:
                pass
    with product.client() as client:

        def one(_: int) -> tuple[float, float]:
            began = time.perf_counter()
            client.get("/healthz").raise_for_status()
            between = time.perf_counter()
            refused = client.post("/api/v1/answers/", json={"question": "Is there room?"})
            ended = time.perf_counter()
            assert refused.status_code == 429, refused.text
            assert int(refused.headers["Retry-After"]) > 0
            return between - began, ended - between

        with ThreadPoolExecutor(threads) as pool:
            taken = np.array(list(pool.map(one, range(calls)))) * 1000
    baseline, full = ([round(float(value), 1) for value in np.percentile(row, (50, 95, 99))] for row in taken.T)
    under = round(float((taken[:, 1] <= 100).mean()), 4)
    return {
        "calls": calls,
        "threads": threads,
        "within_100_ms": under,
        "healthz_ms": baseline,
        "full_ms": full,
        "ratio_p50": round(full[0] / baseline[0], 2),
    }


if __name__ == "__main__":
    main()
