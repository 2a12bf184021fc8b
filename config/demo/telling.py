"""What the demo prints: where to go and what to click, how the run went, and its figures as JSON."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

from config.demo.asked import Asked
from config.demo.memory import ADMINISTRATOR, REVIEWER, VIEWER, Memory
from config.terminal import bold
from listmanagement.models import Decision, DecisionGroup, ItemStatus, ListMaintenanceLog, Step

WIDTH = 100
COUNTED = ("suppressed", "held", "placed", "moved")
STEPS: Mapping[Step, str] = {
    Step.CAPTURE_BEFORE: "read the lists as they stand",
    Step.FETCH_OUTCOMES: "fetch what became of each message",
    Step.JUDGE: "judge the failures",
    Step.DECIDE: "hold the judgement against policy, guards and autonomy",
    Step.SUPPRESS: "suppress what was approved",
    Step.PLAN_REBALANCING: "plan placements and moves",
    Step.REBALANCE: "place and move what was approved",
    Step.CAPTURE_AFTER: "read the lists again",
    Step.REPORT: "report",
}


def step_done(run: ListMaintenanceLog, step: Step) -> str:
    """One step that is behind the run, with its active seconds."""
    number = [*STEPS].index(step) + 1
    return f"  step {number} of {len(STEPS)}: {STEPS[step]:<56}{run.seconds.get(step, 0.0):6.1f} s"


def judged_by(run: ListMaintenanceLog) -> str:
    """Who judged, and what Mailjet, Slack and a model were."""
    sources = sorted(set(run.agent_calls.values_list("source", flat=True)))
    judges = " and ".join("a model" if source == "model" else source for source in sources) or "nobody yet"
    services = "Mailjet and Slack"
    if {"model", "reused"} & set(sources):
        services = "Mailjet, Slack and Gemini, which answers by our own rules"
    return (
        f"{judges} judged{' (no GEMINI_API_KEY)' if sources == ['rules'] else ''}; "
        f"stand-ins on this machine served as {services}"
    )


# --- While it is served ----------------------------------------------------------------------------------


def welcome(asked: Asked, memory: Memory, run: ListMaintenanceLog, waiting: list[Decision]) -> str:
    """Address, users, and what to click first."""
    people = {
        REVIEWER: "looks and decides",
        VIEWER: "looks",
        ADMINISTRATOR: "does everything, users included",
    }
    lines = [
        "",
        bold(f"Evenkeel is at {asked.address}"),
        "",
        "  user        password",
        *(f"  {name:<10}  {memory.passwords[name]}   {does}" for name, does in people.items()),
        "",
        *_first_click(asked, run, waiting),
        "",
        f"  {judged_by(run)}.",
        "  Ctrl-C stops everything; `make demo` goes on from there, `make demo RESET=1` starts over.",
        "",
    ]
    return "\n".join(lines)


def _first_click(asked: Asked, run: ListMaintenanceLog, waiting: list[Decision]) -> list[str]:
    if not waiting:
        how = run.status.replace("_", " ")
        return [f"  Run {run.pk} ({how}):", bold(f"  {asked.address}{run.get_absolute_url()}")]
    return ["  Click first:", *(line for decision in waiting for line in decision_waits(asked, decision))]


def decision_waits(asked: Asked, decision: Decision) -> list[str]:
    """A decision that a person can take now, and where."""
    return [f"  {decision.title}", bold(f"  {asked.address}{decision.get_absolute_url()}")]


# --- How it went -----------------------------------------------------------------------------------------


def report(run: ListMaintenanceLog, *, broken: list[str]) -> str:
    """Before, proposed, decided, done, after, time and requests, as a person reads them."""
    parts = {
        "Before": _state(run.state_before),
        "Proposed": list(_proposed(run)),
        "Decided": list(_decided(run)),
        "Done": [", ".join(f"{run.counts.get(name, 0):,} {name}" for name in COUNTED)],
        "After": _state(run.state_after),
        "Time": [f"{sum(run.seconds.values()):.1f} s of work; waiting for jobs and people not counted"],
        "Mailjet": [f"{run.requests:,} requests"],
        "Judged": [judged_by(run)],
        "Promises": [
            f"broken: {', '.join(broken)}" if broken else "P1 to P11 hold, in the database and at Mailjet"
        ],
    }
    lines = [line for name, told in parts.items() for line in _part(name, told)]
    return "\n".join(["", bold(f"Run {run.pk} {run.status}"), "", *lines, "", *_wrapped(run.report)])


def _part(name: str, told: list[str]) -> Iterator[str]:
    for n, line in enumerate(told or ["nothing"]):
        first, *rest = textwrap.wrap(line, WIDTH - 12) or [""]
        yield f"{name if n == 0 else '':<12}{first}"
        yield from (f"{'':<14}{more}" for more in rest)


def _wrapped(text: str) -> list[str]:
    return [textwrap.fill(line, WIDTH) for line in text.splitlines()]


def _state(state: dict[str, Any] | None) -> list[str]:
    if state is None:
        return []
    sizes = ", ".join(f"{row['name']}: {row['size']:,}" for row in state["lists"])
    return [f"{sizes}; deviation {state['deviation']:.2f} %"]


def _proposed(run: ListMaintenanceLog) -> Iterator[str]:
    for group in DecisionGroup.objects.filter(decision__run=run).order_by("decision", "position"):
        yield group.title


def _decided(run: ListMaintenanceLog) -> Iterator[str]:
    for decision in run.decisions.select_related("reviewed_by").order_by("pk"):
        by = f" by {decision.reviewed_by.get_username()}" if decision.reviewed_by else ""
        out = decision.items.filter(status=ItemStatus.TAKEN_OUT).count()
        yield f"{decision.title}: {decision.status}{by}{f', {out} taken out' if out else ''}"


def figures(run: ListMaintenanceLog, *, broken: list[str]) -> str:
    """One line of JSON, for programs: contacts; the deviation in percent."""
    after = run.state_after or {}
    told = {
        "run": run.pk,
        "status": run.status,
        **{name: run.counts.get(name, 0) for name in COUNTED},
        "deviation_after": round(after["deviation"], 2) if "deviation" in after else None,
        "mailjet_requests": run.requests,
        "promises_broken": broken,
    }
    return json.dumps(told)
