"""The demo's world: its figures, one story in the database and at the stand-in, and when it is refused."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.db.models import Count
from django.test import override_settings
from pytest_django import DjangoDbBlocker

from integrations.mailjet import Budget, Mailjet
from integrations.sandbox import Serving, serve
from integrations.sandbox.control import Control
from integrations.sandbox.effects import is_address
from listmanagement.domain import autonomy, balance
from listmanagement.domain.bounces import BounceClass, History, Outcome
from listmanagement.domain.cycle import RoundStatus
from listmanagement.domain.suppression import Region
from listmanagement.models import (
    Bounce,
    CampaignRecipient,
    CampaignSchedule,
    Contact,
    ContactList,
    ContactListMembership,
    ContactSuppressionHistory,
    Cycle,
    ListMaintenanceLog,
    Role,
    RolloutState,
    RunStage,
    RunStatus,
    SuppressionKind,
)
from listmanagement.workflows import campaigns, consent_due, evidence, mirror, rotation
from listmanagement.workflows.demo import rows, words
from listmanagement.workflows.demo.people import Part
from listmanagement.workflows.demo.world import Scenario, World, build
from listmanagement.workflows.maintenance import drafts, judgement

pytestmark = pytest.mark.xdist_group("seed demo")  # the demo is seeded once

NOW = datetime(2026, 5, 4, 9, 0, tzinfo=UTC)


class NoLimit(Budget):
    """A budget without end."""

    def acquire(self, *, background: bool) -> None:
        del background


@dataclass(frozen=True)
class Demo:
    control: Control
    mailjet: Mailjet
    standin: Serving


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """A stand-in, and the settings that name it."""
    with (
        serve(tmp_path_factory.mktemp("standin")) as standin,
        override_settings(MAILJET_BASE_URL=standin.url),
        Control(standin.url) as control,
        Mailjet(
            base_url=standin.url,
            api_key=standin.api_key,
            api_secret=standin.api_secret,
            budget=NoLimit(),
            master_list_id=settings.MAILJET_MASTER_LIST_ID,
        ) as mailjet,
    ):
        yield Demo(control, mailjet, standin)


@pytest.fixture(scope="module")
def seeded(demo: Demo, django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[Demo]:
    """The demo between two cycles, taken back after the module's tests; each changes only its own copy."""
    with django_db_blocker.unblock(), transaction.atomic():
        seed()
        yield demo
        transaction.set_rollback(True)


@pytest.fixture
def mid_cycle(db: None, seeded: Demo) -> Iterator[Demo]:
    """The other scenario, in a test's own copy of the database; the stand-in gets its world back."""
    before = seeded.control.dump()
    seed("--scenario", "mid-cycle")
    yield seeded
    seeded.control.load(before)


def seed(*arguments: str) -> str:
    told = StringIO()
    call_command("seed_demo", "--now", NOW.isoformat(), *arguments, stdout=told)
    return told.getvalue()


def dump() -> dict[str, list[dict[str, Any]]]:
    return {
        model.__name__: list(model._default_manager.order_by("pk").values()) for model in rows.remembered()
    }


def campaign_list(number: int) -> ContactList:
    return ContactList.objects.get(role=Role.CAMPAIGN, position=number)


def people(part: Part) -> list[int]:
    return [person.id for person in WORLD.people if person.part is part]


WORLD = build(seed=1, now=NOW, scenario=Scenario.BETWEEN_CYCLES)


# --- Who is where ------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_everybody_is_on_the_master_list_and_mailable_members_make_the_sizes(seeded: Demo) -> None:
    master = ContactListMembership.objects.current().filter(list=ContactList.objects.master())

    assert Contact.objects.count() == master.values("contact").distinct().count() == 3529
    assert list(rotation.sizes().values()) == [1000, 942, 1177]
    assert Contact.objects.backlog().count() == 320


