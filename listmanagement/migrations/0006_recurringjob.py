"""When each recurring job last ran."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("listmanagement", "0005_contacts_read_at"),
    ]

    operations = [
        migrations.CreateModel(
            name="RecurringJob",
            fields=[
                (
                    "job",
                    models.CharField(
                        choices=[
                            ("refresh_cache", "refresh cache"),
                            ("sync_campaigns", "sync campaigns"),
                            ("late_outcomes", "late outcomes"),
                            ("watch_events", "watch events"),
                            ("forget_events", "forget events"),
                            ("reconcile", "reconcile"),
                        ],
                        max_length=24,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("tried_at", models.DateTimeField(help_text="when the last try began")),
                (
                    "busy_until",
                    models.DateTimeField(
                        blank=True,
                        help_text="somebody works on it; past this time it counts as dead",
                        null=True,
                    ),
                ),
                ("done_at", models.DateTimeField(blank=True, help_text="when it last succeeded", null=True)),
                ("outcome", models.TextField(blank=True, help_text="what the last success did")),
                (
                    "error",
                    models.TextField(blank=True, help_text="why the last try failed; empty after a success"),
                ),
            ],
            options={
                "verbose_name": "recurring job",
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            (
                                "job__in",
                                [
                                    "refresh_cache",
                                    "sync_campaigns",
                                    "late_outcomes",
                                    "watch_events",
                                    "forget_events",
                                    "reconcile",
                                ],
                            )
                        ),
                        name="a_recurring_job_is_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("busy_until__isnull", True),
                            ("busy_until__gt", models.F("tried_at")),
                            _connector="OR",
                        ),
                        name="a_job_is_busy_after_it_began",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("done_at__isnull", False), ("outcome", ""), _connector="OR"),
                        name="only_what_was_done_has_an_outcome",
                    ),
                ],
            },
        ),
    ]
