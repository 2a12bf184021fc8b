"""The pause that all processes keep after Gemini said that it was asked too often."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("listmanagement", "0018_judgement_record"),
    ]

    operations = [
        migrations.CreateModel(
            name="GeminiBackOff",
            fields=[
                (
                    "id",
                    models.PositiveSmallIntegerField(
                        default=1, editable=False, primary_key=True, serialize=False
                    ),
                ),
                (
                    "times",
                    models.PositiveSmallIntegerField(
                        help_text="how often in a row Gemini said: too many requests"
                    ),
                ),
                ("until", models.DateTimeField(help_text="before this nobody asks")),
                ("why", models.TextField(help_text="the reason's code: a minute's rate, or a quota")),
            ],
            options={
                "verbose_name": "Gemini's back-off",
                "constraints": [
                    models.CheckConstraint(condition=models.Q(("id", 1)), name="one_back_off_from_gemini"),
                    models.CheckConstraint(
                        condition=models.Q(("times__gte", 1)), name="gemini_was_refused_at_least_once"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("why", ""), _negated=True), name="a_back_off_from_gemini_says_why"
                    ),
                ],
            },
        ),
    ]
