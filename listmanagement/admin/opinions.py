"""A model's verdicts and the rules' on the same facts, side by side, as a decision's page shows them."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from django.conf import settings
from django.db.models import Count

from listmanagement import outside
from listmanagement.admin import show
from listmanagement.domain.suppression import Region
from listmanagement.models import Agent, AgentVerdict, Decision, DecisionKind
from listmanagement.workflows.maintenance.judgement import token_of
from listmanagement.workflows.record.verdicts import PLAN

AGENTS = {DecisionKind.SUPPRESSION: Agent.OPTIMIZATION, DecisionKind.REBALANCING: Agent.REBALANCING}
KEEP = "keep"
SHOWN = 1  # of the cohorts of a group on which both agree; the others are folded away

TONES = {"suppress": show.Tone.BAD, "hold": show.Tone.WAITING, "keep": show.Tone.GOOD}


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two opinions."""

    who: str
    verdict: show.Chip
    confidence: str
    rationale: str


@dataclass(frozen=True, slots=True)
class Pair:
    """What the model and the rules say of one thing."""

    about: str
    contacts: str
    """Empty where it is not about contacts."""
    model: Side
    rules: Side
    disagree: bool
    outcome: str
    """Which of them stands, and why; empty where they agree."""

    @property
    def sides(self) -> tuple[Side, Side]:
        """The model first, the rules beside it."""
        return self.model, self.rules


@dataclass(frozen=True, slots=True)
class OfGroup:
    """The pairs of a group's cohorts."""

    shown: Sequence[Pair]
    """Where they disagree, and the largest."""
    folded: Sequence[Pair]


NO_PAIRS = OfGroup((), ())


@dataclass(frozen=True, slots=True)
class Opinions:
    """All pairs of a decision; none where rules alone judged."""

    of_groups: Mapping[int, OfGroup]
    of_all: Sequence[Pair]
    """On the plan as a whole."""
    kept: Sequence[Pair]
    """Of whom nothing is proposed."""


NOBODY = Opinions({}, (), ())


def read(decision: Decision) -> Opinions:
    """In three queries: the verdicts, which group's contacts each is about, and where these are."""
    agent = AGENTS.get(DecisionKind(decision.kind))
    if agent is None:
        return NOBODY
    found = AgentVerdict.objects.filter(call__run=decision.run_id, call__agent=agent).exclude(stated="")
    verdicts = {verdict.pk: verdict for verdict in found.select_related("call").order_by("pk")}
    if agent is Agent.REBALANCING:
        return Opinions({}, [of_verdict(verdict) for verdict in verdicts.values()], ())
    if not verdicts:
        return NOBODY
    of_groups: dict[int, list[Pair]] = defaultdict(list)
    counted = decision.items.filter(verdict__in=verdicts).order_by().values("group", "verdict")
    names = _names(decision)
    for row in counted.annotate(n=Count("pk")).order_by("-n", "verdict"):
        of_groups[row["group"]].append(_pair(verdicts[row["verdict"]], contacts=row["n"], names=names))
    kept = [verdict for verdict in verdicts.values() if verdict.verdict == KEEP]
    return Opinions(
        {group: _folded(pairs) for group, pairs in of_groups.items()},
        (),
        [_pair(verdict, contacts=verdict.contacts, names=names) for verdict in kept],
    )


def _folded(pairs: Sequence[Pair]) -> OfGroup:
    shown = [pair for n, pair in enumerate(pairs) if n < SHOWN or pair.disagree]
    return OfGroup(shown, [pair for pair in pairs if pair not in shown])


def _names(decision: Decision) -> Mapping[str, str]:
    """By the token that agents know it by, each domain of the decision's contacts."""
    domains = decision.items.order_by().values_list("contact__domain", flat=True).distinct()
    salt = outside.configuration().salt
    return {token_of(domain, salt=salt): domain for domain in domains if domain}


def of_verdict(verdict: AgentVerdict) -> Pair:
    """Both opinions on something that is not about contacts. It carries its call."""
    return _pair(verdict, contacts=None, names={})


def _pair(verdict: AgentVerdict, *, contacts: int | None, names: Mapping[str, str]) -> Pair:
    call, disagree = verdict.call, verdict.stated != verdict.rules_verdict
    return Pair(
        about=about(verdict, names=names),
        contacts=show.counted(contacts, "contact") if contacts is not None else "",
        model=Side(
            who=show.judge(call.source, model=call.model, has_key=bool(settings.GEMINI_API_KEY)),
            verdict=verdict_chip(verdict.stated),
            confidence=worth(verdict),
            rationale=_named(verdict.rationale, names),
        ),
        rules=Side(
            who="the rules",
            verdict=verdict_chip(verdict.rules_verdict),
            confidence=f"{verdict.rules_confidence:.2f}",
            rationale=_named(verdict.rules_rationale, names),
        ),
        disagree=disagree,
        outcome=_outcome(verdict) if disagree else "",
    )


def heading(verdict: AgentVerdict) -> str:
    """A verdict in one line, such as "campaign list 1: poor, decay"."""
    return f"{about(verdict)}: {show.words(verdict.verdict).replace('/', ', ')}"


def about(verdict: AgentVerdict, *, names: Mapping[str, str] = MappingProxyType({})) -> str:
    """What was judged, as people read it; of a cohort its key, without the region, which stands beside it."""
    if place := _LIST.fullmatch(verdict.subject):
        return f"campaign list {place[1]}"
    if verdict.subject == PLAN:
        return "the plan"
    parts = [part for part in verdict.subject.split("/") if part != verdict.region]
    return _named(", ".join(show.words(part).replace("at:", "at ") for part in parts), names)


def _named(text: str, names: Mapping[str, str]) -> str:
    """Tokens of domains by the domains' names."""
    return _TOKEN.sub(lambda token: names.get(token[0], token[0]), text)


_LIST = re.compile(r"list-([0-9]+)")
_TOKEN = re.compile(r"domain-[0-9a-f]{12}")


def verdict_chip(verdict: str) -> show.Chip:
    """A verdict as a chip: "poor/decay" is "poor: decay"."""
    return show.Chip(show.words(verdict).replace("/", ": "), TONES.get(verdict, show.Tone.CALM))


def worth(verdict: AgentVerdict) -> str:
    """The model's confidence as stated, and what it counts for."""
    stated = f"{verdict.raw_confidence:.2f} stated"
    if verdict.verdict != verdict.stated:
        return f"{stated}; it does not count"
    if verdict.region and verdict.region != Region.MAY:
        return stated
    if verdict.calibrated and verdict.confidence != verdict.raw_confidence:
        return f"{stated}, worth {verdict.confidence:.2f} by what people decided before"
    if verdict.confidence != verdict.raw_confidence:
        why = "in dispute and " if verdict.stated != verdict.rules_verdict else ""
        return f"{stated}, counts as {verdict.confidence:.2f}: {why}not calibrated yet"
    return f"{stated}, counts as stated{'' if verdict.calibrated else ': not calibrated yet'}"


def _outcome(verdict: AgentVerdict) -> str:
    if verdict.verdict == verdict.stated:
        return "They disagree: what the model says is put forward, and a person has the last word."
    return "They disagree: the policy leaves no choice here, so what the rules say stands."
