"""What changes lists' figures leaves a row, whoever changes it: what is cached of them is named by these."""

from django.db import migrations, models

TABLES = {
    "contact": "note_list_change('contacts')",
    "contactlistmembership": "note_membership_change()",
    "contactsuppressionhistory": "note_list_change('suppressions')",
    "hold": "note_list_change('holds')",
}
ROWS = {"insert": "new", "update": "new", "delete": "old"}

# A statement that found nothing to change changes nothing.
NOTE = """
create function note_list_change() returns trigger language plpgsql as $$
begin
  if exists (select from changed) then
    insert into listmanagement_listchange (what, at, mark)
    values (tg_argv[0], clock_timestamp(), (random() * 9007199254740991)::bigint);
  end if;
  return null;
end $$;
create function note_membership_change() returns trigger language plpgsql as $$
begin
  insert into listmanagement_listchange (what, of_list, at, mark)
  select 'memberships', list_id, clock_timestamp(), (random() * 9007199254740991)::bigint
    from (select distinct list_id from changed) as touched;
  return null;
end $$;
"""


def forwards() -> str:
    return NOTE + "".join(
        f"create trigger {table}_{verb}_is_noted after {verb} on listmanagement_{table}"
        f" referencing {rows} table as changed for each statement execute function {function};\n"
        for table, function in TABLES.items()
        for verb, rows in ROWS.items()
    )


def backwards() -> str:
    dropped = [
        f"drop trigger {table}_{verb}_is_noted on listmanagement_{table};\n"
        for table in TABLES
        for verb in ROWS
    ]
    return "".join([*dropped, "drop function note_list_change(); drop function note_membership_change();"])


class Migration(migrations.Migration):
    dependencies = [("listmanagement", "0025_way_back")]

    operations = [
        migrations.CreateModel(
            name="ListChange",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "what",
                    models.CharField(
                        choices=[
                            ("contacts", "contacts"),
                            ("memberships", "memberships"),
                            ("suppressions", "suppressions"),
                            ("holds", "holds"),
                        ],
                        max_length=12,
                    ),
                ),
                (
                    "of_list",
                    models.BigIntegerField(
                        blank=True, help_text="whose memberships: our id of the list", null=True
                    ),
                ),
                ("at", models.DateTimeField()),
                (
                    "mark",
                    models.BigIntegerField(
                        help_text="by chance: after a restore, no state has the name of an older one"
                    ),
                ),
            ],
            options={
                "verbose_name": "change of lists",
                "verbose_name_plural": "changes of lists",
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            ("what__in", ["contacts", "memberships", "suppressions", "holds"])
                        ),
                        name="a_change_of_lists_is_of_a_known_table",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("of_list__isnull", False), ("what", "memberships"))
                        | models.Q(models.Q(("what", "memberships"), _negated=True), ("of_list", None)),
                        name="memberships_and_only_they_change_on_a_list",
                    ),
                ],
            },
        ),
        migrations.RunSQL(forwards(), backwards()),
    ]
