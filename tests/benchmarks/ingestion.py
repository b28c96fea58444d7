"""How much faster files become searchable than through a plain pipeline of well-known libraries.

    python -m venv peers && peers/bin/pip install markitdown langchain-text-splitters
    python -m tests.benchmarks.ingestion FOLDER --peers peers/bin/python [--files N] [--rounds N] [--seconds N]
        [--threads N] [--workers N]

Ours is the product's own way, nothing left out: upload (sealed, flushed, audited), then in as many processes as the
product's own worker has (`--workers`) the sandboxed reader, passages, screening, embedding, rows and index event; then
the replica, and one search at the end of each round must find the last file. Theirs is one process on the same cores:
markitdown, langchain's RecursiveCharacterTextSplitter (250 of the model's tokens, a fifth repeated; with the usual
1,000 characters the model would silently drop most of a Chinese passage), sentence-transformers (float32, the same
weights) and a FAISS flat index in memory: no sandbox, no database, nothing durable.

Files are drawn by seed, as many from each corpus (a folder in FOLDER), and each round has some of each. A round's files
go through both sides, one after the other, so that a busy machine is busy for both; no round begins after `--seconds`.
torch, FAISS and sentence-transformers come from this project's environment for both. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import itertools
import json
import multiprocessing
import os
import random
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path

TOKENS = 250  # with the two special ones below what the model reads: neither side embeds text that is then cut off
WARM = 5  # files, one of each corpus, read before the clock starts, as a worker has read some before


def plain_pipeline(model: str, threads: int) -> None:
    """The other side: for each line of paths, seconds and passages. Runs under the peers' interpreter."""
    import faiss
    import torch
    from langchain_text_splitters import RecursiveCharacterTextSplitter
    from markitdown import MarkItDown
    from sentence_transformers import SentenceTransformer

    torch.set_num_threads(threads)
    faiss.omp_set_num_threads(threads)
    convert = MarkItDown()
    embed = SentenceTransformer(model, device="cpu", local_files_only=True)
    splitter = RecursiveCharacterTextSplitter.from_huggingface_tokenizer(
        embed.tokenizer, chunk_size=TOKENS, chunk_overlap=TOKENS // 5
    )
    embed.encode(["warm-up"] * 8)
    index = faiss.IndexFlatIP(384)
    print("ready", flush=True)
    for line in sys.stdin:
        start = time.perf_counter()
        passages = [
            part for path in json.loads(line) for part in splitter.split_text(convert.convert(path).text_content)
        ]
        index.add(embed.encode(passages, normalize_embeddings=True, show_progress_bar=False))
        print(json.dumps([time.perf_counter() - start, len(passages)]), flush=True)


@contextmanager
def peer(python: Path, threads: int) -> Iterator[subprocess.Popen[str]]:
    """The plain pipeline, warm."""
    from retrieval.embedding import model_folder

    installed = sysconfig.get_path("purelib")
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": os.environ["HOME"],
        "PYTHONPATH": installed,
        "OMP_NUM_THREADS": str(threads),
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
    }
    command = [str(python), __file__, "--plain", str(model_folder()), "--threads", str(threads)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, cwd="/"
    ) as process:
        assert process.stdout is not None
        if process.stdout.readline().strip() != "ready":
            raise SystemExit("The plain pipeline does not start; see above. Are the peers installed?")
        yield process
        assert process.stdin is not None
        process.stdin.close()


def theirs(process: subprocess.Popen[str], paths: list[Path]) -> tuple[float, int]:
    assert process.stdin is not None
    assert process.stdout is not None
    print(json.dumps([str(path.absolute()) for path in paths]), file=process.stdin, flush=True)
    seconds, passages = json.loads(process.stdout.readline())
    return float(seconds), int(passages)


def worker(threads: int) -> None:
    """Make this process ready to ingest, as a worker process of the product is."""
    import django

    django.setup()
    from assistant import engines
    from retrieval.embedding import MiniLMEmbedder

    embedder = MiniLMEmbedder.load(threads=threads)
    engines._load_embedder = lambda: embedder
    embedder.embed(["warm-up"])


def ingested(version: int) -> bool:
    """Whether the version could be read. Runs in a worker process."""
    from assistant.documents import ingestion

    return isinstance(ingestion.ingest(version), ingestion.Ready)


