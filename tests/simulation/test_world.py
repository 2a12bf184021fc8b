"""A world is its assumptions and a seed, whoever plays in it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from listmanagement.domain.bounces import Outcome
from listmanagement.simulation import world
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
    ],
)
def test_a_file_that_cannot_be_used_is_refused_by_name(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "world.toml").write_text(text)

    with pytest.raises(BadWorld) as refusal:
        world.read(tmp_path / "world.toml")

    assert words in str(refusal.value)


def test_what_a_file_leaves_out_is_the_default_worlds(tmp_path: Path) -> None:
    (tmp_path / "world.toml").write_text("[mailjet]\nblock_days = 14\n")

    found = world.read(tmp_path / "world.toml")

    assert found == replace(DEFAULT, mailjet=replace(DEFAULT.mailjet, block_days=14))
