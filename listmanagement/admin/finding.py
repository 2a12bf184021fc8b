"""Finds contacts by address, without an address ever standing in a URL (P8).

The search form posts; what was found is shown by a link that carries ids.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from django.core.exceptions import BadRequest
from django.db.models import Q, QuerySet

from listmanagement.models import Contact

MOST = 100
_ID = re.compile(r"[0-9]{1,18}")  # what fits PostgreSQL's bigint


def find(text: str, *, among: QuerySet[Contact]) -> list[int]:
    """Ids of contacts whose id is this, or whose address holds it; the first hundred by id."""
    text = text.strip()
    if not text:
        return []
    known = Q(email__icontains=text.replace("\x00", ""))
    if _ID.fullmatch(text):
        known |= Q(pk=int(text))
    return list(among.filter(known).order_by("pk").values_list("pk", flat=True)[:MOST])


def ids(values: Sequence[str]) -> list[int]:
    """Ids from a form or a URL. Raises BadRequest where one is none."""
    if not all(_ID.fullmatch(value) for value in values):
        raise BadRequest("a contact id is a number")
    return [int(value) for value in values]
