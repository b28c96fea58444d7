from django.db import migrations, models

LIVE = ("queued", "running")


def one_each(apps, schema_editor):
    """Of several live jobs for one thing the first goes on; the others would have done the same again."""
    seen = set()
    for job in apps.get_model("assistant", "ModelJob").objects.filter(state__in=LIVE).order_by("pk"):
        if (job.kind, job.target) in seen:
            job.state, job.fence, job.lease_until = "cancelled", job.fence + 1, None
            job.save(update_fields=["state", "fence", "lease_until"])
        seen.add((job.kind, job.target))


class Migration(migrations.Migration):
    dependencies = [
        ("assistant", "0003_model_work"),
    ]

    operations = [
        migrations.RunPython(one_each, migrations.RunPython.noop),
        migrations.AddConstraint(
            model_name="modeljob",
            constraint=models.UniqueConstraint(
                condition=models.Q(("state__in", LIVE)),
                fields=("kind", "target"),
                name="one_live_job_of_a_kind_and_target",
            ),
        ),
    ]
