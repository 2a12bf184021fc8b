"""What the agents are asked about a campaign with so many failures: the same kinds of failure, however many.

Cohorts come from the production code; every class, history and a dozen domains take part, in fixed shares.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product

from agents import list_health
from agents.asking import Record
from agents.list_health import HealthFacts, ListFact, OutageFact
from agents.optimization import CohortFact
from agents.rebalancing import PlanFigures, RebalancingFacts
from agents.reporting import Held, HeldBecause, ReportFacts, SenderProblem, Stage
from listmanagement.domain.bounces import BounceClass, History
from listmanagement.domain.cohorts import cohorts
from listmanagement.domain.suppression import Region, Ruling
from listmanagement.told import cohort_fact
from listmanagement.workflows.maintenance.judgement import token_of

SALT = "of this benchmark alone"
HELD_DOMAINS = tuple(f"down-{n}.example" for n in range(12))
_KINDS = (
    *product(
        (BounceClass.RECIPIENT_GONE,),
        (Region.MUST,),
        (1,),
        (History.NEVER_DELIVERED, History.DELIVERED_BEFORE),
    ),
    *product((BounceClass.INACTIVE, BounceClass.MAILBOX_FULL), (Region.MAY,), (2, 3), tuple(History)[:2]),
    *product((BounceClass.TEMPORARY, BounceClass.GREYLISTED), (Region.NEVER,), (0, 1), tuple(History)[:2]),
    *product((BounceClass.SENDER_SIDE, BounceClass.DOMAIN_GONE), (Region.NEVER,), (0,), tuple(History)[:2]),
)


@dataclass(frozen=True)
class Questions:
    """The facts of all four agents."""

    health: HealthFacts
    cohorts: Sequence[CohortFact]
    plan: RebalancingFacts
    report: ReportFacts


def of(failures: int) -> Questions:
    """A campaign with so many failures, to a list ten times as large."""
    size = failures * 10
    rulings, token = [_ruling(n) for n in range(failures)], partial(token_of, salt=SALT)
    grouped = cohorts(rulings, held_domains=HELD_DOMAINS, token=token)
    known = Record(upheld=17, labels=24)
    return Questions(
        health=_health(failures, size=size),
        cohorts=[cohort_fact(each, size=size, known=known, token=token) for each in grouped],
        plan=_plan(size),
        report=_report(failures, size=size),
    )


def _ruling(n: int) -> Ruling:
    """A third of the failures is at domains on hold; the others are of every kind, at many firms."""
    if n % 3 == 0:
        domain = HELD_DOMAINS[n // 3 % len(HELD_DOMAINS)]
        return Ruling(
            n, domain, BounceClass.RECIPIENT_GONE, Region.HOLD, 1, History.DELIVERED_BEFORE, n, False, "", ()
        )
    bounce, region, strikes, history = _KINDS[n % len(_KINDS)]
    return Ruling(n, f"firm-{n}.example", bounce, region, strikes, history, n, False, "", ())


def _health(failures: int, *, size: int) -> HealthFacts:
    held = failures // 3
    each = held // len(HELD_DOMAINS)
    outages = list_health.few(
        OutageFact(domain_token=token_of(domain, salt=SALT), contacts=each, hard=each, well_known=False)
        for domain in HELD_DOMAINS
    )
    lists = [
        ListFact(
            key=f"list-{n}",
            size=size,
            delivered=size - failures,
            bounced=failures,
            hard=failures * 4 // 5,
            not_attempted=failures // 10,
            by_class={kind[0].value: failures // len(_KINDS) for kind in _KINDS},
            outages=outages if n == 1 else (),
            sender_side=0,
            sender_side_bounced=0,
            sender_side_hard=0,
            previous_rate=0.03125,
        )
        for n in (1, 2, 3)
    ]
    return HealthFacts(lists=tuple(lists))


def _plan(size: int) -> RebalancingFacts:
    def sizes(first: int, second: int, third: int) -> dict[str, int]:
        return {"list-1": size - first, "list-2": size - second, "list-3": size + third}

    moved = max(size // 50, 1)
    return RebalancingFacts(
        sizes=sizes(moved * 2, moved, moved * 3),
        deviation=5.9,
        threshold=5.0,
        now=PlanFigures(moves=moved, placements=moved, sizes=sizes(0, 0, moved), deviation=1.99),
        backfill_only=PlanFigures(moves=0, placements=moved, sizes=sizes(moved, 0, moved * 3), deviation=5.4),
        waiting=moved,
        between_cycles=True,
        hours_to_next_send=240.0,
    )


def _report(failures: int, *, size: int) -> ReportFacts:
    third = failures // 3
    return ReportFacts(
        stage=Stage.FINISHED,
        rules_judged=False,
        sent=size,
        delivered=size - failures,
        bounced=failures,
        hard=failures * 4 // 5,
        not_attempted=failures // 10,
        open=third,
        proposed=third,
        approved=third,
        rejected=0,
        expired=0,
        waiting=0,
        dropped=0,
        suppressed=third,
        held=(Held(because=HeldBecause.DOMAIN_OUTAGE, items=len(HELD_DOMAINS), contacts=max(third, 1)),),
        kept=third,
        placed=third,
        moved=third,
        moves_deferred=0,
        backlog=third,
        failed=0,
        sender_problems={SenderProblem.POLICY: third},
        sizes_before={f"list-{n}": size for n in (1, 2, 3)},
        sizes_after={f"list-{n}": size - third for n in (1, 2, 3)},
        deviation_before=5.91,
        deviation_after=1.99,
        active_seconds=12.34,
        requests=41,
        went_without=(),
    )
