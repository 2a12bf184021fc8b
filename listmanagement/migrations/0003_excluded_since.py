"""Keeps when somebody was first seen excluded from campaigns; whether they are follows from it."""

from django.db import migrations, models


def _without_triggers(statement: str) -> str:
    """No list's numbers change by it, so none is counted anew."""
    table = "alter table listmanagement_contact"
    return f"{table} disable trigger user; {statement}; {table} enable trigger user"


class Migration(migrations.Migration):
    dependencies = [("listmanagement", "0002_triggers")]

    operations = [
        migrations.AddField(
            model_name="contact",
            name="excluded_since",
            field=models.DateTimeField(
                blank=True,
                help_text="when Mailjet was first seen to exclude them from campaigns",
                null=True,
            ),
        ),
        migrations.RunSQL(
            _without_triggers("update listmanagement_contact set excluded_since = now() where excluded"),
            _without_triggers("update listmanagement_contact set excluded = excluded_since is not null"),
        ),
        migrations.RemoveField(model_name="contact", name="excluded"),
        migrations.AddField(
            model_name="contact",
            name="excluded",
            field=models.GeneratedField(
                db_persist=True,
                expression=models.ExpressionWrapper(
                    models.Q(excluded_since__isnull=False), output_field=models.BooleanField()
                ),
                output_field=models.BooleanField(),
            ),
        ),
    ]