class Ours:
    """A fresh installation in a temporary folder; uploads run here, ingestion in the worker processes."""

    def __init__(self, threads: int, workers: Executor) -> None:
        worker(threads)
        from django.core.management import call_command

        call_command("migrate", verbosity=0)
        from assistant import engines
        from assistant.accounts.models import User
        from assistant.documents import replica, services

        self._workers = workers
        self._embedder = engines.embedder()
        self._actor = User.objects.create_user(email="bench@example.com", password=None, role="administrator")
        self._collection = services.create_collection(actor=self._actor, slug="bench", name="Bench")
        services.grant_collection(actor=self._actor, collection=self._collection, principal="everyone", access="reader")
        self._replica = replica.DocumentReplica(
            dimension=self._embedder.dimension, model_id=self._embedder.model_id, folder=Path(tempfile.mkdtemp())
        )

    def __call__(self, paths: list[Path]) -> tuple[float, int]:
        from assistant.documents import services
        from assistant.documents.models import Chunk
        from assistant.documents.search import Searcher

        before = Chunk.objects.count()
        start = time.perf_counter()
        jobs = []
        for path in paths:
            with path.open("rb") as stream:
                document, _ = services.upload(
                    actor=self._actor, collection=self._collection, file=stream, filename=path.name
                )
            jobs.append((document, self._workers.submit(ingested, document.latest.pk)))
        last = [document for document, job in jobs if job.result()][-1]
        searcher = Searcher(embedder=self._embedder, replica=self._replica)
        words = Chunk.objects.filter(document=last).first()
        assert words is not None
        found = searcher.search(user=self._actor, text=words.text[:300], limit=50).passages
        seconds = time.perf_counter() - start
        assert last.pk in {hit.chunk.document_id for hit in found}, "what was read last is not found"
        return seconds, Chunk.objects.count() - before


def sample(folder: Path, count: int) -> list[Path]:
    """`count` files, or all there are: one of each corpus, again and again."""
    corpora: list[list[Path]] = []
    for corpus in sorted(path for path in folder.iterdir() if path.is_dir()) or [folder]:
        files = [path for path in sorted(corpus.rglob("*.md")) if path.stat().st_size > 200]
        random.Random(11).shuffle(files)
        corpora.append(files)
    turns = (path for turn in itertools.zip_longest(*corpora) for path in turn if path is not None)
    return list(itertools.islice(turns, count))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, help="unpacked corpora: *.md below it")
    parser.add_argument("--peers", type=Path, help="the interpreter in which markitdown and langchain are installed")
    parser.add_argument("--files", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=400.0, help="no round begins later than this")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--workers", type=int, default=2, help="our processes; 2 is the product's own setting")
    parser.add_argument("--plain", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.plain:
        plain_pipeline(options.plain, options.threads)
        return
    if options.folder is None or options.peers is None:
        parser.error("name a folder and --peers")
    files = sample(options.folder, WARM + options.files)
    warm, files = files[:WARM], files[WARM:]
    each = -(-len(files) // options.rounds)
    rounds = [files[start : start + each] for start in range(0, len(files), each)]
    with tempfile.TemporaryDirectory(prefix="bench-") as data:
        os.environ.update(ASSISTANT_DATA_DIR=data, DJANGO_SETTINGS_MODULE="assistant.settings")
        os.environ["REDIS_URL"] = f"unix://{data}/redis.sock?db=0"
        from assistant.runtime import private_redis

        with (
            private_redis.running(directory=Path(data), socket=Path(data) / "redis.sock"),
            peer(options.peers.absolute(), options.threads) as process,
            ProcessPoolExecutor(
                options.workers, multiprocessing.get_context("spawn"), worker, (options.threads,)
            ) as workers,
        ):
            ours = Ours(options.threads, workers)
            ours(warm)
            theirs(process, warm)
            measured = []
            began = time.monotonic()
            for paths in rounds:
                if time.monotonic() - began < options.seconds:
                    measured.append((ours(paths), theirs(process, paths)))
    done = sum(map(len, rounds[: len(measured)]))
    ratios = sorted(their[0] / our[0] for our, their in measured)
    our_time, their_time = (sum(pair[side][0] for pair in measured) for side in (0, 1))
    result = {
        "benchmark": "ingestion",
        "baseline": "markitdown + langchain splitter + sentence-transformers + FAISS flat",
        "files": done,
        "threads": options.threads,
        "workers": options.workers,
        "files_per_second": round(done / our_time, 2),
        "passages": sum(pair[0][1] for pair in measured),
        "baseline_passages": sum(pair[1][1] for pair in measured),
        "ratio": round(their_time / our_time, 2),
        "ratio_by_round": [round(ratio, 2) for ratio in ratios],
    }
    for name, value in result.items():
        print(f"{name:20} {value}")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