@pytest.mark.django_db
def test_twenty_four_who_may_not_be_mailed_stand_beside_them(seeded: Demo) -> None:
    members = ContactListMembership.objects.current().filter(list__role=Role.CAMPAIGN)
    beside = members.exclude(contact__in=Contact.objects.mailable())
    kinds = Counter(
        (m.list.position, bool(m.contact.opted_out_at), m.contact.excluded, bool(m.contact.complained_at))
        for m in beside.select_related("contact", "list")
    )

    assert beside.count() == 24
    assert kinds == {
        (position, *kind): 4
        for position in (1, 2, 3)
        for kind in ((True, False, False), (False, True, False))
    }
    assert beside.filter(unsubscribed=True, contact__opted_out_at__isnull=False).count() == 12
    assert members.filter(unsubscribed=True).count() == 12


@pytest.mark.django_db
def test_fifty_two_were_found_suppressed_and_have_history_alone(seeded: Demo) -> None:
    found = ContactSuppressionHistory.objects.all()
    on_suppression = ContactListMembership.objects.current().filter(list=ContactList.objects.suppression())
    on_campaigns = ContactListMembership.objects.filter(list__role=Role.CAMPAIGN)

    assert found.standing().filter(kind=SuppressionKind.IMPORTED).count() == found.count() == 52
    assert set(found.values_list("contact", flat=True)) == set(
        on_suppression.values_list("contact", flat=True)
    )
    assert not on_campaigns.filter(contact__in=found.values("contact")).exists()
    assert found.filter(contact__complained_at__isnull=False).count() == 12
    assert consent_due.waiting() is None


@pytest.mark.django_db
def test_fourteen_more_may_not_be_mailed_and_are_on_no_campaign_list(seeded: Demo) -> None:
    elsewhere = ContactListMembership.objects.exclude(list__role=Role.MASTER).values("contact")

    assert Contact.objects.exclude(pk__in=elsewhere).exclude(pk__in=Contact.objects.mailable()).count() == 14


@pytest.mark.django_db
def test_ranks_stand_in_the_order_of_subscription(seeded: Demo) -> None:
    for contact_list in ContactList.objects.all():
        members = list(contact_list.memberships.order_by("rank").values_list("since", "rank"))

        assert [since for since, _ in members] == sorted(since for since, _ in members)
        assert [rank for _, rank in members] == list(range(1, len(members) + 1))


# --- What was sent -----------------------------------------------------------------------------------


def days_ago(campaign: CampaignSchedule) -> float | None:
    return (NOW - campaign.started_at) / timedelta(days=1) if campaign.started_at else None


@pytest.mark.django_db
def test_six_campaigns_were_sent_in_two_cycles_and_three_are_to_come(seeded: Demo) -> None:
    sent = CampaignSchedule.objects.filter(status=RoundStatus.SENT).order_by("pk")
    planned = CampaignSchedule.objects.filter(status=RoundStatus.SCHEDULED).order_by("pk")
    facts = [(c.pk, c.cycle.number, c.round, c.list.position, days_ago(c)) for c in sent if c.cycle]

    assert facts[:5] == [
        (118, 1, 1, 1, 26),
        (119, 1, 2, 2, 24),
        (120, 1, 3, 3, 22),
        (121, 2, 1, 2, 7),
        (122, 2, 2, 3, 3.5),
    ]
    assert facts[5][:4] == (123, 2, 3, 1)
    assert sent[5].ended_at == NOW - timedelta(hours=30)
    assert [(c.pk, c.cycle.number, c.list.position, c.scheduled_at) for c in planned if c.cycle] == [
        (124, 3, 1, NOW + timedelta(days=10)),
        (125, 3, 2, NOW + timedelta(days=12)),
        (126, 3, 3, NOW + timedelta(days=14)),
    ]
    assert [(c.number, c.ended_at is not None) for c in Cycle.objects.order_by("number")] == [
        (1, True),
        (2, True),
        (3, False),
    ]
    assert rotation.moves_allowed(at=NOW)


@pytest.mark.django_db
def test_what_is_older_than_five_days_is_settled_and_123_has_not_been_read(seeded: Demo) -> None:
    settled = CampaignSchedule.objects.filter(settled_at__isnull=False)
    read = CampaignSchedule.objects.filter(recipients_fetched_at__isnull=False)

    assert sorted(settled.values_list("pk", flat=True)) == [118, 119, 120, 121]
    assert sorted(read.values_list("pk", flat=True)) == [118, 119, 120, 121, 122]
    assert not CampaignRecipient.objects.filter(campaign=123).exists()


