from django.db import migrations

from assistant.vault.ring import Ref
from assistant.vault.upgrading import seal_columns


def conversation(row):
    return [Ref("conversation", str(row.pk), root=("person", str(row.owner_id)))]


def of_conversation(row):
    return [Ref("conversation", str(row.conversation_id))]


def of_text(row):
    documents = row.rests_on.order_by("pk").values_list("pk", flat=True)
    return [*of_conversation(row), *(Ref("document", str(key)) for key in documents)]


def of_citation(row):
    return [*of_conversation(row.answer), Ref("document", str(row.document_id))]


def of_feedback(row):
    return of_conversation(row.answer)


def seal(apps, schema_editor):
    answers = dict.fromkeys(("question", "standalone_question", "context"), of_conversation)
    answers |= dict.fromkeys(("text", "sentences", "thinking"), of_text)
    seal_columns(apps.get_model("chat", "Conversation"), {"title": conversation})
    seal_columns(apps.get_model("chat", "Answer"), answers)
    quotes = {"title": of_citation, "quote": of_citation}
    seal_columns(apps.get_model("chat", "Citation"), quotes, related=["answer"])
    seal_columns(apps.get_model("chat", "Feedback"), {"reason": of_feedback}, related=["answer"])


class Migration(migrations.Migration):
    atomic = False  # batch by batch; interrupted, it goes on at the next start
    dependencies = [("chat", "0003_sealed_columns"), ("documents", "0003_seal")]
    operations = [migrations.RunPython(seal)]
