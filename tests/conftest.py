"""What every test stands on: real PostgreSQL and Redis, and nothing beyond this machine.

The environment is set here, before Django reads its settings; a developer's `.env` plays no part.
DATABASE_URL and REDIS_URL are taken where they are set, else embedded ones are started.
"""

import gc
import os
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def lists_named() -> str:
    """The ids of the lists that the environment or its file configures: live tests leave them alone."""
    file = Path(os.environ.get("ENV_FILE") or ROOT / ".env")
    lines = [f"{name}={value}" for name, value in os.environ.items()]
    if file.is_file():
        lines += file.read_text().splitlines()
    setting = re.compile(
        r"\s*(?:export\s+)?MAILJET_(?:MASTER|CAMPAIGN|SUPPRESSION)_LIST_(?:\d+_)?ID=\W*(\d+)"
    )
    found = {match[1] for match in map(setting.match, lines) if match}
    return ",".join(sorted(found | set(filter(None, os.environ.get(LIVE_LISTS, "").split(",")))))


LIVE_LISTS = "MAILJET_LIVE_CONFIGURED_LISTS"
KEPT = {
    name: value
    for name, value in {**os.environ, LIVE_LISTS: lists_named()}.items()
    if value and (name in ("DATABASE_URL", "REDIS_URL") or name.startswith(("MAILJET_LIVE_", "GEMINI_LIVE_")))
}
for name in [
    name for name in os.environ if name.startswith(("MAILJET_", "SLACK_", "GEMINI_", "SENTRY_", "DNS_"))
]:
    del os.environ[name]
os.environ.update(
    {
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "ENV_FILE": os.devnull,
        "DEBUG": "true",
        "EVENKEEL_HOME": str(ROOT / ".evenkeel" / "tests"),
        "SITE_URL": "http://127.0.0.1:8000",
        "MAILJET_API_KEY": "sandbox",
        "MAILJET_API_SECRET": "sandbox",
        "MAILJET_BASE_URL": "http://127.0.0.1:1",  # each test that needs a stand-in starts its own
        "MAILJET_MASTER_LIST_ID": "5776",
        "MAILJET_CAMPAIGN_LIST_1_ID": "10503497",
        "MAILJET_CAMPAIGN_LIST_2_ID": "10503498",
        "MAILJET_CAMPAIGN_LIST_3_ID": "10503499",
        "MAILJET_SUPPRESSION_LIST_ID": "10503500",
        "SLACK_BOT_TOKEN": "xoxb-sandbox",
        "SLACK_CHANNEL": "C0SANDBOX",
        "SLACK_API_BASE_URL": "http://127.0.0.1:1/slack/api/",
        "LOG_LEVEL": "WARNING",
        **KEPT,
    }
)

import django  # noqa: E402

import config.celery  # noqa: E402, F401  (the environment comes first; it provides the databases)

django.setup()

import hypothesis  # noqa: E402
import pytest  # noqa: E402
from django.test import TransactionTestCase  # noqa: E402
from pytest_django import Settings  # noqa: E402
from pytest_socket import socket_allow_hosts  # noqa: E402

from tests.emptying import empty_what_was_written  # noqa: E402

TransactionTestCase._fixture_teardown = empty_what_was_written

# The suite tries the same examples each time, so that it says what a change did. Others are sought with
# HYPOTHESIS_PROFILE=searching, and what they find becomes an example of its own. How long one takes is no
# failure: it says how busy the machine is.
hypothesis.settings.register_profile("steady", derandomize=True, deadline=None)
hypothesis.settings.register_profile("searching", print_blob=True, deadline=None)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "steady"))


def pytest_collection_finish() -> None:
    """What is imported by now stays: to look through it for garbage again and again costs a twelfth."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


@pytest.fixture(autouse=True)
def quick_passwords(settings: Settings) -> None:
    """A password is hashed in no time; a slow hash would be most of what many tests do."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture(autouse=True)
def only_this_machine() -> None:
    """A connection to anywhere else fails the test."""
    socket_allow_hosts(["127.0.0.1", "::1", "localhost"], allow_unix_socket=True)
