"""One name for each recipient domain, whatever way addresses write it; contacts are written once for it."""

from typing import Any

from django.apps.registry import Apps
from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.models import Q, QuerySet
from django.db.models.functions import Coalesce, Lower

from listmanagement.domain import spelling

IN_OTHER_LETTERS = r"[^\x01-\x7F]"


def _known_as() -> models.Case:
    at_the_end = (models.Value("@"), models.Value(-1))
    written = Lower(models.Func(models.F("email"), *at_the_end, function="split_part"))
    return models.Case(
        models.When(email=None, then=None),
        default=Coalesce("domain_in_ascii", models.Func(written, models.Value("."), function="rtrim")),
        output_field=models.TextField(null=True),
    )


def give_names(apps: Apps, editor: BaseDatabaseSchemaEditor) -> None:
    """Of contacts in other letters, and wherever a domain is named by itself."""

    def rows(model: str) -> QuerySet[Any]:
        return apps.get_model("listmanagement", model).objects.using(editor.connection.alias)

    written = rows("Contact").filter(email__regex=IN_OTHER_LETTERS)
    for pk, email in written.values_list("pk", "email").iterator():
        name = spelling.in_ascii(email.rpartition("@")[2])
        rows("Contact").filter(pk=pk).update(domain_in_ascii=name)
    domains = rows("Hold").filter(kind="domain")
    _rename(domains.filter(ended_at=None), "host", only_once=True)
    _rename(domains.filter(ended_at__isnull=False), "host", only_once=False)
    _rename(rows("Protection").filter(kind="domain"), "value", only_once=True)
    _rename(rows("DomainLookup"), "domain", only_once=False)


def _rename(rows: QuerySet[Any], column: str, *, only_once: bool) -> None:
    """Where a name stands only once, not to one that stands already: that covers everybody now."""
    odd = rows.filter(Q(**{f"{column}__regex": IN_OTHER_LETTERS}) | Q(**{f"{column}__endswith": "."}))
    for row in odd:
        name = spelling.known_as(getattr(row, column))
        if not (only_once and rows.filter(**{column: name}).exists()):
            rows.filter(pk=row.pk).update(**{column: name})


class Migration(migrations.Migration):
    dependencies = [("listmanagement", "0027_runs_continue")]

    operations = [
        migrations.AddField(
            model_name="contact",
            name="domain_in_ascii",
            field=models.TextField(
                blank=True,
                editable=False,
                help_text="the domain as DNS knows it, where the address writes it in other letters",
                null=True,
            ),
        ),
        migrations.RemoveIndex(model_name="contact", name="contact_by_domain"),
        migrations.RemoveField(model_name="contact", name="domain"),
        migrations.AddField(
            model_name="contact",
            name="domain",
            field=models.GeneratedField(
                db_persist=True, expression=_known_as(), output_field=models.TextField(null=True)
            ),
        ),
        migrations.AddIndex(
            model_name="contact", index=models.Index(fields=["domain"], name="contact_by_domain")
        ),
        migrations.RunPython(give_names, migrations.RunPython.noop),
    ]
