"""The Celery app: it nudges, it loses nothing when it is away.

The worker sweeps every 10 s on a timer of its own, also while the broker is unreachable.
"""

import os

from celery import Celery
from celery.signals import setup_logging, worker_init
from kombu.transport import redis as broker

from config import embedded

embedded.provide()
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

# When the broker goes away, Celery 5.7 puts back what a worker has not acknowledged, over the connection that
# it has just closed, and dies of that. Nudges need not be put back: the sweep sees what they were about.
broker.Channel.do_restore = False

app = Celery("evenkeel")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@setup_logging.connect
def keep_our_logging(**kwargs: object) -> None:
    """Celery would install a logging of its own; ours is configured by the settings."""


@worker_init.connect
def sweep_on_our_own_timer(**kwargs: object) -> None:
    """Start the sweep before the broker is reached, and whether or not it ever is."""
    from listmanagement import tasks

    tasks.start_sweeping()
