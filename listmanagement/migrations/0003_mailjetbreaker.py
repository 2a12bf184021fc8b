"""Whether Mailjet is asked at all: the circuit breaker and the common back-off of all processes."""

import django.contrib.postgres.fields
from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    dependencies = [("listmanagement", "0002_refusals")]

    operations = [
        migrations.CreateModel(
            name="MailjetBreaker",
            fields=[
                (
                    "id",
                    models.PositiveSmallIntegerField(
                        default=1, editable=False, primary_key=True, serialize=False
                    ),
                ),
                (
                    "state",
                    models.CharField(
                        choices=[("closed", "closed"), ("open", "open"), ("probing", "probing")],
                        default="closed",
                        max_length=7,
                    ),
                ),
                (
                    "failed_at",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.DateTimeField(),
                        blank=True,
                        default=list,
                        help_text="the latest failures without an answer",
                        size=None,
                    ),
                ),
                (
                    "why",
                    models.TextField(blank=True, help_text="how the last request failed; never an address"),
                ),
                (
                    "since",
                    models.DateTimeField(blank=True, help_text="when Mailjet was given up", null=True),
                ),
                ("until", models.DateTimeField(blank=True, help_text="when it is asked again", null=True)),
                ("failed_probes", models.PositiveSmallIntegerField(default=0)),
                (
                    "backed_off",
                    models.PositiveSmallIntegerField(
                        default=0, help_text="how often in a row Mailjet said: too many requests"
                    ),
                ),
                ("back_off_until", models.DateTimeField(blank=True, null=True)),
            ],
            options={
                "verbose_name": "circuit breaker",
                "constraints": [
                    models.CheckConstraint(condition=Q(id=1), name="one_breaker"),
                    models.CheckConstraint(
                        condition=Q(state__in=["closed", "open", "probing"]),
                        name="a_breaker_has_a_known_state",
                    ),
                    models.CheckConstraint(
                        condition=Q(state="closed", since__isnull=True, until__isnull=True, failed_probes=0)
                        | (
                            ~Q(state="closed")
                            & Q(since__isnull=False, until__isnull=False)
                            & ~Q(failed_at=[])
                        ),
                        name="an_open_breaker_says_since_when_and_until_when",
                    ),
                    models.CheckConstraint(
                        condition=Q(failed_at=[], why="") | (~Q(failed_at=[]) & ~Q(why="")),
                        name="failures_and_only_they_say_why",
                    ),
                    models.CheckConstraint(
                        condition=Q(backed_off=0, back_off_until__isnull=True)
                        | Q(backed_off__gte=1, back_off_until__isnull=False),
                        name="a_back_off_says_until_when",
                    ),
                ],
            },
        ),
    ]
