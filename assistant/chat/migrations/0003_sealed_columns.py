# What can be read about people and documents goes into sealed columns: first beside the readable ones.

from django.db import migrations

import assistant.vault.fields as sealed


class Migration(migrations.Migration):
    dependencies = [
        ('chat', '0002_daily_questions'),
        ('documents', '0003_seal'),
        ('vault', '0001_initial'),
    ]
    operations = [
        migrations.RenameField('conversation', 'title', 'plain_title'),
        migrations.RenameField('answer', 'question', 'plain_question'),
        migrations.RenameField('answer', 'standalone_question', 'plain_standalone_question'),
        migrations.RenameField('answer', 'context', 'plain_context'),
        migrations.RenameField('answer', 'text', 'plain_text'),
        migrations.RenameField('answer', 'sentences', 'plain_sentences'),
        migrations.RenameField('answer', 'thinking', 'plain_thinking'),
        migrations.RenameField('citation', 'title', 'plain_title'),
        migrations.RenameField('citation', 'quote', 'plain_quote'),
        migrations.RenameField('feedback', 'reason', 'plain_reason'),
        migrations.AddField('conversation', 'title', sealed.SealedText(blank=True, default='')),
        migrations.AddField('answer', 'question', sealed.SealedText(default=''), preserve_default=False),
        migrations.AddField('answer', 'standalone_question', sealed.SealedText(blank=True, default='')),
        migrations.AddField('answer', 'context', sealed.SealedJSON(default=list)),
        migrations.AddField('answer', 'text', sealed.SealedText(blank=True, default='')),
        migrations.AddField('answer', 'sentences', sealed.SealedJSON(default=list)),
        migrations.AddField('answer', 'thinking', sealed.SealedText(blank=True, default='')),
        migrations.AddField('citation', 'title', sealed.SealedText(default=''), preserve_default=False),
        migrations.AddField('citation', 'quote', sealed.SealedText(default=''), preserve_default=False),
        migrations.AddField('feedback', 'reason', sealed.SealedText(blank=True, default='')),
    ]
