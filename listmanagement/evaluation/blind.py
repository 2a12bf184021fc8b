"""A second labelling by somebody who has not seen the first: files without labels, and what came back."""

import json
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from listmanagement.domain.balance import Choice
from listmanagement.evaluation.plans import plans
from listmanagement.evaluation.reading import DEFAULT, Rebalancing, Scenario, UnreadableScenario

ANSWERS = "second_labels.toml"
"""The second labeller's file, beside the scenarios."""

REBALANCING = "rebalancing"
"""The key of a scenario's choice among its labels; groups and lists have their own names."""


def write(scenarios: Sequence[Scenario], folder: Path) -> None:
    """Write each scenario without title, labels and reasons, a sheet to fill in, and how to label.

    Raises `UnreadableScenario` where the folder holds a sheet already: somebody may have filled it in.
    """
    if (folder / ANSWERS).exists():
        raise UnreadableScenario(f"{folder} holds {ANSWERS} already: choose another folder, or remove it")
    folder.mkdir(parents=True, exist_ok=True)
    for scenario in scenarios:
        (folder / f"{scenario.number}.toml").write_text(_without_labels(scenario), encoding="utf-8")
    (folder / ANSWERS).write_text("\n".join(_sheet(scenarios)) + "\n", encoding="utf-8")
    (folder / "README.md").write_text(
        (DEFAULT / "README.md").read_text(encoding="utf-8") + _HOW_TO_ANSWER, encoding="utf-8"
    )


def first_labels(scenario: Scenario) -> dict[str, str]:
    """The labels as they were first written, as a second labeller gives them, too.

    What a report must tell is not among them.
    """
    labels = {group.name: group.label.value for group in scenario.groups}
    labels |= {each.name: f"{each.grade.value} {each.cause.value}" for each in scenario.lists}
    if scenario.rebalancing is not None:
        labels[REBALANCING] = scenario.rebalancing.label.value
    return {**labels, **scenario.corrected}


def second_labels(folder: Path, scenarios: Sequence[Scenario]) -> Mapping[str, Mapping[str, str]] | None:
    """What the second labeller said, by scenario's number and key; None where there is no such file.

    Raises `UnreadableScenario` where a label is missing, or nothing is known by its name.
    """
    path = folder / ANSWERS
    if not path.exists():
        return None
    given: dict[str, dict[str, str]] = tomllib.loads(path.read_text(encoding="utf-8"))
    for scenario in scenarios:
        wanted, found = set(first_labels(scenario)), set(given.get(scenario.number, {}))
        if wanted != found:
            raise UnreadableScenario(
                f"{ANSWERS}: {scenario.number} misses or invents {sorted(wanted ^ found)}"
            )
    return given


_HOW_TO_ANSWER = f"""
## How to answer

In these copies titles, labels and reasons are left out: the rows of `groups` and `lists` end before them.
Fill in `{ANSWERS}`: a table a scenario, a line for each group, list and rebalancing. Groups get
`suppress`, `hold` or `keep`; lists a grade and a cause such as `watch outage`; rebalancings `now`,
`backfill_only` or `defer`. Leave nothing empty. Do not look at the scenarios in the repository, nor at the
code that judges.
"""


def _without_labels(scenario: Scenario) -> str:
    return "\n".join(_lines(scenario)) + "\n"


def _lines(scenario: Scenario) -> Iterator[str]:
    raw = tomllib.loads(scenario.path.read_text(encoding="utf-8"))
    for name in ("about", "size", "delivered", "previous"):
        if name in raw:
            yield f"{name} = {json.dumps(raw[name], ensure_ascii=False)}"
    for name, columns in (("domains", 4), ("groups", 4), ("lists", 2)):
        if raw.get(name):
            yield f"{name} = ["
            yield from (f"  {json.dumps(row[:columns], ensure_ascii=False)}," for row in raw[name])
            yield "]"
    if scenario.rebalancing is not None:
        yield from _rebalancing(scenario.rebalancing)


def _rebalancing(told: Rebalancing) -> Iterator[str]:
    made = plans(told)
    now, placed = made[Choice.NOW], made[Choice.BACKFILL_ONLY]
    yield "[rebalancing]"
    yield f"sizes = {list(told.sizes)}"
    yield f"backlog = {told.backlog}"
    yield f"between_cycles = {json.dumps(told.between_cycles)}"
    if told.hours_to_next_send is not None:
        yield f"hours_to_next_send = {told.hours_to_next_send}"
    yield f"# as they stand: {now.deviation_before:.2f} % from the mean"
    yield f"# backfill_only: {len(placed.placements)} placements, then {placed.deviation_after:.2f} %"
    yield (
        f"# now: {len(now.placements)} placements and {len(now.moves)} moves, "
        f"then {now.deviation_after:.2f} %"
    )


def _sheet(scenarios: Sequence[Scenario]) -> Iterator[str]:
    for scenario in scenarios:
        if labels := first_labels(scenario):
            yield f"[{scenario.number}]"
            yield from (f'{key} = ""' for key in labels)
            yield ""
