"""Contacts who go back to a list whose send reached them while they left it: a kind of decision of their own."""

from django.conf import settings
from django.db import migrations, models

# The former release has no such kind; what an undo does is nearest to it, and no such run has an undo's decision.
BACK = [
    "update listmanagement_decision set kind = 'undo' where kind = 'return'",
    "set constraints all immediate",
]


class Migration(migrations.Migration):
    dependencies = [
        ("listmanagement", "0028_domain_spelling"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.RemoveConstraint(
            model_name="decision",
            name="a_decision_has_a_known_kind",
        ),
        migrations.RunSQL(migrations.RunSQL.noop, BACK),
        migrations.AlterField(
            model_name="decision",
            name="kind",
            field=models.CharField(
                choices=[
                    ("suppression", "suppression"),
                    ("rebalancing", "rebalancing"),
                    ("consent", "consent"),
                    ("reconciliation", "reconciliation"),
                    ("held", "held"),
                    ("undo", "undo"),
                    ("way_back", "way back"),
                    ("return", "return"),
                ],
                max_length=16,
            ),
        ),
        migrations.AddConstraint(
            model_name="decision",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    (
                        "kind__in",
                        [
                            "suppression",
                            "rebalancing",
                            "consent",
                            "reconciliation",
                            "held",
                            "undo",
                            "way_back",
                            "return",
                        ],
                    )
                ),
                name="a_decision_has_a_known_kind",
            ),
        ),
    ]
