"""A list's members and their contacts are read apart: consent often, addresses less so."""

from django.db import migrations, models

AS_READ = "update listmanagement_contactlist set contacts_read_at = read_at;"


class Migration(migrations.Migration):
    dependencies = [("listmanagement", "0004_consent")]

    operations = [
        migrations.AddField(
            model_name="contactlist",
            name="contacts_read_at",
            field=models.DateTimeField(
                blank=True,
                help_text="when its members' addresses and exclusions were last read",
                null=True,
            ),
        ),
        migrations.RunSQL(AS_READ, migrations.RunSQL.noop),
    ]
