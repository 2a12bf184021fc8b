"""A size that fell without the journal knowing why."""

import pytest

from listmanagement.domain import health


@pytest.mark.parametrize(
    ("after", "explained", "alarming"),
    [
        (890, 110, False),
        (840, 110, False),
        (839, 110, True),
        (950, 0, False),
        (949, 0, True),
        (1100, -50, False),
    ],
)
def test_a_fall_of_more_than_five_percent_beyond_the_journal_is_alarming(
    after: int, explained: int, alarming: bool
) -> None:
    assert health.is_loss_alarming(before=1000, after=after, explained=explained) is alarming


def test_members_who_joined_do_not_hide_others_who_vanished() -> None:
    assert health.unexplained_loss(before=1000, after=1000, explained=-60) == 60
    assert health.is_loss_alarming(before=1000, after=1000, explained=-60)


def test_an_empty_list_can_lose_nobody() -> None:
    assert not health.is_loss_alarming(before=0, after=0, explained=0)
