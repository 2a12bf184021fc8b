"""All settings. They come from the environment alone (and from `.env`, where there is one).

A missing or bad value stops the start with the variable's name, what was read and what is allowed.
`.env.example` documents each.
"""

import os
from pathlib import Path
from urllib.parse import urlsplit

import environ
from django.core.exceptions import ImproperlyConfigured

from config import errors
from config import logging as structured_logging
from config.environment import BASE_DIR, Environment, is_this_machine, load_dotenv

load_dotenv()
read = Environment(os.environ)

LOOPBACK = ("127.0.0.1", "localhost", "::1")
DEVELOPMENT_KEY = "development-only-not-a-secret"

# --- Where it runs ---------------------------------------------------------------------------------
DEBUG = read.flag("DEBUG", default=False)
SECRET_KEY = read.secret("SECRET_KEY") or DEVELOPMENT_KEY
SITE_URL = read.url("SITE_URL", default="http://127.0.0.1:8000" if DEBUG else None, schemes=("https", "http"))
ALLOWED_HOSTS = read.words("ALLOWED_HOSTS") or [
    urlsplit(SITE_URL).hostname or "",
    *(LOOPBACK if DEBUG else ()),
]
EVENKEEL_HOME = Path(read.text("EVENKEEL_HOME", default=str(BASE_DIR / ".evenkeel")))

# --- Databases -------------------------------------------------------------------------------------
DATABASE_URL = read.url("DATABASE_URL", schemes=("postgres", "postgresql"))
REDIS_URL = read.url("REDIS_URL", schemes=("redis", "rediss"))
EMBEDDED_DATABASE = "evenkeel_embedded"

# --- Mailjet ---------------------------------------------------------------------------------------
MAILJET_API_KEY = read.secret("MAILJET_API_KEY")
MAILJET_API_SECRET = read.secret("MAILJET_API_SECRET")
MAILJET_BASE_URL = read.url("MAILJET_BASE_URL", default="https://api.mailjet.com", schemes=("https", "http"))
MAILJET_MASTER_LIST_ID = read.whole_number("MAILJET_MASTER_LIST_ID")
MAILJET_CAMPAIGN_LIST_IDS = read.campaign_lists()
MAILJET_SUPPRESSION_LIST_ID = read.whole_number("MAILJET_SUPPRESSION_LIST_ID")
MAILJET_IS_STAND_IN = is_this_machine(MAILJET_BASE_URL)
MAILJET_WEBHOOK_USER = read.text("MAILJET_WEBHOOK_USER", default="mailjet")
MAILJET_WEBHOOK_PASSWORD = read.secret("MAILJET_WEBHOOK_PASSWORD")
MAILJET_REQUESTS_PER_MINUTE = read.whole_number("MAILJET_REQUESTS_PER_MINUTE", default=300, at_most=300)

# --- Gemini ----------------------------------------------------------------------------------------
GEMINI_API_KEY = read.secret("GEMINI_API_KEY")
GEMINI_BASE_URL = read.url(
    "GEMINI_BASE_URL", default="https://generativelanguage.googleapis.com", schemes=("https", "http")
)
GEMINI_MODEL = read.word(
    "GEMINI_MODEL",
    default="gemini-3.5-flash-lite",
    pattern=r"gemini-[a-z0-9.-]+(?<!-latest)",
    allowed="a model's fixed name such as gemini-3.5-flash-lite, without models/ and not …-latest",
)
GEMINI_API_VERSION = read.word(
    "GEMINI_API_VERSION", default="v1", pattern="v1|v1beta", allowed="v1 or v1beta"
)
GEMINI_TEMPERATURES = {
    agent: read.number(f"GEMINI_TEMPERATURE_{agent.upper()}", default=default, at_least=0, at_most=2)
    for agent, default in {
        "list_health": 0.7,
        "optimization": 0.3,
        "rebalancing": 0.5,
        "reporting": 0.6,
    }.items()
}
GEMINI_TIMEOUT_SECONDS = read.whole_number("GEMINI_TIMEOUT_SECONDS", default=30, at_least=1, at_most=300)
GEMINI_ANALYSIS_SECONDS = read.whole_number("GEMINI_ANALYSIS_SECONDS", default=120, at_least=1, at_most=600)
GEMINI_REQUESTS_PER_MINUTE = read.whole_number("GEMINI_REQUESTS_PER_MINUTE", default=60, at_most=10_000)
GEMINI_TOKENS_PER_RUN = read.whole_number("GEMINI_TOKENS_PER_RUN", default=250_000, at_least=0)
GEMINI_TOKENS_PER_DAY = read.whole_number("GEMINI_TOKENS_PER_DAY", default=1_000_000, at_least=0)
GEMINI_REUSE_HOURS = read.whole_number("GEMINI_REUSE_HOURS", default=24, at_least=0, at_most=720)

