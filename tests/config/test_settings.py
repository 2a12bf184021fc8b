"""A bad environment stops the start: with the variable's name, what was read, what is allowed, no secret."""

import subprocess
import sys

import pytest

from tests.config.running import ROOT, bare

SECRETS = {
    "SECRET_KEY": "thirty-two-characters-that-nobody-may-see",
    "MAILJET_API_KEY": "key-that-nobody-may-see",
    "MAILJET_API_SECRET": "secret-that-nobody-may-see",
    "SLACK_BOT_TOKEN": "xoxb-token-that-nobody-may-see",
    "MAILJET_WEBHOOK_PASSWORD": "webhooks-that-nobody-may-see",
    "GEMINI_API_KEY": "gemini-that-nobody-may-see",
    "DATABASE_URL": "postgres://evenkeel:password-that-nobody-may-see@db.invalid/evenkeel",
    "REDIS_URL": "redis://:password-that-nobody-may-see@redis.invalid/0",
}
PRODUCTION = {
    **SECRETS,
    "SITE_URL": "https://lists.example.com",
    "MAILJET_MASTER_LIST_ID": "1",
    "MAILJET_CAMPAIGN_LIST_1_ID": "2",
    "MAILJET_CAMPAIGN_LIST_2_ID": "3",
    "MAILJET_CAMPAIGN_LIST_3_ID": "4",
    "MAILJET_SUPPRESSION_LIST_ID": "5",
    "SLACK_CHANNEL": "C0123456789",
}
LOADED = "from config import settings; print('started with', settings.MAILJET_CAMPAIGN_LIST_IDS)"


def start(**changed: str | None) -> subprocess.CompletedProcess[str]:
    """Load the settings in a process with production's variables, changed: None leaves one out."""
    wanted = {name: value for name, value in {**PRODUCTION, **changed}.items() if value is not None}
    return subprocess.run(
        [sys.executable, "-c", LOADED], cwd=ROOT, env=bare(**wanted), capture_output=True, text=True
    )


def refusal(**changed: str | None) -> str:
    """The lines that name what to mend; that there are some, and no secrets in them, is made sure of."""
    ended = start(**changed)
    assert ended.returncode != 0, "it started"
    assert "Evenkeel does not start" in ended.stderr
    assert "nobody-may-see" not in ended.stdout + ended.stderr
    return ended.stderr.split("ImproperlyConfigured: ")[1]


def lines(told: str) -> list[str]:
    """What is to be mended, in the order of the settings."""
    return [line.removeprefix("  - ") for line in told.splitlines() if line.startswith("  - ")]


def test_production_starts_with_what_it_needs_and_neither_model_nor_sentry() -> None:
    ended = start(GEMINI_API_KEY=None, SENTRY_DSN=None)

    assert ended.stderr == ""
    assert ended.stdout == "started with (2, 3, 4)\n"


@pytest.mark.parametrize("model", ["gemini-flash-latest", "gemini-pro-latest", "gpt-9", "gemini-3.8-flash\n"])
def test_a_model_has_a_fixed_name(model: str) -> None:
    ended = start(GEMINI_MODEL=model)

    assert (ended.returncode == 0) is (model.strip() == "gemini-3.8-flash")


@pytest.mark.parametrize("resolver", ["127.0.0.1:53", "[::1]:5353", "9.9.9.9:53"])
def test_a_resolver_is_an_ip_address_with_a_port(resolver: str) -> None:
    assert start(DNS_RESOLVER=resolver).returncode == 0


def test_what_is_no_resolver_is_refused_with_what_one_looks_like() -> None:
    allowed = "it must be an IP address with a port, such as 127.0.0.1:53 or [::1]:53"

    for given in ("dns.example.com:53", "127.0.0.1", "127.0.0.1:0", "127.0.0.1:x", "udp://127.0.0.1:53"):
        assert lines(refusal(DNS_RESOLVER=given)) == [f"DNS_RESOLVER is {given!r}: {allowed}"]


def test_slack_may_be_reached_by_webhook_alone() -> None:
    hook = "https://hooks.slack.com/services/T/B/X"

    assert start(SLACK_BOT_TOKEN=None, SLACK_CHANNEL=None, SLACK_WEBHOOK_URL=hook).returncode == 0


