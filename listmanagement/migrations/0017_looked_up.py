"""When Mailjet was last asked which lists a contact is on: whoever spoke since is asked for at once."""

from django.db import migrations, models

# Who spoke before this release was found by the readings since.
THERE = """
update listmanagement_contact set looked_up_at = now()
 where opted_out_at is not null or complained_at is not null
"""


class Migration(migrations.Migration):
    dependencies = [("listmanagement", "0016_mirror_scans")]

    operations = [
        migrations.AddField(
            model_name="contact",
            name="looked_up_at",
            field=models.DateTimeField(
                blank=True,
                help_text="when Mailjet was last asked which lists they are on, all at once",
                null=True,
            ),
        ),
        migrations.RunSQL(THERE, migrations.RunSQL.noop),
    ]
