# The salt is sealed under the keys of the text, as the text is; what lay readable goes, also from the file's pages.

from django.db import migrations, transaction

from assistant.vault import ring
from assistant.vault.fields import Ready
from assistant.vault.ring import Ref
from assistant.vault.remains import rewrite

PURPOSE = "chat.answer.text_salt"


def seal(apps, schema_editor):
    """One by one: interrupted, the next `migrate` goes on with those that still have a readable one."""
    answers = apps.get_model("chat", "Answer").objects
    for pk in answers.order_by("pk").values_list("pk", flat=True):
        with transaction.atomic():
            row = answers.select_for_update().get(pk=pk)
            if not isinstance(row.evidence, dict) or "salt" not in row.evidence:
                continue
            salt = bytes.fromhex(row.evidence.pop("salt"))
            documents = row.rests_on.order_by("pk").values_list("pk", flat=True) if row.text else []
            refs = [Ref("conversation", str(row.conversation_id)), *(Ref("document", str(key)) for key in documents)]
            row.text_salt = Ready(ring.seal(salt, refs, PURPOSE))
            row.save(update_fields=["text_salt", "evidence"])


def forget(apps, schema_editor):
    rewrite(schema_editor.connection, ["chat_answer"])


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("chat", "0007_text_salt")]
    operations = [
        migrations.RunPython(seal, migrations.RunPython.noop),
        migrations.RunPython(forget, migrations.RunPython.noop),
    ]