# --- DNS -------------------------------------------------------------------------------------------
DNS_ENABLED = read.flag("DNS_ENABLED", default=True)
DNS_RESOLVER = read.socket("DNS_RESOLVER")

# --- Slack and Sentry ------------------------------------------------------------------------------
SLACK_WEBHOOK_URL = read.url("SLACK_WEBHOOK_URL", default="", schemes=("https", "http"))
SLACK_BOT_TOKEN = read.secret("SLACK_BOT_TOKEN")
SLACK_CHANNEL = read.text("SLACK_CHANNEL", default="")
SLACK_API_BASE_URL = read.url(
    "SLACK_API_BASE_URL", default="https://slack.com/api/", schemes=("https", "http")
)
SENTRY_DSN = read.secret("SENTRY_DSN")

# --- List management (the plan's appendix A) -------------------------------------------------------
LIST_MANAGEMENT_ENABLED = read.flag("LIST_MANAGEMENT_ENABLED", default=True)
LIST_BALANCE_THRESHOLD = read.whole_number("LIST_BALANCE_THRESHOLD", default=5, at_least=2, at_most=50)
LIST_DAYS_BETWEEN_MAILS = read.whole_number("LIST_DAYS_BETWEEN_MAILS", default=7, at_least=0, at_most=60)
LIST_FIRST_SEND_BOUNCE_PERCENT = read.number(
    "LIST_FIRST_SEND_BOUNCE_PERCENT", default=2, at_least=0, at_most=100
)
LIST_MAINTENANCE_DELAY_HOURS = read.whole_number("LIST_MAINTENANCE_DELAY_HOURS", default=24, at_most=168)
LIST_STEP_LIMIT_MINUTES = read.whole_number("LIST_STEP_LIMIT_MINUTES", default=60, at_most=10_080)
LIST_RUN_LIMIT_MINUTES = read.whole_number("LIST_RUN_LIMIT_MINUTES", default=240, at_most=10_080)
PRE_CAMPAIGN_ENFORCE = read.flag("PRE_CAMPAIGN_ENFORCE", default=False)
WEEKLY_HEALTH_CHECK_DAY = read.whole_number("WEEKLY_HEALTH_CHECK_DAY", default=1, at_least=0, at_most=7)
WEEKLY_HEALTH_CHECK_HOUR = read.whole_number("WEEKLY_HEALTH_CHECK_HOUR", default=10, at_least=0, at_most=23)
CACHE_TTL_SECONDS = read.whole_number("CACHE_TTL_SECONDS", default=3600, at_least=60, at_most=86400)

LOG_LEVEL = read.text("LOG_LEVEL", default="INFO").upper()
if LOG_LEVEL not in ("DEBUG", "INFO", "WARNING", "ERROR"):
    read.problems.append(f"LOG_LEVEL is {LOG_LEVEL!r}: it must be DEBUG, INFO, WARNING or ERROR")

# --- What does not go together ---------------------------------------------------------------------
_lists = {
    "MAILJET_MASTER_LIST_ID": MAILJET_MASTER_LIST_ID,
    **{f"MAILJET_CAMPAIGN_LIST_{n}_ID": id_ for n, id_ in enumerate(MAILJET_CAMPAIGN_LIST_IDS, 1)},
    "MAILJET_SUPPRESSION_LIST_ID": MAILJET_SUPPRESSION_LIST_ID,
}
_named: dict[int, str] = {}
for _name, _id in _lists.items():
    if _id and _id in _named:
        read.problems.append(f"{_name} is {_id}, which {_named[_id]} is too: each list has its own id")
    _named.setdefault(_id, _name)

if LIST_RUN_LIMIT_MINUTES < LIST_STEP_LIMIT_MINUTES:
    read.problems.append(
        f"LIST_RUN_LIMIT_MINUTES is {LIST_RUN_LIMIT_MINUTES}: it must be LIST_STEP_LIMIT_MINUTES "
        f"({LIST_STEP_LIMIT_MINUTES}) or more, since a run is all of its steps"
    )
if bool(MAILJET_API_KEY) != bool(MAILJET_API_SECRET):
    read.problems.append("MAILJET_API_KEY and MAILJET_API_SECRET are set together or not at all")
if ":" in MAILJET_WEBHOOK_USER:
    read.problems.append(
        "MAILJET_WEBHOOK_USER has a colon: basic authentication allows none in a user's name"
    )
