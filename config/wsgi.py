"""The web process."""

import os

from config import embedded

embedded.provide()
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

from django.core.wsgi import get_wsgi_application  # noqa: E402  (settings need the databases' addresses)

application = get_wsgi_application()
