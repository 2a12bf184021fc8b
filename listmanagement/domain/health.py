"""Whether a list's size fell beyond what the journal explains. How healthy a list is, its agent says."""

from fractions import Fraction

UNEXPLAINED_LOSS = 0.05
"""The fall in size beyond what the journal explains, above which somebody is alerted."""


def unexplained_loss(*, before: int, after: int, explained: int) -> int:
    """Mailable members a list lost beyond those that operations, opt-outs and complaints account for.

    `explained` is the loss by the journal: who left less who joined; negative where more joined.
    """
    return max(0, before - explained - after)


def is_loss_alarming(*, before: int, after: int, explained: int, above: float = UNEXPLAINED_LOSS) -> bool:
    """Whether the unexplained loss is more than that share of the size before."""
    lost = unexplained_loss(before=before, after=after, explained=explained)
    return lost > Fraction(str(above)) * before
