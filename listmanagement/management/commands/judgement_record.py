"""`manage.py judgement_record`: how good the agents' judgements turned out to be. Changes nothing."""

from __future__ import annotations

import json
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand

from listmanagement.domain.record import Figures, Share
from listmanagement.workflows import record
from listmanagement.workflows.record import NO_MODEL, AgentRecord, JudgementRecord, ModelRecord


def day(text: str) -> datetime:
    """The beginning of a day, UTC. Raises ArgumentTypeError where it is none."""
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError as error:
        raise ArgumentTypeError(f"{text!r} is no day such as 2026-03-01") from error


class Command(BaseCommand):
    """Prints the record."""

    help = (
        "How good the agents' judgements turned out to be, by reviews, marks, lifted suppressions and later "
        "deliveries: reliability, calibration, false positives and negatives, overrides. Changes nothing."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """--since, --json."""
        parser.add_argument("--since", type=day, help="of judgements from this day on, such as 2026-03-01")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        """Read and print."""
        found = record.read(since=options["since"])
        self.stdout.write(json.dumps(as_json(found)) if options["json"] else "\n".join(_lines(found)))


def as_json(found: JudgementRecord) -> dict[str, Any]:
    """The record as other programs read it. Shares are fractions; null where nothing is known."""
    return {
        "since": found.since.isoformat() if found.since else None,
        "agents": {each.agent.value: _agent(each) for each in found.agents},
    }


def _agent(found: AgentRecord) -> dict[str, Any]:
    return {
        "override_rate": _share(found.override),
        "models": [_model(each) for each in found.models],
        "judges": {judge.value: _figures(figures) for judge, figures in found.judges.items()},
    }


def _model(found: ModelRecord) -> dict[str, Any]:
    return {
        "model": found.model,
        "prompt_version": found.prompt_version,
        "prompt_is_in_use": found.is_asked,
        "independent_labels": found.labels,
        "calibrated": found.curve is not None,
        "calibration": [list(step) for step in found.curve.steps] if found.curve else None,
    }


def _figures(found: Figures) -> dict[str, Any]:
    return {
        "labels": found.labels,
        "judgements": found.judgements,
        "labels_with_a_confidence": found.sure,
        "labels_by_source": {source.value: number for source, number in found.by_source.items()},
        "right": _share(found.right),
        "mean_confidence": found.confidence,
        "expected_calibration_error": found.calibration_error,
        "brier_score": found.brier,
        "false_positive_rate": _share(found.false_positives),
        "false_negative_rate": _share(found.false_negatives),
        "reliability": [
            {"from": each.low, "to": each.high, "stated": each.confidence, "right": _share(each.right)}
            for each in found.reliability
        ],
    }


def _share(found: Share) -> dict[str, Any]:
    return {"share": found.share, "low": found.low, "high": found.high, "labels": found.labels}


def _lines(found: JudgementRecord) -> Iterator[str]:
    for each in found.agents:
        yield f"{each.agent.value}: reviewers said otherwise: {_told(each.override)}"
        for model in each.models:
            yield f"   {model.told}"
        if not each.models:
            yield f"   {NO_MODEL}"
        for judge, figures in each.judges.items():
            if figures.labels:
                yield f"   {judge.value}: {'; '.join(_parts(figures))}"
        if not any(figures.labels for figures in each.judges.values()):
            yield "   no label yet: nothing it said was decided about or proven"
    yield "Nothing was changed."


def _parts(found: Figures) -> Iterator[str]:
    by = ", ".join(f"{number:,} by {source.value}" for source, number in found.by_source.items())
    yield f"{found.labels:,} labels in {found.judgements:,} judgements ({by})"
    yield f"right {_told(found.right)}"
    if found.brier is not None:
        yield (
            f"of the {found.sure:,} with a confidence: mean {found.confidence:.2f}, "
            f"calibration error {found.calibration_error:.3f}, Brier score {found.brier:.3f}"
        )
    for name, share in (
        ("false positives", found.false_positives),
        ("false negatives", found.false_negatives),
    ):
        if share.labels:
            yield f"{name} {_told(share)}"


def _told(found: Share) -> str:
    if found.share is None:
        return "nobody was asked"
    return f"{found.share:.1%} ({found.low:.1%} to {found.high:.1%}) of {found.labels:,}"
