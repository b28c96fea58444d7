# What can be read about people and documents goes into sealed columns: first beside the readable ones.

from django.db import migrations

import assistant.vault.fields as sealed


class Migration(migrations.Migration):
    dependencies = [
        ('documents', '0001_initial'),
        ('vault', '0001_initial'),
    ]
    operations = [
        migrations.RenameField('document', 'title', 'plain_title'),
        migrations.RenameField('document', 'source', 'plain_source'),
        migrations.RenameField('documentversion', 'filename', 'plain_filename'),
        migrations.RenameField('documentversion', 'hidden_text', 'plain_hidden_text'),
        migrations.RenameField('page', 'label', 'plain_label'),
        migrations.RenameField('page', 'text', 'plain_text'),
        migrations.RenameField('chunk', 'headings', 'plain_headings'),
        migrations.RenameField('chunk', 'text', 'plain_text'),
        migrations.RenameField('chunk', 'embedding', 'plain_embedding'),
        migrations.AddField('document', 'title', sealed.SealedText(default=''), preserve_default=False),
        migrations.AddField('document', 'source', sealed.SealedText(blank=True, default='', editable=False)),
        migrations.AddField('documentversion', 'filename', sealed.SealedText(default=''), preserve_default=False),
        migrations.AddField('documentversion', 'hidden_text', sealed.SealedJSON(default=list)),
        migrations.AddField('page', 'label', sealed.SealedText(blank=True, default='')),
        migrations.AddField('page', 'text', sealed.SealedText(default=''), preserve_default=False),
        migrations.AddField('chunk', 'headings', sealed.SealedJSON(default=list)),
        migrations.AddField('chunk', 'text', sealed.SealedText(default=''), preserve_default=False),
        migrations.AddField('chunk', 'embedding', sealed.SealedBytes(default=b''), preserve_default=False),
        migrations.AddField('documentversion', 'file_key', sealed.SealedBytes(default=b'', editable=False)),
    ]
