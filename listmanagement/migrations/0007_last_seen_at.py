"""Keeps when somebody was last seen on a list that they left between two readings of it."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("listmanagement", "0006_heirs")]

    operations = [
        migrations.AddField(
            model_name="contactlistmembership",
            name="last_seen_at",
            field=models.DateTimeField(
                blank=True,
                help_text="of whoever a reading missed: when they were last seen here",
                null=True,
            ),
        ),
    ]
