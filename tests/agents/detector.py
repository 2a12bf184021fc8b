"""Finds addresses, names and foreign text in what a model is sent (promise P8).

A prompt passes only where its instructions are one of our own files and every word of its facts is one that
we ourselves use: a class, a grade, a key of a list, a salted token, a number. Everything else is foreign.
"""

import json
import re
from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from agents import list_health, optimization, rebalancing, reporting, weekly_report
from listmanagement.domain.bounces import BounceClass, History
from listmanagement.domain.suppression import Region
from listmanagement.workflows.maintenance.judgement import WELL_KNOWN

CORPUS: dict[str, list[str]] = {
    kind: texts
    for kind, texts in json.loads((Path(__file__).parent / "hostile.json").read_text()).items()
    if kind != "_"
}
"""Hostile list names, subjects, server comments, names and addresses."""

HOSTILE = tuple(chain(*CORPUS.values()))

AGENTS = (list_health, optimization, rebalancing, reporting, weekly_report)
OUR_SYSTEMS = [wording for agent in AGENTS for wording in agent.INSTRUCTIONS.wordings]
OUR_WORDS = " ".join(OUR_SYSTEMS)

VOCABULARY = frozenset(
    chain(
        (each.value for kind in (BounceClass, History, Region) for each in kind),
        (each.value for kind in (reporting.Stage, reporting.HeldBecause) for each in kind),
        (each.value for kind in (reporting.SenderProblem, rebalancing.Choice) for each in kind),
        (each.value for kind in (list_health.Grade, list_health.Cause) for each in kind),
        ("0", "1", "2", "3+", "mixed", "several_classes", "others", "other_held_domains", "review", "at"),
        ("other-domains", "other-providers", "unknown", "slack", "redis", "gemini"),
        WELL_KNOWN,
    )
)
"""Words of ours that stand in facts, also side by side in a key."""

_OURS = re.compile(
    r"domain-[0-9a-f]{12}|(list-\d+(, )?)+( and list-\d+)?|(under )?[\d.,]+ %|[\d,]+( / [\d,]+)*|"
)

_FACTS: tuple[type[BaseModel], ...] = (
    *(list_health.HealthFacts, list_health.ListFact, list_health.OutageFact),
    *(optimization.CohortFact, rebalancing.RebalancingFacts, rebalancing.PlanFigures),
    *(reporting.ReportFacts, reporting.Held),
    *(weekly_report.WeekFacts, weekly_report.WeekOfList, weekly_report.Outcomes),
)

_PLACEHOLDERS = frozenset(
    (
        *("attempted", "bounce_rate", "bounce_rate_before", "outage_domains", "outage_domain_contacts"),
        *("outage_hosts", "outage_host_contacts", "sender_side", "seconds", "reachable", "gained", "lost"),
        *("complaint_rate", "opt_out_rate", "suppressed_share", "worse", "worse_lists", "better"),
        *("better_lists", *(f"{grade.value}_lists" for grade in list_health.Grade)),
    )
)

FIELDS = frozenset(
    chain(
        *(kind.model_fields for kind in _FACTS),
        (*reporting._COUNTS, *_PLACEHOLDERS, *VOCABULARY),
        ("cohorts", "numbers", "labels", "upheld", "lists", "sizes"),
    )
)
"""Names of fields, placeholders and classes: what may be a key."""


def check_private(asked: list[dict[str, Any]]) -> None:
    """Raise AssertionError where any of these questions holds a word that is not ours."""
    assert asked, "nothing was asked"
    for each in asked:
        text = each["question"]["text"]
        assert each["question"]["system"] in OUR_SYSTEMS, "instructions that stand in none of our files"
        assert not re.search(r"@|%40", each["body"]), "an address"
        assert each["body"].isascii(), "letters beyond ASCII"
        assert text.isprintable(), "control characters"
        for words in strings(json.loads(text)):
            assert not foreign(words), f"{foreign(words)} of {words!r}"


def foreign(text: str) -> list[str]:
    """The pieces of it that are no words of ours."""
    pieces = [text] if _OURS.fullmatch(text) else re.split(r"[/:]|, | and ", text)
    return [piece for piece in pieces if piece not in VOCABULARY and not _OURS.fullmatch(piece)]


def strings(value: Any) -> Iterator[str]:
    """Every string in it; a mapping's keys too, but for the names of our own fields."""
    if isinstance(value, str):
        yield value
    inner = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    for each in inner:
        yield from strings(each)
    if isinstance(value, Mapping):
        yield from (name for name in value if name not in FIELDS)


def telling_words(texts: tuple[str, ...]) -> set[str]:
    """Words of five letters and more that only these texts use: none of them stands in our instructions."""
    ours = set(re.findall(r"[^\W\d_]{5,}", OUR_WORDS.lower()))
    known = {piece for word in (VOCABULARY | FIELDS) for piece in re.findall(r"[^\W\d_]{5,}", word)}
    return set(re.findall(r"[^\W\d_]{5,}", " ".join(texts).lower())) - ours - known
