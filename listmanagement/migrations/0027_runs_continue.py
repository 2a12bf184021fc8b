"""How long a run has worked, why it ended before its last step, and how often a person had it continue."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("listmanagement", "0026_list_changes"),
    ]

    operations = [
        migrations.AddField(
            model_name="listmaintenancelog",
            name="breakdowns",
            field=models.PositiveSmallIntegerField(
                db_default=0,
                default=0,
                help_text="tries of the step in hand, in a row, that no waiting mends",
            ),
        ),
        migrations.AddField(
            model_name="listmaintenancelog",
            name="continued",
            field=models.PositiveSmallIntegerField(
                db_default=0, default=0, help_text="how often a person had it go on after it had ended"
            ),
        ),
        migrations.AddField(
            model_name="listmaintenancelog",
            name="stopped",
            field=models.TextField(
                blank=True, db_default="", default="", help_text="why it ended before its last step"
            ),
        ),
        migrations.AddField(
            model_name="listmaintenancelog",
            name="worked",
            field=models.FloatField(
                db_default=0.0,
                default=0.0,
                help_text="active seconds since it was started, or continued by a person",
            ),
        ),
        migrations.AddField(
            model_name="listmaintenancelog",
            name="worked_on_step",
            field=models.FloatField(db_default=0.0, default=0.0, help_text="of these, on the step in hand"),
        ),
        migrations.AddConstraint(
            model_name="listmaintenancelog",
            constraint=models.CheckConstraint(
                condition=models.Q(("stopped", ""), ("status__in", ["partial", "failed"]), _connector="OR"),
                name="only_a_run_that_ended_early_was_stopped",
            ),
        ),
        migrations.AddConstraint(
            model_name="listmaintenancelog",
            constraint=models.CheckConstraint(
                condition=models.Q(("worked__gte", 0), ("worked_on_step__gte", 0)),
                name="a_run_works_for_some_time_or_none",
            ),
        ),
    ]
