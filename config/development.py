"""A `.env` for development, written where there is none."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from config.environment import BASE_DIR

EXAMPLE = BASE_DIR / ".env.example"


def write_dotenv(*, path: Path = BASE_DIR / ".env", example: Path = EXAMPLE) -> bool:
    """Copy `.env.example`, which is for development, with a secret key of its own, for this user's eyes only.

    Does nothing where the file exists. Returns whether it was written.
    """
    text = example.read_text().replace("\nSECRET_KEY=\n", f"\nSECRET_KEY={secrets.token_urlsafe(48)}\n")
    new = path.with_name(f"{path.name}.{os.getpid()}")
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    try:
        os.link(new, path)  # whole, or not at all where somebody was faster
    except FileExistsError:
        return False
    finally:
        new.unlink()
    return True


def is_unconfigured(environment: Mapping[str, str], *, example: Path = EXAMPLE) -> bool:
    """Whether nothing that `.env.example` names is set: a first look, and certainly no production."""
    names = {
        line.split("=")[0] for line in example.read_text().splitlines() if "=" in line and line[0] != "#"
    }
    return not any(environment.get(name) for name in {*names, "ENV_FILE"})