@pytest.mark.django_db
def test_each_mailable_member_got_one_message_a_cycle_and_all_but_six_arrived(seeded: Demo) -> None:
    received = CampaignRecipient.objects.all()
    got = Counter(received.values_list("campaign__list__position", "campaign__cycle__number"))
    twice = Counter(received.values_list("contact", "campaign__cycle__number"))
    failed = received.exclude(outcome=Outcome.DELIVERED)

    assert got == {(1, 1): 1000, (2, 1): 942, (3, 1): 1177, (2, 2): 942, (3, 2): 1177}
    assert max(twice.values()) == 1
    assert not received.exclude(contact__in=Contact.objects.mailable()).exists()
    assert sorted(failed.values_list("contact", flat=True)) == sorted(people(Part.NO_HOST))
    assert list(failed.values_list("campaign", "bounce_class").distinct()) == [
        (118, BounceClass.DOMAIN_GONE.value)
    ]
    assert list(Bounce.objects.values_list("state", "permanent", "attempted").distinct()) == [
        (5, False, True)
    ]


@pytest.mark.django_db
def test_a_click_came_a_minute_or_more_after_the_delivery(seeded: Demo) -> None:
    clicked = CampaignRecipient.objects.filter(first_life_at__isnull=False)
    waited = [row.first_life_at - row.outcome_at for row in clicked if row.first_life_at]

    assert min(waited) >= timedelta(seconds=60)
    assert set(people(Part.ALIVE)) <= set(clicked.filter(campaign=118).values_list("contact", flat=True))
    assert max(row.first_life_at for row in clicked if row.first_life_at) < NOW


@pytest.mark.django_db
def test_one_maintenance_was_observed_to_its_end_so_the_next_may_act(seeded: Demo) -> None:
    run = ListMaintenanceLog.objects.get()
    rollout = drafts.rollout(enabled=True)

    assert (run.campaign_id, run.idempotency_key) == (122, "post_campaign:122:observe")
    assert (run.stage, run.status) == (RunStage.OBSERVE, RunStatus.SUCCEEDED)
    assert run.state_before == run.state_after == rotation.state()
    assert {run.counts[word] for word in ("suppressed", "held", "placed", "moved")} == {0}
    assert RolloutState.objects.get().observing_since == NOW - timedelta(days=3)
    assert run.finished_at is not None
    assert NOW - timedelta(days=3) < run.created_at < run.finished_at < NOW
    assert autonomy.stage(rollout, now=NOW) not in (autonomy.Stage.NOT_STARTED, autonomy.Stage.OBSERVING)


# --- What campaign 123 will tell ---------------------------------------------------------------------


def messages_of_123(demo: Demo) -> list[dict[str, Any]]:
    return list(demo.control.dump()["messages"])


@pytest.mark.django_db
def test_the_stand_in_has_the_thousand_messages_of_the_real_first_campaign(seeded: Demo) -> None:
    messages = messages_of_123(seeded)
    counted = Counter((m["status"], m["state_id"], m["state_permanent"]) for m in messages)
    delivered = {status: counted.pop((status, None, False)) for status in ("sent", "opened", "clicked")}

    assert len(messages) == len({m["contact_id"] for m in messages}) == 1000
    assert sum(delivered.values()) == 731
    assert delivered["sent"] > delivered["opened"] > delivered["clicked"] > 0
    assert counted == {
        ("hardbounced", 1, True): 120 + 104 + 6,
        ("hardbounced", 5, True): 6 + 4,
        ("softbounced", 3, False): 2,
        ("blocked", 9, False): 15,
        ("blocked", 14, False): 12,
    }
    assert all(m["comment"] for m in messages if m["state_id"])


def test_only_the_company_and_the_closed_toy_maker_have_five_bounces() -> None:
    bounced = Counter(
        m.person.domain for m in WORLD.messages if m.campaign == 123 and m.status.endswith("bounced")
    )
    members = Counter(person.domain for person in WORLD.people)

    assert {domain: n for domain, n in bounced.items() if n > 4} == {
        words.OUTAGE_DOMAIN: 120,
        words.NO_HOST_DOMAIN: 6,
    }
    assert bounced[words.HOST_LOST_DOMAIN] == 4
    assert (members[words.OUTAGE_DOMAIN], members[words.NO_HOST_DOMAIN]) == (120, 6)


