"""The judgement's record against the definitions of its figures, written out one judgement at a time."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from listmanagement.domain import calibration, record
from listmanagement.domain.record import Label, Source

LABELS = st.lists(
    st.builds(
        Label,
        right=st.booleans(),
        source=st.sampled_from(Source),
        confidence=st.none() | st.integers(0, 20).map(lambda n: n / 20),
        suppresses=st.none() | st.booleans(),
        times=st.integers(1, 4),
        weight=st.sampled_from([1.0, 2.0, 5.0]),
    ),
    max_size=12,
)


def one_by_one(labels: list[Label]) -> list[Label]:
    """Each judgement by itself, as often as it weighs."""
    return [
        replace(label, times=1, weight=1.0)
        for label in labels
        for _ in range(label.times * int(label.weight))
    ]


@given(LABELS)
def test_figures_are_means_over_every_single_judgement(labels: list[Label]) -> None:
    every = one_by_one(labels)
    sure = [(each.confidence, each.right) for each in every if each.confidence is not None]

    found = record.figures(labels)

    assert found.labels == sum(found.by_source.values()) == sum(label.times for label in labels)
    assert found.right.share == (
        pytest.approx(sum(each.right for each in every) / len(every)) if every else None
    )
    if not sure:
        assert (found.brier, found.calibration_error, found.confidence) == (None, None, None)
        return
    assert found.brier == pytest.approx(sum((stated - right) ** 2 for stated, right in sure) / len(sure))
    assert found.confidence == pytest.approx(sum(stated for stated, _ in sure) / len(sure))
    bins = [[pair for pair in sure if min(int(pair[0] * 10), 9) == n] for n in range(10)]
    naive = sum(abs(sum(stated for stated, _ in each) - sum(right for _, right in each)) for each in bins)
    assert found.calibration_error == pytest.approx(naive / len(sure))


@given(LABELS)
def test_false_positives_are_the_living_of_those_it_would_suppress(labels: list[Label]) -> None:
    found = record.figures(labels)

    for share, suppresses in ((found.false_positives, True), (found.false_negatives, False)):
        such = [each for each in one_by_one(labels) if each.suppresses is suppresses]
        assert (share.part, share.of) == (sum(not each.right for each in such), len(such))
        assert share.low <= (share.share or share.low) <= share.high


@pytest.mark.parametrize(
    ("count", "of", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_bounds_are_wilsons_as_newcombe_1998_tabulates_them(
    count: int, of: int, low: float, high: float
) -> None:
    assert record.interval(count / of, of=of) == pytest.approx((low, high), abs=5e-5)


def test_where_nothing_was_seen_anything_is_possible() -> None:
    assert record.interval(0.0, of=0) == (0.0, 1.0)
    assert record.figures([]).false_positives.share is None


@given(st.integers(1, 500), st.integers(0, 500))
def test_equal_labels_are_upheld_as_often_as_counted(right: int, wrong: int) -> None:
    labels = [
        Label(right=True, source=Source.REVIEW, times=right, weight=20.0),
        Label(right=False, source=Source.REVIEW, times=wrong, weight=20.0),
    ]

    assert record.upheld(labels) == (right, right + wrong)


def test_a_few_that_weigh_much_do_not_make_many_labels() -> None:
    reviewed = Label(right=True, source=Source.REVIEW, times=100)
    sampled = Label(right=False, source=Source.SAMPLE, times=5, weight=20.0)

    right, labels = record.upheld([reviewed, sampled])

    assert labels == 19  # (100 + 100)² ÷ (100 + 2,000)
    assert right == 9
    found = record.share_of([reviewed, sampled], counts=lambda label: label.right)
    assert found.share == 0.5
    assert found.high - found.low > 0.4


# --- Contacts who were judged at once ----------------------------------------------------------------


def judged_at_once(*contacts: bool, among: int = 0, weight: float = 1.0) -> list[Label]:
    """Labels of contacts who failed alike in one campaign."""
    campaign = object()
    alike = {"source": Source.REVIEW, "together": campaign, "among": among or len(contacts)}
    return [Label(right=right, weight=weight, **alike) for right in contacts]  # type: ignore[arg-type]


def test_two_hundred_contacts_of_one_judgement_are_one_label() -> None:
    assert record.upheld(judged_at_once(*[True] * 200)) == (1, 1)


def test_a_large_judgement_beside_small_ones_counts_as_one_of_them() -> None:
    small = [label for _ in range(9) for label in judged_at_once(False)]

    assert record.upheld([*judged_at_once(*[True] * 200), *small]) == (1, 10)


def test_a_judgement_is_as_right_as_it_was_for_its_contacts() -> None:
    labels = [label for _ in range(20) for label in judged_at_once(True, True, True, False)]

    assert record.upheld(labels) == (15, 20)


def test_of_what_is_known_in_part_only_that_part_weighs() -> None:
    """Twenty judgements that people looked through, and one of which a single lifted suppression is known."""
    labels = [label for _ in range(20) for label in judged_at_once(*[True] * 10)]

    right, number = record.upheld([*labels, *judged_at_once(False, among=100)])

    assert (right, number) == (20, 20)


def test_a_share_of_contacts_is_bounded_as_by_the_judgements_they_were_in() -> None:
    found = record.figures(judged_at_once(*[True] * 200))

    assert (found.right.share, found.labels, found.judgements) == (1.0, 200, 1)
    assert found.right.low == pytest.approx(record.interval(1.0, of=1)[0])


# --- Calibration -------------------------------------------------------------------------------------


def stated(confidence: float, *, right: int, wrong: int, weight: float = 1.0) -> list[Label]:
    alike = {"source": Source.REVIEW, "confidence": confidence, "weight": weight}
    return [Label(right=True, times=right, **alike), Label(right=False, times=wrong, **alike)]  # type: ignore[arg-type]


def naive(points: list[tuple[float, float]]) -> list[float]:
    """The isotonic fit of (right, mass) by its min-max formula."""

    def mean(i: int, j: int) -> float:
        part = points[i : j + 1]
        return sum(right for right, _ in part) / sum(mass for _, mass in part)

    last = len(points)
    return [max(min(mean(i, j) for j in range(k, last)) for i in range(k + 1)) for k in range(last)]


@given(
    st.dictionaries(
        st.integers(0, 100).map(lambda n: n / 100),
        st.tuples(st.integers(0, 9), st.integers(0, 9), st.sampled_from([1.0, 4.0])).filter(
            lambda counts: counts[0] + counts[1] > 0
        ),
        min_size=1,
        max_size=8,
    )
)
def test_the_curve_is_the_isotonic_fit(counts: dict[float, tuple[int, int, float]]) -> None:
    labels = [
        label
        for confidence, (right, wrong, weight) in counts.items()
        for label in stated(confidence, right=right, wrong=wrong, weight=weight)
    ]
    points = [
        (weight * right, weight * (right + wrong)) for _, (right, wrong, weight) in sorted(counts.items())
    ]

    found = calibration.curve(labels, enough=1)

    assert found is not None
    assert [found(confidence) for confidence in sorted(counts)] == pytest.approx(naive(points))


@given(LABELS.filter(lambda labels: any(label.confidence is not None for label in labels)))
def test_a_surer_statement_never_counts_for_less(labels: list[Label]) -> None:
    many = [replace(label, times=label.times * 50) for label in labels]

    found = calibration.curve(many)

    if found is not None:
        worth = [found(n / 100) for n in range(101)]
        assert worth == sorted(worth)
        assert all(0 <= each <= 1 for each in worth)


def test_two_hundred_labels_calibrate_and_one_less_does_not() -> None:
    overconfident = stated(0.95, right=120, wrong=79)

    assert calibration.curve(overconfident) is None
    found = calibration.curve([*overconfident, *stated(0.95, right=0, wrong=1)])
    assert found is not None
    assert found(0.95) == 0.6


def test_labels_without_a_confidence_do_not_calibrate() -> None:
    assert calibration.curve([Label(right=True, source=Source.REVIEW, times=500)]) is None


def test_a_few_lucky_labels_make_nobody_certain() -> None:
    found = calibration.curve([*stated(0.8, right=150, wrong=50), *stated(0.99, right=5, wrong=0)])

    assert found is not None
    assert found(0.99) == pytest.approx(155 / 205)


def test_between_two_steps_the_lower_one_counts_and_below_the_first_never_more_than_was_stated() -> None:
    found = calibration.curve([*stated(0.6, right=50, wrong=50), *stated(0.9, right=90, wrong=10)])

    assert found is not None
    assert (found(0.6), found(0.89), found(0.9), found(1.0)) == (0.5, 0.5, 0.9, 0.9)
    assert (found(0.1), found(0.55)) == (0.1, 0.5)


def test_what_was_seen_of_the_sure_does_not_make_the_unsure_certain() -> None:
    sure = stated(0.95, right=300, wrong=0)

    for labels in (sure, [*sure, *stated(0.05, right=1, wrong=0)]):
        found = calibration.curve(labels)
        assert found is not None
        assert (found(0.05), found(0.95)) == (0.05, 1.0)


@given(
    st.dictionaries(
        st.integers(0, 20).map(lambda n: n / 20),
        st.tuples(st.integers(0, 90), st.integers(0, 30)),
        min_size=1,
    )
)
def test_nothing_counts_for_more_than_was_stated_unless_twenty_labels_were_as_unsure(
    counts: dict[float, tuple[int, int]],
) -> None:
    labels = [
        label for each, (right, wrong) in counts.items() for label in stated(each, right=right, wrong=wrong)
    ]

    found = calibration.curve(labels)

    if found is not None:
        for n in range(101):
            as_unsure = sum(sum(counts[each]) for each in counts if each <= n / 100)
            assert found(n / 100) <= n / 100 or as_unsure >= 20


def test_one_click_on_two_hundred_contacts_calibrates_nobody() -> None:
    approved = [replace(label, confidence=0.95) for label in judged_at_once(*[True] * 200)]

    assert calibration.curve(approved) is None
    hundreds = [
        replace(label, confidence=0.95)
        for _ in range(200)
        for label in judged_at_once(True, True, True, False)
    ]
    found = calibration.curve(hundreds)
    assert found is not None
    assert (found.labels, found(0.95)) == (200, pytest.approx(0.75))
