"""The plans a scenario's lists lead to, made by the code that makes them in production."""

from collections.abc import Mapping
from itertools import count

from listmanagement.domain import balance
from listmanagement.domain.balance import Choice, ListFacts, Plan
from listmanagement.evaluation.reading import Rebalancing

THRESHOLD = 5.0
"""Percent from the mean above which contacts move: the default of `LIST_BALANCE_THRESHOLD`."""


def plans(told: Rebalancing) -> Mapping[Choice, Plan]:
    """The forms of the plan; *now* with the moves it wants, also where they are not allowed yet."""
    ids = count(1)
    fixed = told.fixed or (0,) * len(told.sizes)
    lists = [
        ListFacts(
            list_id=place,
            size=size,
            movable=tuple(next(ids) for _ in range(size - staying)),
        )
        for place, (size, staying) in enumerate(zip(told.sizes, fixed, strict=True), 1)
    ]
    backlog = [next(ids) for _ in range(told.backlog)]
    hard, final = told.first_sends_hard_and_final
    return balance.choices(
        lists,
        backlog,
        first_send_rate=balance.first_send_rate(hard, final),
        moves_allowed=True,
        threshold=THRESHOLD,
    )
