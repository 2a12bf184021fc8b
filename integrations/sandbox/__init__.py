"""Stand-ins for Mailjet, Slack, Gemini and DNS on this machine: the real protocols, with faults on demand.

One process (``python -m integrations.sandbox --port P --state DIR``) or, in a test, :func:`serve`.
``/v3/REST`` and ``/v3/DATA`` are Mailjet, ``/slack/api/`` is Slack's Web API, ``/slack/services/T/B/X``
its incoming webhook, ``/gemini/`` Gemini's ``generateContent``, ``/_sandbox/`` the control requests
(client: :mod:`integrations.sandbox.control`). A resolver listens on a port of its own, over UDP and TCP
(:mod:`integrations.sandbox.dns`).

**The world as a document** (``PUT /_sandbox/state``, ``World.load``): one JSON object of up to eight arrays.
Times are RFC 3339 or unix seconds; a field with a default here may be left out; an unknown one is refused.

``contacts``
    id, email, created_at; name "", excluded false, excluded_at null, complained false, unsubscribed false
    (account-wide; Mailjet shows only unsubscribed_at), unsubscribed_at null, last_activity_at null,
    last_update_at null, mailbox "" (:class:`integrations.sandbox.outcomes.Mailbox`: how it takes mail; empty
    is drawn from the seed). Addresses are unique without regard to case.
``lists``
    id, name; created_at 0, is_deleted false, address (generated).
``memberships``
    id, contact_id, list_id, subscribed_at; unsubscribed false, unsubscribed_at null, active true.
    Unique per list and contact.
``drafts``
    id, created_at; title "", subject "", list_id null, status 0 (Mailjet's numbers: 0 draft, 1 programmed,
    2 sent), modified_at, scheduled_at, delivered_at null; sender_email, sender_name, locale; html,
    text ""; segmentation_id, ax_testing_id, ax_fraction null, extras "{}". The draft of a campaign may be
    left out. One scheduled for the future is sent then; one scheduled for the past stays as it is.
``campaigns``
    id, draft_id (unique), list_id, subject, send_start_at; send_end_at null, status 2, is_deleted false,
    is_starred false, segmentation_id null, forgotten "{}" (how many messages of each status it had that
    Mailjet keeps no more, as a JSON object: they are counted, and nothing else).
``messages``
    id, campaign_id, contact_id, status (Mailjet's words: sent, hardbounced, ...), arrived_at; state_id null,
    state_permanent false, attempts 1, comment "" (the receiving server's text, for ``/messagehistory``).
``bounces``
    id, message_id, campaign_id, contact_id, bounced_at; state_id null, permanent false, blocked false. Left
    out, they follow from the messages.
``preblocks``
    email, state_id; until null (for ever). Left out, they follow from permanent bounces and complaints.

A load empties everything else: jobs, events to come, callback URLs, properties, segments, uploads, the change
log and Slack's messages; settings, clock and faults stay. ``POST /_sandbox/snapshots`` keeps all of it.

**Time.** Nothing happens in between requests: whoever looks first lets happen what has become due by the
clock (:mod:`integrations.sandbox.agenda`), jobs and sends and what readers do, each at its own moment. Only
webhooks are told by a thread of their own (:mod:`integrations.sandbox.courier`), unless the settings hold
them back; ``POST /_sandbox/deliveries`` tells what is due at once.

**Where Mailjet's documents are silent** the stand-in refuses, or has a switch in
:class:`integrations.sandbox.settings.Settings`. Decided here: a scheduled draft whose list nobody reads any
more is a draft again; a date in the past is refused; a segment covers the same half of a list whatever its
expression; a list goes into another with its unsubscribed members, who are subscribed there unless the method
is a duplicate; any address at sender.example.com is an active sender.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from integrations.sandbox.dns import DnsServer, DnsStandIn
from integrations.sandbox.gemini import GeminiStandIn, Judge
from integrations.sandbox.server import Sandbox
from integrations.sandbox.world import World

API_KEY = "sandbox"
API_SECRET = "sandbox"  # noqa: S105 (a stand-in's, known to everybody)
SLACK_TOKEN = "xoxb-sandbox"  # noqa: S105 (a stand-in's, known to everybody)
GEMINI_KEY = "sandbox"


@dataclass(frozen=True)
class Serving:
    """Stand-ins that answer now, and what a client needs to reach them."""

    url: str
    world: World
    api_key: str
    api_secret: str
    slack_token: str
    gemini_key: str
    resolver: str
    """Where DNS is asked, as DNS_RESOLVER takes it."""

    @property
    def gemini_url(self) -> str:
        """Gemini's base URL here."""
        return f"{self.url}/gemini"


@contextmanager
def serve(
    state_dir: Path | str,
    *,
    port: int = 0,
    host: str = "127.0.0.1",
    rate: int | None = None,
    api_key: str = API_KEY,
    api_secret: str = API_SECRET,
    slack_token: str = SLACK_TOKEN,
    gemini_key: str = GEMINI_KEY,
    dns_port: int = 0,
    judge: Judge | None = None,
) -> Iterator[Serving]:
    """Serve from this process until the block ends; a port 0 is a free one, rate None keeps what was set.

    `judge` answers what Gemini is asked where nothing is scripted.
    Raises NotLoopback, and OSError for a port in use.
    """
    world = World(state_dir)
    try:
        if rate is not None:
            world.change_settings({"rate": rate})
        names = DnsStandIn()
        server = Sandbox(
            world,
            host=host,
            port=port,
            api_key=api_key,
            api_secret=api_secret,
            slack_token=slack_token,
            model=GeminiStandIn(api_key=gemini_key, judge=judge),
            names=names,
        )
        with _listening(server), _resolving(names, host=host, port=dns_port) as resolver:
            yield Serving(server.url, world, api_key, api_secret, slack_token, gemini_key, resolver)
    finally:
        world.close()


@contextmanager
def _listening(server: Sandbox) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), name="sandbox", daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.stop()
        thread.join()


@contextmanager
def _resolving(names: DnsStandIn, *, host: str, port: int) -> Iterator[str]:
    server = DnsServer(names, host=host, port=port)
    server.start()
    try:
        yield server.address
    finally:
        server.stop()
