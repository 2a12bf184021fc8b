"""Our own policy, by the code that runs in production, spares the living where others do not."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, replace
from io import StringIO
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from django.core.management import CommandError, call_command

from listmanagement.simulation import summary, world
from listmanagement.simulation.compare import EVENKEEL, FALLIBLE, Figures, names, play
from listmanagement.simulation.world import Assumptions, Span, Truth

DEFAULT = world.read()
QUIET = replace(
    DEFAULT,
    people=replace(
        DEFAULT.people, contacts=300, company_domains=6, dead_at_start=0.0, decay=0.0, closures=0.0
    ),
    failures=replace(DEFAULT.failures, false_hard=0.0, transient=0.0, full=0.0, mislabelled=0.0),
    outages=replace(DEFAULT.outages, per_domain=0.0, provider_incidents=0, sender_blocks=0.0),
    mailjet=replace(DEFAULT.mailjet, foreign_living=0.0, foreign_dead=0.0, late=0.0),
)
"""Six large companies, nobody dies, nothing fails."""


def a_truth(assumptions: Assumptions = QUIET, *, weeks: int = 26) -> Truth:
    return world.draw(assumptions, seed=1, weeks=weeks, cadence_days=14)


def test_where_nothing_fails_nobody_is_suppressed_by_anybody() -> None:
    truth = a_truth()

    for name in names():
        figures = play(truth, name)
        assert (figures.living_suppressed, figures.attempts_to_dead, figures.hard_rate_worst) == (0, 0, 0), (
            name
        )


def test_a_company_whose_server_fails_for_days_keeps_its_people_with_us_and_loses_them_elsewhere() -> None:
    truth = a_truth()
    down: dict[str, tuple[Span, ...]] = {"company-001.test": (Span(41.0, 46.0, hard=True),)}
    truth = replace(truth, outages=down)

    assert play(truth, EVENKEEL).living_suppressed == 0
    assert play(truth, "listmonk").living_suppressed_in_outage > 20


def test_the_dead_are_suppressed_and_counted_with_their_days() -> None:
    dead = replace(QUIET, people=replace(QUIET.people, dead_at_start=0.05))
    dead = replace(dead, failures=replace(dead.failures, dead_says=((1, True, 1.0),)))

    figures = play(a_truth(dead), EVENKEEL)

    assert (figures.living_suppressed, figures.dead_left) == (0, 0)
    assert figures.days_to_suppression is not None
    assert figures.days_to_suppression < 21
    assert play(a_truth(dead), "mailjet-alone").days_to_suppression is None


def test_reviewers_are_asked_for_eight_groups_a_run_at_most() -> None:
    figures = play(a_truth(DEFAULT, weeks=8), FALLIBLE)

    assert 0 < figures.review_items_a_run <= 8


def test_a_policy_is_dominated_only_by_one_that_is_no_worse_on_both_axes() -> None:
    medians = {"a": (1.0, 5.0), "b": (1.0, 4.0), "c": (0.0, 9.0), "d": (1.0, 4.0)}

    assert summary.dominated_by("a", medians) == ["b", "d"]
    assert summary.dominated_by("b", medians) == []
    assert summary.dominated_by("c", medians) == []
    assert summary.dominated_by("a", medians, ours=["a", "b"]) == ["d"], "b is ours as well"


def test_our_own_policy_with_erring_reviewers_is_no_rival_of_ours() -> None:
    figures = {"living_suppressed_in_outage": 0.0, "bad_share_after": 0.1}
    played = {
        EVENKEEL: of(living_suppressed=50, attempts_to_dead=100, **figures),
        FALLIBLE: of(living_suppressed=40, attempts_to_dead=90, **figures),
        **{
            name: of(living_suppressed=90, attempts_to_dead=900, **figures)
            for name in ("hard-now-soft-three", "listmonk", "listmonk-hard-2", "mailjet-alone")
        },
    }

    [bound] = [each for each in summary.bounds(played, ours=EVENKEEL) if "both axes" in each.what]

    assert (bound.figure, bound.is_met) == (0.0, True)


def of(**medians: float) -> dict[str, summary.Spread | None]:
    played = [replace(_any_figures(), **medians)]  # type: ignore[arg-type]  # each is a number
    return summary.spreads(played)


def test_a_bound_is_met_up_to_its_limit_and_names_what_it_compares() -> None:
    played = {
        EVENKEEL: of(
            living_suppressed_in_outage=5, living_suppressed=50, attempts_to_dead=121, bad_share_after=0.1
        ),
        "hard-now-soft-three": of(
            living_suppressed_in_outage=100, living_suppressed=300, attempts_to_dead=90
        ),
        "listmonk": of(living_suppressed=40, attempts_to_dead=100),
        "listmonk-hard-2": of(living_suppressed=60, attempts_to_dead=200),
        "mailjet-alone": of(living_suppressed=0, attempts_to_dead=900, bad_share_after=0.2),
    }  # fmt: skip

    found = summary.bounds(played, ours=EVENKEEL)

    assert [(bound.figure, bound.limit, bound.is_met) for bound in found] == [
        (0.05, 0.05, True),
        (1.21, 1.2, False),
        (0.0, 0.0, True),
        (1.0, 0.0, False),
        (0.5, 0.8, True),
    ]
    assert summary.bounds({EVENKEEL: played[EVENKEEL]}, ours=EVENKEEL) == []


def test_what_mailjet_tells_twice_counts_once() -> None:
    told_twice = replace(DEFAULT, mailjet=replace(DEFAULT.mailjet, duplicates=1.0))
    told_once = replace(DEFAULT, mailjet=replace(DEFAULT.mailjet, duplicates=0.0))

    for name in (EVENKEEL, "listmonk-hard-2"):
        assert play(a_truth(told_twice, weeks=8), name) == play(a_truth(told_once, weeks=8), name)


def test_one_company_with_one_reader_is_not_taken_for_dead_by_one_days_trouble() -> None:
    truth = a_truth(replace(QUIET, people=replace(QUIET.people, contacts=60, company_domains=60)))
    down: dict[str, tuple[Span, ...]] = {p.domain: (Span(41.0, 46.0, hard=True),) for p in truth.people}
    truth = replace(truth, outages=down)

    assert play(truth, EVENKEEL).living_suppressed == 0
    assert play(truth, "listmonk").living_suppressed_in_outage > 10


def test_the_command_tells_every_figure_with_its_quantiles_and_draws_the_frontier(tmp_path: Path) -> None:
    out = StringIO()
    call_command(
        "simulate_policies", seeds=2, weeks=6, policies=[EVENKEEL, "listmonk"], workers=1, json=True,
        block_days=0.0, chart=tmp_path / "chart.svg", stdout=out,
    )  # fmt: skip

    told = json.loads(out.getvalue())

    assert (told["seeds"], told["weeks"], told["block_days"]) == (2, 6, 0.0)
    assert list(told["policies"]) == [EVENKEEL, "listmonk"]
    assert told["bounds"] == {EVENKEEL: []}
    assert set(told["better_on_both_axes"]) == {EVENKEEL, "listmonk"}
    for figures in told["policies"].values():
        assert set(figures) == set(asdict(_any_figures()))
        assert set(figures["attempts_to_dead"]) == {"p10", "median", "p90", "mean"}
    drawn = ET.fromstring((tmp_path / "chart.svg").read_text())
    assert len(drawn.findall("{http://www.w3.org/2000/svg}circle")) == 2


def test_the_table_fits_a_hundred_columns_and_a_single_week_is_one_cycle(tmp_path: Path) -> None:
    (tmp_path / "world.toml").write_text("[people]\ncontacts = 60\n")
    out = StringIO()

    call_command("simulate_policies", world=tmp_path / "world.toml", seeds=1, weeks=1, workers=1, stdout=out)

    lines = out.getvalue().splitlines()
    assert max(map(len, lines)) <= 100
    assert {line.split()[0] for line in lines} >= set(names())
    assert "One world; with --json the quantiles." in lines


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"policies": ["gmail"]}, "There is no policy gmail"),
        ({"seeds": 0}, "--seeds is 0"),
        ({"cadence_days": 0.0}, "--cadence-days is 0"),
        ({"weeks": 1, "cadence_days": 14.0}, "--cadence-days is 14: it must be from 1 to the 7 days"),
        (
            {"chart": Path("chart.png")},
            "--chart: chart.png is no SVG by its name: give one that ends in .svg",
        ),
        ({"chart": Path("/nowhere/chart.svg")}, "there is no directory /nowhere"),
        ({"workers": 0}, "--workers is 0"),
        ({"block_days": -1.0}, "--block-days is -1"),
        ({"block_days": math.nan}, "--block-days is nan: it must be days, from 0 to 36525"),
        ({"cadence_days": math.nan}, "--cadence-days is nan"),
        (
            {"world": Path("/nowhere.toml")},
            "--world: /nowhere.toml cannot be read (No such file or directory).",
        ),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(options: dict[str, object], words: str) -> None:
    with pytest.raises(CommandError) as refusal:
        call_command("simulate_policies", **options)

    assert words in str(refusal.value)


def _any_figures() -> Figures:
    return play(a_truth(weeks=4), "mailjet-alone")
