"""Scans that can be gone on with, and contacts that Mailjet has erased."""

import uuid

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("listmanagement", "0015_doubtful_cycles"),
    ]

    operations = [
        migrations.CreateModel(
            name="MirrorScan",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "of",
                    models.CharField(
                        choices=[
                            ("members", "members"),
                            ("contacts", "contacts"),
                            ("looked_up", "looked up"),
                            ("everything", "everything"),
                        ],
                        max_length=10,
                    ),
                ),
                ("token", models.UUIDField(default=uuid.uuid4, help_text="whoever has it works on the scan")),
                ("busy_until", models.DateTimeField(help_text="past this time nobody works on it")),
                ("started_at", models.DateTimeField(help_text="what is read may be as old as this")),
                ("finished_at", models.DateTimeField(blank=True, null=True)),
                ("offset", models.BigIntegerField(default=0, help_text="the row to ask for next")),
                ("highest", models.BigIntegerField(default=0, help_text="the highest id read so far")),
                ("staged", models.BigIntegerField(default=0, help_text="rows read so far")),
                ("is_read", models.BooleanField(default=False, help_text="the last page is read")),
                (
                    "total",
                    models.BigIntegerField(
                        blank=True, help_text="Mailjet's first count of the rows", null=True
                    ),
                ),
                (
                    "is_stable",
                    models.BooleanField(default=True, help_text="Mailjet's count has stayed the same"),
                ),
            ],
            options={
                "verbose_name": "scan",
            },
        ),
        migrations.AddField(
            model_name="contact",
            name="erased_at",
            field=models.DateTimeField(blank=True, help_text="Mailjet has erased who this was", null=True),
        ),
        migrations.AddIndex(
            model_name="contact",
            index=models.Index(
                condition=models.Q(("erased_at__isnull", False)), fields=["id"], name="contact_erased"
            ),
        ),
        migrations.AddConstraint(
            model_name="contact",
            constraint=models.CheckConstraint(
                condition=models.Q(("erased_at__isnull", True), ("email__isnull", True), _connector="OR"),
                name="of_the_erased_no_address_is_kept",
            ),
        ),
        migrations.AddField(
            model_name="mirrorscan",
            name="list",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="scans",
                to="listmanagement.contactlist",
            ),
        ),
        migrations.AddConstraint(
            model_name="mirrorscan",
            constraint=models.CheckConstraint(
                condition=models.Q(("of__in", ["members", "contacts", "looked_up", "everything"])),
                name="a_scan_reads_something_known",
            ),
        ),
        migrations.AddConstraint(
            model_name="mirrorscan",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("list__isnull", False), ("of", "members")),
                    ("of", "contacts"),
                    models.Q(("list__isnull", True), ("of__in", ["looked_up", "everything"])),
                    _connector="OR",
                ),
                name="memberships_are_read_of_a_list",
            ),
        ),
        migrations.AddConstraint(
            model_name="mirrorscan",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("total__isnull", False), models.Q(("is_read", False), ("staged", 0)), _connector="OR"
                ),
                name="a_scan_that_read_a_page_knows_the_count",
            ),
        ),
        migrations.AddConstraint(
            model_name="mirrorscan",
            constraint=models.UniqueConstraint(
                condition=models.Q(("finished_at", None), ("of", "everything")),
                fields=("of",),
                name="everything_is_read_once_at_a_time",
            ),
        ),
    ]
