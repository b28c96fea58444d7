"""Writing to the audit log from many processes, and walking a long one.

    python -m tests.benchmarks.audit [--processes N] [--seconds S] [--rounds N] [--databases sqlite,postgresql]
                                     [--events N] [--former DIR]

- append: every process records events as fast as it can, each in a transaction of its own, on a durable database
  (SQLite with synchronous=FULL; PostgreSQL with fsync and synchronous_commit). The baseline `plain` inserts the same
  columns into a table without chain, lock, trigger or head file, through the same connection, in turns with ours.
  `--former DIR` names a checkout of an earlier commit with the same tables (`git worktree add DIR COMMIT`): its code
  writes to the same log, in turns with ours, and `over_former` is ours over it.
- verify: `--events` events in SQLite are walked by `reading.verify_log` in a process of its own. The baseline `read`
  fetches the same rows the same way and checks nothing. 0 leaves this out.

`ratio` is ours over the baseline: appends per second, and seconds of the walk. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
DETAIL = {"documents": [f"00000000-0000-4000-8000-{number:012d}" for number in range(5)], "index_seq": 17}
PLAIN = (
    "CREATE TABLE bench_plain (id {serial}, at varchar(40), request_id varchar(64), actor varchar(64), "
    "role varchar(20), action varchar(64), target_id varchar(64), outcome varchar(20), detail text, "
    "previous varchar(64), digest varchar(64), mac varchar(64))"
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--databases", default="sqlite,postgresql")
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--former", type=Path, help="checkout of an earlier commit to compare with")
    parser.add_argument("--worker", choices=["ours", "plain", "verify", "read", "fill"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        _work(options)
        return
    from tests.postgres import private_postgres

    result: dict[str, Any] = {"processes": options.processes, "cores": os.cpu_count()}
    for name in filter(None, options.databases.split(",")):
        server = private_postgres(durable=True) if name == "postgresql" else nullcontext("")
        with tempfile.TemporaryDirectory(prefix="bench-audit-") as data, server as url:
            environment = _environment(data, url)
            _manage(environment, "migrate", "--verbosity", "0")
            _alone(environment, "plain", 0)  # makes its table, which many at once cannot
            rounds: dict[str, list[dict[str, Any]]] = {"ours": [], "plain": []}
            if options.former:
                rounds["former"] = []
            for _ in range(options.rounds):
                for kind, found in rounds.items():
                    tree, worker = (options.former, "ours") if kind == "former" else (ROOT, kind)
                    found.append(_together(environment, worker, options.processes, options.seconds, tree))
            _manage(environment, "audit_verify")
            told: dict[str, Any] = {kind: _summed(many) for kind, many in rounds.items()}
            ours = told["ours"]["per_second"]
            told["ratio"] = round(ours / max(told["plain"]["per_second"], 0.1), 3)
            if options.former:
                told["over_former"] = round(ours / max(told["former"]["per_second"], 0.1), 2)
            result[name] = told
            print(f"{name}: {json.dumps(told)}", flush=True)
    if options.events:
        result["verify"] = measure_verify(options.events)
    print(json.dumps(result))


def measure_verify(events: int) -> dict[str, Any]:
    """Seconds and peak memory (MB) of walking a log of `events`, beside those of only reading it."""
    with tempfile.TemporaryDirectory(prefix="bench-audit-") as data:
        environment = _environment(data, "")
        _manage(environment, "migrate", "--verbosity", "0")
        _alone(environment, "fill", events)
        read, verify = _alone(environment, "read", events), _alone(environment, "verify", events)
    return {"events": events, "verify": verify, "read": read, "ratio": round(verify["seconds"] / read["seconds"], 2)}


def _environment(data: str, url: str) -> dict[str, str]:
    found = {**os.environ, "ASSISTANT_DATA_DIR": data, "DJANGO_SETTINGS_MODULE": "assistant.settings"}
    found.pop("DATABASE_URL", None)
    return {**found, "DATABASE_URL": url} if url else found


def _manage(environment: dict[str, str], *arguments: str) -> None:
    subprocess.run([sys.executable, "manage.py", *arguments], cwd=ROOT, env=environment, check=True)


def _start(
    environment: dict[str, str], kind: str, seconds: float, events: int = 0, tree: Path = ROOT
) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.benchmarks.audit", "--worker", kind, "--seconds", str(seconds)]
    return subprocess.Popen(
        [*command, "--events", str(events)],
        cwd=tree,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def _told(process: subprocess.Popen[str]) -> dict[str, Any]:
    out, _ = process.communicate("go\n")
    if process.returncode:
        raise RuntimeError("a worker failed; see above")
    told: dict[str, Any] = json.loads(out.splitlines()[-1])
    return told


def _alone(environment: dict[str, str], kind: str, events: int) -> dict[str, Any]:
    return _told(_start(environment, kind, 0, events))


def _together(environment: dict[str, str], kind: str, processes: int, seconds: float, tree: Path) -> dict[str, Any]:
    started = [_start(environment, kind, seconds, tree=tree) for _ in range(processes)]
    for process in started:
        assert process.stdout is not None
        process.stdout.readline()  # ready
    for process in started:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    told = []
    for process in started:
        out, _ = process.communicate()
        told.append(json.loads(out.splitlines()[-1]))
    times = [value for item in told for value in item["times"]]
    return {"per_second": len(times) / seconds, "times": times, "refused": sum(item["refused"] for item in told)}


def _summed(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    times = sorted(value for item in rounds for value in item["times"])
    return {
        "per_second": round(sum(item["per_second"] for item in rounds) / len(rounds), 1),
        "p50_ms": round(1000 * times[len(times) // 2], 2),
        "p99_ms": round(1000 * times[int(len(times) * 0.99)], 2),
        "refused": sum(item["refused"] for item in rounds),
    }


# --- in the processes ---


def _work(options: argparse.Namespace) -> None:
    import django

    django.setup()
    print("ready", flush=True)
    sys.stdin.readline()
    if options.worker in {"ours", "plain"}:
        print(json.dumps(_append(options.worker, options.seconds)))
        return
    began = time.monotonic()
    {"fill": _fill, "verify": _verify, "read": _read}[options.worker](options.events)
    print(json.dumps({"seconds": round(time.monotonic() - began, 2), "peak_mb": _peak_mb()}))


def _peak_mb() -> int:
    """This program's own peak. (`ru_maxrss` counts the process that started it, too.)"""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) // 1024
    raise RuntimeError("the kernel tells no peak")


