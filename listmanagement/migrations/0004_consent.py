"""What contacts say themselves, and what people change at Mailjet after us, get runs of their own."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

TOLD = """
update listmanagement_contact set complained_by = 'the contact at Mailjet' where complained_at is not null;
"""

# The former release knows no message without a run.
BACK = "delete from listmanagement_notification where run_id is null;"


class Migration(migrations.Migration):
    dependencies = [
        ("listmanagement", "0003_mailjetbreaker"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.RemoveConstraint(
            model_name="contactsuppressionhistory",
            name="a_suppression_has_a_known_kind",
        ),
        migrations.RemoveConstraint(
            model_name="contactsuppressionhistory",
            name="our_suppressions_name_evidence_and_decision",
        ),
        migrations.RemoveConstraint(
            model_name="decision",
            name="a_decision_has_a_known_kind",
        ),
        migrations.RemoveConstraint(
            model_name="decisiongroup",
            name="a_group_has_a_known_action",
        ),
        migrations.RemoveConstraint(
            model_name="decisionitem",
            name="an_item_has_a_known_action",
        ),
        migrations.RemoveConstraint(
            model_name="decisionitem",
            name="placements_and_moves_name_their_lists",
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
            model_name="listoperation",
            name="an_operation_has_a_known_kind",
        ),
        migrations.RemoveConstraint(
            model_name="operationbatch",
            name="a_batch_has_a_known_kind",
        ),
        migrations.AddField(
            model_name="contact",
            name="complained_by",
            field=models.TextField(blank=True, help_text="what told us: the contact at Mailjet, an event"),
        ),
        migrations.RunSQL(TOLD, BACK),
        migrations.AddField(
            model_name="operationbatch",
            name="job_ended_at",
            field=models.DateTimeField(
                blank=True,
                help_text="Mailjet says its job has ended; the effect is still to be seen",
                null=True,
            ),
        ),
        migrations.AlterField(
            model_name="contactsuppressionhistory",
            name="kind",
            field=models.CharField(
                choices=[("ours", "ours"), ("consent", "consent"), ("imported", "imported")], max_length=8
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
                ],
                max_length=16,
            ),
        ),
        migrations.AlterField(
            model_name="decisiongroup",
            name="action",
            field=models.CharField(
                choices=[
                    ("suppress", "suppress"),
                    ("hold", "hold"),
                    ("place", "place"),
                    ("move", "move"),
                    ("unsubscribe", "unsubscribe"),
                    ("complaint", "complaint"),
                    ("take_off", "take off"),
                    ("put_back", "put back"),
                ],
                max_length=12,
            ),
        ),
        migrations.AlterField(
            model_name="decisionitem",
            name="action",
            field=models.CharField(
                choices=[
                    ("suppress", "suppress"),
                    ("hold", "hold"),
                    ("place", "place"),
                    ("move", "move"),
                    ("unsubscribe", "unsubscribe"),
                    ("complaint", "complaint"),
                    ("take_off", "take off"),
                    ("put_back", "put back"),
                ],
                max_length=12,
            ),
        ),
        migrations.AlterField(
            model_name="listmaintenancelog",
            name="kind",
            field=models.CharField(
                choices=[
                    ("post_campaign", "post campaign"),
                    ("weekly_health", "weekly health"),
                    ("consent", "consent"),
                    ("reconciliation", "reconciliation"),
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
                ],
                default="capture_before",
                max_length=20,
            ),
        ),
        migrations.AlterField(
            model_name="listoperation",
            name="kind",
            field=models.CharField(
                choices=[
                    ("suppress", "suppress"),
                    ("place", "place"),
                    ("move_in", "move in"),
                    ("move_out", "move out"),
                    ("carry_opt_out", "carry opt out"),
                    ("unsubscribe", "unsubscribe"),
                    ("complaint", "complaint"),
                    ("take_off", "take off"),
                    ("put_back", "put back"),
                ],
                max_length=16,
            ),
        ),
        migrations.AlterField(
            model_name="notification",
            name="run",
            field=models.ForeignKey(
                blank=True,
                help_text="empty for an alert that belongs to no run",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="notifications",
                to="listmanagement.listmaintenancelog",
            ),
        ),
        migrations.AlterField(
            model_name="operationbatch",
            name="kind",
            field=models.CharField(
                choices=[
                    ("suppress", "suppress"),
                    ("place", "place"),
                    ("move_in", "move in"),
                    ("move_out", "move out"),
                    ("carry_opt_out", "carry opt out"),
                    ("unsubscribe", "unsubscribe"),
                    ("complaint", "complaint"),
                    ("take_off", "take off"),
                    ("put_back", "put back"),
                ],
                max_length=16,
            ),
        ),
        migrations.AddConstraint(
            model_name="contact",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("complained_at__isnull", True), ("complained_by", "")),
                    models.Q(
                        ("complained_at__isnull", False), models.Q(("complained_by", ""), _negated=True)
                    ),
                    _connector="OR",
                ),
                name="a_complaint_says_when_and_by_what",
            ),
        ),
        migrations.AddConstraint(
            model_name="contactsuppressionhistory",
            constraint=models.CheckConstraint(
                condition=models.Q(("kind__in", ["ours", "consent", "imported"])),
                name="a_suppression_has_a_known_kind",
            ),
        ),
        migrations.AddConstraint(
            model_name="contactsuppressionhistory",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(
                        ("evidence", None),
                        ("item", None),
                        ("kind", "imported"),
                        ("operation", None),
                    ),
                    models.Q(
                        ("evidence__isnull", False),
                        ("item__isnull", False),
                        ("kind", "ours"),
                        ("operation__isnull", False),
                    ),
                    models.Q(
                        ("item__isnull", False),
                        ("kind", "consent"),
                        ("operation__isnull", False),
                    ),
                    _connector="OR",
                ),
                name="our_suppressions_name_evidence_and_decision",
            ),
        ),
        migrations.AddConstraint(
            model_name="decision",
            constraint=models.CheckConstraint(
                condition=models.Q(("kind__in", ["suppression", "rebalancing", "consent", "reconciliation"])),
                name="a_decision_has_a_known_kind",
            ),
        ),
        migrations.AddConstraint(
            model_name="decisiongroup",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    (
                        "action__in",
                        [
                            "suppress",
                            "hold",
                            "place",
                            "move",
                            "unsubscribe",
                            "complaint",
                            "take_off",
                            "put_back",
                        ],
                    )
                ),
                name="a_group_has_a_known_action",
            ),
        ),
        migrations.AddConstraint(
            model_name="decisionitem",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    (
                        "action__in",
                        [
                            "suppress",
                            "hold",
                            "place",
                            "move",
                            "unsubscribe",
                            "complaint",
                            "take_off",
                            "put_back",
                        ],
                    )
                ),
                name="an_item_has_a_known_action",
            ),
        ),
        migrations.AddConstraint(
            model_name="decisionitem",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(
                        (
                            "action__in",
                            [
                                "place",
                                "put_back",
                            ],
                        ),
                        ("source_list__isnull", True),
                        ("target_list__isnull", False),
                    ),
                    models.Q(
                        ("action", "move"),
                        ("source_list__isnull", False),
                        ("target_list__isnull", False),
                        models.Q(("source_list", models.F("target_list")), _negated=True),
                    ),
                    models.Q(
                        (
                            "action__in",
                            [
                                "unsubscribe",
                                "take_off",
                            ],
                        ),
                        ("source_list__isnull", False),
                        ("target_list__isnull", True),
                    ),
                    models.Q(
                        (
                            "action__in",
                            [
                                "suppress",
                                "hold",
                                "complaint",
                            ],
                        ),
                        ("target_list__isnull", True),
                    ),
                    _connector="OR",
                ),
                name="placements_and_moves_name_their_lists",
            ),
        ),
        migrations.AddConstraint(
            model_name="listmaintenancelog",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("kind__in", ["post_campaign", "weekly_health", "consent", "reconciliation"])
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
                        ],
                    )
                ),
                name="a_run_stands_at_a_known_step",
            ),
        ),
        migrations.AddConstraint(
            model_name="listoperation",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    (
                        "kind__in",
                        [
                            "suppress",
                            "place",
                            "move_in",
                            "move_out",
                            "carry_opt_out",
                            "unsubscribe",
                            "complaint",
                            "take_off",
                            "put_back",
                        ],
                    )
                ),
                name="an_operation_has_a_known_kind",
            ),
        ),
        migrations.AddConstraint(
            model_name="notification",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("run__isnull", False),
                    ("kind", "alert"),
                    _connector="OR",
                ),
                name="only_alerts_belong_to_no_run",
            ),
        ),
        migrations.AddConstraint(
            model_name="operationbatch",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    (
                        "kind__in",
                        [
                            "suppress",
                            "place",
                            "move_in",
                            "move_out",
                            "carry_opt_out",
                            "unsubscribe",
                            "complaint",
                            "take_off",
                            "put_back",
                        ],
                    )
                ),
                name="a_batch_has_a_known_kind",
            ),
        ),
        migrations.AddConstraint(
            model_name="operationbatch",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("job_ended_at__isnull", True),
                    models.Q(
                        ("job_id__isnull", False),
                        (
                            "status__in",
                            [
                                "submitted",
                                "applied",
                                "failed",
                                "undone",
                            ],
                        ),
                    ),
                    _connector="OR",
                ),
                name="only_a_job_that_was_started_ends",
            ),
        ),
    ]
