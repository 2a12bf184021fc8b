"""Whatever happens, in whatever order: the promises hold.

A machine of rules plays people, Mailjet and the misfortunes of our own process against real runs at the real
stand-in. `ledger` (P2, P3, P4) and `addressed` (P5) judge by what the stand-in shows; at each rest
`verify_promises` holds all eleven, too. The suite plays the same short games every time, `make properties`
plays as many others as asked for (GAMES=200), and `make chaos` as many steps (STEPS=10000).
"""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from math import ceil
from pathlib import Path
from random import Random
from typing import Any
from unittest.mock import patch

import pytest
from django.db.models import Q
from hypothesis import HealthCheck, Phase, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from integrations.mailjet import MailjetError
from integrations.sandbox.outcomes import Mailbox
from listmanagement.domain import way_back as way_back_rule
from listmanagement.domain.bounces import BounceClass, Outcome
from listmanagement.domain.cycle import RoundStatus
from listmanagement.domain.suppression import Region
from listmanagement.models import (
    FINISHED,
    BatchKind,
    BatchStatus,
    CampaignKind,
    CampaignSchedule,
    Change,
    Contact,
    ContactList,
    ContactListMembership,
    ContactSuppressionHistory,
    Decision,
    DecisionItem,
    DecisionStatus,
    ItemStatus,
    ListMaintenanceLog,
    OperationBatch,
    OperationStatus,
    Recurring,
    Role,
    RolloutState,
    RunStage,
    RunStatus,
    Trigger,
)
from listmanagement.workflows import campaigns, consent_due, events, mirror, promises, runs, timetable
from listmanagement.workflows.by_people import review
from listmanagement.workflows.by_people.refusals import NotAllowed
from listmanagement.workflows.demo import rows
from listmanagement.workflows.maintenance import post_campaign
from listmanagement.workflows.undoing import undo
from listmanagement.workflows.undoing.undoable import Part, Scope
from tests import factories
from tests.factories import CAMPAIGNS, MASTER, NOON, SUPPRESSION
from tests.workflows import scene as scenes
from tests.workflows.addressed import truth
from tests.workflows.scene import StandIn
from tests.workflows.town import LISTS as LISTS_OF_THE_TOWN
from tests.workflows.town import READERS, SUPPRESSED, Town, a_town, address

pytestmark = pytest.mark.django_db(transaction=True)

STEPS_A_GAME = 100
STEPS = int(os.environ.get("EVENKEEL_STEPS", "0"))
"""How many steps to play in long games, at least."""

LONG = int(os.environ.get("EVENKEEL_PROPERTIES", "0")) or ceil(STEPS / STEPS_A_GAME)
"""How many games to play. 0: the few of the suite, always the same."""

