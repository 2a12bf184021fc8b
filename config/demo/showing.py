"""The demo itself: prepare, start, then serve the console, or decide everything at once."""

from __future__ import annotations

import time
from io import StringIO

from django.core.management import CommandError, call_command
from django.utils import timezone

from config import embedded
from config.children import Children
from config.demo import following, memory, telling
from config.demo.asked import Asked, NotPossible
from config.demo.following import NothingMoves
from config.demo.memory import Memory
from config.terminal import bold, dim, doing, red, say
from listmanagement import outside
from listmanagement.models import FINISHED, ListMaintenanceLog, RunStatus, Step
from listmanagement.workflows import promises
from listmanagement.workflows.demo.world import JUDGED

SERVED = ("web", "worker", "beat")
LOOK_EVERY_SECONDS = 1.0


def served(asked: Asked, children: Children) -> int:
    """Serve the console, with the run at its first review, until interrupted."""
    remembered = _prepare(asked)
    with doing("Starting web, worker and beat"):
        for name in SERVED:
            children.start(name, _variables(asked))
        children.wait_for_page(f"{asked.address}/admin/login/")
    run = _to_the_first_review(children)
    say(telling.welcome(asked, remembered, run, list(following.open_decisions(run))))
    _follow(asked, run, children)
    while True:
        children.check()
        time.sleep(LOOK_EVERY_SECONDS)


def once(asked: Asked, children: Children) -> int:
    """Approve each decision as the demo's reviewer until the run has ended; print how it went."""
    _prepare(asked)
    with doing("Starting the worker"):
        children.start("worker", _variables(asked))
    say(f"Maintaining campaign {JUDGED}:")
    run = _decide_all(children)
    with doing("Checking the promises against database and Mailjet"):
        broken = _broken()
    children.stop()
    say(telling.report(run, broken=broken))
    say()
    say(telling.figures(run, broken=broken))
    return 0 if run.status == RunStatus.SUCCEEDED and not broken else 1


def _decide_all(children: Children) -> ListMaintenanceLog:
    run, told = following.start(), 0
    try:
        while run.status not in FINISHED:
            for decision in following.approve_all(run):
                say(dim(f"  approved by {memory.REVIEWER}: {decision.title}"))
            run = following.until_people_are_needed(run, check=children.check, passed=_step_done, told=told)
            told = following.steps_done(run)
    except NothingMoves as stuck:
        raise NotPossible(f"{stuck}\nThe worker's log: {children.log_of('worker')}") from stuck
    return run


# --- Before ------------------------------------------------------------------------------------------


def _prepare(asked: Asked) -> Memory:
    remembered = memory.recall(embedded.directory().parent / "demo.json")
    with doing("Migrating the database"):
        call_command("migrate", interactive=False, verbosity=0)
    if asked.fresh or not remembered.seeded:
        _seed(asked, remembered)
    memory.make_users(remembered)
    return remembered


def _seed(asked: Asked, remembered: Memory) -> None:
    """A fresh world. Until all of it is written, no demo is remembered."""
    remembered.seeded = False
    remembered.save()
    with doing("Seeding 3,529 contacts, their lists and campaigns"):
        try:
            call_command("seed_demo", scenario=asked.scenario.value, reset=asked.reset, stdout=StringIO())
        except CommandError as refusal:
            raise NotPossible(f"{refusal}. With make: make demo RESET=1") from refusal
    remembered.seeded = True
    remembered.save()


def _variables(asked: Asked) -> dict[str, str]:
    return {"HOST": "127.0.0.1", "PORT": str(asked.port), "WEB_CONCURRENCY": "1"}


# --- Meanwhile ---------------------------------------------------------------------------------------


def _to_the_first_review(children: Children) -> ListMaintenanceLog:
    """Start the run, or go on with it. A run that is stuck is told about, and shown as it is."""
    run = following.start()
    told = following.steps_done(run)
    if run.status not in FINISHED:
        say(f"Maintaining campaign {JUDGED}{f', going on after step {told}' if told else ''}:")
    try:
        return following.until_people_are_needed(run, check=children.check, passed=_step_done, told=told)
    except NothingMoves as stuck:
        say(red(f"{stuck}\nThe worker's log: {children.log_of('worker')}"))
        return run


def _follow(asked: Asked, run: ListMaintenanceLog, children: Children) -> None:
    """Say when the run goes on, wants another decision, and has ended. Returns when it has."""
    if run.status in FINISHED:
        return
    told = set(following.open_decisions(run).values_list("pk", flat=True))
    steps = following.steps_done(run)
    while run.status not in FINISHED:
        time.sleep(LOOK_EVERY_SECONDS)
        children.check()
        run.refresh_from_db()
        for step in following.ORDER[steps : following.steps_done(run)]:
            _step_done(run, step)
        steps = max(steps, following.steps_done(run))
        for decision in following.open_decisions(run).exclude(pk__in=told):
            told.add(decision.pk)
            say("\n".join(["", *telling.decision_waits(asked, decision), ""]))
    say(bold(f"\nRun {run.pk} {run.status}: {asked.address}{run.get_absolute_url()}"))


def _step_done(run: ListMaintenanceLog, step: Step) -> None:
    say(telling.step_done(run, step))


def _broken() -> list[str]:
    with outside.mailjet() as mailjet:
        return promises.broken(mailjet=mailjet, now=timezone.now())
