"""What is asked of Gemini and what it costs; the answers that identical questions may be answered from."""

import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("listmanagement", "0013_suppression_list_as_leg"),
    ]

    operations = [
        migrations.CreateModel(
            name="GeminiRequest",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                (
                    "correlation",
                    models.TextField(
                        blank=True,
                        help_text="the run's correlation id; empty where somebody asked outside of a run",
                    ),
                ),
                (
                    "tokens",
                    models.PositiveIntegerField(
                        help_text="what it cost; set aside for it until that is known"
                    ),
                ),
                ("settled", models.BooleanField(default=False, help_text="the cost is known")),
            ],
        ),
        migrations.AddField(
            model_name="agentcall",
            name="question",
            field=models.TextField(
                blank=True, db_default="", default="", help_text="what identical questions share, as a hash"
            ),
        ),
        migrations.AddField(
            model_name="agentcall",
            name="stated",
            field=models.JSONField(
                blank=True, help_text="what the model itself said, before policy and caps", null=True
            ),
        ),
        migrations.AddField(
            model_name="agentcall",
            name="tokens_thought",
            field=models.PositiveIntegerField(blank=True, null=True),
        ),
        migrations.AddIndex(
            model_name="agentcall",
            index=models.Index(
                condition=models.Q(("question", ""), _negated=True),
                fields=["question", "-at"],
                name="answers_by_question",
            ),
        ),
        migrations.AddConstraint(
            model_name="agentcall",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("source", "rules"), _negated=True),
                    models.Q(("question", ""), ("stated__isnull", True)),
                    _connector="OR",
                ),
                name="only_a_model_states_what_may_be_reused",
            ),
        ),
        migrations.AddIndex(
            model_name="geminirequest",
            index=models.Index(fields=["at"], name="asked_by_time"),
        ),
        migrations.AddIndex(
            model_name="geminirequest",
            index=models.Index(
                condition=models.Q(("correlation", ""), _negated=True),
                fields=["correlation"],
                name="asked_by_run",
            ),
        ),
    ]
