"""What Mailjet tells through webhooks, as it told it."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("listmanagement", "0011_consent_is_found"),
    ]

    operations = [
        migrations.CreateModel(
            name="WebhookEvent",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("identity", models.UUIDField(unique=True)),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("sent", "sent"),
                            ("open", "open"),
                            ("click", "click"),
                            ("bounce", "bounce"),
                            ("blocked", "blocked"),
                            ("spam", "spam"),
                            ("unsub", "unsub"),
                            ("other", "other"),
                            ("unreadable", "unreadable"),
                            ("too_large", "too large"),
                        ],
                        max_length=10,
                    ),
                ),
                ("body", models.TextField(help_text="the event's JSON, as it came")),
                ("received_at", models.DateTimeField()),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("new", "new"),
                            ("waiting", "waiting"),
                            ("done", "done"),
                            ("review", "review"),
                        ],
                        default="new",
                        max_length=7,
                    ),
                ),
                ("processed_at", models.DateTimeField(blank=True, null=True)),
                (
                    "problem",
                    models.TextField(blank=True, db_default="", help_text="why a person should look at it"),
                ),
                ("message_id", models.BigIntegerField(blank=True, null=True)),
                ("mailjet_campaign_id", models.BigIntegerField(blank=True, null=True)),
                ("happened_at", models.DateTimeField(blank=True, null=True)),
            ],
            options={
                "verbose_name": "event",
            },
        ),
        migrations.AddField(
            model_name="campaignschedule",
            name="first_event_at",
            field=models.DateTimeField(
                blank=True, help_text="when the first event of it was told", null=True
            ),
        ),
        migrations.AddIndex(
            model_name="campaignschedule",
            index=models.Index(
                condition=models.Q(("settled_at__isnull", True), ("status", "sent")),
                fields=["ended_at"],
                name="campaign_unsettled",
            ),
        ),
        migrations.AddIndex(
            model_name="webhookevent",
            index=models.Index(
                condition=models.Q(("status", "new")), fields=["id"], name="event_unprocessed"
            ),
        ),
        migrations.AddIndex(
            model_name="webhookevent",
            index=models.Index(
                condition=models.Q(("status", "review")), fields=["id"], name="event_for_review"
            ),
        ),
        migrations.AddIndex(
            model_name="webhookevent",
            index=models.Index(
                condition=models.Q(("status", "waiting")),
                fields=["mailjet_campaign_id"],
                name="event_waiting_for_its_campaign",
            ),
        ),
        migrations.AddIndex(
            model_name="webhookevent",
            index=models.Index(
                condition=models.Q(("processed_at__isnull", False)),
                fields=["processed_at"],
                name="event_processed",
            ),
        ),
        migrations.AddIndex(
            model_name="webhookevent",
            index=models.Index(
                condition=models.Q(("kind", "click"), ("message_id__isnull", False)),
                fields=["message_id"],
                name="event_clicks_of_a_message",
            ),
        ),
        migrations.AddConstraint(
            model_name="webhookevent",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    (
                        "kind__in",
                        [
                            "sent",
                            "open",
                            "click",
                            "bounce",
                            "blocked",
                            "spam",
                            "unsub",
                            "other",
                            "unreadable",
                            "too_large",
                        ],
                    )
                ),
                name="an_event_has_a_known_kind",
            ),
        ),
        migrations.AddConstraint(
            model_name="webhookevent",
            constraint=models.CheckConstraint(
                condition=models.Q(("status__in", ["new", "waiting", "done", "review"])),
                name="an_event_has_a_known_status",
            ),
        ),
        migrations.AddConstraint(
            model_name="webhookevent",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("processed_at__isnull", False), ("status__in", ("done", "review"))),
                    models.Q(
                        models.Q(("status__in", ("done", "review")), _negated=True),
                        ("processed_at__isnull", True),
                    ),
                    _connector="OR",
                ),
                name="processed_events_and_only_they_say_when",
            ),
        ),
        migrations.AddConstraint(
            model_name="webhookevent",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("status", "review"), models.Q(("problem", ""), _negated=True)),
                    models.Q(models.Q(("status", "review"), _negated=True), ("problem", "")),
                    _connector="OR",
                ),
                name="events_for_review_and_only_they_say_why",
            ),
        ),
        migrations.AddConstraint(
            model_name="webhookevent",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("status", "waiting"), _negated=True),
                    ("mailjet_campaign_id__isnull", False),
                    _connector="OR",
                ),
                name="a_waiting_event_names_its_campaign",
            ),
        ),
    ]
