"""Keeps when an override was stated: it passes no pause that began later."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("listmanagement", "0004_looks_say_of_what")]

    operations = [
        migrations.AddField(
            model_name="listmaintenancelog",
            name="overridden_at",
            field=models.DateTimeField(
                blank=True, help_text="when that was said: it passes no pause that began later", null=True
            ),
        ),
        migrations.RunSQL(
            "update listmanagement_listmaintenancelog set overridden_at = created_at where override <> ''",
            migrations.RunSQL.noop,
        ),
        migrations.AddConstraint(
            model_name="listmaintenancelog",
            constraint=models.CheckConstraint(
                condition=models.Q(override="", overridden_at=None)
                | (~models.Q(override="") & models.Q(overridden_at__isnull=False)),
                name="an_override_says_since_when",
            ),
        ),
    ]
