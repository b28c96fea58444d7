from django.db import migrations

from assistant.vault.ring import Ref
from assistant.vault.upgrading import seal_columns


def document(row):
    return [Ref("document", str(row.pk), root=("collection", str(row.collection_id)))]


def of_document(row):
    return [Ref("document", str(row.document_id))]


def of_version(row):
    return of_document(row.version)


def seal(apps, schema_editor):
    def columns(name, refs, *names, related=()):
        seal_columns(apps.get_model("documents", name), dict.fromkeys(names, refs), related=related)

    columns("Document", document, "title", "source")
    columns("DocumentVersion", of_document, "filename", "hidden_text")
    columns("Page", of_version, "label", "text", related=["version"])
    columns("Chunk", of_document, "headings", "text", "embedding")


class Migration(migrations.Migration):
    atomic = False  # batch by batch; interrupted, it goes on at the next start
    dependencies = [("documents", "0002_sealed_columns")]
    operations = [migrations.RunPython(seal)]
