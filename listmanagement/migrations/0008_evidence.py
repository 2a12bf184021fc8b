"""Pages and events make one piece of evidence: it keeps what each told, and when."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("listmanagement", "0007_mailjetoutage")]

    operations = [
        migrations.AddField(
            model_name="campaignrecipient",
            name="delivered_at",
            field=models.DateTimeField(
                blank=True, help_text="when the receiving server took it, as an event said", null=True
            ),
        ),
        migrations.AddField(
            model_name="bounce",
            name="told",
            field=models.JSONField(
                blank=True,
                db_default={},
                default=dict,
                help_text="all that was told of the message, whatever the order",
            ),
        ),
    ]