def test_the_six_alive_are_at_six_domains() -> None:
    assert len({person.domain for person in WORLD.people if person.part is Part.ALIVE}) == 6


@pytest.mark.django_db
@pytest.mark.usefixtures("seeded")
def test_judged_they_are_104_must_6_may_126_held_and_the_rest_left_alone(demo: Demo) -> None:
    campaign = CampaignSchedule.objects.get(pk=123)
    evidence.fetch(campaign, mailjet=demo.mailjet, now=NOW)

    found = judgement.find(campaign, now=NOW, salt="salt")

    by_region = {
        region: sorted(r.contact_id for r in found.rulings if r.region is region) for region in Region
    }
    assert by_region == {
        Region.MUST: sorted(people(Part.GONE)),
        Region.MAY: sorted(people(Part.NO_HOST)),
        Region.HOLD: sorted(people(Part.OUTAGE) + people(Part.ALIVE)),
        Region.NEVER: sorted(
            people(Part.HOST_LOST) + people(Part.FULL) + people(Part.POLICY) + people(Part.PREBLOCKED)
        ),
        Region.CONSENT: [],
    }
    assert [len(by_region[region]) for region in (Region.MUST, Region.MAY, Region.HOLD)] == [104, 6, 126]
    assert [outage.domain for outage in found.outages] == [words.OUTAGE_DOMAIN]
    histories = {r.contact_id: r.history for r in found.rulings}
    assert {histories[key] for key in people(Part.GONE)} == {History.DELIVERED_BEFORE}
    assert {histories[key] for key in people(Part.NO_HOST)} == {History.NEVER_DELIVERED}


def after_the_suppressions() -> list[balance.ListFacts]:
    """What the solver is given once 110 are suppressed and 126 held."""
    suppressed = set(people(Part.GONE) + people(Part.NO_HOST))
    held = set(people(Part.OUTAGE) + people(Part.ALIVE))
    return [
        balance.ListFacts(
            list_id=each.list_id,
            size=each.size - len(suppressed & set(each.movable)),
            movable=tuple(key for key in each.movable if key not in suppressed | held),
        )
        for each in rotation.facts(at=NOW, between_mails=timedelta(days=7))
    ]


@pytest.mark.django_db
@pytest.mark.usefixtures("seeded")
def test_after_the_suppressions_the_solver_places_300_and_moves_52() -> None:
    lists = after_the_suppressions()
    backlog = list(Contact.objects.backlog().values_list("pk", flat=True))

    plan = balance.plan(lists, backlog, first_send_rate=0.0, moves_allowed=rotation.moves_allowed(at=NOW))

    assert (len(plan.placements), plan.waiting, len(plan.moves)) == (300, 20, 52)
    assert list(plan.sizes_after.values()) == [1092, 1092, 1125]
    assert round(plan.deviation_after, 2) == 1.99


# --- One story in two places -------------------------------------------------------------------------


@pytest.mark.django_db
def test_reading_every_list_from_the_stand_in_finds_no_drift(seeded: Demo) -> None:
    before = dump()

    for contact_list in ContactList.objects.all():
        mirror.refresh(contact_list, mailjet=seeded.mailjet, now=NOW)

    after = dump()
    for table in (before, after):
        for row in table["ContactList"]:
            del row["read_at"], row["contacts_read_at"]
    assert after == before


@pytest.mark.django_db
def test_every_campaign_and_draft_stands_at_the_stand_in(seeded: Demo) -> None:
    world = seeded.control.dump()
    lists = dict(ContactList.objects.values_list("pk", "mailjet_id"))
    campaigns = {c["id"]: (c["draft_id"], lists_of(c)) for c in world["campaigns"]}
    drafts_there = {d["id"]: (d["status"], lists_of(d)) for d in world["drafts"]}

    for campaign in CampaignSchedule.objects.all():
        there = lists[campaign.list_id]
        is_sent = campaign.status == RoundStatus.SENT
        assert drafts_there[campaign.mailjet_draft_id or 0] == (2 if is_sent else 1, there)
        if campaign.mailjet_campaign_id is not None:
            assert campaigns[campaign.mailjet_campaign_id] == (campaign.mailjet_draft_id, there)
    assert (len(campaigns), len(drafts_there)) == (6, 9)


