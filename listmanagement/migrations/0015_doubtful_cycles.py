"""Why a cycle is not over though every list had a send."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("listmanagement", "0014_gemini"),
    ]

    operations = [
        migrations.AddField(
            model_name="cycle",
            name="doubt",
            field=models.TextField(
                blank=True, help_text="why it is not over though every list had a send, and what to do"
            ),
        ),
    ]
