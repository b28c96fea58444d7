from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [('documents', '0006_legal_holds')]
    operations = [migrations.AddField('legalhold', 'lift_reason', models.CharField(max_length=500, blank=True, default=''))]
