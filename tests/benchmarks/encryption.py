"""What sealing costs: writing, loading and embedding-ready reading of passages, sealed beside plain, in one run.

    python -m tests.benchmarks.encryption [--chunks 100000] [--documents 2000] [--rounds 3]

Two tables of the same passages in one database file: the product's own (sealed) and a plain twin. For each round, in
turn: write all rows, read all rows as a replica's rebuild does, read the chunks of ten random documents as a search
does. The last line is one JSON object: seconds, and the ratio sealed to plain.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chunks", type=int, default=100_000)
    parser.add_argument("--documents", type=int, default=2_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["ASSISTANT_DATA_DIR"] = folder
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "assistant.settings")
        import django

        django.setup()
        print(json.dumps(measure(options, Path(folder))))


def measure(options: argparse.Namespace, folder: Path) -> dict[str, object]:
    from django.core.management import call_command
    from django.db import connection, models, transaction

    from assistant.documents.models import Chunk, Collection, Document, DocumentVersion, Scope
    from assistant.vault import ring

    call_command("migrate", verbosity=0, interactive=False)

    class Plain(models.Model):
        """The product's table of passages, readable."""

        document = models.ForeignKey(Document, on_delete=models.DO_NOTHING, related_name="+")
        version = models.ForeignKey(DocumentVersion, on_delete=models.DO_NOTHING, related_name="+")
        ordinal = models.PositiveIntegerField()
        page = models.PositiveIntegerField()
        headings = models.JSONField(default=list)
        char_start = models.PositiveIntegerField()
        char_end = models.PositiveIntegerField()
        text = models.TextField()
        embedding = models.BinaryField()
        suspicion = models.FloatField(default=0.0)

        class Meta:
            app_label = "documents"
            constraints: ClassVar = [models.UniqueConstraint(fields=["version", "ordinal"], name="plain_unique")]

        def __str__(self) -> str:
            return str(self.pk)

    with connection.schema_editor() as editor:
        editor.create_model(Plain)
    place = Collection.objects.create(slug="b", name="B")
    scope = Scope.objects.create(collection=place, key="")
    each = options.chunks // options.documents
    with transaction.atomic():
        documents = [
            Document.objects.create(collection=place, scope=scope, title=f"T{n}") for n in range(options.documents)
        ]
        versions = [
            DocumentVersion.objects.create(
                document=row, number=1, filename="f", size=1, sha256="0" * 64, embedding_model="m"
            )
            for row in documents
        ]
    words = [
        "policy",
        "travel",
        "allowance",
        "euros",
        "per",
        "day",
        "form",
        "department",
        "approves",
        "request",
        "within",
        "ten",
        "working",
        "days",
    ]
    chooser = random.Random(7)
    texts = [" ".join(chooser.choices(words, k=130)) for _ in range(500)]
    vector = chooser.randbytes(768)
    facts = {"headings": ["Chapter", "Section"], "embedding": vector, "page": 1, "char_start": 0, "char_end": 1}

    def empty(model: type[models.Model]) -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"DELETE FROM {model._meta.db_table}")
        ring.forget()

    def write(model: type[models.Model]) -> None:
        for at, (row, version) in enumerate(zip(documents, versions, strict=True)):
            with transaction.atomic():
                model._default_manager.bulk_create(
                    [
                        model(document=row, version=version, ordinal=n, text=texts[(at + n) % 500], **facts)
                        for n in range(each)
                    ],
                    500,
                )

    def read(model: type[models.Model], keys: list[object], *, sealed: bool) -> None:
        if sealed:
            ring.forget()
        for start in range(0, len(keys), 200):
            batch = keys[start : start + 200]
            if sealed:
                ring.load("document", batch)
            rows = model._default_manager.filter(document__in=batch).values_list(
                "ordinal", "headings", "text", "embedding"
            )
            for row in rows:
                assert len(row[3]) == 768

    keys: list[object] = [row.pk for row in documents]
    few = [chooser.sample(keys, 10) for _ in range(20)]

    def searches(model: type[models.Model], *, sealed: bool) -> None:
        for batch in few:
            read(model, batch, sealed=sealed)

    pairs: dict[str, tuple[Callable[[], None], Callable[[], None]]] = {
        "write": (lambda: write(Plain), lambda: write(Chunk)),
        "read_all": (lambda: read(Plain, keys, sealed=False), lambda: read(Chunk, keys, sealed=True)),
        "ten_documents_20_times_cold_keys": (
            lambda: searches(Plain, sealed=False),
            lambda: searches(Chunk, sealed=True),
        ),
    }
    seconds: dict[str, dict[str, list[float]]] = {name: {"plain": [], "sealed": []} for name in pairs}
    for _ in range(options.rounds):
        for name, (plain, sealed) in pairs.items():
            for kind, act in (("plain", plain), ("sealed", sealed)):
                if name == "write":
                    empty(Plain if kind == "plain" else Chunk)
                start = time.perf_counter()
                act()
                seconds[name][kind].append(time.perf_counter() - start)
    result: dict[str, object] = {"chunks": each * options.documents, "documents": options.documents}
    for name, kinds in seconds.items():
        plain_, sealed_ = (statistics.median(kinds[kind]) for kind in ("plain", "sealed"))
        result[name] = {
            "plain_s": round(plain_, 3),
            "sealed_s": round(sealed_, 3),
            "ratio": round(sealed_ / plain_, 3),
        }
    return result


if __name__ == "__main__":
    main()
