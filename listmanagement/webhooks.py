"""Mailjet's door: what it tells is stored and answered at once; a worker reads it afterwards."""

from __future__ import annotations

import base64
import binascii
import logging
from hashlib import sha256
from hmac import compare_digest

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseNotFound
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from listmanagement.workflows import events

log = logging.getLogger("evenkeel.webhooks")


@csrf_exempt
@require_POST
def mailjet(request: HttpRequest) -> HttpResponse:
    """Events, one or many. 200 once they are stored, whatever they are: sent again they would be no better.

    A body that is no JSON is kept as it is, up to 64 KB of it, for a person to look at. So is the beginning
    of one of more than 5 MB, of which no more than that is read: Mailjet's groups are far smaller, and what
    such a request told is read from Mailjet's messages all the same. 401 without the name and password of
    the settings, 404 while those name no password: the door is closed. What PostgreSQL does not take, being
    away, is an error, and Mailjet tells it again.
    """
    if not settings.MAILJET_WEBHOOK_PASSWORD:
        log.warning("an event was refused: MAILJET_WEBHOOK_PASSWORD is not set, so the door is closed")
        return HttpResponseNotFound()
    if not _knows_the_password(request.headers.get("Authorization", "")):
        log.warning("an event was refused: its user name or password is not the one in the settings")
        refused = HttpResponse(status=401)
        refused["WWW-Authenticate"] = 'Basic realm="Evenkeel webhooks", charset="UTF-8"'
        return refused
    events.store(request.read(events.LARGEST + 1), now=timezone.now())
    return HttpResponse()


def _knows_the_password(header: str) -> bool:
    """Whether it is our basic authentication. Takes as long for any answer, whatever part is wrong."""
    scheme, _, token = header.partition(" ")
    try:
        given = base64.b64decode(token.strip(), validate=True) if scheme.lower() == "basic" else b""
    except (binascii.Error, ValueError):
        given = b""
    user, _, password = given.partition(b":")
    same_user = _is_same(user, settings.MAILJET_WEBHOOK_USER)
    same_password = _is_same(password, settings.MAILJET_WEBHOOK_PASSWORD)
    return same_user and same_password


def _is_same(given: bytes, wanted: str) -> bool:
    """Compared by digests: those are of one length."""
    return compare_digest(sha256(given).digest(), sha256(wanted.encode()).digest())
