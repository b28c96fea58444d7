"""Plays faults on a running product under load and says whether every promise was kept.

    python -m tests.faults --kills 100 --redis 20 --database 5 --rolling 3 --disk 1     (about an hour)
    python -m tests.faults --kills 3 --redis 3                                           (minutes)

kills: kill -9 of a random worker, its child, beat or web at a random moment; redis: in turn flushed, killed, and
stopped for some seconds; database: PostgreSQL restarted (needs its binaries; without them SQLite is used and this is
left out); rolling: every process ended with SIGTERM, one after the other; disk: the data directory, a small file system
of its own (needs root), filled to the last byte and emptied again. After each fault a new question must be answered
within --within seconds. The last line is one JSON object; the exit status is 1 when a promise was broken.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil
import redis

from tests.postgres import PostgresMissing, restartable_postgres

from . import verdict
from .load import Load
from .product import Product


@contextmanager
def small_disk(megabytes: int) -> Iterator[Path]:
    """A directory on a file system of its own, in memory. Needs root."""
    place = Path(tempfile.mkdtemp(prefix="assistant-disk-"))
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=700", "none", str(place)], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=False)
        place.rmdir()


def kill_one(product: Product, dice: random.Random) -> str:
    kind = dice.choice(("answers", "answers", "ingestion", "ingestion", "beat", "web"))
    running = product.processes(kind)
    if running:
        os.kill(dice.choice(running).pid, signal.SIGKILL)
    return f"kill {kind}"


def hurt_redis(product: Product, number: int) -> str:
    how = ("flushed", "killed", "stopped")[number % 3]
    running = product.processes("redis")
    if how == "flushed":
        redis.Redis(unix_socket_path=str(product.data / "run" / "redis.sock")).flushall()
    elif running and how == "killed":
        running[0].kill()
    elif running:
        running[0].suspend()
        time.sleep(6)
        running[0].resume()
    return f"redis {how}"


def roll(product: Product) -> str:
    for kind in ("answers", "ingestion", "beat", "web"):
        for process in product.processes(kind)[:1]:
            try:
                process.terminate()
                process.wait(60)
            except psutil.Error:
                process.kill()
        deadline = time.monotonic() + 60
        while not product.processes(kind) and time.monotonic() < deadline:
            time.sleep(0.2)
    return "rolling restart"


def fill_disk(product: Product) -> str:
    filler = product.data / "filler"
    with filler.open("wb") as file:
        try:
            while True:
                file.write(b"\0" * 65536)
                file.flush()
        except OSError:
            pass
    time.sleep(8)
    filler.unlink()
    return "disk full"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Play faults on a running product.")
    for name in ("--kills", "--redis", "--database", "--rolling", "--disk"):
        parser.add_argument(name, type=int, default=0)
    parser.add_argument("--within", type=float, default=30.0, help="seconds in which a question must be answered again")
    parser.add_argument("--keep", action="store_true", help="leave the data directory for a look at its logs")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    dice = random.Random(options.seed)
    with ExitStack() as stack:
        restart: Callable[[], None] | None = None
        url = ""
        if options.database:
            try:
                # Durable: a server that does not wait for the disk may forget in a crash what it had promised.
                url, restart = stack.enter_context(restartable_postgres(durable=True))
            except PostgresMissing as missing:
                print(f"Left out: the database restarts, since {missing}.", flush=True)
        if options.disk:
            data = stack.enter_context(small_disk(1400))
        else:
            data = Path(tempfile.mkdtemp(prefix="assistant-faults-"))
            stack.callback(lambda: None if options.keep else shutil.rmtree(data, ignore_errors=True))
        product = stack.enter_context(Product(data, database_url=url))
        plan: list[Callable[[], str]] = [lambda: kill_one(product, dice) for _ in range(options.kills)]
        plan += [lambda number=number: hurt_redis(product, number) for number in range(options.redis)]
        plan += [lambda: roll(product) for _ in range(options.rolling)]
        plan += [lambda: fill_disk(product) for _ in range(options.disk)]
        if restart is not None:
            plan += [lambda: restart() or "database restarted" for _ in range(options.database)]
        dice.shuffle(plan)
        return play(product, plan, dice, within=options.within)


def play(product: Product, plan: list[Callable[[], str]], dice: random.Random, *, within: float) -> int:
    played: Counter[str] = Counter()
    recoveries: dict[str, list[float | None]] = {}
    with Load(product) as load:
        first = load.probe(seconds=120)
        time.sleep(10)
        for fault in plan:
            time.sleep(dice.uniform(0.2, 3.0))
            name = fault()
            played[name] += 1
            took = load.probe(seconds=4 * within)
            recoveries.setdefault(name, []).append(took)
            told = "never" if took is None else f"{took:5.1f} s"
            print(f"{sum(played.values()):4} of {len(plan)}  {name:20} answered again after {told}", flush=True)
    state = verdict.calm(product, load.seen)
    flat = [took for some in recoveries.values() for took in some]
    broken = verdict.faults_in(state, load.seen, flat, within=within)
    verified = product.manage("audit_verify", check=False).strip().splitlines()[-1:]
    for sentence in broken:
        print(f"BROKEN: {sentence}", flush=True)
    worst = {name: None if None in some else round(max(some), 1) for name, some in recoveries.items()}  # type: ignore[type-var, arg-type]
    report = {
        "faults": played,
        "first_answer_s": first and round(first, 1),
        "worst_recovery_s": worst,
        "calls": load.seen.calls,
        "told_to_come_back": load.seen.refused,
        "promised": {"answers": len(load.seen.answers), "documents": len(load.seen.documents)},
        "audit": verified,
        **{name: state[name] for name in ("outcomes", "states")},
        "broken": broken,
    }
    print(json.dumps(report))
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
