"""The judgement's own record: what became of each verdict, and what that makes of confidences.

`verdicts` keeps what agents said; `gathering` reads labels out of stored decisions; `domain/record.py` and
`domain/calibration.py` make figures of them; `standing` puts both together for a page or a command; `marks`
lets a reviewer say whether an assessment was right; `watching` tells people when a day's judgements are
unsure.
"""

from listmanagement.workflows.record.standing import (
    NO_MODEL,
    AgentRecord,
    Judge,
    JudgementRecord,
    ModelRecord,
    by_choice,
    by_class,
    by_grade,
    calibrations,
    read,
)

__all__ = [
    "NO_MODEL",
    "AgentRecord",
    "Judge",
    "JudgementRecord",
    "ModelRecord",
    "by_choice",
    "by_class",
    "by_grade",
    "calibrations",
    "read",
]
