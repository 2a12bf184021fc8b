"""Keeps who has a retired contact's address: our jobs go by address, and were for the one who had it then."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("listmanagement", "0005_overridden_at")]

    operations = [
        migrations.AddField(
            model_name="contact",
            name="heir",
            field=models.ForeignKey(
                blank=True,
                help_text="who has its address now",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="predecessors",
                to="listmanagement.contact",
            ),
        ),
        migrations.AddConstraint(
            model_name="contact",
            constraint=models.CheckConstraint(
                condition=models.Q(heir__isnull=True) | models.Q(email__isnull=True),
                name="only_the_retired_have_an_heir",
            ),
        ),
    ]
