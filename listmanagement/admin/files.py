"""Files that people take away from the pages."""

from __future__ import annotations

import csv as separated
from collections.abc import Iterable, Sequence

from django.http import HttpResponse

_BEGINS_A_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def csv(name: str, *, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> HttpResponse:
    """Rows as a file of values separated by commas. What a spreadsheet would calculate is made a text."""
    response = HttpResponse(
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"},
    )
    writer = separated.writer(response)
    writer.writerow(columns)
    writer.writerows([_harmless(value) for value in row] for row in rows)
    return response


def _harmless(value: object) -> str:
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(_BEGINS_A_FORMULA) else text
