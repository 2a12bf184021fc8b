#!/usr/bin/env python
"""Evenkeel's commands: `python manage.py help`."""

import os
import sys


def main() -> None:
    """Run a command, with embedded services where none is configured."""
    from config import embedded

    embedded.provide()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import execute_from_command_line

    import config.celery  # noqa: F401  (a nudge needs the app)

    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as why:  # it says which variables to mend; where it was raised helps nobody
        sys.exit(str(why))


if __name__ == "__main__":
    main()
