"""What the weekly health check counts of each list, its steps, its message and its place in the timetable."""

from django.conf import settings
from django.db import migrations, models

# A weekly check under way ends, for the release before knows none: it has changed nothing.
BACK = [
    """update listmanagement_listmaintenancelog
          set status = 'partial', finished_at = now(), next_at = null, waits_for = '',
              lease_owner = '', lease_token = null, lease_until = null
        where kind = 'weekly_health' and finished_at is null""",
    "update listmanagement_listmaintenancelog set step = 'report' where step in ('synchronise', 'assess')",
    "update listmanagement_notification set kind = 'maintenance_done' where kind = 'weekly_report'",
    "delete from listmanagement_recurringjob where job = 'weekly_health'",
]


class Migration(migrations.Migration):
    dependencies = [
        ("listmanagement", "0023_undo"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.RemoveConstraint(
            model_name="listmaintenancelog",
            name="a_run_stands_at_a_known_step",
        ),
        migrations.RemoveConstraint(
            model_name="notification",
            name="a_notification_has_a_known_kind",
        ),
        migrations.RemoveConstraint(
            model_name="recurringjob",
            name="a_recurring_job_is_known",
        ),
        migrations.RunSQL(migrations.RunSQL.noop, BACK),
        migrations.AddField(
            model_name="listhealth",
            name="blocked",
            field=models.PositiveIntegerField(
                blank=True, help_text="of its size, whom Mailjet itself refuses to try", null=True
            ),
        ),
        migrations.AddField(
            model_name="listhealth",
            name="joined",
            field=models.PositiveIntegerField(
                blank=True, help_text="who joined it in the week before", null=True
            ),
        ),
        migrations.AddField(
            model_name="listhealth",
            name="left",
            field=models.PositiveIntegerField(
                blank=True, help_text="who left it in the week before", null=True
            ),
        ),
        migrations.AddField(
            model_name="listhealth",
            name="members",
            field=models.PositiveIntegerField(
                blank=True, help_text="on the list, mailable or not", null=True
            ),
        ),
        migrations.AddField(
            model_name="listhealth",
            name="recent_bounced",
            field=models.PositiveIntegerField(
                blank=True, help_text="bounced in them, hard and soft", null=True
            ),
        ),
        migrations.AddField(
            model_name="listhealth",
            name="recent_complained",
            field=models.PositiveIntegerField(
                blank=True, help_text="contacts who complained of them", null=True
            ),
        ),
        migrations.AddField(
            model_name="listhealth",
            name="recent_delivered",
            field=models.PositiveIntegerField(
                blank=True, help_text="messages delivered in the last four weeks' campaigns", null=True
            ),
        ),
        migrations.AddField(
            model_name="listhealth",
            name="recent_hard",
            field=models.PositiveIntegerField(blank=True, help_text="bounced hard in them", null=True),
        ),
        migrations.AddField(
            model_name="listhealth",
            name="recent_not_attempted",
            field=models.PositiveIntegerField(blank=True, help_text="not attempted in them", null=True),
        ),
        migrations.AddField(
            model_name="listhealth",
            name="recent_opted_out",
            field=models.PositiveIntegerField(
                blank=True,
                help_text="contacts who opted out in this time, after a message to this list",
                null=True,
            ),
        ),
        migrations.AddField(
            model_name="listhealth",
            name="suppressed",
            field=models.PositiveIntegerField(
                blank=True, help_text="who stand suppressed and were on this list before", null=True
            ),
        ),
        migrations.AddField(
            model_name="listhealthcheck",
            name="backlog",
            field=models.PositiveIntegerField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="listhealthcheck",
            name="held",
            field=models.PositiveIntegerField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="listhealthcheck",
            name="registered",
            field=models.PositiveIntegerField(
                blank=True,
                help_text="on the master list; this and what follows only in a weekly check",
                null=True,
            ),
        ),
        migrations.AddField(
            model_name="listhealthcheck",
            name="suppressed",
            field=models.PositiveIntegerField(blank=True, null=True),
        ),
        migrations.AlterField(
            model_name="listmaintenancelog",
            name="step",
            field=models.CharField(
                choices=[
                    ("capture_before", "capture before"),
                    ("fetch_outcomes", "fetch outcomes"),
                    ("judge", "judge"),
                    ("decide", "decide"),
                    ("suppress", "suppress"),
                    ("plan_rebalancing", "plan rebalancing"),
                    ("rebalance", "rebalance"),
                    ("capture_after", "capture after"),
                    ("report", "report"),
                    ("find_consent", "find consent"),
                    ("apply_consent", "apply consent"),
                    ("read_mailjet", "read mailjet"),
                    ("compare", "compare"),
                    ("settle", "settle"),
                    ("synchronise", "synchronise"),
                    ("assess", "assess"),
                    ("take_off_held", "take off held"),
                    ("await_send", "await send"),
                    ("put_held_back", "put held back"),
                    ("take_back", "take back"),
                ],
                default="capture_before",
                max_length=20,
            ),
        ),
        migrations.AlterField(
            model_name="notification",
            name="kind",
            field=models.CharField(
                choices=[
                    ("decision_needed", "decision needed"),
                    ("maintenance_done", "maintenance done"),
                    ("maintenance_failed", "maintenance failed"),
                    ("alert", "alert"),
                    ("pre_campaign", "pre campaign"),
                    ("weekly_report", "weekly report"),
                ],
                max_length=20,
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
                ],
                max_length=24,
                primary_key=True,
                serialize=False,
            ),
        ),
        migrations.AddConstraint(
            model_name="listhealth",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(
                        ("blocked", None),
                        ("joined", None),
                        ("left", None),
                        ("members", None),
                        ("recent_bounced", None),
                        ("recent_complained", None),
                        ("recent_delivered", None),
                        ("recent_hard", None),
                        ("recent_not_attempted", None),
                        ("recent_opted_out", None),
                        ("suppressed", None),
                    ),
                    models.Q(
                        ("blocked__isnull", False),
                        ("joined__isnull", False),
                        ("left__isnull", False),
                        ("members__isnull", False),
                        ("recent_bounced__isnull", False),
                        ("recent_complained__isnull", False),
                        ("recent_delivered__isnull", False),
                        ("recent_hard__isnull", False),
                        ("recent_not_attempted__isnull", False),
                        ("recent_opted_out__isnull", False),
                        ("suppressed__isnull", False),
                    ),
                    _connector="OR",
                ),
                name="a_lists_weekly_figures_come_together",
            ),
        ),
        migrations.AddConstraint(
            model_name="listhealthcheck",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("backlog", None), ("held", None), ("registered", None), ("suppressed", None)),
                    models.Q(
                        ("backlog__isnull", False),
                        ("held__isnull", False),
                        ("registered__isnull", False),
                        ("suppressed__isnull", False),
                    ),
                    _connector="OR",
                ),
                name="a_weekly_check_counts_everything",
            ),
        ),
        migrations.AddConstraint(
            model_name="listmaintenancelog",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    (
                        "step__in",
                        [
                            "capture_before",
                            "fetch_outcomes",
                            "judge",
                            "decide",
                            "suppress",
                            "plan_rebalancing",
                            "rebalance",
                            "capture_after",
                            "report",
                            "find_consent",
                            "apply_consent",
                            "read_mailjet",
                            "compare",
                            "settle",
                            "synchronise",
                            "assess",
                            "take_off_held",
                            "await_send",
                            "put_held_back",
                            "take_back",
                        ],
                    )
                ),
                name="a_run_stands_at_a_known_step",
            ),
        ),
        migrations.AddConstraint(
            model_name="notification",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    (
                        "kind__in",
                        [
                            "decision_needed",
                            "maintenance_done",
                            "maintenance_failed",
                            "alert",
                            "pre_campaign",
                            "weekly_report",
                        ],
                    )
                ),
                name="a_notification_has_a_known_kind",
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
                        ],
                    )
                ),
                name="a_recurring_job_is_known",
            ),
        ),
    ]