def test_what_is_missing_is_named_with_what_it_must_be() -> None:
    must_be = {
        "SITE_URL": "is not set: it must be a URL beginning with https:// or http://",
        "DATABASE_URL": "is not set: it must be a URL beginning with postgres:// or postgresql://",
        "REDIS_URL": "is not set: it must be a URL beginning with redis:// or rediss://",
        "MAILJET_MASTER_LIST_ID": "is not set: it must be a whole number from 1",
        "MAILJET_SUPPRESSION_LIST_ID": "is not set: it must be a whole number from 1",
        "SLACK_CHANNEL": "is not set: with SLACK_BOT_TOKEN it must be a channel id such as C0123456789",
        "SECRET_KEY": "(value not shown): with DEBUG=false it must be 32 characters or more of your own",
    }

    told = refusal(**dict.fromkeys(must_be))

    assert lines(told) == [f"{name} {words}" for name, words in must_be.items()]


def test_what_is_bad_is_named_with_what_was_read_and_what_is_allowed() -> None:
    bad = {
        "DEBUG": ("maybe", "true or false"),
        "MAILJET_MASTER_LIST_ID": ("-1", "a whole number from 1"),
        "MAILJET_CAMPAIGN_LIST_2_ID": ("two", "a whole number from 1"),
        "MAILJET_REQUESTS_PER_MINUTE": ("301", "a whole number from 1 to 300"),
        "GEMINI_MODEL": (
            "models/gemini-pro-latest",
            "a model's fixed name such as gemini-3.5-flash-lite, without models/ and not …-latest",
        ),
        "GEMINI_API_VERSION": ("v2", "v1 or v1beta"),
        "GEMINI_TEMPERATURE_LIST_HEALTH": ("hot", "a number from 0 to 2"),
        "GEMINI_TEMPERATURE_OPTIMIZATION": ("2.1", "a number from 0 to 2"),
        "GEMINI_TEMPERATURE_REBALANCING": ("nan", "a number from 0 to 2"),
        "GEMINI_TEMPERATURE_REPORTING": ("-0.1", "a number from 0 to 2"),
        "GEMINI_TIMEOUT_SECONDS": ("0", "a whole number from 1 to 300"),
        "GEMINI_ANALYSIS_SECONDS": ("601", "a whole number from 1 to 600"),
        "GEMINI_REQUESTS_PER_MINUTE": ("0", "a whole number from 1 to 10000"),
        "GEMINI_TOKENS_PER_RUN": ("1e6", "a whole number from 0"),
        "GEMINI_TOKENS_PER_DAY": ("-1", "a whole number from 0"),
        "GEMINI_REUSE_HOURS": ("1000", "a whole number from 0 to 720"),
        "LIST_MANAGEMENT_ENABLED": ("on", "true or false"),
        "LIST_BALANCE_THRESHOLD": ("5%", "a whole number from 2 to 50"),
        "LIST_DAYS_BETWEEN_MAILS": ("-1", "a whole number from 0 to 60"),
        "LIST_FIRST_SEND_BOUNCE_PERCENT": ("2%", "a number from 0 to 100"),
        "LIST_MAINTENANCE_DELAY_HOURS": ("0", "a whole number from 1 to 168"),
        "WEEKLY_HEALTH_CHECK_DAY": ("Monday", "a whole number from 0 to 7"),
        "WEEKLY_HEALTH_CHECK_HOUR": ("24", "a whole number from 0 to 23"),
        "CACHE_TTL_SECONDS": ("59", "a whole number from 60 to 86400"),
        "LOG_LEVEL": ("LOUD", "DEBUG, INFO, WARNING or ERROR"),
    }

    told = refusal(**{name: given for name, (given, _) in bad.items()})

    assert lines(told) == [
        f"{name} is {given!r}: it must be {allowed}" for name, (given, allowed) in bad.items()
    ]


def test_half_of_mailjets_keys_is_none() -> None:
    told = refusal(MAILJET_API_SECRET=None)

    assert lines(told) == ["MAILJET_API_KEY and MAILJET_API_SECRET are set together or not at all"]


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"MAILJET_CAMPAIGN_LIST_2_ID": None}, "MAILJET_CAMPAIGN_LIST_2_ID is missing"),
        ({f"MAILJET_CAMPAIGN_LIST_{n}_ID": None for n in (2, 3)}, "MAILJET_CAMPAIGN_LIST_2_ID is missing"),
    ],
)
def test_campaign_lists_are_two_or_more_without_a_gap(changed: dict[str, str | None], told: str) -> None:
    assert told in refusal(**changed)


