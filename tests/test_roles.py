"""The roles exist after the first migration, with their permissions."""

import pytest
from django.contrib.auth.models import Group

from listmanagement.apps import REVIEWERS, VIEWERS


@pytest.mark.django_db
def test_reviewers_decide_and_viewers_only_look_from_the_first_migration_on() -> None:
    reviewers = set(Group.objects.get(name=REVIEWERS).permissions.values_list("codename", flat=True))
    viewers = set(Group.objects.get(name=VIEWERS).permissions.values_list("codename", flat=True))

    assert "review_decision" in reviewers
    assert "view_decision" in viewers
    assert reviewers - viewers == {"review_decision"}
    assert not {name for name in reviewers if name.startswith(("add_", "change_", "delete_"))}
