"""Whatever happens, in whatever order: P2, P3 and P4 hold at Mailjet.

A machine of rules plays people, Mailjet and the misfortunes of our own process against real runs at the real
stand-in; `ledger` judges by what the stand-in shows. `make properties` plays for longer
(EVENKEEL_PROPERTIES=200 examples, say); the suite plays the same short games every time.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack
from datetime import timedelta
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from integrations.mailjet import MailjetError
from integrations.sandbox.outcomes import Mailbox
from listmanagement.domain.cycle import RoundStatus
from listmanagement.models import (
    FINISHED,
    CampaignSchedule,
    Contact,
    ContactList,
    ContactListMembership,
    Cycle,
    Decision,
    DecisionItem,
    ItemStatus,
    ListMaintenanceLog,
    OperationBatch,
    RolloutState,
    RunStatus,
    Trigger,
)
from listmanagement.workflows import consent_due, events, mirror, post_campaign, review, runs, timetable
from listmanagement.workflows.demo import rows
from listmanagement.workflows.refusals import NotAllowed
from tests import factories
from tests.factories import CAMPAIGNS, MASTER, NOON, SUPPRESSION
from tests.workflows import scene as scenes
from tests.workflows.scene import StandIn
from tests.workflows.sends import has_changed_lists, has_observed
from tests.workflows.town import READERS, Town, a_town, address

pytestmark = pytest.mark.django_db(transaction=True)

LONG = int(os.environ.get("EVENKEEL_PROPERTIES", "0"))
"""How many games to play. 0: the few of the suite, always the same."""

LISTS = [MASTER, *CAMPAIGNS, SUPPRESSION]
BULK = {"path": "managemanycontacts$", "method": "POST"}
JOBS = {"path": r"managemanycontacts/\d+$", "method": "GET"}
OURS = "listrecipient|managemany|batchjob|message"
"""Paths that only we ask for: faults do not strike people."""
FAULTS: Sequence[Mapping[str, Any]] = [
    {"path": "listrecipient", "status": 500},
    {"path": "REST/contact", "method": "GET", "status": 502, "times": 4},
    {"path": OURS, "status": 429},
    {"path": OURS, "drop": True},
    {"path": "batchjob", "status": 503, "times": 4},
    {"path": "message", "drop": True, "times": 4},
    {**JOBS, "status": 404},
    {**JOBS, "status": 500, "times": 4},
    {**BULK, "status": 503},
    {**BULK, "status": 400},
    {**BULK, "drop": True},
    {**BULK, "timeout_after_acceptance": 0},
    {**BULK, "job": "error"},
    {**BULK, "job": "lie"},
    {**BULK, "job": "partial"},
    {**BULK, "job": "abort"},
    {**BULK, "job": "hang"},
]

readers = st.sampled_from(READERS)
campaign_lists = st.sampled_from(CAMPAIGNS)
deeds = st.one_of(
    st.tuples(st.sampled_from(["unsub", "remove", "addnoforce", "addforce"]), readers, campaign_lists),
    st.tuples(st.sampled_from(["remove", "addnoforce"]), readers, st.just(SUPPRESSION)),
    st.tuples(st.sampled_from(["unsub", "remove", "addnoforce"]), readers, st.just(MASTER)),
    st.tuples(st.sampled_from(["exclude", "include", "erase", "complain", "opt out"]), readers, st.just(0)),
)


actions = st.sampled_from(
    ["unsub", "unsub", "remove", "addnoforce", "addforce", "exclude", "erase", "complain", "opt out"]
)


class Maintenance(RuleBasedStateMachine):
    """People, Mailjet's faults and our process's deaths, in any order, around real runs."""

    standin: StandIn

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        self.newcomers = 0
        self.is_sound = False
        self.acts = 0

    @initialize(
        seed=st.integers(1, 10_000),
        switches=st.tuples(st.booleans(), st.booleans(), st.booleans()),
        reviews=st.sampled_from([2, 1, 0]),
        meanwhile=st.lists(st.tuples(st.integers(0, 7), actions), max_size=3),
        minutes=st.sampled_from([15, 0]),
    )
    def a_cycle_ends(
        self,
        seed: int,
        switches: tuple[bool, bool, bool],
        reviews: int,
        meanwhile: Sequence[tuple[int, str]],
        minutes: int,
    ) -> None:
        """Each list has had its round. The last one's maintenance has passed so many reviews.

        Meanwhile people have changed some of those whom it is about.
        """
        adds, recreates, creates = switches
        rows.empty()
        self.town: Town = self.stack.enter_context(
            a_town(
                self.standin,
                seed=seed,
                unsub_adds_nonmember=adds,
                late_unsub_recreates=recreates,
                unknown_address_creates=creates,
            )
        )
        self.lists = factories.the_rotation()
        self.ana = factories.a_reviewer()
        self.cycle: Cycle | None = None
        for list_id in CAMPAIGNS:
            self._send(list_id)
            self.town.passes(days=2)
        has_observed(at=NOON - timedelta(days=29))
        has_changed_lists()
        self._read(LISTS)
        self._start()
        for _ in range(reviews):
            self._work(partial(self._until_a_review, sweeps=20))
            self._decide(approves=True, taken_out=0)
        for nth, action in meanwhile:
            self._do_to_the(nth, action)
        self.town.passes(minutes=minutes)
        self.is_sound = True

    def teardown(self) -> None:
        """Each game ends with a rest, unless it was lost before."""
        with self.stack:
            if self.is_sound:
                self._rest()

    # --- Mailjet and its people ------------------------------------------------------------------------

    @rule(deed=deeds)
    def a_person(self, deed: tuple[str, int, int]) -> None:
        self._do(deed)

    @rule(deed=deeds, after=st.integers(1, 25))
    def a_person_while_we_ask(self, deed: tuple[str, int, int], after: int) -> None:
        self.town.while_we_ask(after_requests=after, act=partial(self._do, deed))

    @rule(action=actions, nth=st.integers(0, 7))
    def a_person_changes_whom_we_are_about_to(self, action: str, nth: int) -> None:
        self._do_to_the(nth, action)

    @rule(action=actions, nth=st.integers(0, 7), after=st.integers(1, 25))
    def a_person_changes_whom_we_change_meanwhile(self, action: str, nth: int, after: int) -> None:
        self.town.while_we_ask(after_requests=after, act=partial(self._do_to_the, nth, action))

    @rule(contact=readers)
    def somebody_signs_up_again_with_the_same_address(self, contact: int) -> None:
        """Only possible once the contact was erased."""
        if contact in self.town.ledger.erased and not self.newcomers:
            self.newcomers = self.town.registers(address(contact))

    @rule(list_id=campaign_lists)
    def a_campaign_is_sent(self, list_id: int) -> None:
        self._send(list_id)

    @rule(fault=st.sampled_from(FAULTS), times=st.integers(1, 2))
    def something_goes_wrong(self, fault: Mapping[str, Any], times: int) -> None:
        self.town.standin.control.fault(**{"times": times, **fault})

    @rule(minutes=st.sampled_from([1, 5, 15, 60, 60 * 25]))
    def time_passes(self, minutes: int) -> None:
        self.town.passes(minutes=minutes)

    # --- We --------------------------------------------------------------------------------------------

    @rule()
    def a_sweep(self) -> None:
        self._work(self._sweep)

    @rule(times=st.integers(2, 6))
    def a_few_sweeps(self, times: int) -> None:
        for _ in range(times):
            self._work(self._sweep)
            self._wait_for_the_next(most=timedelta(minutes=3))

    @rule()
    def what_recurs(self) -> None:
        self._work(self._keep_the_timetable)

    @rule()
    def what_was_said_is_heard(self) -> None:
        self._work(self._hear)

    @rule(again=st.booleans(), disorder=st.randoms(use_true_random=False))
    def mailjet_tells(self, again: bool, disorder: Random) -> None:
        told = self.town.tells(again=again)
        disorder.shuffle(told)
        for body in told:
            events.store(body, now=self.town.now)

    @rule(list_id=st.sampled_from(LISTS))
    def a_list_is_read(self, list_id: int) -> None:
        self._work(partial(self._read, [list_id]))

    @rule(after=st.integers(1, 25), is_answered=st.booleans())
    def our_process_is_killed(self, after: int, is_answered: bool) -> None:
        self.town.dies(after_requests=after, is_answered=is_answered)
        self._work(self._sweep)

    @rule()
    def maintenance_starts(self) -> None:
        self._start()

    @rule()
    def what_waits_is_approved_and_gone_on_with(self) -> None:
        for _ in range(3):
            self._work(self._sweep)
            self._decide(approves=True, taken_out=0)

    @rule(approves=st.booleans(), taken_out=st.integers(0, 2))
    def a_reviewer_decides(self, approves: bool, taken_out: int) -> None:
        self._decide(approves=approves, taken_out=taken_out)

    def _decide(self, *, approves: bool, taken_out: int) -> None:
        decision = Decision.objects.awaiting_review().order_by("pk").first()
        if decision is None:
            return
        now = self.town.now
        try:
            if not approves:
                review.reject(decision.pk, by=self.ana, now=now, why="not this time")
                return
            out = list(decision.items.order_by("position").values_list("contact", flat=True)[:taken_out])
            if out:
                review.take_out(decision.pk, contacts=out, by=self.ana, now=now)
            review.approve(decision.pk, by=self.ana, now=now)
        except NotAllowed as refusal:
            note(f"not decided: {refusal}")

    @rule(paused=st.booleans())
    def maintenance_is_paused_or_resumed(self, paused: bool) -> None:
        self._pause(paused)

    # --- The end ---------------------------------------------------------------------------------------

    @precondition(lambda self: self.acts > 8)
    @rule()
    def a_rest(self) -> None:
        self._rest()

    def _rest(self) -> None:
        """Everything of ours comes to its end, undisturbed. Then nothing of ours is left halfway."""
        self.acts = 0
        self.town.standin.control.clear_faults()
        self.town.wire.live_again()
        self._pause(False)
        for _ in range(400):
            self._listen()
            self._work(self._sweep)
            self._work(self._hear)
            if not self._under_way() and self._nothing_new():
                break
            self._wait_for_the_next(most=timedelta(days=2))
        else:
            left = ListMaintenanceLog.objects.exclude(status__in=FINISHED)
            stand = list(left.values("step", "status", "waits_for"))
            raise AssertionError(f"no rest after 400 sweeps: {stand}, {self._unsettled()}")
        assert not self._unsettled()
        self.town.keep_account()
        assert self.town.ledger.at_rest() == []
        self._the_mirror_is_right()
        self._nobody_who_opted_out_is_mailed()

    def _nothing_new(self) -> bool:
        """Every list is read twice, a minute apart: whether nobody said anything that is still to be done."""
        for _ in range(2):
            self.town.passes(minutes=1)
            self._read(LISTS)
        waits = consent_due.waiting()
        if waits is not None:
            self.town.passes(minutes=10)
        return waits is None

    def _nobody_who_opted_out_is_mailed(self) -> None:
        """Also who said so on a list that they have left since: we were told once, and remember."""
        opted_out = set(Contact.objects.exclude(opted_out_at=None).values_list("pk", flat=True))
        mailed = {pk for pk in opted_out - self.town.ledger.erased if self.town.ledger.active(pk)}
        assert not mailed

    def _the_mirror_is_right(self) -> None:
        """What is known here is what Mailjet shows."""
        erased = self.town.ledger.erased
        for contact_list in ContactList.objects.all():
            current = ContactListMembership.objects.current().filter(list=contact_list)
            here = {pk: out for pk, out in current.values_list("contact", "unsubscribed") if pk not in erased}
            there = self.town.members(contact_list.mailjet_id)
            assert here == {pk: out for pk, out in there.items() if pk not in erased}, contact_list.name

    # --- How it is done ----------------------------------------------------------------------------------

    def _work(self, act: Callable[[], object]) -> None:
        """Something one process of ours does; afterwards every change it made is judged."""
        self.is_sound, self.acts = False, self.acts + 1
        opted_out = set(Contact.objects.exclude(opted_out_at=None).values_list("pk", flat=True))
        before = self.town.seen
        with self.town.our_process():
            act()
        self.town.passes(seconds=5)
        self._judge(opted_out=opted_out, since=before)
        self.is_sound = True

    def _judge(self, *, opted_out: Collection[int], since: int) -> None:
        self.town.keep_account()
        ledger = self.town.ledger
        assert ledger.broken == []
        assert not self.town.touched(MASTER)
        assert self.town.forced() == []
        added = [
            row["contact_id"]
            for row in self.town.standin.control.changes(since)
            if row["job_id"] and row["after"] == "subscribed" and row["list_id"] in CAMPAIGNS
        ]
        assert not opted_out.intersection(added), "P2: we knew of their opt-out, and added them"
        still = set(Contact.objects.exclude(opted_out_at=None).values_list("pk", flat=True))
        assert still >= opted_out, "P2: an opt-out was forgotten"

    def _hear(self) -> None:
        runs.hear_all(outside=self.town.outside, clock=self.town.clock)

    def _listen(self) -> None:
        for body in self.town.tells():
            events.store(body, now=self.town.now)

    def _until_a_review(self, *, sweeps: int) -> None:
        for _ in range(sweeps):
            self._sweep()
            if Decision.objects.awaiting_review().exists():
                return
            self._wait_for_the_next(most=timedelta(minutes=3))

    def _sweep(self) -> None:
        events.process(now=self.town.now)
        runs.sweep(outside=self.town.outside, clock=self.town.clock)

    def _keep_the_timetable(self) -> None:
        for job in timetable.due(now=self.town.now):
            timetable.do(job, outside=self.town.outside, clock=self.town.clock)

    def _read(self, list_ids: Collection[int]) -> None:
        for contact_list in ContactList.objects.filter(mailjet_id__in=list_ids):
            try:
                mirror.refresh(contact_list, mailjet=self.town.outside.mailjet, now=self.town.now)
            except MailjetError as error:
                note(f"not read: {error}")

    def _start(self) -> None:
        sent = CampaignSchedule.objects.filter(status=RoundStatus.SENT, cycle=self.cycle)
        campaign = sent.order_by("-ended_at").first()
        if campaign is None:
            return
        try:
            post_campaign.start(
                campaign.pk,
                trigger=Trigger.PERSON,
                by=None,
                configuration=self.town.outside.configuration,
                now=self.town.now,
            )
        except NotAllowed as refusal:
            note(f"not started: {refusal}")

    def _send(self, list_id: int) -> None:
        """Somebody sends to a list; here it becomes a round of the cycle that it belongs to."""
        began = self.town.now
        campaign_id = self.town.send(list_id)
        if not campaign_id:
            return
        contact_list = ContactList.objects.get(mailjet_id=list_id)
        if self.cycle is None or self.cycle.campaigns.filter(list=contact_list).exists():
            self.cycle = factories.a_cycle(started_at=began)
        factories.a_campaign(
            cycle=self.cycle,
            round=self.cycle.campaigns.count() + 1,
            list=contact_list,
            mailjet_campaign_id=campaign_id,
            started_at=began,
            ended_at=self.town.now,
        )

    def _do_to_the(self, nth: int, action: str) -> None:
        """Something happens to the nth contact of those that decisions are about, on the list they are on."""
        items = list(DecisionItem.objects.filter(status=ItemStatus.PROPOSED).order_by("-pk")[:8])
        if not items:
            return
        item = items[nth % len(items)]
        place = item.source_list or self.lists.master
        if item.contact_id in READERS:
            self._do((action, item.contact_id, place.mailjet_id))

    def _do(self, deed: tuple[str, int, int]) -> None:
        action, contact, list_id = deed
        town = self.town
        if contact in town.ledger.erased:
            return
        match action:
            case "exclude" | "include":
                town.exclude(contact, excluded=action == "exclude")
            case "erase":
                town.erase(contact)
            case "complain":
                town.reads_mail_as(Mailbox.COMPLAINING, contact)
            case "opt out":
                town.reads_mail_as(Mailbox.UNSUBSCRIBING, contact)
            case _:
                town.act(action, contact, list_id)
        town.keep_account()

    def _pause(self, paused: bool) -> None:
        RolloutState.objects.update(
            paused_at=self.town.now if paused else None,
            changed_by=self.ana if paused else None,
            why="a holiday" if paused else "",
        )

    def _under_way(self) -> bool:
        waits = (*FINISHED, RunStatus.WAITING_FOR_REVIEW)
        if ListMaintenanceLog.objects.exclude(status__in=waits).exists():
            return True
        return bool(ListMaintenanceLog.objects.due(at=self.town.now).exists())

    def _unsettled(self) -> list[dict[str, Any]]:
        return list(OperationBatch.objects.unsettled().values("kind", "status", "error", "run__status"))

    def _wait_for_the_next(self, *, most: timedelta) -> None:
        waiting = ListMaintenanceLog.objects.filter(status=RunStatus.WAITING, next_at__isnull=False)
        soonest = waiting.order_by("next_at").values_list("next_at", flat=True).first()
        if soonest is not None:
            wait = min(max(soonest - self.town.now, timedelta(0)), most)
            self.town.clock.passes(wait)


def profile() -> settings:
    """A few games, always the same; or as many as somebody asks for, each time others."""
    return settings(
        max_examples=LONG or 6,
        stateful_step_count=40 if LONG else 16,
        derandomize=not LONG,
        database=None if not LONG else settings.default.database,
        print_blob=True,
        suppress_health_check=list(HealthCheck),
    )


def test_whatever_happens_consent_master_list_and_one_place_hold_at_mailjet(tmp_path: Path) -> None:
    with scenes.stand_in(tmp_path / "town") as standin:

        class Here(Maintenance):
            pass

        Here.standin = standin
        run_state_machine_as_test(Here, settings=profile())
