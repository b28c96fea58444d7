"""What it costs that waiting threads hold a core: `python -m tests.benchmarks.spinning --busy 0,4`.

Small products of matrices on all cores, as in an answer's steps, while other processes keep the same cores busy: with
OpenMP's own number of looks before a thread sleeps, and with the product's (GOMP_SPINCOUNT in assistant/settings.py).
The two take turns. Prints a table; the last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys

OURS = "2000"
_WORK = """
import time, torch
layers = torch.nn.Sequential(*[torch.nn.Linear(768, 768) for _ in range(40)])
x = torch.randn(8, 768)
with torch.inference_mode():
    for _ in range(3):
        layers(x)
    began = time.perf_counter()
    for _ in range({rounds}):
        layers(x)
print(time.perf_counter() - began)
"""


def seconds(spin: str | None, rounds: int) -> float:
    environment = {name: value for name, value in os.environ.items() if name != "GOMP_SPINCOUNT"}
    if spin:
        environment["GOMP_SPINCOUNT"] = spin
    command = [sys.executable, "-c", _WORK.format(rounds=rounds)]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    return float(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--busy", default="0,2,4", help="processes that compute beside it")
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    results: dict[str, object] = {"cores": len(os.sched_getaffinity(0))}
    for count in map(int, arguments.busy.split(",")):
        burners = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
        try:
            pairs = [
                (seconds(None, arguments.rounds), seconds(OURS, arguments.rounds)) for _ in range(arguments.repeats)
            ]
        finally:
            for burner in burners:
                burner.kill()
                burner.wait()
        theirs, ours = (statistics.median(times) for times in zip(*pairs, strict=True))
        results[f"busy_{count}"] = {
            "library_s": round(theirs, 3),
            "ours_s": round(ours, 3),
            "times_faster": round(theirs / ours, 2),
        }
        print(
            f"{count} busy processes: {theirs:.2f} s, ours {ours:.2f} s, {theirs / ours:.2f} times faster", flush=True
        )
    print(json.dumps(results))


if __name__ == "__main__":
    main()
