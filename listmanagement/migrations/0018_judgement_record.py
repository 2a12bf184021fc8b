"""What agents said of each thing beside what their rules say of it; marks of assessments; random samples."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import listmanagement.domain.bounces
import listmanagement.domain.suppression


class Migration(migrations.Migration):
    dependencies = [
        ("listmanagement", "0017_looked_up"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="AgentVerdict",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "subject",
                    models.TextField(help_text="a cohort's key, a list's place in the rotation, or the plan"),
                ),
                (
                    "region",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("must", "must"),
                            ("may", "may"),
                            ("never", "never"),
                            ("hold", "hold"),
                            ("consent", "consent"),
                        ],
                        help_text="what the policy leaves of a cohort",
                        max_length=8,
                    ),
                ),
                (
                    "bounce_class",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("recipient_gone", "recipient gone"),
                            ("recipient_gone_soft", "recipient gone soft"),
                            ("recipient_rejected", "recipient rejected"),
                            ("inactive", "inactive"),
                            ("mailbox_full", "mailbox full"),
                            ("domain_gone", "domain gone"),
                            ("sender_side", "sender side"),
                            ("temporary", "temporary"),
                            ("greylisted", "greylisted"),
                            ("not_attempted", "not attempted"),
                            ("duplicate", "duplicate"),
                            ("mistyped", "mistyped"),
                            ("refused", "refused"),
                            ("complaint", "complaint"),
                            ("conflicting", "conflicting"),
                            ("unknown", "unknown"),
                        ],
                        max_length=24,
                    ),
                ),
                ("contacts", models.PositiveIntegerField(blank=True, help_text="in the cohort", null=True)),
                ("verdict", models.TextField(help_text="what stands")),
                ("confidence", models.FloatField(help_text="of what stands")),
                (
                    "stated",
                    models.TextField(blank=True, help_text="the model's verdict; empty where rules judged"),
                ),
                (
                    "raw_confidence",
                    models.FloatField(help_text="as it was stated, by the model or else by the rules"),
                ),
                (
                    "calibrated",
                    models.BooleanField(
                        default=False,
                        help_text="the model's confidence was held against what people had decided before",
                    ),
                ),
                (
                    "rationale",
                    models.TextField(blank=True, help_text="the model's; empty where rules judged"),
                ),
                ("rules_verdict", models.TextField()),
                ("rules_confidence", models.FloatField()),
                ("rules_rationale", models.TextField()),
            ],
            options={
                "verbose_name": "verdict",
                "verbose_name_plural": "judgement record",
            },
        ),
        migrations.AddField(
            model_name="decisiongroup",
            name="sampled_share",
            field=models.FloatField(
                blank=True,
                help_text="drawn at random for a review, at this rate, from what nothing spoke against",
                null=True,
            ),
        ),
        migrations.AddField(
            model_name="listhealth",
            name="is_right",
            field=models.BooleanField(blank=True, help_text="what a reviewer said of it", null=True),
        ),
        migrations.AddField(
            model_name="listhealth",
            name="marked_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="listhealth",
            name="marked_by",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="marks",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddField(
            model_name="listhealth",
            name="marked_why",
            field=models.TextField(blank=True, db_default="", default=""),
        ),
        migrations.AddConstraint(
            model_name="decisiongroup",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("sampled_share", None),
                    models.Q(("sampled_share__gt", 0), ("sampled_share__lte", 1)),
                    _connector="OR",
                ),
                name="a_sample_says_how_likely_it_was",
            ),
        ),
        migrations.AddField(
            model_name="agentverdict",
            name="call",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT,
                related_name="verdicts",
                to="listmanagement.agentcall",
            ),
        ),
        migrations.AddField(
            model_name="decisionitem",
            name="verdict",
            field=models.ForeignKey(
                blank=True,
                help_text="what was judged of its cohort",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="items",
                to="listmanagement.agentverdict",
            ),
        ),
        migrations.AddField(
            model_name="listhealth",
            name="verdict",
            field=models.OneToOneField(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="health",
                to="listmanagement.agentverdict",
            ),
        ),
        migrations.AddConstraint(
            model_name="listhealth",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(
                        ("is_right", None), ("marked_at", None), ("marked_by", None), ("marked_why", "")
                    ),
                    models.Q(
                        ("is_right__isnull", False),
                        ("marked_at__isnull", False),
                        ("marked_by__isnull", False),
                    ),
                    _connector="OR",
                ),
                name="a_mark_names_who_and_when",
            ),
        ),
        migrations.AddConstraint(
            model_name="listhealth",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("is_right", False), _negated=True),
                    models.Q(("marked_why", ""), _negated=True),
                    _connector="OR",
                ),
                name="what_is_marked_wrong_says_why",
            ),
        ),
        migrations.AddConstraint(
            model_name="agentverdict",
            constraint=models.UniqueConstraint(
                fields=("call", "subject"), name="one_verdict_per_subject_and_call"
            ),
        ),
        migrations.AddConstraint(
            model_name="agentverdict",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    (
                        "region__in",
                        [
                            "",
                            listmanagement.domain.suppression.Region["MUST"],
                            listmanagement.domain.suppression.Region["MAY"],
                            listmanagement.domain.suppression.Region["NEVER"],
                            listmanagement.domain.suppression.Region["HOLD"],
                            listmanagement.domain.suppression.Region["CONSENT"],
                        ],
                    )
                ),
                name="a_verdict_is_in_a_known_region",
            ),
        ),
        migrations.AddConstraint(
            model_name="agentverdict",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    (
                        "bounce_class__in",
                        [
                            "",
                            listmanagement.domain.bounces.BounceClass["RECIPIENT_GONE"],
                            listmanagement.domain.bounces.BounceClass["RECIPIENT_GONE_SOFT"],
                            listmanagement.domain.bounces.BounceClass["RECIPIENT_REJECTED"],
                            listmanagement.domain.bounces.BounceClass["INACTIVE"],
                            listmanagement.domain.bounces.BounceClass["MAILBOX_FULL"],
                            listmanagement.domain.bounces.BounceClass["DOMAIN_GONE"],
                            listmanagement.domain.bounces.BounceClass["SENDER_SIDE"],
                            listmanagement.domain.bounces.BounceClass["TEMPORARY"],
                            listmanagement.domain.bounces.BounceClass["GREYLISTED"],
                            listmanagement.domain.bounces.BounceClass["NOT_ATTEMPTED"],
                            listmanagement.domain.bounces.BounceClass["DUPLICATE"],
                            listmanagement.domain.bounces.BounceClass["MISTYPED"],
                            listmanagement.domain.bounces.BounceClass["REFUSED"],
                            listmanagement.domain.bounces.BounceClass["COMPLAINT"],
                            listmanagement.domain.bounces.BounceClass["CONFLICTING"],
                            listmanagement.domain.bounces.BounceClass["UNKNOWN"],
                        ],
                    )
                ),
                name="a_verdict_is_about_a_known_class",
            ),
        ),
        migrations.AddConstraint(
            model_name="agentverdict",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("subject", ""), _negated=True),
                    models.Q(("verdict", ""), _negated=True),
                    models.Q(("rules_verdict", ""), _negated=True),
                ),
                name="a_verdict_says_what",
            ),
        ),
        migrations.AddConstraint(
            model_name="agentverdict",
            constraint=models.CheckConstraint(
                condition=models.Q(("confidence__gte", 0), ("confidence__lte", 1)),
                name="a_verdicts_confidence_is_a_share",
            ),
        ),
        migrations.AddConstraint(
            model_name="agentverdict",
            constraint=models.CheckConstraint(
                condition=models.Q(("raw_confidence__gte", 0), ("raw_confidence__lte", 1)),
                name="a_stated_confidence_is_a_share",
            ),
        ),
        migrations.AddConstraint(
            model_name="agentverdict",
            constraint=models.CheckConstraint(
                condition=models.Q(("rules_confidence__gte", 0), ("rules_confidence__lte", 1)),
                name="the_rules_confidence_is_a_share",
            ),
        ),
        migrations.AddConstraint(
            model_name="agentverdict",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("stated", ""), _negated=True),
                    models.Q(("calibrated", False), ("rationale", "")),
                    _connector="OR",
                ),
                name="only_a_models_verdict_is_calibrated",
            ),
        ),
    ]
