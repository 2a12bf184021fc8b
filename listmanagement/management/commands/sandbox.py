"""Serves the stand-ins for Mailjet, Slack, Gemini and DNS alone, for trying things out by hand."""

from __future__ import annotations

import signal
import threading
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from agents import by_rules
from integrations.sandbox import API_KEY, API_SECRET, GEMINI_KEY, SLACK_TOKEN, Serving, serve
from integrations.sandbox.server import NotLoopback

PORT = 8025

WORDS = """Serving until Ctrl-C, on this machine only, with the world kept in {state}:
  {url}/v3/REST/...            Mailjet's REST API v3 (with /v3/DATA and /v4/contacts)
  {url}/slack/api/...          Slack's Web API
  {url}/slack/services/T/B/X   a Slack incoming webhook
  {url}/gemini/v1/models/...   Gemini's generateContent; our own rules answer
  {resolver}              a resolver, over UDP and TCP, that sends each domain's mail to a host of its own
  {url}/_sandbox/...           control: GET state, requests, changes; POST population, faults, clock, settings
                               (a client: integrations.sandbox.control.Control)

Point Evenkeel here with
  DEBUG=true
  MAILJET_BASE_URL={url}
  MAILJET_API_KEY={key}
  MAILJET_API_SECRET={secret}
  SLACK_API_BASE_URL={url}/slack/api/
  SLACK_BOT_TOKEN={token}
  SLACK_CHANNEL=C0SANDBOX
  DNS_RESOLVER={resolver}
and, to have a model judge,
  GEMINI_BASE_URL={gemini}
  GEMINI_API_KEY={gemini_key}

Sandbox listening on {url}, {rate} requests in any 60 seconds"""


class Command(BaseCommand):
    """Serve Mailjet's, Slack's, Gemini's and DNS's stand-ins until interrupted."""

    help = "Serve local stand-ins for Mailjet, Slack, Gemini and DNS, and say how to point at them."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        """--port, --host, --state, --rate and the keys to ask for."""
        state = Path(settings.EVENKEEL_HOME) / "sandbox"
        parser.add_argument("--port", type=int, default=PORT, help=f"0 takes a free one (default {PORT})")
        parser.add_argument("--dns-port", type=int, default=0, help="0 takes a free one (default)")
        parser.add_argument("--host", default="127.0.0.1", help="a loopback address")
        parser.add_argument("--state", type=Path, default=state, help=f"keeps the world (default {state})")
        parser.add_argument("--rate", type=int, help="requests in any 60 seconds (300 at first; kept)")
        parser.add_argument("--api-key", default=API_KEY)
        parser.add_argument("--api-secret", default=API_SECRET)
        parser.add_argument("--slack-token", default=SLACK_TOKEN)
        parser.add_argument("--gemini-key", default=GEMINI_KEY)

    def handle(self, *args: Any, **options: Any) -> None:
        """Serve; SIGTERM and Ctrl-C end it in order."""
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        names = ("port", "dns_port", "host", "rate", "api_key", "api_secret", "slack_token", "gemini_key")
        try:
            given = {name: options[name] for name in names}
            with serve(
                options["state"], **given, judge=lambda question: by_rules.reply(question.text)
            ) as serving:
                self.stdout.write(_words(serving, state=options["state"]))
                self.stdout.flush()
                stop.wait()
        except (NotLoopback, OSError) as error:
            where = f"{options['host']}:{options['port']}"
            raise CommandError(f"the stand-ins cannot listen on {where}: {error}") from error


def _words(serving: Serving, *, state: Path) -> str:
    return WORDS.format(
        url=serving.url,
        state=state,
        key=serving.api_key,
        secret=serving.api_secret,
        token=serving.slack_token,
        resolver=serving.resolver,
        gemini=serving.gemini_url,
        gemini_key=serving.gemini_key,
        rate=serving.world.settings.rate,
    )
