"""Who decides: every rule of autonomy, and that reasons only ever add up."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from listmanagement.domain import autonomy
from listmanagement.domain.autonomy import (
    LIMITS,
    Autonomy,
    Caps,
    Kind,
    Part,
    Proposal,
    Rollout,
    Stage,
    Undecidable,
    Verdict,
)

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
A_SECOND = timedelta(seconds=1)

GROWN_UP = Rollout(
    observing_since=NOW - timedelta(days=60),
    first_observed_run_at=NOW - timedelta(days=58),
    changing_runs=9,
    manual=False,
    paused=False,
    enabled=True,
)
CLEAR = Proposal(
    key="gone-1-delivered",
    kind=Kind.SUPPRESSION,
    contacts=12,
    share=0.012,
    region="must",
    confidence=1.0,
    source="rules",
    disagreement=False,
    policy_review=False,
    findings=(),
)
SMALL = Caps(suppressed={"list 1": Part(12, 1000)}, moved=Part(0, 3000))


def rule_on(proposal: Proposal = CLEAR, *, rollout: Rollout = GROWN_UP, caps: Caps = SMALL) -> Autonomy:
    return autonomy.decide([proposal], rollout=rollout, caps=caps, now=NOW)[proposal.key]


def observing(**changes: Any) -> Rollout:
    """Observing since three hours, no run observed yet."""
    since = NOW - timedelta(hours=3)
    young = replace(GROWN_UP, observing_since=since, first_observed_run_at=None, changing_runs=0)
    return replace(young, **changes)


def test_with_nothing_against_it_a_proposal_executes() -> None:
    assert rule_on() == Autonomy(Verdict.EXECUTE, (), default_choice=True)


# --- The rollout ---------------------------------------------------------------------------------


def test_before_observing_is_started_nothing_executes() -> None:
    unstarted = observing(observing_since=None)

    assert autonomy.stage(unstarted, now=NOW) is Stage.NOT_STARTED
    ruling = rule_on(rollout=unstarted)
    assert ruling.verdict is Verdict.OBSERVE
    assert ruling.reasons == ("Observing has not been started, so nothing may change yet.",)


@pytest.mark.parametrize(
    ("since", "run_at", "stage"),
    [
        (timedelta(hours=24) - A_SECOND, timedelta(hours=1), Stage.OBSERVING),
        (timedelta(hours=24), timedelta(hours=1), Stage.REVIEWING_EVERYTHING),
        (timedelta(days=9), None, Stage.OBSERVING),
        (timedelta(days=9), timedelta(0), Stage.REVIEWING_EVERYTHING),
    ],
)
def test_observing_lasts_until_24_hours_have_passed_and_one_run_was_observed(
    since: timedelta, run_at: timedelta | None, stage: Stage
) -> None:
    rollout = observing(
        observing_since=NOW - since, first_observed_run_at=None if run_at is None else NOW - run_at
    )

    assert autonomy.stage(rollout, now=NOW) is stage


def test_an_observed_proposal_says_until_when() -> None:
    ruling = rule_on(rollout=observing())

    assert ruling.verdict is Verdict.OBSERVE
    [reason] = ruling.reasons
    assert "until 5 May 2026, 09:00 UTC and until one run was observed to its end" in reason


@pytest.mark.parametrize(
    ("days_since", "changing_runs", "stage"),
    [
        (13.99, 5, Stage.REVIEWING_EVERYTHING),
        (14, 4, Stage.REVIEWING_EVERYTHING),
        (14, 5, Stage.ON_ITS_OWN),
        (300, 0, Stage.REVIEWING_EVERYTHING),
    ],
)
def test_everything_is_reviewed_for_14_days_and_the_first_five_changing_runs(
    days_since: float, changing_runs: int, stage: Stage
) -> None:
    observed = NOW - timedelta(days=days_since)
    rollout = replace(GROWN_UP, first_observed_run_at=observed, changing_runs=changing_runs)
    rollout = replace(rollout, observing_since=observed - timedelta(days=2))

    assert autonomy.stage(rollout, now=NOW) is stage
    expected = Verdict.EXECUTE if stage is Stage.ON_ITS_OWN else Verdict.REVIEW
    assert rule_on(rollout=rollout).verdict is expected


def test_the_14_days_begin_when_observing_ended_not_when_the_first_run_did() -> None:
    since = NOW - timedelta(days=14, hours=23)
    rollout = replace(GROWN_UP, observing_since=since, first_observed_run_at=since + timedelta(hours=1))

    assert autonomy.stage(rollout, now=NOW) is Stage.REVIEWING_EVERYTHING
    assert autonomy.stage(rollout, now=NOW + timedelta(hours=1)) is Stage.ON_ITS_OWN


def test_a_review_in_the_first_weeks_names_the_date_and_the_runs() -> None:
    rollout = observing(
        observing_since=NOW - timedelta(days=3), first_observed_run_at=NOW - timedelta(days=1)
    )

    assert rule_on(rollout=rollout).reasons == (
        "Everything is reviewed until 17 May 2026, 12:00 UTC.",
        "Everything is reviewed in the first 5 runs that change anything; so far 0 did.",
    )


def test_manual_mode_brings_review_back_at_any_time() -> None:
    manual = replace(GROWN_UP, manual=True)

    assert autonomy.stage(manual, now=NOW) is Stage.REVIEWING_EVERYTHING
    assert rule_on(rollout=manual).reasons == ("Manual mode is on, so everything is reviewed.",)


def test_manual_mode_shortens_no_observation() -> None:
    assert autonomy.stage(observing(manual=True), now=NOW) is Stage.OBSERVING


@pytest.mark.parametrize(
    ("switch", "words"),
    [({"enabled": False}, "LIST_MANAGEMENT_ENABLED=false"), ({"paused": True}, "is paused")],
)
def test_off_is_off(switch: dict[str, bool], words: str) -> None:
    ruling = rule_on(rollout=replace(GROWN_UP, **switch))  # type: ignore[arg-type]

    assert ruling.verdict is Verdict.OBSERVE
    assert words in ruling.reasons[0]


def test_observe_beats_review_and_both_say_why() -> None:
    ruling = rule_on(replace(CLEAR, confidence=0.5), rollout=observing())

    assert ruling.verdict is Verdict.OBSERVE
    assert ruling.reasons[1:] == ("Confidence 0.50 is below 0.70: decide afresh.",)


# --- Confidence ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("confidence", "verdict", "default_choice"),
    [
        (0.86, Verdict.EXECUTE, True),
        (0.8501, Verdict.EXECUTE, True),
        (0.85, Verdict.REVIEW, True),
        (0.70, Verdict.REVIEW, True),
        (0.6999, Verdict.REVIEW, False),
        (0.0, Verdict.REVIEW, False),
    ],
)
def test_confidence_above_085_executes_and_below_070_is_not_even_the_default(
    confidence: float, verdict: Verdict, default_choice: bool
) -> None:
    ruling = rule_on(replace(CLEAR, confidence=confidence))

    assert (ruling.verdict, ruling.default_choice) == (verdict, default_choice)


@pytest.mark.parametrize(
    ("confidence", "reason"),
    [
        (0.85, "Confidence 0.85 is not above 0.85."),
        (0.8499, "Confidence 0.84 is not above 0.85."),
        (0.69, "Confidence 0.69 is below 0.70: decide afresh."),
        (0.6999, "Confidence 0.69 is below 0.70: decide afresh."),
    ],
)
def test_a_confidence_is_never_shown_as_more_than_it_is(confidence: float, reason: str) -> None:
    assert rule_on(replace(CLEAR, confidence=confidence)).reasons == (reason,)


# --- Caps ----------------------------------------------------------------------------------------


def test_more_than_a_tenth_of_a_list_suppressed_is_reviewed_and_names_the_figure() -> None:
    ruling = rule_on(caps=replace(SMALL, suppressed={"list 1": Part(110, 1000), "list 2": Part(3, 942)}))

    assert ruling.verdict is Verdict.REVIEW
    assert ruling.reasons == ("Suppressed on list 1: 110 of 1,000 (11.0 %) is above the 10 % cap.",)


def test_exactly_a_tenth_is_within_the_cap() -> None:
    assert rule_on(caps=replace(SMALL, suppressed={"list 1": Part(100, 1000)})).verdict is Verdict.EXECUTE
    assert rule_on(caps=replace(SMALL, suppressed={"list 1": Part(101, 1000)})).verdict is Verdict.REVIEW


def test_anything_taken_from_an_empty_list_is_above_the_cap() -> None:
    ruling = rule_on(caps=replace(SMALL, suppressed={"list 1": Part(1, 0)}))

    assert ruling.reasons == ("Suppressed on list 1: 1 of 0 is above the 10 % cap.",)


def test_a_cap_on_the_plan_holds_back_all_suppressions_even_a_must_but_neither_holds_nor_placements() -> None:
    plan = [
        CLEAR,
        replace(CLEAR, key="tiny", contacts=1, share=0.001),
        replace(CLEAR, key="hold", kind=Kind.HOLD, region="hold"),
        replace(CLEAR, key="place", kind=Kind.PLACEMENT, region=None),
    ]
    caps = replace(SMALL, suppressed={"list 1": Part(101, 1000)})

    rulings = autonomy.decide(plan, rollout=GROWN_UP, caps=caps, now=NOW)

    assert [ruling.verdict for ruling in rulings.values()] == [
        Verdict.REVIEW,
        Verdict.REVIEW,
        Verdict.EXECUTE,
        Verdict.EXECUTE,
    ]


def test_more_than_a_tenth_of_all_moved_is_reviewed_and_placements_are_not_moves() -> None:
    move = replace(CLEAR, key="move", kind=Kind.MOVE, region=None)
    place = replace(move, key="place", kind=Kind.PLACEMENT, share=0.5)
    caps = Caps(suppressed={}, moved=Part(331, 3309))

    rulings = autonomy.decide([move, place], rollout=GROWN_UP, caps=caps, now=NOW)

    assert rulings["move"].reasons == ("Moved between lists: 331 of 3,309 (10.0 %) is above the 10 % cap.",)
    assert rulings["place"].verdict is Verdict.EXECUTE


@pytest.mark.parametrize("kind", [Kind.SUPPRESSION, Kind.MOVE])
def test_a_group_above_the_cap_alone_is_reviewed_whatever_the_caps_count(kind: Kind) -> None:
    ruling = rule_on(replace(CLEAR, kind=kind, share=0.104))

    assert ruling.reasons == ("This group alone is 10.4 %, above the 10 % cap.",)


# --- Disagreement, policy, guards ----------------------------------------------------------------


@pytest.mark.parametrize("region", ["may", None])
def test_where_model_and_rules_disagree_a_person_decides(region: str | None) -> None:
    kind = Kind.MOVE if region is None else Kind.SUPPRESSION
    ruling = rule_on(replace(CLEAR, kind=kind, region=region, disagreement=True))

    assert (ruling.verdict, ruling.reasons) == (
        Verdict.REVIEW,
        ("Model and rules disagree about this group.",),
    )


def test_where_list_health_contradicts_optimization_a_person_decides() -> None:
    ruling = rule_on(replace(CLEAR, region="may", contradiction=True))

    assert ruling.verdict is Verdict.REVIEW
    assert ruling.reasons[0].startswith("List health sees a cause behind these failures")


def test_a_must_is_suppressed_even_if_a_model_disagrees() -> None:
    ruling = rule_on(replace(CLEAR, region="must", disagreement=True, contradiction=True))

    assert ruling.verdict is Verdict.EXECUTE


def test_what_the_policy_wants_reviewed_is_reviewed() -> None:
    ruling = rule_on(replace(CLEAR, policy_review=True))

    assert ruling.reasons == ("The policy wants a person to look at this group.",)


@pytest.mark.parametrize("region", ["never", "hold", "consent", None])
def test_nothing_outside_must_and_may_is_suppressed_alone(region: str | None) -> None:
    ruling = rule_on(replace(CLEAR, region=region))

    assert ruling.reasons == (f"The policy says {region or 'nothing'} here, which is no ground to suppress.",)


def test_what_guards_object_to_is_reviewed_in_their_words() -> None:
    ruling = rule_on(replace(CLEAR, findings=("3 contacts opted out.", "1 contact is protected.")))

    assert (ruling.verdict, ruling.reasons) == (
        Verdict.REVIEW,
        ("3 contacts opted out.", "1 contact is protected."),
    )


# --- The deadline --------------------------------------------------------------------------------


def test_a_decision_expires_at_the_earliest_freeze_it_touches_at_the_latest_after_seven_days() -> None:
    near, far = NOW + timedelta(days=2), NOW + timedelta(days=9)

    assert autonomy.deadline([far, near, None], now=NOW) == near
    assert autonomy.deadline([far, None], now=NOW) == NOW + timedelta(days=7)
    assert autonomy.deadline([], now=NOW) == NOW + timedelta(days=7)


# --- Reasons only add up -------------------------------------------------------------------------

rollouts = st.builds(
    Rollout,
    observing_since=st.none() | st.datetimes(NOW.replace(tzinfo=None, year=2025), timezones=st.just(UTC)),
    first_observed_run_at=st.none()
    | st.datetimes(NOW.replace(tzinfo=None, year=2025), timezones=st.just(UTC)),
    changing_runs=st.integers(0, 8),
    manual=st.booleans(),
    paused=st.booleans(),
    enabled=st.booleans(),
) | st.just(GROWN_UP)
proposals = st.builds(
    Proposal,
    key=st.just("it"),
    kind=st.sampled_from(Kind),
    contacts=st.integers(1, 500),
    share=st.sampled_from([0.0, 0.05, 0.10, 0.11, 1.0]),
    region=st.sampled_from(["must", "may", "never", "hold", "consent", None]),
    confidence=st.sampled_from([0.0, 0.69, 0.70, 0.85, 0.86, 1.0]),
    source=st.sampled_from(["rules", "model", "reused"]),
    disagreement=st.booleans(),
    policy_review=st.booleans(),
    findings=st.lists(st.just("A finding."), max_size=1).map(tuple),
    contradiction=st.booleans(),
)
parts = st.builds(Part, contacts=st.integers(0, 300), of=st.integers(0, 2000))
some_caps = st.builds(
    Caps, suppressed=st.dictionaries(st.sampled_from(["list 1", "list 2"]), parts, min_size=1), moved=parts
)

STRICTNESS = [Verdict.EXECUTE, Verdict.REVIEW, Verdict.OBSERVE]


@given(proposal=proposals, rollout=rollouts, caps=some_caps)
def test_nothing_executes_while_any_reason_stands_and_nothing_waits_without_one(
    proposal: Proposal, rollout: Rollout, caps: Caps
) -> None:
    ruling = rule_on(proposal, rollout=rollout, caps=caps)

    assert (ruling.verdict is Verdict.EXECUTE) == (not ruling.reasons)
    assert all(reason.endswith(".") for reason in ruling.reasons)


@given(proposal=proposals, rollout=rollouts, caps=some_caps)
def test_what_executes_is_enabled_on_its_own_confident_and_within_the_policy(
    proposal: Proposal, rollout: Rollout, caps: Caps
) -> None:
    if rule_on(proposal, rollout=rollout, caps=caps).verdict is Verdict.EXECUTE:
        assert rollout.enabled
        assert not rollout.paused
        assert autonomy.stage(rollout, now=NOW) is Stage.ON_ITS_OWN
        assert proposal.confidence > 0.85
        assert not proposal.findings
        assert proposal.kind != Kind.SUPPRESSION or proposal.region in ("must", "may")


WORSE: list[dict[str, Any]] = [
    {"confidence": 0.80},
    {"confidence": 0.10},
    {"share": 1.0},
    {"disagreement": True},
    {"contradiction": True},
    {"policy_review": True},
    {"findings": ("A finding.", "Another.")},
]
STRICTER: list[dict[str, Any]] = [
    {"enabled": False},
    {"paused": True},
    {"manual": True},
    {"observing_since": None},
    {"changing_runs": 0},
]


@given(
    proposal=proposals,
    rollout=rollouts,
    caps=some_caps,
    worse=st.sampled_from(WORSE),
    stricter=st.sampled_from([{}, *STRICTER]),
)
def test_another_reason_never_relaxes_the_verdict(
    proposal: Proposal, rollout: Rollout, caps: Caps, worse: dict[str, Any], stricter: dict[str, Any]
) -> None:
    if worse.get("confidence", 0.0) > proposal.confidence:
        worse = {}
    before = rule_on(proposal, rollout=rollout, caps=caps)
    after = rule_on(replace(proposal, **worse), rollout=replace(rollout, **stricter), caps=caps)

    assert STRICTNESS.index(after.verdict) >= STRICTNESS.index(before.verdict)
    assert after.default_choice <= before.default_choice


# --- What cannot be decided ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"kind": "delete"}, "'delete' is not one of suppression, hold, placement, move"),
        ({"source": "oracle"}, "'oracle' is not one of rules, model, reused"),
        ({"region": "maybe"}, "'maybe' is not one of must, may"),
        ({"confidence": 97}, "confidence 97 is not a fraction"),
        ({"share": 11.0}, "share 11.0 is not a fraction"),
    ],
)
def test_a_proposal_in_unknown_words_or_percent_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(Undecidable, match=words):
        replace(CLEAR, **changes)


def test_two_proposals_with_one_key_are_refused() -> None:
    with pytest.raises(Undecidable, match="share a key"):
        autonomy.decide([CLEAR, CLEAR], rollout=GROWN_UP, caps=SMALL, now=NOW)


def test_a_plan_that_suppresses_without_saying_how_much_is_refused() -> None:
    with pytest.raises(Undecidable, match="without its share of each list"):
        rule_on(caps=replace(SMALL, suppressed={}))


def test_the_thresholds_are_those_of_the_policy() -> None:
    assert (LIMITS.execute_above, LIMITS.default_choice_from) == (0.85, 0.70)
    assert (LIMITS.suppressed_share, LIMITS.moved_share) == (0.10, 0.10)


# --- The random sample -------------------------------------------------------------------------------


def test_one_in_twenty_is_drawn_whoever_asks_and_each_time_the_same() -> None:
    drawn = [n for n in range(20_000) if autonomy.is_sampled(n, seed="a plan")]

    assert 900 < len(drawn) < 1_100
    assert drawn == [n for n in range(20_000) if autonomy.is_sampled(n, seed="a plan")]
    assert drawn != [n for n in range(20_000) if autonomy.is_sampled(n, seed="another plan")]


@pytest.mark.parametrize(("share", "number"), [(0.0, 0), (1.0, 1000)])
def test_nobody_or_everybody_can_be_drawn(share: float, number: int) -> None:
    limits = replace(LIMITS, sampled_share=share)

    assert sum(autonomy.is_sampled(n, seed="a plan", limits=limits) for n in range(1000)) == number


@pytest.mark.parametrize(
    ("kind", "region", "drawn"),
    [
        (Kind.SUPPRESSION, "may", True),
        (Kind.SUPPRESSION, "must", False),
        (Kind.HOLD, "hold", False),
        (Kind.MOVE, None, False),
    ],
)
def test_only_suppressions_that_the_policy_leaves_open_are_drawn_from(
    kind: Kind, region: str | None, drawn: bool
) -> None:
    assert autonomy.is_sampled_from(replace(CLEAR, kind=kind, region=region)) is drawn
