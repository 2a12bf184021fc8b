"""When Mailjet was away: what people are told about it."""

from django.db import migrations, models

UNDER_WAY = """
insert into listmanagement_mailjetoutage (began_at, why)
select since, why from listmanagement_mailjetbreaker where state <> 'closed';
"""


class Migration(migrations.Migration):
    dependencies = [
        ("listmanagement", "0006_recurringjob"),
    ]

    operations = [
        migrations.CreateModel(
            name="MailjetOutage",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("began_at", models.DateTimeField(help_text="when the breaker opened")),
                (
                    "ended_at",
                    models.DateTimeField(blank=True, help_text="when Mailjet answered again", null=True),
                ),
                (
                    "why",
                    models.TextField(help_text="how the request failed that opened it; never an address"),
                ),
                (
                    "told_at",
                    models.DateTimeField(
                        blank=True, help_text="when people were told that it began", null=True
                    ),
                ),
                (
                    "closed_at",
                    models.DateTimeField(
                        blank=True, help_text="when it was over and there was nothing more to tell", null=True
                    ),
                ),
            ],
            options={
                "verbose_name": "outage of Mailjet",
                "verbose_name_plural": "Mailjet: budget and outages",
                "indexes": [
                    models.Index(
                        condition=models.Q(("closed_at", None)), fields=["began_at"], name="outage_to_tell"
                    ),
                    models.Index(fields=["-began_at"], name="outage_newest_first"),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("ended_at", None)),
                        fields=("ended_at",),
                        name="one_outage_at_a_time",
                        nulls_distinct=False,
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("ended_at", None), ("ended_at__gte", models.F("began_at")), _connector="OR"
                        ),
                        name="an_outage_ends_after_it_began",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("why", ""), _negated=True), name="an_outage_says_why"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("closed_at", None),
                            models.Q(("ended_at__isnull", False), ("told_at__isnull", False)),
                            _connector="OR",
                        ),
                        name="only_an_outage_that_is_over_and_told_is_closed",
                    ),
                ],
            },
        ),
        migrations.RunSQL(UNDER_WAY, migrations.RunSQL.noop),
    ]
