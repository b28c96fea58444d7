# No page of the database file may still hold what the readable columns held.

from django.db import migrations

from assistant.vault.remains import rewrite


def forget(apps, schema_editor):
    rewrite(schema_editor.connection, ['documents_document', 'documents_documentversion', 'documents_page', 'documents_chunk'])


class Migration(migrations.Migration):
    atomic = False
    dependencies = [('documents', '0004_readable_columns_go')]
    operations = [migrations.RunPython(forget, migrations.RunPython.noop)]
