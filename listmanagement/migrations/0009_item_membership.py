"""An item of a reconciliation names the change at Mailjet that it asks about, so that it is asked once."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("listmanagement", "0008_evidence")]

    operations = [
        migrations.AddField(
            model_name="decisionitem",
            name="membership",
            field=models.ForeignKey(
                blank=True,
                help_text="of a reconciliation: the membership that people began or ended at Mailjet",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="items",
                to="listmanagement.contactlistmembership",
            ),
        ),
    ]