if SLACK_BOT_TOKEN and not SLACK_CHANNEL:
    read.problems.append(
        "SLACK_CHANNEL is not set: with SLACK_BOT_TOKEN it must be a channel id such as C0123456789"
    )
if not MAILJET_API_KEY and not MAILJET_IS_STAND_IN:
    read.problems.append(
        "MAILJET_API_KEY is not set: it must be a Mailjet API key (without one, in development, "
        "`make demo` and `make run` start a stand-in)"
    )

if not DEBUG:
    if SECRET_KEY == DEVELOPMENT_KEY or len(SECRET_KEY) < 32:
        read.problems.append(
            "SECRET_KEY (value not shown): with DEBUG=false it must be 32 characters or more of your own"
        )
    if MAILJET_BASE_URL.startswith("http://") and not MAILJET_IS_STAND_IN:
        read.problems.append("MAILJET_BASE_URL begins with http://: keys travel by https:// only")
    if 0 < len(MAILJET_WEBHOOK_PASSWORD) < 16:
        read.problems.append(
            "MAILJET_WEBHOOK_PASSWORD (value not shown): it must be 16 characters or more, or empty, which "
            "closes the door to webhooks"
        )
    if MAILJET_IS_STAND_IN:
        read.problems.append("MAILJET_BASE_URL names a stand-in on this machine: that is for DEBUG=true only")
    if GEMINI_BASE_URL.startswith("http://") and not is_this_machine(GEMINI_BASE_URL):
        read.problems.append("GEMINI_BASE_URL begins with http://: keys travel by https:// only")
    if is_this_machine(GEMINI_BASE_URL):
        read.problems.append("GEMINI_BASE_URL names a stand-in on this machine: that is for DEBUG=true only")
    if urlsplit(DATABASE_URL).path.strip("/") == EMBEDDED_DATABASE:
        read.problems.append("DATABASE_URL names the embedded database: that is for DEBUG=true only")
    if not SLACK_WEBHOOK_URL and not SLACK_BOT_TOKEN:
        read.problems.append("SLACK_WEBHOOK_URL is not set: set it, or SLACK_BOT_TOKEN and SLACK_CHANNEL")

if read.problems:
    raise ImproperlyConfigured(
        "Evenkeel does not start. Mend these environment variables (.env.example explains each):\n  - "
        + "\n  - ".join(read.problems)
    )

# --- Django ----------------------------------------------------------------------------------------
INSTALLED_APPS = [
    "listmanagement",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django_celery_beat",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "config.logging.correlate_requests",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "listmanagement.admin.context.standing",
            ]
        },
    }
]
DATABASES = {"default": environ.Env.db_url_config(DATABASE_URL)}
DATABASES["default"]["CONN_MAX_AGE"] = 60
DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
LOGIN_URL = "admin:login"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LANGUAGE_CODE = "en-gb"
TIME_ZONE = "UTC"
USE_TZ = True
FORMAT_MODULE_PATH = "config.formats"
STATIC_URL = "static/"
WHITENOISE_USE_FINDERS = True  # serves what the packages ship: a release collects nothing
WHITENOISE_AUTOREFRESH = DEBUG
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
LOGGING_CONFIG = None
structured_logging.configure(level=LOG_LEVEL)
if SENTRY_DSN:
    errors.report_to(SENTRY_DSN)

# --- Celery ----------------------------------------------------------------------------------------
CELERY_BROKER_URL = REDIS_URL
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None  # for ever: the worker sweeps meanwhile (P10)
CELERY_BROKER_TRANSPORT_OPTIONS = {"socket_connect_timeout": 1, "socket_timeout": 5}
CELERY_TASK_PUBLISH_RETRY = False  # a nudge that fails is made good by the sweep
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_TIMEZONE = "UTC"
CELERY_BEAT_SCHEDULER = "django_celery_beat.schedulers:DatabaseScheduler"
CELERY_BEAT_SCHEDULE = {
    "deliver-notifications": {"task": "listmanagement.tasks.deliver", "schedule": 60.0},
    "keep-the-timetable": {"task": "listmanagement.tasks.keep_the_timetable", "schedule": 60.0},
}

# --- Security --------------------------------------------------------------------------------------
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SITE_URL.startswith("https://")
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if not DEBUG else None
SECURE_SSL_REDIRECT = not DEBUG and SITE_URL.startswith("https://")
SECURE_HSTS_SECONDS = 3600 if SECURE_SSL_REDIRECT else 0
CSRF_TRUSTED_ORIGINS = [SITE_URL]
