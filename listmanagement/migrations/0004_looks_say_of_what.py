"""Keeps to which list a looked-at send was to go, and what a finding is about besides contacts."""

from django.db import migrations, models

LIST = {
    "on_delete": models.PROTECT,
    "related_name": "+",
    "to": "listmanagement.contactlist",
    "help_text": "to which it was to be sent, as this look saw it",
}

SUBJECTS = {
    "blank": True,
    "help_text": "what else it is about, by name; null of findings older than this, of whose contacts only the "
    "first were kept",
}

ONE_LOOK_AN_INSTANT = """
    update listmanagement_campaignvalidation set instant = 'asked' where id in (
        select id from (
            select id, instant, row_number() over (
                partition by campaign_id, sends_at, instant order by at desc, id desc
            ) as nth from listmanagement_campaignvalidation
        ) as look where nth > 1 and instant in ('day_before', 'two_hours_before', 'half_an_hour_before')
    );
    set constraints all immediate
"""
"""Backwards: a send that was looked at for two lists at one instant keeps the later look of them as that."""


class Migration(migrations.Migration):
    dependencies = [("listmanagement", "0003_excluded_since")]

    operations = [
        migrations.AddField(
            model_name="campaignvalidation", name="list", field=models.ForeignKey(null=True, **LIST)
        ),
        migrations.RunSQL(
            "update listmanagement_campaignvalidation as look set list_id = campaign.list_id"
            " from listmanagement_campaignschedule as campaign where campaign.id = look.campaign_id;"
            " set constraints all immediate",
            migrations.RunSQL.noop,
        ),
        migrations.AlterField(model_name="campaignvalidation", name="list", field=models.ForeignKey(**LIST)),
        migrations.RemoveConstraint(model_name="campaignvalidation", name="one_look_per_instant_and_send"),
        migrations.RunSQL(migrations.RunSQL.noop, ONE_LOOK_AN_INSTANT),
        migrations.AddConstraint(
            model_name="campaignvalidation",
            constraint=models.UniqueConstraint(
                condition=models.Q(instant__in=["day_before", "two_hours_before", "half_an_hour_before"]),
                fields=["campaign", "list", "sends_at", "instant"],
                name="one_look_per_instant_and_send",
            ),
        ),
        migrations.AddField(
            model_name="validationfinding",
            name="subjects",
            field=models.JSONField(null=True, **SUBJECTS),
        ),
        migrations.AlterField(  # what is there has none, which is not the same as being about nothing else
            model_name="validationfinding",
            name="subjects",
            field=models.JSONField(default=list, null=True, **SUBJECTS),
        ),
        migrations.AlterField(
            model_name="validationfinding",
            name="contacts",
            field=models.JSONField(blank=True, default=list, help_text="ids: of what blocks, all of them"),
        ),
    ]