def test_no_two_roles_share_a_list() -> None:
    told = refusal(MAILJET_CAMPAIGN_LIST_2_ID="1", MAILJET_SUPPRESSION_LIST_ID="2")

    assert lines(told) == [
        "MAILJET_CAMPAIGN_LIST_2_ID is 1, which MAILJET_MASTER_LIST_ID is too: each list has its own id",
        "MAILJET_SUPPRESSION_LIST_ID is 2, which MAILJET_CAMPAIGN_LIST_1_ID is too: each list has its own id",
    ]


def test_production_refuses_what_is_for_development() -> None:
    told = refusal(
        SECRET_KEY="development-only-not-a-secret",
        MAILJET_BASE_URL="http://localhost:4000",
        DATABASE_URL="postgres://db.invalid/evenkeel_embedded",
        SLACK_BOT_TOKEN=None,
    )

    assert lines(told) == [
        "SECRET_KEY (value not shown): with DEBUG=false it must be 32 characters or more of your own",
        "MAILJET_BASE_URL names a stand-in on this machine: that is for DEBUG=true only",
        "DATABASE_URL names the embedded database: that is for DEBUG=true only",
        "SLACK_WEBHOOK_URL is not set: set it, or SLACK_BOT_TOKEN and SLACK_CHANNEL",
    ]


def test_production_needs_keys_and_a_secret_that_nobody_guesses() -> None:
    told = refusal(SECRET_KEY="nobody-may-see", MAILJET_API_KEY=None, MAILJET_API_SECRET=None)

    assert [line.split()[0] for line in lines(told)] == ["MAILJET_API_KEY", "SECRET_KEY"]


def test_the_door_for_webhooks_has_a_password_that_nobody_guesses_or_is_closed() -> None:
    told = refusal(MAILJET_WEBHOOK_PASSWORD="nobody-may-see", MAILJET_WEBHOOK_USER="mail:jet")

    assert [line.split()[0] for line in lines(told)] == ["MAILJET_WEBHOOK_USER", "MAILJET_WEBHOOK_PASSWORD"]
    assert start(MAILJET_WEBHOOK_PASSWORD=None, MAILJET_WEBHOOK_USER=None).returncode == 0


def test_a_url_of_the_wrong_kind_is_named_and_not_shown() -> None:
    told = refusal(DATABASE_URL="mysql://user:nobody-may-see@db.invalid/evenkeel")

    assert "DATABASE_URL is not usable (value not shown)" in told


def test_development_does_with_the_stand_in_and_no_secret() -> None:
    ended = start(
        DEBUG="true",
        SECRET_KEY=None,
        SITE_URL=None,
        MAILJET_BASE_URL="http://127.0.0.1:4000",
        DATABASE_URL="postgres://postgres@/evenkeel_embedded?host=/tmp",
        SLACK_BOT_TOKEN=None,
        SLACK_CHANNEL=None,
    )

    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", "postgres://u:password-that-nobody-may-see@db.invalid:port/evenkeel"),
        ("SITE_URL", "https://[lists.example.com"),
        ("SLACK_WEBHOOK_URL", "hooks.invalid/secret-that-nobody-may-see"),
        ("GEMINI_BASE_URL", "http://gemini.invalid"),
        ("GEMINI_BASE_URL", "http://127.0.0.1:8025/gemini"),
        ("MAILJET_BASE_URL", "http://mailjet.invalid"),
        ("MAILJET_BASE_URL", "http://0.0.0.0:8025"),
        ("MAILJET_BASE_URL", "http://127.0.0.2:8025"),
    ],
)
def test_a_url_that_cannot_be_used_in_production_is_refused_by_name(name: str, value: str) -> None:
    assert any(line.startswith(name) for line in lines(refusal(**{name: value})))


def test_a_command_says_what_to_mend_and_shows_no_traceback() -> None:
    environment = bare(**{**PRODUCTION, "MAILJET_CAMPAIGN_LIST_2_ID": "abc"})

    ended = subprocess.run(
        [sys.executable, "manage.py", "check"], cwd=ROOT, env=environment, capture_output=True, text=True
    )

    assert ended.returncode == 1
    assert "MAILJET_CAMPAIGN_LIST_2_ID is 'abc': it must be a whole number from 1" in ended.stderr
    assert "Traceback" not in ended.stderr
