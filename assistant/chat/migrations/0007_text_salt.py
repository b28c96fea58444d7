# A sealed column for the salt of a text's commitment, which lay readable in `evidence`.

from django.db import migrations

import assistant.vault.fields as sealed


class Migration(migrations.Migration):
    dependencies = [('chat', '0006_no_remains'), ('vault', '0001_initial')]
    operations = [migrations.AddField('answer', 'text_salt', sealed.SealedBytes(default=b''))]
