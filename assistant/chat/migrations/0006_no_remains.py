# No page of the database file may still hold what the readable columns held.

from django.db import migrations

from assistant.vault.remains import rewrite


def forget(apps, schema_editor):
    rewrite(schema_editor.connection, ['chat_conversation', 'chat_answer', 'chat_citation', 'chat_feedback'])


class Migration(migrations.Migration):
    atomic = False
    dependencies = [('chat', '0005_readable_columns_go')]
    operations = [migrations.RunPython(forget, migrations.RunPython.noop)]