def lists_of(row: dict[str, Any]) -> int:
    return int(row["list_id"])


def test_ids_are_as_large_as_mailjets() -> None:
    assert min(person.id for person in WORLD.people) > 2**32
    assert min(send.mailjet_id for send in WORLD.sends if send.mailjet_id) > 2**32
    assert min(message.id for message in WORLD.messages) > 2**53


# --- Invented people ---------------------------------------------------------------------------------


def test_nobody_real_can_be_reached() -> None:
    reserved = (".test", ".example", ".example.com", ".example.org", ".example.net")

    assert all(person.domain.endswith(reserved) for person in WORLD.people)
    assert len({person.email.lower() for person in WORLD.people}) == 3529


def test_awkward_addresses_are_among_those_suppressed_and_placed_and_mailjet_takes_them() -> None:
    assert all(is_address(person.email) for person in WORLD.people)
    for part in (Part.GONE, Part.BACKLOG, Part.MEMBER):
        emails = [person.email for person in WORLD.people if person.part is part]
        local, domains = (
            set(map(str, halves)) for halves in zip(*(e.rsplit("@", 1) for e in emails), strict=True)
        )
        assert any(text != text.lower() for text in local)
        assert any("+" in text for text in local)
        assert any("'" in text for text in local)
        assert any(text.startswith('"') and " " in text for text in local)
        assert any(not text.isascii() for text in local)
        assert any(not text.isascii() for text in domains)


def test_companies_are_spread_as_zipf_had_it() -> None:
    members = Counter(person.domain for person in WORLD.people)
    largest = [n for _, n in members.most_common()]

    assert len(members) > 250
    assert {domain for domain, _ in members.most_common(2)} == set(words.PROVIDERS)
    assert members[words.OUTAGE_DOMAIN] == largest[2]
    assert largest[3] > 5 * largest[100] > 0


# --- The same again ----------------------------------------------------------------------------------


@pytest.mark.django_db
def test_the_same_seed_and_time_give_identical_rows_and_an_identical_document(seeded: Demo) -> None:
    before, there = dump(), seeded.control.dump()

    seed("--seed", "1")

    assert dump() == before
    assert seeded.control.dump() == there


def test_another_seed_gives_other_people_and_the_same_figures() -> None:
    other = build(seed=2, now=NOW, scenario=Scenario.BETWEEN_CYCLES)

    assert [other.size(number) for number in (1, 2, 3)] == [1000, 942, 1177]
    assert Counter(p.part for p in other.people) == Counter(p.part for p in WORLD.people)
    assert {p.email for p in other.people} != {p.email for p in WORLD.people}


@pytest.mark.django_db
def test_the_next_rows_get_the_next_ids(seeded: Demo) -> None:
    cycle = Cycle.objects.create(number=4)
    campaign = CampaignSchedule.objects.create(
        cycle=cycle, round=1, list=campaign_list(1), status=RoundStatus.CANCELLED
    )

    assert (cycle.pk, campaign.pk) == (4, 127)


# --- Mid-cycle ---------------------------------------------------------------------------------------


def numbers_of(world: World) -> dict[int, tuple[int, int, str]]:
    return {send.id: (send.cycle, send.list, send.status.value) for send in world.sends}


@pytest.mark.django_db
def test_mailjet_counts_every_message_of_a_sent_campaign_also_those_it_keeps_no_more(seeded: Demo) -> None:
    campaigns.sync(mailjet=seeded.mailjet, now=NOW)

    sent = CampaignSchedule.objects.filter(status=RoundStatus.SENT).exclude(recipients_fetched_at=None)
    counted = sent.annotate(told=Count("recipients")).values_list("processed", "told")
    assert len(counted) > 3
    assert all(processed == told for processed, told in counted)


