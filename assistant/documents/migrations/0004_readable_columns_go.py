# The readable columns, emptied by the migration before, go.

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [('documents', '0003_seal')]
    operations = [
        migrations.RemoveField('document', 'plain_title'),
        migrations.RemoveField('document', 'plain_source'),
        migrations.RemoveField('documentversion', 'plain_filename'),
        migrations.RemoveField('documentversion', 'plain_hidden_text'),
        migrations.RemoveField('page', 'plain_label'),
        migrations.RemoveField('page', 'plain_text'),
        migrations.RemoveField('chunk', 'plain_headings'),
        migrations.RemoveField('chunk', 'plain_text'),
        migrations.RemoveField('chunk', 'plain_embedding'),
    ]