BY_HAND = (
    Recurring.SYNC_CAMPAIGNS,
    Recurring.LATE_OUTCOMES,
    Recurring.START_RUNS,
    Recurring.RECONCILE,
    Recurring.WEEKLY_HEALTH,
    Recurring.WAY_BACK,
    Recurring.VALIDATE,
    Recurring.REFRESH_CACHE,
)
FULL = (40, 41)
"""Of the suppressed, who is so for a full mailbox. One failure each is all the evidence there is."""

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
    played: Counter[str]
    """Steps of all games."""

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        self.newcomers = 0
        self.is_sound = False
        self.acts = 0
        self.issues: list[dict[int, int]] = []
        """Of each message the campaigns that carried it, by list. The last one is sent still."""

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
        self.stack.enter_context(
            patch.object(way_back_rule, "MOST_PERCENT", 20)
        )  # of lists as small as these
        for list_id in CAMPAIGNS:
            self._send(list_id)
            self.town.passes(days=2)
        self._read(LISTS)
        self._is_an_old_hand()
        campaigns.sync(mailjet=self.town.outside.mailjet, now=self.town.now)
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

    def _is_an_old_hand(self) -> None:
        """Maintenance was observed long ago; once it suppressed full mailboxes."""
        past = NOON - timedelta(days=75)
        one_off = factories.a_campaign(
            list=self.lists.campaign[0], kind=CampaignKind.ONE_OFF, started_at=past, settled_at=past
        )
        factories.the_rollout(observing_since=NOON - timedelta(days=30))
        observed = NOON - timedelta(days=29)
        factories.a_run(
            campaign=one_off, stage=RunStage.OBSERVE, status=RunStatus.SUCCEEDED, finished_at=observed
        )
        for contact in FULL:
            run = factories.a_run(campaign=one_off, status=RunStatus.SUCCEEDED, finished_at=past)
            decision = factories.a_decision(run=run, status=DecisionStatus.APPROVED)
            group = factories.a_group(decision=decision, region=Region.MAY)
            batch = factories.a_batch(run=run, kind=BatchKind.SUPPRESS, status=BatchStatus.APPLIED)
            evidence = factories.a_bounce(
                recipient=factories.a_recipient(
                    campaign=one_off,
                    contact=Contact.objects.get(pk=contact),
                    outcome=Outcome.BOUNCED,
                    bounce_class=BounceClass.MAILBOX_FULL,
                ),
                state=3,
                permanent=False,
                at=past,
            )
            item = factories.an_item(
                group=group,
                contact=evidence.recipient.contact,
                evidence=evidence,
                status=ItemStatus.EXECUTED,
                source_list=one_off.list,
            )
            operation = factories.an_operation(
                batch=batch, item=item, status=OperationStatus.APPLIED, applied_at=past
            )
            factories.a_membership(
                contact=item.contact,
                list=one_off.list,
                until=past,
                ended_by=Change.OPERATION,
                ended_with=operation,
            )
            factories.a_suppression(operation=operation, removed_from=one_off.list, at=past)
        for contact in set(SUPPRESSED) - set(FULL):
            factories.an_imported_suppression(contact=Contact.objects.get(pk=contact), at=past)

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

    @rule(minutes=st.sampled_from([1, 5, 15, 60, 60 * 25, 60 * 24 * 8]))
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

    @rule(nth=st.integers(0, 3), only=st.sampled_from([None, *Part]))
    def somebody_undoes_a_run(self, nth: int, only: Part | None) -> None:
        changed = ListMaintenanceLog.objects.filter(status__in=FINISHED, batches__isnull=False).distinct()
        for run in changed.order_by("-pk")[nth : nth + 1]:
            self._ask_for(
                undo.start,
                run.pk,
                scope=Scope(only=only),
                reason="too early",
                override="",
            )

    @rule(nth=st.integers(0, 7))
    def somebody_lifts_a_suppression(self, nth: int) -> None:
        for suppressed in ContactSuppressionHistory.objects.standing().order_by("-pk")[nth : nth + 1]:
            self._ask_for(undo.lift, [suppressed.contact_id], reason="they called")

    def _ask_for(self, start: Callable[..., object], *what: object, **more: object) -> None:
        configuration = self.town.outside.configuration
        try:
            start(*what, **more, by=self.ana, configuration=configuration, now=self.town.now)
        except NotAllowed as refusal:
            note(f"not started: {refusal}")

    @rule(job=st.sampled_from(BY_HAND))
    def what_recurs_comes_early(self, job: Recurring) -> None:
        """Late evidence, the weekly check, reconciliation, a way back, readings of everything."""
        self._work(partial(self._do_now, job))

    def _do_now(self, job: Recurring) -> None:
        try:
            note(timetable.JOBS[job].do(self.town.outside, self.town.now))
        except (MailjetError, NotAllowed, mirror.RefreshUnderWay) as error:
            note(f"not done: {error}")

    @rule(paused=st.booleans())
    def maintenance_is_paused_or_resumed(self, paused: bool) -> None:
        self._pause(paused)

    @invariant()
    def a_step_is_over(self) -> None:
        self.played["steps"] += 1

    # --- The end ---------------------------------------------------------------------------------------

    @precondition(lambda self: self.acts > 8)
    @rule()
    def a_rest(self) -> None:
        self._rest()

    def _rest(self) -> None:
        """Everything of ours comes to its end, undisturbed. Then nothing of ours is left halfway."""
        self.played["rests"] += 1
        self.acts = 0
        self.town.standin.control.clear_faults()
        self.town.wire.live_again()
        self._pause(False)
        for n in range(400):
            self._listen()
            self._work(self._sweep)
            self._work(self._hear)
            if not self._under_way() and self._nothing_new():
                break
            self._wait_for_the_next(most=timedelta(days=2), least=self._patience(n))
        else:
            left = ListMaintenanceLog.objects.exclude(status__in=FINISHED)
            stand = list(left.values("step", "status", "waits_for"))
            raise AssertionError(f"no rest after 400 sweeps: {stand}, {self._unsettled()}")
        assert not self._unsettled()
        self.town.keep_account()
        assert self.town.ledger.at_rest() == []
        self._the_mirror_is_right()
        self._nobody_who_opted_out_is_mailed()
        self._everybody_had_each_message_once()
        self._the_promises_are_held()

    def _everybody_had_each_message_once(self) -> None:
        """Of each message that has gone to every list; the last one may be on its way."""
        found = truth(self.town.standin, lists=LISTS_OF_THE_TOWN)
        found = replace(found, silent={*found.silent, *self.town.once_excluded})
        whole = [issue for issue in self.issues if len(issue) == len(CAMPAIGNS)]
        assert [words for issue in whole for words in found.wrongs(issue.values())] == []

    def _the_promises_are_held(self) -> None:
        """By our own check, too: all but what people did to the suppression list and were not asked about.

        Whoever signs up anew under a suppressed address is not on that list, until reconciliation has asked.
        Whom people had off their list for a send, and put back at once, was on it all the time to us.
        """
        self._do_now(Recurring.SYNC_CAMPAIGNS)
        self._do_now(Recurring.LATE_OUTCOMES)
        found = promises.verify(mailjet=self.town.outside.mailjet, now=self.town.now)
        touched, off = self._touched_by_people() | {*FULL, self.newcomers}, self._off_for_a_send()

        def by_people(violation: promises.Violation) -> bool:
            return off.issuperset(violation.contacts) and violation.words.startswith("got no message")

        broken = [
            (promise.name.value, violation)
            for promise in found.promises
            for violation in promise.broken
            if not by_people(violation)
            and (promise.name is not promises.Name.EVIDENCE or not touched.issuperset(violation.contacts))
        ]
        assert broken == []

    def _touched_by_people(self) -> set[int]:
        """Whose place on the suppression list a person has changed."""
        lines = self.town.standin.control.changes()
        return {each["contact_id"] for each in lines if not each["job_id"] and each["list_id"] == SUPPRESSION}

    def _off_for_a_send(self) -> set[int]:
        """Who was off a list, or unsubscribed there, when it was sent to, as a person had just had it."""
        lines = sorted(self.town.standin.control.changes(), key=lambda line: line["id"])
        found = set()
        for campaign in CampaignSchedule.objects.exclude(started_at=None).select_related("list"):
            assert campaign.started_at is not None
            last = {
                line["contact_id"]: line
                for line in lines
                if line["list_id"] == campaign.list.mailjet_id
                and line["at"] <= campaign.started_at.timestamp()
            }
            found |= {
                key for key, line in last.items() if not line["job_id"] and line["after"] != "subscribed"
            }
        return found

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
        sent = CampaignSchedule.objects.filter(status=RoundStatus.SENT, list__role=Role.CAMPAIGN)
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
        """Somebody sends to a list: the message that is sent still, or a new one where the list had that.

        Any send may meet contacts on their way from list to list. But before the same message goes to another
        one, our workers have been there: were they dead from the one to the other, days in life, whoever they
        left on both lists would get both, and nothing could keep it from them.
        """
        last = self.issues[-1] if self.issues else {}
        if not self.issues or list_id in last or self._began(last) < self.town.now - timedelta(days=20):
            self.issues.append({})
        elif last and self._somebody_stands_between_two_lists():
            self._rest()
        campaign_id = self.town.send(list_id, subject=f"Issue {len(self.issues)}")
        if campaign_id:
            self.issues[-1][list_id] = campaign_id

    def _somebody_stands_between_two_lists(self) -> bool:
        has_begun = Q(kind=BatchKind.MOVE_IN, sending_at__isnull=False) | Q(after__sending_at__isnull=False)
        return OperationBatch.objects.unsettled().filter(has_begun).exists()

    def _began(self, issue: Mapping[int, int]) -> datetime:
        with self.town.standin.serving.world.transaction() as db:
            [at] = db.execute(
                "SELECT min(send_start_at) FROM campaigns WHERE id >= ?", (min(issue.values(), default=0),)
            ).fetchone()
        return datetime.fromtimestamp(at, tz=UTC)

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

    def _patience(self, sweeps: int) -> timedelta:
        """A job that hangs is waited for two hours, the end of a cycle for three weeks."""
        return timedelta(hours=6) if sweeps > 250 else timedelta(minutes=1) if sweeps > 50 else timedelta()

    def _wait_for_the_next(self, *, most: timedelta, least: timedelta = timedelta()) -> None:
        waiting = ListMaintenanceLog.objects.filter(status=RunStatus.WAITING, next_at__isnull=False)
        soonest = waiting.order_by("next_at").values_list("next_at", flat=True).first()
        if soonest is not None:
            wait = min(max(soonest - self.town.now, least), most)
            self.town.clock.passes(wait)


