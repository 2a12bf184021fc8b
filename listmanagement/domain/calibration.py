"""What a stated confidence has been worth: isotonic regression over labels, by pooling adjacent violators.

A label here is a judgement, not a contact: two hundred contacts who failed alike in one campaign were
approved by one click, and prove no more than one of them would (`record.judgements`). How sure a statement
may count is bounded by what was seen of such statements: where fewer than twenty labels were as unsure, it
never counts for more than was stated, so nothing makes the unsure certain.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from listmanagement.domain.record import Label, effective, judgements, share_of, whole

ENOUGH_LABELS = 200
"""Independent labels from which a model's statements are calibrated."""

FEWEST_TOGETHER = 20
"""Independent labels that a step of the curve rests on at least, and begins at: three that were right by
chance make nobody certain."""


@dataclass(frozen=True)
class Curve:
    """How often what was stated with such a confidence was right: steps that never fall."""

    steps: tuple[tuple[float, float], ...]
    """From which stated confidence on, and what it is worth; both 0 to 1, both rising."""
    labels: int
    """Independent ones."""

    def __call__(self, stated: float) -> float:
        """What a stated confidence is worth.

        Between two steps the lower one counts; below the first, of which too little was seen, what was
        stated, if that is less than the step is worth.
        """
        at = bisect_right([start for start, _ in self.steps], stated)
        return self.steps[at - 1][1] if at else min(stated, self.steps[0][1])


@dataclass
class _Block:
    """Labels that count alike, the least sure first."""

    labels: list[Label]

    @property
    def mean(self) -> float:
        return share_of(self.labels, counts=lambda label: label.right).share or 0.0

    @property
    def number(self) -> float:
        return effective(self.labels)

    def take(self, other: "_Block") -> None:
        self.labels += other.labels

    def start(self, *, fewest: int) -> float:
        """The stated confidence at which there are labels enough that were at most as sure."""
        by_confidence = sorted({_stated(label) for label in self.labels})
        so_far = (
            (stated, effective(label for label in self.labels if _stated(label) <= stated))
            for stated in by_confidence
        )
        return next((stated for stated, number in so_far if whole(number) >= fewest), by_confidence[-1])


def curve(labels: Iterable[Label], *, enough: int = ENOUGH_LABELS) -> Curve | None:
    """The curve of these labels; None while those with a confidence are too few."""
    sure = judgements(label for label in labels if label.confidence is not None)
    number = whole(effective(sure))
    if number < max(enough, 1):
        return None
    fewest = min(FEWEST_TOGETHER, enough)
    pooled = _none_small(_none_falling(_blocks(sure)), fewest=fewest)
    steps = tuple((block.start(fewest=fewest), block.mean) for block in pooled)
    return Curve(steps=steps, labels=number)


def _blocks(labels: Iterable[Label]) -> list[_Block]:
    """One for each confidence that was stated, the least sure first."""
    found: dict[float, _Block] = {}
    for label in labels:
        found.setdefault(_stated(label), _Block([])).labels.append(label)
    return [found[confidence] for confidence in sorted(found)]


def _none_falling(blocks: Sequence[_Block]) -> list[_Block]:
    """Whatever was right more rarely than something less sure, put together with it."""
    pooled: list[_Block] = []
    for block in blocks:
        pooled.append(block)
        while len(pooled) > 1 and pooled[-2].mean >= pooled[-1].mean:
            last = pooled.pop()
            pooled[-1].take(last)
    return pooled


def _none_small(blocks: Sequence[_Block], *, fewest: int) -> list[_Block]:
    """Neighbours put together until each rests on enough labels. The curve still never falls."""
    pooled: list[_Block] = []
    for block in blocks:
        if pooled and whole(pooled[-1].number) < fewest:
            pooled[-1].take(block)
        else:
            pooled.append(block)
    while len(pooled) > 1 and whole(pooled[-1].number) < fewest:
        last = pooled.pop()
        pooled[-1].take(last)
    return pooled


def _stated(label: Label) -> float:
    assert label.confidence is not None
    return label.confidence
