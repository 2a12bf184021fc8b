"""The Celery app: it nudges, it loses nothing when it is away.

The worker sweeps every 10 s on a timer of its own, also while the broker is unreachable.
"""

import os

from celery import Celery
from celery.signals import setup_logging, worker_init

from config import embedded

embedded.provide()
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

import django  # noqa: E402  (settings need the databases' addresses)

django.setup()

from django.conf import settings  # noqa: E402

app = Celery("evenkeel")
app.conf.update(
    broker_url=settings.REDIS_URL,
    broker_connection_retry_on_startup=True,
    broker_transport_options={"socket_connect_timeout": 1, "socket_timeout": 5},
    task_publish_retry=False,  # a nudge that fails is made good by the sweep
    task_ignore_result=True,
    task_acks_late=True,
    worker_prefetch_multiplier=1,
    worker_hijack_root_logger=False,
    timezone="UTC",
    beat_scheduler="django_celery_beat.schedulers:DatabaseScheduler",
    beat_schedule={"deliver-notifications": {"task": "listmanagement.tasks.deliver", "schedule": 60.0}},
)
app.autodiscover_tasks(["listmanagement"])


@setup_logging.connect
def keep_our_logging(**kwargs: object) -> None:
    """Celery would install a logging of its own; ours is configured by the settings."""


@worker_init.connect
def sweep_on_our_own_timer(**kwargs: object) -> None:
    """Start the sweep before the broker is reached, and whether or not it ever is."""
    from listmanagement import tasks

    tasks.start_sweeping()
