"""A world is its assumptions and a seed, whoever plays in it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from listmanagement.domain.bounces import Outcome
from listmanagement.simulation import world
from listmanagement.simulation.compare import EVENKEEL, play
from listmanagement.simulation.mail import Post
from listmanagement.simulation.world import Assumptions, BadWorld, Truth

DEFAULT = world.read()


def a_truth(assumptions: Assumptions = DEFAULT, *, seed: int = 1, weeks: int = 26) -> Truth:
    return world.draw(assumptions, seed=seed, weeks=weeks, cadence_days=14)


def small(**people: float) -> Assumptions:
    return replace(DEFAULT, people=replace(DEFAULT.people, contacts=300, company_domains=40, **people))


def test_a_seed_draws_the_same_world_each_time_and_another_seed_another() -> None:
    assert a_truth(small()).people == a_truth(small()).people
    assert a_truth(small()).people != a_truth(small(), seed=2).people


def test_a_message_ends_the_same_whoever_else_is_mailed() -> None:
    truth = a_truth(small())
    everybody, some = Post(truth), Post(truth)
    left_out = {person.contact_id for person in truth.people if person.contact_id % 2}

    for cycle in range(4):
        reports = {told.report.contact_id: told.report for told in everybody.send(cycle, 0, without=())}
        fewer = [told.report for told in some.send(cycle, 0, without=left_out)]
        assert fewer == [reports[report.contact_id] for report in fewer]


def test_the_default_world_is_what_it_says() -> None:
    truth = a_truth(weeks=156)
    people = truth.people
    at_providers = sum(person.domain in world.PROVIDERS for person in people) / len(people)
    dead_first, dead_later = (sum(p.is_dead(day) for p in people) / len(people) for day in (0, 365))

    assert len(people) == 3119
    assert at_providers == pytest.approx(0.42, abs=0.03)
    assert dead_first == pytest.approx(0.04, abs=0.015)
    assert dead_later - dead_first == pytest.approx(0.96 * (0.10 + 0.58 * 0.02 + 0.015), abs=0.03)
    assert len(truth.incidents) == 1
    assert {cycle for cycle, _ in truth.incidents | truth.refused}.isdisjoint({0})


@pytest.mark.parametrize("days", [0.0, 90.0])
def test_mailjet_does_not_try_again_for_as_long_as_it_blocks(days: float) -> None:
    assumptions = small(dead_at_start=1.0)
    assumptions = replace(
        assumptions, mailjet=replace(DEFAULT.mailjet, block_days=days, block_chance=1.0, foreign_dead=0.0)
    )
    truth = a_truth(assumptions)
    post = Post(truth)
    hard = {
        told.report.contact_id
        for told in post.send(0, 0, without=())
        if told.report.permanent and told.report.state not in (7, 8, 9)
    }

    again = {told.report.contact_id: told.report.outcome for told in post.send(1, 0, without=())}

    assert hard
    expected = Outcome.NOT_ATTEMPTED if days else Outcome.BOUNCED
    assert {again[contact] for contact in hard} == {expected}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[people]\ncontacts = 'many'", "[people] contacts is 'many'"),
        ("[people]\ncontacts = 1.5", "whole number"),
        ("[people]\nfriends = 3", "[people] knows no friends"),
        ("[weather]\nrain = 1", "no section [weather]"),
        ("[failures]\ndead_says = [[1, true]]", "[state, permanent, weight]"),
        ("[failures]\ndead_says = []", "at least one answer"),
        ("[people", "world.toml"),
        ("people = 3", "people is 3: it must be a section, [people]"),
        ("[people]\ncontacts = 0", "[people] contacts is 0: it must be a whole number from 1 to 1000000"),
        ("[people]\ncontacts = true", "[people] contacts is True"),
        ("[people]\ncompany_domains = 0", "[people] company_domains is 0: it must be a whole number from 1"),
        ("[people]\ndecay = 3", "[people] decay is 3: it must be a share a year from 0 to below 1"),
        ("[people]\ndecay = 1", "such as 0.03 for 3 %"),
        ("[people]\ndecay = nan", "[people] decay is nan"),
        ("[people]\nclicks = -0.1", "[people] clicks is -0.1: it must be a share from 0 to 1"),
        ("[failures]\nfull_median_days = 0", "[failures] full_median_days is 0: it must be days, above 0"),
        ("[failures]\ntexts = inf", "[failures] texts is inf"),
        ("[outages]\nsigma = 700", "[outages] sigma is 700: it must be a number from 0 to 5"),
        ("[sending]\nlists = 0", "[sending] lists is 0: it must be a whole number from 1 to 100"),
        ("[failures]\ndead_says = [[1, true, nan]]", "a weight is nan"),
        ("[failures]\ndead_says = [[1.5, true, 1]]", "a state is 1.5"),
        ('[failures]\ndead_says = [[1, "no", 1]]', "permanent is 'no': it must be true or false"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_by_name(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "world.toml").write_text(text)

    with pytest.raises(BadWorld) as refusal:
        world.read(tmp_path / "world.toml")

    assert words in str(refusal.value)


@pytest.mark.parametrize(
    "text",
    [
        "[people]\ncontacts = 1\ncompany_domains = 1\n[sending]\nlists = 5",
        "[people]\ncontacts = 20\ndead_at_start = 1\nat_providers = 1",
        "[people]\ncontacts = 20\ndecay = 1e-300\nclosures = 0.999\nzipf = 5",
        "[people]\ncontacts = 20\n[outages]\nsigma = 5\nper_domain = 365\nprovider_incidents = 1000",
        "[people]\ncontacts = 20\n[mailjet]\nblock_days = 36525\nsoft_final_days = 0\nlate = 1",
        "[people]\ncontacts = 20\n[reviewer]\ngroups = 0\nanswers_after_days = 36525",
    ],
)
def test_a_world_at_the_edge_of_what_is_allowed_can_be_played(tmp_path: Path, text: str) -> None:
    (tmp_path / "world.toml").write_text(text)

    truth = a_truth(world.read(tmp_path / "world.toml"), weeks=4)

    for name in (EVENKEEL, "listmonk"):
        assert play(truth, name).living_suppressed <= len(truth.people)


def test_what_a_file_leaves_out_is_the_default_worlds(tmp_path: Path) -> None:
    (tmp_path / "world.toml").write_text("[mailjet]\nblock_days = 14\n")

    found = world.read(tmp_path / "world.toml")

    assert found == replace(DEFAULT, mailjet=replace(DEFAULT.mailjet, block_days=14))
