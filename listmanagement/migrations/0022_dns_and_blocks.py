"""What DNS told, holds of mail hosts with their domains, and since when Mailjet refuses a contact."""

import django.db.models.deletion
import django.db.models.functions.text
from django.db import migrations, models

# Whom Mailjet refused to try since the last delivery, since the first such refusal.
BLOCKED = """
update listmanagement_contact contact set blocked_since = refused.since
  from (select message.contact_id, min(message.outcome_at) as since
          from listmanagement_campaignrecipient message
         where message.outcome = 'not_attempted' and message.bounce_class not in ('duplicate', 'sender_side')
           and not exists (
               select from listmanagement_campaignrecipient later
                where later.contact_id = message.contact_id and later.outcome = 'delivered'
                  and later.outcome_at >= message.outcome_at)
         group by message.contact_id) as refused
 where contact.id = refused.contact_id
"""

UNKNOWN_JOB = "delete from listmanagement_recurringjob where job = 'ask_dns'"


class Migration(migrations.Migration):
    dependencies = [
        ("listmanagement", "0021_pre_campaign"),
    ]

    operations = [
        migrations.CreateModel(
            name="DomainLookup",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("domain", models.TextField()),
                ("at", models.DateTimeField()),
                (
                    "route",
                    models.CharField(
                        choices=[
                            ("hosts", "hosts"),
                            ("address", "address"),
                            ("no_domain", "no domain"),
                            ("null_mx", "null mx"),
                            ("nowhere", "nowhere"),
                            ("unknown", "unknown"),
                        ],
                        max_length=12,
                    ),
                ),
                ("mail_host", models.TextField(blank=True, help_text="where its mail goes first")),
                ("why", models.TextField(blank=True, help_text="why nobody could say")),
            ],
            options={
                "verbose_name": "answer of DNS",
                "verbose_name_plural": "answers of DNS",
            },
        ),
        migrations.RemoveConstraint(
            model_name="recurringjob",
            name="a_recurring_job_is_known",
        ),
        migrations.AddField(
            model_name="hold",
            name="part_of",
            field=models.ForeignKey(
                blank=True,
                help_text="the hold of the mail host that its domain is behind: it ends with it, or before",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="parts",
                to="listmanagement.hold",
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
                ],
                max_length=24,
                primary_key=True,
                serialize=False,
            ),
        ),
        migrations.AddConstraint(
            model_name="hold",
            constraint=models.CheckConstraint(
                condition=models.Q(("part_of__isnull", True), ("kind", "domain"), _connector="OR"),
                name="only_a_domain_is_held_with_its_mail_host",
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
                        ],
                    )
                ),
                name="a_recurring_job_is_known",
            ),
        ),
        migrations.AddIndex(
            model_name="domainlookup",
            index=models.Index(fields=["domain", "-at"], name="lookup_by_domain"),
        ),
        migrations.AddConstraint(
            model_name="domainlookup",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("route__in", ["hosts", "address", "no_domain", "null_mx", "nowhere", "unknown"])
                ),
                name="dns_gave_a_known_answer",
            ),
        ),
        migrations.AddConstraint(
            model_name="domainlookup",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("route__in", ("hosts", "address")), models.Q(("mail_host", ""), _negated=True)),
                    models.Q(models.Q(("route__in", ("hosts", "address")), _negated=True), ("mail_host", "")),
                    _connector="OR",
                ),
                name="where_mail_is_taken_there_is_a_host",
            ),
        ),
        migrations.AddConstraint(
            model_name="domainlookup",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("route", "unknown"), models.Q(("why", ""), _negated=True)),
                    models.Q(models.Q(("route", "unknown"), _negated=True), ("why", "")),
                    _connector="OR",
                ),
                name="what_dns_did_not_say_has_a_reason",
            ),
        ),
        migrations.AddConstraint(
            model_name="domainlookup",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("domain", ""), _negated=True),
                    ("domain", django.db.models.functions.text.Lower("domain")),
                ),
                name="a_looked_up_domain_is_lower_case",
            ),
        ),
        migrations.RunSQL(migrations.RunSQL.noop, UNKNOWN_JOB),
        migrations.RunSQL(BLOCKED, migrations.RunSQL.noop),
    ]
