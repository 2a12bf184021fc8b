"""What sends were: labels, counters, A/B tests and segments; how cycles ended; when campaigns were read."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("listmanagement", "0009_item_membership"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="CampaignSync",
            fields=[
                (
                    "id",
                    models.PositiveSmallIntegerField(
                        default=1, editable=False, primary_key=True, serialize=False
                    ),
                ),
                (
                    "read_at",
                    models.DateTimeField(
                        blank=True,
                        help_text="how old what is stored can be: when its reading began",
                        null=True,
                    ),
                ),
            ],
        ),
        migrations.RemoveConstraint(
            model_name="campaignschedule",
            name="a_campaign_has_a_known_kind",
        ),
        migrations.AddField(
            model_name="campaignschedule",
            name="ab_test_id",
            field=models.BigIntegerField(
                blank=True, help_text="the test of several versions (A/B) it belongs to", null=True
            ),
        ),
        migrations.AddField(
            model_name="campaignschedule",
            name="blocked",
            field=models.PositiveIntegerField(
                blank=True, help_text="messages that Mailjet did not try, by Mailjet's count", null=True
            ),
        ),
        migrations.AddField(
            model_name="campaignschedule",
            name="clicked",
            field=models.PositiveIntegerField(
                blank=True, help_text="messages in which a link was followed, by Mailjet's count", null=True
            ),
        ),
        migrations.AddField(
            model_name="campaignschedule",
            name="complained",
            field=models.PositiveIntegerField(
                blank=True, help_text="messages that were called spam, by Mailjet's count", null=True
            ),
        ),
        migrations.AddField(
            model_name="campaignschedule",
            name="counted_at",
            field=models.DateTimeField(blank=True, help_text="when Mailjet's counters were read", null=True),
        ),
        migrations.AddField(
            model_name="campaignschedule",
            name="deferred",
            field=models.PositiveIntegerField(
                blank=True, help_text="messages that are tried again, by Mailjet's count", null=True
            ),
        ),
        migrations.AddField(
            model_name="campaignschedule",
            name="delivered",
            field=models.PositiveIntegerField(
                blank=True, help_text="messages that arrived, by Mailjet's count", null=True
            ),
        ),
        migrations.AddField(
            model_name="campaignschedule",
            name="draft_status",
            field=models.SmallIntegerField(
                blank=True,
                choices=[
                    (-3, "ax cancelled"),
                    (-2, "deleted"),
                    (-1, "archived"),
                    (0, "draft"),
                    (1, "programmed"),
                    (2, "sent"),
                    (3, "ax tested"),
                    (4, "ax selected"),
                ],
                help_text="how its draft stood last",
                null=True,
            ),
        ),
        migrations.AddField(
            model_name="campaignschedule",
            name="hard_bounced",
            field=models.PositiveIntegerField(
                blank=True, help_text="messages that failed for good, by Mailjet's count", null=True
            ),
        ),
        migrations.AddField(
            model_name="campaignschedule",
            name="labelled_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="campaignschedule",
            name="labelled_by",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddField(
            model_name="campaignschedule",
            name="labelled_why",
            field=models.TextField(blank=True, help_text="why a person said what it was"),
        ),
        migrations.AddField(
            model_name="campaignschedule",
            name="list_size",
            field=models.PositiveIntegerField(
                blank=True, help_text="mailable members of its list when it was first seen sent", null=True
            ),
        ),
        migrations.AddField(
            model_name="campaignschedule",
            name="of",
            field=models.ForeignKey(
                blank=True,
                help_text="what a repeat repeats, what a part is of, what a person's round goes with",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="also",
                to="listmanagement.campaignschedule",
            ),
        ),
        migrations.AddField(
            model_name="campaignschedule",
            name="opened",
            field=models.PositiveIntegerField(
                blank=True, help_text="messages that were opened, by Mailjet's count", null=True
            ),
        ),
        migrations.AddField(
            model_name="campaignschedule",
            name="processed",
            field=models.PositiveIntegerField(
                blank=True,
                help_text="messages that Mailjet took over for sending, by Mailjet's count",
                null=True,
            ),
        ),
        migrations.AddField(
            model_name="campaignschedule",
            name="queued",
            field=models.PositiveIntegerField(
                blank=True, help_text="messages that still wait, by Mailjet's count", null=True
            ),
        ),
        migrations.AddField(
            model_name="campaignschedule",
            name="segmentation_id",
            field=models.BigIntegerField(
                blank=True, help_text="the part of the list it goes to; empty for the whole list", null=True
            ),
        ),
        migrations.AddField(
            model_name="campaignschedule",
            name="soft_bounced",
            field=models.PositiveIntegerField(
                blank=True, help_text="messages that failed for now, by Mailjet's count", null=True
            ),
        ),
        migrations.AddField(
            model_name="campaignschedule",
            name="title",
            field=models.TextField(blank=True, help_text="for people only, at Mailjet"),
        ),
        migrations.AddField(
            model_name="campaignschedule",
            name="unsubscribed",
            field=models.PositiveIntegerField(
                blank=True,
                help_text="messages from which somebody unsubscribed, by Mailjet's count",
                null=True,
            ),
        ),
        migrations.AddField(
            model_name="cycle",
            name="ended_how",
            field=models.CharField(
                blank=True,
                choices=[("complete", "complete"), ("cut_short", "cut short"), ("overdue", "overdue")],
                max_length=12,
            ),
        ),
        migrations.AlterField(
            model_name="campaignschedule",
            name="cause",
            field=models.TextField(blank=True, help_text="why it failed, was called off or is late"),
        ),
        migrations.AlterField(
            model_name="campaignschedule",
            name="kind",
            field=models.CharField(
                choices=[
                    ("round", "round"),
                    ("part", "part"),
                    ("repeat", "repeat"),
                    ("one_off", "one off"),
                    ("test", "test"),
                ],
                default="round",
                max_length=8,
            ),
        ),
        migrations.AddConstraint(
            model_name="campaignschedule",
            constraint=models.CheckConstraint(
                condition=models.Q(("kind__in", ["round", "part", "repeat", "one_off", "test"])),
                name="a_campaign_has_a_known_kind",
            ),
        ),
        migrations.AddConstraint(
            model_name="campaignschedule",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("of__isnull", True),
                    models.Q(
                        ("kind__in", ["round", "part", "repeat"]),
                        models.Q(("of", models.F("id")), _negated=True),
                    ),
                    _connector="OR",
                ),
                name="a_campaign_goes_with_another",
            ),
        ),
        migrations.AddConstraint(
            model_name="campaignschedule",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("labelled_at", None), ("labelled_by", None), ("labelled_why", "")),
                    models.Q(
                        ("labelled_at__isnull", False),
                        ("labelled_by__isnull", False),
                        models.Q(("labelled_why", ""), _negated=True),
                    ),
                    _connector="OR",
                ),
                name="a_persons_label_names_who_when_and_why",
            ),
        ),
        migrations.AddConstraint(
            model_name="campaignschedule",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(
                        ("blocked", None),
                        ("clicked", None),
                        ("complained", None),
                        ("counted_at", None),
                        ("deferred", None),
                        ("delivered", None),
                        ("hard_bounced", None),
                        ("opened", None),
                        ("processed", None),
                        ("queued", None),
                        ("soft_bounced", None),
                        ("unsubscribed", None),
                    ),
                    models.Q(
                        ("blocked__isnull", False),
                        ("clicked__isnull", False),
                        ("complained__isnull", False),
                        ("counted_at__isnull", False),
                        ("deferred__isnull", False),
                        ("delivered__isnull", False),
                        ("hard_bounced__isnull", False),
                        ("opened__isnull", False),
                        ("processed__isnull", False),
                        ("queued__isnull", False),
                        ("soft_bounced__isnull", False),
                        ("unsubscribed__isnull", False),
                    ),
                    _connector="OR",
                ),
                name="counters_come_together",
            ),
        ),
        migrations.AddConstraint(
            model_name="campaignschedule",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("draft_status__isnull", True),
                    ("draft_status__in", [-3, -2, -1, 0, 1, 2, 3, 4]),
                    _connector="OR",
                ),
                name="a_draft_has_a_known_status",
            ),
        ),
        migrations.AddConstraint(
            model_name="cycle",
            constraint=models.CheckConstraint(
                condition=models.Q(("ended_how__in", ["", "complete", "cut_short", "overdue"])),
                name="a_cycle_ended_in_a_known_way",
            ),
        ),
        migrations.AddConstraint(
            model_name="cycle",
            constraint=models.CheckConstraint(
                condition=models.Q(("ended_how", ""), ("ended_at__isnull", False), _connector="OR"),
                name="only_an_ended_cycle_says_how",
            ),
        ),
        migrations.AddConstraint(
            model_name="campaignsync",
            constraint=models.CheckConstraint(condition=models.Q(("id", 1)), name="one_campaign_sync"),
        ),
        # Where parts were not known they counted as repeats.
        migrations.RunSQL(
            migrations.RunSQL.noop,
            "update listmanagement_campaignschedule set kind = 'repeat' where kind = 'part'",
        ),
    ]