def _append(kind: str, seconds: float) -> dict[str, Any]:
    from django.db import DatabaseError, connection

    from assistant.audit import services
    from assistant.errors import AuditUnavailable

    serial = "bigserial PRIMARY KEY" if connection.vendor == "postgresql" else "integer PRIMARY KEY AUTOINCREMENT"
    insert = f"INSERT INTO bench_plain (at, request_id, actor, role, action, target_id, outcome, detail, previous, digest, mac) VALUES ({', '.join(['%s'] * 11)})"  # noqa: E501
    row = ["2026-01-01T00:00:00.000000Z", "r" * 32, "user:7", "employee", "search.shown", "", "success"]
    row += [json.dumps(DETAIL), "0" * 64, "1" * 64, "2" * 64]
    if kind == "plain":
        with connection.cursor() as cursor:
            cursor.execute(PLAIN.format(serial=serial).replace("CREATE TABLE", "CREATE TABLE IF NOT EXISTS"))
    times: list[float] = []
    refused, until = 0, time.monotonic() + seconds
    while (began := time.monotonic()) < until:
        try:
            if kind == "ours":
                services.record(action="search.shown", detail=DETAIL)
            else:
                with connection.cursor() as cursor:
                    cursor.execute(insert, row)
        except (AuditUnavailable, DatabaseError):
            refused += 1
        else:
            times.append(round(time.monotonic() - began, 5))
    return {"times": times, "refused": refused}


def _fill(events: int) -> None:
    from datetime import UTC, datetime, timedelta

    from django.db import connection, transaction

    from assistant.audit import chain, services

    ours = services.current_keys()
    begin = datetime.now(UTC) - timedelta(milliseconds=events + 1000)
    retrieved = [{"chunk": n, "document": DETAIL["documents"][n % 5], "page": 1, "score": 0.5} for n in range(10)]
    previous, rows = chain.GENESIS, []
    insert = f"INSERT INTO audit_auditevent VALUES ({', '.join(['?'] * 17)})"
    connection.ensure_connection()
    with transaction.atomic():
        raw = connection.connection
        for seq in range(1, events + 1):
            at = begin + timedelta(milliseconds=seq)
            detail: dict[str, Any] = DETAIL if seq % 10 else {**DETAIL, "retrieved": retrieved}
            record: chain.Record = {
                "schema": 2, "seq": seq, "at": chain.timestamp(at), "request_id": f"{seq:032x}",
                "actor": f"user:{seq % 500}", "role": "employee", "session": "0" * 16, "origin": "10.0.0.1",
                "action": "search.shown", "target_type": "", "target_id": "", "outcome": "success",
                "detail": detail, "commitment": "", "previous": previous,
            }  # fmt: skip
            digest = chain.digest(record)
            stored = {**record, "at": at.strftime("%Y-%m-%d %H:%M:%S.%f"), "detail": json.dumps(detail)}
            columns = ("seq", "schema", "at", "request_id", "actor", "role", "session", "origin", "action")
            columns += ("target_type", "target_id", "outcome", "detail", "commitment", "previous")
            rows.append((*(stored[name] for name in columns), digest, chain.mac(ours.mac, digest)))
            previous = digest
            if len(rows) == 5000:
                raw.executemany(insert, rows)
                rows.clear()
        raw.executemany(insert, rows)
    services.seal_segments()
    services.checkpoint()


def _verify(events: int) -> None:
    from assistant.audit import reading

    report = reading.verify_log()
    assert report.ok, report.finding
    assert report.events >= events


def _read(events: int) -> None:
    from assistant.audit import reading
    from assistant.audit.models import AuditEvent

    assert sum(1 for _ in reading.links(AuditEvent.objects.order_by("seq"))) >= events


if __name__ == "__main__":
    main()
