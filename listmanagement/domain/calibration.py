"""What a stated confidence has been worth: isotonic regression over labels, by pooling adjacent violators."""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from listmanagement.domain.record import Label

ENOUGH_LABELS = 200
"""Labels from which a model's statements are calibrated."""

FEWEST_TOGETHER = 20
"""Labels that a step of the curve rests on at least: three that were right by chance make nobody certain."""


@dataclass(frozen=True)
class Curve:
    """How often what was stated with such a confidence was right: steps that never fall."""

    steps: tuple[tuple[float, float], ...]
    """From which stated confidence on, and what it is worth; both 0 to 1, both rising."""
    labels: int

    def __call__(self, stated: float) -> float:
        """What a stated confidence is worth. Between two steps the lower one counts."""
        at = bisect_right([start for start, _ in self.steps], stated)
        return self.steps[max(at - 1, 0)][1]


@dataclass
class _Block:
    start: float
    right: float
    mass: float
    labels: int

    @property
    def mean(self) -> float:
        return self.right / self.mass

    def take(self, other: "_Block") -> None:
        self.right += other.right
        self.mass += other.mass
        self.labels += other.labels


def curve(labels: Iterable[Label], *, enough: int = ENOUGH_LABELS) -> Curve | None:
    """The curve of these labels; None while those with a confidence are too few."""
    blocks = _blocks(labels)
    number = sum(block.labels for block in blocks)
    if number < max(enough, 1):
        return None
    pooled = _none_small(_none_falling(blocks), fewest=min(FEWEST_TOGETHER, enough))
    return Curve(steps=tuple((block.start, block.mean) for block in pooled), labels=number)


def _blocks(labels: Iterable[Label]) -> list[_Block]:
    """One for each confidence that was stated, the least sure first."""
    found: dict[float, _Block] = {}
    for label in labels:
        if label.confidence is not None:
            block = _Block(label.confidence, label.mass * label.right, label.mass, label.times)
            if label.confidence in found:
                found[label.confidence].take(block)
            else:
                found[label.confidence] = block
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
        if pooled and pooled[-1].labels < fewest:
            pooled[-1].take(block)
        else:
            pooled.append(block)
    if len(pooled) > 1 and pooled[-1].labels < fewest:
        last = pooled.pop()
        pooled[-1].take(last)
    return pooled
