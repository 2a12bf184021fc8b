"""A person can take back what a run did, and lift single suppressions: runs of their own."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

# The former release knows neither undo nor lift: what they did reads as placements, and as holds that are done.
BACK = """
update listmanagement_decisionitem set action = case when target_list_id is null then 'hold' else 'place' end
 where action = 'restore';
update listmanagement_decisionitem set action = 'hold' where action = 'release';
update listmanagement_decisiongroup set action = 'place' where action = 'restore';
update listmanagement_decisiongroup set action = 'hold' where action = 'release';
update listmanagement_decision set kind = 'rebalancing' where kind = 'undo';
update listmanagement_operationbatch set kind = case kind when 'restore' then 'place' else 'move_out' end
 where kind in ('restore', 'release');
update listmanagement_listoperation set kind = case kind when 'restore' then 'place' else 'move_out' end
 where kind in ('restore', 'release');
update listmanagement_listmaintenancelog
   set kind = 'weekly_health', step = case step when 'take_back' then 'report' else step end
 where kind in ('undo', 'lift');
set constraints all immediate;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("listmanagement", "0022_dns_and_blocks"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
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
        migrations.RunSQL(migrations.RunSQL.noop, BACK),
        migrations.AddField(
            model_name="decisionitem",
            name="undoes",
            field=models.ForeignKey(
                blank=True,
                help_text="of an undo: the item whose change it takes back",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="undone_by",
                to="listmanagement.decisionitem",
            ),
        ),
        migrations.AddField(
            model_name="listmaintenancelog",
            name="override",
            field=models.TextField(
                blank=True,
                db_default="",
                help_text="of an undo: why it changes lists although list management is off or paused",
            ),
        ),
        migrations.AddField(
            model_name="listmaintenancelog",
            name="undoes",
            field=models.ForeignKey(
                blank=True,
                help_text="of an undo: the run whose changes it takes back",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="undone_by",
                to="listmanagement.listmaintenancelog",
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
                    ("undo", "undo"),
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
                    ("restore", "restore"),
                    ("release", "release"),
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
                    ("restore", "restore"),
                    ("release", "release"),
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
                    ("late_evidence", "late evidence"),
                    ("weekly_health", "weekly health"),
                    ("consent", "consent"),
                    ("reconciliation", "reconciliation"),
                    ("pre_campaign", "pre campaign"),
                    ("undo", "undo"),
                    ("lift", "lift"),
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
                    ("take_back", "take back"),
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
                    ("restore", "restore"),
                    ("release", "release"),
                ],
                max_length=16,
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
                    ("restore", "restore"),
                    ("release", "release"),
                ],
                max_length=16,
            ),
        ),
        migrations.AddConstraint(
            model_name="decision",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("kind__in", ["suppression", "rebalancing", "consent", "reconciliation", "held", "undo"])
                ),
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
                            "restore",
                            "release",
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
                            "restore",
                            "release",
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
                        ("action__in", ["place", "put_back"]),
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
                        ("action__in", ["unsubscribe", "take_off", "release"]),
                        ("source_list__isnull", False),
                        ("target_list__isnull", True),
                    ),
                    models.Q(
                        ("action__in", ["suppress", "hold", "complaint"]), ("target_list__isnull", True)
                    ),
                    models.Q(("action", "restore"), ("source_list__isnull", True)),
                    _connector="OR",
                ),
                name="placements_and_moves_name_their_lists",
            ),
        ),
        migrations.AddConstraint(
            model_name="decisionitem",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("undoes__isnull", True),
                    ("action__in", ("restore", "release", "move", "take_off")),
                    _connector="OR",
                ),
                name="what_undoes_takes_something_back",
            ),
        ),
        migrations.AddConstraint(
            model_name="decisionitem",
            constraint=models.UniqueConstraint(
                condition=models.Q(("status__in", ["proposed", "executed"]), ("undoes__isnull", False)),
                fields=("undoes",),
                name="an_item_is_undone_once",
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
                            "take_back",
                        ],
                    )
                ),
                name="a_run_stands_at_a_known_step",
            ),
        ),
        migrations.AddConstraint(
            model_name="listmaintenancelog",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("kind", "undo"), ("undoes__isnull", False)),
                    models.Q(models.Q(("kind", "undo"), _negated=True), ("undoes__isnull", True)),
                    _connector="OR",
                ),
                name="an_undo_and_only_it_names_what_it_undoes",
            ),
        ),
        migrations.AddConstraint(
            model_name="listmaintenancelog",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("override", ""),
                    models.Q(("kind", "undo"), ("triggered_by__isnull", False)),
                    _connector="OR",
                ),
                name="only_an_undo_by_a_person_overrides",
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
                            "restore",
                            "release",
                        ],
                    )
                ),
                name="an_operation_has_a_known_kind",
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
                            "restore",
                            "release",
                        ],
                    )
                ),
                name="a_batch_has_a_known_kind",
            ),
        ),
    ]
