"""What contacts said is looked for every ten seconds: indexes for it. A complaint ends a contact's hold."""

from django.db import migrations, models

ENDS = [
    "outage_over",
    "closed",
    "none_delivered",
    "stale",
    "delivered",
    "second_hard",
    "refused_long",
    "complained",
]

# The former release knows no hold that a complaint ended.
BACK = "update listmanagement_hold set ended_how = 'refused_long' where ended_how = 'complained';"


class Migration(migrations.Migration):
    dependencies = [("listmanagement", "0010_campaigns_and_cycles")]

    operations = [
        migrations.RemoveConstraint(model_name="hold", name="a_hold_ended_in_a_known_way"),
        migrations.RunSQL(migrations.RunSQL.noop, BACK),
        migrations.AlterField(
            model_name="hold",
            name="ended_how",
            field=models.CharField(
                blank=True, choices=[(end, end.replace("_", " ")) for end in ENDS], max_length=24
            ),
        ),
        migrations.AddConstraint(
            model_name="hold",
            constraint=models.CheckConstraint(
                condition=models.Q(("ended_how__in", ["", *ENDS])), name="a_hold_ended_in_a_known_way"
            ),
        ),
        migrations.AddIndex(
            model_name="contact",
            index=models.Index(
                condition=models.Q(
                    ("complained_at", None), ("email__isnull", False), ("opted_out_at__isnull", False)
                ),
                fields=["opted_out_at"],
                name="contact_opted_out",
            ),
        ),
        migrations.AddIndex(
            model_name="contact",
            index=models.Index(
                condition=models.Q(("complained_at__isnull", False), ("email__isnull", False)),
                fields=["complained_at"],
                name="contact_complained",
            ),
        ),
    ]
