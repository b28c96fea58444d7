from django.db import migrations

from assistant.audit import triggers


def install(apps, schema_editor):
    triggers.remove(schema_editor.connection)  # an installation that has the first set
    triggers.install(schema_editor.connection)


def remove(apps, schema_editor):
    triggers.remove(schema_editor.connection)


class Migration(migrations.Migration):
    dependencies = [("audit", "0003_pruning_permits")]
    operations = [migrations.RunPython(install, remove)]
