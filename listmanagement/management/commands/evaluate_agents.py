"""Asks the agents about labelled scenarios, and says how well they judge."""

from __future__ import annotations

import json
import os
import shlex
import sys
from argparse import ArgumentParser
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from agents import evaluate
from listmanagement import outside
from listmanagement.evaluation import blind, document, facts, reading

SECOND_LABELS_LATER = "nobody has labelled these scenarios a second time"


class Command(BaseCommand):
    """How well the agents judge what people have judged before."""

    help = (
        "Ask the agents about labelled scenarios: Gemini where its key is set, else the rules. Prints "
        "accuracy, precision, recall, confidence and every miss, and stores all of it."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The options."""
        parser.add_argument("--agents", nargs="+", choices=evaluate.AGENTS, help="only these (all)")
        parser.add_argument("--scenarios", type=Path, metavar="DIR", help="a folder of them (ours)")
        parser.add_argument("--repeat", type=int, metavar="N", help="ask so many times (1)")
        parser.add_argument(
            "--compare", nargs=2, type=Path, metavar=("FILE", "FILE"), help="two stored results; asks nobody"
        )
        parser.add_argument("--json", action="store_true", help="print one JSON document instead of a table")
        parser.add_argument("--out", type=Path, metavar="FILE", help="store the result there")
        parser.add_argument(
            "--blind", type=Path, metavar="DIR", help="only write the scenarios there, without their labels"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Compare, write copies without labels, or ask and tell."""
        try:
            self._handle(options)
        except reading.UnreadableScenario as error:
            raise CommandError(str(error)) from error

    def _handle(self, options: Mapping[str, Any]) -> None:
        if options["compare"]:
            _check_alone("compare", options)
            one, other = (_stored(path) for path in options["compare"])
            self._print(document.compared(one, other), options, words=_comparison)
        elif options["blind"]:
            _check_alone("blind", options)
            _write_copies(options)
            self.stdout.write(f"written to {options['blind']}; start with its README.md")
        else:
            told = _told(options)
            path = _store(told, options["out"])
            self._print(told, options, words=_table)
            self.stderr.write(f"stored in {path}", style_func=str)

    def _print(self, told: dict[str, Any], options: Mapping[str, Any], *, words: Any) -> None:
        self.stdout.write(json.dumps(told, indent=1) if options["json"] else "\n".join(words(told)))


_ALONE = {"compare": ("agents", "scenarios", "repeat", "blind", "out"), "blind": ("agents", "repeat", "out")}
"""What each way to call the command has no use for."""


def _check_alone(way: str, options: Mapping[str, Any]) -> None:
    if useless := [f"--{name}" for name in _ALONE[way] if options[name] is not None]:
        raise CommandError(f"--{way} asks nobody and does without {' and '.join(useless)}: leave it out.")


def _write_copies(options: Mapping[str, Any]) -> None:
    try:
        blind.write(reading.read(options["scenarios"] or reading.DEFAULT), options["blind"])
    except OSError as error:
        raise CommandError(f"--blind: {options['blind']} cannot be written ({error.strerror}).") from error


def _told(options: Mapping[str, Any]) -> dict[str, Any]:
    times = 1 if options["repeat"] is None else options["repeat"]
    if times < 1:
        raise CommandError(f"--repeat is {times}: ask at least once.")
    folder, agents = options["scenarios"] or reading.DEFAULT, options["agents"] or evaluate.AGENTS
    scenarios = reading.read(folder)
    cases = [facts.case(scenario) for scenario in scenarios]
    second = blind.second_labels(folder, scenarios)
    ask = outside.ask_afresh()
    repeats = [evaluate.evaluate(cases, agents=agents, ask=ask) for _ in range(times)]
    first = {scenario.number: blind.first_labels(scenario) for scenario in scenarios}
    return {
        "command": shlex.join(["manage.py", *sys.argv[1:]]),
        "at": timezone.now().isoformat(timespec="seconds"),
        "cores": len(os.sched_getaffinity(0)),
        "model": settings.GEMINI_MODEL if ask is not None else None,
        **document.written(repeats, scenarios=scenarios, cases=cases),
        "right_by_first_labels": document.right_by(repeats[0], scenarios, first),
        "right_by_second_labels": document.right_by(repeats[0], scenarios, second) if second else None,
        "labellers": document.labellers(scenarios, second, agents=agents) if second else None,
    }


def _stored(path: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CommandError(f"{path} is no stored evaluation: {error}") from error
    if not document.is_one(found):
        raise CommandError(f"{path} is no stored evaluation: it lacks the agents' figures or the answers")
    return found


def _store(told: Mapping[str, Any], path: Path | None) -> Path:
    """Where it was asked for, else beside the other local files, the latest last by name."""
    if path is None:
        stamp = timezone.now().strftime("%Y%m%d-%H%M%S")
        path = settings.EVENKEEL_HOME / "evaluations" / f"{stamp}-{told['model'] or 'rules'}.json"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise CommandError(f"--out: {path} cannot be written ({error.strerror}).") from error
    return path


# Words -----------------------------------------------------------------------------------------------


def _table(told: Mapping[str, Any]) -> Iterator[str]:
    scenarios, labels = _counted(told["scenarios"], "scenario"), _counted(told["labels"], "label")
    yield f"{scenarios}, {labels}, judged by {told['model'] or 'rules'}"
    yield ""
    for agent, score in told["agents"].items():
        yield from _agent(agent, score)
    repeats = told["repeats"]
    if repeats["times"] > 1:
        yield f"the same in all {repeats['times']} repeats: {_share(repeats['same_each_time'])}"
    yield from _moves(told)
    yield from _labellers(told["labellers"])
    yield from _right_by(told)
    yield ""
    for limit in told["limits"]:
        side = "above" if "above" in limit else "below"
        verdict = "reached" if limit["held"] else "MISSED "
        yield f"{verdict} {limit['figure']}: {limit['value']}, {side} {limit[side]}"
    yield ""
    yield _counted(len(told["misses"]), "miss", "misses")
    for miss in told["misses"]:
        yield from _miss(miss)


def _agent(agent: str, score: Mapping[str, Any]) -> Iterator[str]:
    yield f"{agent}: right {_share(score['accuracy'])}, where open {_share(score['accuracy_where_open'])}"
    if score["false_positives"]:
        yield f"  suppressed against the label: {_share(score['false_positives'])}"
    yield f"  confidence {score['confidence']}, valid {_share(score['valid'])}"
    yield f"  valid at once {_share(score['valid_at_once'])}, by rules {score['answered_by_rules']}"
    for answer, one in score["by_answer"].items():
        precision = f"precision {_share(one['precision'])}" if one["precision"]["of"] else "never answered"
        recall = f"recall {_share(one['recall'])}" if one["recall"]["of"] else "never labelled"
        yield f"  {answer}: {precision}, {recall}"


def _moves(told: Mapping[str, Any]) -> Iterator[str]:
    for each in told["rebalancings"]:
        within = "" if each["within"] else ", as well as the lists allow"
        yield (
            f"{each['scenario']}: {_counted(each['moves'], 'move')} ({each['moves'] / each['of']:.1%}), "
            f"then {each['deviation_after']} % from the mean{within}"
        )


def _labellers(told: Mapping[str, Any] | None) -> Iterator[str]:
    if told is None:
        yield SECOND_LABELS_LATER
        return
    for kind in (name for name in told if name != "differences"):
        yield f"two labellers agree on {kind}: {_share(told[kind])}, kappa {told[kind]['kappa']}"


def _right_by(told: Mapping[str, Any]) -> Iterator[str]:
    """By the labels as first written, and by the second labeller's alone."""
    for words, name in (("as first labelled", "first"), ("as labelled by the second", "second")):
        for agent, share in (told[f"right_by_{name}_labels"] or {}).items():
            yield f"{agent}, {words}: right {_share(share)}"


def _miss(miss: Mapping[str, Any]) -> Iterator[str]:
    false_positive = " (suppressed against the label)" if miss["false_positive"] else ""
    yield f"{miss['agent']}, {miss['scenario']}, {miss['what']}: {miss['about']}{false_positive}"
    yield f"  expected {miss['expected']}: {miss['labelled_because']}"
    yield f"  answered {miss['answered']} ({miss['confidence']}): {miss['answered_because']}"


def _comparison(told: Mapping[str, Any]) -> Iterator[str]:
    for agent, figures in told["agents"].items():
        yield agent
        for name, (one, other) in figures.items():
            yield f"  {name}: {_figure(one)} -> {_figure(other)}"
    yield f"{len(told['differing'])} of {told['answers_in_both']} answers differ"
    for key, (before, after) in told["differing"].items():
        yield f"  {key}: {before} -> {after}"
    only = len(told["only_in_one"])
    yield f"{only} {'was' if only == 1 else 'were'} judged in one of them only"


def _figure(value: Any) -> str:
    return _share(value) if isinstance(value, dict) else str(value)


def _share(share: Mapping[str, Any]) -> str:
    if not share["of"]:
        return "nothing to count"
    return f"{share['count'] / share['of']:.1%} ({share['count']} of {share['of']})"


def _counted(number: int, one: str, many: str | None = None) -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"
