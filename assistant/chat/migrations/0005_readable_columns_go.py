# The readable columns, emptied by the migration before, go.

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [('chat', '0004_seal')]
    operations = [
        migrations.RemoveField('conversation', 'plain_title'),
        migrations.RemoveField('answer', 'plain_question'),
        migrations.RemoveField('answer', 'plain_standalone_question'),
        migrations.RemoveField('answer', 'plain_context'),
        migrations.RemoveField('answer', 'plain_text'),
        migrations.RemoveField('answer', 'plain_sentences'),
        migrations.RemoveField('answer', 'plain_thinking'),
        migrations.RemoveField('citation', 'plain_title'),
        migrations.RemoveField('citation', 'plain_quote'),
        migrations.RemoveField('feedback', 'plain_reason'),
    ]
