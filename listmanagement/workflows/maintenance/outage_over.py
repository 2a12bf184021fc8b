"""After an outage: whom Mailjet itself probably still refuses, and what its support needs to lift that.

A hard bounce blocks an address for all of Mailjet's customers, however innocent; only its support lifts that.
"""

from __future__ import annotations

from collections.abc import Iterable

from django.db.models import Exists, OuterRef, Q

from listmanagement.domain.bounces import Outcome
from listmanagement.domain.holds import HoldEnd
from listmanagement.models import CampaignRecipient, Contact, Hold
from listmanagement.models.lists import ContactQuerySet

TICKET = """Dear Mailjet support,

the mail server of {host} was out of order around {since:%d %B %Y} and refused our messages to existing
recipients. Mail to it arrives again. Please lift the blocks on these addresses, to which we have permission
to write:

{addresses}
"""


def still_refused(hold: Hold) -> ContactQuerySet:
    """Mailable contacts whom the outage cost a hard bounce or a refusal, and whom nothing reached since."""
    assert hold.run.campaign is not None
    began = hold.run.campaign.started_at
    since = CampaignRecipient.objects.filter(contact=OuterRef("pk"), outcome_at__gte=began)
    refused = since.filter(
        Q(outcome=Outcome.NOT_ATTEMPTED) | Q(outcome=Outcome.BOUNCED, bounce__permanent=True)
    )
    here = Contact.objects.mailable().filter(domain__in=_hosts(hold)).order_by("pk")
    return here.filter(Exists(refused), ~Exists(since.filter(outcome=Outcome.DELIVERED)))


def _hosts(hold: Hold) -> list[str]:
    """Its domain; of a mail host the domains that were held with it."""
    return [hold.host, *hold.parts.values_list("host", flat=True)]


def ticket(hold: Hold) -> str:
    """A text for Mailjet's support, with the addresses: for people who may see them. Empty without any."""
    addresses = [contact.email for contact in still_refused(hold) if contact.email]
    if not addresses:
        return ""
    return TICKET.format(host=hold.host, since=hold.since, addresses="\n".join(addresses))


def to_be_offered(ended: Iterable[int]) -> list[tuple[Hold, int]]:
    """Of these holds those whose outage is over, each with how many are probably refused still, if any are.

    The parts of a mail host's hold are offered with it.
    """
    over = Hold.objects.filter(pk__in=list(ended), ended_how=HoldEnd.OUTAGE_OVER)
    whole = over.exclude(part_of__in=over.values("pk")).select_related("run__campaign").order_by("pk")
    found = [(hold, still_refused(hold).count()) for hold in whole]
    return [(hold, number) for hold, number in found if number]
