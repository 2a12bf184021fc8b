"""What the demo keeps between two starts: whether it is seeded, and its users' passwords."""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import asdict, dataclass, field
from pathlib import Path

from django.contrib.auth.models import Group, User

from listmanagement.apps import REVIEWERS, VIEWERS

REVIEWER, VIEWER, ADMINISTRATOR = "reviewer", "viewer", "admin"
_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"  # none that is taken for another


@dataclass
class Memory:
    """Kept in one file for this user's eyes only; a missing file is a demo that never was."""

    path: Path
    seeded: bool = False
    passwords: dict[str, str] = field(default_factory=dict)

    def save(self) -> None:
        """Write it, whole."""
        new = self.path.with_suffix(".new")
        new.unlink(missing_ok=True)
        kept = {name: value for name, value in asdict(self).items() if name != "path"}
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            json.dump(kept, file, indent=2)
        new.replace(self.path)


def recall(path: Path) -> Memory:
    """What was kept at `path`."""
    kept = json.loads(path.read_text()) if path.exists() else {}
    return Memory(path=path, **kept)


def make_users(memory: Memory) -> None:
    """A reviewer, a viewer and an administrator, with the passwords that were printed before."""
    for name, role in ((REVIEWER, REVIEWERS), (VIEWER, VIEWERS), (ADMINISTRATOR, None)):
        user, _ = User.objects.get_or_create(
            username=name, defaults={"is_staff": True, "is_superuser": role is None}
        )
        if role is not None:
            user.groups.add(Group.objects.get(name=role))
        password = memory.passwords.setdefault(name, _password())
        if not user.check_password(password):
            user.set_password(password)
            user.save(update_fields=["password"])
    memory.save()


def _password() -> str:
    return "-".join("".join(secrets.choice(_LETTERS) for _ in range(4)) for _ in range(4))
