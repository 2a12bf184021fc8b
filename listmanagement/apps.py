"""The Django application, and the roles it needs."""

from typing import Any

from django.apps import AppConfig

VIEWERS, REVIEWERS = "Viewers", "Reviewers"


class ListManagementConfig(AppConfig):
    """List maintenance: judged, reviewed, executed, proven."""

    name = "listmanagement"
    verbose_name = "List management"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Make sure of the roles after each migration, when their permissions exist."""
        from django.db.models.signals import post_migrate

        post_migrate.connect(make_roles, sender=self)


def make_roles(*, sender: AppConfig, using: str, **kwargs: Any) -> None:
    """Viewers see everything of ours; reviewers also decide. Nobody edits rows by hand."""
    from django.contrib.auth.management import create_permissions
    from django.contrib.auth.models import Group, Permission

    create_permissions(sender, verbosity=0, using=using)  # Django's own handler may run after this one
    ours = Permission.objects.using(using).filter(content_type__app_label="listmanagement")
    looking = ours.filter(codename__startswith="view_")
    viewers, _ = Group.objects.using(using).get_or_create(name=VIEWERS)
    viewers.permissions.set(looking)
    reviewers, _ = Group.objects.using(using).get_or_create(name=REVIEWERS)
    reviewers.permissions.set(looking | ours.filter(codename="review_decision"))
