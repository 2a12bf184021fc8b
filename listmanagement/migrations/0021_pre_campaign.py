"""Sends are looked at before they go out: what was found, what people said of it, what a draft was changed to."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

# The former release knows none of these words. Whom a send skips, and is not over, stays off the list there:
# people put them back.
BACK = [
    "update listmanagement_notification set kind = 'alert' where kind = 'pre_campaign'",
    "delete from listmanagement_recurringjob where job = 'validate'",
    """update listmanagement_listmaintenancelog
          set status = 'partial', finished_at = now(), next_at = null, waits_for = '', holds_rotation = false,
              lease_owner = '', lease_token = null, lease_until = null
        where kind = 'pre_campaign' and finished_at is null""",
    """update listmanagement_listmaintenancelog set kind = 'reconciliation', step = 'settle'
        where kind = 'pre_campaign'""",
    "update listmanagement_decision set kind = 'reconciliation' where kind = 'held'",
]


class Migration(migrations.Migration):
    dependencies = [
        ("listmanagement", "0020_late_evidence"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="CampaignClearance",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("at", models.DateTimeField()),
                ("why", models.TextField()),
            ],
            options={
                "verbose_name": "clearance",
            },
        ),
        migrations.CreateModel(
            name="CampaignValidation",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "instant",
                    models.CharField(
                        choices=[
                            ("day_before", "day before"),
                            ("two_hours_before", "two hours before"),
                            ("half_an_hour_before", "half an hour before"),
                            ("before_unscheduling", "before unscheduling"),
                            ("asked", "asked"),
                        ],
                        max_length=24,
                    ),
                ),
                ("sends_at", models.DateTimeField(help_text="when it was to be sent, as this look saw it")),
                ("at", models.DateTimeField()),
                (
                    "verdict",
                    models.CharField(
                        choices=[("pass", "pass"), ("warn", "warn"), ("block", "block")], max_length=8
                    ),
                ),
                ("size", models.PositiveIntegerField(help_text="mailable members of its list")),
            ],
            options={
                "verbose_name": "look before a send",
                "verbose_name_plural": "looks before sends",
            },
        ),
        migrations.CreateModel(
            name="DraftOperation",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "change",
                    models.CharField(
                        choices=[("unschedule", "unschedule"), ("schedule", "schedule")], max_length=12
                    ),
                ),
                ("draft_id", models.BigIntegerField(help_text="Mailjet's")),
                ("sends_at", models.DateTimeField(help_text="the time it had, or is to have again")),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("intended", "intended"),
                            ("sending", "sending"),
                            ("applied", "applied"),
                            ("failed", "failed"),
                        ],
                        default="intended",
                        max_length=10,
                    ),
                ),
                ("attempt", models.PositiveSmallIntegerField(default=0)),
                ("created_at", models.DateTimeField()),
                ("sending_at", models.DateTimeField(blank=True, null=True)),
                ("settled_at", models.DateTimeField(blank=True, null=True)),
                ("error", models.TextField(blank=True)),
            ],
            options={
                "verbose_name": "change of a draft",
                "verbose_name_plural": "changes of drafts",
            },
        ),
        migrations.CreateModel(
            name="HeldChoice",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "treatment",
                    models.CharField(
                        choices=[("all", "all"), ("five", "five"), ("none", "none")], max_length=4
                    ),
                ),
                ("at", models.DateTimeField()),
            ],
            options={
                "verbose_name": "choice about held domains",
                "verbose_name_plural": "choices about held domains",
            },
        ),
        migrations.CreateModel(
            name="ValidationFinding",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("position", models.PositiveSmallIntegerField()),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("wrong_list", "wrong list"),
                            ("list_deleted", "list deleted"),
                            ("nobody", "nobody"),
                            ("size", "size"),
                            ("balance", "balance"),
                            ("sent_before", "sent before"),
                            ("earlier_round", "earlier round"),
                            ("bounce_rate", "bounce rate"),
                            ("suppressed", "suppressed"),
                            ("said_no", "said no"),
                            ("several_lists", "several lists"),
                            ("unverified", "unverified"),
                            ("deferred", "deferred"),
                            ("freshness", "freshness"),
                            ("not_asked", "not asked"),
                            ("held", "held"),
                            ("undecided", "undecided"),
                            ("agents", "agents"),
                            ("at_once", "at once"),
                            ("segment", "segment"),
                            ("not_scheduled", "not scheduled"),
                        ],
                        max_length=16,
                    ),
                ),
                (
                    "severity",
                    models.CharField(
                        choices=[("note", "note"), ("warning", "warning"), ("blocking", "blocking")],
                        max_length=8,
                    ),
                ),
                ("words", models.TextField()),
                ("what_to_do", models.TextField()),
                (
                    "number",
                    models.PositiveIntegerField(default=0, help_text="how many it is about, where it counts"),
                ),
                (
                    "contacts",
                    models.JSONField(blank=True, default=list, help_text="ids of the first of them, to show"),
                ),
                (
                    "cleared",
                    models.BooleanField(default=False, help_text="a person knew of it and said to send"),
                ),
            ],
            options={
                "verbose_name": "finding",
                "ordering": ["position"],
            },
        ),
        migrations.RemoveConstraint(
            model_name="decision",
            name="a_decision_has_a_known_kind",
        ),
        migrations.RemoveConstraint(
            model_name="listmaintenancelog",
            name="a_run_has_a_known_kind",
        ),
        migrations.RemoveConstraint(
            model_name="listmaintenancelog",
            name="a_run_stands_at_a_known_step",
        ),
        migrations.RemoveConstraint(
            model_name="notification",
            name="a_notification_has_a_known_kind",
        ),
        migrations.RemoveConstraint(
            model_name="notification",
            name="only_alerts_belong_to_no_run",
        ),
        migrations.RemoveConstraint(
            model_name="recurringjob",
            name="a_recurring_job_is_known",
        ),
        migrations.RunSQL(migrations.RunSQL.noop, BACK),
        migrations.AddField(
            model_name="campaignschedule",
            name="postponed_from",
            field=models.DateTimeField(
                blank=True, help_text="the time it had, where people at Mailjet gave it another", null=True
            ),
        ),
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
                ],
                max_length=16,
            ),
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
                    ("take_off_held", "take off held"),
                    ("await_send", "await send"),
                    ("put_held_back", "put held back"),
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
                    ("kind__in", ["suppression", "rebalancing", "consent", "reconciliation", "held"])
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
                        ],
                    )
                ),
                name="a_run_has_a_known_kind",
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
                            "take_off_held",
                            "await_send",
                            "put_held_back",
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
                        ],
                    )
                ),
                name="a_notification_has_a_known_kind",
            ),
        ),
        migrations.AddConstraint(
            model_name="notification",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("run__isnull", False), ("kind__in", ["alert", "pre_campaign"]), _connector="OR"
                ),
                name="only_alerts_belong_to_no_run",
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
                        ],
                    )
                ),
                name="a_recurring_job_is_known",
            ),
        ),
        migrations.AddField(
            model_name="campaignclearance",
            name="by",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
            ),
        ),
        migrations.AddField(
            model_name="campaignclearance",
            name="campaign",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT,
                related_name="clearances",
                to="listmanagement.campaignschedule",
            ),
        ),
        migrations.AddField(
            model_name="campaignvalidation",
            name="asked_by",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddField(
            model_name="campaignvalidation",
            name="campaign",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="validations",
                to="listmanagement.campaignschedule",
            ),
        ),
        migrations.AddField(
            model_name="campaignclearance",
            name="validation",
            field=models.OneToOneField(
                help_text="whose findings were known",
                on_delete=django.db.models.deletion.PROTECT,
                related_name="clearance",
                to="listmanagement.campaignvalidation",
            ),
        ),
        migrations.AddField(
            model_name="draftoperation",
            name="campaign",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT,
                related_name="draft_operations",
                to="listmanagement.campaignschedule",
            ),
        ),
        migrations.AddField(
            model_name="draftoperation",
            name="clearance",
            field=models.OneToOneField(
                blank=True,
                help_text="who wanted it sent, of a scheduling",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="draft_operation",
                to="listmanagement.campaignclearance",
            ),
        ),
        migrations.AddField(
            model_name="draftoperation",
            name="validation",
            field=models.OneToOneField(
                blank=True,
                help_text="what was found, of an unscheduling",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="draft_operation",
                to="listmanagement.campaignvalidation",
            ),
        ),
        migrations.AddField(
            model_name="heldchoice",
            name="by",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
            ),
        ),
        migrations.AddField(
            model_name="heldchoice",
            name="campaign",
            field=models.OneToOneField(
                on_delete=django.db.models.deletion.PROTECT,
                related_name="held_choice",
                to="listmanagement.campaignschedule",
            ),
        ),
        migrations.AddField(
            model_name="heldchoice",
            name="run",
            field=models.OneToOneField(
                blank=True,
                help_text="the run that carries it out; then it is not changed any more",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="held_choice",
                to="listmanagement.listmaintenancelog",
            ),
        ),
        migrations.AddField(
            model_name="validationfinding",
            name="validation",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT,
                related_name="findings",
                to="listmanagement.campaignvalidation",
            ),
        ),
        migrations.AddIndex(
            model_name="campaignvalidation",
            index=models.Index(fields=["campaign", "-at"], name="validation_newest_first"),
        ),
        migrations.AddConstraint(
            model_name="campaignvalidation",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    (
                        "instant__in",
                        [
                            "day_before",
                            "two_hours_before",
                            "half_an_hour_before",
                            "before_unscheduling",
                            "asked",
                        ],
                    )
                ),
                name="a_send_is_looked_at_at_a_known_instant",
            ),
        ),
        migrations.AddConstraint(
            model_name="campaignvalidation",
            constraint=models.CheckConstraint(
                condition=models.Q(("verdict__in", ["pass", "warn", "block"])),
                name="a_look_has_a_known_verdict",
            ),
        ),
        migrations.AddConstraint(
            model_name="campaignvalidation",
            constraint=models.UniqueConstraint(
                condition=models.Q(
                    ("instant__in", ["day_before", "two_hours_before", "half_an_hour_before"])
                ),
                fields=("campaign", "sends_at", "instant"),
                name="one_look_per_instant_and_send",
            ),
        ),
        migrations.AddConstraint(
            model_name="campaignclearance",
            constraint=models.CheckConstraint(
                condition=models.Q(("why", ""), _negated=True), name="a_clearance_says_why"
            ),
        ),
        migrations.AddConstraint(
            model_name="draftoperation",
            constraint=models.CheckConstraint(
                condition=models.Q(("change__in", ["unschedule", "schedule"])),
                name="a_draft_changes_in_a_known_way",
            ),
        ),
        migrations.AddConstraint(
            model_name="draftoperation",
            constraint=models.CheckConstraint(
                condition=models.Q(("status__in", ["intended", "sending", "applied", "failed"])),
                name="a_change_of_a_draft_has_a_known_status",
            ),
        ),
        migrations.AddConstraint(
            model_name="draftoperation",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(
                        models.Q(("change", "unschedule"), _negated=True),
                        models.Q(("clearance", None), ("validation__isnull", False)),
                        _connector="OR",
                    ),
                    models.Q(
                        models.Q(("change", "schedule"), _negated=True),
                        models.Q(("clearance__isnull", False), ("validation", None)),
                        _connector="OR",
                    ),
                ),
                name="a_change_of_a_draft_says_because_of_what",
            ),
        ),
        migrations.AddConstraint(
            model_name="draftoperation",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("settled_at__isnull", False), ("status__in", ("applied", "failed"))),
                    models.Q(
                        models.Q(("status__in", ("applied", "failed")), _negated=True), ("settled_at", None)
                    ),
                    _connector="OR",
                ),
                name="settled_changes_of_drafts_have_an_end",
            ),
        ),
        migrations.AddConstraint(
            model_name="draftoperation",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("status", "sending"), _negated=True),
                    models.Q(("attempt__gte", 1), ("sending_at__isnull", False)),
                    _connector="OR",
                ),
                name="a_draft_in_sending_says_since_when",
            ),
        ),
        migrations.AddConstraint(
            model_name="draftoperation",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("status", "failed"), _negated=True),
                    models.Q(("error", ""), _negated=True),
                    _connector="OR",
                ),
                name="a_failed_change_of_a_draft_says_why",
            ),
        ),
        migrations.AddConstraint(
            model_name="draftoperation",
            constraint=models.UniqueConstraint(
                condition=models.Q(("status__in", ("applied", "failed")), _negated=True),
                fields=("campaign",),
                name="one_change_of_a_draft_at_a_time",
            ),
        ),
        migrations.AddConstraint(
            model_name="heldchoice",
            constraint=models.CheckConstraint(
                condition=models.Q(("treatment__in", ["all", "five", "none"])),
                name="the_held_are_treated_in_a_known_way",
            ),
        ),
        migrations.AddConstraint(
            model_name="validationfinding",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    (
                        "kind__in",
                        [
                            "wrong_list",
                            "list_deleted",
                            "nobody",
                            "size",
                            "balance",
                            "sent_before",
                            "earlier_round",
                            "bounce_rate",
                            "suppressed",
                            "said_no",
                            "several_lists",
                            "unverified",
                            "deferred",
                            "freshness",
                            "not_asked",
                            "held",
                            "undecided",
                            "agents",
                            "at_once",
                            "segment",
                            "not_scheduled",
                        ],
                    )
                ),
                name="a_finding_is_of_a_known_kind",
            ),
        ),
        migrations.AddConstraint(
            model_name="validationfinding",
            constraint=models.CheckConstraint(
                condition=models.Q(("severity__in", ["note", "warning", "blocking"])),
                name="a_finding_has_a_known_severity",
            ),
        ),
        migrations.AddConstraint(
            model_name="validationfinding",
            constraint=models.UniqueConstraint(
                fields=("validation", "position"), name="one_finding_per_position"
            ),
        ),
        migrations.AddConstraint(
            model_name="validationfinding",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("words", ""), _negated=True), models.Q(("what_to_do", ""), _negated=True)
                ),
                name="a_finding_says_what_is_and_what_to_do",
            ),
        ),
        migrations.AddConstraint(
            model_name="validationfinding",
            constraint=models.CheckConstraint(
                condition=models.Q(("cleared", False), ("severity", "blocking"), _connector="OR"),
                name="only_what_blocks_is_cleared",
            ),
        ),
    ]
