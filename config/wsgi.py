"""The web process."""

import os

import config.celery  # noqa: F401  (provides the databases' addresses; a nudge needs the app)

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

from django.core.wsgi import get_wsgi_application

application = get_wsgi_application()
