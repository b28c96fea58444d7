# PostgreSQL keeps sample values of columns in its statistics, and would keep an erased person's name and address there.

from django.db import migrations

INDEXES = """
SELECT index.relname, attribute.attnum
FROM pg_index JOIN pg_class AS index ON index.oid = pg_index.indexrelid
JOIN pg_attribute AS attribute ON attribute.attrelid = index.oid
WHERE pg_index.indrelid = 'accounts_user'::regclass AND pg_index.indexprs IS NOT NULL
"""


def none_kept(apps, schema_editor):
    if schema_editor.connection.vendor != "postgresql":
        return
    with schema_editor.connection.cursor() as cursor:
        for column in ("email", "name", "password"):
            cursor.execute(f'ALTER TABLE accounts_user ALTER COLUMN "{column}" SET STATISTICS 0')
        cursor.execute(INDEXES)
        for index, number in cursor.fetchall():
            cursor.execute(f'ALTER INDEX "{index}" ALTER COLUMN {number} SET STATISTICS 0')


class Migration(migrations.Migration):
    dependencies = [("accounts", "0001_initial")]
    operations = [migrations.RunPython(none_kept, migrations.RunPython.noop)]