@pytest.mark.django_db
def test_in_mid_cycle_list_3_still_waits_for_its_round_and_nobody_may_move(mid_cycle: Demo) -> None:
    waiting = CampaignSchedule.objects.get(pk=122)
    [*_, current] = rotation.cycles_begun(at=NOW)
    run = ListMaintenanceLog.objects.get()
    assert (waiting.status, waiting.list.position) == (RoundStatus.SCHEDULED, 3)
    assert waiting.scheduled_at == NOW + timedelta(days=3)
    assert (current.number, current.ended_at) == (2, None)
    assert not rotation.moves_allowed(at=NOW)
    assert list(rotation.sizes().values()) == [1000, 942, 1177]
    assert CampaignRecipient.objects.count() == 1000 + 942 + 1177 + 942
    assert len(messages_of_123(mid_cycle)) == 1000
    assert (run.campaign_id, run.stage) == (121, RunStage.OBSERVE)
    assert NOW - timedelta(days=3) < run.created_at
    settled = CampaignSchedule.objects.filter(settled_at__isnull=False)
    assert sorted(settled.values_list("pk", flat=True)) == [118, 119, 120]


def test_in_mid_cycle_only_the_rounds_of_the_second_cycle_differ() -> None:
    usual, other = numbers_of(WORLD), numbers_of(build(seed=1, now=NOW, scenario=Scenario.MID_CYCLE))

    assert {key for key in usual if usual[key] != other[key]} == {122}
    assert other[122] == (2, 3, "scheduled")


@pytest.mark.django_db
@pytest.mark.usefixtures("mid_cycle")
def test_in_mid_cycle_the_solver_places_300_and_leaves_list_3_as_it_is() -> None:
    lists = after_the_suppressions()
    backlog = list(Contact.objects.backlog().values_list("pk", flat=True))

    plan = balance.plan(lists, backlog, first_send_rate=0.0, moves_allowed=rotation.moves_allowed(at=NOW))

    assert (len(plan.placements), len(plan.moves)) == (300, 0)
    assert list(plan.sizes_after.values()) == [1066, 1066, 1177]
    assert round(plan.deviation_after, 2) == 6.71


# --- When it is refused ------------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_demo_is_replaced_but_nothing_else_is_without_reset(demo: Demo) -> None:
    with connection.cursor() as cursor:
        cursor.execute("set constraints all immediate")
    rows.empty()
    ContactList.objects.create(mailjet_id=7, name="somebody's", role=Role.CAMPAIGN, position=1)

    with pytest.raises(CommandError, match="not a demo"):
        seed()
    assert ContactList.objects.get().name == "somebody's"

    seed("--reset")
    assert Contact.objects.count() == 3529


@pytest.mark.django_db
@override_settings(MAILJET_IS_STAND_IN=False)
def test_it_is_refused_beside_a_real_mailjet_account(seeded: Demo) -> None:
    before = seeded.control.requests()

    with pytest.raises(CommandError, match="does not name a stand-in"):
        seed("--reset")

    assert seeded.control.requests() == before


@pytest.mark.django_db
@override_settings(MAILJET_BASE_URL="http://127.0.0.1:1")
def test_without_an_answer_from_the_stand_in_the_database_stays_as_it_is(seeded: Demo) -> None:
    before = dump()

    with pytest.raises(CommandError, match=r"python -m integrations\.sandbox"):
        seed("--seed", "2")

    assert dump() == before


@pytest.mark.django_db
@override_settings(MAILJET_CAMPAIGN_LIST_IDS=(11, 12))
def test_it_is_refused_where_the_settings_do_not_name_three_campaign_lists(demo: Demo) -> None:
    with pytest.raises(CommandError, match="2 campaign lists, the demo has 3"):
        seed("--reset")


@pytest.mark.parametrize("text", ["tomorrow", "2026-05-04T09:00:00", "2026-13-01T00:00:00Z"])
def test_a_time_needs_its_zone(text: str) -> None:
    with pytest.raises(CommandError, match="not a time with its zone"):
        call_command("seed_demo", "--now", text)


@pytest.mark.django_db
def test_it_ends_with_its_figures_and_what_to_do_next(seeded: Demo) -> None:
    told = seed()

    assert "3,529 contacts" in told
    assert all(f"{n:,} mailable" in told for n in (1000, 942, 1177))
    assert told.rstrip().endswith("manage.py run_maintenance 123")
