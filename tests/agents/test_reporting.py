"""A report a manager reads in a minute: right, honest, and without a number of its author's own."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from agents import reporting
from agents.asking import Source, UnusableAnswer
from agents.reporting import Held, HeldBecause, Report, ReportFacts, SenderProblem, Stage
from tests.agents.scripted import ScriptedAsk

BEFORE = {"list-1": 1000, "list-2": 942, "list-3": 1177}
AFTER = {"list-1": 1092, "list-2": 1092, "list-3": 1125}


def facts(**changed):
    given = {
        "stage": Stage.FINISHED,
        "rules_judged": True,
        "sent": 1000,
        "delivered": 731,
        "bounced": 242,
        "hard": 240,
        "not_attempted": 27,
        "open": 0,
        "proposed": 110,
        "approved": 110,
        "rejected": 0,
        "expired": 0,
        "waiting": 0,
        "dropped": 0,
        "suppressed": 110,
        "held": (held("domain_outage", 120), held("lately_alive", 6, items=6)),
        "kept": 6,
        "placed": 300,
        "moved": 52,
        "moves_deferred": 0,
        "backlog": 20,
        "failed": 0,
        "sender_problems": {SenderProblem.POLICY: 15},
        "sizes_before": BEFORE,
        "sizes_after": AFTER,
        "deviation_before": 13.21,
        "deviation_after": 1.99,
        "active_seconds": 12.34,
        "requests": 41,
        "went_without": (),
    }
    return ReportFacts(**(given | changed))


def held(because, contacts, *, items=1):
    return Held(because=HeldBecause(because), items=items, contacts=contacts)


def written(**changed):
    given = facts(**changed)
    return reporting.render(reporting.by_rules(given), reporting.numbers(given))


def text(**changed):
    report = written(**changed)
    return "\n".join((report.headline, *report.summary, *report.actions))


def test_the_first_campaigns_report_reads_as_a_manager_would_want_it():
    report = written()

    assert report == Report(
        headline="110 suppressed, 126 held back, 300 placed and 52 moved",
        summary=(
            (
                "Of 1,000 messages, 731 arrived and 242 bounced (24.87 %). Mailjet did not try 27 of them. "
                "15 were refused because of our own sending, not because of the addresses."
            ),
            (
                "110 contacts were proposed for suppression. All were approved. "
                "110 are now on the suppression list."
            ),
            (
                "126 contacts were held back and stay on their lists. "
                "120 because of an outage of one domain, not because of dead addresses. "
                "6 because they clicked in a mail not long ago: one more failure is awaited. "
                "6 more failed in ways that say nothing final about the addresses."
            ),
            (
                "The lists went from 1,000 / 942 / 1,177 to 1,092 / 1,092 / 1,125 mailable contacts. "
                "They are at most 1.99 % from their mean (before: 13.21 %). "
                "300 contacts from the backlog joined. 20 contacts wait in the backlog. "
                "52 contacts changed list to even them out."
            ),
            (
                "The run worked for 12.3 seconds and made 41 requests to Mailjet. "
                "Rules judged; no model took part."
            ),
        ),
        actions=(
            (
                "15 messages were refused by policy: check SPF, DKIM and DMARC of the sending domain, "
                "and its reputation."
            ),
            (
                "Suppress nobody of the held domains by hand: the next send shows whether they are back. "
                "Ask the company concerned if you know it."
            ),
        ),
    )


def test_it_is_read_in_a_minute():
    # Adults read 238 words of English non-fiction a minute (Brysbaert 2019).
    assert len(text().split()) <= 238


def test_what_waits_is_in_the_headline_and_first_among_the_actions():
    report = written(stage=Stage.WAITING, approved=0, suppressed=0, placed=0, moved=0, waiting=110)

    assert report.headline == "126 held back; 110 wait for a decision"
    assert report.actions[0] == "Decide about the 110 contacts in the review queue."


def test_an_observed_run_claims_no_change():
    report = text(
        stage=Stage.OBSERVED,
        approved=0,
        suppressed=0,
        placed=0,
        moved=0,
        sizes_after=BEFORE,
        deviation_after=13.21,
    )

    assert report.startswith("Observed only: 110 contacts would be suppressed, nothing was changed")
    assert "The lists stand as before: 1,000 / 942 / 1,177" in report
    assert "joined" not in report
    assert "now on the suppression list" not in report


def test_one_of_everything_is_singular():
    ones = dict.fromkeys(("sent", "proposed", "approved", "suppressed", "waiting", "placed", "moved"), 1)

    report = text(
        **ones,
        **dict.fromkeys(("kept", "moves_deferred", "backlog", "failed", "requests", "dropped"), 1),
        expired=1,
        delivered=0,
        bounced=0,
        hard=0,
        not_attempted=1,
        active_seconds=1.0,
        held=(held("protected", 1),),
        sender_problems=dict.fromkeys(SenderProblem, 1),
    )

    for right in (
        "Of 1 message,",
        "1 contact was proposed for suppression. It was approved. 1 is now on",
        "1 contact waits for a person's decision",
        "1 change was not made",
        "1 contact was held back and stays on its list. 1 because it is on our own list",
        "1 contact from the backlog joined. 1 contact waits in the backlog. 1 contact changed list",
        "1 move waits",
        "1 second and made 1 request to Mailjet",
        "1 message was refused by policy",
        "1 was not decided in time",
        "about the 1 contact in",
        "blocked for 1 recipient:",
        "refused for its content",
        "stopped 1 message as spam",
        "1 message could not",
    ):
        assert right in report
    for wrong in ("1 contacts", "1 messages", "1 are", "1 were", "1 wait ", "1 seconds", "1 requests"):
        assert wrong not in report


def test_nothing_at_all_is_a_report_too():
    report = written(
        proposed=0,
        approved=0,
        suppressed=0,
        held=(),
        kept=0,
        placed=0,
        moved=0,
        sender_problems={},
        backlog=0,
        sizes_after=BEFORE,
        sent=0,
        delivered=0,
        bounced=0,
        hard=0,
        not_attempted=0,
    )

    assert report.headline == "No contact needed a change"
    assert report.actions == ()
    assert "Of 0 messages, 0 arrived and 0 bounced (0 %)." in report.summary[0]


def test_a_partial_run_says_so_and_asks_to_be_continued():
    report = written(stage=Stage.PARTIAL, failed=3, went_without=("slack", "redis"))

    assert report.headline.endswith("; not everything is finished")
    assert "3 changes were not made by Mailjet" in report.summary[1]
    assert "It went on without slack and redis." in report.summary[-1]
    assert report.actions[0] == "Look at what the run left undone, and continue it."


def test_only_a_report_in_which_rules_judged_says_so():
    assert "Rules judged" in text(rules_judged=True)
    assert "Rules judged" not in text(rules_judged=False)


@pytest.mark.parametrize(
    ("problem", "said"),
    [
        ("sender_blocked", "Our sender is blocked for 7 recipients"),
        ("policy", "check SPF, DKIM and DMARC"),
        ("content_blocked", "refused for their content"),
        ("spam_preblocked", "stopped 7 messages as spam"),
        ("template", "7 messages could not be made from the template"),
    ],
)
def test_each_problem_of_our_own_sending_has_its_remedy(problem, said):
    assert any(said in action for action in written(sender_problems={problem: 7}).actions)


@st.composite
def any_facts(draw):
    counts = st.integers(0, 5000)
    names = (
        "sent",
        "delivered",
        "bounced",
        "not_attempted",
        "open",
        "proposed",
        "approved",
        "rejected",
        "expired",
    )
    more = (
        "waiting",
        "dropped",
        "suppressed",
        "kept",
        "placed",
        "moved",
        "moves_deferred",
        "backlog",
        "failed",
    )
    figures = {name: draw(counts) for name in names + more}
    reasons = draw(st.sets(st.sampled_from(list(HeldBecause))))
    return facts(
        **figures,
        hard=draw(st.integers(0, figures["bounced"])),
        held=tuple(held(because, draw(counts) + 1) for because in sorted(reasons)),
        stage=draw(st.sampled_from(list(Stage))),
        rules_judged=draw(st.booleans()),
        sender_problems=draw(st.dictionaries(st.sampled_from(list(SenderProblem)), counts)),
        went_without=tuple(draw(st.sets(st.sampled_from(["slack", "redis", "s3"])))),
        deviation_after=draw(st.floats(0, 100)),
    )


@given(any_facts())
def test_the_rules_report_passes_every_check_a_models_must(given):
    report = reporting.by_rules(given)
    said = ScriptedAsk(reporting=report.model_dump(mode="json"))

    judged = reporting.judge(given, ask=said)

    assert judged.refused == ()
    assert judged.answer == report
    filled = reporting.render(report, reporting.numbers(given))
    assert not any(
        mark in passage for passage in (filled.headline, *filled.summary, *filled.actions) for mark in "{}|"
    )


def answering(**says):
    given = {
        "headline": "{suppressed} suppressed, {held} held",
        "summary": ["{waiting} {waiting|waits|wait}."],
        "actions": ["Decide."],
    }
    return ScriptedAsk(reporting=given | says)


def test_a_models_report_is_filled_with_the_runs_numbers_and_fully_trusted():
    judged = reporting.judge(facts(waiting=1), ask=answering())

    assert (judged.source, judged.confidence) == (Source.MODEL, 1.0)
    assert (
        reporting.render(judged.answer, reporting.numbers(facts(waiting=1))).headline
        == "110 suppressed, 126 held"
    )


@pytest.mark.parametrize(
    ("changed", "says", "why"),
    [
        ({}, {"headline": "110 suppressed, {held} held"}, "headline: a number of its own"),
        ({}, {"summary": ["fine", "about ½ {held}"]}, "summary 2: a number of its own"),
        ({}, {"actions": ["{held|1|2}"]}, "action 1: a number of its own"),
        ({}, {"headline": "{victims} {held}"}, "headline: unknown placeholders"),
        ({}, {"summary": []}, "summary: too_short"),
        ({}, {"headline": "{suppressed} suppressed"}, r"leaves out \['held'\]"),
        ({"waiting": 3}, {"summary": ["All is well."]}, r"leaves out \['waiting'\]"),
        ({"waiting": 3}, {"actions": []}, "asks nobody for the decision that waits"),
        ({"failed": 3}, {}, r"leaves out \['failed'\]"),
        ({"expired": 3, "moves_deferred": 1}, {}, r"leaves out \['expired', 'moves_deferred'\]"),
        ({}, {"headline": "<!here> {held}"}, "headline: markup"),
        ({}, {"confidence": 1}, "confidence: extra_forbidden"),
    ],
)
def test_a_bad_report_is_refused_by_name_and_rules_write_instead(changed, says, why):
    judged = reporting.judge(facts(**changed), ask=answering(**says))

    assert judged.source is Source.RULES
    assert judged.answer == reporting.by_rules(facts(**changed))
    with pytest.raises(UnusableAnswer, match=why):
        raise UnusableAnswer(*judged.refused)


def test_naming_each_reason_to_hold_counts_as_naming_the_held():
    said = answering(headline="{outage_domain_contacts} and {lately_alive} spared")

    assert reporting.judge(facts(), ask=said).refused == ()


def test_rendering_checks_again():
    with pytest.raises(UnusableAnswer, match="headline: a number of its own"):
        reporting.render(Report(headline="9 gone", summary=("x",), actions=()), {})
    with pytest.raises(UnusableAnswer, match="headline: unknown placeholders"):
        reporting.render(Report(headline="{gone}", summary=("x",), actions=()), {"here": 1})


def test_the_model_is_told_the_numbers_under_the_names_it_may_use():
    ask = answering()

    reporting.judge(facts(), ask=ask)

    assert ask.asked[0].facts["numbers"] == reporting.numbers(facts())


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"hard": 243}, "243 hard of 242 bounces"),
        ({"held": (held("protected", 1), held("protected", 2))}, "given twice"),
    ],
)
def test_figures_that_cannot_be_are_refused(changed, why):
    with pytest.raises(ValidationError, match=why):
        facts(**changed)
