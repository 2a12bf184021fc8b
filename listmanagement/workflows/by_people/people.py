"""Who does what by hand: a signed-in person, or whoever is at the command line."""

from __future__ import annotations

from django.contrib.auth.models import User

from listmanagement.workflows.by_people import review
from listmanagement.workflows.by_people.refusals import NotAllowed

COMMAND_LINE = "command-line"
"""The account in whose name commands act that name nobody. It cannot sign in."""


def at_the_command_line() -> User:
    """The account of whoever runs a command and says no name. Made when it is first needed."""
    user, is_new = User.objects.get_or_create(username=COMMAND_LINE, defaults={"is_active": False})
    if is_new:
        user.set_unusable_password()
        user.save(update_fields=["password"])
    return user


def named(name: str | None) -> User:
    """The user of that name; without a name, whoever is at the command line. Raises NotAllowed."""
    if name is None:
        return at_the_command_line()
    found = User.objects.filter(username=name, is_active=True).first()
    if found is None:
        raise NotAllowed(f"there is no active user {name!r}: name a reviewer")
    return found


def why_not_reviewing(by: User) -> str | None:
    """Why this person may not decide; None for a reviewer, and for whoever has the machine itself."""
    return None if by.get_username() == COMMAND_LINE else review.why_no_reviewer(by)
