"""A run of its own for what became known late, and the job that starts runs whose time has come."""

from django.db import migrations, models

KINDS = ["post_campaign", "late_evidence", "weekly_health", "consent", "reconciliation"]
JOBS = [
    "refresh_cache",
    "sync_campaigns",
    "late_outcomes",
    "start_runs",
    "watch_events",
    "forget_events",
    "reconcile",
]

# The former release knows late evidence as maintenance, and nothing of the new job.
BACK = """
update listmanagement_listmaintenancelog set kind = 'post_campaign' where kind = 'late_evidence';
delete from listmanagement_recurringjob where job = 'start_runs';
"""


class Migration(migrations.Migration):
    dependencies = [("listmanagement", "0019_gemini_back_off")]

    operations = [
        migrations.RemoveConstraint(
            model_name="listmaintenancelog", name="post_campaign_runs_name_their_campaign"
        ),
        migrations.RemoveConstraint(model_name="listmaintenancelog", name="a_run_has_a_known_kind"),
        migrations.RemoveConstraint(model_name="recurringjob", name="a_recurring_job_is_known"),
        migrations.RunSQL(migrations.RunSQL.noop, BACK),
        migrations.AlterField(
            model_name="listmaintenancelog",
            name="kind",
            field=models.CharField(choices=[(kind, kind.replace("_", " ")) for kind in KINDS], max_length=16),
        ),
        migrations.AlterField(
            model_name="recurringjob",
            name="job",
            field=models.CharField(
                choices=[(job, job.replace("_", " ")) for job in JOBS],
                max_length=24,
                primary_key=True,
                serialize=False,
            ),
        ),
        migrations.AddConstraint(
            model_name="listmaintenancelog",
            constraint=models.CheckConstraint(
                condition=models.Q(("kind__in", KINDS)), name="a_run_has_a_known_kind"
            ),
        ),
        migrations.AddConstraint(
            model_name="listmaintenancelog",
            constraint=models.CheckConstraint(
                condition=~models.Q(("kind__in", ["post_campaign", "late_evidence"]))
                | models.Q(("campaign__isnull", False)),
                name="post_campaign_runs_name_their_campaign",
            ),
        ),
        migrations.AddConstraint(
            model_name="recurringjob",
            constraint=models.CheckConstraint(
                condition=models.Q(("job__in", JOBS)), name="a_recurring_job_is_known"
            ),
        ),
    ]
