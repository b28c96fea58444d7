from django.db import migrations


class Migration(migrations.Migration):
    """Triggers once began here; since 0004 they speak of a table that 0003 makes, and are installed there."""

    dependencies = [("audit", "0001_initial")]
    operations = []
