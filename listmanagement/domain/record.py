"""The judgement's own record: labels in, figures out.

A label says how sure a judge was of something and whether it turned out right. Labels alike come counted, and
weighed: whoever was drawn at random for a review stands for all who were not.

Contacts who failed alike in one campaign were judged at once, read in one look and mostly decided by one
click, and what went wrong with one went wrong with most of them: a cluster, as statistics calls it. How alike
their labels are is not known, so they are taken for wholly alike, which errs towards caution: a share is of
contacts, but bounded as by so many clusters; and where it is asked how often a judgement was right, and how
many labels there are, each cluster is one (`judgements`), however many contacts it is about.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from math import sqrt

BINS = 10
"""Parts of equal width that a reliability curve has."""

_TWO_SIDED_95_PERCENT = 1.959963984540054
"""Standard deviations beyond which a twentieth of a normal distribution lies, both sides together."""


class Source(StrEnum):
    """What a label rests on."""

    REVIEW = "review"  # a reviewer decided
    SAMPLE = "random sample"  # a reviewer decided about who would have been suppressed without a review
    MARK = "marked"  # a reviewer marked an assessment
    REVERSAL = "reversal"  # a person lifted the suppression, or undid the change
    DELIVERY = "later delivery"  # a message arrived afterwards
    BOUNCED_AGAIN = "bounced again"  # not suppressed, and the next message failed as well
    SUPPRESSED_LATER = "suppressed later"  # not suppressed then, and a later suppression stands


@dataclass(frozen=True)
class Label:
    """So many judgements alike, and whether they turned out right."""

    right: bool
    source: Source
    confidence: float | None = None
    """As the judge said it, 0 to 1; None where it is not known or the judge had no choice."""
    suppresses: bool | None = None
    """Whether it would suppress; None where that is not the question."""
    times: int = 1
    weight: float = 1.0
    """How many others each one stands for."""
    together: Hashable = None
    """What was judged at once: labels of the same count as one. None where each stands by itself."""
    among: int = 1
    """How many there are of what was judged at once, with a label or without."""

    @property
    def mass(self) -> float:
        """How many others all of them stand for."""
        return self.times * self.weight


@dataclass(frozen=True)
class Share:
    """So much of so much, and between which bounds the true share is in 95 % of cases (Wilson's score)."""

    part: float
    of: float
    labels: int
    """Unweighed."""
    low: float
    high: float

    @property
    def share(self) -> float | None:
        """None where there is nothing to have a share of."""
        return self.part / self.of if self.of else None


@dataclass(frozen=True)
class Bin:
    """Judgements that were about as sure as each other."""

    low: float
    high: float
    confidence: float
    """The mean of what was stated."""
    right: Share


@dataclass(frozen=True)
class Figures:
    """How good a judge is."""

    labels: int
    judgements: int
    """That many of the labels are independent of each other."""
    sure: int
    """Labels with a confidence: those that all figures of confidence are of."""
    by_source: Mapping[Source, int]
    right: Share
    reliability: tuple[Bin, ...]
    """The bins that have a label, the least sure first."""
    calibration_error: float | None
    """Expected: the mean distance between stated and true, 0 to 1. None without a confidence."""
    brier: float | None
    """The mean squared distance between stated and true, 0 (best) to 1."""
    confidence: float | None
    """The mean of what was stated."""
    false_positives: Share
    """Alive, of those it would suppress."""
    false_negatives: Share
    """Dead, of those it would not suppress."""


def figures(labels: Sequence[Label]) -> Figures:
    """All figures of one judge's labels."""
    sure = [label for label in labels if label.confidence is not None]
    bins = reliability(sure)
    by_source = Counter[Source]()
    for label in labels:
        by_source[label.source] += label.times
    return Figures(
        labels=by_source.total(),
        judgements=_independent(labels),
        sure=sum(label.times for label in sure),
        by_source=by_source,
        right=share_of(labels, counts=lambda label: label.right),
        reliability=bins,
        calibration_error=calibration_error(bins),
        brier=_mean(sure, lambda label: (_stated(label) - label.right) ** 2),
        confidence=_mean(sure, _stated),
        false_positives=_wrong(label for label in labels if label.suppresses is True),
        false_negatives=_wrong(label for label in labels if label.suppresses is False),
    )


def reliability(labels: Iterable[Label]) -> tuple[Bin, ...]:
    """How often each part of the confidence scale was right. Labels without a confidence are left out."""
    found: dict[int, list[Label]] = {}
    for label in labels:
        if label.confidence is not None:
            found.setdefault(min(int(label.confidence * BINS), BINS - 1), []).append(label)
    return tuple(_bin(n, found[n]) for n in sorted(found))


def _bin(n: int, labels: Sequence[Label]) -> Bin:
    mean = _mean(labels, _stated)
    assert mean is not None
    return Bin(
        low=n / BINS,
        high=(n + 1) / BINS,
        confidence=mean,
        right=share_of(labels, counts=lambda label: label.right),
    )


def calibration_error(bins: Sequence[Bin]) -> float | None:
    """Expected calibration error: the bins' distances, weighed. None without a bin."""
    total = sum(each.right.of for each in bins)
    if not total:
        return None
    return sum(abs(each.confidence * each.right.of - each.right.part) for each in bins) / total


def share_of(labels: Iterable[Label], *, counts: Callable[[Label], bool]) -> Share:
    """The share of labels that count. Unequal weights leave less to be sure of, and widen the bounds."""
    labels = list(labels)
    of = sum(label.mass for label in labels)
    part = sum(label.mass for label in labels if counts(label))
    low, high = interval(part / of, of=effective(labels)) if of else (0.0, 1.0)
    return Share(part=part, of=of, labels=sum(label.times for label in labels), low=low, high=high)


def _wrong(labels: Iterable[Label]) -> Share:
    return share_of(labels, counts=lambda label: not label.right)


def effective(labels: Iterable[Label]) -> float:
    """How many equal and independent labels tell as much as these (Kish's number, of clusters).

    Their number, where all weigh the same and each stands by itself.
    """
    labels = list(labels)
    squares, at_once = 0.0, defaultdict[Hashable, float](float)
    for label in labels:
        if label.together is None:
            squares += label.times * label.weight**2
        else:
            at_once[label.together] += label.mass
    squares += sum(mass**2 for mass in at_once.values())
    return sum(label.mass for label in labels) ** 2 / squares if squares else 0.0


def judgements(labels: Iterable[Label]) -> list[Label]:
    """The same labels, where all that was judged at once weighs one together, however many contacts it was.

    Of what is known in part only a part weighs: a single suppression that was lifted, of a hundred of which
    nothing else is known, is no judgement that was wrong.
    """
    return [
        label if label.together is None else replace(label, weight=label.weight / label.among)
        for label in labels
    ]


def _independent(labels: Sequence[Label]) -> int:
    alone = sum(label.times for label in labels if label.together is None)
    return alone + len({label.together for label in labels if label.together is not None})


def interval(share: float, *, of: float) -> tuple[float, float]:
    """Wilson's 95 % bounds of a share seen among so many: everything, where nothing was seen."""
    if not of:
        return 0.0, 1.0
    z = _TWO_SIDED_95_PERCENT
    centre = share + z * z / (2 * of)
    margin = z * sqrt(share * (1 - share) / of + z * z / (4 * of * of))
    scale = 1 + z * z / of
    # Rounding may carry the bounds of none or all past what was seen.
    return min(share, max(0.0, (centre - margin) / scale)), max(share, min(1.0, (centre + margin) / scale))


def upheld(labels: Iterable[Label]) -> tuple[int, int]:
    """How often judgements were right, and how many independent ones there are; both rounded down."""
    labels = judgements(labels)
    number = effective(labels)
    right = share_of(labels, counts=lambda label: label.right).share or 0.0
    return whole(right * number), whole(number)


def whole(number: float) -> int:
    """Rounded down; whole numbers come out of floating point a little below themselves."""
    return int(number + 1e-6)


def _stated(label: Label) -> float:
    assert label.confidence is not None
    return label.confidence


def _mean(labels: Iterable[Label], value: Callable[[Label], float]) -> float | None:
    labels = list(labels)
    total = sum(label.mass for label in labels)
    return sum(label.mass * value(label) for label in labels) / total if total else None
