"""A way back, asked about once a week: its run, its decision and its place in the timetable."""

from django.conf import settings
from django.db import migrations, models

# The former release knows lifts, which are approved by being asked for: a question nobody answered has expired.
BACK = [
    "delete from listmanagement_recurringjob where job = 'way_back'",
    "update listmanagement_decision set status = 'expired' where kind = 'way_back' and status = 'open'",
    """update listmanagement_listmaintenancelog run
          set status = 'partial', finished_at = now(), next_at = null, waits_for = '', holds_rotation = false,
              lease_owner = '', lease_token = null, lease_until = null
        where run.kind = 'way_back' and run.finished_at is null
          and not exists (select from listmanagement_decision decision
                          where decision.run_id = run.id and decision.status = 'approved')""",
    "update listmanagement_decision set kind = 'undo' where kind = 'way_back'",
    "update listmanagement_listmaintenancelog set kind = 'lift' where kind = 'way_back'",
    "set constraints all immediate",
]


class Migration(migrations.Migration):
    dependencies = [
        ("listmanagement", "0024_weekly_health"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.RemoveConstraint(
            model_name="decision",
            name="a_decision_has_a_known_kind",
        ),
        migrations.RemoveConstraint(
            model_name="listmaintenancelog",
            name="a_run_has_a_known_kind",
        ),
        migrations.RemoveConstraint(
            model_name="recurringjob",
            name="a_recurring_job_is_known",
        ),
        migrations.RunSQL(migrations.RunSQL.noop, BACK),
        migrations.AlterField(
            model_name="decision",
            name="kind",
            field=models.CharField(
                choices=[
                    ("suppression", "suppression"),
                    ("rebalancing", "rebalancing"),
                    ("consent", "consent"),
                    ("reconciliation", "reconciliation"),
                    ("held", "held"),
                    ("undo", "undo"),
                    ("way_back", "way back"),
                ],
                max_length=16,
            ),
        ),
        migrations.AlterField(
            model_name="listmaintenancelog",
            name="kind",
            field=models.CharField(
                choices=[
                    ("post_campaign", "post campaign"),
                    ("late_evidence", "late evidence"),
                    ("weekly_health", "weekly health"),
                    ("consent", "consent"),
                    ("reconciliation", "reconciliation"),
                    ("pre_campaign", "pre campaign"),
                    ("undo", "undo"),
                    ("lift", "lift"),
                    ("way_back", "way back"),
                ],
                max_length=16,
            ),
        ),
        migrations.AlterField(
            model_name="recurringjob",
            name="job",
            field=models.CharField(
                choices=[
                    ("refresh_cache", "refresh cache"),
                    ("sync_campaigns", "sync campaigns"),
                    ("late_outcomes", "late outcomes"),
                    ("start_runs", "start runs"),
                    ("watch_events", "watch events"),
                    ("forget_events", "forget events"),
                    ("reconcile", "reconcile"),
                    ("validate", "validate"),
                    ("ask_dns", "ask dns"),
                    ("weekly_health", "weekly health"),
                    ("way_back", "way back"),
                ],
                max_length=24,
                primary_key=True,
                serialize=False,
            ),
        ),
        migrations.AddConstraint(
            model_name="decision",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    (
                        "kind__in",
                        [
                            "suppression",
                            "rebalancing",
                            "consent",
                            "reconciliation",
                            "held",
                            "undo",
                            "way_back",
                        ],
                    )
                ),
                name="a_decision_has_a_known_kind",
            ),
        ),
        migrations.AddConstraint(
            model_name="listmaintenancelog",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    (
                        "kind__in",
                        [
                            "post_campaign",
                            "late_evidence",
                            "weekly_health",
                            "consent",
                            "reconciliation",
                            "pre_campaign",
                            "undo",
                            "lift",
                            "way_back",
                        ],
                    )
                ),
                name="a_run_has_a_known_kind",
            ),
        ),
        migrations.AddConstraint(
            model_name="recurringjob",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    (
                        "job__in",
                        [
                            "refresh_cache",
                            "sync_campaigns",
                            "late_outcomes",
                            "start_runs",
                            "watch_events",
                            "forget_events",
                            "reconcile",
                            "validate",
                            "ask_dns",
                            "weekly_health",
                            "way_back",
                        ],
                    )
                ),
                name="a_recurring_job_is_known",
            ),
        ),
    ]