AS_PLAYED = (Phase.explicit, Phase.reuse, Phase.generate)
"""Without looking for a shorter game that is lost, too: that takes longer than thousands of steps."""


def profile(*, played: int) -> settings:
    """A few games, always the same; or as many as somebody asks for, each time others.

    Of steps asked for, some are `played` already: games may end early, so that more are needed.
    """
    return settings(
        phases=AS_PLAYED if STEPS else tuple(Phase),
        max_examples=ceil((STEPS - played) / STEPS_A_GAME) if STEPS else LONG or 4,
        stateful_step_count=(STEPS_A_GAME if STEPS else 40) if LONG else 16,
        derandomize=not LONG,
        database=None if not LONG else settings.default.database,
        print_blob=True,
        suppress_health_check=list(HealthCheck),
    )


def test_whatever_happens_the_promises_hold(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    played, began = Counter[str](), time.monotonic()
    with scenes.stand_in(tmp_path / "town") as standin:

        class Here(Maintenance):
            pass

        Here.standin, Here.played = standin, played
        try:
            run_state_machine_as_test(Here, settings=profile(played=0))
            while played["steps"] < STEPS:
                run_state_machine_as_test(Here, settings=profile(played=played["steps"]))
        finally:
            seconds = time.monotonic() - began
            with capsys.disabled():
                print(f"\n{json.dumps({**played, 'seconds': round(seconds)})}")
    assert played["steps"] >= max(STEPS, 1)
